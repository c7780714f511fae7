//! Whether the process lives, and whether it can do its work.

use super::problem::Problem;
use super::{Exporter, guard};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use std::sync::Arc;

/// `GET /healthz`: the process answers. It looks at nothing else, so that a full disk does not restart it for ever.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /healthz` in plain words where TLS is spoken: this machine's health check has no certificates to check.
///
/// # Errors
/// 400 for everybody else.
pub async fn healthz_from_here(request: Request) -> Result<&'static str, Problem> {
    match guard::is_from_here(&request) {
        true => Ok(healthz().await),
        false => Err(https_needed()),
    }
}

/// The answer to plain words where TLS is spoken.
pub fn https_needed() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "https_needed", "this port speaks HTTPS, and the request came in plain HTTP")
        .hint("Write https:// in the address.")
}

/// `GET /readyz`: the store is open. Names the version, and the hash of the settings in force, so that whoever
/// changed them sees when they hold.
pub async fn readyz(State(exporter): State<Arc<Exporter>>) -> Response {
    let in_force = exporter.in_force();
    let store = exporter.open_store();
    let document = json!({
        "status": if store.is_some() { "ready" } else { "starting" },
        "version": env!("CARGO_PKG_VERSION"),
        "config_sha256": in_force.sha256,
        "config_error": in_force.reload_error,
        "rules_version": in_force.rules_version,
        "rules_version_served": store.as_ref().map(|store| store.snapshot().rules.version.clone()),
        "durable": exporter.is_durable(),
        "sample": exporter.shown().await.sample,
    });
    let status = if store.is_some() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(document)).into_response()
}
