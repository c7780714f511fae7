//! Retention by the clock: reports that are older than the settings keep them go, in small steps beside all other work.
//!
//! It must never be what an upload waits for: the store does other work between two steps.

use super::Exporter;
use jiff::SignedDuration;
use std::sync::Arc;

/// How often it is looked for what is too old. Reports go by whole days.
const EVERY: SignedDuration = SignedDuration::from_hours(1);

/// Looks for what is too old now, and from time to time, for as long as the store is open.
pub async fn keep(exporter: Arc<Exporter>) {
    while let Some(store) = exporter.open_store() {
        match store.expire(exporter.now()).await {
            Ok(0) => {}
            Ok(reports) => tracing::info!(reports, "older reports than are kept are removed; their day sums stay"),
            // It will be tried again; what is stored is safe.
            Err(error) => tracing::error!(error = %crate::error::chain(&error), "old reports could not be removed"),
        }
        drop(store);
        exporter.wait(EVERY).await;
    }
}
