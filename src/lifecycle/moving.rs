//! What a backup takes from a stack in containers and a restore puts there, beside the exporter's store: dashboards
//! over Grafana's API, data volumes and secrets through the engine.

use super::event::{Event, Observer};
use super::logs::{not_running, not_there};
use super::refusals::Refusals;
use super::{Cancel, Credentials, reach, secrets, wait};
use crate::engine::{Creation, Ending, Engine, mount_of};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::{self, GrafanaSpec, Library};
use crate::secret::Secret;
use crate::stack::labels::Labels;
use crate::stack::{
    Begins, FileSpec, Mount, ObservedContainer, SecretFile, Service, StackSpec, State, why_not_running,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

/// The services whose data lie in volumes that nothing but the engine can read.
pub const WITH_VOLUMES: [Service; 2] = [Service::Prometheus, Service::Grafana];

/// How long a service may take to answer after its data were copied.
const PATIENCE: Duration = Duration::from_secs(120);

/// A stack in containers, to take from and to put into.
pub struct Containers<'a, E: Engine> {
    /// The engine.
    pub engine: &'a E,
    /// What should run.
    pub spec: &'a StackSpec,
    /// What ships for Grafana.
    pub grafana: &'a GrafanaSpec,
    /// Grafana's login.
    pub credentials: &'a Credentials,
    /// Where events go.
    pub observer: &'a dyn Observer,
    /// Whether the run is to end.
    pub cancel: &'a Cancel,
}

impl<E: Engine> Containers<'_, E> {
    /// A client for the Grafana that runs.
    pub(super) async fn grafana_client(&self) -> Result<grafana::Client> {
        let container = self.running(Service::Grafana).await?;
        let kept = secrets::read(self.engine, &container.id, Service::Grafana).await?;
        let password = self.credentials.password(kept.get(&SecretFile::GrafanaPassword));
        let login = grafana::Login { user: self.credentials.user.clone(), password };
        let published = container.published().unwrap_or(self.spec.container(Service::Grafana).published);
        let url = reach::url(self.engine, &self.spec.names, Service::Grafana, published)?;
        let client = grafana::Client::new(reach::http_client()?, url, login.clone());
        let refusals = Refusals::of(&super::state_directory(), self.spec.names.project());
        refusals.log_in(&client, &container.id, &login).await?;
        Ok(client)
    }

    /// All dashboards, and the names of those that cannot be had.
    pub(super) async fn dashboards(&self) -> Result<(Library, Vec<String>)> {
        self.working(Service::Grafana, "read dashboards");
        let client = self.grafana_client().await?;
        self.cancel.or(async { Ok(Library::read(&client, self.grafana).await?) }).await
    }

    /// All secrets of the stack.
    pub(super) async fn secrets(&self) -> Result<BTreeMap<SecretFile, Secret>> {
        let mut all = BTreeMap::new();
        for service in Service::ALL {
            let container = self.container(service).await?;
            all.extend(secrets::read(self.engine, &container.id, service).await?);
        }
        Ok(all)
    }

    /// Writes secrets where their services read them. The exporter takes its own in at once.
    pub(super) async fn put_secrets(&self, all: &BTreeMap<SecretFile, Secret>) -> Result<()> {
        for (file, secret) in all {
            let container = self.container(file.service()).await?;
            let path = file.path();
            let mount = mount_of(self.spec, file.service(), &path)
                .ok_or_else(|| Error::new(Code::Unexpected, format!("{path} is in no volume")))?;
            let contents = secret.expose().as_bytes().to_vec();
            let spec = FileSpec { path, contents, owner: file.owner().0, mode: 0o400, date: 0 };
            self.engine.put_files(&container.id, mount, &[spec]).await?;
            if *file == SecretFile::AdminToken {
                self.engine.signal(&container.id, "SIGHUP").await?;
            }
        }
        Ok(())
    }

    /// Writes a service's data into a file, as a tar. The service is stopped for that time and started again, whatever
    /// becomes of the copy.
    pub(super) async fn save_volume(&self, service: Service, into: &Path) -> Result<()> {
        let began = Instant::now();
        let container = self.container(service).await?;
        let mount = self.data_of(service)?;
        self.working(service, "stop it and copy its data");
        self.engine.stop(&container.id).await?;
        let saved = self.cancel.or(self.engine.save_directory(&container.id, mount.path, into)).await;
        let started = if container.state == State::Running { self.start(service, &container.id).await } else { Ok(()) };
        saved.and(started)?;
        self.done(service, "copied", began);
        Ok(())
    }

    /// Puts other data in the place of a service's own, with secrets that belong to them. The container is made anew
    /// with an empty volume, so that nothing of the old data is left among the new.
    pub(super) async fn replace_volume(
        &self,
        service: Service,
        from: &Path,
        secrets: &BTreeMap<SecretFile, Secret>,
    ) -> Result<()> {
        let began = Instant::now();
        let names = &self.spec.names;
        let mount = self.data_of(service)?;
        let observed = self.engine.observe(names, &[]).await?;
        self.working(service, "put its data in place");
        if let Some(container) = observed.container(names.project(), service) {
            self.engine.remove_container(&container.id, Ending::Orderly).await?;
        }
        self.engine.remove_volume(&names.volume(mount.part)).await?;
        let run = secrets::run_id()?;
        self.engine.create_volume(&run, names, mount.part, &Labels::new()).await?;
        let container = names.container(service);
        if self.engine.create_container(&run, names, self.spec.container(service)).await? == Creation::NameTaken {
            let message = format!("the container {container} was made by another run meanwhile");
            return Err(Error::new(Code::Locked, message).hint("Wait until it is done, then try again."));
        }
        self.engine.load_directory(&container, mount.path, from).await?;
        let own = secrets.iter().filter(|(file, _)| file.service() == service);
        self.put_secrets(&own.map(|(file, secret)| (*file, secret.clone())).collect()).await?;
        self.start(service, &container).await?;
        self.done(service, "replaced", began);
        Ok(())
    }

    /// Starts a service and waits until it answers.
    async fn start(&self, service: Service, container: &str) -> Result<()> {
        self.engine.start(container).await?;
        let path = match service {
            Service::TestMetrics => "/readyz",
            Service::Prometheus => "/-/ready",
            Service::Grafana => "/api/health",
        };
        let http = reach::http_client()?;
        let url = reach::url(self.engine, &self.spec.names, service, self.spec.container(service).published)?;
        self.observer.observe(Event::Waiting { part: service.to_string(), until: format!("its answer on {path}") });
        match tokio::time::timeout(PATIENCE, wait::answers(&http, &url, path, || {})).await {
            Ok(answered) => answered,
            Err(_) => {
                let message = format!("{service} was started again and does not answer on {url}");
                Err(Error::new(Code::NotReady, message).hint(format!("qastack logs {service} says more.")))
            }
        }
    }

    async fn container(&self, service: Service) -> Result<ObservedContainer> {
        let names = &self.spec.names;
        let observed = self.engine.observe(names, &[]).await?;
        if observed.containers.iter().all(|container| !container.is_ours(names.project())) {
            return Err(not_running());
        }
        observed.container(names.project(), service).cloned().ok_or_else(|| not_there(service))
    }

    async fn running(&self, service: Service) -> Result<ObservedContainer> {
        let container = self.container(service).await?;
        if container.state == State::Running {
            return Ok(container);
        }
        let message = format!("{service} is not running: {}", why_not_running(&container));
        Err(Error::new(Code::NotRunning, message).hint("Start it with qastack up."))
    }

    /// The volume a service writes to.
    fn data_of(&self, service: Service) -> Result<&Mount> {
        let mounts = &self.spec.container(service).mounts;
        mounts
            .iter()
            .find(|mount| mount.begins == Begins::AsInTheImage)
            .ok_or_else(|| Error::new(Code::Unexpected, format!("{service} has no volume of its own")))
    }

    fn working(&self, service: Service, doing: &str) {
        self.observer.observe(Event::Working { part: service.to_string(), doing: doing.to_owned() });
    }

    fn done(&self, service: Service, result: &str, began: Instant) {
        let (part, result) = (service.to_string(), result.to_owned());
        self.observer.observe(Event::Done { part, result, took: began.elapsed() });
    }
}

/// The name of a service's volume in a backup.
pub(super) fn volume_member<E: Engine>(containers: &Containers<'_, E>, service: Service) -> Result<String> {
    Ok(crate::backup::volume(containers.data_of(service)?.part))
}
