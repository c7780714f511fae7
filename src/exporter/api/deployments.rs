//! `POST /api/v1/projects/{project}/deployments`: what went where, and whether it failed.

use super::{LATEST, project_key, refused_by_store, small_json};
use crate::exporter::Exporter;
use crate::exporter::problem::Problem;
use crate::store::Deployment;
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
    /// In seconds since 1970; JSON knows no difference between 1 and 1.0.
    at: Option<f64>,
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
    exporter.authorize_upload(&headers, &project)?;
    let store = exporter.store()?;
    let Sent { key, environment, version, commit, at, failed } = small_json(&exporter, &headers, body).await?;
    let now = exporter.now();
    let invalid = |detail| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "deployment_invalid", detail);
    if key.trim().is_empty() || key.chars().count() > 200 {
        return Err(invalid("key has to be 1 to 200 characters, not only spaces"));
    }
    let at = match at {
        None => now,
        // What is not here yet cannot have happened, whatever another computer's clock says.
        Some(at) if at.fract() == 0.0 && (0.0..=LATEST as f64).contains(&at) => (at as i64).min(now),
        Some(_) => return Err(invalid("at has to be whole seconds since 1970, not milliseconds")),
    };
    let deployment = Deployment { key: key.clone(), environment, version, commit, at, failed };
    store.record_deployment(&project, deployment, now).await.map_err(refused_by_store)?;
    exporter.real_input_arrived();
    Ok((StatusCode::CREATED, Json(json!({ "project": project, "key": key, "at": at, "failed": failed }))))
}
