//! Which figure a person means: by its word, as it may be typed, or by the name of its series in Prometheus.

use super::FigureName;

/// The families in Prometheus that show one figure each; the two that have no project are named as the figure is.
const SERIES: [(FigureName, &str); 16] = [
    (FigureName::FlakeRate, "qa_flake_ratio"),
    (FigureName::FlakyExecutionRatio, "qa_flaky_execution_ratio"),
    (FigureName::PassRatio, "qa_pass_ratio"),
    (FigureName::SkippedRatio, "qa_skipped_ratio"),
    (FigureName::DefectLeakage, "qa_defect_leakage_ratio"),
    (FigureName::RemovalEfficiency, "qa_defect_removal_efficiency_ratio"),
    (FigureName::RecoveryTime, "qa_test_recovery_seconds"),
    (FigureName::TestDurationP50, "qa_test_duration_p50_seconds"),
    (FigureName::TestDurationP95, "qa_test_duration_p95_seconds"),
    (FigureName::RunDurationP95, "qa_run_duration_p95_seconds"),
    (FigureName::OpenDefectAge, "qa_defect_age_seconds"),
    (FigureName::ChangeFailureRatio, "qa_change_failure_ratio"),
    (FigureName::Tests, "qa_tests"),
    (FigureName::FlakyTests, "qa_flaky_tests"),
    (FigureName::BrokenTests, "qa_broken_tests"),
    (FigureName::NewTests, "qa_new_tests"),
];

/// How alike a word has to be to be offered, from 0 to 1.
const ALIKE: f64 = 0.8;

impl FigureName {
    /// Its family in Prometheus; nothing where it has none of its own.
    pub fn series(self) -> Option<&'static str> {
        SERIES.iter().find(|(name, _)| *name == self).map(|(_, series)| *series)
    }

    /// The figure that was meant: dashes are as good as underscores, and a series' name as the figure's word.
    ///
    /// # Errors
    /// There is none; the error names the one that was probably meant.
    pub fn meant(typed: &str) -> Result<Self, UnknownFigure> {
        let word = typed.trim().to_lowercase().replace('-', "_");
        let of_series = || SERIES.iter().find(|(_, series)| *series == word).map(|(name, _)| *name);
        Self::from_word(&word).or_else(of_series).ok_or_else(|| {
            let words = Self::all().map(|name| (name, name.word()));
            let likeness = |known: &str| strsim::jaro_winkler(known, &word);
            let nearest = words.chain(SERIES).max_by(|a, b| likeness(a.1).total_cmp(&likeness(b.1)));
            let nearest = nearest.filter(|(_, known)| likeness(known) > ALIKE).map(|(name, _)| name);
            UnknownFigure { typed: typed.to_owned(), nearest }
        })
    }
}

/// A word that names no figure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no figure `{typed}`")]
pub struct UnknownFigure {
    typed: String,
    nearest: Option<FigureName>,
}

impl UnknownFigure {
    /// What to do about it.
    pub fn hint(&self) -> String {
        let words: Vec<_> = FigureName::all().map(FigureName::word).collect();
        let all = format!("The figures are {}.", words.join(", "));
        self.nearest.map_or_else(|| all.clone(), |nearest| format!("Did you mean {}? {all}", nearest.word()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_found_by_its_word_with_dashes_and_by_its_series() {
        for typed in ["flake_rate", "flake-rate", " Flake_Rate ", "qa_flake_ratio", "qa-flake-ratio"] {
            assert_eq!(FigureName::meant(typed), Ok(FigureName::FlakeRate), "{typed}");
        }
        assert_eq!(FigureName::meant("qa_defect_age_seconds"), Ok(FigureName::OpenDefectAge));
    }

    #[test]
    fn a_word_that_names_no_figure_is_told_with_the_one_that_was_meant() {
        for (typed, expected) in [
            ("flakerate", "Did you mean flake_rate? The figures are flake_rate, "),
            ("qa_pass_rate", "Did you mean pass_ratio? "),
            ("foo", "The figures are flake_rate, "),
        ] {
            let unknown = FigureName::meant(typed).unwrap_err();
            assert_eq!(unknown.to_string(), format!("there is no figure `{typed}`"));
            assert!(unknown.hint().starts_with(expected), "{typed}: {}", unknown.hint());
        }
    }
}
