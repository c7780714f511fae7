//! Does what was planned, in the order in which the objects need each other.

use super::client::{Access, Client};
use super::error::GrafanaError;
use super::observed::observe;
use super::plan::{ApiCall, Object, ProvisionStep, plan, plan_home};
use super::spec::GrafanaSpec;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::Value;
use std::time::{Duration, Instant};

/// What provisioning did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Provisioned {
    /// What was written and what was kept though it differs, with the time each call took.
    pub steps: Vec<(ProvisionStep, Duration)>,
}

/// How often it is tried to bring Grafana where it should be.
const ATTEMPTS: u32 = 5;
/// The pause after the first trouble; it doubles each time.
const PAUSE: Duration = Duration::from_millis(100);

/// Observes, plans and applies. After an answer that passes, or where somebody else wrote at the same time, it
/// looks again and decides anew: it never overwrites what it has not read, and never writes twice.
///
/// # Errors
/// When Grafana refuses, or still does not answer, fails or contradicts itself after some attempts.
pub async fn provision(client: &Client, spec: &GrafanaSpec) -> Result<Provisioned, GrafanaError> {
    let mut done = Provisioned::default();
    let mut wants_home = false;
    let mut pause = PAUSE;
    for _ in 1..ATTEMPTS {
        match attempt(client, spec, &mut wants_home, &mut done).await {
            Err(error) if may_pass(&error) => tokio::time::sleep(pause).await,
            outcome => return outcome.map(|()| done),
        }
        pause *= 2;
    }
    attempt(client, spec, &mut wants_home, &mut done).await.map(|()| done)
}

fn may_pass(error: &GrafanaError) -> bool {
    error.is_retryable() || error.is_conflict() || matches!(error, GrafanaError::Unreadable { .. })
}

/// One attempt. That a home page was due stays in mind: the attempt that made its dashboard may have ended before it.
async fn attempt(
    client: &Client,
    spec: &GrafanaSpec,
    wants_home: &mut bool,
    done: &mut Provisioned,
) -> Result<(), GrafanaError> {
    let observed = observe(client, spec).await?;
    let mut steps = plan(spec, &observed);
    let has_home = steps.iter().any(|step| step.object == Object::HomePage);
    if *wants_home && !has_home {
        steps.extend(plan_home(spec, &observed));
    }
    *wants_home |= has_home;
    apply(client, steps, done).await
}

/// Makes the planned calls: data source and folder at once, then the dashboards, then the home page. What was
/// done is added to `done`, also where another call fails.
///
/// # Errors
/// The first call that fails; calls that were made beside it are finished.
pub async fn apply(client: &Client, steps: Vec<ProvisionStep>, done: &mut Provisioned) -> Result<(), GrafanaError> {
    for rank in 0..=2 {
        let due = steps.iter().filter(|step| rank_of(&step.object) == rank);
        let (mut outcome, applied) = (Ok(()), join_all(due.map(|step| apply_step(client, step))).await);
        for applied in applied {
            match applied {
                // What is kept is found again by each attempt.
                Ok((step, _)) if done.steps.iter().any(|(known, _)| *known == step) => {}
                Ok(applied) => done.steps.push(applied),
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome?;
    }
    Ok(())
}

fn rank_of(object: &Object) -> u8 {
    match object {
        Object::DataSource(_) | Object::Folder(_) => 0,
        Object::Dashboard(_) => 1,
        Object::HomePage => 2,
    }
}

/// The checkpoint after an object was written.
fn place(object: &Object) -> &'static str {
    match object {
        Object::DataSource(_) => "grafana:data-source",
        Object::Folder(_) => "grafana:folder",
        Object::Dashboard(_) => "grafana:dashboard",
        Object::HomePage => "grafana:home-page",
    }
}

async fn apply_step(client: &Client, step: &ProvisionStep) -> Result<(ProvisionStep, Duration), GrafanaError> {
    let started = Instant::now();
    let mut done = step.clone();
    if let Some(ApiCall { method, path, body }) = &step.call {
        let method = match *method {
            "PUT" => Method::PUT,
            "PATCH" => Method::PATCH,
            _ => Method::POST,
        };
        match client.call(method.clone(), path, Some(body), Access::LoggedIn).await {
            Err(error) if error.is_title_taken() => {
                let Some((title, body)) = with_a_title_of_its_own(&step.object, body) else { return Err(error) };
                client.call(method, path, Some(&body), Access::LoggedIn).await?;
                done.reason = format!("{}; its title is taken, so that it is called {title:?}", step.reason);
            }
            outcome => drop(outcome?),
        }
        crate::checkpoint::reached(place(&step.object)).await;
    }
    Ok((done, started.elapsed()))
}

/// The body of a call with the uid in the title. The title is for people, the uid is what counts: so both can stay.
fn with_a_title_of_its_own(object: &Object, body: &Value) -> Option<(String, Value)> {
    let mut body = body.clone();
    let (uid, of) = match object {
        Object::Folder(uid) => (uid, &mut body),
        Object::Dashboard(uid) => (uid, &mut body["dashboard"]),
        Object::DataSource(_) | Object::HomePage => return None,
    };
    let title = format!("{} ({uid})", of["title"].as_str()?);
    of["title"] = Value::String(title.clone());
    Some((title, body))
}
