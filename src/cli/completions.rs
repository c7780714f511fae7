//! `qastack completions`: what a shell needs to complete commands and flags.

use super::{CommandLine, Context};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::shells;
use serde_json::json;

/// Print the completions for a shell, such as: source <(qastack completions bash)
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shell {
    Bash,
    Fish,
    Zsh,
}

/// Makes them from the commands themselves.
///
/// # Errors
/// None that can happen.
pub async fn run(arguments: CompletionsArgs, _context: &Context) -> Result<Answer> {
    let mut script = Vec::new();
    let (mut commands, name) = (CommandLine::command(), "qastack");
    match arguments.shell {
        Shell::Bash => clap_complete::generate(shells::Bash, &mut commands, name, &mut script),
        Shell::Fish => clap_complete::generate(shells::Fish, &mut commands, name, &mut script),
        Shell::Zsh => clap_complete::generate(shells::Zsh, &mut commands, name, &mut script),
    }
    let script = String::from_utf8(script).map_err(|cause| Error::new(Code::Unexpected, cause.to_string()))?;
    let data = json!({ "script": script });
    Ok(Answer { data, text: script.trim_end().to_owned(), ..Answer::default() })
}
