//! What a team may decide about its figures: windows, branches, samples, and what a defect counts as.

use super::defects::{Classification, CompiledDefectRules, Defect, DefectRules};
use crate::hex::hex;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The version of the definitions themselves; it changes when the same rules give other figures.
const DEFINITIONS: u32 = 4;

/// How the figures are computed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Days of the window of every figure about tests.
    pub flake_window_days: u32,
    /// Days of the window of every figure about defects, by the day they were created.
    pub leakage_window_days: u32,
    /// Globs of the branches whose runs count. `*` alone, the default, counts all of them.
    pub branches: Vec<String>,
    /// The branch of a project that says of itself nothing else.
    pub default_branch: String,
    /// Decisive executions a test needs in the window before it may enter a ranking.
    pub minimum_sample: u32,
    /// When a run is taken for an outage of the infrastructure instead of a result.
    pub infrastructure_guard: InfrastructureGuard,
    /// What counts as a production defect and as a valid one.
    pub defects: DefectRules,
    /// Globs of the environments whose deployments count: a change fails where users meet it. A deployment that names
    /// none counts.
    pub deployments: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            flake_window_days: 14,
            leakage_window_days: 90,
            branches: vec!["*".to_owned()],
            default_branch: "main".to_owned(),
            minimum_sample: 5,
            infrastructure_guard: InfrastructureGuard::default(),
            defects: DefectRules::default(),
            deployments: ["prod*", "live*"].map(str::to_owned).to_vec(),
        }
    }
}

impl Rules {
    /// A short hash of everything that decides a figure: two equal versions give equal figures.
    pub fn version(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(DEFINITIONS.to_le_bytes());
        // A struct of numbers and strings always has a JSON form, with its fields in a fixed order.
        hash.update(serde_json::to_vec(self).unwrap_or_default());
        hex(&hash.finalize()[..8])
    }

    /// The same rules for one branch alone.
    #[must_use]
    pub fn for_branch(&self, branch: &str) -> Self {
        Self { branches: vec![globset::escape(branch)], ..self.clone() }
    }

    /// Checks what the types cannot: windows are not empty, globs can be read.
    pub fn check(&self) -> Result<(), RulesError> {
        for (name, days) in [("flake_window", self.flake_window_days), ("leakage_window", self.leakage_window_days)] {
            if days == 0 || days > 3650 {
                return Err(RulesError::Window { name, days });
            }
        }
        self.compile().map(|_| ())
    }

    /// The rules, ready to be applied.
    pub fn compile(&self) -> Result<CompiledRules, RulesError> {
        let scope = BranchScope {
            globs: compile_globs(&self.branches, CaseRule::Exact)?,
            everything: self.branches.iter().any(|glob| glob == "*"),
        };
        let deployments = compile_globs(&self.deployments, CaseRule::Ignored)?;
        let (version, defects) = (self.version(), self.defects.compile()?);
        Ok(CompiledRules { rules: self.clone(), version, scope, defects, deployments })
    }
}

/// Rules whose globs are compiled.
#[derive(Debug, Clone)]
pub struct CompiledRules {
    /// The rules as they were given.
    pub rules: Rules,
    /// Their version.
    pub version: String,
    /// The branches that count.
    pub scope: BranchScope,
    defects: CompiledDefectRules,
    deployments: GlobSet,
}

impl CompiledRules {
    /// The same rules as they were under another version of the definitions.
    pub fn of_version(self, version: String) -> Self {
        Self { version, ..self }
    }

    /// What the rules make of a defect.
    pub fn classify(&self, defect: &Defect) -> Classification {
        self.defects.classify(defect)
    }

    /// Whether a deployment to this environment counts.
    pub fn counts_deployment(&self, environment: &str) -> bool {
        environment.trim().is_empty() || self.deployments.is_match(environment.trim())
    }

    /// Whether the reports of a run count in the figures that brought so much so far.
    pub fn standing(&self, branch: Option<&str>, attempt: u32, run: RunSums) -> Standing {
        if !self.scope.counts(branch) {
            Standing::OutOfScope
        } else if self.rules.infrastructure_guard.holds_out(attempt, run) {
            Standing::HeldOut
        } else {
            Standing::Counts
        }
    }
}

/// What all reports of one run say together: a build tool writes a report for each class of tests, and neither one
/// class that fails as a whole is an outage, nor are ten small ones results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RunSums {
    /// Decisive executions.
    pub decisive: u64,
    /// Those of them that failed.
    pub failed: u64,
}

/// Whether a report counts in the figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It counts.
    Counts,
    /// The infrastructure guard holds it out: almost everything failed in a first attempt.
    HeldOut,
    /// Its branch does not count.
    OutOfScope,
}

/// The branches that count.
#[derive(Debug, Clone)]
pub struct BranchScope {
    globs: GlobSet,
    everything: bool,
}

/// The label of the branches that have none of their own.
pub(super) const OTHER: &str = "other";

impl BranchScope {
    /// Whether runs of this branch count. A run that names no branch counts where all branches do.
    pub fn counts(&self, branch: Option<&str>) -> bool {
        self.everything || branch.is_some_and(|branch| self.globs.is_match(branch))
    }

    /// The branch's label in bounded metrics: its name where it is the default branch or was named by a glob
    /// of the rules, else `other`.
    pub fn label<'a>(&self, branch: Option<&'a str>, default_branch: &str) -> &'a str {
        match branch {
            Some(branch) if branch == default_branch => branch,
            Some(branch) if !self.everything && self.globs.is_match(branch) => branch,
            _ => OTHER,
        }
    }
}

/// When a run is an outage and no result: a first attempt in which almost everything fails.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InfrastructureGuard {
    /// Decisive tests a run needs before it can be held out. 0 turns the guard off.
    pub minimum_decisive: u64,
    /// The failed share of the decisive tests from which on it is held out, 0 to 1.
    pub failed_share: f64,
}

impl Default for InfrastructureGuard {
    fn default() -> Self {
        Self { minimum_decisive: 20, failed_share: 0.8 }
    }
}

impl InfrastructureGuard {
    /// Whether a run is held out. Later attempts never are: a rerun holds just the tests that failed.
    pub fn holds_out(&self, attempt: u32, run: RunSums) -> bool {
        self.minimum_decisive > 0
            && attempt <= 1
            && run.decisive >= self.minimum_decisive
            && run.failed as f64 >= self.failed_share * run.decisive as f64
    }
}

/// Rules that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RulesError {
    /// A window of no days, or of more than ten years.
    #[error("{name} is {days} days; it must be from 1 to 3650")]
    Window {
        /// The setting.
        name: &'static str,
        /// What it says.
        days: u32,
    },
    /// A glob that cannot be read.
    #[error("the pattern {pattern:?} cannot be read: {reason}")]
    Pattern {
        /// The glob.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// Whether a glob tells capital letters from small ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CaseRule {
    /// It does: branches.
    Exact,
    /// It does not: words people type into trackers.
    Ignored,
}

pub(super) fn compile_globs(patterns: &[String], case: CaseRule) -> Result<GlobSet, RulesError> {
    let mut set = GlobSetBuilder::new();
    let unusable = |pattern: &str, error: globset::Error| RulesError::Pattern {
        pattern: pattern.to_owned(),
        reason: error.to_string(),
    };
    for pattern in patterns {
        let glob = GlobBuilder::new(pattern)
            .case_insensitive(case == CaseRule::Ignored)
            .build()
            .map_err(|error| unusable(pattern, error))?;
        set.add(glob);
    }
    set.build().map_err(|error| unusable(&patterns.join(", "), error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_of_a_rule_is_another_version() {
        let rules = Rules::default();
        assert_eq!(rules.version(), Rules::default().version());
        let window = Rules { flake_window_days: 7, ..Rules::default() };
        let sample = Rules { minimum_sample: 6, ..Rules::default() };
        assert_ne!(rules.version(), window.version());
        assert_ne!(window.version(), sample.version());
    }

    #[test]
    fn named_branches_have_labels_and_all_others_share_one() {
        let all = Rules::default().compile().unwrap().scope;
        assert!(all.counts(None) && all.counts(Some("feature/x")));
        assert_eq!(all.label(Some("main"), "main"), "main");
        assert_eq!(all.label(Some("feature/x"), "main"), "other");
        let named = Rules { branches: vec!["main".into(), "release/*".into()], ..Rules::default() };
        let named = named.compile().unwrap().scope;
        assert!(!named.counts(None) && !named.counts(Some("feature/x")) && named.counts(Some("release/2")));
        assert_eq!(named.label(Some("release/2"), "main"), "release/2");
    }

    #[test]
    fn the_guard_holds_out_first_attempts_in_which_almost_everything_fails() {
        let guard = InfrastructureGuard::default();
        let run = |decisive, failed| RunSums { decisive, failed };
        assert!(guard.holds_out(1, run(20, 16)));
        assert!(!guard.holds_out(1, run(20, 15)));
        assert!(!guard.holds_out(1, run(19, 19)));
        assert!(!guard.holds_out(2, run(20, 20)), "a rerun holds just what failed");
        assert!(!InfrastructureGuard { minimum_decisive: 0, ..guard }.holds_out(1, run(500, 500)));
    }

    #[test]
    fn rules_that_cannot_be_used_are_named() {
        let empty = Rules { flake_window_days: 0, ..Rules::default() };
        assert_eq!(empty.check(), Err(RulesError::Window { name: "flake_window", days: 0 }));
        let glob = Rules { branches: vec!["release/[".into()], ..Rules::default() };
        assert!(glob.check().unwrap_err().to_string().contains("release/["));
        assert_eq!(Rules::default().check(), Ok(()));
    }
}
