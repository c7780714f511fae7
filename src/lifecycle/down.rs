//! `down`: stops and removes what `up` made; the data stays unless it was asked to go too.

use super::Cancel;
use super::event::{Event, Observer};
use super::report::DoneStep;
use crate::checkpoint;
use crate::engine::{Ending, Engine};
use crate::error::Result;
use crate::stack::{Action, KeepOrRemove, Names, Plan, Step, plan_down};
use futures_util::future::join_all;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What a `down` did, or with a dry run would do.
#[derive(Debug)]
pub struct DownReport {
    /// What was removed.
    pub steps: Vec<DoneStep>,
    /// The volumes that were kept.
    pub kept_volumes: Vec<String>,
}

/// Plans a `down`, from what carries the project's label on the engine; no settings are needed.
pub async fn plan<E: Engine>(engine: &E, names: &Names, volumes: KeepOrRemove) -> Result<(Plan, Vec<String>)> {
    let observed = engine.observe(names, &[]).await?;
    let plan = plan_down(names.project(), &observed, volumes);
    let removed = |name: &str| plan.steps.iter().any(|step| step.action == Action::RemoveVolume(name.to_owned()));
    let kept = observed.volumes.iter().filter(|volume| !removed(&volume.name) && is_ours(volume, names));
    let kept = kept.map(|volume| volume.name.clone()).collect();
    Ok((plan, kept))
}

fn is_ours(volume: &crate::stack::ObservedVolume, names: &Names) -> bool {
    volume.labels.get(crate::stack::labels::PROJECT).is_some_and(|project| project == names.project())
}

/// Carries out a plan of [`plan`]: containers side by side, then what they held.
///
/// # Errors
/// What could not be removed is named; what could be was removed all the same.
pub async fn down<E: Engine>(
    engine: &E,
    names: &Names,
    plan: Plan,
    kept_volumes: Vec<String>,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<DownReport> {
    let done = Mutex::new(Vec::new());
    let too_late = async {
        cancel.out_of_patience().await;
        Err(cancel.ended().await)
    };
    let outcome = tokio::select! {
        outcome = remove_all(engine, &plan, observer, cancel, &done) => outcome,
        // What is under way goes on in the engine.
        ended = too_late => ended,
    };
    let done: Vec<DoneStep> = done.into_inner().unwrap_or_default();
    let Err(error) = outcome else { return Ok(DownReport { steps: done, kept_volumes }) };
    let is_left = |step: &&Step| !done.iter().any(|done| done.step == **step);
    let left: Vec<&str> = plan.steps.iter().filter(is_left).map(|step| step.object.as_str()).collect();
    let hint = error.hint_text().map_or_else(String::new, |hint| format!("{hint} "));
    let left = if left.is_empty() { "nothing".to_owned() } else { left.join(", ") };
    Err(error.hint(format!("{hint}Left: {left}; qastack down --project {} goes on.", names.project())))
}

async fn remove_all<E: Engine>(
    engine: &E,
    plan: &Plan,
    observer: &dyn Observer,
    cancel: &Cancel,
    done: &Mutex<Vec<DoneStep>>,
) -> Result<()> {
    for (rank, place) in ["down:containers", "down:network-and-volumes", "down:images"].into_iter().enumerate() {
        cancel.check()?;
        let due = plan.steps.iter().filter(|step| rank_of(&step.action) == rank);
        let works = due.map(|step| async move {
            let took = remove(engine, step, observer).await?;
            if let Ok(mut done) = done.lock() {
                done.push(DoneStep { step: step.clone(), seconds: took.as_secs_f64() });
            }
            Ok(())
        });
        // One that fails does not keep the others from being removed.
        let outcomes: Vec<Result<()>> = join_all(works).await;
        checkpoint::reached(place).await;
        outcomes.into_iter().collect::<Result<()>>()?;
    }
    Ok(())
}

/// A network and a volume can only go when no container holds them any more.
fn rank_of(action: &Action) -> usize {
    match action {
        Action::RemoveContainer(_) => 0,
        Action::RemoveNetwork(_) | Action::RemoveVolume(_) => 1,
        _ => 2,
    }
}

async fn remove<E: Engine>(engine: &E, step: &Step, observer: &dyn Observer) -> Result<Duration> {
    let started = Instant::now();
    let part = step.service.map_or_else(|| step.object.clone(), |service| service.to_string());
    observer.observe(Event::Working { part: part.clone(), doing: step.action.phrase() });
    let outcome = match &step.action {
        Action::RemoveContainer(id) => engine.remove_container(id, Ending::Orderly).await,
        Action::RemoveNetwork(id) => engine.remove_network(id).await,
        Action::RemoveVolume(name) => engine.remove_volume(name).await,
        Action::RemoveImage(id) => engine.remove_image(id).await,
        _ => Ok(()),
    };
    let took = started.elapsed();
    match outcome {
        Ok(()) => {
            observer.observe(Event::Done { part, result: "removed".to_owned(), took });
            Ok(took)
        }
        Err(error) => {
            observer.observe(Event::Failed { part, why: format!("could not {}", step.action.phrase()) });
            Err(error)
        }
    }
}
