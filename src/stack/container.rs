//! One service's container, as it should be, in terms every engine understands.

use super::Service;
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
        sha256(self.canonical().to_string().as_bytes())
    }
}

/// SHA-256 in lower-case hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Bytes in lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
