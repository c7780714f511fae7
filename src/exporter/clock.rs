//! What time it is, as a thing that is handed in: tests hold the hands of the clock.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use std::fmt::Debug;
use std::time::Duration;
use tokio::sync::watch;

/// Says what time it is.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now, in UTC.
    fn now(&self) -> Timestamp;

    /// Waits until it is so late.
    fn until(&self, moment: Timestamp) -> BoxFuture<'_, ()>;
}

/// The computer's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The computer's clock may be set: it is looked at again and again.
const LOOK: Duration = Duration::from_secs(60);

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            while let Ok(left) = Duration::try_from(moment.duration_since(self.now()))
                && !left.is_zero()
            {
                tokio::time::sleep(left.min(LOOK)).await;
            }
        })
    }
}

/// A clock that stands still until it is set.
#[derive(Debug)]
pub struct SetClock(watch::Sender<Timestamp>);

impl SetClock {
    /// A clock that shows this time.
    pub fn at(time: Timestamp) -> Self {
        Self(watch::Sender::new(time))
    }

    /// Sets it.
    pub fn set(&self, time: Timestamp) {
        self.0.send_replace(time);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        *self.0.borrow()
    }

    fn until(&self, moment: Timestamp) -> BoxFuture<'_, ()> {
        let mut time = self.0.subscribe();
        Box::pin(async move {
            // The sender is this clock, which outlives what is waited for.
            let _ = time.wait_for(|time| *time >= moment).await;
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::SignedDuration;

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_has_been_is_not_waited_for() {
        let past = Timestamp::now() - SignedDuration::from_secs(5);
        tokio::time::timeout(Duration::from_millis(1), SystemClock.until(past)).await.unwrap();
    }

    #[tokio::test]
    async fn a_set_clock_wakes_whoever_waits_for_the_time_it_is_set_to() {
        let begin: Timestamp = "2026-03-02T12:00:00Z".parse().unwrap();
        let clock = SetClock::at(begin);
        let mut waiting = clock.until(begin + SignedDuration::from_hours(2));
        let mut is_late = || futures_util::FutureExt::now_or_never(&mut waiting).is_some();
        assert!(!is_late());
        clock.set(begin + SignedDuration::from_hours(1));
        assert!(!is_late());
        clock.set(begin + SignedDuration::from_hours(3));
        assert!(is_late());
    }
}
