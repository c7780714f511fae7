//! `qastack up`: bring the stack up, configure it, prove it.

use super::stack::{ChosenEngine, Why};
use super::{Context, stack};
use crate::checkpoint;
use crate::engine::Engine;
use crate::engine::docker::DockerEngine;
use crate::engine::embedded::EmbeddedEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::data_dir::IfDamaged;
use crate::grafana::GrafanaSpec;
use crate::lifecycle::{self, Cancel, Credentials, Lock, PortWishes, Up, UpOptions, UpReport, WaitFor};
use crate::output::{Answer, Style};
use crate::settings::{BUILD, Origin, Override, StackSettings};
use crate::stack::{EmbeddedSpec, Names, PullPolicy, Service, StackSpec, sha256};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fmt::Write;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use url::Url;

/// Bring the stack up, configure Grafana, and prove that it shows what is measured
#[derive(Debug, Args)]
pub struct UpArgs {
    /// How far to wait: until Grafana is configured, or until it shows a sample of the stack that runs now
    #[arg(long, value_name = "STATE", default_value = "proven")]
    wait: Wait,
    /// Say what would be done and why, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Say how long each step took
    #[arg(long)]
    timings: bool,
    /// Publish a service elsewhere than the settings say: SERVICE=PORT, or SERVICE=ADDRESS:PORT
    #[arg(long = "port", value_name = "SERVICE=PORT")]
    ports: Vec<PortFlag>,
    /// In the place of ports that are taken pick free ones, and stay with them until the settings or --port say otherwise
    #[arg(long)]
    auto_port: bool,
    /// Make a password for Grafana where it has the default one; qastack status --show-secrets shows it
    #[arg(long)]
    generate_password: bool,
    /// Seconds the services may take to be ready; pulls are not counted
    #[arg(long, value_name = "SECONDS", default_value_t = 120, value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// After a failure, leave what was made for a look
    #[arg(long)]
    keep_on_failure: bool,
    /// Without containers: keep a damaged store under another name and begin with an empty one
    #[arg(long)]
    set_aside_damaged_store: bool,
    /// When images are pulled: where they are not there, each time, or not at all
    #[arg(long, value_name = "WHEN", default_value = "missing")]
    pull: Pull,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Pull {
    Missing,
    Always,
    Never,
}

impl From<Pull> for PullPolicy {
    fn from(pull: Pull) -> Self {
        match pull {
            Pull::Missing => Self::Missing,
            Pull::Always => Self::Always,
            Pull::Never => Self::Never,
        }
    }
}

/// `grafana=3001`: a service, and where it is to be published, in the words of the settings.
#[derive(Debug, Clone)]
struct PortFlag {
    service: Service,
    published: String,
}

impl FromStr for PortFlag {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, published) = text.split_once('=').ok_or("write SERVICE=PORT, such as grafana=3001")?;
        let service = Service::from_name(name).ok_or_else(|| {
            let all = Service::ALL.map(Service::name).join(", ");
            format!("`{name}` is no service; there are {all}")
        })?;
        Ok(Self { service, published: published.to_owned() })
    }
}

impl UpArgs {
    fn overrides(&self) -> Vec<Override> {
        let ports = self.ports.iter().map(|flag| Override {
            path: format!("ports.{}", flag.service),
            value: flag.published.clone(),
            origin: Origin::Flag("--port"),
        });
        ports.collect()
    }

    fn port_wishes(&self) -> PortWishes {
        PortWishes { named: self.ports.iter().map(|flag| flag.service).collect(), auto: self.auto_port }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    Ready,
    Proven,
}

/// Brings the stack up.
pub async fn run(arguments: UpArgs, context: &Context) -> Result<Answer> {
    let began = Instant::now();
    let settings = stack::load_settings_with(context, arguments.overrides())?.settings;
    let cancel = context.cancel("up", &settings.project)?;
    let _lock = Lock::acquire(&lifecycle::state_directory(), &settings.project, "up")?;
    cancel.or(checkpoint::passed("lock")).await?;
    let connect = async {
        let asked = Instant::now();
        let engine = cancel.or(stack::engine(context, &settings)).await?;
        Ok((engine, asked.elapsed()))
    };
    let ((engine, connecting), program) = tokio::try_join!(connect, Program::read(&settings))?;
    let began = (began, connecting);
    let run = Run { arguments: &arguments, context, settings: &settings, cancel: &cancel, began };
    match engine {
        ChosenEngine::Docker(engine) => run.on_docker(&engine, &program).await,
        ChosenEngine::Embedded(engine, why) => run.embedded(&engine, why, program).await,
    }
}

/// What an `up` was asked for.
struct Run<'a> {
    arguments: &'a UpArgs,
    context: &'a Context,
    settings: &'a StackSettings,
    cancel: &'a Cancel,
    /// When it began, and how long it took until the engine answered.
    began: (Instant, Duration),
}

impl Run<'_> {
    fn options(&self) -> UpOptions {
        UpOptions {
            wait_for: if self.arguments.wait == Wait::Ready { WaitFor::Ready } else { WaitFor::Proven },
            dry_run: self.arguments.dry_run,
            keep_on_failure: self.arguments.keep_on_failure,
            time_out: Duration::from_secs(self.arguments.timeout),
        }
    }

    async fn on_docker(&self, engine: &DockerEngine, program: &Program) -> Result<Answer> {
        if self.arguments.set_aside_damaged_store {
            let container = Names::new(&self.settings.project).container(Service::TestMetrics);
            let message = "--set-aside-damaged-store is for an exporter without containers";
            return Err(Error::new(Code::Usage, message).hint(format!(
                "In containers: docker stop {container}, docker run --rm --volumes-from {container} with its image and \
                 serve --set-aside-damaged-store until it says ready, then qastack up."
            )));
        }
        let (settings, context) = (self.settings, self.context);
        let credentials = self.credentials()?;
        let wishes = self.arguments.port_wishes();
        let meant = self.cancel.or(stack::meant(engine, settings, credentials, &wishes)).await?;
        let (settings, credentials) = (&meant.settings, &meant.credentials);
        credentials.refuse_guessable(settings.ports.grafana)?;
        let left = self.leave_embedded().await?;
        let spec = StackSpec { pull: self.arguments.pull.into(), ..meant.spec(&program.tag) };
        let grafana = grafana_spec(settings)?;
        let executable = || Ok(Arc::clone(&program.bytes));
        let up = Up {
            engine,
            spec: &spec,
            grafana: &grafana,
            credentials,
            executable: &executable,
            observer: &context.output,
            cancel: self.cancel,
            state_directory: &lifecycle::state_directory(),
            began: self.began,
        };
        let mut report = lifecycle::up(up, self.options()).await?;
        report.warnings.extend(left);
        report.warnings.extend(meant.notes.clone());
        Ok(answer(report, self.arguments, &engine.info().address, settings, context.output.style()))
    }

    fn credentials(&self) -> Result<Credentials> {
        let credentials = stack::credentials(self.settings, self.context.globals.file.as_deref())?;
        if self.arguments.generate_password && credentials.password.is_some() {
            let message = "--generate-password: grafana.admin_password_file names a password already";
            return Err(Error::new(Code::SettingsInvalid, message).hint("Leave out one of the two."));
        }
        Ok(Credentials { generate: self.arguments.generate_password, ..credentials })
    }

    /// Stops what ran without containers so far, so that its port is free; returns what is to be known of it.
    async fn leave_embedded(&self) -> Result<Option<String>> {
        let before = stack::embedded(self.settings);
        if self.arguments.dry_run || !before.is_remembered() {
            return Ok(None);
        }
        lifecycle::embedded::stop(&before).await?;
        let data = before.data();
        Ok(Some(format!("the exporter that ran without containers was stopped; its data stays in {}", data.display())))
    }

    fn not_for_embedded(&self) -> Vec<String> {
        let ports = self.arguments.ports.iter().filter(|flag| flag.service != Service::TestMetrics);
        let ports = ports.map(|flag| unused(&format!("--port for {}", flag.service)));
        let pull = (self.arguments.pull != Pull::Missing).then(|| unused("--pull"));
        ports.chain(pull).collect()
    }

    async fn embedded(&self, engine: &EmbeddedEngine, why: Why, program: Program) -> Result<Answer> {
        // It runs this program even where the settings name another image for containers.
        let program = if program.tag.is_empty() { Program::read_executable().await? } else { program };
        let path = |path: std::path::PathBuf| path.display().to_string();
        let chosen = lifecycle::embedded::choose_port(engine, &self.settings.ports, &self.arguments.port_wishes())?;
        if !self.arguments.dry_run {
            engine.remember(&chosen.remembered.labels())?;
        }
        let settings = &StackSettings { ports: chosen.ports, ..self.settings.clone() };
        let (config, data, token) = (path(engine.config()), path(engine.data()), path(engine.admin_token()));
        let spec = EmbeddedSpec::new(settings, &program.tag, &config, &data, &token);
        let output = &self.context.output;
        let set_aside = self.arguments.set_aside_damaged_store;
        let if_damaged = if set_aside { IfDamaged::SetAside } else { IfDamaged::Refuse };
        let up = lifecycle::embedded::Up { engine, spec: &spec, observer: output, cancel: self.cancel, if_damaged };
        let mut report = lifecycle::embedded::up(up, self.options()).await?;
        report.warnings.extend(notice(why));
        report.warnings.extend(self.not_for_embedded());
        if self.arguments.generate_password {
            report.warnings.push("no password was made: without containers there is no Grafana".to_owned());
        }
        report.warnings.extend(chosen.notes);
        Ok(answer(report, self.arguments, &engine.info().address, self.settings, output.style()))
    }
}

/// What was asked for and is not done without containers.
fn unused(what: &str) -> String {
    format!("{what} changes nothing: without containers there are neither Prometheus nor Grafana, nor images")
}

/// What somebody should know who did not ask for a stack without containers.
fn notice(why: Why) -> Option<String> {
    let whole = "the whole stack, with Prometheus and Grafana, needs a Docker engine:";
    match why {
        Why::Named => None,
        Why::NoEngine => Some(format!(
            "no container engine is on this machine, so only the exporter runs, with its page; {whole} \
             install and start one, then qastack up --engine docker"
        )),
        Why::Remembered => Some(format!(
            "only the exporter runs, as this project was brought up without containers before; {whole} \
             qastack up --engine docker"
        )),
    }
}

/// This program as the exporter's image would hold it; nothing where another image is named.
pub(super) struct Program {
    pub(super) bytes: Arc<Vec<u8>>,
    pub(super) tag: String,
}

impl Program {
    pub(super) async fn read(settings: &StackSettings) -> Result<Self> {
        if settings.images.test_metrics != BUILD {
            return Ok(Self { bytes: Arc::default(), tag: String::new() });
        }
        Self::read_executable().await
    }

    pub(super) async fn read_executable() -> Result<Self> {
        let read = tokio::task::spawn_blocking(|| {
            let bytes = std::env::current_exe().and_then(std::fs::read)?;
            // Twelve digits tell any two builds apart.
            let tag = sha256(&bytes).chars().take(12).collect();
            Ok(Self { bytes: Arc::new(bytes), tag })
        });
        let unreadable = |cause: std::io::Error| {
            Error::new(Code::ImageUnavailable, format!("cannot read this program to run the exporter: {cause}"))
                .hint("Name an image under images.test-metrics in qastack.yaml.")
        };
        read.await.map_err(std::io::Error::other).and_then(|read| read).map_err(unreadable)
    }
}

pub(super) fn grafana_spec(settings: &StackSettings) -> Result<GrafanaSpec> {
    let address = format!("http://{}:{}", Service::Prometheus, Service::Prometheus.container_port());
    let unexpected = |cause: String| Error::new(Code::Unexpected, cause);
    let url = Url::parse(&address).map_err(|cause| unexpected(cause.to_string()))?;
    GrafanaSpec::shipped(url, settings.scrape_interval.as_duration()).map_err(|cause| unexpected(cause.to_string()))
}

fn answer(report: UpReport, arguments: &UpArgs, engine: &str, settings: &StackSettings, style: Style) -> Answer {
    let text = if arguments.dry_run { dry_run(&report, style) } else { summary(&report, arguments, settings, style) };
    let data = json!({
        "dry_run": arguments.dry_run,
        "engine": engine,
        "steps": report.steps,
        "timings": { "ready": report.ready, "proven": report.proven, "overhead": report.own_part },
        "services": report.services,
        "figures": report.figures,
        "dashboard": report.dashboard.as_ref().map(Url::as_str),
    });
    Answer { data, text, warnings: report.warnings, verdict: None }
}

fn dry_run(report: &UpReport, style: Style) -> String {
    if report.steps.is_empty() {
        return "nothing to do: the stack is as it should be".to_owned();
    }
    let width = report.steps.iter().map(|done| done.step.action.phrase().len() + done.step.object.len()).max();
    let width = width.unwrap_or_default() + 3;
    let lines = report.steps.iter().map(|done| {
        let what = format!("{} {}", done.step.action.phrase(), done.step.object);
        format!("{what:<width$}{}", style.faint(&done.step.reason))
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn summary(report: &UpReport, arguments: &UpArgs, settings: &StackSettings, style: Style) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    if let Some(dashboard) = &report.dashboard {
        let password = match (report.default_login, &settings.grafana.admin_password_file) {
            (true, _) => "admin",
            (false, Some(_)) => "the one you set",
            (false, None) => "as qastack status --show-secrets shows it",
        };
        let login = format!("(login {}, password {password})", settings.grafana.admin_user);
        let _ = writeln!(text, "Grafana       {}  {}", style.strong(dashboard.as_str()), style.faint(&login));
    }
    if let (None, [exporter]) = (&report.dashboard, report.services.as_slice()) {
        let _ = writeln!(text, "Page          {}", style.strong(exporter.url.as_deref().unwrap_or("-")));
    }
    for service in report.services.iter().filter(|service| service.name != Service::Grafana.name()) {
        let label = if service.name == Service::Prometheus.name() { "Prometheus" } else { "Metrics" };
        let path = if service.name == Service::TestMetrics.name() { "/metrics" } else { "" };
        let address =
            service.url.as_ref().map_or_else(|| "on the engine's machine".to_owned(), |url| format!("{url}{path}"));
        let _ = writeln!(text, "{label:<13} {address}");
    }
    if let Some(figures) = &report.figures {
        let _ = writeln!(text, "Figures       {}", style.strong(&figures.in_words()));
    }
    let seconds = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1} s"));
    if arguments.timings {
        text.push('\n');
        for done in &report.steps {
            let _ = writeln!(text, "{:>8.3} s  {} {}", done.seconds, done.step.action.phrase(), done.step.object);
        }
        if let Some(own) = report.own_part {
            let _ =
                writeln!(text, "{own:>8.3} s  our own part: all but the engine, Grafana's start and the first scrape");
        }
    }
    let state = match (report.proven, report.steps.is_empty()) {
        (Some(proven), true) => format!("unchanged, proven in {proven:.1} s"),
        (Some(_), false) => format!("ready in {}, proven in {}", seconds(report.ready), seconds(report.proven)),
        (None, _) => format!("ready in {}", seconds(report.ready)),
    };
    let _ = writeln!(text, "State         {}", style.good(&state));
    text
}
