//! How long something else than this program was at work: the engine, a service that starts.
//!
//! Works go side by side, so that their times cannot be added up: what counts is the time in which any of them was under
//! way. What is left of a run's time is our own part in it.

use std::future::Future;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Measures the time in which anything was under way elsewhere.
#[derive(Debug, Default)]
pub struct Meter {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    under_way: usize,
    since: Option<Instant>,
    total: Duration,
}

impl Meter {
    /// Does work that is done elsewhere.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let _under_way = UnderWay::on(self);
        work.await
    }

    /// The time so far in which anything was under way.
    pub fn total(&self) -> Duration {
        let Ok(state) = self.state.lock() else { return Duration::ZERO };
        state.total + state.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// One work under way; over when it is dropped, also when nobody waits for its end any more.
struct UnderWay<'a>(&'a Meter);

impl<'a> UnderWay<'a> {
    fn on(meter: &'a Meter) -> Self {
        if let Ok(mut state) = meter.state.lock() {
            state.under_way += 1;
            state.since.get_or_insert_with(Instant::now);
        }
        Self(meter)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let Ok(mut state) = self.0.state.lock() else { return };
        state.under_way -= 1;
        if state.under_way == 0
            && let Some(since) = state.since.take()
        {
            state.total += since.elapsed();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_side_by_side_count_once_and_pauses_not_at_all() {
        let meter = Meter::default();
        let one = UnderWay::on(&meter);
        let other = UnderWay::on(&meter);
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2) {}
        drop(one);
        drop(other);
        let total = meter.total();
        assert!(total >= Duration::from_millis(2) && total < begun.elapsed() * 2, "{total:?}");
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(2) {}
        assert_eq!(meter.total(), total);
    }
}
