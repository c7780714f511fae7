//! How much a token may bring: so many uploads a second in the mean, more for a moment.
//!
//! What the holder of a token has brought is remembered as one moment: until when its uploads would be spread, had they
//! come one after the other at the rate. An upload passes while that is not further ahead than [`BURST`].

use super::access::Holder;
use super::problem::Problem;
use axum::http::StatusCode;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What may come at once, as the time that it would take at the rate.
const BURST: Duration = Duration::from_secs(10);

/// How far ahead each holder is.
#[derive(Debug, Default)]
pub struct Pace(Mutex<HashMap<Option<i64>, Instant>>);

impl Pace {
    /// Lets an upload pass, unless its holder brought more than `rate` a second.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn admit(&self, holder: Holder, rate: NonZeroU32, now: Instant) -> Result<(), Problem> {
        let mut pace = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let spread = pace.entry(holder.id).or_insert(now);
        let ahead = spread.saturating_duration_since(now);
        let step = Duration::from_secs(1) / rate.get();
        if ahead + step > BURST {
            let seconds = (ahead + step - BURST).as_secs_f64().ceil();
            let detail = format!("this token brings more than {rate} uploads a second");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
                .retry_after(seconds as u32)
                .hint("Wait as long as Retry-After says, send many files in one upload, or raise uploads.rate."));
        }
        *spread = (*spread).max(now) + step;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_holder_may_bring_a_burst_and_then_the_rate_and_others_do_not_feel_it() {
        let (pace, now, rate) = (Pace::default(), Instant::now(), NonZeroU32::new(5).unwrap());
        let [one, other] = [1, 2].map(|id| Holder { id: Some(id) });
        let at = |holder, seconds| pace.admit(holder, rate, now + Duration::from_secs(seconds));
        assert_eq!((0..100).filter(|_| at(one, 0).is_ok()).count(), 50, "10 s of the rate at once");
        assert_eq!(at(one, 0).unwrap_err().code(), "too_many_requests");
        assert!(at(other, 0).is_ok());
        assert_eq!((0..100).filter(|_| at(one, 1).is_ok()).count(), 5, "then the rate");
        assert_eq!((0..100).filter(|_| at(one, 3600).is_ok()).count(), 50, "who rests saves up a burst and no more");
    }

    #[test]
    fn a_rate_of_one_in_many_seconds_is_never_told_to_come_back_at_once() {
        let (pace, now, rate) = (Pace::default(), Instant::now(), NonZeroU32::MIN);
        let holder = Holder { id: None };
        while pace.admit(holder, rate, now).is_ok() {}
        let refused = axum::response::IntoResponse::into_response(pace.admit(holder, rate, now).unwrap_err());
        assert_eq!(refused.headers()["retry-after"], "1");
    }
}
