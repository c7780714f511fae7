//! Lists of a project's tests: all of them with a search, the flaky, the broken and the slow ones.

use super::address;
use super::frame::{Frame, Tab};
use super::rows::TestRow;
use super::view::show;
use super::words;
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::store::{Ranking, StoreError};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Tests of a page.
const PAGE: usize = 50;

/// The longest text that is searched for.
const LONGEST: usize = 200;

/// Which tests are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestsQuery {
    #[serde(default)]
    q: String,
    after: Option<u32>,
}

/// Nothing can be asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoQuery {}

#[derive(Template)]
#[template(path = "page/tests.html")]
struct Tests {
    frame: Frame,
    here: String,
    q: String,
    tests: Vec<TestRow>,
    first: Option<String>,
    next: Option<String>,
    window: String,
}

#[derive(Template)]
#[template(path = "page/ranking.html")]
struct RankingPage {
    frame: Frame,
    heading: &'static str,
    about: String,
    nothing: &'static str,
    /// Whether the tests are ranked by their duration, and not by what they did.
    by_duration: bool,
    tests: Vec<TestRow>,
    /// Those that could be there if they had run more often.
    unsure: Vec<TestRow>,
    page: usize,
}

/// Refuses a text that is longer than anybody types.
///
/// # Errors
/// 400.
pub fn usable(text: &str) -> Result<String, Problem> {
    let text = text.trim();
    if text.chars().count() > LONGEST {
        let detail = format!("the text to search for is longer than {LONGEST} characters");
        return Err(Problem::new(axum::http::StatusCode::BAD_REQUEST, "query_invalid", detail));
    }
    Ok(text.to_owned())
}

/// `GET /projects/{project}/tests`.
pub async fn list(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<TestsQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let Query(TestsQuery { q, after }) = query.map_err(query_invalid)?;
    let q = usable(&q)?;
    show(&exporter, &asking, Some(project), move |view| {
        let project = view.project()?;
        let mut tests = view.reader.tests(project, &q, view.now, after, PAGE + 1)?;
        if let (Some(after), true) = (after, tests.is_empty()) {
            return Err(StoreError::Unknown { what: format!("test after {after}") });
        }
        let has_next = tests.len() > PAGE;
        tests.truncate(PAGE);
        let here = address::below(project, "tests");
        let text = Some(q.as_str()).filter(|text| !text.is_empty());
        let last = tests.last().map(|test| test.number.to_string()).filter(|_| has_next);
        Ok(Tests {
            frame: view.frame(format!("Tests of {project}"), Tab::Tests),
            first: after.map(|_| address::with_query(&here, &[("q", text)])),
            next: last.map(|last| address::with_query(&here, &[("q", text), ("after", Some(&last))])),
            tests: TestRow::all(project, &tests),
            window: words::counted(u64::from(view.rules().flake_window_days), "day", "days"),
            here,
            q,
        })
    })
    .await
}

/// `GET /projects/{project}/flaky`.
pub async fn flaky(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    ranking(&exporter, project, query, &asking, Ranking::Flaky).await
}

/// `GET /projects/{project}/broken`.
pub async fn broken(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    ranking(&exporter, project, query, &asking, Ranking::Broken).await
}

/// `GET /projects/{project}/slowest`.
pub async fn slowest(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    ranking(&exporter, project, query, &asking, Ranking::Slowest).await
}

async fn ranking(
    exporter: &Arc<Exporter>,
    project: String,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: &Asking,
    ranking: Ranking,
) -> Result<Response, Problem> {
    query.map_err(query_invalid)?;
    show(exporter, asking, Some(project), move |view| {
        let project = view.project()?;
        let (rules, days) = (view.rules(), words::counted(u64::from(view.rules().flake_window_days), "day", "days"));
        let (tab, heading, about, nothing) = match ranking {
            Ranking::Flaky | Ranking::Unsure => (
                Tab::Flaky,
                "Flaky tests",
                format!(
                    "Tests that passed and failed on the same code within {days}, the most certain ones first: ranked by \
                     what their flaky share is at least. A test needs {} to be ranked.",
                    words::counted(u64::from(rules.minimum_sample), "decisive execution", "decisive executions"),
                ),
                "No test with enough executions was flaky in this window.",
            ),
            Ranking::Broken => (
                Tab::Broken,
                "Broken tests",
                format!("Tests that failed each time they were decided within {days}: broken, not flaky."),
                "No test failed each time in this window.",
            ),
            Ranking::Slowest => (
                Tab::Slowest,
                "Slowest tests",
                format!("Tests by the mean duration of their decisive executions within {days}."),
                "No test was run in this window.",
            ),
        };
        let tests = view.reader.ranked(project, ranking, view.now, PAGE)?;
        let unsure = match ranking {
            Ranking::Flaky => view.reader.ranked(project, Ranking::Unsure, view.now, PAGE)?,
            _ => Vec::new(),
        };
        Ok(RankingPage {
            frame: view.frame(format!("{heading} of {project}"), tab),
            heading,
            about,
            nothing,
            by_duration: ranking == Ranking::Slowest,
            tests: TestRow::all(project, &tests),
            unsure: TestRow::all(project, &unsure),
            page: PAGE,
        })
    })
    .await
}
