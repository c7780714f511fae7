//! `up`: from whatever is there to a stack that runs, is configured, and is proven to show what it measures.

mod warm_up;

use super::apply::Apply;
use super::event::{Event, Observer};
use super::ready::Ready;
use super::refusals::Refusals;
use super::report::{DoneStep, UpReport, planned};
use super::wait::{self, DeathWatch, Waits};
use super::{
    Cancel, Credentials, Figures, POLL, ServiceStatus, images, look, ports, prove, reach, reset_password, rollback,
    secrets,
};
use crate::checkpoint;
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::{self, GrafanaSpec};
use crate::prometheus;
use crate::secret::Secret;
use crate::settings::Published;
use crate::stack::labels::RunId;
use crate::stack::{Action, Observed, Plan, PullPolicy, SecretFile, Service, StackSpec, State, Step, plan_up};
use futures_util::future::FutureExt;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use url::Url;

/// How far `up` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Grafana is configured and its data source healthy.
    Ready,
    /// A query through Grafana gives a sample of the stack that runs now.
    Proven,
}

/// What the user asked of `up`.
#[derive(Debug, Clone, Copy)]
pub struct UpOptions {
    /// How far to wait.
    pub wait_for: WaitFor,
    /// Plan only.
    pub dry_run: bool,
    /// After a failure, leave what was made for a look.
    pub keep_on_failure: bool,
    /// How long services may take, pulls and builds not counted.
    pub time_out: Duration,
}

/// Everything an `up` works with.
pub struct Up<'a, E: Engine> {
    /// The engine.
    pub engine: &'a E,
    /// What should run.
    pub spec: &'a StackSpec,
    /// What Grafana should have.
    pub grafana: &'a GrafanaSpec,
    /// Who administers Grafana.
    pub credentials: &'a Credentials,
    /// The bytes of this program.
    pub executable: &'a (dyn Fn() -> Result<Arc<Vec<u8>>> + Send + Sync),
    /// Where events go.
    pub observer: &'a dyn Observer,
    /// Whether the run is to end.
    pub cancel: &'a Cancel,
    /// Where evidence of a failure goes.
    pub state_directory: &'a Path,
    /// When the command began, and how long it took until the engine answered.
    pub began: (Instant, Duration),
}

/// How often a plan is made anew because what it was made for has changed under it.
const REPLANS: u32 = 2;

/// Brings the stack up.
///
/// # Errors
/// Whatever keeps it from being proven; what this run made is then removed again.
pub async fn up<E: Engine>(with: Up<'_, E>, options: UpOptions) -> Result<UpReport> {
    let started = Instant::now();
    let http = reach::http_client()?;
    let run_id = secrets::run_id()?;
    let mut replans = 0;
    let mut has_begun = false;
    loop {
        let failure = match attempt(&with, &run_id, options, &http, started).await {
            Ok(report) => return Ok(report),
            Err(failure) => failure,
        };
        has_begun |= failure.has_begun;
        if failure.has_moved && replans < REPLANS {
            let text = "somebody else made or stopped a container of the stack meanwhile; looking again".to_owned();
            with.observer.observe(Event::Warning(text));
            replans += 1;
            continue;
        }
        let error = explain_password(failure.error, with.spec, &with.credentials.user);
        return Err(if has_begun { rollback::after(&with, &run_id, options, error).await } else { error });
    }
}

/// Why an attempt did not end well.
struct Failure {
    error: Error,
    /// Whether anything may have been made.
    has_begun: bool,
    /// Whether it failed because what was planned for has changed.
    has_moved: bool,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, has_begun: false, has_moved: false }
    }
}

/// Looks, plans and carries the plan out, once.
async fn attempt<E: Engine>(
    with: &Up<'_, E>,
    run_id: &RunId,
    options: UpOptions,
    http: &reqwest::Client,
    started: Instant,
) -> Result<UpReport, Failure> {
    let refusals = Refusals::of(with.state_directory, with.spec.names.project());
    let looked = look::look(with.engine, with.spec, with.grafana, with.credentials, http, &refusals);
    let before = with.cancel.or(looked).await?;
    let plan = plan_up(with.spec, &before)?;
    let troubles = async { Ok(ports::troubles(with.engine, with.spec, &plan, &before).await) };
    let troubles = with.cancel.or(troubles).await?;
    if options.dry_run {
        return Ok(planned(plan, troubles.iter().map(ports::Trouble::in_words).collect()));
    }
    with.cancel.or(checkpoint::passed("observe")).await?;
    if with.spec.pull == PullPolicy::Always {
        ports::refuse(&troubles)?;
        return pulled_first(with, run_id, options, http, started).await;
    }
    let mut has_begun = false;
    let outcome = async {
        ports::refuse(&troubles)?;
        has_begun = true;
        Run::new(with, run_id, &plan, &before, http, started)?.finish(options).await
    };
    match outcome.await {
        Ok(report) => Ok(report),
        Err(error) => {
            let mut failure = Failure { error, has_begun, has_moved: false };
            failure.has_moved = has_moved(with, run_id, &plan, &before, &failure).await;
            Err(failure)
        }
    }
}

/// Whether a run failed where somebody else was at work: a container that ran when it was planned, and was to stay, runs
/// no more, as a `down` that was ended may still be under way in the engine; or one is there that this run did not make;
/// or, before this run has begun, anything else happened to one.
async fn has_moved<E: Engine>(
    with: &Up<'_, E>,
    run: &RunId,
    plan: &Plan,
    before: &Observed,
    failure: &Failure,
) -> bool {
    if !matches!(failure.error.code(), Code::NotReady | Code::EngineFailed | Code::PortBusy) {
        return false;
    }
    let Ok(now) = with.cancel.or(with.engine.observe_containers(&with.spec.names)).await else { return false };
    let project = with.spec.names.project();
    let ours = |observed: &Observed| {
        let ours = observed.containers.iter().filter(|container| container.is_ours(project));
        ours.map(|container| (container.id.clone(), (container.state, run.made(&container.labels)))).collect()
    };
    let (before, now): (BTreeMap<_, _>, BTreeMap<_, _>) = (ours(before), ours(&now));
    if !failure.has_begun {
        return before != now;
    }
    let removed = plan.removed_containers();
    let was_to_stay = before.iter().filter(|(id, (state, _))| *state == State::Running && !removed.contains(id));
    let runs = |id: &String| now.get(id).is_some_and(|(state, _)| *state == State::Running);
    was_to_stay.into_iter().any(|(id, _)| !runs(id))
        || now.iter().any(|(id, (_, is_this_runs))| !is_this_runs && !before.contains_key(id))
}

/// Pulls every image, then goes on with what is there: which of them are other ones than before is known only now.
async fn pulled_first<E: Engine>(
    with: &Up<'_, E>,
    run_id: &RunId,
    options: UpOptions,
    http: &reqwest::Client,
    started: Instant,
) -> Result<UpReport, Failure> {
    let pulled = images::pull(with.engine, with.spec, with.observer, with.cancel).await?;
    let spec = StackSpec { pull: PullPolicy::Missing, ..with.spec.clone() };
    let with = Up {
        engine: with.engine,
        spec: &spec,
        grafana: with.grafana,
        credentials: with.credentials,
        executable: with.executable,
        observer: with.observer,
        cancel: with.cancel,
        state_directory: with.state_directory,
        began: with.began,
    };
    let mut report = Box::pin(attempt(&with, run_id, options, http, started)).await?;
    report.steps.splice(0..0, pulled.steps);
    report.warnings.splice(0..0, pulled.warnings);
    Ok(report)
}

/// Grafana takes its password from the settings only when it starts on an empty volume, which is worth saying.
fn explain_password(error: Error, spec: &StackSpec, user: &str) -> Error {
    if error.code() != Code::GrafanaPassword {
        return error;
    }
    let volume = spec.names.volume("grafana-data");
    error
        .context(format!("the kept volume {volume} has another administrator or another password than the settings"))
        .hint(format!(
            "Give the password it was first started with (grafana.admin_password_file in qastack.yaml), or let Grafana \
             take the one that is meant: qastack grafana reset-password. Where it was first started with another user \
             than {user}, change grafana.admin_user back. The refused password is not tried again at once: after five \
             refusals Grafana refuses even the right one for five minutes.",
        ))
}

/// One `up` under way: the three services go side by side and wait for each other only where they must.
struct Run<'a, E: Engine> {
    with: &'a Up<'a, E>,
    plan: &'a Plan,
    before: &'a Observed,
    http: &'a reqwest::Client,
    apply: Apply<'a, E>,
    waits: Waits,
    started: Instant,
    exporter: Url,
    prometheus: prometheus::Client,
    prometheus_url: Url,
    grafana_url: Url,
    /// Whether the exporter that is to stay answers: before that, a proof would be about the one it replaces.
    exporter_answers: watch::Sender<bool>,
    /// Whether the Prometheus that is to stay answers.
    prometheus_answers: watch::Sender<bool>,
    ready: OnceLock<f64>,
    proven: OnceLock<f64>,
    warnings: std::sync::Mutex<Vec<String>>,
}

impl<'a, E: Engine> Run<'a, E> {
    fn new(
        with: &'a Up<'a, E>,
        id: &'a RunId,
        plan: &'a Plan,
        before: &'a Observed,
        http: &'a reqwest::Client,
        started: Instant,
    ) -> Result<Self> {
        let url = |service| reach::url(with.engine, &with.spec.names, service, with.spec.container(service).published);
        let prometheus_url = url(Service::Prometheus)?;
        Ok(Self {
            with,
            plan,
            before,
            http,
            apply: Apply::new(
                id,
                with.engine,
                with.spec,
                with.credentials,
                with.executable,
                with.observer,
                with.cancel,
            ),
            waits: Waits::of_run(
                Service::ALL.into_iter().filter(|service| plan.of(*service).next().is_none()).collect(),
            ),
            started,
            exporter: url(Service::TestMetrics)?,
            prometheus: prometheus::Client::new(http.clone(), prometheus_url.clone()),
            prometheus_url,
            grafana_url: url(Service::Grafana)?,
            exporter_answers: watch::channel(false).0,
            prometheus_answers: watch::channel(false).0,
            ready: OnceLock::new(),
            proven: OnceLock::new(),
            warnings: std::sync::Mutex::default(),
        })
    }

    async fn finish(self, options: UpOptions) -> Result<UpReport> {
        let removed = self.plan.removed_containers();
        let deaths = DeathWatch::new(self.with.engine, &self.with.spec.names);
        self.apply.until(self.with.cancel.ended(), self.apply.shared(self.plan, self.before)).await?;
        let services = [self.exporter().boxed(), self.prometheus().boxed(), self.grafana(options.wait_for).boxed()];
        let ends = async {
            tokio::select! {
                error = self.with.cancel.ended() => error,
                error = deaths.unmeant(&removed, || self.running_by_now()) => error,
                error = self.waits.out_of_time(options.time_out) => self.explain_ports(error).await,
            }
        };
        let outcome = self.apply.until(ends, self.apply.all(services)).await;
        if let Err(error) = &outcome {
            self.leave_warm_up(error).await;
        }
        outcome?;
        self.apply.clean(self.plan).await;
        self.report().await
    }

    /// Where containers run and nothing listens on their ports, the ports are those of another machine.
    async fn explain_ports(&self, error: Error) -> Error {
        let has_answered = *self.exporter_answers.borrow() || *self.prometheus_answers.borrow();
        let is_up = Service::ALL.into_iter().all(|service| self.running_by_now().contains(&service));
        if has_answered || !is_up || !self.with.engine.info().is_local {
            return error;
        }
        let Some((host, port)) = self.exporter.host_str().zip(self.exporter.port()) else { return error };
        let refused = |cause: std::io::Error| cause.kind() == std::io::ErrorKind::ConnectionRefused;
        if !tokio::net::TcpStream::connect((host, port)).await.is_err_and(refused) {
            return error;
        }
        error.hint(format!(
            "The containers run, and nothing listens on {host}:{port} here: the engine publishes its ports on another \
             machine, as where qastack itself is in a container that has the engine's socket, or DOCKER_HOST is a \
             tunnel. Name the machine: --host tcp://HOST:PORT or --host ssh://USER@HOST; in a container, run it in the \
             machine's network (docker run --network host)."
        ))
    }

    /// The services that this run has started or found running.
    fn running_by_now(&self) -> Vec<Service> {
        let done = self.apply.finished();
        let is_started = |service| done.iter().any(|(step, _)| step.action == Action::Start(service));
        Service::ALL.into_iter().filter(|service| !self.plan.starts(*service) || is_started(*service)).collect()
    }

    async fn exporter(&self) -> Result<()> {
        let began = Instant::now();
        let service = Service::TestMetrics;
        self.apply.service(self.plan, service).await?;
        let waiting = || self.wait(service, "its first answer on /readyz");
        wait::answers(self.http, &self.exporter, "/readyz", waiting).await?;
        checkpoint::reached("ready:test-metrics").await;
        self.exporter_answers.send_replace(true);
        if let Some(step) = self.step(&Action::Reload(service)) {
            self.reload_exporter(step).await?;
        }
        self.done(service, began);
        Ok(())
    }

    async fn grafana(&self, wait_for: WaitFor) -> Result<()> {
        let began = Instant::now();
        let service = Service::Grafana;
        self.apply.service(self.plan, service).await?;
        let data = self.with.spec.names.volume("grafana-data");
        if self.apply.is_new_password() && self.before.volumes.iter().any(|volume| volume.name == data) {
            self.tell_new_password().await?;
            self.apply.password_taken().await?;
        }
        let client = self.grafana_client();
        match self.before.grafana.as_ref().filter(|looked| looked.lacking.is_empty() && !self.plan.starts(service)) {
            // It was looked at a moment ago, and nothing had to change.
            Some(looked) => looked.kept.iter().for_each(|kept| self.warn(kept.clone())),
            None => match self.configure(&client).await {
                Err(error) if error.code() == Code::GrafanaPassword => return Err(self.note_refusal(error).await),
                done => done?,
            },
        }
        self.apply.password_taken().await?;
        self.wait(service, "Prometheus");
        answered(&self.prometheus_answers).await;
        prove::data_source(&client, |trouble| self.wait(service, trouble)).await?;
        let _ = self.ready.set(self.started.elapsed().as_secs_f64());
        if wait_for == WaitFor::Proven {
            self.wait(service, "the exporter");
            answered(&self.exporter_answers).await;
            checkpoint::reached("prove").await;
            let since = self.services_started_at().await?;
            self.elsewhere(prove::sample(&client, since, |trouble| self.wait(service, trouble))).await?;
            let _ = self.proven.set(self.started.elapsed().as_secs_f64());
        }
        self.done(service, began);
        Ok(())
    }

    /// Notes a refused password, so that nobody tries it again at once.
    async fn note_refusal(&self, error: Error) -> Error {
        let name = self.with.spec.names.container(Service::Grafana);
        if let Ok(Some(container)) = self.with.engine.inspect(&name).await {
            let refusals = Refusals::of(self.with.state_directory, self.with.spec.names.project());
            refusals.note(&container.id, &self.login(), Timestamp::now());
        }
        error
    }

    /// Makes a Grafana that was started with another password take the one that was made now.
    async fn tell_new_password(&self) -> Result<()> {
        let service = Service::Grafana;
        let waiting = || self.wait(service, "its first answer on /api/health");
        self.elsewhere(wait::answers(self.http, &self.grafana_url, "/api/health", waiting)).await?;
        let password = self.with.credentials.password(self.kept_password().as_ref());
        reset_password::set(self.with.engine, &self.with.spec.names.container(service), &password).await
    }

    /// Waits until Grafana can be configured, then does so.
    async fn configure(&self, client: &grafana::Client) -> Result<()> {
        let service = Service::Grafana;
        self.wait(service, "its first answer on /api/health");
        let starting = |trouble: &grafana::GrafanaError| {
            // That nothing listens yet is what waiting is about.
            if !matches!(trouble, grafana::GrafanaError::Unreachable { .. }) {
                self.wait(service, format!("it to be ready ({trouble})"));
            }
        };
        self.elsewhere(grafana::wait_ready(client, POLL, starting)).await?;
        checkpoint::reached("ready:grafana").await;
        self.with.observer.observe(Event::Working {
            part: Service::Grafana.to_string(),
            doing: "data source, folder, dashboards".to_owned(),
        });
        let provisioned = grafana::provision(client, self.with.grafana).await?;
        for (step, took) in provisioned.steps {
            if step.call.is_none() {
                self.warn(format!("{}: {}", step.object, step.reason));
                continue;
            }
            let step = Step {
                action: Action::Provision,
                object: step.object.to_string(),
                reason: format!("{}: {}", step.action.word(), step.reason),
                service: Some(Service::Grafana),
            };
            self.apply.note(&step, took);
        }
        Ok(())
    }

    /// Makes the exporter read its settings again and sees that it did, by the hash it shows.
    async fn reload_exporter(&self, step: &Step) -> Result<()> {
        let began = Instant::now();
        self.wait(Service::TestMetrics, "its settings to be loaded");
        self.with.engine.signal(&step.object, "SIGHUP").await?;
        let wanted = self.with.spec.exporter_settings_hash();
        let work = async {
            loop {
                let ready = Ready::ask(self.http, &self.exporter).await;
                if ready.is_some_and(|ready| ready.config_sha256.as_ref() == Some(&wanted)) {
                    return;
                }
                tokio::time::sleep(POLL).await;
            }
        };
        let limit = Duration::from_secs(20);
        tokio::select! {
            () = work => {}
            error = self.waits.out_of_time(limit) => return Err(error),
        }
        self.apply.note(step, began.elapsed());
        Ok(())
    }

    /// Where people find the dashboard, which need not be the way this run gets there.
    fn dashboard(&self) -> Result<Url> {
        let published = self.with.spec.container(Service::Grafana).published;
        let base = reach::direct(self.with.engine.info(), published)?;
        Ok(self.grafana_at(base).dashboard_url(grafana::DASHBOARD_UID))
    }

    fn grafana_client(&self) -> grafana::Client {
        self.grafana_at(self.grafana_url.clone())
    }

    fn grafana_at(&self, base: Url) -> grafana::Client {
        grafana::Client::new(self.http.clone(), base, self.login())
    }

    fn login(&self) -> grafana::Login {
        let password = self.with.credentials.password(self.kept_password().as_ref());
        grafana::Login { user: self.with.credentials.user.clone(), password }
    }

    fn kept_password(&self) -> Option<Secret> {
        self.apply.secrets().remove(&SecretFile::GrafanaPassword).or_else(|| self.before.kept_password.clone())
    }

    /// When the younger of exporter and Prometheus was started, by the engine's clock: only a sample taken after that was
    /// measured by what runs now.
    async fn services_started_at(&self) -> Result<f64> {
        let mut latest = 0.0_f64;
        for service in [Service::TestMetrics, Service::Prometheus] {
            let name = self.with.spec.names.container(service);
            let container = self.with.engine.inspect(&name).await?;
            let text = container.and_then(|container| container.started_at).unwrap_or_default();
            let at: Option<Timestamp> = text.parse().ok();
            latest = latest.max(at.map_or(0.0, |at| at.as_nanosecond() as f64 / 1e9));
        }
        Ok(latest)
    }

    async fn report(&self) -> Result<UpReport> {
        let now = self.with.engine.observe(&self.with.spec.names, &[]);
        let (now, figures) = tokio::join!(now, Figures::ask(self.http, &self.exporter));
        let project = self.with.spec.names.project();
        let steps = self.apply.finished().into_iter();
        let mut warnings = self.warnings.lock().map(|warnings| warnings.clone()).unwrap_or_default();
        // Everything runs by now, so that a last look that fails takes nothing away.
        let now = match now {
            Ok(now) => Some(now),
            Err(error) => {
                warnings.push(format!("the stack is up, and a last look at its containers failed: {error}"));
                None
            }
        };
        for (service, why) in now.iter().flat_map(|now| wait::not_running(now, project)) {
            warnings.push(format!("{service} does not run any more: {why}"));
        }
        let published: Vec<Published> = self.with.spec.containers.iter().map(|container| container.published).collect();
        warnings.extend(reach::notice(self.with.engine.info(), &published));
        // Everything that runs has just answered over HTTP; the engine's own check may not have come round yet.
        let services = now.map(|now| {
            let runs = |service: Service| now.container(project, service).is_some_and(|c| c.state == State::Running);
            ServiceStatus::all(self.with.engine.info(), &now, project, Timestamp::now(), runs)
        });
        Ok(UpReport {
            steps: steps.map(|(step, took)| DoneStep { step, seconds: took.as_secs_f64() }).collect(),
            ready: self.ready.get().copied(),
            proven: self.proven.get().copied(),
            own_part: Some(self.own_part()),
            services: services.unwrap_or_default(),
            figures,
            dashboard: Some(self.dashboard()?),
            default_login: self.with.credentials.is_default(self.kept_password().as_ref()),
            warnings,
        })
    }

    /// Waits for what a service does in its own time, which is no part of ours.
    async fn elsewhere<T>(&self, wait: impl Future<Output = T>) -> T {
        self.with.engine.meter().during(wait).await
    }

    /// Our own part so far.
    fn own_part(&self) -> f64 {
        let (began, connecting) = self.with.began;
        began.elapsed().saturating_sub(connecting).saturating_sub(self.with.engine.meter().total()).as_secs_f64()
    }

    fn step(&self, action: &Action) -> Option<&'a Step> {
        self.plan.steps.iter().find(|step| step.action == *action)
    }

    fn wait(&self, service: Service, until: impl Into<String>) {
        self.waits.set(self.with.observer, service, until);
    }

    fn done(&self, service: Service, began: Instant) {
        self.waits.clear(service);
        let result = if self.plan.of(service).next().is_none() { "unchanged" } else { "ready" };
        let (part, result) = (service.to_string(), result.to_owned());
        self.with.observer.observe(Event::Done { part, result, took: began.elapsed() });
    }

    fn warn(&self, text: String) {
        if let Ok(mut warnings) = self.warnings.lock() {
            warnings.push(text);
        }
    }
}

/// Waits until a service has answered; the sender lives as long as the run.
async fn answered(service: &watch::Sender<bool>) {
    let _ = service.subscribe().wait_for(|answers| *answers).await;
}
