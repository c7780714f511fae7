//! What the user wants: `qastack.yaml` < `QASTACK_*` < flags, every value with its origin.
//!
//! What was typed becomes typed settings here, once. This room reads files and the environment it is given and
//! talks to nothing else.

mod engine_choice;
mod figures;
mod gate;
mod image_reference;
mod layers;
mod mistake;
mod serve;
mod stack;
mod values;

pub use engine_choice::EngineChoice;
pub use figures::{FiguresSettings, NameRule};
pub use gate::{GateSettings, ImportSettings, Share};
pub use layers::{Layers, Origin, Override};
pub use serve::{HistorySettings, LoadedServe, MetricsSettings, Reading, ServeSettings, UploadSettings, load_serve};
pub use stack::{BUILD, GrafanaSettings, Images, Limits, Ports, ServiceLimits, StackSettings};
pub use values::{Memory, Period, Published, Restart};

use crate::error::Result;
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The settings file looked for in the working directory when none is named.
pub const DEFAULT_FILE: &str = "qastack.yaml";

/// Settings with the place each value came from, by its path (`images.grafana`).
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The settings.
    pub settings: T,
    /// Where each value came from; a path that is not here has its default.
    pub origins: BTreeMap<String, Origin>,
}

impl<T: Serialize> Loaded<T> {
    /// The settings as a document, with the place each value came from that is not a default.
    pub fn document(&self) -> Value {
        let origins: BTreeMap<&str, String> =
            self.origins.iter().map(|(path, origin)| (path.as_str(), origin.to_string())).collect();
        json!({ "settings": self.settings, "origins": origins })
    }
}

/// Reads the stack's settings: the file (the named one, or `qastack.yaml` where there is one), then the
/// environment, then the flags.
pub fn load_stack(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    flags: Vec<Override>,
) -> Result<Loaded<StackSettings>> {
    let mut layers = Layers::<StackSettings>::defaults();
    if let Some(path) = chosen_file(file) {
        layers.add_file(&path)?;
    }
    layers.add_environment(environment)?;
    layers.add_overrides(flags)?;
    let loaded = layers.finish()?;
    loaded.settings.check().map_err(|problem| problem.into_error(&loaded.origins))?;
    Ok(loaded)
}

fn chosen_file(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_owned()),
        None => Some(PathBuf::from(DEFAULT_FILE)).filter(|path| path.exists()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit_code::Code;

    fn load(yaml: &str, environment: &[(&str, &str)]) -> Result<Loaded<StackSettings>> {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("qastack.yaml");
        std::fs::write(&path, yaml).expect("a file");
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        load_stack(Some(&path), environment, Vec::new())
    }

    fn refusal(yaml: &str, environment: &[(&str, &str)]) -> String {
        let error = load(yaml, environment).expect_err("refused");
        assert_eq!(error.code(), Code::SettingsInvalid);
        format!("{} | {}", error.message(), error.hint_text().unwrap_or_default())
    }

    #[test]
    fn an_empty_file_is_all_defaults() {
        let loaded = load("", &[]).expect("settings");
        assert_eq!(loaded.settings, StackSettings::default());
        assert!(loaded.origins.is_empty());
    }

    #[test]
    fn the_environment_stands_above_the_file_and_origins_tell() {
        let yaml = "ports: { grafana: 3001, test-metrics: 8081 }\nscrape_interval: 30s\n";
        let loaded = load(yaml, &[("QASTACK_PORTS__TEST_METRICS", "0.0.0.0:8088"), ("QASTACK_IMAGES__GRAFANA", "g:1")])
            .expect("settings");
        let settings = loaded.settings;
        assert_eq!(settings.ports.grafana.port, 3001);
        assert_eq!(settings.ports.test_metrics.to_string(), "0.0.0.0:8088");
        assert_eq!(settings.images.grafana, "g:1");
        assert_eq!(settings.scrape_interval.to_string(), "30s");
        assert!(loaded.origins["ports.grafana"].to_string().ends_with("qastack.yaml"));
        assert_eq!(loaded.origins["ports.test-metrics"].to_string(), "QASTACK_PORTS__TEST_METRICS");
    }

    #[test]
    fn a_share_is_a_number_or_a_percentage_in_the_file_and_in_a_variable() {
        let guard = |yaml: &str, environment: &[(&str, &str)]| {
            load(yaml, environment).expect("settings").settings.figures.infrastructure_guard
        };
        let half = crate::quality::InfrastructureGuard { failed_share: 0.5, ..Default::default() };
        for share in ["50%", "0.5", "'50 %'"] {
            assert_eq!(guard(&format!("figures: {{ infrastructure_guard: {{ failed_share: {share} }} }}"), &[]), half);
        }
        assert_eq!(guard("", &[("QASTACK_FIGURES__INFRASTRUCTURE_GUARD__FAILED_SHARE", "50%")]), half);
        let above_1 = "gate: { max: { defect_leakage: 150% } }";
        assert_eq!(load(above_1, &[]).expect("settings").settings.gate.max["defect_leakage"].0.value, 1.5);
    }

    #[test]
    fn a_mistake_names_file_line_and_what_was_expected() {
        let text = refusal("project: a\nports:\n  grafna: 3001\n", &[]);
        assert!(text.contains("qastack.yaml"), "{text}");
        assert!(text.contains("line 3"), "{text}");
        assert!(text.contains("did you mean `grafana`?"), "{text}");
    }

    #[test]
    fn impossible_values_are_refused_with_their_place() {
        for (yaml, expected) in [
            ("ports: { grafana: 0 }", "1 to 65535"),
            ("ports: { grafana: 70000 }", "1 to 65535"),
            ("project: 'Not A Name'", "lower-case"),
            ("images: { grafana: 'no such:image:ref' }", "image reference"),
            ("scrape_interval: 5 parsecs", "a time such as 15s"),
            ("scrape_interval: 121s", "121s is longer than 2m"),
            ("limits: { grafana: { memory: plenty } }", "a size such as 512MiB"),
            ("restart: sometimes", "on-failure:5"),
            ("ports: { grafana: 8080 }", "two services"),
            ("gate: { max: { flak_rate: 0.1 } }", "there is no figure `flak_rate`"),
            ("gate: { max: { flake_rate: 10 } }", "gate.max.flake_rate"),
            ("gate: { max: { flake_rate: 10 } }", "line 1): flake_rate is a share, from 0 to 1"),
            ("figures: { infrastructure_guard: { failed_share: 80 } }", "failed_share"),
            ("figures: { infrastructure_guard: { failed_share: 80 } }", "80 is not a share from 0 to 1"),
            ("figures: { infrastructure_guard: { failed_share: 101% } }", "1.01 is not a share from 0 to 1"),
            ("figures: { infrastructure_guard: { failed_share: most } }", "a number such as 0.1 or 10%"),
            ("figures: { infrastructure_guard: { share: 1 } }", "line 1"),
            ("gate: { max: { flake_rate: 2 } }", "flake_rate is a share, from 0 to 1"),
            ("history: { size: 1KiB }", "1KiB is less than 16MiB"),
            ("gate: { max: { flake_rate: much } }", "a number such as 0.1 or 10%"),
            ("import: { columns: { colour: Found in } }", "`colour` is no field of a defect"),
            ("figures: { names: [{ pattern: '(', replace: '' }] }", "name rule"),
        ] {
            let text = refusal(yaml, &[]);
            assert!(text.contains(expected), "{yaml}: {text}");
        }
    }

    #[test]
    fn a_misspelt_variable_is_named_and_a_bad_value_too() {
        let text = refusal("", &[("QASTACK_IMAGES__GRAFNA", "x")]);
        assert!(text.contains("QASTACK_IMAGES__GRAFNA") && text.contains("QASTACK_IMAGES__GRAFANA"), "{text}");
        let text = refusal("", &[("QASTACK_PORTS__GRAFANA", "many")]);
        assert!(text.contains("QASTACK_PORTS__GRAFANA"), "{text}");
    }

    #[test]
    fn a_limit_is_set_whole_or_one_by_one_and_the_environment_stands_above_the_file() {
        let yaml = "gate: { max: { flake_rate: 10%, defect_leakage: 0.05 }, min: { pass_ratio: 95% } }\n";
        let variables = [("QASTACK_GATE__MAX__FLAKE_RATE", "2%"), ("QASTACK_GATE__MIN", "{tests: 100}")];
        let gate = load(yaml, &variables).expect("settings").settings.gate;
        let pairs = |limits: &BTreeMap<String, Share>| {
            limits.iter().map(|(word, share)| format!("{word}={}", share.0.value)).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(pairs(&gate.max), "defect_leakage=0.05 flake_rate=0.02");
        assert_eq!(pairs(&gate.min), "tests=100");
        let text = refusal("", &[("QASTACK_GATE__MOST__FLAKE_RATE", "1")]);
        assert!(text.contains("QASTACK_GATE__MOST__FLAKE_RATE names no setting"), "{text}");
    }

    #[test]
    fn a_variable_that_is_nearly_a_setting_is_told() {
        for (typed, meant) in [
            ("QASTACK_PROJEKT", "QASTACK_PROJECT"),
            ("QASTACK_RETENTON", "QASTACK_RETENTION"),
            ("QASTACK_IMAGE__GRAFANA", "QASTACK_IMAGES__GRAFANA"),
        ] {
            let text = refusal("", &[(typed, "x")]);
            assert_eq!(text, format!("{typed} names no setting | did you mean {meant}?"));
        }
    }

    #[test]
    fn a_variable_that_is_set_to_nothing_is_not_set() {
        let names = ["QASTACK_ENGINE", "QASTACK_PROJECT", "QASTACK_RETENTION", "QASTACK_GATE__MAX__FLAKE_RATE"];
        for name in names {
            let settings = load("project: web\n", &[(name, "")]).expect(name).settings;
            assert_eq!(settings, load("project: web\n", &[]).expect("settings").settings);
        }
    }

    #[test]
    fn variables_of_other_parts_are_left_alone() {
        let own = [
            "QASTACK_URL",
            "QASTACK_TOKEN",
            "QASTACK_LOG",
            "QASTACK_CONFIG",
            "QASTACK_WEB_CONFIG_FILE",
            "QASTACK_LISTEN",
            "QASTACK_CHECKPOINT",
            "QASTACK_CHECKPOINT_MARKER",
            "QASTACK_DATA_DIR",
            "QASTACK_READING",
            "QASTACK_UPLOADS__RATE",
            "QASTACK_PORT",
            "QASTACK_SERVICE_HOST",
            "QASTACK_PORT_8080_TCP",
            "QASTACK_PUSH__RUN",
            "QASTACK_BIN",
        ];
        for name in own {
            assert!(load("", &[(name, "x")]).is_ok(), "{name}");
        }
        assert!(load("", &[("QASTACK_TOKEN", "t"), ("QASTACK_PUSH__PROJECT", "web"), ("HOME", "/")]).is_ok());
    }
}
