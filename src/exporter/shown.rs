//! What is shown: the real store's figures, or the sample's as long as nothing real has arrived. Never both.

use crate::quality::Figures;
use crate::store::{ProjectSnapshot, Snapshot};
use std::sync::Arc;

/// What is shown at a moment.
#[derive(Debug, Clone)]
pub struct Shown {
    /// The store's state; nothing while it is not open.
    pub snapshot: Option<Arc<Snapshot>>,
    /// Whether it is the sample's.
    pub sample: bool,
}

impl Shown {
    /// The figures of all projects together; nothing while no store is open.
    pub fn figures(&self, now: i64) -> Option<Figures> {
        self.snapshot.as_ref().map(|snapshot| snapshot.figures(now))
    }

    /// The projects, by their keys.
    pub fn projects(&self) -> impl Iterator<Item = &ProjectSnapshot> {
        self.snapshot.iter().flat_map(|snapshot| snapshot.projects.values()).map(Arc::as_ref)
    }
}
