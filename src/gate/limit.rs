//! A limit as it is typed, `FIGURE=NUMBER`, and what no figure can be.

use crate::quality::{FigureName, LeakageDenominator, Unit};
use std::str::FromStr;

/// `FIGURE=NUMBER` as typed: `flake_rate=0.1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The figure.
    pub figure: FigureName,
    /// The limit.
    pub value: f64,
}

impl Limit {
    /// A limit of the figure with this word.
    ///
    /// # Errors
    /// There is no such figure, or it can never be that much; in words.
    pub fn new(figure: &str, amount: Amount) -> Result<Self, String> {
        let figure = FigureName::meant(figure).map_err(|unknown| {
            let hint = unknown.hint();
            format!("{unknown}. {}", hint.trim_end_matches('.'))
        })?;
        if amount.is_percentage && figure.unit() != Unit::Ratio {
            return Err(format!("{} is no share, and no percentage limits it", figure.word()));
        }
        let limit = Self { figure, value: amount.value };
        // What the leakage is a share of is a rule of the figures, which are not at hand here.
        limit.fits(LeakageDenominator::PreRelease)?;
        Ok(limit)
    }

    /// Whether the figure can be that much where the leakage is a share of this. Of the defects from before the release
    /// alone it is a ratio, and those from production may be more.
    ///
    /// # Errors
    /// It cannot; in words.
    pub fn fits(&self, leakage: LeakageDenominator) -> Result<(), String> {
        let Self { figure, value } = *self;
        let is_leakage = figure == FigureName::DefectLeakage;
        let has_no_end = is_leakage && leakage == LeakageDenominator::PreRelease && value >= 0.0;
        if figure.unit() != Unit::Ratio || (0.0..=1.0).contains(&value) || has_no_end {
            return Ok(());
        }
        let meant = if (1.0..=100.0).contains(&value) { format!("; did you mean {value}%?") } else { String::new() };
        let unless = if is_leakage && value > 1.0 { " unless figures.defects.denominator is pre_release" } else { "" };
        let word = figure.word();
        Err(format!("{word} is a share, from 0 to 1 or from 0% to 100%, and {value} is none{unless}{meant}"))
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not FIGURE=NUMBER, such as flake_rate=0.1");
        let (figure, value) = text.split_once('=').ok_or_else(expected)?;
        let amount = Amount::read(value).filter(|_| !figure.trim().is_empty()).ok_or_else(expected)?;
        Self::new(figure.trim(), amount)
    }
}

/// A number as it is typed. `0.1` and `10%` are the same, but only a share is limited by a percentage.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Amount {
    /// The number: of 10 %, 0.1.
    pub value: f64,
    /// Whether it was written as a percentage.
    pub is_percentage: bool,
}

impl Amount {
    /// Reads a number or a percentage.
    pub fn read(text: &str) -> Option<Self> {
        let percent = text.trim().strip_suffix('%').map(str::trim);
        let value: f64 = match percent {
            // Read as it is written: a division would make 0.33299999999999996 of 33.3 %.
            Some(percent) if !percent.contains(['e', 'E']) => format!("{percent}e-2").parse().ok()?,
            Some(percent) => percent.parse::<f64>().ok()? / 100.0,
            None => text.trim().parse().ok()?,
        };
        value.is_finite().then_some(Self { value, is_percentage: percent.is_some() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_figure_and_a_number_or_a_percentage() {
        let limit = Limit { figure: FigureName::FlakeRate, value: 0.1 };
        for text in ["flake_rate=0.1", " flake-rate = 10 % ", "qa_flake_ratio=10%"] {
            assert_eq!(text.parse(), Ok(limit.clone()), "{text}");
        }
        assert_eq!("pass_ratio=33.3%".parse::<Limit>().unwrap().value, 0.333);
        assert_eq!("pass_ratio=5e1%".parse::<Limit>().unwrap().value, 0.5);
        for text in ["broken_tests=5%", "run_duration_p95=50 %"] {
            let refused = text.parse::<Limit>().unwrap_err();
            assert!(refused.ends_with(" is no share, and no percentage limits it"), "{refused}");
        }
        for text in ["flake_rate", "=1", "flake_rate=", "flake_rate=x", "flake_rate=NaN", "flake_rate=inf"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_that_none_can_be_is_refused_and_counts_and_durations_may_be_anything() {
        let refused = "flake_rate=10".parse::<Limit>().unwrap_err();
        assert_eq!(refused, "flake_rate is a share, from 0 to 1 or from 0% to 100%, and 10 is none; did you mean 10%?");
        assert!(!"pass_ratio=500".parse::<Limit>().unwrap_err().contains("did you mean"));
        for text in ["flake_rate=101%", "pass_ratio=-1", "defect_leakage=-1", "defect_leakage=-1%"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
        for text in ["flake_rate=100%", "flake_rate=0", "tests=100", "run_duration_p95=900"] {
            assert!(text.parse::<Limit>().is_ok(), "{text}");
        }
    }

    #[test]
    fn a_leakage_may_be_above_1_only_as_a_ratio_to_the_defects_from_before_the_release() {
        let limit: Limit = "defect_leakage=150%".parse().unwrap();
        assert_eq!(limit.fits(LeakageDenominator::PreRelease), Ok(()));
        let refused = limit.fits(LeakageDenominator::Total).unwrap_err();
        let expected = "defect_leakage is a share, from 0 to 1 or from 0% to 100%, and 1.5 is none unless \
            figures.defects.denominator is pre_release; did you mean 1.5%?";
        assert_eq!(refused, expected);
        let limit: Limit = "defect_leakage=100%".parse().unwrap();
        assert_eq!(limit.fits(LeakageDenominator::Total), Ok(()));
    }

    #[test]
    fn a_figure_that_there_is_not_is_told_with_the_one_that_was_meant() {
        let refused = "flak_rate=1".parse::<Limit>().unwrap_err();
        assert!(refused.starts_with("there is no figure `flak_rate`. Did you mean flake_rate? The"), "{refused}");
    }
}
