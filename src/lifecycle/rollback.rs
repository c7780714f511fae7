//! After a failure: evidence first, then what this run made is taken away again; nothing else is touched.

use super::event::Event;
use super::evidence::{self, Evidence};
use super::up::{Up, UpOptions};
use crate::engine::{Ending, Engine};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::labels::{Labels, RunId};
use crate::stack::{Observed, ObservedContainer};
use crate::words;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Saves evidence, takes away what this run made, and gives the error back with what the user should know.
pub async fn after<E: Engine>(with: &Up<'_, E>, run: &RunId, options: UpOptions, error: Error) -> Error {
    if keeps_running(error.code()) {
        return with_notes(error, &["The containers were left running; qastack status shows them.".to_owned()]);
    }
    let removed = Mutex::default();
    let is_asked = matches!(error.code(), Code::Interrupted | Code::Terminated);
    let made = tokio::select! {
        now = with.engine.observe(&with.spec.names, &[]) => match now {
            Ok(now) => now,
            // An engine that is gone cannot be cleaned up on; the next run finds what is left by its labels.
            Err(_) => return error.context("the engine is gone, nothing was taken back"),
        },
        () = with.cancel.out_of_patience() => {
            let note = format!("Nothing was taken back in time; {} removes what was made.", cleanup(with));
            return with_notes(error, &[note]);
        }
    };
    let mut notes = Vec::new();
    // Who ends a run himself needs no evidence of it, and waits.
    let evidence = match is_asked {
        true => Evidence::None,
        false => tokio::select! {
            saved = evidence::save(with.engine, &with.spec.names, &made, with.state_directory, &error) => saved,
            () = with.cancel.out_of_patience() => Evidence::None,
        },
    };
    let made = Made::by(run, &made, with.spec.names.project());
    let ending = if is_asked { Ending::AtOnce } else { Ending::Orderly };
    if options.keep_on_failure {
        notes.push(format!("What was made was left for a look; {} removes it.", cleanup(with)));
    } else if !made.is_empty() {
        tokio::select! {
            () = made.take_back(with, ending, &removed) => {}
            () = with.cancel.out_of_patience() => {}
        }
        notes.push(made.told(&removed, &cleanup(with)));
    }
    match evidence {
        Evidence::None => {}
        Evidence::Saved(path) => notes.push(format!("Logs and states are in {}.", path.display())),
        Evidence::Lost(why) => notes.push(format!("Logs and states could not be saved: {why}.")),
    }
    with_notes(error, &notes)
}

fn with_notes(error: Error, notes: &[String]) -> Error {
    if notes.is_empty() {
        return error;
    }
    let hint = error.hint_text().map_or_else(String::new, |hint| format!("{hint} "));
    error.hint(format!("{hint}{}", notes.join(" ")))
}

fn cleanup<E: Engine>(with: &Up<'_, E>) -> String {
    format!("qastack down --project {}", with.spec.names.project())
}

/// Trouble with Grafana's or Prometheus' answers is repaired on services that run.
pub fn keeps_running(code: Code) -> bool {
    matches!(code, Code::GrafanaFailed | Code::GrafanaPassword | Code::PrometheusFailed)
}

/// What a run has made, by its label: another run's, made meanwhile from another machine, is not among it.
struct Made {
    containers: Vec<ObservedContainer>,
    networks: Vec<(String, String)>,
    volumes: Vec<String>,
    /// Volumes that a service has written to: they are data, whatever became of the service.
    kept: usize,
}

impl Made {
    fn by(run: &RunId, now: &Observed, project: &str) -> Self {
        let is_ours = |labels: &Labels| {
            run.made(labels) && labels.get(crate::stack::labels::PROJECT).is_some_and(|p| p == project)
        };
        let used = |name: &str| now.containers.iter().any(|c| c.started_at.is_some() && c.volumes.contains(name));
        let volumes = now.volumes.iter().filter(|volume| is_ours(&volume.labels)).map(|volume| volume.name.clone());
        let (kept, volumes): (Vec<_>, Vec<_>) = volumes.partition(|volume| used(volume));
        Self {
            containers: now.containers.iter().filter(|container| is_ours(&container.labels)).cloned().collect(),
            networks: now
                .networks
                .iter()
                .filter(|network| is_ours(&network.labels))
                .map(|network| (network.id.clone(), network.name.clone()))
                .collect(),
            volumes,
            kept: kept.len(),
        }
    }

    fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.networks.is_empty() && self.volumes.is_empty()
    }

    /// Containers first, since they hold the rest. What is gone is noted at once, since somebody may lose patience.
    async fn take_back<E: Engine>(&self, with: &Up<'_, E>, ending: Ending, removed: &Mutex<BTreeSet<String>>) {
        with.observer
            .observe(Event::Working { part: "roll back".to_owned(), doing: "remove what this run made".to_owned() });
        crate::checkpoint::reached("rollback").await;
        let note = |name: &str, outcome: Result<()>| {
            if let (Ok(()), Ok(mut removed)) = (outcome, removed.lock()) {
                removed.insert(name.to_owned());
            }
        };
        let containers = self.containers.iter().map(|container| async {
            note(&container.name, with.engine.remove_container(&container.id, ending).await);
        });
        futures_util::future::join_all(containers).await;
        let networks =
            self.networks.iter().map(|(id, name)| async { note(name, with.engine.remove_network(id).await) });
        let volumes = self.volumes.iter().map(|volume| async { note(volume, with.engine.remove_volume(volume).await) });
        tokio::join!(futures_util::future::join_all(networks), futures_util::future::join_all(volumes));
    }

    fn told(&self, removed: &Mutex<BTreeSet<String>>, cleanup: &str) -> String {
        let removed = removed.lock().map(|removed| removed.clone()).unwrap_or_default();
        let containers = self.containers.iter().map(|container| &container.name);
        let all = containers.chain(self.networks.iter().map(|(_, name)| name)).chain(&self.volumes);
        let left: Vec<&str> = all.filter(|name| !removed.contains(*name)).map(String::as_str).collect();
        let kept = match self.kept {
            0 => String::new(),
            kept => {
                let volumes = words::counted(kept as u64, "volume stay", "volumes stay");
                format!(" The data in {}.", words::plain(&volumes))
            }
        };
        match left.is_empty() {
            true => format!("What this run had made was removed again.{kept}"),
            false => format!("Left behind: {}; {cleanup} removes it.{kept}", left.join(", ")),
        }
    }
}
