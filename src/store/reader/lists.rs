//! What the page lists beside runs and tests: trends, the newest reports, and what a search finds.

use super::Reader;
use super::tests::any_text;
use crate::quality::{TrendPoint, WindowSums, trend};
use crate::store::error::StoreError;
use crate::store::ingest::read_counts;
use crate::store::views::{ReceivedReport, RunSummary};

/// Rows that a search looks at beside those it has an index for, so that it ends soon in any store.
const LOOKED_AT: i64 = 50_000;

impl Reader<'_> {
    /// The figures as each of the last days ended with them, oldest first, the last ones as of now; for one project
    /// or for all of them together.
    pub fn trend(&self, project: Option<&str>, now: i64, days: u32) -> Result<Vec<TrendPoint>, StoreError> {
        let live = self.live();
        let rules = &live.rules.rules;
        let mut all: Vec<WindowSums> = Vec::new();
        let mut known = project.is_none();
        for one in live.projects.values().filter(|one| project.is_none_or(|key| one.key == key)) {
            known = true;
            let windows = one.state.windows(now, days, rules);
            all.resize_with(windows.len(), WindowSums::default);
            all.iter_mut().zip(&windows).for_each(|(sums, window)| sums.merge(window));
        }
        if !known {
            return Err(StoreError::Unknown { what: format!("project {:?}", project.unwrap_or_default()) });
        }
        Ok(trend(&all, now, rules))
    }

    /// The reports that were received last, newest first, for one project or for all of them together.
    pub fn newest_reports(&self, project: Option<&str>, limit: usize) -> Result<Vec<ReceivedReport>, StoreError> {
        let project = project.map(|key| self.project_id(key)).transpose()?;
        let mut statement = self.connection.prepare_cached(
            "SELECT p.key, r.id, r.run_id, run.run_key, run.branch, run.job, r.format, r.bytes, r.received_at, \
             r.passed, r.failed, r.errors, r.skipped, r.flaky, r.new_tests, r.warnings \
             FROM report AS r JOIN project AS p ON p.id = r.project_id JOIN run ON run.id = r.run_id \
             WHERE ?1 IS NULL OR r.project_id = ?1 ORDER BY r.id DESC LIMIT ?2",
        )?;
        let rows = statement.query_map((project, limit.min(1000)), |row| {
            let warnings: Option<String> = row.get(15)?;
            Ok(ReceivedReport {
                project: row.get(0)?,
                id: row.get(1)?,
                run_id: row.get(2)?,
                run: row.get(3)?,
                branch: row.get(4)?,
                job: row.get(5)?,
                format: row.get(6)?,
                bytes: row.get(7)?,
                received_at: row.get(8)?,
                counts: read_counts(row, 9)?,
                flaky: row.get(13)?,
                new_tests: row.get(14)?,
                warnings: warnings.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default(),
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest runs of a project whose key, job, branch, pull request or commit begins with a text.
    pub fn find_runs(&self, project: &str, text: &str, limit: usize) -> Result<Vec<RunSummary>, StoreError> {
        let project = self.project_id(project)?;
        let text = text.to_lowercase();
        let mut statement = self.connection.prepare_cached(
            "SELECT id, run_key, commit_sha, tree_sha, branch, job, pull_request IS ?2 FROM run \
             WHERE project_id = ?1 AND id > (SELECT coalesce(max(id), 0) - ?3 FROM run) ORDER BY id DESC",
        )?;
        let mut rows = statement.query((project, &text, LOOKED_AT))?;
        let mut found = Vec::new();
        while let (true, Some(row)) = (found.len() < limit, rows.next()?) {
            if row.get(6)? || any_text(row, 1..6, |own| own.starts_with(&text))? {
                found.push(self.run_summary(row.get(0)?)?);
            }
        }
        Ok(found)
    }
}
