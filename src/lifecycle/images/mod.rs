//! The stack's images beside `up`: what there is, pulls on demand, and a file that carries them to a machine without a
//! way to a registry.

mod carrier;

pub use carrier::{Carried, load, save};

use super::event::{Event, Observer};
use super::{Cancel, DoneStep};
use crate::engine::{Engine, EngineImage, Transfer};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{Action, ImageSource, Service, StackSpec, Step};
use futures_util::future::{join_all, try_join_all};
use serde::Serialize;
use std::time::Instant;

/// An image that a service needs.
#[derive(Debug, Clone, Serialize)]
pub struct StackImage {
    /// The service.
    pub service: &'static str,
    /// The reference.
    pub reference: String,
    /// Whether it is built from this program and never pulled.
    pub built: bool,
    /// Whether the engine has it.
    pub present: bool,
    /// The engine's id of it.
    pub id: Option<String>,
    /// Its size in bytes, unpacked.
    pub bytes: Option<u64>,
    /// The digests under which registries know it.
    pub digests: Vec<String>,
}

/// The images that the services need, and which of them are there.
pub async fn list<E: Engine>(engine: &E, spec: &StackSpec) -> Result<Vec<StackImage>> {
    let look = spec.containers.iter().map(|container| async move {
        let reference = container.image.reference();
        let found = engine.image(reference).await?;
        let EngineImage { id, bytes, digests, .. } = found.clone().unwrap_or_default();
        Ok(StackImage {
            service: container.service.name(),
            reference: reference.to_owned(),
            built: matches!(container.image, ImageSource::Build(_)),
            present: found.is_some(),
            id: found.as_ref().map(|_| id),
            bytes: found.as_ref().map(|_| bytes),
            digests,
        })
    });
    try_join_all(look).await
}

/// What a round of pulls brought.
#[derive(Debug, Default)]
pub struct Pulled {
    /// The pulls that brought another image than was there.
    pub steps: Vec<DoneStep>,
    /// Images that could not be had and are there in an older form.
    pub warnings: Vec<String>,
}

/// Pulls every image that is not built, side by side, whether it is there or not. One that cannot be had and is there
/// is used as it is, with a warning: a registry that is away is no reason not to run.
pub async fn pull<E: Engine>(engine: &E, spec: &StackSpec, observer: &dyn Observer, cancel: &Cancel) -> Result<Pulled> {
    let pulls = spec.containers.iter().filter_map(|container| match &container.image {
        ImageSource::Build(_) => None,
        ImageSource::Reference(reference) => Some(pull_one(engine, container.service, reference, observer)),
    });
    let done = cancel.or(async { Ok(join_all(pulls).await) }).await?;
    let mut pulled = Pulled::default();
    for outcome in done {
        match outcome? {
            Outcome::Brought(step) => pulled.steps.push(step),
            Outcome::Unchanged => {}
            Outcome::Kept(warning) => pulled.warnings.push(warning),
        }
    }
    Ok(pulled)
}

enum Outcome {
    Brought(DoneStep),
    Unchanged,
    Kept(String),
}

async fn pull_one<E: Engine>(
    engine: &E,
    service: Service,
    reference: &str,
    observer: &dyn Observer,
) -> Result<Outcome> {
    let began = Instant::now();
    let part = || service.to_string();
    let doing = format!("pull {reference}");
    let before = engine.image(reference).await?;
    observer.observe(Event::Working { part: part(), doing: doing.clone() });
    let progress =
        |transfer: Transfer| observer.observe(Event::Progress { part: part(), doing: doing.clone(), transfer });
    let done = |result: &str| {
        observer.observe(Event::Done { part: part(), result: result.to_owned(), took: began.elapsed() });
    };
    match (engine.pull_image(reference, &progress).await, before) {
        (Err(error), None) => {
            observer.observe(Event::Failed { part: part(), why: format!("could not {doing}") });
            Err(error)
        }
        (Err(error), Some(_)) => {
            done("kept as it is here");
            Ok(Outcome::Kept(format!("{error}; the image that is here is used")))
        }
        (Ok(()), before) => {
            let after = engine.image(reference).await?.map(|image| image.id);
            if after == before.map(|image| image.id) {
                done("is the newest there is");
                return Ok(Outcome::Unchanged);
            }
            done("pulled");
            let step = Step {
                action: Action::PullImage(service),
                object: reference.to_owned(),
                reason: "asked for each time".to_owned(),
                service: Some(service),
            };
            Ok(Outcome::Brought(DoneStep { step, seconds: began.elapsed().as_secs_f64() }))
        }
    }
}

/// Nothing here can be done without a container engine.
pub fn needs_an_engine() -> Error {
    Error::new(Code::EngineUnreachable, "images are a container engine's, and this project runs without one")
        .hint("Install and start Docker, then run the command again; or name an engine with --host.")
}
