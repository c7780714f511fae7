//! One run: where it came from, its reports and whether they count, and its failures with their messages.

use super::address;
use super::frame::{Frame, Tab};
use super::rows::{Mix, RunRow, TestName, standing_word};
use super::view::show;
use super::words::{self, Moment};
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::reports::Attempt;
use crate::store::{ReportSummary, RunExecution, RunSummary, StoreError};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Failures of a page.
const PAGE: usize = 25;

/// Attempts of a failure that are shown, the last ones.
const ATTEMPTS: usize = 5;

/// The longest message that is shown whole, and what all messages of a page may take.
const MESSAGE: usize = 2_000;
const MESSAGES: usize = 40_000;

/// Reports and warnings of a run that are shown.
const REPORTS: usize = 30;

/// Which part of the failures is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunQuery {
    #[serde(default)]
    from: u16,
}

#[derive(Template)]
#[template(path = "page/run.html")]
struct OneRun {
    frame: Frame,
    runs_at: String,
    row: RunRow,
    facts: Vec<(&'static str, String, Option<String>)>,
    held_out: Option<&'static str>,
    reports: Vec<ReportRow>,
    /// Reports that are not shown, in words; empty where all are.
    reports_left_out: String,
    failures: Vec<Failure>,
    failures_from: usize,
    failures_all: String,
    previous: Option<String>,
    next: Option<String>,
}

struct ReportRow {
    id: i64,
    format: String,
    size: String,
    at: Moment,
    mix: Mix,
    standing: &'static str,
    counts: bool,
    warnings: Vec<String>,
    warnings_left_out: String,
}

struct Failure {
    to: String,
    test: TestName,
    word: &'static str,
    sign: &'static str,
    duration: String,
    attempts: Vec<AttemptRow>,
}

struct AttemptRow {
    number: usize,
    word: &'static str,
    sign: &'static str,
    kind: String,
    message: String,
}

/// `GET /projects/{project}/runs/{run}`.
pub async fn one(
    State(exporter): State<Arc<Exporter>>,
    Path((project, run)): Path<(String, String)>,
    query: Result<Query<RunQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let from = usize::from(query.map_err(query_invalid)?.from);
    let run = run.parse::<i64>();
    show(&exporter, &asking, Some(project), move |view| {
        let project = view.project()?;
        let unknown = |what: String| StoreError::Unknown { what };
        let id = run.map_err(|_| unknown("such run: a run is a number".to_owned()))?;
        let detail = view.reader.run(project, id)?;
        let all = detail.failures.len();
        if from > 0 && from >= all {
            return Err(unknown(format!("failure {} in this run", from + 1)));
        }
        let here = address::run(project, id);
        let page = |from: usize| match from {
            0 => here.clone(),
            from => address::with_query(&here, &[("from", Some(&from.to_string()))]),
        };
        let row = RunRow::of(project, &detail.summary);
        let mut room = MESSAGES;
        let failures: Vec<Failure> =
            detail.failures.iter().skip(from).take(PAGE).map(|one| failure(project, one, &mut room)).collect();
        let all_of_them = all as u64 + detail.failures_left_out;
        Ok(OneRun {
            frame: view.frame(format!("Run {}", row.name), Tab::Runs),
            runs_at: address::below(project, "runs"),
            facts: facts(project, &detail.summary),
            held_out: detail.reports.iter().find_map(|report| words::not_counted_because(report.standing)),
            reports: detail.reports.iter().take(REPORTS).map(report_row).collect(),
            reports_left_out: further(detail.reports.len(), REPORTS, "more report", "more reports"),
            failures_from: from + 1,
            failures_all: words::count(all_of_them),
            previous: (from > 0).then(|| page(from.saturating_sub(PAGE))),
            next: (from + PAGE < all).then(|| page(from + PAGE)),
            failures,
            row,
        })
    })
    .await
}

/// What is known of where a run came from: a name, a value, and where it leads.
fn facts(project: &str, run: &RunSummary) -> Vec<(&'static str, String, Option<String>)> {
    let branch_at = run
        .branch
        .as_deref()
        .map(|branch| address::with_query(&address::below(project, "runs"), &[("branch", Some(branch))]));
    let facts = [
        ("Branch", &run.branch, branch_at),
        ("Commit", &run.commit, None),
        ("Tree", &run.tree, None),
        ("Pull request", &run.pull_request, None),
        ("Job", &run.job, None),
        ("Shard", &run.shard, None),
        ("Environment", &run.environment, None),
        ("Variant", &run.variant, None),
        ("CI", &run.ci_provider, None),
        ("CI page", &run.ci_url, run.ci_url.as_deref().and_then(address::foreign)),
    ];
    facts.into_iter().filter_map(|(name, value, to)| Some((name, words::clipped(value.as_deref()?, 300), to))).collect()
}

fn report_row(report: &ReportSummary) -> ReportRow {
    const WARNINGS: usize = 5;
    ReportRow {
        id: report.id,
        format: report.format.clone(),
        size: words::bytes(report.bytes),
        at: Moment::at(report.received_at),
        mix: Mix::of(&report.counts, 0),
        standing: standing_word(report.standing),
        counts: words::not_counted_because(report.standing).is_none(),
        warnings: report.warnings.iter().take(WARNINGS).map(|warning| words::clipped(warning, 300)).collect(),
        warnings_left_out: further(report.warnings.len(), WARNINGS, "more warning", "more warnings"),
    }
}

fn failure(project: &str, one: &RunExecution, room: &mut usize) -> Failure {
    let word = words::outcome(one.outcome, one.flaky);
    let first = one.attempts.len().saturating_sub(ATTEMPTS);
    let attempts = one.attempts.iter().enumerate().skip(first);
    Failure {
        to: address::test(project, &one.fingerprint),
        test: TestName::of(&one.test),
        word,
        sign: words::sign(word),
        duration: one.duration.map(|duration| words::seconds(duration.as_secs_f64())).unwrap_or_default(),
        attempts: attempts.map(|(index, attempt)| attempt_row(index + 1, attempt, room)).collect(),
    }
}

fn attempt_row(number: usize, attempt: &Attempt, room: &mut usize) -> AttemptRow {
    let word = words::outcome(attempt.outcome, false);
    let message = attempt.message().unwrap_or_default().trim();
    let message = words::clipped(message, MESSAGE.min(*room));
    *room -= message.len().min(*room);
    AttemptRow {
        number,
        word,
        sign: words::sign(word),
        kind: words::clipped(attempt.kind().unwrap_or_default(), 200),
        message,
    }
}

/// How many things are not shown of all of them, in words; empty where all are.
fn further(all: usize, shown: usize, one: &str, many: &str) -> String {
    match all.saturating_sub(shown) {
        0 => String::new(),
        left => words::counted(left as u64, one, many),
    }
}
