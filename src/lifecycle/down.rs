//! `down`: stops and removes what `up` made; the data stays unless it was asked to go too.

use super::Cancel;
use super::event::{Event, Observer};
use super::up::DoneStep;
use crate::engine::Engine;
use crate::error::Result;
use crate::stack::{Action, KeepOrRemove, Names, Plan, Step, plan_down};
use futures_util::future::try_join_all;
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
pub async fn down<E: Engine>(
    engine: &E,
    plan: Plan,
    kept_volumes: Vec<String>,
    observer: &dyn Observer,
    cancel: &Cancel,
) -> Result<DownReport> {
    let mut done = Vec::new();
    for rank in 0..=2 {
        cancel.check()?;
        let due: Vec<&Step> = plan.steps.iter().filter(|step| rank_of(&step.action) == rank).collect();
        let took = try_join_all(due.iter().map(|step| remove(engine, step, observer))).await?;
        done.extend(due.into_iter().cloned().zip(took));
    }
    let steps = done.into_iter().map(|(step, took)| DoneStep { step, seconds: took.as_secs_f64() }).collect();
    Ok(DownReport { steps, kept_volumes })
}

/// A network and a volume can only go when no container holds them any more.
fn rank_of(action: &Action) -> u8 {
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
        Action::RemoveContainer(id) => engine.remove_container(id).await,
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
