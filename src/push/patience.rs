//! How long a push tries: what may pass is tried again for a while, and once the exporter is given up, no other
//! parcel waits for it.

use super::deliver::Parcel;
use crate::exporter::client::{Client, Refusal};
use serde_json::Value;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause; each further one is twice as long.
const FIRST: Duration = Duration::from_millis(200);

/// The longest pause that is not asked for by the exporter.
const LONGEST: Duration = Duration::from_secs(5);

/// The patience of one push with one exporter.
#[derive(Debug)]
pub struct Patience {
    /// How long after its first failure a parcel is tried again.
    total: Duration,
    /// Why the exporter was given up.
    given_up: Mutex<Option<Refusal>>,
}

impl Patience {
    /// Tries each parcel for so long after its first failure.
    pub fn new(total: Duration) -> Self {
        Self { total, given_up: Mutex::new(None) }
    }

    /// Sends a parcel, again where that may help: it is the same parcel by its key, however often it arrives.
    ///
    /// # Errors
    /// The last refusal; the exporter's own, where it was given up before.
    pub async fn send(&self, parcel: &Parcel, client: &Client) -> Result<Value, Refusal> {
        let mut until = None;
        let mut pause = FIRST;
        loop {
            if let Some(refusal) = self.why_given_up() {
                return Err(refusal);
            }
            let refusal = match parcel.send(client).await {
                Err(refusal) if refusal.is_passing() => refusal,
                other => return other,
            };
            let until = *until.get_or_insert_with(|| Instant::now() + self.total);
            // A fleet of jobs that failed together must not come back together.
            let pause_now = refusal.retry_after().unwrap_or_else(|| jittered(pause));
            if Instant::now() + pause_now > until {
                if refusal.is_outage() {
                    *self.given_up.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal.clone());
                }
                return Err(refusal);
            }
            sleep(pause_now).await;
            pause = (pause * 2).min(LONGEST);
        }
    }

    /// Why the exporter was given up, if it was.
    pub fn why_given_up(&self) -> Option<Refusal> {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Between half of a pause and all of it.
fn jittered(pause: Duration) -> Duration {
    let mut byte = [128];
    // Without randomness they come back together, and nothing worse.
    let _ = getrandom::fill(&mut byte);
    pause.mul_f64(0.5 + f64::from(byte[0]) / 512.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_between_half_of_it_and_all_of_it() {
        for _ in 0..1000 {
            let pause = jittered(FIRST);
            assert!(pause >= FIRST / 2 && pause <= FIRST, "{pause:?}");
        }
    }
}
