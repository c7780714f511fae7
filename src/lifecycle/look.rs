//! What is there, beyond the engine's objects: files in volumes, secrets, Prometheus' and Grafana's own state.

use super::secrets;
use super::{Credentials, reach};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::grafana::{self, GrafanaSpec};
use crate::prometheus;
use crate::stack::{Observed, ObservedContainer, SecretFile, Service, StackSpec, State};
use futures_util::future::{join, try_join_all};
use std::collections::BTreeMap;
use url::Url;

/// Everything the plan of an `up` needs to know.
pub async fn look<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    grafana_spec: &GrafanaSpec,
    credentials: &Credentials,
    http: &reqwest::Client,
) -> Result<Observed> {
    let references: Vec<&str> = spec.containers.iter().map(|container| container.image.reference()).collect();
    let mut observed = engine.observe(&spec.names, &references).await?;
    let project = spec.names.project();
    let there: Vec<(Service, ObservedContainer)> = Service::ALL
        .into_iter()
        .filter_map(|service| Some((service, observed.container(project, service)?.clone())))
        .collect();
    let files = try_join_all(there.iter().map(|(service, container)| files(engine, spec, *service, container)));
    let secrets = try_join_all(there.iter().map(|(service, container)| secrets::read(engine, &container.id, *service)));
    let (files, secrets) = join(files, secrets).await;
    observed.files = files?.into_iter().flatten().collect();
    observed.secrets = secrets?.into_iter().flatten().collect();

    let running = |service| there.iter().any(|(s, container)| *s == service && container.state == State::Running);
    let prometheus = async {
        if !running(Service::Prometheus) {
            return None;
        }
        let base = reach::url(engine.info(), spec.container(Service::Prometheus).published).ok()?;
        stale_prometheus(http, base, spec).await
    };
    let grafana = async {
        if !running(Service::Grafana) {
            return Ok(Vec::new());
        }
        let container = there.iter().find(|(service, _)| *service == Service::Grafana);
        let published = container.and_then(|(_, container)| container.published());
        let published = published.unwrap_or(spec.container(Service::Grafana).published);
        let base = reach::url(engine.info(), published)?;
        let kept = observed.secrets.get(&SecretFile::GrafanaPassword);
        lacking_in_grafana(http, base, credentials, kept, grafana_spec).await
    };
    let (stale, lacking) = join(prometheus, grafana).await;
    observed.stale.extend(stale.map(|reason| (Service::Prometheus, reason)));
    observed.grafana = lacking?;
    Ok(observed)
}

type Files = BTreeMap<(Service, String), Vec<u8>>;

/// The configuration files a service has.
async fn files<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    service: Service,
    container: &ObservedContainer,
) -> Result<Files> {
    let wanted = &spec.container(service).files;
    let Some(directory) = wanted.first().and_then(|file| file.path.rsplit_once('/')).map(|(directory, _)| directory)
    else {
        return Ok(Files::new());
    };
    let found = engine.get_files(&container.id, directory).await?;
    Ok(found.into_iter().map(|(path, contents)| ((service, path), contents)).collect())
}

/// Whether Prometheus runs with something else than its file says, as after a reload that failed.
async fn stale_prometheus(http: &reqwest::Client, base: Url, spec: &StackSpec) -> Option<String> {
    let client = prometheus::Client::new(http.clone(), base);
    let differences = client.config_differences(&prometheus::render(&spec.prometheus)).await.ok()?;
    let told: Vec<String> = differences
        .iter()
        .map(|difference| format!("{} {} -> {}", difference.key, difference.loaded, difference.rendered))
        .collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// What Grafana lacks. One that does not answer is waited for later; a refused password ends the run here, so that it
/// is tried only once.
async fn lacking_in_grafana(
    http: &reqwest::Client,
    base: Url,
    credentials: &Credentials,
    kept: Option<&crate::secret::Secret>,
    spec: &GrafanaSpec,
) -> Result<Vec<(String, String)>> {
    let login = grafana::Login { user: credentials.user.clone(), password: credentials.password(kept) };
    let client = grafana::Client::new(http.clone(), base, login);
    let observed = async {
        grafana::check_login(&client).await?;
        grafana::observe(&client, spec).await
    };
    match observed.await {
        Ok(observed) => Ok(grafana::plan(spec, &observed)
            .into_iter()
            .filter(|step| step.call.is_some())
            .map(|step| (step.object.to_string(), format!("{}: {}", step.action.word(), step.reason)))
            .collect()),
        Err(error) if error.is_retryable() => Ok(Vec::new()),
        Err(error) => Err(Error::from(error)),
    }
}
