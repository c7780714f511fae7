//! What Prometheus runs with: its configuration, its rules, its flags. Pure.
//!
//! A fresh Prometheus hands its targets on after five seconds and then spreads their first scrapes over one
//! interval: with 15 s that is 5 to 20 s without a figure. The warm-up configuration has a second job that
//! scrapes the same target four times a second and gives its samples the same labels. Once the first sample
//! is there, the plain configuration is loaded. A job that vanishes leaves no stale markers behind, whereas
//! a job that changes its interval does: its series would be gone until the next scrape.

use crate::stack::sha256;
use std::time::Duration;

/// The job that scrapes the exporter.
pub const JOB: &str = "test-metrics";

const CONFIGURATION: &str = include_str!("../../templates/prometheus/prometheus.yml");
const WARM_UP: &str = include_str!("../../templates/prometheus/warm-up.yml");
const RULES: &str = include_str!("../../templates/prometheus/qastack.rules.yml");

/// What can be set about Prometheus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrometheusSpec {
    /// How often the exporter is scraped.
    pub scrape_interval: Duration,
    /// Host and port of the exporter, as Prometheus sees it.
    pub target: String,
    /// How long samples are kept.
    pub retention: Duration,
}

/// The configuration that Prometheus runs with.
pub fn render(spec: &PrometheusSpec) -> String {
    fill(CONFIGURATION, spec)
}

/// The configuration that a fresh Prometheus starts with, until its first sample is there.
pub fn render_warm_up(spec: &PrometheusSpec) -> String {
    fill(&format!("{CONFIGURATION}{WARM_UP}"), spec)
}

/// The file name of the rules, beside the configuration. It names their hash: Prometheus tells which file it has loaded,
/// and not what was in it.
pub fn rules_file() -> String {
    let hash: String = sha256(RULES.as_bytes()).chars().take(12).collect();
    format!("qastack-{hash}.rules.yml")
}

/// The content of [`rules_file`].
pub fn rules() -> &'static str {
    RULES
}

/// The flags of a Prometheus of 2.42 or newer whose files are where its image expects them.
///
/// All are given, since flags of ours replace those of the image.
pub fn flags(spec: &PrometheusSpec) -> Vec<String> {
    vec![
        "--config.file=/etc/prometheus/prometheus.yml".to_owned(),
        "--storage.tsdb.path=/prometheus".to_owned(),
        // A key of the configuration file replaces this flag one day, but servers of today do not know it.
        format!("--storage.tsdb.retention.time={}", duration(spec.retention)),
        "--web.listen-address=0.0.0.0:9090".to_owned(),
    ]
}

fn fill(template: &str, spec: &PrometheusSpec) -> String {
    template
        .replace("{{scrape_interval}}", &duration(spec.scrape_interval))
        .replace("{{target}}", &spec.target)
        .replace("{{job}}", JOB)
        .replace("{{rules_file}}", &rules_file())
}

/// A duration as Prometheus writes it. Its largest unit that divides it keeps it readable.
fn duration(duration: Duration) -> String {
    let milliseconds = duration.as_millis().max(1);
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")];
    let fitting = units.into_iter().find(|(size, _)| milliseconds.is_multiple_of(*size));
    let (size, unit) = fitting.unwrap_or((1, "ms"));
    format!("{}{unit}", milliseconds / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> PrometheusSpec {
        PrometheusSpec {
            scrape_interval: Duration::from_secs(15),
            target: "test-metrics:8080".to_owned(),
            retention: Duration::from_secs(15 * 86_400),
        }
    }

    #[test]
    fn the_configuration_scrapes_one_job_each_interval() {
        let yaml: serde_yaml::Value = serde_yaml::from_str(&render(&spec())).unwrap();
        assert_eq!(yaml["global"]["scrape_interval"], "15s");
        assert_eq!(yaml["scrape_configs"].as_sequence().unwrap().len(), 1);
        assert_eq!(yaml["scrape_configs"][0]["job_name"], JOB);
        assert_eq!(yaml["scrape_configs"][0]["static_configs"][0]["targets"][0], "test-metrics:8080");
        assert_eq!(yaml["rule_files"][0], rules_file());
    }

    #[test]
    fn the_warm_up_adds_a_fast_job_whose_samples_get_the_same_job_label() {
        let plain: serde_yaml::Value = serde_yaml::from_str(&render(&spec())).unwrap();
        let warm: serde_yaml::Value = serde_yaml::from_str(&render_warm_up(&spec())).unwrap();
        assert_eq!(warm["scrape_configs"][0], plain["scrape_configs"][0]);
        assert_eq!(warm["scrape_configs"][1]["relabel_configs"][0]["replacement"], JOB);
        assert_eq!(warm["scrape_configs"][1]["static_configs"], plain["scrape_configs"][0]["static_configs"]);
    }

    #[test]
    fn other_rules_are_a_file_of_another_name() {
        let name = rules_file();
        let hash = name.strip_prefix("qastack-").and_then(|name| name.strip_suffix(".rules.yml")).unwrap();
        assert!(sha256(rules().as_bytes()).starts_with(hash) && hash.len() == 12, "{name}");
    }

    #[test]
    fn nothing_is_left_to_fill_in() {
        assert!(!render_warm_up(&spec()).contains("{{"));
        assert!(!rules().contains("{{job}}"));
    }

    #[test]
    fn durations_read_as_people_write_them() {
        assert_eq!(duration(Duration::from_secs(15)), "15s");
        assert_eq!(duration(Duration::from_secs(90)), "90s");
        assert_eq!(duration(Duration::from_secs(15 * 86_400)), "15d");
        assert_eq!(duration(Duration::from_millis(1500)), "1500ms");
    }

    #[test]
    fn the_flags_replace_all_of_the_image() {
        let flags = flags(&spec());
        assert!(flags.contains(&"--storage.tsdb.retention.time=15d".to_owned()));
        assert!(flags.iter().any(|flag| flag.starts_with("--config.file=")));
        assert!(flags.iter().any(|flag| flag.starts_with("--storage.tsdb.path=")));
    }
}
