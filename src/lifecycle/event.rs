//! What happens during a run, as facts; `output` chooses the words.

use crate::engine::Transfer;
use std::time::Duration;

/// Somebody who wants to know what happens.
pub trait Observer: Send + Sync {
    /// Takes one fact. It must not block for long: the run waits for it.
    fn observe(&self, event: Event);
}

/// One fact of a run. `part` is what it is about: a service's name, or `network`, `images`, ….
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Work on a part has begun, or goes on with something else.
    Working {
        /// What it is about.
        part: String,
        /// What is being done, such as `create container`.
        doing: String,
    },
    /// A part waits for something outside.
    Waiting {
        /// What it is about.
        part: String,
        /// What it waits for, such as `its first answer on /api/health`.
        until: String,
    },
    /// Some of a known amount of bytes is there.
    Progress {
        /// What it is about.
        part: String,
        /// What is being done, such as `pull grafana/grafana:12.4.0`.
        doing: String,
        /// How far it is; it never goes back.
        transfer: Transfer,
    },
    /// A part is as it should be.
    Done {
        /// What it is about.
        part: String,
        /// How it ended, such as `healthy` or `kept`.
        result: String,
        /// How long it took.
        took: Duration,
    },
    /// A part went wrong; the error that ends the run follows as its result.
    Failed {
        /// What it is about.
        part: String,
        /// What went wrong, in a few words.
        why: String,
    },
    /// Something that should be known and does not end the run.
    Warning(String),
}

/// An observer for callers that do not care.
#[derive(Debug, Clone, Copy)]
pub struct Nobody;

impl Observer for Nobody {
    fn observe(&self, _event: Event) {}
}
