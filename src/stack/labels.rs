//! The labels on everything we make: ours decide what is ours, compose's let `docker compose` see the stack.

use super::{ContainerSpec, Names};
use std::collections::BTreeMap;
use std::fmt;

/// Whose it is. Nothing without this label is ever changed or removed.
pub const PROJECT: &str = "dev.qastack.project";
/// Which service it belongs to.
pub const SERVICE: &str = "dev.qastack.service";
/// The part a volume plays.
pub const PART: &str = "dev.qastack.part";
/// The version of qastack that made it.
pub const VERSION: &str = "dev.qastack.version";
/// What a container was made from, as canonical JSON; the next plan is compared with it.
pub const SPEC: &str = "dev.qastack.spec";

/// Which run of `up` made it, so that a run that fails takes back what it made itself and nothing else.
pub const RUN: &str = "dev.qastack.run";

/// One run of `up`, told from every other by a random word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunId(String);

impl RunId {
    /// A run of this name; whoever makes one takes care that there is no other.
    pub fn new(word: impl Into<String>) -> Self {
        Self(word.into())
    }

    /// Whether labels say that an object was made by this run.
    pub fn made(&self, labels: &Labels) -> bool {
        labels.get(RUN) == Some(&self.0)
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Labels as the engine takes them.
pub type Labels = BTreeMap<String, String>;

/// On every object: the project, ours and compose's, and our version.
pub fn common(names: &Names) -> Labels {
    labels([
        (PROJECT, names.project()),
        (VERSION, env!("CARGO_PKG_VERSION")),
        ("com.docker.compose.project", names.project()),
    ])
}

/// The common ones, and which run made it.
fn made_by(run: &RunId, names: &Names) -> Labels {
    let mut all = common(names);
    all.insert(RUN.to_owned(), run.to_string());
    all
}

/// On a container. Compose lists a container only with all of these.
pub fn container(run: &RunId, names: &Names, spec: &ContainerSpec) -> Labels {
    let service = spec.service.name();
    let mut all = made_by(run, names);
    all.extend(labels([
        (SERVICE, service),
        (SPEC, &spec.canonical().to_string()),
        ("com.docker.compose.service", service),
        ("com.docker.compose.container-number", "1"),
        ("com.docker.compose.oneoff", "False"),
        ("com.docker.compose.config-hash", &spec.hash()),
        ("com.docker.compose.project.config_files", ""),
        ("com.docker.compose.project.working_dir", ""),
    ]));
    all
}

/// On a volume.
pub fn volume(run: &RunId, names: &Names, part: &str) -> Labels {
    let mut all = made_by(run, names);
    all.extend(labels([(PART, part), ("com.docker.compose.volume", part)]));
    all
}

/// On the network.
pub fn network(run: &RunId, names: &Names) -> Labels {
    let mut all = made_by(run, names);
    all.extend(labels([("com.docker.compose.network", "default")]));
    all
}

fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Labels {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
