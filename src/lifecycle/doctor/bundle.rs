//! The bundle for a bug report: what a stranger needs to see what went wrong, and nothing he must not know.

use super::Redactor;
use crate::engine::Engine;
use crate::engine::embedded::EmbeddedEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{Names, Observed};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How much of each log goes in.
const LAST_LINES: usize = 500;

/// What a stranger reads first.
const READ_ME: &str = "\
Made by `qastack doctor --bundle` for a bug report. Have a look at it before you send it.

doctor.json      every check, with its fix
settings.json    every setting, with the place it came from
versions.json    qastack, this machine, the engine
plan.json        what `qastack up` would do now, or why that is not known
inspect/         the containers of this stack, as the engine describes them
logs/            their last lines
last-failure/    what was kept of a run that failed

Taken out: the admin token, Grafana's password and secret key, tokens of the environment, values of variables and keys
that are called like a secret, passwords in addresses, and the path of the home directory.
";

/// How a bundle is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `.tar.gz`, which everything reads.
    Gzip,
    /// `.tar.zst`.
    Zstandard,
}

impl Format {
    /// By the name of the file: anything that does not end in `.zst` or `.tzst` is gzip.
    pub fn of(path: &Path) -> Self {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("zst" | "tzst") => Self::Zstandard,
            _ => Self::Gzip,
        }
    }
}

/// One file of a bundle, as it was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// Words.
    Text(String),
    /// A document.
    Document(Value),
}

/// The files of a bundle, by name.
#[derive(Debug, Default)]
pub struct Bundle {
    files: Vec<(String, Evidence)>,
}

impl Bundle {
    /// A bundle with nothing but its explanation.
    pub fn new() -> Self {
        Self { files: vec![("README.txt".to_owned(), Evidence::Text(READ_ME.to_owned()))] }
    }

    /// Puts a file in.
    pub fn add(&mut self, name: impl Into<String>, evidence: Evidence) {
        self.files.push((name.into(), evidence));
    }

    /// Puts in what an engine knows of the project's containers, and their last lines.
    pub async fn add_containers<E: Engine>(&mut self, engine: &E, names: &Names, observed: &Observed) {
        for container in observed.containers.iter().filter(|container| container.is_ours(names.project())) {
            let described =
                engine.describe(&container.id).await.unwrap_or_else(|error| json!({ "error": error.message() }));
            self.add(format!("inspect/{}.json", container.name), Evidence::Document(described));
            let lines = match engine.last_lines(&container.id, LAST_LINES).await {
                Ok(lines) => lines.join("\n"),
                Err(error) => format!("the log cannot be read: {error}"),
            };
            self.add(format!("logs/{}.txt", container.name), Evidence::Text(lines));
        }
    }

    /// Puts in what is known of the process that runs without a container engine.
    pub fn add_process(&mut self, engine: &EmbeddedEngine) {
        self.add("logs/test-metrics.txt", Evidence::Text(engine.last_lines(LAST_LINES).join("\n")));
        if let Ok(observed) = engine.observe() {
            let config = observed.config.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
            let process = json!({
                "state": format!("{:?}", observed.state),
                "record": observed.record,
                "config": config,
                "has_token": observed.has_token,
            });
            self.add("inspect/test-metrics.json", Evidence::Document(process));
        }
    }

    /// Puts in what was kept of the project's last failure.
    pub fn add_last_failure(&mut self, state_directory: &Path, project: &str) {
        let name = format!("last-failure/{project}.txt");
        if let Ok(text) = std::fs::read_to_string(state_directory.join(&name)) {
            self.add(name, Evidence::Text(text));
        }
    }

    /// The names of the files, in order.
    pub fn names(&self) -> Vec<&str> {
        self.files.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// Writes the bundle, without secrets, for its owner alone to read. Returns its size in bytes.
    pub fn write(&self, path: &Path, redactor: &Redactor) -> Result<u64> {
        let trouble = |cause: std::io::Error| {
            Error::new(Code::Usage, format!("cannot write the bundle {}: {cause}", path.display()))
                .hint("Name a file in a directory that you may write to.")
        };
        let tar = self.pack(redactor).map_err(trouble)?;
        let packed = match Format::of(path) {
            Format::Gzip => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
                encoder.write_all(&tar).and_then(|()| encoder.finish())
            }
            Format::Zstandard => zstd::encode_all(tar.as_slice(), 0),
        }
        .map_err(trouble)?;
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(trouble)?;
        file.write_all(&packed).map_err(trouble)?;
        Ok(packed.len() as u64)
    }

    fn pack(&self, redactor: &Redactor) -> std::io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, evidence) in &self.files {
            let clean = match evidence {
                Evidence::Text(text) if name == "README.txt" => text.clone(),
                Evidence::Text(text) => redactor.text(text) + "\n",
                Evidence::Document(value) => serde_json::to_string_pretty(&redactor.json(value))? + "\n",
            };
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(clean.len() as u64);
            tar.append_data(&mut header, format!("qastack-doctor/{name}"), clean.as_bytes())?;
        }
        tar.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    #[test]
    fn both_formats_unpack_to_the_same_clean_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut bundle = Bundle::new();
        bundle.add("logs/a.txt", Evidence::Text("it said s3cret and went on".to_owned()));
        bundle.add("inspect/a.json", Evidence::Document(json!({ "Env": ["X=s3cret"] })));
        let redactor = Redactor::new([&Secret::new("s3cret")], None);
        for name in ["b.tar.gz", "b.tar.zst"] {
            let path = directory.path().join(name);
            bundle.write(&path, &redactor).expect("written");
            let bytes = std::fs::read(&path).expect("bytes");
            let tar = match Format::of(&path) {
                Format::Gzip => {
                    std::io::read_to_string(flate2::read::GzDecoder::new(bytes.as_slice())).expect("gzip").into_bytes()
                }
                Format::Zstandard => zstd::decode_all(bytes.as_slice()).expect("zstd"),
            };
            let text = String::from_utf8_lossy(&tar);
            assert!(text.contains("it said (removed) and went on") && !text.contains("s3cret"), "{text}");
            let names: Vec<String> = tar::Archive::new(tar.as_slice())
                .entries()
                .expect("entries")
                .map(|entry| entry.expect("an entry").path().expect("a path").display().to_string())
                .collect();
            assert_eq!(
                names,
                ["qastack-doctor/README.txt", "qastack-doctor/logs/a.txt", "qastack-doctor/inspect/a.json"]
            );
        }
    }
}
