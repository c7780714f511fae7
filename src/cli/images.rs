//! `qastack images`: what images the stack needs, pulls them, and carries them in a file.

use super::stack::ChosenEngine;
use super::up::Program;
use super::{Context, stack};
use crate::engine::docker::DockerEngine;
use crate::error::Result;
use crate::lifecycle::Cancel;
use crate::lifecycle::images::{self, StackImage};
use crate::output::{Answer, Style, bytes};
use crate::stack::StackSpec;
use clap::{Args, Subcommand};
use serde_json::json;
use std::fmt::Write;
use std::path::PathBuf;

/// List, pull, save and load the images of the stack
#[derive(Debug, Args)]
pub struct ImagesArgs {
    #[command(subcommand)]
    command: ImagesCommand,
}

#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// Show the images that the stack needs, and which of them the engine has
    List,
    /// Pull them, side by side, also those that are there: a name may have been given to a newer image
    Pull,
    /// Write this program and its images into one file, for a machine without a way to a registry
    Save {
        /// Where to write it, such as qastack.tar
        #[arg(id = "archive", value_name = "FILE")]
        file: PathBuf,
    },
    /// Check a file that `save` wrote, and load its images
    Load {
        /// The file
        #[arg(id = "archive", value_name = "FILE")]
        file: PathBuf,
    },
}

/// Does what was asked for.
pub async fn run(arguments: ImagesArgs, context: &Context) -> Result<Answer> {
    let cancel = Cancel::on_signals(())?;
    let settings = stack::load_settings(context)?.settings;
    let ChosenEngine::Docker(engine) = cancel.or(stack::engine(context, &settings)).await? else {
        return Err(images::needs_an_engine());
    };
    let program = Program::read_executable().await?;
    let spec = StackSpec::new(&settings, &program.tag);
    match arguments.command {
        ImagesCommand::List => list(&engine, &spec, context.output.style()).await,
        ImagesCommand::Pull => {
            let pulled = images::pull(&engine, &spec, &context.output, &cancel).await?;
            let mut answer = list(&engine, &spec, context.output.style()).await?;
            answer.data["steps"] = json!(pulled.steps);
            answer.warnings = pulled.warnings;
            Ok(answer)
        }
        ImagesCommand::Save { file } => {
            let saved = images::save(&engine, &spec, &program.bytes, &file, &context.output);
            let (carried, size) = cancel.or(saved).await?;
            let text = format!(
                "{} holds this program and {}, {}\nThere: tar -xf {} qastack; ./qastack images load {}; ./qastack up",
                file.display(),
                names(&carried),
                bytes(size),
                file.display(),
                file.display(),
            );
            Ok(Answer {
                data: json!({ "file": file, "bytes": size, "images": carried.images }),
                text,
                ..Answer::default()
            })
        }
        ImagesCommand::Load { file } => {
            let carried = cancel.or(images::load(&engine, &file, &context.output)).await?;
            let text = format!("loaded {}; qastack up runs the stack with them", names(&carried));
            Ok(Answer { data: json!({ "file": file, "images": carried.images }), text, ..Answer::default() })
        }
    }
}

async fn list(engine: &DockerEngine, spec: &StackSpec, style: Style) -> Result<Answer> {
    let images = images::list(engine, spec).await?;
    Ok(Answer { text: in_words(&images, style), data: json!({ "images": images }), ..Answer::default() })
}

fn names(carried: &images::Carried) -> String {
    let names: Vec<&str> = carried.images.iter().map(|image| image.reference.as_str()).collect();
    names.join(", ")
}

fn in_words(images: &[StackImage], style: Style) -> String {
    let width = images.iter().map(|image| image.reference.chars().count()).max().unwrap_or_default().max(5);
    let mut text = String::new();
    // Writing to a string cannot fail.
    let header = format!("{:<14} {:<width$}   {:<12}   {:>9}", "SERVICE", "IMAGE", "ID", "SIZE");
    let _ = writeln!(text, "{}", style.faint(&header));
    for image in images {
        let id = image.id.as_deref().map(|id| id.trim_start_matches("sha256:").chars().take(12).collect::<String>());
        let state = match (&id, image.built) {
            (Some(id), _) => format!("{id:<12}   {:>9}", bytes(image.bytes.unwrap_or_default())),
            (None, true) => style.faint("built by up"),
            (None, false) => style.warning("not here yet: qastack images pull, or up"),
        };
        let _ = writeln!(text, "{:<14} {:<width$}   {state}", image.service, image.reference);
    }
    text
}
