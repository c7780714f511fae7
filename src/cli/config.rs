//! `qastack config`: the settings that are in force, as they would stand in `qastack.yaml`.
//!
//! No setting is a secret: a password or a token is in a file that a setting names, and is never read here.

use super::{Context, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use clap::Args;

/// Print the settings in force, defaults, file, environment and flags together; --json tells where each is from
#[derive(Debug, Args)]
pub struct ConfigArgs {}

/// Prints them.
///
/// # Errors
/// The settings cannot be read.
pub async fn run(_arguments: ConfigArgs, context: &Context) -> Result<Answer> {
    let loaded = stack::load_settings(context)?;
    let text = serde_yaml::to_string(&loaded.settings)
        .map_err(|cause| Error::new(Code::Unexpected, format!("the settings cannot be written as YAML: {cause}")))?;
    Ok(Answer { data: loaded.document(), text, ..Answer::default() })
}
