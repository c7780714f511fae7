//! One service's container, as it should be, in terms every engine understands.

use super::Service;
use crate::hex::hex;
use crate::settings::{Published, Restart, ServiceLimits};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Where a service's image comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// Built from the running executable, under this reference.
    Build(String),
    /// Pulled where it is not there, under this reference.
    Reference(String),
}

impl ImageSource {
    /// The reference a container is made with.
    pub fn reference(&self) -> &str {
        match self {
            Self::Build(reference) | Self::Reference(reference) => reference,
        }
    }
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PullPolicy {
    /// Where it is not there.
    #[default]
    Missing,
    /// Each time, so that a name that is given to a newer image brings it; what is there is used where none can be had.
    Always,
    /// Not at all: one that is not there is an error.
    Never,
}

/// A named volume in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// The volume's part in the stack, such as `grafana-data`.
    pub part: &'static str,
    /// Where it is mounted.
    pub path: &'static str,
    /// What a fresh one begins with.
    pub begins: Begins,
}

/// What a fresh volume begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins {
    /// What the image has there, and with it the owner: the service writes to it.
    AsInTheImage,
    /// Nothing, owned by root: only we write to it.
    Empty,
}

/// A file in one of a container's volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSpec {
    /// The absolute path in the container.
    pub path: String,
    /// What it holds.
    pub contents: Vec<u8>,
    /// The owner; configuration is root's, so that the services can read and not write it.
    pub owner: u32,
    /// The mode.
    pub mode: u32,
    /// Its date in the volume, in seconds since the epoch; 0 where it tells nothing.
    pub date: u32,
}

/// What a look at a file tells without reading it, which an engine does in a fraction of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStat {
    /// Bytes.
    pub size: u64,
    /// Seconds since the epoch.
    pub date: i64,
}

impl FileSpec {
    /// A configuration file. Its date is made from what it holds, so that a look tells whether it still holds that.
    pub fn configuration(path: &str, contents: Vec<u8>) -> Self {
        let date = Self::telltale_date(&contents);
        Self { path: path.to_owned(), contents, owner: 0, mode: 0o644, date }
    }

    /// The date that tells of contents: 31 bits of their SHA-256, and never 0.
    pub fn telltale_date(contents: &[u8]) -> u32 {
        let digest = Sha256::digest(contents);
        let bits = digest.iter().take(4).fold(0, |bits, byte| (bits << 8) | u32::from(*byte));
        (bits & 0x7fff_ffff).max(1)
    }

    /// Whether a file that looks like this holds what it should.
    pub fn is_as_seen(&self, seen: &FileStat) -> bool {
        self.date != 0 && i64::from(self.date) == seen.date && self.contents.len() as u64 == seen.size
    }
}

/// How the engine finds out whether a service is well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// A program in the image and its arguments; never a shell, since images may have none.
    pub command: Vec<String>,
    /// Seconds between two checks.
    pub interval_seconds: u64,
}

/// One service's container, as it should be.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerSpec {
    /// The service.
    pub service: Service,
    /// The image.
    pub image: ImageSource,
    /// Arguments; the image's own where there are none.
    pub command: Vec<String>,
    /// Environment, without secrets.
    pub environment: BTreeMap<String, String>,
    /// User and group, never root's.
    pub user: (u32, u32),
    /// Where its port is published.
    pub published: Published,
    /// Its volumes.
    pub mounts: Vec<Mount>,
    /// Its health check.
    pub health: HealthCheck,
    /// What it may use.
    pub limits: ServiceLimits,
    /// When the engine starts it again.
    pub restart: Restart,
    /// Seconds it gets to end by itself.
    pub stop_timeout_seconds: u64,
    /// Size of its in-memory `/tmp`, the only place outside its volumes it can write to.
    pub tmp_mebibytes: u64,
    /// Configuration that is there before it starts.
    pub files: Vec<FileSpec>,
}

impl ContainerSpec {
    /// What decides whether a running container still fits, key by key. Files are not in it: they change by a reload.
    ///
    /// The keys stay the same from release to release: a new one would recreate every user's containers for nothing.
    pub fn canonical(&self) -> Value {
        let mounts: BTreeMap<&str, &str> = self.mounts.iter().map(|mount| (mount.path, mount.part)).collect();
        json!({
            "command": self.command,
            "cpus": self.limits.cpus,
            "environment": self.environment,
            "health_check": self.health.command,
            "health_interval_seconds": self.health.interval_seconds,
            "image": self.image.reference(),
            "memory_limit": self.limits.memory.to_string(),
            "mounts": mounts,
            "pids_limit": self.limits.pids,
            "published": self.published.to_string(),
            "restart": self.restart.to_string(),
            "stop_timeout_seconds": self.stop_timeout_seconds,
            "tmp_mebibytes": self.tmp_mebibytes,
            "user": format!("{}:{}", self.user.0, self.user.1),
        })
    }

    /// SHA-256 of the canonical form, in hex.
    pub fn hash(&self) -> String {
        hash(&self.canonical())
    }
}

/// SHA-256 of a value, in hex; the order of its keys means nothing.
pub(super) fn hash(value: &Value) -> String {
    sha256(in_key_order(value).to_string().as_bytes())
}

fn in_key_order(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let sorted: BTreeMap<&String, Value> =
                object.iter().map(|(key, value)| (key, in_key_order(value))).collect();
            sorted.into_iter().map(|(key, value)| (key.clone(), value)).collect()
        }
        Value::Array(items) => items.iter().map(in_key_order).collect(),
        other => other.clone(),
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_tells_a_file_that_holds_something_else() {
        let file = FileSpec::configuration("/etc/x", b"interval: 15s".to_vec());
        let seen = |file: &FileSpec| FileStat { size: file.contents.len() as u64, date: i64::from(file.date) };
        assert!(file.is_as_seen(&seen(&file)));
        let other = FileSpec::configuration("/etc/x", b"interval: 30s".to_vec());
        assert!(!file.is_as_seen(&seen(&other)), "the same size, other contents");
        let edited = FileStat { date: 1_790_000_000, ..seen(&file) };
        assert!(!file.is_as_seen(&edited), "an editor leaves the time of day");
        let undated = FileSpec { date: 0, ..file };
        assert!(!undated.is_as_seen(&seen(&undated)), "a date of nothing tells nothing");
    }

    #[test]
    fn a_telltale_date_is_a_date_that_every_file_system_keeps() {
        for contents in [b"".as_slice(), b"admin", b"a longer one"] {
            let date = FileSpec::telltale_date(contents);
            assert!((1..=0x7fff_ffff).contains(&date), "{date}");
        }
    }
}
