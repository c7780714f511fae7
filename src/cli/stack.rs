//! What the commands that run a stack have in common: settings, the engine, the login.

use super::Context;
use crate::engine::Engine;
use crate::engine::docker::{self, DockerEngine};
use crate::engine::embedded::EmbeddedEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::lifecycle::{self, Credentials, PortWishes};
use crate::secret::Secret;
use crate::settings::{self, EngineChoice, Loaded, Origin, Override, StackSettings};
use crate::stack::{Names, Remembered, StackSpec};
use std::path::{Path, PathBuf};

/// The settings: file, environment, flags.
pub fn load_settings(context: &Context) -> Result<Loaded<StackSettings>> {
    load_settings_with(context, Vec::new())
}

/// The settings: file, environment, flags that every command takes, flags of one command's own.
pub fn load_settings_with(context: &Context, own: Vec<Override>) -> Result<Loaded<StackSettings>> {
    let globals = &context.globals;
    let flags = [
        ("project", "--project", globals.project.clone()),
        ("engine", "--engine", globals.engine.map(|engine| engine.word().to_owned())),
    ];
    let overrides = flags.into_iter().filter_map(|(path, flag, value)| {
        Some(Override { path: path.to_owned(), value: value?, origin: Origin::Flag(flag) })
    });
    settings::load_stack(globals.file.as_deref(), super::environment(), overrides.chain(own).collect())
}

/// What runs the stack of a project.
pub enum ChosenEngine {
    /// A container engine, which answers.
    Docker(DockerEngine),
    /// This program alone, and why.
    Embedded(EmbeddedEngine, Why),
}

/// Why a stack runs without a container engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// The user said so.
    Named,
    /// It was brought up so before.
    Remembered,
    /// There is no container engine, and nobody named one.
    NoEngine,
}

/// Which engine is to be used, as far as that is known before one is asked.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    Docker,
    Embedded(Why),
    DockerIfThere,
}

/// What runs the project: what the user says, else what ran it before, else the first container engine that answers,
/// else this program alone.
pub async fn engine(context: &Context, settings: &StackSettings) -> Result<ChosenEngine> {
    let choice = docker::Choice { host: context.globals.host.clone(), context: context.globals.context.clone() };
    let is_named = choice.host.is_some() || choice.context.is_some();
    let embedded = embedded(settings);
    match decide(settings.engine, is_named, embedded.is_remembered()) {
        Decision::Embedded(why) => Ok(ChosenEngine::Embedded(embedded, why)),
        Decision::Docker => Ok(ChosenEngine::Docker(docker::connect(&choice).await.map_err(|none| none.error)?)),
        Decision::DockerIfThere => match docker::connect(&choice).await {
            Ok(engine) => Ok(ChosenEngine::Docker(engine)),
            Err(none) if none.is_absent => Ok(ChosenEngine::Embedded(embedded, Why::NoEngine)),
            Err(none) => Err(none.error),
        },
    }
}

fn decide(choice: EngineChoice, is_named: bool, is_remembered: bool) -> Decision {
    match choice {
        EngineChoice::Docker => Decision::Docker,
        EngineChoice::Embedded => Decision::Embedded(Why::Named),
        EngineChoice::Auto if is_named => Decision::Docker,
        EngineChoice::Auto if is_remembered => Decision::Embedded(Why::Remembered),
        EngineChoice::Auto => Decision::DockerIfThere,
    }
}

/// The project's process on this machine, whether it is there or not.
pub fn embedded(settings: &StackSettings) -> EmbeddedEngine {
    EmbeddedEngine::new(&lifecycle::state_directory(), &settings.project)
}

/// What the settings mean once the engine has told what was chosen before.
pub struct Meant {
    /// The settings, with the ports that are in force.
    pub settings: StackSettings,
    /// Who administers Grafana.
    pub credentials: Credentials,
    /// What was chosen now and why, in words.
    pub notes: Vec<String>,
    remembered: Remembered,
}

/// Asks the engine what was chosen before, and chooses anew where that is wished.
pub async fn meant<E: Engine>(
    engine: &E,
    settings: &StackSettings,
    credentials: Credentials,
    wishes: &PortWishes,
) -> Result<Meant> {
    let names = Names::new(&settings.project);
    let chosen = lifecycle::choose_ports(engine, &names, &settings.ports, wishes).await?;
    // Once Grafana has a password of its own it never goes back to the default one.
    let generate = credentials.generate || chosen.remembered.own_password;
    let credentials = Credentials { generate, ..credentials };
    let remembered = Remembered { own_password: credentials.generates(), ..chosen.remembered };
    let settings = StackSettings { ports: chosen.ports, ..settings.clone() };
    Ok(Meant { settings, credentials, notes: chosen.notes, remembered })
}

impl Meant {
    /// What should run; `exporter_tag` is the tag of the image built from this program.
    pub fn spec(&self, exporter_tag: &str) -> StackSpec {
        StackSpec {
            remembered: self.remembered.clone(),
            generates_password: self.credentials.generates(),
            ..StackSpec::new(&self.settings, exporter_tag)
        }
    }
}

/// Grafana's login as the settings say; a relative password file is looked for beside the settings file.
pub fn credentials(settings: &StackSettings, file: Option<&Path>) -> Result<Credentials> {
    let password = settings.grafana.admin_password_file.as_ref().map(|path| read_password(path, file)).transpose()?;
    Ok(Credentials { user: settings.grafana.admin_user.clone(), password, generate: false })
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
    if password.lines().nth(1).is_some() {
        return Err(trouble("it has more than one line, and a password is one".to_owned()));
    }
    if password.is_empty() {
        return Err(trouble("the file is empty".to_owned()).hint("Write the password into its first line."));
    }
    Ok(Secret::new(password))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_goes_before_what_is_remembered_and_that_before_what_is_found() {
        for (choice, is_named, is_remembered, expected) in [
            (EngineChoice::Auto, false, false, Decision::DockerIfThere),
            (EngineChoice::Auto, false, true, Decision::Embedded(Why::Remembered)),
            (EngineChoice::Auto, true, false, Decision::Docker),
            (EngineChoice::Auto, true, true, Decision::Docker),
            (EngineChoice::Docker, false, true, Decision::Docker),
            (EngineChoice::Embedded, false, false, Decision::Embedded(Why::Named)),
            (EngineChoice::Embedded, true, true, Decision::Embedded(Why::Named)),
        ] {
            assert_eq!(decide(choice, is_named, is_remembered), expected, "{choice:?} {is_named} {is_remembered}");
        }
    }
}
