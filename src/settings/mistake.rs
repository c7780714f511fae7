//! What is wrong with settings, and where: the key's path, its line in the file, and words that need no Rust.

use super::layers::Origin;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Mapping, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

/// How alike a key has to be to be offered, from 0 to 1.
const ALIKE: f64 = 0.8;

/// A value that cannot be used.
#[derive(Debug)]
pub struct Problem {
    /// The path of the key.
    pub path: String,
    /// What is wrong with it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), hint: None }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The error a user reads, with the place the value came from.
    pub fn into_error(self, origins: &BTreeMap<String, Origin>) -> Error {
        let below = format!("{}.", self.path);
        let of_group = || origins.iter().find(|(path, _)| path.starts_with(&below)).map(|(_, origin)| origin);
        let place = match origins.get(&self.path).or_else(of_group) {
            Some(Origin::File(file)) => {
                let text = std::fs::read_to_string(file).unwrap_or_default();
                in_file(file, line_of(&text, &self.path))
            }
            Some(origin) => format!(" ({origin})"),
            None => String::new(),
        };
        let error = Error::new(Code::SettingsInvalid, format!("{}{place}: {}", self.path, self.message));
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What a mistake is looked for by.
#[derive(Debug, Clone, Copy)]
pub struct Shape<'a> {
    /// Why a value is none of these settings, as the reader says it.
    pub refused: fn(Value) -> Option<String>,
    /// The paths there are.
    pub known: &'a [String],
    /// Those of them below which keys are the user's own words.
    pub open: &'a [String],
}

/// Why a value is none of these settings.
pub fn refused<T: DeserializeOwned>(value: Value) -> Option<String> {
    serde_yaml::from_value::<T>(value).err().map(|cause| cause.to_string())
}

/// The tree of a file's text, null where it says nothing.
///
/// # Errors
/// It cannot be used as these settings.
pub fn read(file: &Path, text: &str, shape: Shape<'_>) -> Result<Value> {
    let wrong = |message: String| Error::new(Code::SettingsInvalid, message);
    if let Some((path, first, second)) = twice(text) {
        let place = in_file(file, Some(second));
        return Err(wrong(format!("{path}{place}: the key stands there twice, first in line {first}"))
            .hint("Keep one of the two."));
    }
    let tree: Value =
        serde_yaml::from_str(text).map_err(|cause| wrong(format!("{}: this is not YAML: {cause}", file.display())))?;
    if !tree.is_mapping() && !tree.is_null() {
        let hint = "Write a key and its value in each line, such as project: web.";
        return Err(wrong(format!("{}: these are no settings", file.display())).hint(hint));
    }
    let mut problem = None;
    leaves(&tree, &mut Vec::new(), &mut |keys, value| {
        problem = problem.take().or_else(|| of_value(keys, value, shape));
    });
    let Some(Problem { path, message, hint }) = problem else { return Ok(tree) };
    let error = wrong(format!("{path}{}: {message}", in_file(file, line_of(text, &path))));
    Err(error.hint(
        hint.unwrap_or_else(|| "Every key and its default is in README.md; an empty file is all defaults.".to_owned()),
    ))
}

/// Why a value cannot stand at these keys; it is looked at alone, so that the reason is about it and no other.
pub fn of_value(keys: &[&str], value: &Value, shape: Shape<'_>) -> Option<Problem> {
    let Shape { refused, known, open } = shape;
    let alone = keys
        .iter()
        .rev()
        .fold(value.clone(), |value, key| Value::Mapping(Mapping::from_iter([(Value::from(*key), value)])));
    let cause = refused(alone)?;
    if let Some((typed, expected)) = unknown(&cause, "unknown field `") {
        let depth = keys.iter().position(|key| *key == typed).map_or(keys.len(), |at| at + 1);
        let nearest = nearest(typed, &expected);
        let hint = nearest.map_or_else(
            || format!("The keys there are {}.", expected.join(", ")),
            |nearest| format!("did you mean `{nearest}`?"),
        );
        return Some(Problem::new(keys[..depth].join("."), "there is no such setting").hint(hint));
    }
    // Below a value that has no keys of its own, the value is what is wrong.
    let path = keys.join(".");
    let is_open = open.iter().any(|open| path.starts_with(&format!("{open}.")));
    let depth = (1..=keys.len()).rev().find(|depth| is_open || known.contains(&keys[..*depth].join(".")));
    let path = keys[..depth.unwrap_or(keys.len())].join(".");
    let message = in_words(&cause, &path, known);
    Some(Problem::new(path, message))
}

/// serde says "unknown field `grafna`, expected one of `test-metrics`, `prometheus`, `grafana`".
fn unknown<'a>(cause: &'a str, what: &str) -> Option<(&'a str, Vec<&'a str>)> {
    let (_, rest) = cause.split_once(what)?;
    let (typed, rest) = rest.split_once('`')?;
    Some((typed, rest.split('`').skip(1).step_by(2).collect()))
}

fn nearest<'a>(typed: &str, expected: &[&'a str]) -> Option<&'a str> {
    let likeness = expected.iter().map(|word| (strsim::jaro_winkler(typed, word), *word));
    likeness.filter(|(likeness, _)| *likeness > ALIKE).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// What serde says of a value, in words that need no Rust.
fn in_words(cause: &str, path: &str, known: &[String]) -> String {
    if let Some((typed, expected)) = unknown(cause, "unknown variant `") {
        return format!("`{typed}` is none of {}", expected.join(", "));
    }
    let mismatch = cause.strip_prefix("invalid type: ").or_else(|| cause.strip_prefix("invalid value: "));
    if let Some((found, expected)) = mismatch.and_then(|rest| rest.split_once(", expected ")) {
        return format!("{} is not {}", found_in_words(found), expected_in_words(expected, path, known));
    }
    match cause {
        super::layers::SINGLE => "it takes a single value, and no list or keys of its own".to_owned(),
        other => other.to_owned(),
    }
}

fn found_in_words(found: &str) -> String {
    match found {
        "map" => "a group of keys".to_owned(),
        "sequence" => "a list".to_owned(),
        "unit value" | "null" | "Option value" => "nothing".to_owned(),
        // string "x", integer `5`, boolean `true`
        value => {
            let text = value.split_once(['"', '`']).map_or(value, |(_, text)| text);
            format!("`{}`", text.trim_end_matches(['"', '`']))
        }
    }
}

fn expected_in_words(expected: &str, path: &str, known: &[String]) -> String {
    let is_group = expected.starts_with("struct ") || expected == "a map";
    if is_group {
        let below = known.iter().filter_map(|key| key.strip_prefix(path)?.strip_prefix('.'));
        let below: Vec<&str> = below.filter(|key| !key.contains('.')).collect();
        return match below.is_empty() {
            true => "a group of keys, such as { key: value }".to_owned(),
            false => format!("a group of keys: {}", below.join(", ")),
        };
    }
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number, 0 or more",
        "a nonzero u32" => "a whole number, 1 or more",
        "i32" | "i64" => "a whole number",
        "f64" | "f32" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list, such as [a, b]",
        "a string" => "text",
        "path string" => "a path",
        other => other,
    }
    .to_owned()
}

fn in_file(file: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!(" ({}, line {line})", file.display()),
        None => format!(" ({})", file.display()),
    }
}

/// Calls `visit` with the keys that lead to every value that is no mapping, and with the value.
fn leaves<'a>(value: &'a Value, keys: &mut Vec<&'a str>, visit: &mut dyn FnMut(&[&'a str], &'a Value)) {
    match value {
        Value::Mapping(mapping) if !mapping.is_empty() => {
            for (key, value) in mapping {
                keys.push(key.as_str().unwrap_or("?"));
                leaves(value, keys, visit);
                keys.pop();
            }
        }
        value if !keys.is_empty() => visit(keys, value),
        _ => {}
    }
}

/// The line of the key with this path, from 1.
fn line_of(text: &str, path: &str) -> Option<usize> {
    first_key(text, &mut |key| key == path).map(|(_, line)| line)
}

/// A key that stands twice in one mapping, with the lines of the two.
fn twice(text: &str) -> Option<(String, usize, usize)> {
    let mut seen = BTreeSet::new();
    let (path, second) = first_key(text, &mut |key| !seen.insert(key.to_owned()))?;
    let first = line_of(text, &path)?;
    Some((path, first, second))
}

/// The first key whose path is chosen, and its line: YAML's reader tells lines in errors alone, so this is one.
fn first_key(text: &str, chosen: &mut dyn FnMut(&str) -> bool) -> Option<(String, usize)> {
    let mut found = None;
    let walk = Walk { path: String::new(), chosen, found: &mut found };
    let error = walk.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    Some((found?, error.location()?.line()))
}

/// Walks through all keys, and ends with an error at the one that is chosen.
struct Walk<'a> {
    path: String,
    chosen: &'a mut dyn FnMut(&str) -> bool,
    found: &'a mut Option<String>,
}

impl Walk<'_> {
    fn below(&mut self, key: &str) -> Walk<'_> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        Walk { path, chosen: &mut *self.chosen, found: &mut *self.found }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_none<E>(self) -> std::result::Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> std::result::Result<(), A::Error> {
        let mut index = 0_usize;
        while list.next_element_seed(self.below(&index.to_string()))?.is_some() {
            index += 1;
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut mapping: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = mapping.next_key_seed(Key(&mut self))? {
            mapping.next_value_seed(self.below(&key))?;
        }
        Ok(())
    }
}

struct Key<'a, 'b>(&'a mut Walk<'b>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> std::result::Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_, '_> {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> std::result::Result<String, E> {
        let below = self.0.below(key);
        if (below.chosen)(&below.path) {
            *below.found = Some(below.path);
            return Err(E::custom("here"));
        }
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{Layers, StackSettings};

    fn refusal(text: &str) -> String {
        let mut layers = Layers::<StackSettings>::defaults();
        let error = layers.add_text(Path::new("t.yaml"), text).expect_err(text);
        assert_eq!(error.code(), Code::SettingsInvalid);
        error.message().to_owned()
    }

    #[test]
    fn a_mistake_is_told_with_its_key_its_line_and_without_words_of_rust() {
        for (text, expected) in [
            ("project: a\nretention: x\n", "retention (t.yaml, line 2): `x` is not a time such as 15s, 5m or 14d"),
            (
                "# why\n\nrestart: often\n",
                "restart (t.yaml, line 3): `often` is not one of on-failure:5, unless-stopped, no",
            ),
            ("scrape_interval: 15\n", "scrape_interval (t.yaml, line 1): `15` is not a time such as 15s, 5m or 14d"),
            (
                "scrape_interval: { a: 1 }\n",
                "scrape_interval (t.yaml, line 1): it takes a single value, and no list or keys of its own",
            ),
            ("projekt: a\n", "projekt (t.yaml, line 1): there is no such setting"),
            ("portz:\n  grafana: 1\n", "portz (t.yaml, line 1): there is no such setting"),
            (
                "ports: 3000\n",
                "ports (t.yaml, line 1): `3000` is not a group of keys: test-metrics, prometheus, grafana",
            ),
            (
                "limits:\n  grafana:\n    pids: many\n",
                "limits.grafana.pids (t.yaml, line 3): `many` is not a whole number, 0 or more",
            ),
            (
                "figures: { branches: main }\n",
                "figures.branches (t.yaml, line 1): `main` is not a list, such as [a, b]",
            ),
            ("sample_data: perhaps\n", "sample_data (t.yaml, line 1): `perhaps` is not true or false"),
            ("project: [a]\n", "project (t.yaml, line 1): a list is not text"),
            (
                "metrics: { top_flaky: 300 }\n",
                "metrics.top_flaky (t.yaml, line 1): `300` is not a whole number from 0 to 255",
            ),
            (
                "gate:\n  max:\n    tests: few\n",
                "gate.max.tests (t.yaml, line 3): `few` is not a number such as 0.1 or 10%",
            ),
            ("engine: podman\n", "engine (t.yaml, line 1): `podman` is none of auto, docker, embedded"),
            ("figures:\n  names: [{ pattern: x }]\n", "figures.names (t.yaml, line 2): missing field `replace`"),
            (
                "project: a\nports: { grafana: 1 }\nproject: b\n",
                "project (t.yaml, line 3): the key stands there twice, first in line 1",
            ),
            (
                "ports:\n  grafana: 1\n  grafana: 2\n",
                "ports.grafana (t.yaml, line 3): the key stands there twice, first in line 2",
            ),
            ("just words\n", "t.yaml: these are no settings"),
        ] {
            assert_eq!(refusal(text), expected, "{text}");
        }
        assert!(refusal("project: a\n b: c: d\n").starts_with("t.yaml: this is not YAML: "));
    }

    #[test]
    fn keys_of_different_members_of_a_list_are_no_duplicates() {
        let mut layers = Layers::<StackSettings>::defaults();
        let text = "figures: { names: [{ pattern: a, replace: b }, { pattern: c, replace: d }] }\n";
        layers.add_text(Path::new("t.yaml"), text).expect("settings");
    }
}
