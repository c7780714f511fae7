//! The command line: one file a command, each with its flags and one `run`.
//!
//! A command returns an [`Answer`]; it never prints and never ends the process. What was typed becomes what
//! is meant in `settings`; what happens is told as events to `output`.

mod backup;
mod completions;
mod config;
mod doctor;
mod down;
mod explain;
mod exporter;
mod gate;
mod grafana;
mod healthcheck;
mod images;
mod import;
mod logs;
mod moving;
mod open;
mod push;
mod relay;
mod render;
mod restore;
mod serve;
mod stack;
mod status;
mod token;
mod up;
mod validate;

use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::lifecycle::event::{Event, Observer};
use crate::lifecycle::{self, Cancel};
use crate::output::{Answer, Format, Output};
use crate::settings::EngineChoice;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

/// One command that gives a team its QA figures: a test-metrics exporter, Prometheus and Grafana.
#[derive(Debug, Parser)]
#[command(name = "qastack", version, max_term_width = 100)]
struct CommandLine {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Globals {
    /// Settings file [default: qastack.yaml, where there is one]
    #[arg(long, short = 'f', global = true, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Name of the stack; everything it makes on the engine carries it
    #[arg(long, short = 'p', global = true, value_name = "NAME")]
    pub project: Option<String>,
    /// What runs the stack [default: auto, Docker where an engine answers, else the exporter alone]
    #[arg(long, global = true, value_name = "ENGINE")]
    pub engine: Option<EngineChoice>,
    /// Address of the Docker engine: unix://PATH, tcp://HOST:PORT or ssh://[USER@]HOST
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub host: Option<String>,
    /// Docker context to use
    #[arg(long, global = true, value_name = "NAME")]
    pub context: Option<String>,
    /// Print one JSON document on stdout instead of words
    #[arg(long, global = true)]
    pub json: bool,
    /// Print only the result, no progress
    #[arg(long, short = 'q', global = true)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Up(up::UpArgs),
    Status(status::StatusArgs),
    Down(down::DownArgs),
    Logs(logs::LogsArgs),
    Open(open::OpenArgs),
    Doctor(doctor::DoctorArgs),
    Images(images::ImagesArgs),
    Push(Box<push::PushArgs>),
    Import(import::ImportArgs),
    Gate(Box<gate::GateArgs>),
    Grafana(grafana::GrafanaArgs),
    Explain(explain::ExplainArgs),
    Token(token::TokenArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Render(render::RenderArgs),
    Serve(serve::ServeArgs),
    Healthcheck(healthcheck::HealthcheckArgs),
    Validate(validate::ValidateArgs),
    Config(config::ConfigArgs),
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Relay(relay::RelayArgs),
}

impl Context {
    /// Listens to signals for a command that works on a project's objects.
    fn cancel(&self, command: &'static str, project: &str) -> Result<Cancel> {
        let mut cleanup = format!("qastack down --project {project}");
        for (flag, value) in [("--host", &self.globals.host), ("--context", &self.globals.context)] {
            if let Some(value) = value {
                cleanup = format!("{cleanup} {flag} {value}");
            }
        }
        Cancel::on_signals(LastWords { command, output: self.output.clone(), cleanup })
    }
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Up(_) => "up",
            Self::Status(_) => "status",
            Self::Down(_) => "down",
            Self::Logs(_) => "logs",
            Self::Open(_) => "open",
            Self::Doctor(_) => "doctor",
            Self::Images(_) => "images",
            Self::Push(_) => "push",
            Self::Import(_) => "import",
            Self::Gate(_) => "gate",
            Self::Grafana(_) => "grafana",
            Self::Explain(_) => "explain",
            Self::Token(_) => "token",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Render(_) => "render",
            Self::Serve(_) => "serve",
            Self::Healthcheck(_) => "healthcheck",
            Self::Validate(_) => "validate",
            Self::Config(_) => "config",
            Self::Completions(_) => "completions",
            Self::Relay(_) => "relay",
        }
    }

    async fn run(self, context: &Context) -> Result<Answer> {
        match self {
            Self::Up(arguments) => up::run(arguments, context).await,
            Self::Status(arguments) => status::run(arguments, context).await,
            Self::Down(arguments) => down::run(arguments, context).await,
            Self::Logs(arguments) => logs::run(arguments, context).await,
            Self::Open(arguments) => open::run(arguments, context).await,
            Self::Doctor(arguments) => doctor::run(arguments, context).await,
            Self::Images(arguments) => images::run(arguments, context).await,
            Self::Push(arguments) => push::run(*arguments, context).await,
            Self::Import(arguments) => import::run(arguments, context).await,
            Self::Gate(arguments) => gate::run(*arguments, context).await,
            Self::Grafana(arguments) => grafana::run(arguments, context).await,
            Self::Explain(arguments) => explain::run(arguments, context).await,
            Self::Token(arguments) => token::run(arguments, context).await,
            Self::Backup(arguments) => backup::run(arguments, context).await,
            Self::Restore(arguments) => restore::run(arguments, context).await,
            Self::Render(arguments) => render::run(arguments, context).await,
            Self::Serve(arguments) => serve::run(arguments, context).await,
            Self::Healthcheck(arguments) => healthcheck::run(arguments, context).await,
            Self::Validate(arguments) => validate::run(arguments, context).await,
            Self::Config(arguments) => config::run(arguments, context).await,
            Self::Completions(arguments) => completions::run(arguments, context).await,
            Self::Relay(arguments) => relay::run(arguments, context).await,
        }
    }
}

/// What every command gets: the flags typed everywhere, and where to tell what happens.
#[derive(Debug)]
pub struct Context {
    /// The flags that every command takes.
    pub globals: Globals,
    /// Where events go.
    pub output: Output,
}

/// What is said when a signal ends a command; the command's name is the envelope's.
struct LastWords {
    command: &'static str,
    output: Output,
    /// What removes what such an end leaves behind.
    cleanup: String,
}

impl lifecycle::Words for LastWords {
    fn ending(&self, code: Code) {
        let again = if code == Code::Terminated { "SIGTERM" } else { "Ctrl-C" };
        self.output.observe(Event::Warning(format!("ending in order; {again} once more ends at once")));
    }

    fn last(&self, error: Error) {
        let error = error.hint(format!("What was made so far is left as it is; {} removes it.", self.cleanup));
        self.output.finish(self.command, Err(error));
    }
}

/// Parses, runs, prints the answer or the error, and says how the process ends.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let command_line = match parse(&arguments) {
        Ok(command_line) => command_line,
        Err(refusal) => return refuse(&refusal, &arguments),
    };
    let format = if command_line.globals.json { Format::Json } else { Format::Words };
    let output = Output::new(format, command_line.globals.quiet);
    let name = command_line.command.name();
    let context = Context { globals: command_line.globals, output };
    let answer = match runtime() {
        Ok(runtime) => {
            let answer = runtime.block_on(command_line.command.run(&context));
            // What still runs in the background has no say any more: nobody waits for it at the end.
            runtime.shutdown_background();
            answer
        }
        Err(error) => Err(error),
    };
    ExitCode::from(context.output.finish(name, answer))
}

fn parse(arguments: &[OsString]) -> std::result::Result<CommandLine, clap::Error> {
    let mut commands = without_empty_variables(CommandLine::command());
    let matches = commands.try_get_matches_from_mut(arguments)?;
    CommandLine::from_arg_matches(&matches).map_err(|refusal| refusal.format(&mut commands))
}

/// The same commands, deaf to variables that are set to nothing: so a job's file sets what does not apply.
fn without_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &std::ffi::OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(move |argument| match argument.get_env().is_some_and(is_empty) {
            true => argument.env(clap::builder::Resettable::Reset),
            false => argument,
        })
        .mut_subcommands(without_empty_variables)
}

/// What was said, where it is not the empty text that a flag gets from a variable of a job that is not set.
fn said(text: Option<String>) -> Option<String> {
    text.filter(|text| !text.is_empty())
}

/// The environment's variables. One that is not UTF-8 is nearly always another program's, and ends nothing here: bytes
/// that cannot be read are replaced, so that one of ours is told as the mistake it is.
fn environment() -> impl Iterator<Item = (String, String)> {
    let text = |one: OsString| one.to_string_lossy().into_owned();
    std::env::vars_os().map(move |(name, value)| (text(name), text(value)))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| Error::new(Code::Unexpected, format!("cannot start the async runtime: {cause}")))
}

/// A command line that clap did not take: help and version are an answer, all else is a usage error.
fn refuse(refusal: &clap::Error, arguments: &[OsString]) -> ExitCode {
    let wants_json = arguments.iter().any(|argument| argument == "--json");
    if wants_json && refusal.use_stderr() {
        let text = refusal.to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let error = Error::new(Code::Usage, message).hint("Run qastack --help for the commands and their flags.");
        let commands = CommandLine::command();
        let typed = arguments.iter().filter_map(|argument| argument.to_str());
        let command = typed.into_iter().find(|word| commands.find_subcommand(word).is_some()).unwrap_or("qastack");
        return ExitCode::from(Output::new(Format::Json, false).finish(command, Err(error)));
    }
    // Printing can only fail when nobody reads; the exit code still tells.
    let _ = refusal.print();
    ExitCode::from(if refusal.use_stderr() { Code::Usage.exit() } else { 0 })
}
