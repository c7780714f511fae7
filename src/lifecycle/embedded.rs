//! `up`, `down` and `status` without a container engine: the exporter alone, as one process of this machine.
//!
//! The same reports as with containers, so that people and scripts read one thing; what is not there is none.

use super::event::{Event, Observer};
use super::ports::{ChosenPorts, PortWishes, Trouble};
use super::ready::Ready;
use super::report::planned;
use super::wait::Waits;
use super::{
    Access, Cancel, DoneStep, DownReport, Figures, ServiceStatus, StatusReport, UpOptions, UpReport, WaitFor, ports,
    reach, secrets,
};
use crate::engine::embedded::{EmbeddedEngine, Started};
use crate::engine::ports::{Port, try_port};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::data_dir::IfDamaged;
use crate::settings::{Ports, Published};
use crate::stack::{
    Action, EmbeddedObserved, EmbeddedSpec, EmbeddedState, KeepOrRemove, PickedPort, Plan, Remembered, Service, Step,
    plan_embedded_down, plan_embedded_up,
};
use jiff::Timestamp;
use std::process::ExitStatus;
use std::time::{Duration, Instant};
use url::Url;

/// The only service there is.
const SERVICE: Service = Service::TestMetrics;

/// How long the exporter may take to end well; as long as it has in a container.
const STOP_TIME_OUT: Duration = Duration::from_secs(10);

/// How often a process that was just started is asked: it is ready within some hundredths of a second.
const NEXT_LOOK: Duration = Duration::from_millis(4);

/// Everything an `up` works with.
pub struct Up<'a> {
    /// The process and its files.
    pub engine: &'a EmbeddedEngine,
    /// What should run.
    pub spec: &'a EmbeddedSpec,
    /// Where events go.
    pub observer: &'a dyn Observer,
    /// Whether the run is to end.
    pub cancel: &'a Cancel,
    /// What becomes of a damaged store.
    pub if_damaged: IfDamaged,
}

/// Brings the exporter up and proves that it shows figures.
///
/// # Errors
/// Its port is taken, its directory cannot be used, or it dies or is not ready in time.
pub async fn up(with: Up<'_>, options: UpOptions) -> Result<UpReport> {
    let began = Instant::now();
    let http = reach::http_client()?;
    let before = look(with.engine, &http).await?;
    let plan = plan_embedded_up(with.spec, &before);
    if options.dry_run {
        let trouble = port_trouble(with.spec, &plan, &before);
        return Ok(planned(plan, trouble.iter().map(Trouble::in_words).collect()));
    }
    ports::refuse(port_trouble(with.spec, &plan, &before).as_slice())?;
    let mut run = Run {
        url: reach::direct(with.engine.info(), with.spec.listen)?,
        with: &with,
        http: &http,
        waits: Waits::default(),
        started: None,
        done: Vec::new(),
        began,
    };
    match run.finish(&plan, options).await {
        Ok(report) => Ok(report),
        Err(error) => {
            if run.started.is_some() && !options.keep_on_failure {
                undo(with.engine, &before).await;
            }
            Err(error)
        }
    }
}

/// Stops what this run has started; the error that is told is the one that made it necessary.
async fn undo(engine: &EmbeddedEngine, before: &EmbeddedObserved) {
    if engine.stop(STOP_TIME_OUT).await.is_ok() && before.state == EmbeddedState::Missing {
        let _ = engine.forget();
    }
}

/// What is there, and which settings are in force where the exporter answers.
async fn look(engine: &EmbeddedEngine, http: &reqwest::Client) -> Result<EmbeddedObserved> {
    let mut observed = engine.observe()?;
    let record = observed.record.as_ref().filter(|_| observed.state == EmbeddedState::Running);
    if let Some(record) = record {
        let url = reach::direct(engine.info(), record.listen)?;
        observed.config_in_force = Ready::ask(http, &url).await.and_then(|ready| ready.config_sha256);
    }
    Ok(observed)
}

fn port_trouble(spec: &EmbeddedSpec, plan: &Plan, before: &EmbeddedObserved) -> Option<Trouble> {
    if plan.starts(SERVICE) { trouble(spec.listen, before) } else { None }
}

/// Why a port cannot be had. Our own process frees its port before it is needed again; where none is written down, it
/// may be this one.
fn trouble(listen: Published, before: &EmbeddedObserved) -> Option<Trouble> {
    let is_ours = before.state == EmbeddedState::Running
        && before.record.as_ref().is_none_or(|record| record.listen.port == listen.port);
    match try_port(listen) {
        _ if is_ours => None,
        Port::Free => None,
        Port::Taken => Some(Trouble::process(SERVICE, listen)),
        Port::NoSuchAddress => Some(Trouble::no_such_address(SERVICE, listen)),
    }
}

/// Where the exporter is published in the end: where the settings ask, or where it was picked before, or on a free port
/// in the place of a taken one where that is wished.
///
/// # Errors
/// The project's directory cannot be used, or no port is free.
pub fn choose_port(engine: &EmbeddedEngine, asked: &Ports, wishes: &PortWishes) -> Result<ChosenPorts> {
    let remembered = engine.remembered().map(|labels| Remembered::from_labels(&labels))?;
    let mut chosen = ChosenPorts { ports: asked.clone(), remembered, notes: Vec::new() };
    chosen.remembered.apply_to(&mut chosen.ports, &wishes.named);
    let wanted = chosen.ports.test_metrics;
    let before = engine.observe()?;
    if let (true, Some(taken)) = (wishes.auto, trouble(wanted, &before)) {
        let free = ports::candidates(wanted.port).map(|port| Published { port, ..wanted });
        let Some(picked) = free.into_iter().find(|port| try_port(*port) == Port::Free) else {
            return ports::refuse(&[taken]).map(|()| chosen);
        };
        chosen.notes.push(format!("{}; {SERVICE} is on {} from now on", taken.in_words(), picked.port));
        chosen.ports.test_metrics = picked;
        chosen.remembered.ports.insert(SERVICE, PickedPort { asked: asked.test_metrics, picked });
    }
    Ok(chosen)
}

/// One `up` under way.
struct Run<'a> {
    with: &'a Up<'a>,
    http: &'a reqwest::Client,
    url: Url,
    waits: Waits,
    started: Option<Started>,
    done: Vec<DoneStep>,
    began: Instant,
}

impl Run<'_> {
    async fn finish(&mut self, plan: &Plan, options: UpOptions) -> Result<UpReport> {
        for step in &plan.steps {
            self.with.cancel.check()?;
            let began = Instant::now();
            self.with.observer.observe(Event::Working { part: SERVICE.to_string(), doing: step.action.phrase() });
            self.act(step).await?;
            self.done.push(DoneStep { step: step.clone(), seconds: began.elapsed().as_secs_f64() });
        }
        let cancel = self.with.cancel;
        cancel.or(self.within(options.time_out)).await?;
        let ready = self.began.elapsed().as_secs_f64();
        // From the process whose settings have just been seen in force.
        let figures = cancel.or(async { Ok(Figures::ask(self.http, &self.url).await) }).await?;
        let proven = match (options.wait_for, figures) {
            (WaitFor::Ready, _) => None,
            (WaitFor::Proven, Some(_)) => Some(self.began.elapsed().as_secs_f64()),
            (WaitFor::Proven, None) => {
                let message = format!("{SERVICE} is ready and shows no figures on {}metrics", self.url);
                return Err(Error::new(Code::NotReady, message).hint(self.where_the_log_is()));
            }
        };
        let result = if plan.is_empty() { "unchanged" } else { "ready" };
        let (part, result) = (SERVICE.to_string(), result.to_owned());
        self.with.observer.observe(Event::Done { part, result, took: self.began.elapsed() });
        let now = self.with.engine.observe()?;
        Ok(UpReport {
            steps: std::mem::take(&mut self.done),
            ready: Some(ready),
            proven,
            own_part: None,
            services: vec![service(self.with.engine, &now, figures.is_some())],
            figures,
            dashboard: None,
            default_login: false,
            warnings: Vec::new(),
        })
    }

    async fn act(&mut self, step: &Step) -> Result<()> {
        let (engine, spec) = (self.with.engine, self.with.spec);
        match &step.action {
            Action::Stop(_) => engine.stop(STOP_TIME_OUT).await,
            Action::PutFiles(..) => engine.put_config(&spec.config.contents),
            Action::EnsureSecrets(_) => engine.put_admin_token(secrets::random()?.expose()),
            Action::Start(_) => {
                self.started = Some(engine.start(spec, self.with.if_damaged)?);
                Ok(())
            }
            Action::Reload(_) => engine.reload(),
            other => Err(Error::new(Code::Unexpected, format!("the step {} is no process'", other.word()))),
        }
    }

    async fn within(&mut self, limit: Duration) -> Result<()> {
        let waits = std::mem::take(&mut self.waits);
        tokio::select! {
            done = self.settings_in_force(&waits) => done,
            late = waits.out_of_time(limit) => Err(late),
        }
    }

    /// Waits until the exporter is ready with the settings it was given, or has ended. Another program that answers
    /// at its address does not have these settings: its own directory is named in them.
    async fn settings_in_force(&mut self, waits: &Waits) -> Result<()> {
        let wanted = self.with.spec.config_hash();
        waits.set(self.with.observer, SERVICE, "its first answer on /readyz");
        loop {
            if let Some(error) = self.death()? {
                return Err(error);
            }
            match Ready::ask(self.http, &self.url).await {
                Some(ready) if ready.config_sha256.as_ref() == Some(&wanted) => return Ok(()),
                Some(Ready { config_error: Some(why), .. }) => {
                    waits.set(self.with.observer, SERVICE, format!("its settings to be loaded ({why})"));
                }
                Some(_) => waits.set(self.with.observer, SERVICE, "its settings to be loaded"),
                None => {}
            }
            tokio::time::sleep(NEXT_LOOK).await;
        }
    }

    /// The error that tells how the process ended, where it has.
    fn death(&mut self) -> Result<Option<Error>> {
        if let Some(started) = &mut self.started {
            let Some(how) = started.ended() else { return Ok(None) };
            return Ok(Some(why_it_died(how, &started.last_lines(), &self.where_the_log_is())));
        }
        Ok(match self.with.engine.observe()?.state {
            EmbeddedState::Running => None,
            EmbeddedState::Missing => Some(Error::new(Code::NotReady, format!("{SERVICE} was taken down meanwhile"))),
            EmbeddedState::Exited(why) => {
                let error = Error::new(Code::NotReady, format!("{SERVICE} is not running: {why}"));
                Some(error.hint("Run qastack up again: it starts it anew.").retryable())
            }
        })
    }

    fn where_the_log_is(&self) -> String {
        format!("Its whole log is {}.", self.with.engine.log().display())
    }
}

/// The error of a process that ended while it started: its own where its exit code tells one, else what it wrote last.
fn why_it_died(how: ExitStatus, lines: &[String], log: &str) -> Error {
    let own = how.code().and_then(|code| u8::try_from(code).ok()).and_then(Code::of_a_start);
    let said = |word: &str| lines.iter().rev().find_map(|line| line.strip_prefix(word));
    if let (Some(code), Some(message)) = (own, said("error: ")) {
        let hint = said("hint: ").map_or_else(|| log.to_owned(), |hint| format!("{hint} {log}"));
        return Error::new(code, format!("{SERVICE} does not start: {message}")).hint(hint);
    }
    let mut message = format!("{SERVICE} died while it started: {how}");
    for line in lines {
        message.push_str("\n  ");
        message.push_str(line);
    }
    Error::new(Code::NotReady, message).hint(log)
}

/// Plans a `down`; with it comes the data that stays.
///
/// # Errors
/// The directory cannot be read.
pub fn plan_down(engine: &EmbeddedEngine, data: KeepOrRemove) -> Result<(Plan, Vec<String>)> {
    let observed = engine.observe()?;
    let kept = if data == KeepOrRemove::Keep { observed.data.clone() } else { None };
    Ok((plan_embedded_down(&observed, data), kept.into_iter().collect()))
}

/// Carries out a plan of [`plan_down`].
///
/// # Errors
/// The process does not end, or its data cannot be removed.
pub async fn down(
    engine: &EmbeddedEngine,
    plan: Plan,
    kept_volumes: Vec<String>,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<DownReport> {
    let mut steps = Vec::new();
    for step in plan.steps {
        cancel.check()?;
        let began = Instant::now();
        let part = step.service.map_or_else(|| step.object.clone(), |service| service.to_string());
        observer.observe(Event::Working { part: part.clone(), doing: step.action.phrase() });
        match &step.action {
            Action::Stop(_) => stop(engine).await?,
            Action::RemoveVolume(_) => engine.remove()?,
            other => return Err(Error::new(Code::Unexpected, format!("the step {} is no process'", other.word()))),
        }
        observer.observe(Event::Done { part, result: "removed".to_owned(), took: began.elapsed() });
        steps.push(DoneStep { step, seconds: began.elapsed().as_secs_f64() });
    }
    Ok(DownReport { steps, kept_volumes })
}

/// Stops the process and forgets that the project runs here; its data stays.
///
/// # Errors
/// The process does not end.
pub async fn stop(engine: &EmbeddedEngine) -> Result<()> {
    engine.stop(STOP_TIME_OUT).await?;
    engine.forget()
}

/// Looks at the process and asks it for its figures.
///
/// # Errors
/// The directory cannot be read.
pub async fn status(engine: &EmbeddedEngine, project: &str) -> Result<StatusReport> {
    let observed = engine.observe()?;
    let figures = match observed.record.as_ref().filter(|_| observed.state == EmbeddedState::Running) {
        Some(record) => Figures::ask(&reach::http_client()?, &reach::direct(engine.info(), record.listen)?).await,
        None => None,
    };
    let mut troubles = Vec::new();
    match &observed.state {
        EmbeddedState::Exited(why) => troubles.push(format!("{SERVICE} is not running: {why}")),
        EmbeddedState::Running if figures.is_none() => {
            troubles.push("the exporter does not answer with metrics".to_owned());
        }
        EmbeddedState::Running | EmbeddedState::Missing => {}
    }
    Ok(StatusReport {
        project: project.to_owned(),
        engine: engine.info().kind,
        services: vec![service(engine, &observed, figures.is_some())],
        target: None,
        data_source: None,
        figures,
        troubles,
        warnings: Vec::new(),
    })
}

/// Where the exporter is and the token that opens it; none where the project was not brought up here.
///
/// # Errors
/// The directory cannot be read.
pub fn access(engine: &EmbeddedEngine) -> Result<Option<Access>> {
    let Some(record) = engine.observe()?.record else { return Ok(None) };
    Ok(Some(Access { url: reach::direct(engine.info(), record.listen)?, token: engine.read_admin_token()? }))
}

fn service(engine: &EmbeddedEngine, observed: &EmbeddedObserved, answers: bool) -> ServiceStatus {
    let running = observed.state == EmbeddedState::Running;
    let record = observed.record.as_ref();
    let url = record.and_then(|record| reach::direct(engine.info(), record.listen).ok());
    let uptime =
        record.map(|record| Timestamp::now().duration_since(record.started_at).as_secs().max(0).unsigned_abs());
    ServiceStatus {
        name: SERVICE.name(),
        state: match observed.state {
            EmbeddedState::Missing => "missing",
            EmbeddedState::Exited(_) => "exited",
            EmbeddedState::Running => "running",
        },
        health: match (running, answers) {
            (true, true) => "healthy",
            (true, false) => "unhealthy",
            (false, _) => "none",
        }
        .to_owned(),
        url: url.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        image: None,
        uptime_seconds: uptime.filter(|_| running),
        reason: match &observed.state {
            EmbeddedState::Exited(why) => Some(why.clone()),
            EmbeddedState::Missing | EmbeddedState::Running => None,
        },
    }
}
