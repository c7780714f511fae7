//! What comes out of the store for people: lists, one run, one test, and why a figure is what it is.

use super::model::Deployment;
use crate::quality::{Classification, Defect, Figure, FlakeKind, Standing};
use crate::reports::{Attempt, Counts, Outcome, TestIdentity};
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;

/// A project in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectSummary {
    /// Its key.
    pub key: String,
    /// Its default branch.
    pub default_branch: String,
    /// Runs that are kept.
    pub runs: u64,
    /// Tests that are known.
    pub tests: u64,
    /// Defects that are known.
    pub defects: u64,
    /// When its newest report was received, in seconds since 1970.
    pub last_report_at: Option<i64>,
}

/// A branch in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BranchSummary {
    /// Its name; nothing for runs that name no branch.
    pub branch: Option<String>,
    /// Runs that are kept.
    pub runs: u64,
    /// When the newest run was, in seconds since 1970.
    pub last_run_at: i64,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuery {
    /// Runs of this branch alone.
    pub branch: Option<String>,
    /// Runs that come after the one with this number alone: the last one of the page before.
    pub before: Option<i64>,
    /// How many at most.
    pub limit: usize,
}

/// A run in a list: all reports of one key, attempt, job, shard, environment and variant.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunSummary {
    /// Its number.
    pub id: i64,
    /// The CI system's key.
    pub run: Option<String>,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The job.
    pub job: Option<String>,
    /// The shard.
    pub shard: Option<String>,
    /// The environment.
    pub environment: Option<String>,
    /// The matrix cell.
    pub variant: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The tree.
    pub tree: Option<String>,
    /// The pull request's number.
    pub pull_request: Option<String>,
    /// The CI system.
    pub ci_provider: Option<String>,
    /// Where to read it.
    pub ci_url: Option<String>,
    /// When it was, in seconds since 1970.
    pub at: i64,
    /// When its first report was received, in seconds since 1970.
    pub received_at: i64,
    /// Its executions.
    pub counts: Counts,
    /// Executions that passed only after a failed attempt.
    pub flaky: u64,
    /// Its reports' durations, summed.
    pub seconds: Option<f64>,
    /// Its reports.
    pub reports: u64,
    /// Reports of it that the infrastructure guard holds out of the figures.
    pub held_out_reports: u64,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunDetail {
    /// The run.
    pub summary: RunSummary,
    /// Its reports.
    pub reports: Vec<ReportSummary>,
    /// Executions that failed, or passed only after a failed attempt, with what the report says of each attempt.
    pub failures: Vec<RunExecution>,
    /// Failures that are left out because there are more than one reads.
    pub failures_left_out: u64,
}

/// A report of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportSummary {
    /// Its number.
    pub id: i64,
    /// The format's word.
    pub format: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was received, in seconds since 1970.
    pub received_at: i64,
    /// Its executions.
    pub counts: Counts,
    /// Whether it counts in the figures.
    pub standing: Standing,
    /// The reader's warnings, each as `line: text`.
    pub warnings: Vec<String>,
}

/// A report in the list of those received last.
#[derive(Debug, Clone, PartialEq)]
pub struct ReceivedReport {
    /// The project's key.
    pub project: String,
    /// Its number.
    pub id: i64,
    /// The number of its run.
    pub run_id: i64,
    /// The CI system's key of the run.
    pub run: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The job.
    pub job: Option<String>,
    /// The format's word.
    pub format: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was received, in seconds since 1970.
    pub received_at: i64,
    /// Its executions.
    pub counts: Counts,
    /// Executions that passed only after a failed attempt.
    pub flaky: u64,
    /// Tests that were not known before.
    pub new_tests: u64,
    /// The reader's warnings, each as `line: text`.
    pub warnings: Vec<String>,
}

/// One execution of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunExecution {
    /// The test's fingerprint.
    pub fingerprint: String,
    /// The test.
    pub test: TestIdentity,
    /// The final outcome.
    pub outcome: Outcome,
    /// It passed only after a failed attempt.
    pub flaky: bool,
    /// How long it took, where the report says so.
    pub duration: Option<Duration>,
    /// The attempts, oldest first.
    pub attempts: Vec<Attempt>,
}

/// A test in a list, with its counts in the window of the figures about tests.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestSummary {
    /// Its number in the project: what a list goes on after.
    #[serde(skip)]
    pub number: u32,
    /// The test's fingerprint: its key in addresses.
    pub fingerprint: String,
    /// The test.
    pub test: TestIdentity,
    /// What it was ranked by, where the list is a ranking.
    pub score: f64,
    /// Decisive executions.
    pub decisive: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Those of them that were flaky.
    pub flaky: u64,
    /// The mean duration of the decisive executions, in seconds.
    pub mean_seconds: f64,
    /// Whether it is flaky in the window.
    pub is_flaky: bool,
    /// Whether it failed each time in the window.
    pub is_broken: bool,
    /// The first second of the first day it was seen.
    pub first_seen_at: Option<i64>,
    /// The first second of the last day it was seen.
    pub last_seen_at: Option<i64>,
}

/// One test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestHistory {
    /// The test.
    pub summary: TestSummary,
    /// Its executions, newest first.
    pub entries: Vec<HistoryEntry>,
    /// Why it is called flaky; empty where it is not.
    pub events: Vec<FlakeExplanation>,
}

/// One execution of one test.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HistoryEntry {
    /// The run's number.
    pub run_id: i64,
    /// The report's number.
    pub report: i64,
    /// The CI system's key of the run.
    pub run: Option<String>,
    /// The attempt of the run.
    pub attempt: u32,
    /// The job.
    pub job: Option<String>,
    /// The branch.
    pub branch: Option<String>,
    /// The commit.
    pub commit: Option<String>,
    /// The tree.
    pub tree: Option<String>,
    /// Where to read the run.
    pub ci_url: Option<String>,
    /// When the run was, in seconds since 1970.
    pub at: i64,
    /// The final outcome.
    pub outcome: Outcome,
    /// It passed only after a failed attempt.
    pub flaky: bool,
    /// How many attempts it took.
    pub attempts: u64,
    /// How long it took, in seconds, where the report says so.
    pub seconds: Option<f64>,
}

/// One flaky execution, and what makes it one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlakeExplanation {
    /// Why it is flaky.
    pub kind: FlakeKind,
    /// The executions that show it: the retried one, or the failures and passes on the same code.
    pub executions: Vec<HistoryEntry>,
    /// Executions that are left out because there are more than one reads.
    pub executions_left_out: u64,
}

/// A figure, and what is behind it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// The figure.
    pub figure: Figure,
    /// Its definition in one sentence.
    pub definition: &'static str,
    /// The first day of its window, in seconds since 1970; nothing where it has none.
    pub window_from: Option<i64>,
    /// The moment it was computed for, in seconds since 1970.
    pub until: i64,
    /// The version of the rules.
    pub rules_version: String,
    /// The numbers it was computed from, by name.
    pub parts: BTreeMap<&'static str, f64>,
    /// The tests behind it, with what makes each of them count; empty for figures that no test decides.
    pub tests: Vec<ExplainedTest>,
    /// The defects behind it, with the rule that decided; empty for figures about tests.
    pub defects: Vec<ClassifiedDefect>,
    /// Runs that the infrastructure guard held out of it, newest first.
    pub held_out: Vec<RunSummary>,
    /// Runs that were held out and are left out here because there are more than one reads.
    pub held_out_left_out: u64,
    /// The runs behind it, newest first; empty for figures about defects.
    pub runs: Vec<RunSummary>,
    /// Runs that are left out because there are more than one reads.
    pub runs_left_out: u64,
    /// The tests that went from red to green, the slowest first; empty for other figures than that.
    pub recoveries: Vec<ExplainedRecovery>,
    /// The deployments behind it, newest first; empty for other figures than that.
    pub deployments: Vec<ExplainedDeployment>,
    /// Tests, defects, recoveries or deployments that are left out because there are more than one reads.
    pub left_out: u64,
}

/// A test that failed on the default branch, and passed again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedRecovery {
    /// The project's key.
    pub project: String,
    /// What names the test in addresses.
    pub fingerprint: String,
    /// The test.
    pub test: TestIdentity,
    /// How long it was red.
    pub seconds: u64,
    /// Its first failure.
    pub red: Option<HistoryEntry>,
    /// Its next pass.
    pub green: Option<HistoryEntry>,
}

/// A deployment behind a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedDeployment {
    /// The project's key.
    pub project: String,
    /// The deployment.
    pub deployment: Deployment,
}

/// A test behind a figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExplainedTest {
    /// The project's key.
    pub project: String,
    /// The test.
    pub summary: TestSummary,
    /// Its flaky executions in the window.
    pub events: Vec<FlakeExplanation>,
}

/// A defect, and what the rules make of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassifiedDefect {
    /// The project's key.
    pub project: String,
    /// The defect.
    pub defect: Defect,
    /// What the rules make of it.
    pub class: Classification,
}

/// Counters that only grow, across restarts too.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IngestTotals {
    /// Reports by format and result (`stored`, `duplicate`, or the reason of the refusal).
    pub reports: BTreeMap<(String, String), u64>,
    /// Bytes of all pushes, inflated.
    pub bytes: u64,
    /// Warnings by their code.
    pub warnings: BTreeMap<String, u64>,
}
