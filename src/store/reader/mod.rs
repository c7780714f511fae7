//! Queries beside the writer.

mod behind;
mod defects;
mod explain;
mod lists;
mod runs;
mod tests;

pub use defects::DefectPage;
pub use tests::Ranking;

use super::error::StoreError;
use super::live::Live;
use super::model::Token;
use super::snapshot::Snapshot;
use super::views::{BranchSummary, ProjectSummary};
use super::writer::Shared;
use rusqlite::Connection;
use std::sync::{Arc, PoisonError, RwLockReadGuard};

/// A connection that only reads, and the folded state.
pub struct Reader<'a> {
    connection: &'a Connection,
    shared: &'a Shared,
}

impl<'a> Reader<'a> {
    pub(super) fn new(connection: &'a Connection, shared: &'a Shared) -> Self {
        Self { connection, shared }
    }

    pub(super) fn live(&self) -> RwLockReadGuard<'_, Live> {
        self.shared.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `/metrics` reads: the sums as of the last commit.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.snapshot()
    }

    /// All projects, by key.
    pub fn projects(&self) -> Result<Vec<ProjectSummary>, StoreError> {
        let fallback = self.live().rules.rules.default_branch.clone();
        let mut statement = self.connection.prepare_cached(
            "SELECT p.key, coalesce(p.default_branch, ?1), (SELECT count(*) FROM run WHERE project_id = p.id), \
             (SELECT coalesce(max(number) + 1, 0) FROM test WHERE project_id = p.id), \
             (SELECT count(*) FROM defect WHERE project_id = p.id), \
             (SELECT received_at FROM report WHERE id = (SELECT max(r.id) FROM report AS r WHERE r.project_id = p.id)) \
             FROM project AS p ORDER BY p.key",
        )?;
        let rows = statement.query_map([fallback], |row| {
            Ok(ProjectSummary {
                key: row.get(0)?,
                default_branch: row.get(1)?,
                runs: row.get(2)?,
                tests: row.get(3)?,
                defects: row.get(4)?,
                last_report_at: row.get(5)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The branches of a project, the one with the newest run first.
    pub fn branches(&self, project: &str) -> Result<Vec<BranchSummary>, StoreError> {
        let project = self.project_id(project)?;
        let mut statement = self.connection.prepare_cached(
            "SELECT branch, count(*), max(at) FROM run WHERE project_id = ?1 GROUP BY branch ORDER BY max(at) DESC",
        )?;
        let rows = statement.query_map([project], |row| {
            Ok(BranchSummary { branch: row.get(0)?, runs: row.get(1)?, last_run_at: row.get(2)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// All tokens, revoked ones among them, in the order they were made.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        super::tokens::list(self.connection)
    }

    /// The bytes of the file that are in use.
    pub fn used_bytes(&self) -> Result<u64, StoreError> {
        super::expire::used_bytes(self.connection)
    }

    /// What SQLite finds wrong with the file; nothing where all is well. Reads all of it.
    pub fn check_integrity(&self) -> Result<Vec<String>, StoreError> {
        let mut findings = Vec::new();
        for pragma in ["PRAGMA integrity_check", "PRAGMA foreign_key_check"] {
            let mut statement = self.connection.prepare(pragma)?;
            let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
            for finding in rows {
                findings.push(finding?);
            }
        }
        findings.retain(|finding| finding != "ok");
        Ok(findings)
    }

    pub(super) fn project_id(&self, key: &str) -> Result<i64, StoreError> {
        // Off the snapshot, which no fold holds up.
        let snapshot = self.shared.snapshot();
        let project = snapshot.projects.get(key);
        project.map(|project| project.id).ok_or_else(|| StoreError::Unknown { what: format!("project {key:?}") })
    }
}
