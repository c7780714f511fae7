//! Secrets: read from the volume where they are, made where they are not, never shown.

use crate::engine::{Engine, mount_of};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::hex::hex;
use crate::secret::Secret;
use crate::settings::Published;
use crate::stack::labels::RunId;
use crate::stack::{DEFAULT_PASSWORD, FileSpec, Names, SecretFile, Service, StackSpec};
use futures_util::future::try_join_all;
use std::collections::{BTreeMap, BTreeSet};

/// Who administers Grafana, as the settings say.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The user's name.
    pub user: String,
    /// The password from the file that the settings name; without one, the kept or the default one.
    pub password: Option<Secret>,
    /// Whether one that nobody can guess is made where neither the settings nor the volume have such a one.
    pub generate: bool,
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

    /// Whether the password is ours to make.
    pub fn generates(&self) -> bool {
        self.generate && self.password.is_none()
    }

    /// Refuses to publish Grafana where others reach it while anybody can guess its password.
    ///
    /// # Errors
    /// It is published beyond loopback, and nobody chose a password.
    pub fn refuse_guessable(&self, published: Published) -> Result<()> {
        if published.is_loopback() || self.generates() || !self.is_default(None) {
            return Ok(());
        }
        let message = format!(
            "ports.grafana: {published} can be reached from elsewhere, and Grafana's login is {}/{DEFAULT_PASSWORD}",
            self.user
        );
        Err(Error::new(Code::SettingsInvalid, message).hint(
            "Let a password be made with qastack up --generate-password, or set grafana.admin_password_file to a file \
             with one of your own. Nothing was touched.",
        ))
    }
}

/// Where Grafana keeps its data, a password that it has once taken among them.
const GRAFANA_DATABASE: &str = "/var/lib/grafana/grafana.db";

/// What a service's volume holds, and what of it is new.
#[derive(Debug, Default)]
pub struct Ensured {
    /// All its secrets.
    pub secrets: BTreeMap<SecretFile, Secret>,
    /// Whether Grafana's password was made now, so that a Grafana that has one already does not know it.
    pub is_new_password: bool,
    /// A password that takes the place of the one in the volume once Grafana has taken it: until then that one may be the
    /// only copy of what opens Grafana.
    pub untaken_password: Option<Secret>,
}

/// Makes sure that a service finds its secrets: those in its volume stay, those that are missing are made.
pub async fn ensure<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    container: &str,
    service: Service,
    credentials: &Credentials,
) -> Result<Ensured> {
    let mut secrets = read(engine, container, service).await?;
    let (mut missing, mut untaken_password) = (Vec::new(), None);
    let is_new_password = service == Service::Grafana
        && credentials.generates()
        && credentials.is_default(secrets.get(&SecretFile::GrafanaPassword));
    for file in SecretFile::ALL.into_iter().filter(|file| file.service() == service) {
        let wanted = match file {
            SecretFile::GrafanaPassword if is_new_password => password()?,
            SecretFile::GrafanaPassword => credentials.password(secrets.get(&file)),
            SecretFile::AdminToken | SecretFile::GrafanaSecretKey => match secrets.get(&file) {
                Some(kept) => kept.clone(),
                None => random()?,
            },
        };
        if secrets.get(&file) == Some(&wanted) {
            continue;
        }
        let is_kept = file == SecretFile::GrafanaPassword && secrets.contains_key(&file);
        if is_kept && engine.stat_file(container, GRAFANA_DATABASE).await?.is_some() {
            untaken_password = Some(wanted.clone());
        } else {
            missing.push((file, wanted.clone()));
        }
        secrets.insert(file, wanted);
    }
    put(engine, spec, container, service, &missing).await?;
    Ok(Ensured { secrets, is_new_password, untaken_password })
}

/// Writes secrets of one service into their volume.
pub async fn put<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    container: &str,
    service: Service,
    secrets: &[(SecretFile, Secret)],
) -> Result<()> {
    let files = secrets.iter().map(|(file, secret)| {
        let contents = secret.expose().as_bytes().to_vec();
        // A secret's date tells nothing of it, but where everybody knows it anyhow.
        let is_known = *file == SecretFile::GrafanaPassword && secret.expose() == DEFAULT_PASSWORD;
        let date = if is_known { FileSpec::telltale_date(&contents) } else { 0 };
        FileSpec { path: file.path(), contents, owner: file.owner().0, mode: 0o400, date }
    });
    let files: Vec<FileSpec> = files.collect();
    match files.first().and_then(|file| mount_of(spec, service, &file.path)) {
        Some(mount) => engine.put_files(container, mount, &files).await,
        None => Ok(()),
    }
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

/// Secrets for somebody who asked to see them.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The password of Grafana's administrator; none where nothing tells it.
    pub grafana_password: Option<Secret>,
    /// The token that administers the exporter; none where there is none.
    pub admin_token: Option<Secret>,
}

/// The secrets of a project, from its volume as its containers have it, whether they run or not.
pub async fn shown<E: Engine>(engine: &E, names: &Names, credentials: &Credentials) -> Result<Shown> {
    let observed = engine.observe_containers(names).await?;
    let mut all = BTreeMap::new();
    for service in [Service::TestMetrics, Service::Grafana] {
        if let Some(container) = observed.container(names.project(), service) {
            all.extend(read(engine, &container.id, service).await?);
        }
    }
    let kept = all.remove(&SecretFile::GrafanaPassword);
    Ok(Shown {
        grafana_password: credentials.password.clone().or(kept),
        admin_token: all.remove(&SecretFile::AdminToken),
    })
}

/// 256 bits nobody can guess.
pub(super) fn random() -> Result<Secret> {
    of_bytes::<32>()
}

/// A password nobody can guess, of 128 bits, that can be typed.
pub(super) fn password() -> Result<Secret> {
    of_bytes::<16>()
}

fn of_bytes<const COUNT: usize>() -> Result<Secret> {
    let mut bytes = [0_u8; COUNT];
    getrandom::fill(&mut bytes)
        .map_err(|cause| Error::new(Code::Unexpected, format!("the system gives no random numbers: {cause}")))?;
    Ok(Secret::new(hex(&bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credentials(password: Option<&str>, generate: bool) -> Credentials {
        Credentials { user: "admin".to_owned(), password: password.map(Secret::new), generate }
    }

    #[test]
    fn grafana_beyond_loopback_wants_a_password_of_its_own() {
        let everywhere = "0.0.0.0:3000".parse().expect("a port");
        for (password, generate) in [(None, false), (Some("admin"), false), (Some("admin"), true)] {
            let error = credentials(password, generate).refuse_guessable(everywhere).expect_err("refused");
            assert_eq!(error.code(), Code::SettingsInvalid);
            assert!(error.message().contains("admin/admin"), "{error}");
        }
        for (password, generate) in [(None, true), (Some("of one's own"), false)] {
            assert!(credentials(password, generate).refuse_guessable(everywhere).is_ok());
        }
        assert!(credentials(None, false).refuse_guessable(Published::loopback(3000)).is_ok());
    }

    #[test]
    fn no_two_passwords_are_alike_and_each_has_128_bits() {
        let (one, other) = (password().expect("random"), password().expect("random"));
        assert_ne!(one, other);
        assert_eq!(one.expose().len(), 32);
    }
}
