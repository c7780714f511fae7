//! What is there, beyond the engine's objects: files in volumes, secrets, Prometheus' and Grafana's own state.

use super::secrets;
use super::{Credentials, reach};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::grafana::{self, GrafanaSpec};
use crate::prometheus;
use crate::secret::Secret;
use crate::stack::{Observed, ObservedContainer, ObservedGrafana, SecretFile, Service, StackSpec, State};
use futures_util::future::{join3, try_join_all};
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
    let running = |service| there.iter().find(|(s, container)| *s == service && container.state == State::Running);
    let files = try_join_all(there.iter().map(|(service, container)| files(engine, spec, *service, container)));
    let prometheus = async {
        running(Service::Prometheus)?;
        let base = reach::url(engine.info(), spec.container(Service::Prometheus).published).ok()?;
        stale_prometheus(http, base, spec).await
    };
    let own = async {
        let read = there.iter().map(|(service, container)| secrets::read(engine, &container.id, *service));
        let secrets: BTreeMap<SecretFile, Secret> = try_join_all(read).await?.into_iter().flatten().collect();
        let Some((service, container)) = running(Service::Grafana) else {
            return Ok::<_, Error>((secrets, None));
        };
        let published = container.published().unwrap_or(spec.container(*service).published);
        let base = reach::url(engine.info(), published)?;
        let kept = secrets.get(&SecretFile::GrafanaPassword);
        let grafana = look_at_grafana(http, base, credentials, kept, grafana_spec).await?;
        Ok((secrets, grafana))
    };
    let (files, stale, own) = join3(files, prometheus, own).await;
    observed.files = files?.into_iter().flatten().collect();
    observed.stale.extend(stale.map(|reason| (Service::Prometheus, reason)));
    (observed.secrets, observed.grafana) = own?;
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

/// How Grafana's objects are. One that does not answer is waited for later; a refused password ends the run here, so
/// that it is tried only once.
async fn look_at_grafana(
    http: &reqwest::Client,
    base: Url,
    credentials: &Credentials,
    kept: Option<&Secret>,
    spec: &GrafanaSpec,
) -> Result<Option<ObservedGrafana>> {
    let login = grafana::Login { user: credentials.user.clone(), password: credentials.password(kept) };
    let client = grafana::Client::new(http.clone(), base, login);
    let observed = async {
        grafana::check_login(&client).await?;
        grafana::observe(&client, spec).await
    };
    let steps = match observed.await {
        Ok(observed) => grafana::plan(spec, &observed),
        Err(error) if error.is_retryable() => return Ok(None),
        Err(error) => return Err(Error::from(error)),
    };
    let mut looked = ObservedGrafana::default();
    for step in steps {
        match step.call {
            Some(_) => {
                looked.lacking.push((step.object.to_string(), format!("{}: {}", step.action.word(), step.reason)));
            }
            None => looked.kept.push(format!("{}: {}", step.object, step.reason)),
        }
    }
    Ok(Some(looked))
}
