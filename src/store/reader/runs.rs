//! Runs: the list, and one of them with its failures.

use super::Reader;
use crate::hex::hex;
use crate::quality::Standing;
use crate::reports::{Counts, TestIdentity, TestPlace};
use crate::store::columns::{StoredExecution, decode_details, decode_executions};
use crate::store::error::StoreError;
use crate::store::ingest::{read_counts, read_sums};
use crate::store::live::Hash;
use crate::store::views::{ReportSummary, RunDetail, RunExecution, RunQuery, RunSummary};
use rusqlite::{OptionalExtension, Row};
use std::time::Duration;

/// Failures of one run that are read.
const FAILURES: usize = 500;

pub(super) const RUN: &str = "SELECT id, run_key, attempt, job, shard, environment, variant, branch, commit_sha, tree_sha, \
    pull_request, ci_provider, ci_url, at, received_at, project_id FROM run";

impl Reader<'_> {
    /// A project's runs, newest first by when they were, which may be long before they came.
    pub fn runs(&self, project: &str, query: &RunQuery) -> Result<Vec<RunSummary>, StoreError> {
        let project = self.project_id(project)?;
        let of_branch = if query.branch.is_some() { "branch = ?2" } else { "?2 IS NULL" };
        let mut known = self.connection.prepare_cached("SELECT 1 FROM run WHERE id = ?1")?;
        let before = match query.before {
            None => "?3 IS NULL",
            Some(before) if known.exists([before])? => "(at, id) < (SELECT at, id FROM run WHERE id = ?3)",
            // One that went meanwhile, or a number that no run can have: all that came before it.
            Some(_) => "id < ?3",
        };
        let mut statement = self.connection.prepare_cached(&format!(
            "{RUN} WHERE project_id = ?1 AND {of_branch} AND {before} ORDER BY at DESC, id DESC LIMIT ?4"
        ))?;
        let rows = statement.query_map((project, &query.branch, query.before, query.limit.min(1000)), read_run)?;
        rows.map(|run| self.with_reports(run?).map(|(run, _)| run)).collect()
    }

    /// One run of a project, with its failures and what the reports say of them.
    pub fn run(&self, project: &str, id: i64) -> Result<RunDetail, StoreError> {
        let project_id = self.project_id(project)?;
        let mut statement = self.connection.prepare_cached(&format!("{RUN} WHERE id = ?1 AND project_id = ?2"))?;
        let run = statement.query_row((id, project_id), read_run).optional()?;
        let run = run.ok_or_else(|| StoreError::Unknown { what: format!("run {id} in project {project:?}") })?;
        let (summary, reports) = self.with_reports(run)?;
        let (mut failures, mut failures_left_out) = (Vec::new(), 0);
        for report in &reports {
            self.add_failures(project_id, report.id, &mut failures, &mut failures_left_out)?;
        }
        Ok(RunDetail { summary, reports, failures, failures_left_out })
    }

    /// The run with a number.
    pub(super) fn run_summary(&self, id: i64) -> Result<RunSummary, StoreError> {
        let mut statement = self.connection.prepare_cached(&format!("{RUN} WHERE id = ?1"))?;
        let run = statement.query_row([id], read_run)?;
        self.with_reports(run).map(|(run, _)| run)
    }

    pub(super) fn with_reports(&self, mut run: RunSummary) -> Result<(RunSummary, Vec<ReportSummary>), StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT id, format, bytes, received_at, passed, failed, errors, skipped, flaky, microseconds, warnings \
             FROM report WHERE run_id = ?1 ORDER BY id",
        )?;
        let mut sums = self.connection.prepare_cached("SELECT decisive, failed FROM run WHERE id = ?1")?;
        let sums = sums.query_row([run.id], |row| read_sums(row, 0))?;
        let standing = self.shared.snapshot().rules.standing(run.branch.as_deref(), run.attempt, sums);
        let mut rows = statement.query([run.id])?;
        let mut reports = Vec::new();
        while let Some(row) = rows.next()? {
            let counts = read_counts(row, 4)?;
            let warnings: Option<String> = row.get(10)?;
            let seconds = row.get::<_, Option<i64>>(9)?.map(|microseconds| microseconds as f64 / 1e6);
            run.counts = add(run.counts, counts);
            run.flaky += row.get::<_, u64>(8)?;
            run.seconds = seconds.map(|seconds| seconds + run.seconds.unwrap_or(0.0)).or(run.seconds);
            run.reports += 1;
            run.held_out_reports += u64::from(standing == Standing::HeldOut);
            reports.push(ReportSummary {
                id: row.get(0)?,
                format: row.get(1)?,
                bytes: row.get(2)?,
                received_at: row.get(3)?,
                counts,
                standing,
                warnings: warnings.map(|text| text.lines().map(str::to_owned).collect()).unwrap_or_default(),
            });
        }
        Ok((run, reports))
    }

    fn add_failures(
        &self,
        project: i64,
        report: i64,
        failures: &mut Vec<RunExecution>,
        left_out: &mut u64,
    ) -> Result<(), StoreError> {
        let executions = self.executions(report)?;
        let details: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT details FROM report_details WHERE report_id = ?1")?
            .query_row([report], |row| row.get(0))
            .optional()?;
        let mut details = details.map(|bytes| decode_details(&bytes)).transpose()?.unwrap_or_default();
        for execution in executions {
            let observation = execution.observation;
            if !observation.outcome.is_failure() && !observation.flaky {
                continue;
            }
            if failures.len() >= FAILURES {
                *left_out += 1;
                continue;
            }
            let (fingerprint, test) = self.identity(project, observation.test)?;
            let detail = execution.detail.and_then(|index| details.get_mut(usize::try_from(index).ok()?));
            failures.push(RunExecution {
                fingerprint,
                test,
                outcome: observation.outcome,
                flaky: observation.flaky,
                duration: observation.microseconds.map(Duration::from_micros),
                attempts: detail.map(std::mem::take).unwrap_or_default(),
            });
        }
        Ok(())
    }

    /// The executions of a report, sorted by test.
    pub(super) fn executions(&self, report: i64) -> Result<Vec<StoredExecution>, StoreError> {
        let mut statement = self.connection.prepare_cached("SELECT executions FROM report WHERE id = ?1")?;
        let blob: Vec<u8> = statement.query_row([report], |row| row.get(0))?;
        Ok(decode_executions(&blob)?)
    }

    /// A test's fingerprint and identity.
    pub(super) fn identity(&self, project: i64, number: u32) -> Result<(String, TestIdentity), StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT fingerprint, suite, class, name, file, variant FROM test WHERE project_id = ?1 AND number = ?2",
        )?;
        Ok(statement.query_row((project, number), |row| {
            let place = TestPlace { suite: row.get(1)?, class: row.get(2)?, file: row.get(4)?, variant: row.get(5)? };
            Ok((hex(&row.get::<_, Hash>(0)?), TestIdentity { place: place.into(), name: row.get(3)? }))
        })?)
    }
}

fn add(left: Counts, right: Counts) -> Counts {
    Counts {
        tests: left.tests + right.tests,
        passed: left.passed + right.passed,
        failed: left.failed + right.failed,
        errors: left.errors + right.errors,
        skipped: left.skipped + right.skipped,
    }
}

pub(super) fn read_run(row: &Row<'_>) -> rusqlite::Result<RunSummary> {
    Ok(RunSummary {
        id: row.get(0)?,
        run: row.get(1)?,
        attempt: row.get(2)?,
        job: row.get(3)?,
        shard: row.get(4)?,
        environment: row.get(5)?,
        variant: row.get(6)?,
        branch: row.get(7)?,
        commit: row.get(8)?,
        tree: row.get(9)?,
        pull_request: row.get(10)?,
        ci_provider: row.get(11)?,
        ci_url: row.get(12)?,
        at: row.get(13)?,
        received_at: row.get(14)?,
        counts: Counts::default(),
        flaky: 0,
        seconds: None,
        reports: 0,
        held_out_reports: 0,
    })
}
