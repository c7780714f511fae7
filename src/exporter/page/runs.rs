//! The list of a project's runs, newest first, page by page.

use super::address;
use super::frame::{Frame, Tab};
use super::rows::RunRow;
use super::view::show;
use super::words;
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::store::{RunQuery, StoreError};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::Deserialize;
use std::sync::Arc;

/// Runs of a page.
const PAGE: usize = 40;

/// Branches to choose from.
const BRANCHES: usize = 50;

/// Which runs are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunsQuery {
    #[serde(default)]
    branch: String,
    before: Option<u32>,
}

#[derive(Template)]
#[template(path = "page/runs.html")]
struct Runs {
    frame: Frame,
    here: String,
    branch: String,
    branches: Vec<String>,
    runs: Vec<RunRow>,
    newest: Option<String>,
    older: Option<String>,
}

/// `GET /projects/{project}/runs`.
pub async fn list(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<RunsQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let Query(RunsQuery { branch, before }) = query.map_err(query_invalid)?;
    show(&exporter, &asking, Some(project), move |view| {
        let project = view.project()?;
        let of_branch = Some(branch.as_str()).filter(|branch| !branch.is_empty());
        let query = RunQuery {
            branch: of_branch.map(str::to_owned),
            before: before.map(i64::from),
            // One more than is shown tells whether there is an older page.
            limit: PAGE + 1,
        };
        let mut runs = view.reader.runs(project, &query)?;
        if let (Some(before), true) = (before, runs.is_empty()) {
            return Err(StoreError::Unknown { what: format!("run before {before}") });
        }
        let here = address::below(project, "runs");
        let has_older = runs.len() > PAGE;
        runs.truncate(PAGE);
        let last = runs.last().map(|run| run.id.to_string()).filter(|_| has_older);
        let mut branches: Vec<String> =
            view.reader.branches(project)?.into_iter().filter_map(|one| one.branch).take(BRANCHES).collect();
        if let Some(branch) = of_branch.filter(|branch| !branches.iter().any(|known| known == branch)) {
            branches.push(branch.to_owned());
        }
        Ok(Runs {
            frame: view.frame(format!("Runs of {project}"), Tab::Runs),
            newest: before.map(|_| address::with_query(&here, &[("branch", of_branch)])),
            older: last.map(|last| address::with_query(&here, &[("branch", of_branch), ("before", Some(&last))])),
            runs: runs.iter().map(|run| RunRow::of(project, run)).collect(),
            here,
            branch: words::clipped(&branch, 200),
            branches,
        })
    })
    .await
}
