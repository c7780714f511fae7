//! What is there, beyond the engine's objects: files in volumes, secrets, Prometheus' and Grafana's own state.

use super::ready::Ready;
use super::refusals::Refusals;
use super::secrets;
use super::{Credentials, reach};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::{self, GrafanaSpec};
use crate::prometheus;
use crate::stack::{FileSpec, Observed, ObservedContainer, ObservedGrafana, Service, StackSpec, State};
use futures_util::future::{join, join4, try_join_all};
use jiff::Timestamp;
use std::collections::BTreeMap;
use url::Url;

/// Everything the plan of an `up` needs to know.
pub async fn look<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    grafana_spec: &GrafanaSpec,
    credentials: &Credentials,
    http: &reqwest::Client,
    refusals: &Refusals,
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
        let base =
            reach::url(engine, &spec.names, Service::Prometheus, spec.container(Service::Prometheus).published).ok()?;
        stale_prometheus(http, base, spec).await
    };
    let exporter = async {
        let (service, container) = running(Service::TestMetrics)?;
        let published = container.published().unwrap_or(spec.container(*service).published);
        let base = reach::url(engine, &spec.names, *service, published).ok()?;
        stale_exporter(http, base, spec).await
    };
    let own = async {
        let Some((service, container)) = there.iter().find(|(service, _)| *service == Service::Grafana) else {
            return Ok::<_, Error>((None, None));
        };
        let kept = secrets::kept_password(engine, &container.id, credentials).await?;
        // A password that is about to be replaced may have been, by a run that ended before it could write that down.
        let is_replaced = credentials.generates() && credentials.is_default(kept.as_ref());
        if container.state != State::Running || is_replaced {
            return Ok((kept, None));
        }
        let published = container.published().unwrap_or(spec.container(*service).published);
        let base = reach::url(engine, &spec.names, Service::Grafana, published)?;
        let login = grafana::Login { user: credentials.user.clone(), password: credentials.password(kept.as_ref()) };
        refusals.check(&container.id, &login, Timestamp::now())?;
        let grafana = look_at_grafana(http, base, login.clone(), grafana_spec).await;
        if grafana.as_ref().is_err_and(|error| error.code() == Code::GrafanaPassword) {
            refusals.note(&container.id, &login, Timestamp::now());
        }
        let grafana = grafana?;
        Ok((kept, grafana))
    };
    let present =
        try_join_all(there.iter().map(|(service, container)| secrets::present(engine, &container.id, *service)));
    let stale = join(exporter, prometheus);
    let (files, (exporter, prometheus), own, present) = join4(files, stale, own, present).await;
    observed.files = files?.into_iter().flatten().collect();
    observed.stale.extend(exporter.map(|reason| (Service::TestMetrics, reason)));
    observed.stale.extend(prometheus.map(|reason| (Service::Prometheus, reason)));
    (observed.kept_password, observed.grafana) = own?;
    observed.secrets = present?.into_iter().flatten().collect();
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
    // A look at each tells in a fraction of the time whether anything needs to be read.
    let looks = wanted.iter().map(|file| as_wanted(engine, &container.id, file));
    if try_join_all(looks).await?.into_iter().all(|is_same| is_same) {
        return Ok(wanted.iter().map(|file| ((service, file.path.clone()), file.contents.clone())).collect());
    }
    let found = engine.get_files(&container.id, directory).await?;
    Ok(found.into_iter().map(|(path, contents)| ((service, path), contents)).collect())
}

async fn as_wanted<E: Engine>(engine: &E, container: &str, file: &FileSpec) -> Result<bool> {
    Ok(engine.stat_file(container, &file.path).await?.is_some_and(|seen| file.is_as_seen(&seen)))
}

/// Whether the exporter runs with other settings than it should, as after a run that ended between the file and the
/// signal.
async fn stale_exporter(http: &reqwest::Client, base: Url, spec: &StackSpec) -> Option<String> {
    let in_force = Ready::ask(http, &base).await?.config_sha256?;
    (in_force != spec.exporter_settings_hash()).then(|| "it runs with other settings than its file says".to_owned())
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
    login: grafana::Login,
    spec: &GrafanaSpec,
) -> Result<Option<ObservedGrafana>> {
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
