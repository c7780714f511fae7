//! Which path leads where.

use super::api::{defects, deployments, figures, history, reports, store, tokens};
use super::{Exporter, access, answers, guard, health, metrics, page};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use std::sync::Arc;

/// Every route, behind the guard.
pub fn router(exporter: Arc<Exporter>) -> Router {
    Router::new()
        .route("/", get(page::index))
        .route("/badge/{badge}", get(page::badge))
        .route("/metrics", get(metrics::metrics))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/api/v1/figures", get(figures::of_all))
        .route("/api/v1/figures/{figure}", get(figures::explain_of_all))
        .route("/api/v1/projects", get(history::projects))
        .route("/api/v1/projects/{project}/branches", get(history::branches))
        .route("/api/v1/projects/{project}/defects", get(history::defects).post(defects::upload))
        .route("/api/v1/projects/{project}/deployments", post(deployments::record))
        .route("/api/v1/projects/{project}/figures", get(figures::of_project))
        .route("/api/v1/projects/{project}/figures/{figure}", get(figures::explain_of_project))
        .route("/api/v1/projects/{project}/flaky", get(history::flaky))
        .route("/api/v1/projects/{project}/reports", post(reports::upload))
        .route("/api/v1/projects/{project}/runs", get(history::runs))
        .route("/api/v1/projects/{project}/runs/{run}", get(history::run))
        .route("/api/v1/projects/{project}/tests", get(history::tests))
        .route("/api/v1/projects/{project}/tests/{fingerprint}", get(history::test))
        .route("/api/v1/store", get(store::copy).put(store::replace))
        .route("/api/v1/tokens", get(tokens::list).post(tokens::create))
        .route("/api/v1/tokens/{token}", delete(tokens::revoke))
        .merge(page::routes())
        .fallback(answers::not_found)
        .method_not_allowed_fallback(answers::method_not_allowed)
        // Bodies are read with limits of our own.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&exporter), around))
        .with_state(exporter)
}

/// What is answered to whoever speaks plainly where TLS is spoken: that it is, and to this machine's own health check
/// that the process lives.
pub fn plain_at_tls() -> Router {
    Router::new()
        .route("/healthz", get(health::healthz_from_here))
        .fallback(async || health::https_needed())
        .layer(from_fn(async |request, next: Next| answers::finish(request, |request| next.run(request)).await))
}

/// What stands around every route: one layer, since each costs every request.
async fn around(State(exporter): State<Arc<Exporter>>, request: Request, next: Next) -> Response {
    let mut response = answers::finish(request, |request| let_in(&exporter, request, next)).await;
    if let Some(web) = exporter.web() {
        for (name, value) in &web.in_force().headers {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

async fn let_in(exporter: &Exporter, request: Request, next: Next) -> Response {
    match guard::admit(&request, &exporter.in_force().settings.allowed_hosts) {
        Ok(()) => let_users_in(exporter, request, next).await,
        Err(problem) => problem.into_response(),
    }
}

/// Where the port has users, only they come in, and holders of a token. This machine's health check is neither.
async fn let_users_in(exporter: &Exporter, request: Request, next: Next) -> Response {
    let Some(web) = exporter.web() else { return next.run(request).await };
    let in_force = web.in_force();
    let is_health_check = request.uri().path() == "/healthz" && guard::is_from_here(&request);
    if in_force.users.is_empty() || is_health_check {
        return next.run(request).await;
    }
    let is_known = match access::user(request.headers()) {
        Some((user, password)) => in_force.users.know(&user, &password).await,
        None => exporter.knows_token(request.headers()),
    };
    match is_known {
        true => next.run(request).await,
        false => access::user_needed().into_response(),
    }
}
