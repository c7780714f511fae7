//! One test: the strip of its outcomes, its durations, and why it is called flaky.

use super::address;
use super::chart::{self, BarChart};
use super::frame::{Frame, Tab};
use super::rows::{TestName, verdict};
use super::test_lists::NoQuery;
use super::view::show;
use super::words::{self, Moment};
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::quality::FlakeKind;
use crate::store::{ExplainedRecovery, FlakeExplanation, HistoryEntry};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use std::sync::Arc;

/// Executions of the strip.
const STRIP: usize = 60;

/// Executions of the table under it.
const TABLE: usize = 25;

/// Reasons that are shown.
const REASONS: usize = 8;

#[derive(Template)]
#[template(path = "page/test.html")]
struct OneTest {
    frame: Frame,
    tests_at: String,
    test: TestName,
    file: String,
    verdict: &'static str,
    facts: Vec<(&'static str, String)>,
    /// Oldest first, as one reads a strip.
    strip: Vec<ExecutionRow>,
    durations: Option<BarChart>,
    reasons: Vec<Reason>,
    /// Newest first.
    table: Vec<ExecutionRow>,
}

/// One execution of a test.
#[derive(Debug, Clone)]
pub struct ExecutionRow {
    /// Where its run is.
    pub to: String,
    /// Its outcome's word.
    pub word: &'static str,
    /// Its outcome's sign.
    pub sign: &'static str,
    /// Its run.
    pub run: String,
    /// The branch.
    pub branch: String,
    /// The beginning of the code's hash.
    pub code: String,
    /// How long it took.
    pub duration: String,
    /// When the run was.
    pub at: Moment,
    /// All of it in one line.
    pub title: String,
}

impl ExecutionRow {
    fn of(project: &str, entry: &HistoryEntry) -> Self {
        let word = words::outcome(entry.outcome, entry.flaky);
        let key = entry.run.as_deref().map_or_else(|| format!("#{}", entry.run_id), |key| words::clipped(key, 80));
        let run = if entry.attempt > 1 { format!("{key}, attempt {}", entry.attempt) } else { key };
        let at = Moment::at(entry.at);
        let duration = entry.seconds.map(words::seconds).unwrap_or_default();
        let parts = [word, &run, &at.text, &duration];
        Self {
            to: address::run(project, entry.run_id),
            sign: words::sign(word),
            word,
            title: parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(" · "),
            run,
            branch: words::clipped(entry.branch.as_deref().unwrap_or_default(), 80),
            code: entry.tree.as_deref().or(entry.commit.as_deref()).map(words::short_hash).unwrap_or_default(),
            duration,
            at,
        }
    }
}

/// Why a test is called flaky, or how it recovered.
pub struct Reason {
    /// In one sentence.
    pub text: String,
    /// The executions that show it.
    pub executions: Vec<ExecutionRow>,
}

impl Reason {
    /// A flaky execution of a test of a project.
    pub fn of(project: &str, event: &FlakeExplanation) -> Self {
        let first = event.executions.first();
        let code = first.and_then(|one| one.tree.as_deref().or(one.commit.as_deref())).map(words::short_hash);
        let text = match event.kind {
            FlakeKind::RetriedWithinRun => "It passed only after a failed attempt of its own run.".to_owned(),
            FlakeKind::BothOutcomesOnOneCommit => match code {
                Some(code) => format!("It failed and passed on the same code, {code}."),
                None => "It failed and passed on the same code.".to_owned(),
            },
        };
        let executions = event.executions.iter().map(|one| ExecutionRow::of(project, one));
        Self { text, executions: executions.collect() }
    }

    /// How a test of a project went from red to green.
    pub fn of_recovery(project: &str, recovery: &ExplainedRecovery) -> Self {
        let ends = [&recovery.red, &recovery.green].into_iter().flatten();
        let text = format!("Red for {}.", words::seconds(recovery.seconds as f64));
        Self { text, executions: ends.map(|one| ExecutionRow::of(project, one)).collect() }
    }
}

/// `GET /projects/{project}/tests/{fingerprint}`.
pub async fn one(
    State(exporter): State<Arc<Exporter>>,
    Path((project, fingerprint)): Path<(String, String)>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    query.map_err(query_invalid)?;
    show(&exporter, &asking, Some(project), move |view| {
        let project = view.project()?;
        let fingerprint = words::clipped(&fingerprint, 100);
        let history = view.reader.history(project, &fingerprint, view.now, STRIP)?;
        let summary = &history.summary;
        let test = TestName::whole(&summary.test);
        let newest_first: Vec<ExecutionRow> =
            history.entries.iter().map(|entry| ExecutionRow::of(project, entry)).collect();
        let share = |some: u64| match summary.decisive {
            0 => "0".to_owned(),
            all => format!("{} ({})", words::count(some), words::percent(some as f64 / all as f64)),
        };
        let day = |at: Option<i64>| at.map_or_else(|| "never".to_owned(), |at| words::day(crate::quality::Day::of(at)));
        let window = words::counted(u64::from(view.rules().flake_window_days), "day", "days");
        let facts = vec![
            ("Decisive executions", format!("{} in {window}", words::count(summary.decisive))),
            ("Failed", share(summary.failed)),
            ("Flaky", share(summary.flaky)),
            (
                "Mean duration",
                if summary.decisive == 0 { "–".to_owned() } else { words::seconds(summary.mean_seconds) },
            ),
            ("First seen", day(summary.first_seen_at)),
            ("Last seen", day(summary.last_seen_at)),
        ];
        Ok(OneTest {
            frame: view.frame(words::clipped(&test.name, 120), Tab::Tests),
            tests_at: address::below(project, "tests"),
            file: summary.test.file.clone().unwrap_or_default(),
            verdict: verdict(summary),
            facts,
            durations: durations(&history.entries),
            reasons: history.events.iter().take(REASONS).map(|event| Reason::of(project, event)).collect(),
            strip: newest_first.iter().rev().cloned().collect(),
            table: newest_first.into_iter().take(TABLE).collect(),
            test,
        })
    })
    .await
}

/// The durations of the executions, oldest first.
fn durations(newest_first: &[HistoryEntry]) -> Option<BarChart> {
    let timed: Vec<&HistoryEntry> = newest_first.iter().rev().filter(|entry| entry.outcome.is_decisive()).collect();
    let parts: Vec<chart::BarParts> = timed
        .iter()
        .map(|entry| {
            let word = words::outcome(entry.outcome, entry.flaky);
            let at = Moment::at(entry.at).text;
            let took = entry.seconds.map_or_else(|| "no duration".to_owned(), words::seconds);
            (format!("{at}: {took}, {word}"), vec![(word, entry.seconds.unwrap_or(0.0))])
        })
        .collect();
    let (first, last) = (timed.first()?, timed.last()?);
    let longest = timed.iter().filter_map(|entry| entry.seconds).fold(0.0, f64::max);
    let executions = words::counted(timed.len() as u64, "execution", "executions");
    let label = format!("Durations of {executions}, at most {}", words::seconds(longest));
    let ends = (Moment::at(first.at).text, Moment::at(last.at).text);
    chart::bars(&parts, label, ends, words::seconds)
}
