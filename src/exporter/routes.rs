//! Which path leads where.

use super::api::{defects, deployments, figures, history, reports, store, tokens};
use super::{Exporter, access, answers, guard, health, metrics, page};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;

/// Who answers. What stands around every route is called here and is no layer of the router, which would copy and
/// box itself for each request.
#[derive(Debug)]
pub struct Routes {
    exporter: Arc<Exporter>,
    usual: TowerToHyperService<Router>,
    plain_at_tls: TowerToHyperService<Router>,
}

impl Routes {
    /// All routes.
    pub fn new(exporter: Arc<Exporter>) -> Self {
        let usual = TowerToHyperService::new(router(Arc::clone(&exporter)));
        Self { exporter, usual, plain_at_tls: TowerToHyperService::new(plain_at_tls()) }
    }

    /// Answers everybody.
    pub async fn answer(&self, request: Request) -> Response {
        let mut response = answers::finish(request, |request| self.let_in(request)).await;
        if let Some(web) = self.exporter.web() {
            for (name, value) in &web.in_force().headers {
                response.headers_mut().insert(name, value.clone());
            }
        }
        response
    }

    /// Answers whoever speaks plainly where TLS is spoken.
    pub async fn answer_plain_at_tls(&self, request: Request) -> Response {
        answers::finish(request, |request| ask(&self.plain_at_tls, request)).await
    }

    async fn let_in(&self, request: Request) -> Response {
        match guard::admit(&request, &self.exporter.in_force().settings.allowed_hosts) {
            Ok(()) => self.let_users_in(request).await,
            Err(problem) => problem.into_response(),
        }
    }

    /// Where the port has users, only they come in, and holders of a token. This machine's health check is neither.
    async fn let_users_in(&self, request: Request) -> Response {
        let Some(web) = self.exporter.web() else { return ask(&self.usual, request).await };
        let in_force = web.in_force();
        let is_health_check = request.uri().path() == "/healthz" && guard::is_from_here(&request);
        if in_force.users.is_empty() || is_health_check {
            return ask(&self.usual, request).await;
        }
        let is_known = match access::user(request.headers()) {
            Some((user, password)) => in_force.users.know(&user, &password).await,
            None => self.exporter.knows_token(request.headers()),
        };
        match is_known {
            true => ask(&self.usual, request).await,
            false => access::user_needed().into_response(),
        }
    }
}

async fn ask(router: &TowerToHyperService<Router>, request: Request) -> Response {
    match router.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

fn router(exporter: Arc<Exporter>) -> Router {
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
        .with_state(exporter)
}

/// What is answered to whoever speaks plainly where TLS is spoken: that it is, and to this machine's own health check
/// that the process lives.
fn plain_at_tls() -> Router {
    Router::new().route("/healthz", get(health::healthz_from_here)).fallback(async || health::https_needed())
}
