//! `status`: what runs, whether it is well, and what it shows, asked of the engine and of the services themselves.

use super::refusals::Refusals;
use super::{Credentials, Figures, reach, secrets, wait};
use crate::engine::{Engine, EngineInfo};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::{self, DATA_SOURCE_UID, DataSourceHealth};
use crate::prometheus::{self, TargetHealth, TargetState};
use crate::settings::Published;
use crate::stack::{Names, Observed, ObservedContainer, Service, State, why_not_running};
use futures_util::future::join3;
use jiff::Timestamp;
use serde::{Serialize, Serializer};
use std::time::Duration;
use url::Url;

/// How long somebody who looks at the stack waits for one answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// A service as it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServiceStatus {
    /// Its name.
    pub name: &'static str,
    /// The engine's word, or `missing`.
    pub state: &'static str,
    /// `healthy`, `starting`, `unhealthy` or `none`.
    pub health: String,
    /// Where it is reached from here; none where it is on the loopback of another machine.
    pub url: Option<String>,
    /// The image it was made with.
    pub image: Option<String>,
    /// Seconds since it was started.
    pub uptime_seconds: Option<u64>,
    /// Why it does not run.
    pub reason: Option<String>,
}

impl ServiceStatus {
    /// All services; `answers` tells which have answered over HTTP just now.
    pub(super) fn all(
        engine: &EngineInfo,
        observed: &Observed,
        project: &str,
        now: Timestamp,
        answers: impl Fn(Service) -> bool,
    ) -> Vec<Self> {
        Service::ALL
            .into_iter()
            .map(|service| match observed.container(project, service) {
                None => Self::missing(service),
                Some(container) => Self::of(engine, service, container, now, answers(service)),
            })
            .collect()
    }

    fn missing(service: Service) -> Self {
        Self {
            name: service.name(),
            state: "missing",
            health: "none".to_owned(),
            url: None,
            image: None,
            uptime_seconds: None,
            reason: None,
        }
    }

    fn of(engine: &EngineInfo, service: Service, container: &ObservedContainer, now: Timestamp, answers: bool) -> Self {
        let running = container.state == State::Running;
        let started: Option<Timestamp> = container.started_at.as_ref().and_then(|text| text.parse().ok());
        let uptime = started.map(|at| now.duration_since(at).as_secs().max(0).unsigned_abs());
        let health = match container.health.as_deref() {
            _ if !running => "none",
            // The engine looks only every few seconds; a service that answers now has started.
            Some("starting") if answers => "healthy",
            Some(word) => word,
            None => "none",
        };
        let seen = container.published().filter(|published| !reach::is_hidden(engine, *published));
        let url = seen.and_then(|published| reach::direct(engine, published).ok());
        Self {
            name: service.name(),
            state: container.state.word(),
            health: health.to_owned(),
            url: url.map(|url| url.as_str().trim_end_matches('/').to_owned()),
            image: Some(container.image.clone()),
            uptime_seconds: uptime.filter(|_| running),
            reason: (!running).then(|| why_not_running(container)),
        }
    }
}

/// Grafana's data source as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DataSourceStatus {
    /// `ok`, `error` or `missing`.
    pub health: &'static str,
    /// Grafana's words, or why it could not be asked.
    pub message: String,
}

/// Everything `status` shows.
#[derive(Debug, Serialize)]
pub struct StatusReport {
    /// The name of the stack.
    pub project: String,
    /// `docker` or `embedded`.
    pub engine: &'static str,
    /// The services.
    pub services: Vec<ServiceStatus>,
    /// The exporter as Prometheus sees it; none where the engine has no Prometheus.
    pub target: Option<TargetState>,
    /// Grafana's data source; none where the engine has no Grafana.
    pub data_source: Option<DataSourceStatus>,
    /// The current figures; none where the exporter does not answer, which scripts read as figures without a value.
    #[serde(serialize_with = "figures_or_none")]
    pub figures: Option<Figures>,
    /// What is not as it should be, in words.
    #[serde(skip)]
    pub troubles: Vec<String>,
    /// What should be known all the same.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

fn figures_or_none<S: Serializer>(figures: &Option<Figures>, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Unknown {
        flake_rate: Option<f64>,
        defect_leakage: Option<f64>,
        sample: Option<bool>,
    }
    match figures {
        Some(figures) => figures.serialize(serializer),
        None => Unknown { flake_rate: None, defect_leakage: None, sample: None }.serialize(serializer),
    }
}

impl StatusReport {
    /// The error that says what is wrong, if anything is.
    pub fn verdict(&self) -> Option<Error> {
        if self.services.iter().all(|service| service.state == "missing") {
            return Some(Error::new(Code::NotRunning, "the stack is not running").hint("Start it with qastack up."));
        }
        if self.troubles.is_empty() {
            return None;
        }
        Some(Error::new(Code::Degraded, self.troubles.join("; ")).hint("qastack up repairs what it can."))
    }
}

/// Looks at a project; it needs nothing but the engine, so that it tells the truth whatever the settings say.
pub async fn status<E: Engine>(engine: &E, names: &Names, credentials: &Credentials) -> Result<StatusReport> {
    let http = reach::http_client()?;
    let observed = engine.observe_containers(names).await?;
    let project = names.project();
    let running = |service| {
        let container = observed.container(project, service)?;
        (container.state == State::Running).then_some(container)
    };
    let address = |service| {
        let container: &ObservedContainer = running(service)?;
        reach::url(engine, names, service, container.published()?).ok()
    };
    let exporter = async {
        match address(Service::TestMetrics) {
            Some(url) => Figures::ask(&http, &url).await,
            None => None,
        }
    };
    let prometheus = async {
        match address(Service::Prometheus) {
            Some(url) => target(&http, url).await,
            None => (unknown_target(not_asked(&observed, project, Service::Prometheus)), false),
        }
    };
    let grafana = async {
        match (address(Service::Grafana), running(Service::Grafana)) {
            (Some(url), Some(container)) => {
                let refusals = Refusals::of(&super::state_directory(), project);
                data_source(engine, &http, url, container, credentials, &refusals).await
            }
            _ => {
                let message = not_asked(&observed, project, Service::Grafana);
                (DataSourceStatus { health: "error", message }, false)
            }
        }
    };
    let (figures, target, data_source) = join3(exporter, prometheus, grafana).await;
    let answered = |service| match service {
        Service::TestMetrics => figures.is_some(),
        Service::Prometheus => target.1,
        Service::Grafana => data_source.1,
    };
    let services = ServiceStatus::all(engine.info(), &observed, project, Timestamp::now(), answered);
    let published: Vec<Published> =
        observed.containers.iter().filter(|c| c.is_ours(project)).filter_map(ObservedContainer::published).collect();
    let notice = reach::notice(engine.info(), &published);
    let mut report = StatusReport {
        project: project.to_owned(),
        engine: engine.info().kind,
        services,
        target: Some(target.0),
        data_source: Some(data_source.0),
        figures,
        troubles: Vec::new(),
        warnings: notice.into_iter().collect(),
    };
    report.troubles = troubles(&report, &wait::not_running(&observed, project));
    Ok(report)
}

/// The exporter as Prometheus sees it, and whether Prometheus answered at all.
async fn target(http: &reqwest::Client, url: Url) -> (TargetState, bool) {
    let client = prometheus::Client::new(http.clone(), url);
    match client.target_state().await {
        Ok(state) => (state, true),
        Err(error) => {
            let answered = !error.is_retryable();
            (unknown_target(error.to_string()), answered)
        }
    }
}

fn unknown_target(why: String) -> TargetState {
    TargetState { health: TargetHealth::Unknown, last_scrape: None, last_error: Some(why) }
}

/// Why a service could not be asked.
fn not_asked(observed: &Observed, project: &str, service: Service) -> String {
    let not_running = wait::not_running(observed, project).into_iter().find(|(known, _)| *known == service);
    match not_running {
        Some((_, why)) => format!("{service} is not running: {why}"),
        None => format!("the container of {service} does not say where it is published"),
    }
}

/// Grafana's data source, and whether Grafana answered at all. One attempt: a refused password is never tried again.
async fn data_source<E: Engine>(
    engine: &E,
    http: &reqwest::Client,
    url: Url,
    container: &ObservedContainer,
    credentials: &Credentials,
    refusals: &Refusals,
) -> (DataSourceStatus, bool) {
    let kept = secrets::kept_password(engine, &container.id, credentials).await.unwrap_or_default();
    let login = grafana::Login { user: credentials.user.clone(), password: credentials.password(kept.as_ref()) };
    if let Err(error) = refusals.check(&container.id, &login, Timestamp::now()) {
        let message = format!("{error}; qastack grafana reset-password mends it");
        return (DataSourceStatus { health: "error", message }, true);
    }
    let client = grafana::Client::new(http.clone(), url, login.clone());
    // Grafana itself waits long for a Prometheus that is gone; somebody who looks does not.
    let asked = tokio::time::timeout(PATIENCE, client.data_source_health(DATA_SOURCE_UID)).await;
    let Ok(health) = asked else {
        let message = format!("no answer within {} s from Prometheus through Grafana", PATIENCE.as_secs());
        return (DataSourceStatus { health: "error", message }, true);
    };
    match health {
        Ok(DataSourceHealth::Ok { message }) => (DataSourceStatus { health: "ok", message }, true),
        Ok(DataSourceHealth::Error { message }) => (DataSourceStatus { health: "error", message }, true),
        Ok(DataSourceHealth::Missing) => {
            let message = format!("there is no data source {DATA_SOURCE_UID}");
            (DataSourceStatus { health: "missing", message }, true)
        }
        Err(error) => {
            let answered = !error.is_retryable();
            if matches!(error, grafana::GrafanaError::PasswordRefused { .. }) {
                refusals.note(&container.id, &login, Timestamp::now());
            }
            (DataSourceStatus { health: "error", message: error.to_string() }, answered)
        }
    }
}

fn troubles(report: &StatusReport, not_running: &[(Service, String)]) -> Vec<String> {
    let mut troubles: Vec<String> =
        not_running.iter().map(|(service, why)| format!("{service} is not running: {why}")).collect();
    for service in report.services.iter().filter(|service| service.health == "unhealthy") {
        troubles.push(format!("{} is unhealthy", service.name));
    }
    let runs = |service| !not_running.iter().any(|(known, _)| *known == service);
    let target = report.target.as_ref().filter(|target| target.health != TargetHealth::Up);
    if let Some(target) = target.filter(|_| runs(Service::Prometheus)) {
        let why = target.last_error.as_deref().unwrap_or("not scraped yet");
        troubles.push(format!("Prometheus does not scrape the exporter: {why}"));
    }
    let source = report.data_source.as_ref().filter(|source| source.health != "ok");
    if let Some(source) = source.filter(|_| runs(Service::Grafana)) {
        troubles.push(format!("Grafana's data source: {}", source.message));
    }
    if report.figures.is_none() && runs(Service::TestMetrics) {
        troubles.push("the exporter does not answer with metrics".to_owned());
    }
    troubles
}
