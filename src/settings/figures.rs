//! How the figures are computed; the same keys in `qastack.yaml` and in the exporter's own file.

use super::Period;
use serde::{Deserialize, Serialize};

/// Windows and branches of the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FiguresSettings {
    /// Tests and flake events of this long count towards `flake_rate`.
    pub flake_window: Period,
    /// Defects created within this long count towards `defect_leakage`.
    pub leakage_window: Period,
    /// Globs of the branches whose runs count.
    pub branches: Vec<String>,
}

impl Default for FiguresSettings {
    fn default() -> Self {
        Self { flake_window: Period::days(14), leakage_window: Period::days(90), branches: vec!["*".to_owned()] }
    }
}
