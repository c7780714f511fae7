//! How the figures are computed; the same keys in `qastack.yaml` and in the exporter's own file.

use super::{Period, Share};
use crate::gate;
use crate::quality::{DefectRules, InfrastructureGuard, Rules};
use crate::reports::NameRules;
use serde::{Deserialize, Deserializer, Serialize};

/// Windows, branches and rules of the figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FiguresSettings {
    /// Tests and flake events of this long count towards `flake_rate`. Whole days.
    pub flake_window: Period,
    /// Defects created within this long count towards `defect_leakage`. Whole days.
    pub leakage_window: Period,
    /// Globs of the branches whose runs count.
    pub branches: Vec<String>,
    /// The branch of a project that says of itself nothing else.
    pub default_branch: String,
    /// Decisive executions a test needs in the window before it may enter a ranking.
    pub minimum_sample: u32,
    /// When a report is taken for an outage of the infrastructure instead of a result.
    #[serde(deserialize_with = "guard")]
    pub infrastructure_guard: InfrastructureGuard,
    /// What counts as a production defect, and which defects do not count.
    pub defects: DefectRules,
    /// Globs of the environments whose deployments count in `change_failure_ratio`; one that names none counts.
    pub deployments: Vec<String>,
    /// What is random in the names of tests, before the rules that hold anyway. A report is read under the rules of
    /// the moment it arrives.
    pub names: Vec<NameRule>,
}

/// Reads the guard, whose share may be written as a percentage as everywhere in the settings.
fn guard<'de, D: Deserializer<'de>>(deserializer: D) -> Result<InfrastructureGuard, D::Error> {
    #[derive(Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Guard {
        minimum_decisive: u64,
        failed_share: Share,
    }
    impl Default for Guard {
        fn default() -> Self {
            let InfrastructureGuard { minimum_decisive, failed_share } = InfrastructureGuard::default();
            Self { minimum_decisive, failed_share: Share(gate::Amount { value: failed_share, is_percentage: false }) }
        }
    }
    let Guard { minimum_decisive, failed_share: Share(share) } = Guard::deserialize(deserializer)?;
    Ok(InfrastructureGuard { minimum_decisive, failed_share: share.value })
}

/// A part of names that differs from run to run, and what stands in its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NameRule {
    /// A regular expression.
    pub pattern: String,
    /// The replacement; `$1` is the first group.
    pub replace: String,
}

impl Default for FiguresSettings {
    fn default() -> Self {
        let rules = Rules::default();
        Self {
            flake_window: Period::days(u64::from(rules.flake_window_days)),
            leakage_window: Period::days(u64::from(rules.leakage_window_days)),
            branches: rules.branches,
            default_branch: rules.default_branch,
            minimum_sample: rules.minimum_sample,
            infrastructure_guard: rules.infrastructure_guard,
            defects: rules.defects,
            deployments: rules.deployments,
            names: Vec::new(),
        }
    }
}

impl FiguresSettings {
    /// The rules these settings mean.
    ///
    /// # Errors
    /// The path of the setting that cannot be used, and what is wrong with it.
    pub fn rules(&self) -> Result<Rules, (&'static str, String)> {
        let rules = Rules {
            flake_window_days: whole_days("figures.flake_window", self.flake_window)?,
            leakage_window_days: whole_days("figures.leakage_window", self.leakage_window)?,
            branches: self.branches.clone(),
            default_branch: self.default_branch.clone(),
            minimum_sample: self.minimum_sample,
            infrastructure_guard: self.infrastructure_guard,
            defects: self.defects.clone(),
            deployments: self.deployments.clone(),
        };
        let share = rules.infrastructure_guard.failed_share;
        if !(0.0..=1.0).contains(&share) {
            let message = format!("{share} is not a share from 0 to 1, such as 0.8 or 80%");
            return Err(("figures.infrastructure_guard.failed_share", message));
        }
        rules.check().map_err(|error| ("figures", error.to_string()))?;
        Ok(rules)
    }

    /// How names are read.
    ///
    /// # Errors
    /// The path of the rules, and the one that is no regular expression.
    pub fn name_rules(&self) -> Result<NameRules, (&'static str, String)> {
        NameRules::new(self.own_names()).map_err(|error| ("figures.names", error.to_string()))
    }

    /// Whether names can be read so.
    ///
    /// # Errors
    /// As for [`Self::name_rules`].
    pub fn check_names(&self) -> Result<(), (&'static str, String)> {
        NameRules::check(self.own_names()).map_err(|error| ("figures.names", error.to_string()))
    }

    fn own_names(&self) -> impl Iterator<Item = (&str, &str)> {
        self.names.iter().map(|rule| (rule.pattern.as_str(), rule.replace.as_str()))
    }
}

/// Figures are kept by day, so a window is a number of days.
fn whole_days(path: &'static str, period: Period) -> Result<u32, (&'static str, String)> {
    const DAY: u64 = 86_400;
    let days = period.as_secs() / DAY;
    if !period.as_secs().is_multiple_of(DAY) || !(1..=3650).contains(&days) {
        return Err((path, format!("{period} is not a window of 1d to 3650d in whole days")));
    }
    u32::try_from(days).map_err(|_| (path, format!("{period} is too long")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_rules() {
        assert_eq!(FiguresSettings::default().rules(), Ok(Rules::default()));
    }

    #[test]
    fn a_window_is_a_number_of_whole_days_and_a_glob_can_be_read() {
        let short = FiguresSettings { flake_window: Period::seconds(3600), ..FiguresSettings::default() };
        assert_eq!(short.rules().unwrap_err().0, "figures.flake_window");
        let long = FiguresSettings { leakage_window: Period::days(4000), ..FiguresSettings::default() };
        assert_eq!(long.rules().unwrap_err().0, "figures.leakage_window");
        let glob = FiguresSettings { branches: vec!["release/[".to_owned()], ..FiguresSettings::default() };
        assert!(glob.rules().unwrap_err().1.contains("release/["));
    }
}
