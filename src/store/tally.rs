//! Counters of the ingest: reports by format and result, bytes, warnings. They only grow, across restarts too.

use super::error::StoreError;
use super::views::IngestTotals;
use rusqlite::Connection;
use std::collections::BTreeMap;

const REPORT: &str = "report";
const WARNING: &str = "warning";
const BYTES: &str = "bytes";

/// What one commit adds to the counters.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally(BTreeMap<(&'static str, String), u64>);

impl Tally {
    /// A push of a format ended with a result.
    pub(super) fn push(&mut self, format: &str, result: &str, bytes: u64) {
        self.add(REPORT, format!("{format}/{result}"), 1);
        self.add(BYTES, String::new(), bytes);
    }

    /// Warnings of a code.
    pub(super) fn warning(&mut self, code: &str, count: u64) {
        self.add(WARNING, code.to_owned(), count);
    }

    fn add(&mut self, kind: &'static str, name: String, count: u64) {
        *self.0.entry((kind, name)).or_default() += count;
    }

    /// Adds the counts to the stored ones.
    pub(super) fn store(&self, connection: &Connection) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(
            "INSERT INTO ingest_total (kind, name, count) VALUES (?1, ?2, ?3) \
             ON CONFLICT (kind, name) DO UPDATE SET count = count + excluded.count",
        )?;
        for ((kind, name), count) in &self.0 {
            statement.execute((kind, name, i64::try_from(*count).unwrap_or(i64::MAX)))?;
        }
        Ok(())
    }

    /// Adds the counts to those that are shown.
    pub(super) fn show(&self, totals: &mut IngestTotals) {
        for ((kind, name), count) in &self.0 {
            add(totals, kind, name, *count);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Reads the stored counts.
pub(super) fn load(connection: &Connection) -> Result<IngestTotals, StoreError> {
    let mut totals = IngestTotals::default();
    let mut statement = connection.prepare("SELECT kind, name, count FROM ingest_total")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, name): (String, String) = (row.get(0)?, row.get(1)?);
        add(&mut totals, &kind, &name, row.get(2)?);
    }
    Ok(totals)
}

fn add(totals: &mut IngestTotals, kind: &str, name: &str, count: u64) {
    match kind {
        BYTES => totals.bytes += count,
        WARNING => *totals.warnings.entry(name.to_owned()).or_default() += count,
        _ => {
            let (format, result) = name.split_once('/').unwrap_or((name, ""));
            *totals.reports.entry((format.to_owned(), result.to_owned())).or_default() += count;
        }
    }
}
