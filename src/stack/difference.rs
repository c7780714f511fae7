//! What differs between the container that runs and the one that should, key by key, in words.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The key, such as `memory_limit` or `environment.GF_LOG_LEVEL`.
    pub key: String,
    /// What it was; none where it was not there.
    pub was: Option<String>,
    /// What it is to be; none where it goes away.
    pub becomes: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = match self.key.strip_prefix("environment.") {
            // A variable's name is written as it is.
            Some(name) => format!("environment {name}"),
            None => self.key.replace('_', " "),
        };
        let (was, becomes) = (
            self.was.as_deref().map(|text| self.in_words(text)),
            self.becomes.as_deref().map(|text| self.in_words(text)),
        );
        match (was, becomes) {
            (Some(was), Some(becomes)) => write!(f, "{key} {was} -> {becomes}"),
            (None, Some(becomes)) => write!(f, "{key} {becomes} is new"),
            (Some(was), None) => write!(f, "{key} {was} is gone"),
            (None, None) => f.write_str(&key),
        }
    }
}

impl Difference {
    /// A value as people write it: `512 MiB`.
    fn in_words(&self, value: &str) -> String {
        let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
        let (number, unit) = value.split_at(digits);
        if self.key == "memory_limit" && !number.is_empty() { format!("{number} {unit}") } else { value.to_owned() }
    }
}

/// The keys that differ between two canonical forms; the order of keys means nothing.
pub fn differences(was: &Value, becomes: &Value) -> Vec<Difference> {
    let (was, becomes) = (leaves(was), leaves(becomes));
    let mut keys: Vec<&String> = was.keys().chain(becomes.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter()
        .filter(|key| was.get(*key) != becomes.get(*key))
        .map(|key| Difference { key: key.clone(), was: was.get(key).cloned(), becomes: becomes.get(key).cloned() })
        .collect()
}

fn leaves(value: &Value) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    collect(value, String::new(), &mut leaves);
    leaves
}

fn collect(value: &Value, path: String, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, path, leaves);
            }
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(text).collect();
            leaves.insert(path, items.join(" "));
        }
        other => {
            leaves.insert(path, text(other));
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_difference_is_told_key_by_key() {
        let was =
            json!({"memory_limit": "512MiB", "cpus": 2.0, "environment": {"A": "1", "B": "2"}, "command": ["a", "b"]});
        let becomes =
            json!({"cpus": 2.0, "memory_limit": "1GiB", "environment": {"A": "1", "C": "3"}, "command": ["a"]});
        let told: Vec<String> = differences(&was, &becomes).iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            ["command a b -> a", "environment B 2 is gone", "environment C 3 is new", "memory limit 512 MiB -> 1 GiB"]
        );
    }

    #[test]
    fn the_order_of_keys_means_nothing() {
        assert!(
            differences(&json!({"a": 1, "b": {"c": 2, "d": 3}}), &json!({"b": {"d": 3, "c": 2}, "a": 1})).is_empty()
        );
    }
}
