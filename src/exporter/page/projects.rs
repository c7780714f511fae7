//! All projects, each with its two figures.

use super::frame::{Frame, Tab};
use super::overview::ProjectRow;
use super::view::show;
use super::words;
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

/// Projects of a page.
const PAGE: usize = 100;

/// Which projects are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProjectsQuery {
    #[serde(default)]
    after: String,
}

#[derive(Template)]
#[template(path = "page/projects.html")]
struct Projects {
    frame: Frame,
    all: String,
    projects: Vec<ProjectRow>,
    first: Option<String>,
    next: Option<String>,
}

/// `GET /projects`.
pub async fn list(
    State(exporter): State<Arc<Exporter>>,
    query: Result<Query<ProjectsQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let Query(ProjectsQuery { after }) = query.map_err(query_invalid)?;
    show(&exporter, &asking, None, move |view| {
        let known = &view.snapshot.projects;
        let mut chosen = known.values().filter(|one| one.key > after);
        let projects: Vec<ProjectRow> = chosen.by_ref().take(PAGE).map(|one| ProjectRow::of(one, view)).collect();
        if projects.is_empty() && !after.is_empty() {
            return Err(StoreError::Unknown { what: "further project".to_owned() });
        }
        let last = projects.last().map(|one| one.key.clone()).filter(|_| chosen.next().is_some());
        Ok(Projects {
            frame: view.frame("Projects", Tab::Projects),
            all: words::counted(known.len() as u64, "project", "projects"),
            first: (!after.is_empty()).then(|| "/projects".to_owned()),
            next: last.map(|last| super::address::with_query("/projects", &[("after", Some(&last))])),
            projects,
        })
    })
    .await
}
