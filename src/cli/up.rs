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
use crate::lifecycle::{self, Cancel, Lock, Up, UpOptions, UpReport, WaitFor};
use crate::output::{Answer, Style};
use crate::settings::{BUILD, StackSettings};
use crate::stack::{EmbeddedSpec, Names, PullPolicy, Service, StackSpec, sha256};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Wait {
    Ready,
    Proven,
}

/// Brings the stack up.
pub async fn run(arguments: UpArgs, context: &Context) -> Result<Answer> {
    let settings = stack::load_settings(context)?.settings;
    let cancel = context.cancel("up", &settings.project)?;
    let _lock = Lock::acquire(&lifecycle::state_directory(), &settings.project, "up")?;
    cancel.or(checkpoint::passed("lock")).await?;
    let (engine, program) = tokio::try_join!(cancel.or(stack::engine(context, &settings)), Program::read(&settings))?;
    let run = Run { arguments: &arguments, context, settings: &settings, cancel: &cancel };
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
        let credentials = stack::credentials(settings, context.globals.file.as_deref())?;
        let left = self.leave_embedded().await?;
        let spec = StackSpec { pull: self.arguments.pull.into(), ..StackSpec::new(settings, &program.tag) };
        let grafana = grafana_spec(settings)?;
        let executable = || Ok(Arc::clone(&program.bytes));
        let up = Up {
            engine,
            spec: &spec,
            grafana: &grafana,
            credentials: &credentials,
            executable: &executable,
            observer: &context.output,
            cancel: self.cancel,
            state_directory: &lifecycle::state_directory(),
        };
        let mut report = lifecycle::up(up, self.options()).await?;
        report.warnings.extend(left);
        Ok(answer(report, self.arguments, &engine.info().address, settings, context.output.style()))
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

    async fn embedded(&self, engine: &EmbeddedEngine, why: Why, program: Program) -> Result<Answer> {
        // It runs this program even where the settings name another image for containers.
        let program = if program.tag.is_empty() { Program::read_executable().await? } else { program };
        let path = |path: std::path::PathBuf| path.display().to_string();
        let (config, data, token) = (path(engine.config()), path(engine.data()), path(engine.admin_token()));
        let spec = EmbeddedSpec::new(self.settings, &program.tag, &config, &data, &token);
        let output = &self.context.output;
        let set_aside = self.arguments.set_aside_damaged_store;
        let if_damaged = if set_aside { IfDamaged::SetAside } else { IfDamaged::Refuse };
        let up = lifecycle::embedded::Up { engine, spec: &spec, observer: output, cancel: self.cancel, if_damaged };
        let mut report = lifecycle::embedded::up(up, self.options()).await?;
        report.warnings.extend(notice(why));
        Ok(answer(report, self.arguments, &engine.info().address, self.settings, output.style()))
    }
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
        "timings": { "ready": report.ready, "proven": report.proven },
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
        let password = if report.default_login { "admin" } else { "the one you set" };
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
    }
    let state = match (report.proven, report.steps.is_empty()) {
        (Some(proven), true) => format!("unchanged, proven in {proven:.1} s"),
        (Some(_), false) => format!("ready in {}, proven in {}", seconds(report.ready), seconds(report.proven)),
        (None, _) => format!("ready in {}", seconds(report.ready)),
    };
    let _ = writeln!(text, "State         {}", style.good(&state));
    text
}
