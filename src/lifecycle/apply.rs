//! Carries out a plan: shared things first, then the services side by side, each in the order of its steps.

use super::adopt::{Adopted, adopt};
use super::event::{Event, Observer};
use super::{Cancel, Credentials, ports, secrets};
use crate::checkpoint;
use crate::engine::{Creation, Ending, Engine, Transfer, mount_of};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::secret::Secret;
use crate::stack::labels::RunId;
use crate::stack::{Action, FileSpec, Observed, Plan, SecretFile, Service, StackSpec, Step};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long steps under way may take to finish once the run has failed.
const GRACE: Duration = Duration::from_secs(30);
/// The same, once somebody has asked the run to end and waits for it.
const GRACE_WHEN_ASKED: Duration = Duration::from_millis(600);
/// How long a container's name may be taken by a container that is not there: it is being removed.
const NAME_PATIENCE: Duration = Duration::from_secs(5);
/// How often it is tried meanwhile.
const NAME_INTERVAL: Duration = Duration::from_millis(50);

/// What carrying out a plan needs.
pub struct Apply<'a, E: Engine> {
    /// What is made carries its label.
    pub run: &'a RunId,
    pub engine: &'a E,
    pub spec: &'a StackSpec,
    pub credentials: &'a Credentials,
    /// The bytes of this program, read only where an image is to be built.
    pub executable: &'a (dyn Fn() -> Result<Arc<Vec<u8>>> + Send + Sync),
    pub observer: &'a dyn Observer,
    pub cancel: &'a Cancel,
    done: Mutex<Vec<(Step, Duration)>>,
    secrets: Mutex<BTreeMap<SecretFile, Secret>>,
    is_new_password: AtomicBool,
    untaken_password: Mutex<Option<Secret>>,
    /// Services whose container somebody else made and started meanwhile.
    adopted: Mutex<BTreeSet<Service>>,
    under_way: watch::Sender<usize>,
    is_ending: watch::Sender<bool>,
    is_prometheus_started: watch::Sender<bool>,
}

impl<'a, E: Engine> Apply<'a, E> {
    pub fn new(
        run: &'a RunId,
        engine: &'a E,
        spec: &'a StackSpec,
        credentials: &'a Credentials,
        executable: &'a (dyn Fn() -> Result<Arc<Vec<u8>>> + Send + Sync),
        observer: &'a dyn Observer,
        cancel: &'a Cancel,
    ) -> Self {
        let (done, secrets, adopted) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (under_way, is_ending, is_prometheus_started) =
            (watch::channel(0).0, watch::channel(false).0, watch::channel(false).0);
        Self {
            run,
            engine,
            spec,
            credentials,
            executable,
            observer,
            cancel,
            done,
            secrets,
            is_new_password: AtomicBool::new(false),
            untaken_password: Mutex::default(),
            adopted,
            under_way,
            is_ending,
            is_prometheus_started,
        }
    }

    /// What is shared by the services, and every image that has to be pulled. Images come before anything is removed:
    /// one that cannot be had leaves what runs as it is. Then goes what is left over, and what has a port that another
    /// service is about to need.
    pub async fn shared(&self, plan: &Plan, observed: &Observed) -> Result<()> {
        let removes = plan.steps.iter().any(|step| matches!(step.action, Action::RemoveContainer(_)));
        let is_early = |step: &&Step| match step.action {
            Action::CreateNetwork | Action::CreateVolume(_) | Action::PullImage(_) => true,
            // On a fresh engine the build may take its time beside the other services.
            Action::BuildImage => removes,
            _ => false,
        };
        let is_stray = |step: &&Step| match &step.action {
            Action::RemoveContainer(id) => step.service.is_none_or(|service| self.is_in_the_way(service, id, observed)),
            _ => false,
        };
        let is_spare = |step: &&Step| matches!(step.action, Action::RemoveNetwork(_));
        let (early, strays): (Vec<_>, Vec<_>) =
            (plan.steps.iter().filter(is_early).collect(), plan.steps.iter().filter(is_stray).collect());
        // Only the volume of what is remembered goes in an `up`, for one with other labels.
        let outdated = plan.steps.iter().filter(|step| matches!(step.action, Action::RemoveVolume(_)));
        self.all(outdated.map(|step| self.run(step).boxed())).await?;
        // One line for all of them: nobody wants to read the names of seven volumes.
        let began = Instant::now();
        let anonymous = early.iter().chain(&strays).filter(|step| step.service.is_none()).count();
        let part = || "network".to_owned();
        if anonymous > 0 {
            self.observer.observe(Event::Working { part: part(), doing: "network and volumes".to_owned() });
        }
        self.all(early.into_iter().map(|step| self.run(step).boxed())).await?;
        self.all(strays.into_iter().map(|step| self.run(step).boxed())).await?;
        self.all(plan.steps.iter().filter(is_spare).map(|step| self.run(step).boxed())).await?;
        if anonymous > 0 {
            let result = "network and volumes are there".to_owned();
            self.observer.observe(Event::Done { part: part(), result, took: began.elapsed() });
        }
        Ok(())
    }

    /// Whether a container of ours has a port that another service asks for.
    fn is_in_the_way(&self, service: Service, id: &str, observed: &Observed) -> bool {
        let held = observed.containers.iter().filter(|container| container.id == id).flat_map(|found| &found.ports);
        let others = || self.spec.containers.iter().filter(|other| other.service != service);
        held.into_iter().any(|port| others().any(|other| other.published.port == port.port))
    }

    /// A service's own steps up to its start, in order. What waits for other services comes later.
    ///
    /// Prometheus is started first: its own five seconds to the first scrape are the longest wait of all, and containers
    /// that are started at once hold each other up.
    pub async fn service(&self, plan: &Plan, service: Service) -> Result<()> {
        let is_first = |step: &Step| step.action == Action::Start(Service::Prometheus);
        for step in plan.of(service) {
            let is_done = self.done.lock().is_ok_and(|done| done.iter().any(|(known, _)| known == step));
            let is_later = matches!(step.action, Action::Settle | Action::Provision | Action::Reload(_));
            if is_done || is_later {
                continue;
            }
            if matches!(step.action, Action::Start(_)) && !is_first(step) && plan.starts(Service::Prometheus) {
                // The sender is ours, so the channel cannot be closed.
                let _ = self.is_prometheus_started.subscribe().wait_for(|started| *started).await;
            }
            self.run(step).await?;
            if is_first(step) {
                self.is_prometheus_started.send_replace(true);
            }
        }
        Ok(())
    }

    /// Images that no release needs any more. They are only in the way, so that a failure is a warning.
    pub async fn clean(&self, plan: &Plan) {
        for step in plan.steps.iter().filter(|step| matches!(step.action, Action::RemoveImage(_))) {
            if let Err(error) = self.run(step).await {
                self.observer.observe(Event::Warning(error.to_string()));
            }
        }
    }

    /// Notes a step that was carried out elsewhere.
    pub fn note(&self, step: &Step, took: Duration) {
        if let Ok(mut done) = self.done.lock() {
            done.push((step.clone(), took));
        }
    }

    /// The steps that were carried out, with the time each took.
    pub fn finished(&self) -> Vec<(Step, Duration)> {
        self.done.lock().map(|done| done.clone()).unwrap_or_default()
    }

    /// The secrets that were made or found while starting services.
    pub fn secrets(&self) -> BTreeMap<SecretFile, Secret> {
        self.secrets.lock().map(|secrets| secrets.clone()).unwrap_or_default()
    }

    /// Whether this run has made a password for Grafana.
    pub fn is_new_password(&self) -> bool {
        self.is_new_password.load(Ordering::Relaxed)
    }

    /// Grafana has taken the password: from now on the volume holds it.
    pub async fn password_taken(&self) -> Result<()> {
        let untaken = self.untaken_password.lock().ok().and_then(|mut untaken| untaken.take());
        let Some(password) = untaken else { return Ok(()) };
        let (service, file) = (Service::Grafana, SecretFile::GrafanaPassword);
        let container = self.spec.names.container(service);
        secrets::put(self.engine, self.spec, &container, service, &[(file, password)]).await
    }

    /// Does works side by side. When one fails no new step is begun, and those under way are finished first, so that
    /// what they make is seen by the one who cleans up.
    pub async fn all<'f>(&self, works: impl IntoIterator<Item = BoxFuture<'f, Result<()>>>) -> Result<()> {
        let mut works: FuturesUnordered<_> = works.into_iter().collect();
        while let Some(done) = works.next().await {
            if let Err(error) = done {
                self.settle(&error, async { while works.next().await.is_some() {} }).await;
                return Err(error);
            }
        }
        Ok(())
    }

    /// Does work until it is done or `ends` says why the run is to end; steps under way are finished first.
    pub async fn until(&self, ends: impl Future<Output = Error>, work: impl Future<Output = Result<()>>) -> Result<()> {
        tokio::pin!(work);
        let error = tokio::select! {
            done = &mut work => return done,
            error = ends => error,
        };
        self.settle(&error, async { drop(work.await) }).await;
        Err(error)
    }

    /// Goes on with work until none of its steps is under way.
    async fn settle(&self, error: &Error, work: impl Future<Output = ()>) {
        let asked = matches!(error.code(), Code::Interrupted | Code::Terminated);
        self.is_ending.send_replace(true);
        let mut under_way = self.under_way.subscribe();
        tokio::select! {
            biased;
            // The sender is ours, so the channel cannot be closed.
            _ = under_way.wait_for(|count| *count == 0) => {}
            () = work => {}
            () = tokio::time::sleep(if asked { GRACE_WHEN_ASKED } else { GRACE }) => {}
        }
    }

    /// Puts files into their volumes, volume by volume.
    pub async fn put(&self, service: Service, container: &str, files: &[FileSpec]) -> Result<()> {
        for mount in &self.spec.container(service).mounts {
            let below: Vec<FileSpec> =
                files.iter().filter(|file| mount_of(self.spec, service, &file.path) == Some(mount)).cloned().collect();
            if !below.is_empty() {
                self.engine.put_files(container, mount, &below).await?;
            }
        }
        Ok(())
    }

    async fn run(&self, step: &Step) -> Result<()> {
        self.cancel.check()?;
        if *self.is_ending.borrow() {
            return Err(ending());
        }
        let part = step.service.map_or_else(|| step.object.clone(), |service| service.to_string());
        let doing = match step.action {
            Action::PullImage(_) | Action::BuildImage => format!("{} {}", step.action.phrase(), step.object),
            _ => step.action.phrase(),
        };
        if step.service.is_some() {
            self.observer.observe(Event::Working { part: part.clone(), doing });
        }
        let started = Instant::now();
        self.under_way.send_modify(|count| *count += 1);
        let outcome = self.act(step, &part).await;
        checkpoint::reached(&place(&step.action)).await;
        self.under_way.send_modify(|count| *count -= 1);
        if let Err(error) = outcome {
            self.observer.observe(Event::Failed { part, why: format!("could not {}", step.action.phrase()) });
            return Err(error);
        }
        self.note(step, started.elapsed());
        Ok(())
    }

    /// Does a long step that leaves nothing half made, such as a pull: it is left as soon as the run is ending.
    async fn unless_ending(&self, work: impl Future<Output = Result<()>>) -> Result<()> {
        let mut is_ending = self.is_ending.subscribe();
        tokio::select! {
            done = work => done,
            // The sender is ours, so the channel cannot be closed.
            _ = is_ending.wait_for(|is_ending| *is_ending) => Err(ending()),
        }
    }

    /// Makes a container, or takes over the one that has its name if that is ours and the same.
    async fn create(&self, service: Service) -> Result<()> {
        let (names, wanted) = (&self.spec.names, self.spec.container(service));
        let since = Instant::now();
        loop {
            match self.engine.create_container(self.run, names, wanted).await? {
                Creation::Made => break,
                Creation::MadeWithoutCpuLimit => {
                    let text = format!(
                        "{service} runs without a limit on its CPU time (limits.{service}.cpus): this engine cannot set one"
                    );
                    self.observer.observe(Event::Warning(text));
                    break;
                }
                Creation::NameTaken => {}
            }
            match adopt(self.engine, self.run, names, wanted).await? {
                Adopted::IsGone if since.elapsed() < NAME_PATIENCE => tokio::time::sleep(NAME_INTERVAL).await,
                Adopted::IsGone => {
                    let name = names.container(service);
                    let what = format!("the engine has no container {name}, and yet says that its name is taken");
                    return Err(Error::new(Code::EngineFailed, what)
                        .hint(format!("Take the name back with docker rm -f {name}, or restart the engine.")));
                }
                Adopted::IsOurs => break,
                Adopted::Runs => {
                    self.adopted.lock().map(|mut adopted| adopted.insert(service)).ok();
                    break;
                }
            }
        }
        Ok(())
    }

    fn is_adopted(&self, service: Service) -> bool {
        self.adopted.lock().is_ok_and(|adopted| adopted.contains(&service))
    }

    async fn act(&self, step: &Step, part: &str) -> Result<()> {
        let names = &self.spec.names;
        match &step.action {
            Action::CreateNetwork => self.engine.create_network(self.run, names).await,
            Action::CreateVolume(part) => {
                self.engine.create_volume(self.run, names, part, &self.spec.volume_labels(part)).await
            }
            Action::BuildImage => {
                let executable = (self.executable)()?;
                let build = self.engine.build_image(names, &step.object, &executable);
                self.unless_ending(build).await
            }
            Action::PullImage(_) => {
                let progress = |transfer: Transfer| {
                    let doing = format!("pull {}", step.object);
                    self.observer.observe(Event::Progress { part: part.to_owned(), doing, transfer });
                };
                self.unless_ending(self.engine.pull_image(&step.object, &progress)).await
            }
            Action::RemoveContainer(id) => self.engine.remove_container(id, Ending::Orderly).await,
            Action::CreateContainer(service) => self.create(*service).await,
            Action::PutFiles(service, _) | Action::Start(service) if self.is_adopted(*service) => Ok(()),
            Action::PutFiles(service, files) => self.put(*service, &step.object, files).await,
            Action::EnsureSecrets(service) => {
                let ensured = match self.is_adopted(*service) {
                    true => secrets::Ensured {
                        secrets: secrets::read(self.engine, &step.object, *service).await?,
                        ..secrets::Ensured::default()
                    },
                    false => secrets::ensure(self.engine, self.spec, &step.object, *service, self.credentials).await?,
                };
                if let Ok(mut secrets) = self.secrets.lock() {
                    secrets.extend(ensured.secrets);
                }
                if ensured.is_new_password {
                    self.is_new_password.store(true, Ordering::Relaxed);
                }
                if let (Some(password), Ok(mut untaken)) = (ensured.untaken_password, self.untaken_password.lock()) {
                    *untaken = Some(password);
                }
                Ok(())
            }
            Action::Start(service) => match self.engine.start(&step.object).await {
                Err(error) if error.code() == Code::PortBusy => {
                    Err(ports::lost(self.engine, *service, self.spec.container(*service).published, error).await)
                }
                done => done,
            },
            Action::RemoveImage(id) => self.engine.remove_image(id).await,
            Action::RemoveNetwork(id) => self.engine.remove_network(id).await,
            Action::RemoveVolume(name) => self.engine.remove_volume(name).await,
            Action::Reload(_) | Action::Stop(_) | Action::Settle | Action::Provision => {
                Err(Error::new(Code::Unexpected, format!("the step {} is not the engine's", step.action.word())))
            }
        }
    }
}

/// The checkpoint after a step.
fn place(action: &Action) -> String {
    match action {
        Action::CreateNetwork => "network".to_owned(),
        Action::CreateVolume(_) => "volume".to_owned(),
        Action::BuildImage | Action::PullImage(_) => "image".to_owned(),
        Action::CreateContainer(service) => format!("create:{service}"),
        Action::PutFiles(service, _) => format!("put-files:{service}"),
        Action::EnsureSecrets(service) => format!("secrets:{service}"),
        Action::Start(service) => format!("start:{service}"),
        other => other.word().to_owned(),
    }
}

/// Never shown: the error that made the run end is.
fn ending() -> Error {
    Error::new(Code::Interrupted, "the run is ending")
}
