//! `doctor`: everything that keeps a stack from running well, looked at side by side, each thing with its fix.
//!
//! It looks and never changes anything. Grafana's login is tried once, and what needs it is left out after a refusal.

mod bundle;
mod embedded;
mod engine;
mod machine;
mod redact;
mod services;

pub use bundle::{Bundle, Evidence, Format};
pub use embedded::examine as examine_embedded;
pub use machine::state_directory;
pub use redact::Redactor;

use super::{Credentials, secrets};
use crate::engine::Engine;
use crate::secret::Secret;
use crate::settings::StackSettings;
use crate::stack::{Names, Observed, SecretFile, Service};
use futures_util::future::{join_all, join3};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, and may not go on so.
    Warn,
    /// It keeps the stack from working.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at, in a word or two.
    pub name: String,
    /// How it stands.
    pub verdict: Verdict,
    /// What was found.
    pub message: String,
    /// What to do about it; none where nothing has to be done.
    pub fix: Option<String>,
}

impl Check {
    /// A thing that is as it should be.
    pub fn ok(name: impl Into<String>, message: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Ok, message: message.into(), fix: None }
    }

    /// A thing that works, and may not go on so.
    pub fn warn(name: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Warn, message: message.into(), fix: Some(fix.into()) }
    }

    /// A thing that keeps the stack from working.
    pub fn fail(name: impl Into<String>, message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name: name.into(), verdict: Verdict::Fail, message: message.into(), fix: Some(fix.into()) }
    }

    /// A thing that could not be looked at, with the error's own hint as the fix.
    pub fn error(name: impl Into<String>, error: &crate::error::Error) -> Self {
        let fix = error.hint_text().unwrap_or("Run qastack doctor --bundle FILE and report it.");
        Self::fail(name, error.message(), fix)
    }
}

/// Looks at this machine, the engine and the project on it.
pub async fn examine<E: Engine>(
    engine: &E,
    settings: &StackSettings,
    credentials: &Credentials,
    state_directory: &Path,
) -> Vec<Check> {
    let names = Names::new(&settings.project);
    let references = named_images(settings);
    let asked: Vec<&str> = references.iter().map(String::as_str).collect();
    let looked = engine.observe(&names, &asked).await;
    let mut checks = machine::state_directory(state_directory, &settings.project);
    let observed = match looked {
        Ok(observed) => observed,
        Err(error) => {
            checks.push(Check::error("engine", &error));
            return checks;
        }
    };
    let secrets = secrets_of(engine, settings, &observed).await;
    let kept = secrets.get(&SecretFile::GrafanaPassword);
    let (host, ports, services) = join3(
        engine::examine(engine, settings, &names, &observed),
        machine::ports(engine, settings, &observed),
        services::examine(engine, settings, &observed, credentials, &secrets),
    )
    .await;
    checks.splice(0..0, host);
    checks.extend(ports);
    checks.extend(machine::login(engine.info(), settings, credentials.is_default(kept)));
    checks.extend(services);
    checks
}

/// The secrets in the volumes of the services that are there.
pub(crate) async fn secrets_of<E: Engine>(
    engine: &E,
    settings: &StackSettings,
    observed: &Observed,
) -> BTreeMap<SecretFile, Secret> {
    let there =
        Service::ALL.into_iter().filter_map(|service| Some((service, observed.container(&settings.project, service)?)));
    let read = there.map(|(service, container)| secrets::read(engine, &container.id, service));
    join_all(read).await.into_iter().flatten().flatten().collect()
}

/// The images that the settings name; the one that is built has none.
fn named_images(settings: &StackSettings) -> Vec<String> {
    let images = &settings.images;
    let all = [&images.test_metrics, &images.prometheus, &images.grafana];
    all.into_iter().filter(|image| *image != crate::settings::BUILD).map(|image| images.resolved(image)).collect()
}

/// Where the settings publish a service.
fn published(settings: &StackSettings, service: Service) -> crate::settings::Published {
    match service {
        Service::TestMetrics => settings.ports.test_metrics,
        Service::Prometheus => settings.ports.prometheus,
        Service::Grafana => settings.ports.grafana,
    }
}

/// A size as people read it.
fn bytes(count: u64) -> String {
    let gibibytes = count as f64 / f64::from(1 << 30);
    if gibibytes >= 1.0 {
        format!("{gibibytes:.1} GiB")
    } else {
        format!("{:.0} MiB", count as f64 / f64::from(1 << 20))
    }
}
