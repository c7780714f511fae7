//! After a failure: evidence first, then what this run made is taken away again; nothing else is touched.

use super::event::Event;
use super::evidence;
use super::up::{Up, UpOptions};
use crate::engine::Engine;
use crate::error::Error;
use crate::exit_code::Code;
use crate::stack::{Observed, ObservedContainer};

/// Saves evidence, takes away what was not there before, and gives the error back with what the user should know.
pub async fn after<E: Engine>(with: &Up<'_, E>, before: &Observed, options: UpOptions, error: Error) -> Error {
    if keeps_running(error.code()) {
        let hint = error.hint_text().map_or_else(String::new, |hint| format!("{hint} "));
        return error.hint(format!("{hint}The containers were left running; qastack status shows them."));
    }
    let now = match with.engine.observe(&with.spec.names, &[]).await {
        Ok(now) => now,
        // An engine that is gone cannot be cleaned up on; the next run finds what is left by its labels.
        Err(_) => return error.context("the engine is gone, nothing was taken back"),
    };
    let evidence = evidence::save(with.engine, &with.spec.names, &now, with.state_directory, &error).await;
    let made = Made::since(before, &now, with.spec.names.project());
    let mut notes = Vec::new();
    if options.keep_on_failure {
        notes.push("What was made was left for a look; qastack down removes it.".to_owned());
    } else {
        notes.extend(made.take_back(with).await);
    }
    if let Some(path) = evidence {
        notes.push(format!("Logs and states are in {}.", path.display()));
    }
    if notes.is_empty() {
        return error;
    }
    let hint = error.hint_text().map_or_else(String::new, |hint| format!("{hint} "));
    error.hint(format!("{hint}{}", notes.join(" ")))
}

/// Trouble with Grafana's or Prometheus' answers is repaired on services that run.
fn keeps_running(code: Code) -> bool {
    matches!(code, Code::GrafanaFailed | Code::GrafanaPassword | Code::PrometheusFailed)
}

/// What was not there before this run.
struct Made {
    containers: Vec<ObservedContainer>,
    networks: Vec<(String, String)>,
    volumes: Vec<String>,
}

impl Made {
    fn since(before: &Observed, now: &Observed, project: &str) -> Self {
        let is_ours = |labels: &std::collections::BTreeMap<String, String>| {
            labels.get(crate::stack::labels::PROJECT).is_some_and(|label| label == project)
        };
        let new_container = |container: &&ObservedContainer| {
            container.is_ours(project) && !before.containers.iter().any(|known| known.id == container.id)
        };
        let used = |name: &str| now.containers.iter().any(|c| c.started_at.is_some() && c.volumes.contains(name));
        Self {
            containers: now.containers.iter().filter(new_container).cloned().collect(),
            networks: now
                .networks
                .iter()
                .filter(|network| is_ours(&network.labels))
                .filter(|network| !before.networks.iter().any(|known| known.id == network.id))
                .map(|network| (network.id.clone(), network.name.clone()))
                .collect(),
            volumes: now
                .volumes
                .iter()
                .filter(|volume| is_ours(&volume.labels))
                .filter(|volume| !before.volumes.iter().any(|known| known.name == volume.name))
                // A volume that a service has written to is data, whatever became of the service.
                .filter(|volume| !used(&volume.name))
                .map(|volume| volume.name.clone())
                .collect(),
        }
    }

    /// Containers first, since they hold the rest. What cannot be removed is named.
    async fn take_back<E: Engine>(self, with: &Up<'_, E>) -> Option<String> {
        let mut left = Vec::new();
        let mut taken = 0;
        let mut note = |name: &str, outcome: Result<(), Error>| match outcome {
            Ok(()) => taken += 1,
            Err(_) => left.push(name.to_owned()),
        };
        with.observer
            .observe(Event::Working { part: "roll back".to_owned(), doing: "remove what this run made".to_owned() });
        let removals = self.containers.iter().map(|container| with.engine.remove_container(&container.id));
        for (container, outcome) in self.containers.iter().zip(futures_util::future::join_all(removals).await) {
            note(&container.name, outcome);
        }
        for (id, name) in &self.networks {
            note(name, with.engine.remove_network(id).await);
        }
        let removals = self.volumes.iter().map(|volume| with.engine.remove_volume(volume));
        for (volume, outcome) in self.volumes.iter().zip(futures_util::future::join_all(removals).await) {
            note(volume, outcome);
        }
        match (taken, left.is_empty()) {
            (0, true) => None,
            (_, true) => Some("What this run had made was removed again.".to_owned()),
            (_, false) => Some(format!("Left behind: {}; qastack down removes it.", left.join(", "))),
        }
    }
}
