//! What is there: the engine's objects, the files in their volumes, what Grafana lacks.

use super::{SecretFile, Service, labels};
use crate::secret::Secret;
use crate::settings::Published;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What is there, as far as this project is concerned.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Containers of the project, and any that has a name we need.
    pub containers: Vec<ObservedContainer>,
    /// Networks of the project, and any that has the name we need.
    pub networks: Vec<ObservedNetwork>,
    /// Volumes of the project, and any that has a name we need.
    pub volumes: Vec<ObservedVolume>,
    /// Images: those the services need, and the exporter images built before.
    pub images: Vec<ObservedImage>,
    /// The configuration in the containers' volumes, by service and path; one that is not here is not there.
    pub files: BTreeMap<(Service, String), Vec<u8>>,
    /// The secrets that are in the containers' volumes.
    pub secrets: BTreeSet<SecretFile>,
    /// Grafana's password as its volume holds it; none where there is none, or the settings have one.
    pub kept_password: Option<Secret>,
    /// Services whose loaded configuration is known to differ from the file they have.
    pub stale: BTreeMap<Service, String>,
    /// Grafana's own objects; none where it does not run or does not answer yet.
    pub grafana: Option<ObservedGrafana>,
}

/// How Grafana's own objects differ from what they should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObservedGrafana {
    /// What it lacks, as (object, reason).
    pub lacking: Vec<(String, String)>,
    /// What differs and is not ours to change, such as a dashboard its users have edited.
    pub kept: Vec<String>,
}

/// A container's state, in the engine's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Made, never started.
    Created,
    /// Runs.
    Running,
    /// Frozen.
    Paused,
    /// Ended and about to be started again by the engine.
    Restarting,
    /// Being removed.
    Removing,
    /// Ended.
    Exited,
    /// The engine could not remove it.
    Dead,
}

impl State {
    /// The engine's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting => "restarting",
            Self::Removing => "removing",
            Self::Exited => "exited",
            Self::Dead => "dead",
        }
    }
}

/// A container that is there.
#[derive(Debug, Clone)]
pub struct ObservedContainer {
    /// The engine's id.
    pub id: String,
    /// Its name, without the leading slash.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its state.
    pub state: State,
    /// The id of the image it was made from.
    pub image_id: String,
    /// The reference it was made with.
    pub image: String,
    /// The engine's word of its health: `healthy`, `starting`, `unhealthy`; none without a check.
    pub health: Option<String>,
    /// RFC 3339, where it was ever started.
    pub started_at: Option<String>,
    /// Its exit code, where it ended.
    pub exit_code: Option<i64>,
    /// Whether the kernel ended it for want of memory.
    pub out_of_memory: bool,
    /// What the engine says went wrong, such as a busy port.
    pub error: String,
    /// How often the engine has started it again.
    pub restarts: i64,
    /// The networks it is in, with the engine's id of each; the id is empty where it was never started.
    pub networks: BTreeMap<String, String>,
    /// The names of the volumes it mounts.
    pub volumes: BTreeSet<String>,
    /// What it publishes of the host's ports while it runs, by the engine's own word.
    pub ports: Vec<Published>,
}

impl ObservedContainer {
    /// Whether it carries this project's label.
    pub fn is_ours(&self, project: &str) -> bool {
        is_ours(&self.labels, project)
    }

    /// The service it is for.
    pub fn service(&self) -> Option<Service> {
        self.labels.get(labels::SERVICE).and_then(|name| Service::from_name(name))
    }

    /// What it was made from.
    pub fn spec(&self) -> Option<Value> {
        self.labels.get(labels::SPEC).and_then(|text| serde_json::from_str(text).ok())
    }

    /// Where it is published, which need not be where it should be.
    pub fn published(&self) -> Option<Published> {
        let ports = || self.ports.first().copied();
        self.spec().and_then(|spec| spec["published"].as_str()?.parse().ok()).or_else(ports)
    }

    /// Whether it holds its ports, so that nobody else can have them.
    pub fn holds_ports(&self) -> bool {
        matches!(self.state, State::Running | State::Paused | State::Restarting)
    }
}

/// A network that is there.
#[derive(Debug, Clone)]
pub struct ObservedNetwork {
    /// The engine's id; names need not be unique.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// A volume that is there.
#[derive(Debug, Clone)]
pub struct ObservedVolume {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// An image that is there.
#[derive(Debug, Clone)]
pub struct ObservedImage {
    /// The engine's id.
    pub id: String,
    /// The references it is known under.
    pub references: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

/// Whether labels say that an object is this project's.
pub(super) fn is_ours(labels: &BTreeMap<String, String>, project: &str) -> bool {
    labels.get(labels::PROJECT).is_some_and(|label| label == project)
}

impl Observed {
    /// The container a service runs in, if it is ours.
    pub fn container(&self, project: &str, service: Service) -> Option<&ObservedContainer> {
        self.containers.iter().find(|container| container.is_ours(project) && container.service() == Some(service))
    }

    /// The image known under a reference.
    pub fn image(&self, reference: &str) -> Option<&ObservedImage> {
        let wanted = with_tag(reference);
        self.images.iter().find(|image| image.references.iter().any(|known| is_same_reference(known, &wanted)))
    }
}

/// A reference with the tag that the engine adds by itself.
fn with_tag(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.contains([':', '@']) { reference.to_owned() } else { format!("{reference}:latest") }
}

/// Podman writes `docker.io/prom/prometheus:v3` and `localhost/NAME` for what was asked for without them.
fn is_same_reference(known: &str, wanted: &str) -> bool {
    let bare = |reference: &str| {
        let reference = reference.strip_prefix("docker.io/").unwrap_or(reference);
        let reference = reference.strip_prefix("library/").unwrap_or(reference);
        reference.strip_prefix("localhost/").unwrap_or(reference).to_owned()
    };
    known == wanted || bare(known) == bare(wanted)
}
