//! `restore`: a verified backup back into a stack that runs, all of it or nothing.
//!
//! First everything that would be lost is looked for, and without `force` one such thing ends the run before anything
//! was changed. Then the store is exchanged, the rest follows, and a failure on the way puts back what was there.

use super::backup::{Besides, Home};
use super::moving::{Containers, WITH_VOLUMES, volume_member};
use crate::backup::{DASHBOARDS, SETTINGS, STORE, Unpacked, hash_of, secret};
use crate::engine::Engine;
use crate::engine::embedded::EmbeddedEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::grafana::{self, Change, Library};
use crate::secret::Secret;
use crate::settings::StackSettings;
use crate::stack::{SecretFile, Service};
use serde::Serialize;
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a restore works with.
pub struct Restore<'a> {
    /// The backup.
    pub backup: &'a Unpacked,
    /// The exporter.
    pub exporter: &'a Client,
    /// Their file, whether it is there or not.
    pub settings_file: &'a Path,
    /// What is to be put back besides store, dashboards and settings.
    pub besides: Besides,
    /// Whether what is there may go.
    pub force: bool,
}

/// What was put back.
#[derive(Debug, Default, Serialize)]
pub struct RestoreReport {
    /// The names of the dashboards that were written.
    pub dashboards: Vec<String>,
    /// The services whose data were replaced.
    pub volumes: Vec<&'static str>,
    /// Whether the settings file was written.
    pub settings_written: bool,
    /// The names of the secrets that were written.
    pub secrets: Vec<&'static str>,
    /// What should be known.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// What is to be done, and what would be lost by it.
#[derive(Default)]
struct Prepared {
    library: Library,
    grafana: Option<grafana::Client>,
    changes: Vec<Change>,
    volumes: Vec<Service>,
    settings: Option<String>,
    secrets: BTreeMap<SecretFile, Secret>,
    lost: Vec<String>,
}

/// Restores.
///
/// # Errors
/// Something would be lost and `force` is not said, or a part does not run, answer or take what it is given. What is
/// there is then as it was.
pub async fn restore<E: Engine>(with: Restore<'_>, home: Home<'_, E>) -> Result<RestoreReport> {
    let mut report = RestoreReport::default();
    let before = with.backup.path("before.db");
    let fetched = with.exporter.fetch_store(&before).await;
    let fetched = fetched.map_err(|refusal| refusal.into_error(with.exporter.base()))?;
    let mut prepared = prepare(&with, &home, &mut report).await?;
    if fetched.holds_data {
        prepared.lost.insert(0, "what is in the store".to_owned());
    }
    if !with.force && !prepared.lost.is_empty() {
        let message = format!("this would be lost: {}; nothing was changed", prepared.lost.join("; "));
        return Err(Error::new(Code::ConfirmationNeeded, message).hint("qastack restore --force replaces it."));
    }
    send(&with, &with.backup.path(STORE), with.force).await?;
    let mut undo = Undo::default();
    match put_back(&with, &home, &prepared, &mut undo, &mut report).await {
        Ok(()) => Ok(report),
        Err(error) => {
            let troubles = undo.all(&with, &home, &prepared, &before).await;
            Err(match troubles.as_slice() {
                [] => error.context("nothing was restored, and what was there is as it was"),
                troubles => {
                    error.context(format!("the restore failed, and so did undoing it ({})", troubles.join("; ")))
                }
            })
        }
    }
}

/// Looks at everything and changes nothing.
async fn prepare<E: Engine>(with: &Restore<'_>, home: &Home<'_, E>, report: &mut RestoreReport) -> Result<Prepared> {
    let mut prepared = Prepared { secrets: secrets_in(with)?, ..Prepared::default() };
    if with.besides.secrets && prepared.secrets.is_empty() {
        return Err(Error::new(Code::Usage, "there are no secrets in this backup")
            .hint("qastack backup --with-secrets takes them; without --with-secrets the rest is restored."));
    }
    let settings = with.backup.read(SETTINGS)?.unwrap_or_default();
    prepared.settings = settings_to_write(with, &settings, &mut prepared.lost)?;
    if let Some(document) = with.backup.read(DASHBOARDS)? {
        prepared.library = serde_json::from_slice(&document).map_err(|cause| {
            Error::new(Code::StoreDamaged, format!("the backup's dashboards cannot be read: {cause}"))
        })?;
    }
    match home {
        Home::Containers(containers) => prepare_containers(with, containers, &mut prepared, report).await?,
        Home::Embedded(_) | Home::Unknown => {
            if with.besides.volumes || (with.besides.secrets && matches!(home, Home::Unknown)) {
                let message = "there is no container engine here to put volumes or secrets into";
                return Err(Error::new(Code::Usage, message).hint("qastack up --engine docker brings the whole stack."));
            }
            let edited = prepared.library.dashboards.iter().filter(|dashboard| !dashboard.shipped).count();
            if edited > 0 {
                report.warnings.push(format!(
                    "there is no Grafana here: {edited} dashboard{} of the backup stay in it",
                    if edited == 1 { "" } else { "s" }
                ));
            }
            prepared.library = Library::default();
        }
    }
    Ok(prepared)
}

async fn prepare_containers<E: Engine>(
    with: &Restore<'_>,
    containers: &Containers<'_, E>,
    prepared: &mut Prepared,
    report: &mut RestoreReport,
) -> Result<()> {
    if with.besides.volumes {
        for service in WITH_VOLUMES {
            if with.backup.manifest.member(&volume_member(containers, service)?).is_some() {
                prepared.volumes.push(service);
                prepared.lost.push(format!("all data of {service}"));
            }
        }
        if prepared.volumes.is_empty() {
            return Err(Error::new(Code::Usage, "there are no volumes in this backup")
                .hint("qastack backup --with-volumes takes them; without --with-volumes the rest is restored."));
        }
    }
    // Grafana's own data hold its dashboards.
    if !prepared.library.dashboards.is_empty() && !prepared.volumes.contains(&Service::Grafana) {
        let client = containers.grafana_client().await?;
        let (changes, left_out) = prepared.library.compare(&client, containers.grafana).await?;
        prepared.changes = changes;
        if !left_out.is_empty() {
            report.warnings.push(format!(
                "these dashboards stay as they are: Grafana stores them in a format that a restore would lose: {}",
                left_out.join("; ")
            ));
        }
        let edited = prepared.changes.iter().filter(|change| change.is_edited);
        prepared.lost.extend(edited.map(|change| format!("the edited dashboard {}", change.name())));
        prepared.grafana = Some(client);
    }
    Ok(())
}

fn secrets_in(with: &Restore<'_>) -> Result<BTreeMap<SecretFile, Secret>> {
    let mut secrets = BTreeMap::new();
    if with.besides.secrets {
        for file in SecretFile::ALL {
            let bytes = with.backup.read(&secret(file.file_name()))?;
            if let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).filter(|text| !text.is_empty()) {
                secrets.insert(file, Secret::new(text));
            }
        }
    }
    Ok(secrets)
}

/// The settings file to write. Project, engine, ports, images, limits and login are this machine's; what the figures
/// mean is the team's.
fn settings_to_write(with: &Restore<'_>, text: &[u8], lost: &mut Vec<String>) -> Result<Option<String>> {
    let theirs: StackSettings = serde_yaml::from_slice(text).map_err(|cause| {
        Error::new(Code::StoreDamaged, format!("the backup's settings cannot be used: {cause}"))
            .hint("They may be of a newer qastack.")
    })?;
    let file = with.settings_file.display();
    let ours = match fs::read_to_string(with.settings_file) {
        Ok(text) => Some(text),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        Err(cause) => return Err(Error::new(Code::SettingsInvalid, format!("cannot read {file}: {cause}"))),
    };
    let merged = with_figures_of(&theirs, ours.as_deref().unwrap_or_default())
        .map_err(|cause| Error::new(Code::SettingsInvalid, format!("{file}: {cause}")))?;
    if merged.is_some() && ours.is_some() {
        lost.push(format!("figures, sample_data, scrape_interval and retention in {file}"));
    }
    Ok(merged)
}

/// A settings file with the keys that the team's figures depend on as they have them, and every other key as it stands
/// there: variables and flags are of one call. None where nothing differs.
fn with_figures_of(theirs: &StackSettings, file: &str) -> Result<Option<String>, serde_yaml::Error> {
    let tree: Option<Mapping> = serde_yaml::from_str(file)?;
    let mut tree = tree.unwrap_or_default();
    let ours: StackSettings = serde_yaml::from_value(tree.clone().into())?;
    let before = tree.clone();
    let mut set = |key: &str, differs: bool, value: Value| differs.then(|| tree.insert(key.into(), value));
    set("figures", ours.figures != theirs.figures, serde_yaml::to_value(&theirs.figures)?);
    set("sample_data", ours.sample_data != theirs.sample_data, theirs.sample_data.into());
    let differs = ours.scrape_interval != theirs.scrape_interval;
    set("scrape_interval", differs, serde_yaml::to_value(theirs.scrape_interval)?);
    set("retention", ours.retention != theirs.retention, serde_yaml::to_value(theirs.retention)?);
    if tree == before { Ok(None) } else { serde_yaml::to_string(&tree).map(Some) }
}

async fn send(with: &Restore<'_>, store: &Path, force: bool) -> Result<()> {
    let path = store.to_owned();
    let hash = tokio::task::spawn_blocking(move || hash_of(&path)).await;
    let hash = hash.map_err(|_| Error::new(Code::Unexpected, "reading the store broke off"))?;
    let (_, hash) =
        hash.map_err(|cause| Error::new(Code::StoreDamaged, format!("cannot read {}: {cause}", store.display())))?;
    let sent = with.exporter.send_store(store, &hash, force).await;
    sent.map(drop).map_err(|refusal| refusal.into_error(with.exporter.base()))
}

/// What was done after the store, to be undone in the other order.
#[derive(Default)]
struct Undo {
    volumes: Vec<(Service, PathBuf)>,
    secrets: BTreeMap<SecretFile, Secret>,
    dashboards: bool,
    settings: Option<Option<Vec<u8>>>,
}

/// Everything but the store. The token goes last: from then on the one at hand opens nothing any more.
async fn put_back<E: Engine>(
    with: &Restore<'_>,
    home: &Home<'_, E>,
    prepared: &Prepared,
    undo: &mut Undo,
    report: &mut RestoreReport,
) -> Result<()> {
    if let Home::Containers(containers) = home {
        undo.secrets = if prepared.secrets.is_empty() { BTreeMap::new() } else { containers.secrets().await? };
        for service in &prepared.volumes {
            containers.cancel.check()?;
            let before = with.backup.path(&format!("before-{service}.tar"));
            containers.save_volume(*service, &before).await?;
            undo.volumes.push((*service, before));
            let member = with.backup.path(&volume_member(containers, *service)?);
            containers.replace_volume(*service, &member, &prepared.secrets).await?;
            report.volumes.push(service.name());
        }
        if prepared.volumes.contains(&Service::Grafana) && prepared.secrets.is_empty() {
            report.warnings.push(
                "Grafana's password is the one of the backup now: name it in grafana.admin_password_file; what Grafana \
                 encrypted is readable only with the key that --with-secrets takes along"
                    .to_owned(),
            );
        }
        if let Some(client) = &prepared.grafana {
            containers.cancel.check()?;
            let message = format!("restored from the backup of {}", with.backup.manifest.made_at);
            prepared.library.put_back(client, &prepared.changes, &message).await?;
            undo.dashboards = true;
            report.dashboards = prepared.changes.iter().map(Change::name).collect();
        }
    }
    if let Some(text) = &prepared.settings {
        let before = fs::read(with.settings_file).ok();
        write_settings(with.settings_file, text.as_bytes())?;
        undo.settings = Some(before);
        report.settings_written = true;
    }
    put_secrets(home, prepared, report).await
}

/// Grafana's own secrets belong to its data and went with them.
async fn put_secrets<E: Engine>(home: &Home<'_, E>, prepared: &Prepared, report: &mut RestoreReport) -> Result<()> {
    let with_data = |file: &SecretFile| prepared.volumes.contains(&file.service());
    report.secrets = prepared.secrets.keys().filter(|file| with_data(file)).map(|file| file.file_name()).collect();
    let Some(token) = prepared.secrets.get(&SecretFile::AdminToken) else { return Ok(()) };
    match home {
        Home::Containers(containers) => {
            containers.put_secrets(&BTreeMap::from([(SecretFile::AdminToken, token.clone())])).await?;
        }
        Home::Embedded(engine) => put_embedded_token(engine, token)?,
        Home::Unknown => return Ok(()),
    }
    report.secrets.push(SecretFile::AdminToken.file_name());
    Ok(())
}

fn put_embedded_token(engine: &EmbeddedEngine, token: &Secret) -> Result<()> {
    engine.put_admin_token(token.expose())?;
    engine.reload()
}

/// The file before is kept beside the new one.
fn write_settings(file: &Path, contents: &[u8]) -> Result<()> {
    let write = || {
        let name = file.display().to_string();
        if file.exists() {
            fs::copy(file, format!("{name}.before-restore"))?;
        }
        let new = format!("{name}.new");
        fs::write(&new, contents)?;
        fs::rename(&new, file)
    };
    write().map_err(|cause: std::io::Error| {
        Error::new(Code::SettingsInvalid, format!("cannot write {}: {cause}", file.display()))
    })
}

impl Undo {
    /// Puts everything back; what could not be is told.
    async fn all<E: Engine>(
        self,
        with: &Restore<'_>,
        home: &Home<'_, E>,
        prepared: &Prepared,
        store: &Path,
    ) -> Vec<String> {
        let mut troubles = Vec::new();
        let mut note = |what: &str, outcome: Result<()>| {
            if let Err(error) = outcome {
                troubles.push(format!("{what}: {error}"));
            }
        };
        match &self.settings {
            Some(Some(before)) => note("the settings", write_settings(with.settings_file, before)),
            // Where there was none, none is right.
            Some(None) => drop(fs::remove_file(with.settings_file)),
            None => {}
        }
        if let (Some(client), true) = (&prepared.grafana, self.dashboards) {
            grafana::undo(client, &prepared.changes).await;
        }
        if let Home::Containers(containers) = home {
            for (service, before) in self.volumes.iter().rev() {
                note(service.name(), containers.replace_volume(*service, before, &self.secrets).await);
            }
        }
        note("the store", send(with, store, true).await);
        troubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_figures_depend_on_is_carried_over_into_the_file() {
        let settings = |text: &str| serde_yaml::from_str::<StackSettings>(text).expect("settings");
        let theirs = settings("{ project: theirs, retention: 30d, sample_data: false }");
        let file = "# ours\nports: { grafana: 3001 }\nretention: 20d\n";
        let merged = with_figures_of(&theirs, file).expect("a file").expect("a difference");
        assert_eq!(merged, "ports:\n  grafana: 3001\nretention: 30d\nsample_data: false\n");
        assert_eq!(with_figures_of(&theirs, &merged).expect("a file"), None);
        assert_eq!(with_figures_of(&settings("{}"), "").expect("an empty file"), None);
        let fresh = with_figures_of(&settings("{ scrape_interval: 30s }"), "# nothing\n").expect("a file");
        assert_eq!(fresh.as_deref(), Some("scrape_interval: 30s\n"));
    }
}
