//! What the commands that run a stack have in common: settings, the engine, the login.

use super::Context;
use crate::engine::docker::{self, DockerEngine};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::lifecycle::Credentials;
use crate::secret::Secret;
use crate::settings::{self, Loaded, Origin, Override, StackSettings};
use std::path::{Path, PathBuf};

/// The settings: file, environment, flags.
pub fn load_settings(context: &Context) -> Result<Loaded<StackSettings>> {
    let project = context.globals.project.iter().map(|name| Override {
        path: "project".to_owned(),
        value: name.clone(),
        origin: Origin::Flag("--project"),
    });
    settings::load_stack(context.globals.file.as_deref(), std::env::vars(), project.collect())
}

/// The engine that the flags, the environment or a context name, or the first that answers.
pub async fn connect(context: &Context) -> Result<DockerEngine> {
    let choice = docker::Choice { host: context.globals.host.clone(), context: context.globals.context.clone() };
    docker::connect(&choice).await
}

/// Grafana's login as the settings say; a relative password file is looked for beside the settings file.
pub fn credentials(settings: &StackSettings, file: Option<&Path>) -> Result<Credentials> {
    let password = settings.grafana.admin_password_file.as_ref().map(|path| read_password(path, file)).transpose()?;
    Ok(Credentials { user: settings.grafana.admin_user.clone(), password })
}

fn read_password(path: &Path, settings_file: Option<&Path>) -> Result<Secret> {
    let path = match settings_file.and_then(Path::parent) {
        Some(directory) if path.is_relative() => directory.join(path),
        _ => PathBuf::from(path),
    };
    let trouble = |why: String| {
        Error::new(Code::SettingsInvalid, format!("grafana.admin_password_file {}: {why}", path.display()))
    };
    let text = std::fs::read_to_string(&path).map_err(|cause| trouble(cause.to_string()))?;
    let password = text.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(trouble("the file is empty".to_owned()).hint("Write the password into its first line."));
    }
    Ok(Secret::new(password))
}
