//! `qastack restore`: a backup back into a stack that runs.

use super::exporter::ExporterArgs;
use super::moving::BesidesArgs;
use super::stack::ChosenEngine;
use super::{Context, moving, stack};
use crate::backup::Unpacked;
use crate::engine::docker::DockerEngine;
use crate::error::Result;
use crate::exporter::client::Client;
use crate::exporter::client::store::SILENCE;
use crate::lifecycle::{self, Cancel, Home, Lock, Restore, RestoreReport};
use crate::output::Answer;
use crate::settings::DEFAULT_FILE;
use crate::store::SCHEMA_VERSION;
use clap::Args;
use serde_json::json;
use std::path::PathBuf;

/// Put a backup back into the stack that runs, all of it or nothing
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The file that qastack backup wrote
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    #[command(flatten)]
    besides: BesidesArgs,
    /// Replace what is there: a store that is not empty, dashboards that were edited, settings that differ
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    exporter: ExporterArgs,
}

/// Restores.
pub async fn run(arguments: RestoreArgs, context: &Context) -> Result<Answer> {
    let cancel = Cancel::on_signals(())?;
    let settings = stack::load_settings(context)?.settings;
    let state_directory = lifecycle::state_directory();
    let _lock = Lock::acquire(&state_directory, &settings.project, "restore")?;
    let file = arguments.backup.clone();
    let opened = tokio::task::spawn_blocking(move || Unpacked::open(&file, &state_directory, SCHEMA_VERSION)).await;
    let backup = opened.map_err(|_| moving::broke_off())??;
    let settings_file = context.globals.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE));
    let besides = arguments.besides.meant();
    let restore = |exporter| Restore {
        backup: &backup,
        exporter,
        settings_file: &settings_file,
        besides,
        force: arguments.force,
    };
    let report = if arguments.exporter.names_another() {
        let (url, token) = arguments.exporter.reach(context).await?;
        let client = Client::with_silence(url, token.as_deref(), SILENCE)?;
        lifecycle::restore(restore(&client), Home::<DockerEngine>::Unknown).await?
    } else {
        let engine = cancel.or(stack::engine(context, &settings)).await?;
        let client = moving::client(&engine, &settings, &arguments.exporter).await?;
        match &engine {
            ChosenEngine::Docker(engine) => {
                let parts = moving::Parts::new(context, &settings)?;
                let home = Home::Containers(parts.containers(engine, &context.output, &cancel));
                lifecycle::restore(restore(&client), home).await?
            }
            ChosenEngine::Embedded(engine, _) => {
                lifecycle::restore(restore(&client), Home::<DockerEngine>::Embedded(engine)).await?
            }
        }
    };
    Ok(answer(&backup, report, &settings.project, &settings_file))
}

fn answer(backup: &Unpacked, report: RestoreReport, project: &str, settings_file: &std::path::Path) -> Answer {
    let made_at = backup.manifest.made_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let mut text = match &backup.manifest.project {
        from if from == project => format!("restored {project} as it was on {made_at}"),
        from => format!("restored into {project} what {from} was on {made_at}"),
    };
    for (what, names) in [("dashboards", report.dashboards.join(", ")), ("data of", report.volumes.join(", "))] {
        if !names.is_empty() {
            text.push_str(&format!("\n{what} {names}"));
        }
    }
    if report.settings_written {
        text.push_str(&format!("\n{} is written: qastack up puts it in force", settings_file.display()));
    }
    let data = json!({ "manifest": backup.manifest, "restored": report });
    Answer { data, text, warnings: report.warnings, verdict: None }
}
