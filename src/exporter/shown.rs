//! What is shown: the real store's figures, or the sample's as long as nothing real has arrived. Never both.

use super::Exporter;
use super::problem::Problem;
use crate::quality::{Figures, LeakageDenominator};
use crate::store::{ProjectSnapshot, Snapshot, Store};
use std::sync::Arc;

/// What is shown at a moment.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// The store's state; nothing while it is not open.
    pub snapshot: Option<Arc<Snapshot>>,
    store: Option<Store>,
    /// Whether it is the sample's.
    pub sample: bool,
}

impl Shown {
    /// What a store shows now.
    pub fn of(store: Store, sample: bool) -> Self {
        Self { snapshot: Some(store.snapshot()), store: Some(store), sample }
    }

    /// The store, for whoever asks for more than figures.
    ///
    /// # Errors
    /// 503 while it is not open.
    pub fn store(&self) -> Result<&Store, Problem> {
        self.store.as_ref().ok_or_else(Exporter::starting)
    }

    /// The version of the rules that the figures follow; empty while no store is open.
    pub fn rules_version(&self) -> String {
        self.snapshot.as_ref().map(|snapshot| snapshot.rules.version.clone()).unwrap_or_default()
    }

    /// What the leakage is a share of.
    pub fn leakage_denominator(&self) -> LeakageDenominator {
        self.snapshot.as_ref().map(|snapshot| snapshot.rules.rules.defects.denominator).unwrap_or_default()
    }

    /// The figures of all projects together; nothing while no store is open.
    pub fn figures(&self, now: i64) -> Option<Figures> {
        self.snapshot.as_ref().map(|snapshot| snapshot.figures(now))
    }

    /// The projects, by their keys.
    pub fn projects(&self) -> impl Iterator<Item = &ProjectSnapshot> {
        self.snapshot.iter().flat_map(|snapshot| snapshot.projects.values()).map(Arc::as_ref)
    }
}
