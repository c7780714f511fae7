//! How the exporter reads and computes: the keys of its own file, their defaults and their rules.

use super::mistake::Problem;
use super::{FiguresSettings, Layers, Loaded, Memory, Override, Period};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::hex::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

/// How the exporter reads and computes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServeSettings {
    /// Where it listens.
    pub listen: SocketAddr,
    /// Where the store lies. Without it: /data in a container, else the user's data directory.
    pub data_dir: Option<PathBuf>,
    /// Names, besides its own, under which requests may reach it.
    pub allowed_hosts: Vec<String>,
    /// A file with the administrator's token. Without it nothing is taken in.
    pub admin_token_file: Option<PathBuf>,
    /// Who may read the pages, the badges, and figures and lists over the API; `/metrics` is open to whoever reaches
    /// the port.
    pub reading: Option<Reading>,
    /// Whether sample reports show until the first real input.
    pub sample_data: bool,
    /// How the figures are computed.
    pub figures: FiguresSettings,
    /// What an upload may be.
    pub uploads: UploadSettings,
    /// How long what was uploaded is kept.
    pub history: HistorySettings,
    /// What `/metrics` shows on demand.
    pub metrics: MetricsSettings,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            data_dir: None,
            allowed_hosts: Vec::new(),
            admin_token_file: None,
            reading: None,
            sample_data: true,
            figures: FiguresSettings::default(),
            uploads: UploadSettings::default(),
            history: HistorySettings::default(),
            metrics: MetricsSettings::default(),
        }
    }
}

/// Who may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reading {
    /// Whoever reaches the port.
    Open,
    /// Whoever asks from this machine; everybody else needs a token, as with `token`. The default, but in a container:
    /// there nobody seems to ask from this machine, whoever publishes the port decides, and the default is `open`.
    Loopback,
    /// Holders of a token with the scope `read`.
    Token,
}

/// What an upload may be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct UploadSettings {
    /// The most bytes as sent.
    pub sent: Memory,
    /// The most bytes once inflated.
    pub inflated: Memory,
    /// The most test cases.
    pub tests: u64,
    /// What all uploads together may occupy while they are read.
    pub memory: Memory,
    /// Uploads a second that each token may bring in the mean, ten seconds' worth of them at once.
    pub rate: NonZeroU32,
    /// The same for the administrator's own token; without it that one is not limited.
    pub admin_rate: Option<NonZeroU32>,
}

impl Default for UploadSettings {
    fn default() -> Self {
        Self {
            sent: Memory::mebibytes(32),
            inflated: Memory::mebibytes(256),
            tests: 200_000,
            memory: Memory::mebibytes(96),
            rate: NonZeroU32::MIN.saturating_add(199),
            admin_rate: None,
        }
    }
}

/// How long what was uploaded is kept. The daily sums behind the figures outlive it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HistorySettings {
    /// How long single executions are kept.
    pub executions: Period,
    /// The most bytes the store may occupy on disk; the oldest executions go first.
    pub size: Option<Memory>,
}

/// The smallest `history.size`: the store's own tables and one large report with its indexes have room.
const SMALLEST_STORE: Memory = Memory::mebibytes(16);

impl HistorySettings {
    /// Holds the bound.
    ///
    /// # Errors
    /// The store would have no room for a report.
    pub(super) fn check(&self) -> std::result::Result<(), Problem> {
        match self.size {
            Some(size) if size < SMALLEST_STORE => {
                let message =
                    format!("{size} is less than {SMALLEST_STORE}, which the store needs to take anything in");
                Err(Problem::new("history.size", message))
            }
            _ => Ok(()),
        }
    }
}

impl Default for HistorySettings {
    fn default() -> Self {
        Self { executions: Period::days(90), size: None }
    }
}

/// What `/metrics` shows on demand.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsSettings {
    /// How many of the flakiest tests are shown by their names, 20 at most: each name is a series of its own.
    pub top_flaky: u8,
}

impl MetricsSettings {
    /// Holds the bound.
    ///
    /// # Errors
    /// The path of the key, and what is wrong with it.
    pub(super) fn check(&self) -> std::result::Result<(), (&'static str, String)> {
        match self.top_flaky {
            0..=20 => Ok(()),
            _ => Err(("metrics.top_flaky", "20 is the most: each is a series of its own".to_owned())),
        }
    }
}

/// The exporter's settings as read, and the hash of the file they came from.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadedServe {
    /// The settings.
    pub settings: ServeSettings,
    /// SHA-256 of the file's bytes, in hexadecimal; shown on `/readyz`, so that whoever wrote the file sees that it
    /// is the one in force. `None` where no file was named.
    pub sha256: Option<String>,
}

/// Reads the exporter's settings: the file where one is named, then the environment, then the flags.
///
/// # Errors
/// The file cannot be read, or a value is unknown or impossible; the message names file, line and key.
pub fn load_serve(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Override>,
) -> Result<LoadedServe> {
    let mut layers = Layers::<ServeSettings>::defaults();
    let mut sha256 = None;
    if let Some(path) = file {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(Code::SettingsInvalid, format!("cannot read the settings file {}: {cause}", path.display()))
        })?;
        layers.add_text(path, &text)?;
        sha256 = Some(hex(&Sha256::digest(text.as_bytes())));
    }
    layers.add_environment(environment)?;
    layers.add_overrides(flags)?;
    let Loaded { settings, origins } = layers.finish()?;
    settings.check().map_err(|problem| problem.into_error(&origins))?;
    Ok(LoadedServe { settings, sha256 })
}

impl ServeSettings {
    /// Holds the rules that no single value's type can hold.
    fn check(&self) -> std::result::Result<(), Problem> {
        for host in &self.allowed_hosts {
            if host.is_empty() || host.contains(['/', ':', '*', ' ', '@']) {
                let message = format!("`{host}` is not a host name; write it without scheme and port");
                return Err(Problem::new("allowed_hosts", message));
            }
        }
        self.figures.rules().map_err(|(path, message)| Problem::new(path, message))?;
        self.figures.check_names().map_err(|(path, message)| Problem::new(path, message))?;
        self.metrics.check().map_err(|(path, message)| Problem::new(path, message))?;
        self.history.check()?;
        let uploads = &self.uploads;
        if uploads.sent > uploads.inflated {
            let message = format!("{} is less than uploads.sent, {}", uploads.inflated, uploads.sent);
            return Err(Problem::new("uploads.inflated", message));
        }
        if uploads.memory < Memory::mebibytes(1) || uploads.sent < Memory::mebibytes(1) {
            return Err(Problem::new("uploads", "sent and memory have to be at least 1MiB"));
        }
        if uploads.tests == 0 {
            return Err(Problem::new("uploads.tests", "it has to be at least 1"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<LoadedServe> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("serve.yaml");
        std::fs::write(&path, yaml).unwrap();
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_serve(Some(&path), environment, Vec::new())
    }

    #[test]
    fn without_a_file_everything_is_default_and_there_is_no_hash() {
        let loaded = load_serve(None, [], Vec::new()).unwrap();
        assert_eq!(loaded, LoadedServe { settings: ServeSettings::default(), sha256: None });
    }

    #[test]
    fn the_hash_is_that_of_the_files_bytes() {
        let loaded = load("sample_data: false\n", &[]).unwrap();
        assert!(!loaded.settings.sample_data);
        let expected = "076aa9ba11332b14b77b0475833b1a966caa0fe97a560b008c4bcd8f217beb52";
        assert_eq!(loaded.sha256.as_deref(), Some(expected));
        assert_ne!(loaded.sha256, load("sample_data: false # changed\n", &[]).unwrap().sha256);
    }

    #[test]
    fn the_environment_reaches_every_key_and_lists_are_written_as_in_the_file() {
        let loaded = load(
            "figures: { flake_window: 7d }\n",
            &[
                ("QASTACK_LISTEN", "127.0.0.1:0"),
                ("QASTACK_ALLOWED_HOSTS", "[qa.example.com]"),
                ("QASTACK_ADMIN_TOKEN_FILE", "/run/token"),
                ("QASTACK_FIGURES__LEAKAGE_WINDOW", "30d"),
                ("QASTACK_LIMITS__GRAFANA__MEMORY", "1GiB"),
            ],
        );
        let settings = loaded.unwrap().settings;
        assert_eq!(settings.listen, "127.0.0.1:0".parse().unwrap());
        assert_eq!(settings.allowed_hosts, ["qa.example.com"]);
        assert_eq!(settings.admin_token_file, Some("/run/token".into()));
        assert_eq!(settings.figures.flake_window, Period::days(7));
        assert_eq!(settings.figures.leakage_window, Period::days(30));
    }

    #[test]
    fn a_mistake_names_its_line_or_its_key() {
        for (yaml, expected) in [
            ("sample_data: true\nflake_windw: 3d\n", "line 2"),
            ("figures:\n  flake_windw: 3d\n", "line 2"),
            ("allowed_hosts: ['http://x']", "allowed_hosts"),
            ("allowed_hosts: ['*']", "allowed_hosts"),
            ("uploads: { sent: 1GiB }", "uploads.inflated"),
            ("listen: here", "listen"),
            ("metrics: { top_flaky: 21 }", "metrics.top_flaky"),
            ("uploads: { rate: 0 }", "line 1"),
            ("figures: { flake_window: 1h }", "figures.flake_window"),
        ] {
            let error = load(yaml, &[]).unwrap_err();
            assert_eq!(error.code(), Code::SettingsInvalid);
            assert!(error.message().contains(expected), "{yaml}: {}", error.message());
        }
    }
}
