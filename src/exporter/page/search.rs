//! The search: projects, tests, runs and defects by what people remember of them.

use super::frame::{Frame, Link, Tab};
use super::rows::{DefectRow, RunRow, TestRow};
use super::test_lists::usable;
use super::view::{View, show};
use super::{address, words};
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::store::StoreError;
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Things of each kind that are shown for a project.
const SHOWN: usize = 10;

/// Projects that are searched, those with the newest reports first.
const PROJECTS: usize = 20;

/// What is searched for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    #[serde(default)]
    q: String,
}

#[derive(Template)]
#[template(path = "page/search.html")]
struct Search {
    frame: Frame,
    q: String,
    projects: Vec<Link>,
    found: Vec<Found>,
    nothing: bool,
}

/// What was found in a project.
struct Found {
    project: String,
    tests: Vec<TestRow>,
    more_tests: Option<String>,
    runs: Vec<RunRow>,
    defects: Vec<DefectRow>,
}

/// `GET /search`.
pub async fn find(
    State(exporter): State<Arc<Exporter>>,
    query: Result<Query<SearchQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let q = usable(&query.map_err(query_invalid)?.q)?;
    show(&exporter, &asking, None, move |view| {
        let mut frame =
            view.frame(if q.is_empty() { "Search".to_owned() } else { format!("Search: {q}") }, Tab::Elsewhere);
        frame.search.clone_from(&q);
        if q.is_empty() {
            return Ok(Search { frame, q, projects: Vec::new(), found: Vec::new(), nothing: false });
        }
        let text = q.to_lowercase();
        let projects: Vec<Link> = view
            .snapshot
            .projects
            .keys()
            .filter(|key| key.to_lowercase().contains(&text))
            .take(SHOWN)
            .map(|key| Link { to: address::overview(Some(key)), text: key.clone(), current: false })
            .collect();
        let mut known: Vec<_> = view.snapshot.projects.values().collect();
        known.sort_by_key(|one| (std::cmp::Reverse(one.sums.newest), &one.key));
        let mut found = Vec::new();
        for project in known.into_iter().take(PROJECTS) {
            let one = in_project(view, &project.key, &q)?;
            if !(one.tests.is_empty() && one.runs.is_empty() && one.defects.is_empty()) {
                found.push(one);
            }
        }
        let nothing = projects.is_empty() && found.is_empty();
        Ok(Search { frame, q, projects, found, nothing })
    })
    .await
}

fn in_project(view: &View<'_>, project: &str, q: &str) -> Result<Found, StoreError> {
    let mut tests = view.reader.tests(project, q, view.now, None, SHOWN + 1)?;
    let more = tests.len() > SHOWN;
    tests.truncate(SHOWN);
    let runs = view.reader.find_runs(project, q, SHOWN)?;
    let defects = view.reader.find_defects(project, q, SHOWN)?;
    Ok(Found {
        project: words::clipped(project, 100),
        tests: TestRow::all(project, &tests),
        more_tests: more.then(|| address::with_query(&address::below(project, "tests"), &[("q", Some(q))])),
        runs: runs.iter().map(|run| RunRow::of(project, run)).collect(),
        defects: defects.iter().map(DefectRow::of).collect(),
    })
}
