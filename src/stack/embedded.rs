//! The stack without a container engine: the exporter alone, as one process. What should run, and the steps to it.

use super::spec::exporter_config;
use super::{Action, FileSpec, KeepOrRemove, Plan, Service, sha256};
use crate::settings::{Published, StackSettings};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What should run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedSpec {
    /// Where the exporter listens.
    pub listen: Published,
    /// Its settings file.
    pub config: FileSpec,
    /// The hash of the program that should run.
    pub executable: String,
}

impl EmbeddedSpec {
    /// What the settings ask for; the paths are those of the project's own directory.
    pub fn new(settings: &StackSettings, executable: &str, config: &str, data: &str, admin_token: &str) -> Self {
        let listen = settings.ports.test_metrics;
        let contents = exporter_config(settings, Some(listen), data, admin_token.to_owned()).into_bytes();
        Self {
            listen,
            config: FileSpec { mode: 0o600, ..FileSpec::configuration(config, contents) },
            executable: executable.to_owned(),
        }
    }

    /// The hash by which the exporter shows that these settings are in force.
    pub fn config_hash(&self) -> String {
        sha256(&self.config.contents)
    }
}

/// What is written down of a process when it is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbeddedRecord {
    /// Its number.
    pub pid: u32,
    /// When it was started.
    pub started_at: Timestamp,
    /// The hash of the program it runs.
    pub executable: String,
    /// Where it listens.
    pub listen: Published,
}

/// Whether the process is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmbeddedState {
    /// None was started, or it was taken down.
    Missing,
    /// It ended by itself; why, as far as its log tells.
    Exited(String),
    /// It runs.
    Running,
}

/// What is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmbeddedObserved {
    /// The process.
    pub state: EmbeddedState,
    /// What was written down of it.
    pub record: Option<EmbeddedRecord>,
    /// Its settings file as it is.
    pub config: Option<Vec<u8>>,
    /// The hash of the settings in force, where the process answers.
    pub config_in_force: Option<String>,
    /// Whether the administrator's token is there.
    pub has_token: bool,
    /// The directory of the data, where there is one.
    pub data: Option<String>,
}

/// The steps to a process that runs as it should.
pub fn plan_embedded_up(spec: &EmbeddedSpec, observed: &EmbeddedObserved) -> Plan {
    let mut plan = Plan::default();
    let service = Service::TestMetrics;
    let mut add = |action, object: &str, reason: &str| plan.add(action, object, reason, Some(service));
    let name = service.name();
    let starts = match &observed.state {
        EmbeddedState::Missing => Some("missing".to_owned()),
        EmbeddedState::Exited(why) => Some(why.clone()),
        EmbeddedState::Running => misfit(spec, observed.record.as_ref()),
    };
    if let (Some(reason), EmbeddedState::Running) = (&starts, &observed.state) {
        add(Action::Stop(service), name, reason);
    }
    let config_changed = observed.config.as_ref() != Some(&spec.config.contents);
    if config_changed {
        let reason = if observed.config.is_some() { "changed" } else { "missing" };
        add(Action::PutFiles(service, vec![spec.config.clone()]), &spec.config.path, reason);
    }
    if !observed.has_token {
        add(Action::EnsureSecrets(service), name, "a secret is missing");
    }
    if let Some(reason) = starts {
        add(Action::Start(service), name, &reason);
    } else if config_changed {
        add(Action::Reload(service), name, "its configuration changed");
    } else if !observed.has_token {
        add(Action::Reload(service), name, "its token is a new one");
    } else if observed.config_in_force.as_ref().is_some_and(|hash| *hash != spec.config_hash()) {
        add(Action::Reload(service), name, "it runs with other settings than its file says");
    }
    plan
}

/// Why a process that runs cannot stay.
fn misfit(spec: &EmbeddedSpec, record: Option<&EmbeddedRecord>) -> Option<String> {
    let Some(record) = record else { return Some("nothing is written down of what runs".to_owned()) };
    let mut reasons = Vec::new();
    if record.listen != spec.listen {
        reasons.push(format!("published {} -> {}", record.listen, spec.listen));
    }
    if record.executable != spec.executable {
        reasons.push("it runs another build of this program".to_owned());
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// The steps to nothing; the data goes only where that is asked for.
pub fn plan_embedded_down(observed: &EmbeddedObserved, data: KeepOrRemove) -> Plan {
    let mut plan = Plan::default();
    let service = Service::TestMetrics;
    let reason = match &observed.state {
        EmbeddedState::Missing => None,
        EmbeddedState::Exited(_) => Some("exited"),
        EmbeddedState::Running => Some("runs"),
    };
    if let Some(reason) = reason {
        plan.add(Action::Stop(service), service.name(), reason, Some(service));
    }
    if let (Some(directory), KeepOrRemove::Remove) = (&observed.data, data) {
        plan.add(Action::RemoveVolume(directory.clone()), directory, "its data was asked to go too", None);
    }
    plan
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(yaml: &str) -> EmbeddedSpec {
        let settings: StackSettings = serde_yaml::from_str(yaml).expect("settings");
        EmbeddedSpec::new(&settings, "abc", "/s/serve.yaml", "/s/data", "/s/admin-token")
    }

    fn running(spec: &EmbeddedSpec) -> EmbeddedObserved {
        EmbeddedObserved {
            state: EmbeddedState::Running,
            record: Some(EmbeddedRecord {
                pid: 7,
                started_at: Timestamp::UNIX_EPOCH,
                executable: spec.executable.clone(),
                listen: spec.listen,
            }),
            config: Some(spec.config.contents.clone()),
            config_in_force: Some(spec.config_hash()),
            has_token: true,
            data: Some("/s/data".to_owned()),
        }
    }

    fn steps(plan: &Plan) -> Vec<String> {
        plan.steps.iter().map(|step| format!("{}: {}", step.action.word(), step.reason)).collect()
    }

    #[test]
    fn the_settings_of_the_exporter_can_be_read_by_it() {
        let spec = spec("{ ports: { test-metrics: 8081 }, figures: { flake_window: 7d }, sample_data: false }");
        let text = String::from_utf8(spec.config.contents).expect("text");
        let read: crate::settings::ServeSettings = serde_yaml::from_str(&text).expect("settings of the exporter");
        assert_eq!(read.listen.to_string(), "127.0.0.1:8081");
        assert_eq!(read.data_dir, Some("/s/data".into()));
        assert_eq!(read.admin_token_file, Some("/s/admin-token".into()));
        assert_eq!(read.figures.flake_window.to_string(), "7d");
        assert!(!read.sample_data);
    }

    #[test]
    fn from_nothing_everything_is_made_and_then_nothing_has_to_change() {
        let spec = spec("{}");
        let nothing = EmbeddedObserved {
            state: EmbeddedState::Missing,
            record: None,
            config: None,
            config_in_force: None,
            has_token: false,
            data: None,
        };
        let expected = ["put_files: missing", "ensure_secrets: a secret is missing", "start: missing"];
        assert_eq!(steps(&plan_embedded_up(&spec, &nothing)), expected);
        assert!(plan_embedded_up(&spec, &running(&spec)).is_empty());
        assert!(plan_embedded_down(&nothing, KeepOrRemove::Remove).is_empty());
    }

    #[test]
    fn one_that_ended_by_itself_is_started_with_the_reason() {
        let spec = spec("{}");
        let observed = EmbeddedObserved { state: EmbeddedState::Exited("it ended".to_owned()), ..running(&spec) };
        assert_eq!(steps(&plan_embedded_up(&spec, &observed)), ["start: it ended"]);
    }

    #[test]
    fn another_port_or_build_restarts_it_and_other_figures_do_not() {
        let was = running(&spec("{}"));
        let moved = spec("{ ports: { test-metrics: 8081 } }");
        let reason = "published 127.0.0.1:8080 -> 127.0.0.1:8081";
        let expected = [format!("stop: {reason}"), "put_files: changed".to_owned(), format!("start: {reason}")];
        assert_eq!(steps(&plan_embedded_up(&moved, &was)), expected);
        let rebuilt = EmbeddedSpec { executable: "def".to_owned(), ..spec("{}") };
        let reason = "it runs another build of this program";
        assert_eq!(steps(&plan_embedded_up(&rebuilt, &was)), [format!("stop: {reason}"), format!("start: {reason}")]);
        let other = spec("{ figures: { flake_window: 7d } }");
        let expected = ["put_files: changed", "reload: its configuration changed"];
        assert_eq!(steps(&plan_embedded_up(&other, &was)), expected);
    }

    #[test]
    fn a_reload_that_did_not_take_and_a_lost_token_are_made_good() {
        let spec = spec("{}");
        let stale = EmbeddedObserved { config_in_force: Some("old".to_owned()), ..running(&spec) };
        let expected = ["reload: it runs with other settings than its file says"];
        assert_eq!(steps(&plan_embedded_up(&spec, &stale)), expected);
        let lost = EmbeddedObserved { has_token: false, ..running(&spec) };
        let expected = ["ensure_secrets: a secret is missing", "reload: its token is a new one"];
        assert_eq!(steps(&plan_embedded_up(&spec, &lost)), expected);
    }

    #[test]
    fn down_keeps_the_data_unless_it_is_asked_to_go() {
        let observed = running(&spec("{}"));
        assert_eq!(steps(&plan_embedded_down(&observed, KeepOrRemove::Keep)), ["stop: runs"]);
        let expected = ["stop: runs", "remove_volume: its data was asked to go too"];
        assert_eq!(steps(&plan_embedded_down(&observed, KeepOrRemove::Remove)), expected);
    }
}
