//! Retention: the oldest reports go when they are too old, or when the file is nearly as large as it may be.
//!
//! The writer saves the folded state before any report goes: roll-ups and counters outlive it.

use super::error::StoreError;
use super::model::Retention;
use super::writer::{Applying, Work};
use crate::quality::{Day, Window};
use rusqlite::Connection;
use tokio::sync::oneshot::Sender;

/// Reports that go in one transaction, so that nobody waits long.
const AT_ONCE: i64 = 1000;

/// Bytes of executions after which a transaction has enough: a thousand large reports would take seconds.
const BYTES_AT_ONCE: u64 = 4 << 20;

/// Removes some of what is to go, as far as the saved state has it.
pub(super) struct Expire {
    retention: Retention,
    now: i64,
    removed: u64,
    answer: Sender<Result<u64, StoreError>>,
}

impl Expire {
    pub(super) fn new(retention: Retention, now: i64, answer: Sender<Result<u64, StoreError>>) -> Self {
        Self { retention, now, removed: 0, answer }
    }
}

impl Work for Expire {
    fn apply(&mut self, applying: &mut Applying<'_>) -> Result<(), StoreError> {
        let reports = outdated(applying.connection, self.retention, self.now)?;
        remove(applying.connection, &reports)?;
        self.removed = reports.len() as u64;
        Ok(())
    }

    fn answer(self: Box<Self>, result: Result<(), StoreError>) {
        // The caller may have gone.
        let _ = self.answer.send(result.map(|()| self.removed));
    }
}

/// The reports that are to go first, of those that the saved state has.
pub(super) fn outdated(connection: &Connection, retention: Retention, now: i64) -> Result<Vec<i64>, StoreError> {
    let first_kept = Window::ending(Day::of(now), retention.days).first.start();
    let mut by_age = connection.prepare_cached(
        "SELECT id, length(executions) FROM report \
         WHERE at < ?1 AND id <= (SELECT through FROM folded) ORDER BY at LIMIT ?2",
    )?;
    let ids = first_ones(by_age.query([first_kept, AT_ONCE])?)?;
    let Some(limit) = retention.max_bytes.filter(|_| ids.is_empty()) else { return Ok(ids) };
    // Near the limit: nine tenths of it are used.
    if used_bytes(connection)? <= limit - limit / 10 {
        return Ok(ids);
    }
    let mut oldest = connection.prepare_cached(
        "SELECT id, length(executions) FROM report WHERE id <= (SELECT through FROM folded) \
         ORDER BY at LIMIT min(?1, (SELECT count(*) / 20 + 1 FROM report))",
    )?;
    first_ones(oldest.query([AT_ONCE])?)
}

/// The reports of these rows, at least one of them, until they are enough for one transaction.
fn first_ones(mut rows: rusqlite::Rows<'_>) -> Result<Vec<i64>, StoreError> {
    let (mut ids, mut bytes) = (Vec::new(), 0);
    while bytes < BYTES_AT_ONCE
        && let Some(row) = rows.next()?
    {
        ids.push(row.get(0)?);
        bytes += row.get::<_, u64>(1)?;
    }
    Ok(ids)
}

/// The bytes of the file that are in use; pages of removed reports are used again before the file grows.
pub(super) fn used_bytes(connection: &Connection) -> Result<u64, StoreError> {
    let pragma = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, u64>(0));
    Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
}

fn remove(connection: &Connection, reports: &[i64]) -> Result<(), StoreError> {
    let mut run = connection.prepare_cached("SELECT run_id FROM report WHERE id = ?1")?;
    let mut report = connection.prepare_cached("DELETE FROM report WHERE id = ?1")?;
    let mut empty = connection
        .prepare_cached("DELETE FROM run WHERE id = ?1 AND NOT EXISTS (SELECT 1 FROM report WHERE run_id = ?1)")?;
    for id in reports {
        let run: i64 = run.query_row([id], |row| row.get(0))?;
        report.execute([id])?;
        empty.execute([run])?;
    }
    Ok(())
}
