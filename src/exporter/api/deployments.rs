//! `POST /api/v1/projects/{project}/deployments`: what went where, and whether it failed.

use super::{project_key, refused_by_store, small_json};
use crate::exporter::Exporter;
use crate::exporter::problem::Problem;
use crate::store::{Deployment, Scope};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;

/// A deployment as it is sent; without a time it is now.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sent {
    key: String,
    #[serde(default)]
    environment: String,
    #[serde(default)]
    version: String,
    commit: Option<String>,
    /// In seconds since 1970.
    at: Option<i64>,
    #[serde(default)]
    failed: bool,
}

/// Takes one deployment; the same key again replaces it.
pub async fn record(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let project = project_key(project)?;
    exporter.authorize(&headers, Scope::Ingest, Some(&project))?;
    let store = exporter.store()?;
    let Sent { key, environment, version, commit, at, failed } = small_json(&exporter, &headers, body).await?;
    let now = exporter.now();
    let at = at.unwrap_or(now);
    // A clock that is a day wrong is a clock; one that is wrong by more writes milliseconds, or dreams.
    if key.trim().is_empty() || key.len() > 200 || !(0..=now + 86_400).contains(&at) {
        let detail = "key has to be 1 to 200 bytes, and at the seconds since 1970 of a moment that has been";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "deployment_invalid", detail));
    }
    let deployment = Deployment { key: key.clone(), environment, version, commit, at, failed };
    store.record_deployment(&project, deployment, now).await.map_err(refused_by_store)?;
    exporter.real_input_arrived();
    Ok((StatusCode::CREATED, Json(json!({ "project": project, "key": key, "at": at, "failed": failed }))))
}
