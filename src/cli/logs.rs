//! `qastack logs`: what the services wrote, and what they write.

use super::stack::ChosenEngine;
use super::{Context, stack};
use crate::engine::LogsWanted;
use crate::error::Result;
use crate::lifecycle::{self, Cancel, Entries, LogEntry};
use crate::output::{Answer, Style};
use crate::stack::{Names, Service};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Arg, Args};
use futures_util::StreamExt;
use serde_json::{Value, json};
use std::path::PathBuf;

/// Show what the services wrote
#[derive(Debug, Args)]
#[command(arg = settings_file())]
pub struct LogsArgs {
    /// The services to show [default: all]
    #[arg(value_name = "SERVICE", value_parser = service())]
    services: Vec<Service>,
    /// Go on with what is written from now on, until Ctrl-C or until nothing runs any more
    #[arg(long, short)]
    follow: bool,
    /// Begin with so many of the last lines of each service, or with `all`
    #[arg(long, short = 'n', value_name = "LINES", default_value = "all", value_parser = tail)]
    tail: Tail,
    /// Do not begin the lines with the service's name; with one service they never do
    #[arg(long)]
    no_log_prefix: bool,
}

/// How much of what is there is shown.
#[derive(Debug, Clone, Copy)]
struct Tail(Option<usize>);

/// The settings file without its `-f`, which here means to follow, as everywhere else.
fn settings_file() -> Arg {
    Arg::new("file")
        .long("file")
        .value_name("FILE")
        .value_parser(clap::value_parser!(PathBuf))
        .help("Settings file [default: qastack.yaml, where there is one]; its short form -f goes before `logs`")
        .help_heading("Everywhere")
}

fn service() -> impl TypedValueParser<Value = Service> {
    PossibleValuesParser::new(Service::ALL.map(Service::name))
        .try_map(|name| Service::from_name(&name).ok_or("there is no such service"))
}

fn tail(text: &str) -> std::result::Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        number => number.parse().map(|lines| Tail(Some(lines))).map_err(|_| "a number, or all".to_owned()),
    }
}

/// Shows the lines. With `--json` they are in `data.lines`; with `--follow` besides, each is a JSON document on a line
/// of its own as soon as it is there, and the envelope comes last.
pub async fn run(arguments: LogsArgs, context: &Context) -> Result<Answer> {
    let cancel = Cancel::on_signals(())?;
    let settings = stack::load_settings(context)?.settings;
    let engine = cancel.or(stack::engine(context, &settings)).await?;
    let wanted = LogsWanted { tail: arguments.tail.0, follow: arguments.follow, since: None };
    let mut services = arguments.services.clone();
    services.sort_unstable();
    services.dedup();
    let names = Names::new(&settings.project);
    let (entries, is_one) = match &engine {
        ChosenEngine::Docker(engine) => {
            let entries = cancel.or(lifecycle::logs(engine, &names, &services, wanted)).await?;
            (entries, services.len() == 1)
        }
        ChosenEngine::Embedded(engine, _) => (lifecycle::embedded_logs(engine, &services, wanted)?, true),
    };
    let prefix = !(is_one || arguments.no_log_prefix);
    show(entries, Show { context, prefix, follow: arguments.follow }, &cancel).await
}

/// How lines are shown.
struct Show<'a> {
    context: &'a Context,
    prefix: bool,
    follow: bool,
}

async fn show(mut entries: Entries<'_>, how: Show<'_>, cancel: &Cancel) -> Result<Answer> {
    let output = &how.context.output;
    let mut kept = Vec::new();
    let mut count = 0_u64;
    let verdict = loop {
        let next = tokio::select! {
            biased;
            ended = cancel.ended() => break Some(ended),
            next = entries.next() => next,
        };
        let Some(entry) = next.transpose()? else { break None };
        count += 1;
        let is_read = match (how.context.globals.json, how.follow) {
            (false, _) => output.line(&words(&entry, how.prefix, output.style())),
            (true, true) => output.line(&document(&entry).to_string()),
            (true, false) => {
                kept.push(document(&entry));
                true
            }
        };
        if !is_read {
            break None;
        }
    };
    let data = if how.follow { json!({ "count": count }) } else { json!({ "count": count, "lines": kept }) };
    Ok(Answer { data, verdict, ..Answer::default() })
}

fn words(entry: &LogEntry, prefix: bool, style: Style) -> String {
    if !prefix {
        return entry.line.text.clone();
    }
    // As wide as the longest name, so that the lines stand below each other.
    let name = format!("{:<12} |", entry.service);
    format!("{} {}", style.name(entry.service as usize, &name), entry.line.text)
}

fn document(entry: &LogEntry) -> Value {
    json!({ "service": entry.service.name(), "time": entry.line.at, "text": entry.line.text })
}
