//! Settings laid over each other, each value with the place it came from.
//!
//! A file is first read on its own, so that a mistake in it is told with its line; the environment and the flags
//! are then laid over it key by key.

use super::Loaded;
use super::mistake::{self, Shape};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_yaml::{Mapping, Value};
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

/// Every variable of ours begins like this.
const PREFIX: &str = "QASTACK_";

/// What Kubernetes sets in every container beside a service of the name qastack; it is nearly `QASTACK_PORTS`.
const OF_KUBERNETES: &str = "QASTACK_PORT";

/// What the reader says of a list or a mapping where one value belongs.
pub(super) const SINGLE: &str = "a single value";

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A settings file.
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Flag(name) => f.write_str(name),
        }
    }
}

/// One value that stands above the file: its path, its text, and where it came from.
#[derive(Debug, Clone)]
pub struct Override {
    /// The path of the key, such as `images.grafana`.
    pub path: String,
    /// The value, written as in the file.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// The layers read so far.
#[derive(Debug)]
pub struct Layers<T> {
    tree: Value,
    origins: BTreeMap<String, Origin>,
    /// Every path of a default value, to tell a known key from a misspelt one.
    known: Vec<String>,
    /// The paths below which keys are the user's own words.
    open: Vec<String>,
    settings: PhantomData<T>,
}

impl<T: Default + Serialize + DeserializeOwned> Layers<T> {
    /// Nothing but defaults.
    pub fn defaults() -> Self {
        let (mut known, mut open) = (Vec::new(), Vec::new());
        if let Ok(defaults) = serde_yaml::to_value(T::default()) {
            paths(&defaults, "", &mut |path, value| {
                known.push(path.to_owned());
                // Only a map of the user's own words is empty by default.
                if value.as_mapping().is_some_and(Mapping::is_empty) {
                    open.push(path.to_owned());
                }
            });
        }
        Self { tree: Value::Mapping(Mapping::new()), origins: BTreeMap::new(), known, open, settings: PhantomData }
    }

    /// Lays a file over what is there.
    pub fn add_file(&mut self, path: &Path) -> Result<()> {
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(Code::SettingsInvalid, format!("cannot read the settings file {}: {cause}", path.display()))
        })?;
        self.add_text(path, &text)
    }

    /// Lays the text of a file over what is there, for a caller that has read it itself.
    pub fn add_text(&mut self, path: &Path, text: &str) -> Result<()> {
        let tree = mistake::read(path, text, self.shape())?;
        // An empty file, or one of comments only, is YAML's null and means all defaults.
        if tree.is_null() {
            return Ok(());
        }
        paths(&tree, "", &mut |key, value| {
            if !value.is_mapping() {
                self.origins.insert(key.to_owned(), Origin::File(path.to_owned()));
            }
        });
        self.tree = tree;
        Ok(())
    }

    /// Lays the variables over what is there whose names are paths of ours. One that is set to nothing is not set: so a
    /// job's file sets what does not apply.
    pub fn add_environment(&mut self, environment: impl IntoIterator<Item = (String, String)>) -> Result<()> {
        let names: BTreeMap<String, String> = self.known.iter().map(|path| (variable(path), path.clone())).collect();
        let mut overrides = Vec::new();
        for (name, value) in environment.into_iter().filter(|(_, value)| !value.trim().is_empty()) {
            if let Some(path) = names.get(&name).cloned().or_else(|| self.below_open(&name)) {
                overrides.push(Override { path, value, origin: Origin::Variable(name) });
            } else if let Some(meant) = misspelt(&name, &names) {
                return Err(Error::new(Code::SettingsInvalid, format!("{name} names no setting"))
                    .hint(format!("did you mean {meant}?")));
            }
        }
        self.add_overrides(overrides)
    }

    /// The path of a variable that names a word below an open path: `QASTACK_GATE__MAX__FLAKE_RATE`.
    fn below_open(&self, name: &str) -> Option<String> {
        self.open.iter().find_map(|path| {
            let word = name.strip_prefix(&variable(path))?.strip_prefix("__").filter(|word| !word.is_empty())?;
            Some(format!("{path}.{}", word.to_lowercase()))
        })
    }

    /// Lays single values over what is there.
    pub fn add_overrides(&mut self, overrides: Vec<Override>) -> Result<()> {
        for Override { path, value, origin } in overrides {
            let wrong = |cause: String| Error::new(Code::SettingsInvalid, format!("{origin}: {cause}"));
            let value: Value =
                serde_yaml::from_str(&value).map_err(|cause| wrong(format!("this is not YAML: {cause}")))?;
            let keys: Vec<&str> = path.split('.').collect();
            if let Some(problem) = mistake::of_value(&keys, &value, self.shape()) {
                let error = wrong(problem.message);
                return Err(match problem.hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                });
            }
            put(&mut self.tree, &path, value);
            self.origins.retain(|known, _| !known.starts_with(&format!("{path}.")));
            self.origins.insert(path, origin);
        }
        Ok(())
    }

    fn shape(&self) -> Shape<'_> {
        Shape { refused: mistake::refused::<T>, known: &self.known, open: &self.open }
    }

    /// The settings that result.
    pub fn finish(self) -> Result<Loaded<T>> {
        let settings = serde_yaml::from_value(self.tree)
            .map_err(|cause| Error::new(Code::SettingsInvalid, format!("settings: {cause}")))?;
        Ok(Loaded { settings, origins: self.origins })
    }
}

/// The variable of a path: `images.test-metrics` is `QASTACK_IMAGES__TEST_METRICS`.
fn variable(path: &str) -> String {
    format!("{PREFIX}{}", path.replace('.', "__").replace('-', "_").to_uppercase())
}

/// The variable that was meant, for a name that begins like a group of ours and names nothing in it, and for one that
/// is nearly a name of ours.
fn misspelt<'a>(name: &str, names: &'a BTreeMap<String, String>) -> Option<&'a str> {
    let word = name.strip_prefix(PREFIX).filter(|_| name != OF_KUBERNETES)?;
    let group = word.split_once("__").map(|(group, _)| format!("{PREFIX}{group}__"));
    let in_group = |known: &&String| group.as_ref().is_some_and(|group| known.starts_with(group));
    let distance = |known: &&String| strsim::damerau_levenshtein(known, name);
    let near = if word.len() < 6 { 1 } else { 2 };
    let nearest = names.keys().min_by_key(distance).filter(|known| distance(known) <= near);
    let likeness = |known: &str| strsim::jaro_winkler(known, name);
    let in_group = names.keys().filter(in_group).max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.or(in_group).map(String::as_str)
}

/// Calls `visit` with every path below a value, groups and leaves.
fn paths(value: &Value, prefix: &str, visit: &mut dyn FnMut(&str, &Value)) {
    let Value::Mapping(mapping) = value else { return };
    for (key, value) in mapping {
        let Some(key) = key.as_str() else { continue };
        let path = if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
        visit(&path, value);
        paths(value, &path, visit);
    }
}

fn put(tree: &mut Value, path: &str, value: Value) {
    let mut place = tree;
    for key in path.split('.') {
        if !place.is_mapping() {
            *place = Value::Mapping(Mapping::new());
        }
        let Value::Mapping(mapping) = place else { return };
        place = mapping.entry(Value::from(key)).or_insert(Value::Null);
    }
    *place = value;
}

/// Reads text, and numbers and truth values as the text they were written as.
pub(super) fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "a single value")]
    enum Scalar {
        Whole(i64),
        Number(f64),
        Truth(bool),
        Text(String),
    }
    Ok(match Scalar::deserialize(deserializer)? {
        Scalar::Whole(value) => value.to_string(),
        Scalar::Number(value) => value.to_string(),
        Scalar::Truth(value) => value.to_string(),
        Scalar::Text(value) => value,
    })
}
