//! Grafana's password, set anew by its own command line in its own container: the way back where a kept volume has
//! another one than the settings.

use super::refusals::Refusals;
use super::{Credentials, reach, secrets};
use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::{self, GrafanaError};
use crate::secret::Secret;
use crate::stack::{Remembered, SecretFile, Service, StackSpec, State};
use std::path::Path;

/// Its command line; the password is read from its standard input, so that no list of processes shows it.
const COMMAND: [&str; 9] = [
    "grafana",
    "cli",
    "--homepath",
    "/usr/share/grafana",
    "--config",
    "/etc/grafana/grafana.ini",
    "admin",
    "reset-admin-password",
    "--password-from-stdin",
];

/// Sets the password of the administrator in a Grafana that runs.
///
/// # Errors
/// The command cannot be run, or Grafana does not take the password.
pub async fn set<E: Engine>(engine: &E, container: &str, password: &Secret) -> Result<()> {
    let line = format!("{}\n", password.expose());
    let executed = engine.exec(container, &COMMAND, line.as_bytes()).await?;
    if executed.exit_code == 0 {
        return Ok(());
    }
    let told = format!("{}\n{}", executed.stdout, executed.stderr);
    let why = told.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it said nothing").to_owned();
    let message = format!("grafana cli in {container} ended with exit code {}: {why}", executed.exit_code);
    Err(Error::new(Code::GrafanaFailed, message))
}

/// Where the password is from that Grafana has now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// From the file that the settings name.
    Settings,
    /// The one that the secrets volume holds.
    Kept,
    /// Made now.
    Made,
    /// The one that everybody knows.
    Default,
}

/// Makes Grafana take the password that is meant: that of the settings, else a new one where that is wished, else the
/// one in the secrets volume, else the default one.
///
/// # Errors
/// Grafana does not run, does not take the password, or still refuses the login.
pub async fn reset_password<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    credentials: &Credentials,
    state_directory: &Path,
) -> Result<Source> {
    let service = Service::Grafana;
    let observed = engine.observe_containers(&spec.names).await?;
    let container = observed.container(spec.names.project(), service);
    let Some(container) = container.filter(|container| container.state == State::Running) else {
        return Err(Error::new(Code::NotRunning, "Grafana is not running, so that its password cannot be set")
            .hint("Start it with qastack up; it stays, whatever it says of the password. Then run this again."));
    };
    let kept = secrets::read(engine, &container.id, service).await?.remove(&SecretFile::GrafanaPassword);
    let is_default = credentials.is_default(kept.as_ref());
    let (password, source) = match (&credentials.password, &kept) {
        (Some(password), _) => (password.clone(), Source::Settings),
        (None, _) if credentials.generates() => (secrets::password()?, Source::Made),
        (None, Some(kept)) if !is_default => (kept.clone(), Source::Kept),
        _ => (credentials.password(None), Source::Default),
    };
    let published = container.published().unwrap_or(spec.container(service).published);
    if is_default && source != Source::Made {
        credentials.refuse_guessable(published)?;
    }
    set(engine, &container.name, &password).await?;
    Refusals::of(state_directory, spec.names.project()).clear();
    if kept.as_ref() != Some(&password) {
        secrets::put(engine, spec, &container.id, service, &[(SecretFile::GrafanaPassword, password.clone())]).await?;
    }
    if source == Source::Made {
        remember(engine, spec).await?;
    }
    let login = grafana::Login { user: credentials.user.clone(), password };
    let client =
        grafana::Client::new(reach::http_client()?, reach::url(engine, &spec.names, service, published)?, login);
    match grafana::check_login(&client).await {
        Ok(()) => Ok(source),
        Err(error @ GrafanaError::PasswordRefused { .. }) => {
            let user = &credentials.user;
            let message = format!("the password is set, and the login of {user} is still refused: {error}");
            let hint = format!(
                "Where Grafana was first started with another user than {user}, change grafana.admin_user back. After \
                 five wrong passwords Grafana refuses even the right one: wait five minutes, then qastack up."
            );
            Err(Error::new(Code::GrafanaPassword, message).hint(hint).retryable())
        }
        Err(error) => Err(Error::from(error)),
    }
}

/// Notes on the engine that Grafana has a password of its own.
async fn remember<E: Engine>(engine: &E, spec: &StackSpec) -> Result<()> {
    let name = spec.names.volume(Remembered::PART);
    let labels = engine.volume_labels(&name).await?;
    let mut remembered = labels.as_ref().map(Remembered::from_labels).unwrap_or_default();
    if remembered.own_password {
        return Ok(());
    }
    remembered.own_password = true;
    if labels.is_some() {
        engine.remove_volume(&name).await?;
    }
    let run = secrets::run_id()?;
    engine.create_volume(&run, &spec.names, Remembered::PART, &remembered.labels()).await
}
