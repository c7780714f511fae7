//! A container whose name was taken between looking and making: another operator's run, from another machine, made it.

use crate::engine::Engine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::labels::RunId;
use crate::stack::{ContainerSpec, Names, State};
use std::time::{Duration, Instant};

/// How long the one who made a container may take to start it; after that it is ours to start.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const INTERVAL: Duration = Duration::from_millis(100);

/// What became of a container that somebody else has just made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// It runs: its maker has seen to its files and secrets.
    Runs,
    /// It is there and not started: ours to go on with, since its maker is gone, or was this run and only the answer to
    /// its call was lost.
    IsOurs,
    /// It is gone: the name is free again.
    IsGone,
}

/// Waits until a container that has our name runs, or is gone, or its maker has had time enough.
///
/// # Errors
/// It is not ours, or was made with other settings.
pub async fn adopt<E: Engine>(engine: &E, run: &RunId, names: &Names, wanted: &ContainerSpec) -> Result<Adopted> {
    let name = names.container(wanted.service);
    let since = Instant::now();
    loop {
        let Some(there) = engine.inspect(&name).await? else { return Ok(Adopted::IsGone) };
        if !there.is_ours(names.project()) {
            return Err(Error::new(
                Code::NotOurs,
                format!("the container {name} was made meanwhile, and not by qastack"),
            )
            .hint("Rename or remove it, or choose another name for the stack: --project NAME."));
        }
        let is_late = since.elapsed() > PATIENCE;
        match there.state {
            // What is being removed goes by itself.
            State::Removing | State::Dead if !is_late => {}
            _ if there.spec() != Some(wanted.canonical()) => {
                let what = format!("the container {name} was made by another run, with other settings");
                return Err(Error::new(Code::Locked, what)
                    .hint("Another run of qastack works on the project from another machine; wait until it is done.")
                    .retryable());
            }
            State::Running => return Ok(Adopted::Runs),
            _ if run.made(&there.labels) || is_late => return Ok(Adopted::IsOurs),
            _ => {}
        }
        tokio::time::sleep(INTERVAL).await;
    }
}
