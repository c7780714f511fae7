//! The figures, each with what it is made of, and why a figure is what it is.

use super::{ListQuery, project_key, refused_by_store};
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::quality::{Figure, FigureName, LeakageDenominator, Unit};
use crate::store::Explanation;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Figures, and what they are about.
#[derive(Debug, Serialize)]
pub struct FiguresAnswer {
    /// The project; nothing for all of them together.
    project: Option<String>,
    /// The branch; nothing for all that count.
    branch: Option<String>,
    /// Whether they are the sample's, which no gate passes on.
    sample: bool,
    /// The version of the rules they follow.
    rules_version: String,
    /// What the leakage is a share of: only as a share of all valid defects it ends at 1.
    leakage_denominator: LeakageDenominator,
    figures: Vec<FigureAnswer>,
}

#[derive(Debug, Serialize)]
struct FigureAnswer {
    #[serde(flatten)]
    figure: Figure,
    unit: Unit,
    definition: &'static str,
}

impl From<&Figure> for FigureAnswer {
    fn from(figure: &Figure) -> Self {
        Self { figure: *figure, unit: figure.name.unit(), definition: figure.name.definition() }
    }
}

/// Which branch is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BranchQuery {
    branch: Option<String>,
}

/// `GET /api/v1/figures`: of all projects together.
pub async fn of_all(State(exporter): State<Arc<Exporter>>, asking: Asking) -> Result<Json<FiguresAnswer>, Problem> {
    exporter.authorize_reading(&asking, None)?;
    exporter.store()?;
    let shown = exporter.shown().await;
    let figures = shown.figures(exporter.now()).ok_or_else(Exporter::starting)?;
    Ok(Json(FiguresAnswer {
        project: None,
        branch: None,
        sample: shown.sample,
        rules_version: shown.rules_version(),
        leakage_denominator: shown.leakage_denominator(),
        figures: figures.iter().map(FigureAnswer::from).collect(),
    }))
}

/// `GET /api/v1/projects/{project}/figures`: of one project, or of one of its branches.
pub async fn of_project(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<BranchQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Json<FiguresAnswer>, Problem> {
    let project = project_key(project)?;
    exporter.authorize_reading(&asking, Some(&project))?;
    let Query(BranchQuery { branch }) = query.map_err(super::query_invalid)?;
    let shown = exporter.shown().await;
    let store = shown.store()?;
    let now = exporter.now();
    let figures = match &branch {
        None => {
            let figures = store.snapshot().project_figures(&project, now).ok_or_else(|| unknown_project(&project))?;
            figures.iter().map(FigureAnswer::from).collect()
        }
        Some(branch) => {
            let (key, branch) = (project.clone(), branch.clone());
            let figures = store.read(move |reader| reader.branch_figures(&key, &branch, now)).await;
            figures.map_err(refused_by_store)?.iter().map(FigureAnswer::from).collect()
        }
    };
    let (sample, rules_version, leakage_denominator) =
        (shown.sample, shown.rules_version(), shown.leakage_denominator());
    Ok(Json(FiguresAnswer { project: Some(project), branch, sample, rules_version, leakage_denominator, figures }))
}

/// A figure, explained.
#[derive(Debug, Serialize)]
pub struct ExplanationAnswer {
    project: Option<String>,
    sample: bool,
    #[serde(flatten)]
    explanation: Explanation,
}

/// `GET /api/v1/figures/{figure}`.
pub async fn explain_of_all(
    State(exporter): State<Arc<Exporter>>,
    Path(figure): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Json<ExplanationAnswer>, Problem> {
    explain(exporter, None, figure, query, asking).await
}

/// `GET /api/v1/projects/{project}/figures/{figure}`.
pub async fn explain_of_project(
    State(exporter): State<Arc<Exporter>>,
    Path((project, figure)): Path<(String, String)>,
    query: Result<Query<ListQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Json<ExplanationAnswer>, Problem> {
    explain(exporter, Some(project_key(project)?), figure, query, asking).await
}

async fn explain(
    exporter: Arc<Exporter>,
    project: Option<String>,
    figure: String,
    query: Result<Query<ListQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Json<ExplanationAnswer>, Problem> {
    exporter.authorize_reading(&asking, project.as_deref())?;
    let limit = query.map_err(super::query_invalid)?.limit()?;
    let name = named(&figure)?;
    let shown = exporter.shown().await;
    let (now, key) = (exporter.now(), project.clone());
    let explanation = shown
        .store()?
        .read(move |reader| reader.explain(name, key.as_deref(), now, limit))
        .await
        .map_err(refused_by_store)?;
    Ok(Json(ExplanationAnswer { project, sample: shown.sample, explanation }))
}

/// The figure that an address names.
///
/// # Errors
/// 404, with the one that was probably meant.
pub(in crate::exporter) fn named(word: &str) -> Result<FigureName, Problem> {
    FigureName::meant(word).map_err(|unknown| {
        Problem::new(StatusCode::NOT_FOUND, "figure_unknown", unknown.to_string()).hint(unknown.hint())
    })
}

pub(in crate::exporter) fn unknown_project(project: &str) -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown", format!("there is no project {project:?}"))
        .hint("A project begins to exist with the first report or defect list that is pushed to it.")
}
