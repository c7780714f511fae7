//! Does what was planned, in the order in which the objects need each other.

use super::client::{Access, Client};
use super::error::GrafanaError;
use super::observed::observe;
use super::plan::{ApiCall, Object, ProvisionStep, plan};
use super::spec::GrafanaSpec;
use futures_util::future::join_all;
use reqwest::Method;
use std::time::{Duration, Instant};

/// What provisioning did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provisioned {
    /// What was written and what was kept though it differs, with the time each call took.
    pub steps: Vec<(ProvisionStep, Duration)>,
}

/// Observes, plans and applies. Where somebody else writes at the same time, it looks once more and decides
/// anew: it never overwrites what it has not read.
///
/// # Errors
/// When Grafana does not answer, refuses or fails; a second conflict.
pub async fn provision(client: &Client, spec: &GrafanaSpec) -> Result<Provisioned, GrafanaError> {
    let first = apply(client, plan(spec, &observe(client, spec).await?)).await;
    match first {
        Err(error) if error.is_conflict() => apply(client, plan(spec, &observe(client, spec).await?)).await,
        outcome => outcome,
    }
}

/// Makes the planned calls: data source and folder at once, then the dashboards, then the home page.
///
/// # Errors
/// The first call that fails; calls that were made beside it are finished.
pub async fn apply(client: &Client, steps: Vec<ProvisionStep>) -> Result<Provisioned, GrafanaError> {
    let mut done = Provisioned::default();
    for rank in 0..=2 {
        let due = steps.iter().filter(|step| rank_of(&step.object) == rank);
        for applied in join_all(due.map(|step| apply_step(client, step))).await {
            done.steps.push(applied?);
        }
    }
    Ok(done)
}

fn rank_of(object: &Object) -> u8 {
    match object {
        Object::DataSource(_) | Object::Folder(_) => 0,
        Object::Dashboard(_) => 1,
        Object::HomePage => 2,
    }
}

async fn apply_step(client: &Client, step: &ProvisionStep) -> Result<(ProvisionStep, Duration), GrafanaError> {
    let started = Instant::now();
    if let Some(ApiCall { method, path, body }) = &step.call {
        let method = match *method {
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => Method::POST,
        };
        client.call(method, path, Some(body), Access::LoggedIn).await?;
    }
    Ok((step.clone(), started.elapsed()))
}
