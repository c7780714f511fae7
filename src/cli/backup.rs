//! `qastack backup`: everything of a team in one file.

use super::exporter::ExporterArgs;
use super::moving::BesidesArgs;
use super::stack::ChosenEngine;
use super::{Context, moving, stack};
use crate::engine::docker::DockerEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::exporter::client::store::SILENCE;
use crate::lifecycle::{self, Cancel, Home, Lock};
use crate::output::Answer;
use clap::Args;
use std::path::PathBuf;

/// Write everything of a team into one file: reports and defects, dashboards, settings
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write
    #[arg(value_name = "FILE")]
    backup: PathBuf,
    #[command(flatten)]
    besides: BesidesArgs,
    /// Write over a file that is there
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    exporter: ExporterArgs,
}

/// Makes the backup.
pub async fn run(arguments: BackupArgs, context: &Context) -> Result<Answer> {
    let cancel = Cancel::on_signals(())?;
    if arguments.backup.exists() && !arguments.force {
        let message = format!("{} is there already", arguments.backup.display());
        return Err(Error::new(Code::ConfirmationNeeded, message).hint("Name another file, or say --force."));
    }
    let settings = stack::load_settings(context)?.settings;
    let _lock = Lock::acquire(&lifecycle::state_directory(), &settings.project, "backup")?;
    let besides = arguments.besides.meant();
    let file = &arguments.backup;
    let report = if arguments.exporter.names_another() {
        let (url, token) = arguments.exporter.reach(context).await?;
        let client = Client::with_silence(url, token.as_deref(), SILENCE)?;
        let home = Home::<DockerEngine>::Unknown;
        cancel.or(lifecycle::backup(home, &client, &settings, besides, file)).await?
    } else {
        let engine = cancel.or(stack::engine(context, &settings)).await?;
        let client = moving::client(&engine, &settings, &arguments.exporter).await?;
        match &engine {
            ChosenEngine::Docker(engine) => {
                let parts = moving::Parts::new(context, &settings)?;
                // It watches for the signal itself: what it stopped is started again first.
                let home = Home::Containers(parts.containers(engine, &context.output, &cancel));
                lifecycle::backup(home, &client, &settings, besides, file).await?
            }
            ChosenEngine::Embedded(engine, _) => {
                let home = Home::<DockerEngine>::Embedded(engine);
                cancel.or(lifecycle::backup(home, &client, &settings, besides, file)).await?
            }
        }
    };
    let bytes: u64 = report.manifest.members.iter().map(|member| member.bytes).sum();
    let names: Vec<&str> = report.manifest.members.iter().map(|member| member.name.as_str()).collect();
    let text = format!("{}: {} ({bytes} bytes before compression)", file.display(), names.join(", "));
    let data = serde_json::to_value(&report).unwrap_or_default();
    Ok(Answer { data, text, warnings: report.warnings, verdict: None })
}
