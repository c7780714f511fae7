//! `qastack down`: stop and remove what `up` made; the data stays unless it is asked to go.

use super::stack::ChosenEngine;
use super::{Context, stack};
use crate::checkpoint;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::lifecycle::{self, DownReport, Lock};
use crate::output::Answer;
use crate::stack::{Action, KeepOrRemove, Names, Plan};
use clap::Args;
use serde_json::json;
use std::io::{BufRead, IsTerminal};

/// Stop and remove what `up` made; the data stays
#[derive(Debug, Args)]
pub struct DownArgs {
    /// Remove the data too: reports, defects, Prometheus' samples, Grafana's dashboards
    #[arg(long)]
    volumes: bool,
    /// Do not ask before data is removed
    #[arg(long, short = 'y')]
    yes: bool,
    /// Say what would be removed, and remove nothing
    #[arg(long)]
    dry_run: bool,
}

/// Takes the stack down.
pub async fn run(arguments: DownArgs, context: &Context) -> Result<Answer> {
    let settings = stack::load_settings(context)?.settings;
    let cancel = context.cancel("down", &settings.project)?;
    let _lock = Lock::acquire(&lifecycle::state_directory(), &settings.project, "down")?;
    cancel.or(checkpoint::passed("down:lock")).await?;
    let engine = cancel.or(stack::engine(context, &settings)).await?;
    let names = Names::new(&settings.project);
    let volumes = if arguments.volumes { KeepOrRemove::Remove } else { KeepOrRemove::Keep };
    let (plan, kept) = match &engine {
        ChosenEngine::Docker(engine) => cancel.or(lifecycle::plan_down(engine, &names, volumes)).await?,
        ChosenEngine::Embedded(engine, _) => lifecycle::embedded::plan_down(engine, volumes)?,
    };
    if arguments.dry_run {
        let text = if plan.is_empty() { nothing(&names) } else { preview(&plan) };
        let data = json!({ "dry_run": true, "steps": plan.steps, "kept_volumes": kept });
        return Ok(Answer { data, text, ..Answer::default() });
    }
    if !arguments.yes && !context.globals.json {
        let plan = plan.clone();
        let asked = tokio::task::spawn_blocking(move || confirm(&plan));
        let unexpected = |cause| Error::new(Code::Unexpected, format!("the question broke off: {cause}"));
        cancel.or(async { asked.await.map_err(unexpected)? }).await?;
    }
    cancel.or(checkpoint::passed("down:observe")).await?;
    let report = match &engine {
        ChosenEngine::Docker(engine) => lifecycle::down(engine, &names, plan, kept, &context.output, &cancel).await?,
        ChosenEngine::Embedded(engine, _) => {
            lifecycle::embedded::down(engine, plan, kept, &context.output, &cancel).await?
        }
    };
    let data = json!({ "dry_run": false, "steps": report.steps, "kept_volumes": report.kept_volumes });
    Ok(Answer { data, text: summary(&report, &names), ..Answer::default() })
}

fn nothing(names: &Names) -> String {
    format!("nothing to do: the project {} has nothing running here", names.project())
}

fn preview(plan: &Plan) -> String {
    let lines = plan.steps.iter().map(|step| format!("{} {} ({})", step.action.phrase(), step.object, step.reason));
    lines.collect::<Vec<_>>().join("\n")
}

fn summary(report: &DownReport, names: &Names) -> String {
    let kept = if report.kept_volumes.is_empty() {
        String::new()
    } else {
        "\nThe data is kept: qastack up shows it again, qastack down --volumes removes it.".to_owned()
    };
    if report.steps.is_empty() {
        return nothing(names) + &kept;
    }
    let removed = report.steps.len();
    format!("removed {removed} object{} of {}{kept}", if removed == 1 { "" } else { "s" }, names.project())
}

/// Asks before data is removed, on a terminal only; elsewhere the flag is the confirmation.
fn confirm(plan: &Plan) -> Result<()> {
    let volumes = plan.steps.iter().filter(|step| matches!(step.action, Action::RemoveVolume(_)));
    let volumes: Vec<&str> = volumes.map(|step| step.object.as_str()).collect();
    if volumes.is_empty() || !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return Ok(());
    }
    crate::output::ask(&format!("Remove the data in {}? Type yes: ", volumes.join(", ")));
    let mut typed = String::new();
    let read = std::io::stdin().lock().read_line(&mut typed);
    if read.is_ok() && typed.trim().eq_ignore_ascii_case("yes") {
        return Ok(());
    }
    Err(Error::new(Code::ConfirmationNeeded, "the data was not removed: it was not confirmed")
        .hint("Type yes, or say qastack down --volumes --yes."))
}
