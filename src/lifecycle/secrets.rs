//! Secrets: read from the volume where they are, made where they are not, never shown.

use crate::engine::{Engine, mount_of};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::secret::Secret;
use crate::stack::labels::RunId;
use crate::stack::{FileSpec, SecretFile, Service, StackSpec, hex};
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};

/// What Grafana's administrator has when the settings name no password.
const DEFAULT_PASSWORD: &str = "admin";

/// Who administers Grafana, as the settings say.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password from the file that the settings name; without one, the kept or the default one.
    pub password: Option<Secret>,
}

impl Credentials {
    /// The password to log in with, given what the volume holds.
    pub fn password(&self, kept: Option<&Secret>) -> Secret {
        self.password.as_ref().or(kept).cloned().unwrap_or_else(|| Secret::new(DEFAULT_PASSWORD))
    }

    /// Whether anybody can guess the password.
    pub fn is_default(&self, kept: Option<&Secret>) -> bool {
        self.password(kept).expose() == DEFAULT_PASSWORD
    }
}

/// Makes sure that a service finds its secrets: those in its volume stay, those that are missing are made.
pub async fn ensure<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    container: &str,
    service: Service,
    credentials: &Credentials,
) -> Result<BTreeMap<SecretFile, Secret>> {
    let mut secrets = read(engine, container, service).await?;
    let mut missing = Vec::new();
    for file in SecretFile::ALL.into_iter().filter(|file| file.service() == service) {
        let wanted = match file {
            // The password of the settings is written again where it differs; Grafana itself decides whether it holds.
            SecretFile::GrafanaPassword => credentials.password(secrets.get(&file)),
            SecretFile::AdminToken | SecretFile::GrafanaSecretKey => match secrets.get(&file) {
                Some(kept) => kept.clone(),
                None => random()?,
            },
        };
        if secrets.get(&file) != Some(&wanted) {
            let contents = wanted.expose().as_bytes().to_vec();
            // A secret's date tells nothing of it, but where everybody knows it anyhow.
            let is_known = file == SecretFile::GrafanaPassword && wanted.expose() == DEFAULT_PASSWORD;
            let date = if is_known { FileSpec::telltale_date(&contents) } else { 0 };
            missing.push(FileSpec { path: file.path(), contents, owner: file.owner().0, mode: 0o400, date });
            secrets.insert(file, wanted);
        }
    }
    if let Some(mount) = missing.first().and_then(|file| mount_of(spec, service, &file.path)) {
        engine.put_files(container, mount, &missing).await?;
    }
    Ok(secrets)
}

/// Which secrets are in a service's volume, without reading them.
pub async fn present<E: Engine>(engine: &E, container: &str, service: Service) -> Result<BTreeSet<SecretFile>> {
    let files = SecretFile::ALL.into_iter().filter(|file| file.service() == service);
    let seen = files.map(|file| async move {
        let stat = engine.stat_file(container, &file.path()).await?;
        Ok::<_, Error>(stat.filter(|stat| stat.size > 0).map(|_| file))
    });
    Ok(try_join_all(seen).await?.into_iter().flatten().collect())
}

/// Grafana's password as its volume holds it, where the settings have none: the engine takes long to hand out a file, so
/// that the default one is known by a look at it.
pub async fn kept_password<E: Engine>(
    engine: &E,
    container: &str,
    credentials: &Credentials,
) -> Result<Option<Secret>> {
    if credentials.password.is_some() {
        return Ok(None);
    }
    let file = SecretFile::GrafanaPassword;
    let contents = DEFAULT_PASSWORD.as_bytes();
    match engine.stat_file(container, &file.path()).await? {
        None => Ok(None),
        Some(seen) if FileSpec::configuration("", contents.to_vec()).is_as_seen(&seen) => {
            Ok(Some(Secret::new(DEFAULT_PASSWORD)))
        }
        Some(_) => Ok(read(engine, container, Service::Grafana).await?.remove(&file)),
    }
}

/// The secrets in a service's volume.
pub async fn read<E: Engine>(engine: &E, container: &str, service: Service) -> Result<BTreeMap<SecretFile, Secret>> {
    let wanted: Vec<SecretFile> = SecretFile::ALL.into_iter().filter(|file| file.service() == service).collect();
    let Some(first) = wanted.first() else { return Ok(BTreeMap::new()) };
    let path = first.path();
    let directory = path.rsplit_once('/').map_or(path.as_str(), |(directory, _)| directory);
    let files: BTreeMap<String, Vec<u8>> = engine.get_files(container, directory).await?.into_iter().collect();
    let text = |file: &SecretFile| files.get(&file.path()).and_then(|bytes| String::from_utf8(bytes.clone()).ok());
    let present = wanted.iter().filter_map(|file| Some((*file, text(file)?)));
    Ok(present.filter(|(_, text)| !text.is_empty()).map(|(file, text)| (file, Secret::new(text))).collect())
}

/// A name for a run that no other has.
pub(super) fn run_id() -> Result<RunId> {
    Ok(RunId::new(random()?.expose().chars().take(16).collect::<String>()))
}

/// 256 bits nobody can guess.
pub(super) fn random() -> Result<Secret> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::new(Code::Unexpected, format!("the system gives no random numbers: {cause}")))?;
    Ok(Secret::new(hex(&bytes)))
}
