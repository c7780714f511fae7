//! What an operator wants to know of the ingest: what was taken in and refused, how large the store is, what is wrong.

use super::Exporter;
use crate::store::{IngestTotals, Rejection};
use std::sync::Arc;

/// The state of the ingest as of now.
#[derive(Debug, Clone)]
pub struct IngestState {
    /// Counters of all time.
    pub totals: Arc<IngestTotals>,
    /// The uploads that were refused last since the process started, newest first, each with its moment.
    pub refused: Vec<(i64, Rejection)>,
    /// Bytes that the store occupies on disk; nothing where it is in memory.
    pub size: Option<u64>,
    /// The most bytes it may occupy, if there is a limit.
    pub most_bytes: Option<u64>,
    /// Days for which runs and executions are kept.
    pub kept_days: u64,
    /// When the process started, in seconds since 1970.
    pub started_at: i64,
    /// What somebody should act on, in words.
    pub troubles: Vec<String>,
}

/// Looks at the store that takes things in, whatever is shown.
pub fn state_of_ingest(exporter: &Exporter) -> IngestState {
    let in_force = exporter.in_force();
    let history = &in_force.settings.history;
    let store = exporter.open_store();
    let size = exporter.file().map(super::metrics::bytes_on_disk);
    let most_bytes = history.size.map(crate::settings::Memory::bytes);
    let mut troubles = Vec::new();
    if store.is_some() && !exporter.is_durable() {
        troubles.push("there is no directory to write to: what is pushed is lost when the process ends.".to_owned());
    }
    if let Some(error) = &in_force.reload_error {
        troubles.push(format!("the settings cannot be used as they are now, and those before stay in force: {error}"));
    }
    if let (Some(size), Some(most)) = (size, most_bytes)
        && size > most - most / 10
    {
        troubles.push("the store is nearly as large as it may be: the oldest executions go.".to_owned());
    }
    if !in_force.access.has_token() {
        troubles.push("no token is configured, so nothing is taken in.".to_owned());
    }
    IngestState {
        totals: store.map(|store| Arc::clone(&store.snapshot().ingest)).unwrap_or_default(),
        refused: exporter.refused(),
        size,
        most_bytes,
        kept_days: history.executions.as_secs().div_ceil(86_400),
        started_at: exporter.started_at(),
        troubles,
    }
}
