//! `backup`: everything of a team in one file: the store over the exporter's API, dashboards over Grafana's, settings;
//! volumes and secrets only where they are asked for.

use super::moving::{Containers, WITH_VOLUMES, volume_member};
use crate::backup::{DASHBOARDS, Manifest, Packing, SETTINGS, STORE, secret};
use crate::engine::Engine;
use crate::engine::embedded::EmbeddedEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::settings::StackSettings;
use crate::stack::SecretFile;
use jiff::Timestamp;
use serde::Serialize;
use std::path::Path;

/// What is wanted besides store, dashboards and settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Besides {
    /// Grafana's and Prometheus' data, for which they are stopped.
    pub volumes: bool,
    /// The exporter's token, Grafana's password and key.
    pub secrets: bool,
}

/// What runs the stack that is taken from or put into.
pub enum Home<'a, E: Engine> {
    /// A container engine.
    Containers(Containers<'a, E>),
    /// This machine, without containers.
    Embedded(&'a EmbeddedEngine),
    /// Nobody knows: only the exporter's address was given.
    Unknown,
}

impl<E: Engine> Home<'_, E> {
    fn word(&self) -> &'static str {
        match self {
            Self::Containers(containers) => containers.engine.info().kind,
            Self::Embedded(engine) => engine.info().kind,
            Self::Unknown => "unknown",
        }
    }
}

/// What was taken.
#[derive(Debug, Serialize)]
pub struct BackupReport {
    /// What the file says of itself.
    pub manifest: Manifest,
    /// The number of dashboards.
    pub dashboards: usize,
    /// What is not in it and should be known.
    #[serde(skip)]
    pub warnings: Vec<String>,
}

/// Makes the backup.
///
/// # Errors
/// A part does not run or answer, or the file cannot be written. Nothing is left of the file then.
pub async fn backup<E: Engine>(
    home: Home<'_, E>,
    exporter: &Client,
    settings: &StackSettings,
    besides: Besides,
    file: &Path,
) -> Result<BackupReport> {
    let mut packing = Packing::begin(file)?;
    let mut warnings = Vec::new();
    let fetched = exporter
        .fetch_store(&packing.member(STORE)?)
        .await
        .map_err(|refusal| refusal.into_error(exporter.base()).context("the store cannot be copied"))?;
    // Plain maps, lists and text always serialise.
    packing.put(SETTINGS, serde_yaml::to_string(settings).unwrap_or_default().as_bytes())?;
    let mut dashboards = 0;
    let word = home.word();
    match home {
        Home::Containers(containers) => {
            let (library, left_out) = containers.dashboards().await?;
            dashboards = library.dashboards.len();
            packing.put(DASHBOARDS, &serde_json::to_vec(&library).unwrap_or_default())?;
            if !left_out.is_empty() {
                warnings.push(format!(
                    "these dashboards are stored in a format of which Grafana gives out only a part, and are not in \
                     the backup; --with-volumes takes them: {}",
                    left_out.join(", ")
                ));
            }
            if besides.secrets {
                for (file, value) in containers.secrets().await? {
                    packing.put(&secret(file.file_name()), value.expose().as_bytes())?;
                }
            }
            if besides.volumes {
                for service in WITH_VOLUMES {
                    let path = packing.member(&volume_member(&containers, service)?)?;
                    containers.save_volume(service, &path).await?;
                }
            }
        }
        Home::Embedded(engine) => {
            if besides.secrets
                && let Some(token) = engine.read_admin_token()?
            {
                packing.put(&secret(SecretFile::AdminToken.file_name()), token.expose().as_bytes())?;
            }
            if besides.volumes {
                warnings.push("without containers there are no volumes: the store is all the data there is".to_owned());
            }
        }
        Home::Unknown if besides.volumes || besides.secrets => {
            let message = "volumes and secrets are the engine's, and only the exporter's address was given";
            return Err(Error::new(Code::Usage, message).hint("Leave --url out, on a machine that reaches the engine."));
        }
        Home::Unknown => {}
    }
    let (project, schema, made_at) = (settings.project.clone(), fetched.schema_version, Timestamp::now());
    let packed = tokio::task::spawn_blocking(move || packing.finish(schema, &project, word, made_at)).await;
    let manifest = packed.map_err(|_| Error::new(Code::Unexpected, "packing the backup broke off"))??;
    Ok(BackupReport { manifest, dashboards, warnings })
}
