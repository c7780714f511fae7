//! Whether the configuration that Prometheus has loaded means what was rendered. Pure.
//!
//! Prometheus shows its configuration with every default filled in, paths made absolute and durations in its
//! own spelling. So what was rendered must be contained in what is loaded; what is only loaded is a default,
//! except for list entries.

use serde_yaml::Value;
use std::time::Duration;

/// One key that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigDifference {
    /// The path of the key, such as `global.scrape_interval`.
    pub key: String,
    /// What was rendered.
    pub rendered: String,
    /// What is loaded.
    pub loaded: String,
}

/// How the loaded configuration differs from the rendered one.
///
/// # Errors
/// Text that is no YAML.
pub fn differences(rendered: &str, loaded: &str) -> Result<Vec<ConfigDifference>, serde_yaml::Error> {
    let mut found = Vec::new();
    compare(&serde_yaml::from_str(rendered)?, &serde_yaml::from_str(loaded)?, "", &mut found);
    Ok(found)
}

fn compare(rendered: &Value, loaded: &Value, key: &str, found: &mut Vec<ConfigDifference>) {
    match (rendered, loaded) {
        (Value::Mapping(rendered), Value::Mapping(loaded)) => {
            for (name, value) in rendered {
                let below = name.as_str().unwrap_or_default();
                let key = if key.is_empty() { below.to_owned() } else { format!("{key}.{below}") };
                compare(value, loaded.get(name).unwrap_or(&Value::Null), &key, found);
            }
        }
        (Value::Sequence(rendered), Value::Sequence(loaded)) if rendered.len() == loaded.len() => {
            for (index, (value, other)) in rendered.iter().zip(loaded).enumerate() {
                compare(value, other, &format!("{key}[{index}]"), found);
            }
        }
        (Value::String(left), Value::String(right)) if same_text(left, right, key) => {}
        (left, right) if left == right => {}
        (left, right) => {
            found.push(ConfigDifference { key: key.to_owned(), rendered: shown(left), loaded: shown(right) })
        }
    }
}

fn same_text(rendered: &str, loaded: &str, key: &str) -> bool {
    if key.starts_with("rule_files") {
        return loaded == rendered || loaded.ends_with(&format!("/{rendered}"));
    }
    let durations = duration(rendered).zip(duration(loaded));
    rendered == loaded || durations.is_some_and(|(left, right)| left == right)
}

/// A duration in Prometheus' spelling: `15s`, `1m30s`, `250ms`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let milliseconds: u64 = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            "y" => 31_536_000_000,
            _ => return None,
        };
        total += Duration::from_millis(number.parse::<u64>().ok()?.checked_mul(milliseconds)?);
        rest = after;
    }
    (!text.is_empty()).then_some(total)
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => serde_yaml::to_string(other).unwrap_or_default().trim().replace('\n', "; "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RENDERED: &str =
        "global: {scrape_interval: 60s}\nrule_files: [qastack.rules.yml]\nscrape_configs: [{job_name: a}]\n";

    #[test]
    fn defaults_absolute_paths_and_other_spellings_are_no_difference() {
        let loaded = "global: {scrape_interval: 1m, scrape_timeout: 10s}\nrule_files: [/etc/prometheus/qastack.rules.yml]\n\
                      scrape_configs: [{job_name: a, honor_timestamps: true}]\notlp: {}\n";
        assert_eq!(differences(RENDERED, loaded).unwrap(), []);
    }

    #[test]
    fn each_changed_key_is_named() {
        let loaded = "global: {scrape_interval: 15s}\nrule_files: [/etc/prometheus/other.yml]\nscrape_configs: [{job_name: a}]\n";
        let found = differences(RENDERED, loaded).unwrap();
        let keys: Vec<_> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["global.scrape_interval", "rule_files[0]"]);
        assert_eq!((found[0].rendered.as_str(), found[0].loaded.as_str()), ("60s", "15s"));
    }

    #[test]
    fn a_job_more_is_a_difference() {
        let loaded = "global: {scrape_interval: 1m}\nrule_files: [/x/qastack.rules.yml]\nscrape_configs: [{job_name: a}, {job_name: b}]\n";
        assert_eq!(differences(RENDERED, loaded).unwrap()[0].key, "scrape_configs");
    }
}
