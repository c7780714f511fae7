//! What `/metrics` reads: the sums of every project as of the last commit. Reading it never waits for a writer.

use super::kinds::DefectKinds;
use super::views::IngestTotals;
use crate::quality::{CompiledRules, Figures, ProjectSums, WindowSums, figures};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The sums of one project as of a commit.
#[derive(Debug, Clone)]
pub struct ProjectSnapshot {
    /// Its number.
    pub(super) id: i64,
    /// Its key.
    pub key: String,
    /// Its default branch.
    pub default_branch: String,
    /// Everything its figures are made of.
    pub sums: ProjectSums,
    /// Of which kinds each of its defects is.
    pub(super) kinds: Arc<DefectKinds>,
}

impl ProjectSnapshot {
    /// The project's figures at a moment, in seconds since 1970.
    pub fn figures(&self, now: i64, rules: &CompiledRules) -> Figures {
        figures(&self.sums.window(now, &rules.rules), &rules.rules)
    }
}

/// The store as of a commit.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The rules the sums were folded under.
    pub rules: Arc<CompiledRules>,
    /// The projects, by their keys.
    pub projects: BTreeMap<String, Arc<ProjectSnapshot>>,
    /// Counters of the ingest.
    pub ingest: Arc<IngestTotals>,
    /// The rules that everything is being folded again for, by their version; nothing where none is.
    pub folding: Option<String>,
}

impl Snapshot {
    /// Whether anything was ever stored.
    pub fn has_input(&self) -> bool {
        !self.projects.is_empty()
    }

    /// The sums of all projects at a moment, in seconds since 1970.
    pub fn window(&self, now: i64) -> WindowSums {
        let mut all = WindowSums::default();
        for project in self.projects.values() {
            all.merge(&project.sums.window(now, &self.rules.rules));
        }
        all
    }

    /// The figures of all projects together at a moment, in seconds since 1970.
    pub fn figures(&self, now: i64) -> Figures {
        figures(&self.window(now), &self.rules.rules)
    }

    /// The figures of one project at a moment, in seconds since 1970.
    pub fn project_figures(&self, project: &str, now: i64) -> Option<Figures> {
        self.projects.get(project).map(|project| project.figures(now, &self.rules))
    }
}
