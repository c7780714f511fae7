//! What was taken in, for people and for CI: projects, runs, tests, defects.

use super::{ListQuery, project_key, query_invalid, refused_by_store};
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::reports::TestIdentity;
use crate::store::{
    BranchSummary, ClassifiedDefect, ProjectSummary, Ranking, Reader, RunDetail, RunQuery, RunSummary, StoreError,
    TestHistory, TestSummary,
};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use std::sync::Arc;

type Listed<T> = Result<Json<Vec<T>>, Problem>;

/// `GET /api/v1/projects`.
pub async fn projects(State(exporter): State<Arc<Exporter>>, asking: Asking) -> Listed<ProjectSummary> {
    exporter.authorize_reading(&asking, None)?;
    exporter.shown().await.store()?.read(|reader| reader.projects()).await.map(Json).map_err(refused_by_store)
}

/// `GET /api/v1/projects/{project}/branches`.
pub async fn branches(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    asking: Asking,
) -> Listed<BranchSummary> {
    ask(&exporter, project, &asking, |reader, project, _| reader.branches(project)).await
}

/// Which runs are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunsQuery {
    branch: Option<String>,
    before: Option<i64>,
    limit: Option<usize>,
}

/// `GET /api/v1/projects/{project}/runs`, newest first.
pub async fn runs(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<RunsQuery>, QueryRejection>,
    asking: Asking,
) -> Listed<RunSummary> {
    let Query(RunsQuery { branch, before, limit }) = query.map_err(query_invalid)?;
    let limit = ListQuery { limit }.limit()?;
    let query = RunQuery { branch, before, limit };
    ask(&exporter, project, &asking, move |reader, project, _| reader.runs(project, &query)).await
}

/// `GET /api/v1/projects/{project}/runs/{run}`.
pub async fn run(
    State(exporter): State<Arc<Exporter>>,
    Path((project, run)): Path<(String, String)>,
    asking: Asking,
) -> Result<Json<RunDetail>, Problem> {
    let run: i64 = run.parse().map_err(|_| Problem::new(StatusCode::NOT_FOUND, "unknown", "a run is a number"))?;
    ask(&exporter, project, &asking, move |reader, project, _| reader.run(project, run)).await
}

/// Which tests are asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestsQuery {
    /// A part of the name.
    #[serde(default)]
    q: String,
    /// `flaky`, `broken` or `slowest`; without it, by name.
    ranking: Option<RankingWord>,
    limit: Option<usize>,
}

/// The part of a ranking in which a name is looked for.
const RANKED: usize = 1000;

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RankingWord {
    Flaky,
    Broken,
    Slowest,
}

/// `GET /api/v1/projects/{project}/tests`.
pub async fn tests(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<TestsQuery>, QueryRejection>,
    asking: Asking,
) -> Listed<TestSummary> {
    let Query(TestsQuery { q, ranking, limit }) = query.map_err(query_invalid)?;
    let limit = ListQuery { limit }.limit()?;
    let ranking = ranking.map(|word| match word {
        RankingWord::Flaky => Ranking::Flaky,
        RankingWord::Broken => Ranking::Broken,
        RankingWord::Slowest => Ranking::Slowest,
    });
    ask(&exporter, project, &asking, move |reader, project, now| match ranking {
        Some(ranking) if q.is_empty() => reader.ranked(project, ranking, now, limit),
        Some(ranking) => {
            let mut ranked = reader.ranked(project, ranking, now, RANKED)?;
            ranked.retain(|summary| says(&summary.test, &q.to_lowercase()));
            ranked.truncate(limit);
            Ok(ranked)
        }
        None => reader.tests(project, &q, now, None, limit),
    })
    .await
}

/// Whether the text, in lower case, stands in one of the names of a test.
fn says(test: &TestIdentity, text: &str) -> bool {
    let names = [&test.name, &test.class, &test.suite].into_iter().chain(&test.file);
    names.into_iter().any(|name| name.to_lowercase().contains(text))
}

/// `GET /api/v1/projects/{project}/flaky`: the flaky tests, the most certain ones first.
pub async fn flaky(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
    asking: Asking,
) -> Listed<TestSummary> {
    let limit = query.map_err(query_invalid)?.limit()?;
    ask(&exporter, project, &asking, move |reader, project, now| reader.ranked(project, Ranking::Flaky, now, limit))
        .await
}

/// `GET /api/v1/projects/{project}/tests/{fingerprint}`: one test and its history.
pub async fn test(
    State(exporter): State<Arc<Exporter>>,
    Path((project, fingerprint)): Path<(String, String)>,
    query: Result<Query<ListQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Json<TestHistory>, Problem> {
    let limit = query.map_err(query_invalid)?.limit()?;
    ask(&exporter, project, &asking, move |reader, project, now| reader.history(project, &fingerprint, now, limit))
        .await
}

/// `GET /api/v1/projects/{project}/defects`: each with what the rules make of it.
pub async fn defects(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    query: Result<Query<ListQuery>, QueryRejection>,
    asking: Asking,
) -> Listed<ClassifiedDefect> {
    let limit = query.map_err(query_invalid)?.limit()?;
    ask(&exporter, project, &asking, move |reader, project, _| reader.defects(project, limit)).await
}

/// Asks the store that is shown about a project, beside the writer.
async fn ask<T: Send + 'static>(
    exporter: &Exporter,
    project: String,
    asking: &Asking,
    question: impl FnOnce(&Reader<'_>, &str, i64) -> Result<T, StoreError> + Send + 'static,
) -> Result<Json<T>, Problem> {
    let project = project_key(project)?;
    exporter.authorize_reading(asking, Some(&project))?;
    let (shown, now) = (exporter.shown().await, exporter.now());
    let answer = shown.store()?.read(move |reader| question(reader, &project, now)).await;
    answer.map(Json).map_err(refused_by_store)
}
