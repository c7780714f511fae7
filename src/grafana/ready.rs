//! Waits until Grafana can be configured: it answers, its database works, the login is right, and the
//! Prometheus plugin is loaded.
//!
//! It has no time-out of its own: who calls it races it against a deadline and against the container's death.

use super::client::{Access, Client};
use super::error::GrafanaError;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use std::future::Future;
use std::time::Duration;

/// A Grafana that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// Its version, unless it is set to hide it.
    pub version: Option<String>,
}

/// Waits until Grafana can be configured, asking every `poll`. `waiting` is told why it is not ready yet.
///
/// # Errors
/// A refused password at once and after one attempt, since five would lock the user out; an answer that
/// waiting does not mend, such as a missing permission.
pub async fn wait_ready(
    client: &Client,
    poll: Duration,
    mut waiting: impl FnMut(&GrafanaError),
) -> Result<Ready, GrafanaError> {
    // A page of a proxy, or half an answer, comes from something that is still starting.
    let starting = |error: &GrafanaError| !matches!(error, GrafanaError::PasswordRefused { .. });
    let health = retry(poll, &mut waiting, starting, || health(client)).await?;
    let passing = |error: &GrafanaError| error.is_retryable() || matches!(error, GrafanaError::Unreadable { .. });
    retry(poll, &mut waiting, passing, || check_login(client)).await?;
    // The Prometheus data source is a plugin process of its own since 13.2: absent until it has started.
    let loading = |error: &GrafanaError| passing(error) || error.is_not_found();
    retry(poll, &mut waiting, loading, || client.get("/api/plugins/prometheus/settings")).await?;
    Ok(Ready { version: health.get("version").and_then(Value::as_str).map(str::to_owned) })
}

/// One call with the login. Many calls at once with a wrong password would lock the user out, so this one goes first.
///
/// # Errors
/// A refused password, or a Grafana that does not answer.
pub async fn check_login(client: &Client) -> Result<(), GrafanaError> {
    client.get("/api/org").await.map(drop)
}

/// Its version, unless it is set to hide it. Needs no login.
///
/// # Errors
/// It does not answer, or its database does not work.
pub async fn version(client: &Client) -> Result<Option<String>, GrafanaError> {
    Ok(health(client).await?.get("version").and_then(Value::as_str).map(str::to_owned))
}

async fn health(client: &Client) -> Result<Value, GrafanaError> {
    let answer = client.call(Method::GET, "/api/health", None, Access::Anonymous).await?;
    if answer.body.get("database").and_then(Value::as_str) == Some("ok") {
        return Ok(answer.body);
    }
    Err(GrafanaError::Status {
        call: format!("GET {}", client.url("/api/health")),
        status: StatusCode::SERVICE_UNAVAILABLE,
        message: format!("its database is not ready: {}", answer.body),
        access_denied: false,
    })
}

async fn retry<T, F: Future<Output = Result<T, GrafanaError>>>(
    poll: Duration,
    waiting: &mut impl FnMut(&GrafanaError),
    worth_waiting: impl Fn(&GrafanaError) -> bool,
    attempt: impl Fn() -> F,
) -> Result<T, GrafanaError> {
    loop {
        match attempt().await {
            Err(error) if worth_waiting(&error) => waiting(&error),
            outcome => return outcome,
        }
        tokio::time::sleep(poll).await;
    }
}
