//! `qastack grafana`: what can only be mended inside Grafana's own container.

use super::stack::ChosenEngine;
use super::{Context, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::lifecycle::{self, Credentials, Lock, PasswordSource};
use crate::output::Answer;
use crate::stack::StackSpec;
use clap::{Args, Subcommand};
use serde_json::json;

/// Mend Grafana from inside its container
#[derive(Debug, Args)]
pub struct GrafanaArgs {
    #[command(subcommand)]
    command: GrafanaCommand,
}

#[derive(Debug, Subcommand)]
enum GrafanaCommand {
    /// Make Grafana take the password that qastack logs in with: that of the settings, else the one it keeps
    ResetPassword(ResetPasswordArgs),
}

#[derive(Debug, Args)]
struct ResetPasswordArgs {
    /// Make a new password that nobody can guess; qastack status --show-secrets shows it
    #[arg(long)]
    generate: bool,
}

/// Runs one of them.
pub async fn run(arguments: GrafanaArgs, context: &Context) -> Result<Answer> {
    let GrafanaCommand::ResetPassword(arguments) = arguments.command;
    let settings = stack::load_settings(context)?.settings;
    let credentials = stack::credentials(&settings, context.globals.file.as_deref())?;
    if arguments.generate && credentials.password.is_some() {
        let message = "--generate: grafana.admin_password_file names a password already";
        return Err(Error::new(Code::SettingsInvalid, message)
            .hint("Write the new one into that file, and leave out --generate."));
    }
    let credentials = Credentials { generate: arguments.generate, ..credentials };
    let state = lifecycle::state_directory();
    let _lock = Lock::acquire(&state, &settings.project, "grafana reset-password")?;
    let ChosenEngine::Docker(engine) = stack::engine(context, &settings).await? else {
        return Err(Error::new(Code::NotRunning, "this project runs without containers, and so without Grafana")
            .hint("qastack up --engine docker brings the whole stack."));
    };
    let spec = StackSpec::new(&settings, "");
    let source = lifecycle::reset_password(&engine, &spec, &credentials, &state).await?;
    let (word, told) = match source {
        PasswordSource::Settings => ("settings", "the one in grafana.admin_password_file"),
        PasswordSource::Kept => ("kept", "the one that qastack status --show-secrets shows"),
        PasswordSource::Made => ("made", "a new one, which qastack status --show-secrets shows"),
        PasswordSource::Default => ("default", "admin"),
    };
    let user = &settings.grafana.admin_user;
    let data = json!({ "user": user, "password_from": word });
    Ok(Answer { data, text: format!("Grafana takes the password of {user}: {told}"), ..Answer::default() })
}
