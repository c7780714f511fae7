//! The gate: whether figures are as good as a team demands, pure.
//!
//! It never passes on the sample, on no data, or on a figure that does not exist. What is demanded and what is come
//! in as values; a verdict with its reasons comes out, in words, as data and as Markdown for a job's page.

mod limit;
mod summary;

pub use limit::{Amount, Limit};
pub use summary::markdown;

use crate::quality::{FigureName, Unit};
use crate::words;
use serde::Serialize;
use std::collections::BTreeMap;

/// Which way a figure may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// At most this.
    Max,
    /// At least this.
    Min,
    /// At most this much more than on the base branch.
    MaxIncrease,
    /// At most this much less than on the base branch.
    MaxDecrease,
}

impl Bound {
    /// Whether it compares with the base branch.
    pub fn compares(self) -> bool {
        matches!(self, Self::MaxIncrease | Self::MaxDecrease)
    }
}

/// Who demands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The settings, in every job.
    Settings,
    /// A flag, in this one.
    Flag,
}

/// One thing that is demanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
    /// Who demands it.
    pub by: By,
    /// Which way.
    pub bound: Bound,
    /// Of which figure, and how far.
    pub limit: Limit,
}

/// A figure as it is: its value where there is data, its numerator and denominator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// The value; nothing where there is no data.
    pub value: Option<f64>,
    /// What is counted.
    pub numerator: f64,
    /// What it is a share of.
    pub denominator: f64,
}

/// The figures of a project or of one of its branches.
#[derive(Debug, Clone, PartialEq)]
pub struct Readings {
    /// Whose they are, in words: project `web`.
    pub whose: String,
    /// The figures that have been asked for and told.
    pub figures: BTreeMap<FigureName, Reading>,
}

/// What became of one demand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The figure.
    pub figure: FigureName,
    /// Which way it may go.
    pub bound: Bound,
    /// How far.
    pub limit: f64,
    /// The value; nothing where there is no data.
    pub value: Option<f64>,
    /// The value on the base branch, where it is compared with.
    pub base: Option<f64>,
    /// What is counted, and what it is a share of.
    pub of: (f64, f64),
    /// Whether it is as demanded; nothing where there is no base to compare with.
    pub passed: Option<bool>,
    /// Why, in words.
    pub reason: String,
}

/// Judges each demand. `base` are the base branch's figures, where there is one.
pub fn judge(demands: &[Demand], readings: &Readings, base: Option<&Readings>) -> Vec<Check> {
    demands.iter().map(|demand| check(demand, readings, base)).collect()
}

/// What becomes of demands to compare where there is nothing to compare with, and why there is not.
pub fn not_compared(demands: &[Demand], why: &str) -> Vec<Check> {
    let check = |demand: &Demand| Check { reason: why.to_owned(), ..unjudged(demand) };
    demands.iter().map(check).collect()
}

fn unjudged(Demand { bound, limit, .. }: &Demand) -> Check {
    Check {
        figure: limit.figure,
        bound: *bound,
        limit: limit.value,
        value: None,
        base: None,
        of: (0.0, 0.0),
        passed: None,
        reason: String::new(),
    }
}

fn check(demand: &Demand, readings: &Readings, base: Option<&Readings>) -> Check {
    let figure = demand.limit.figure;
    let reading = readings.figures.get(&figure);
    let of_base = base.and_then(|base| base.figures.get(&figure)?.value);
    let judged = Check {
        value: reading.and_then(|reading| reading.value),
        base: of_base.filter(|_| demand.bound.compares()),
        of: reading.map_or((0.0, 0.0), |reading| (reading.numerator, reading.denominator)),
        ..unjudged(demand)
    };
    let (word, whose) = (figure.word(), &readings.whose);
    let (passed, reason) = match (reading, judged.value) {
        (None, _) => (false, format!("this exporter tells no {word}; it is of another version")),
        (_, None) => (false, format!("{word} has no data in {whose}, and no data is no pass")),
        (_, Some(value)) => match within(demand.bound, demand.limit.value, value, judged.base) {
            Some(passed) => (passed, format!("{word} is {}, demanded is {}", told(&judged), demanded(&judged))),
            None => {
                let base = base.map_or("a base", |base| &base.whose);
                (false, format!("{word} is {} in {whose}; {base} has no data to compare with", told(&judged)))
            }
        },
    };
    Check { passed: Some(passed), reason, ..judged }
}

/// Whether a value is within its limit; nothing where it is to be compared and there is no base.
fn within(bound: Bound, limit: f64, value: f64, base: Option<f64>) -> Option<bool> {
    // A difference of equal shares is not always exactly 0.
    const TOLERANCE: f64 = 1e-12;
    Some(match bound {
        Bound::Max => value <= limit,
        Bound::Min => value >= limit,
        Bound::MaxIncrease => value - base? <= limit + TOLERANCE,
        Bound::MaxDecrease => base? - value <= limit + TOLERANCE,
    })
}

/// What a figure is: `20.0 % (2 of 10)`.
fn told(check: &Check) -> String {
    let Some(value) = check.value else { return "no data".to_owned() };
    let unit = check.figure.unit();
    let quantity = |value| words::plain(&words::quantity(value, unit));
    let base = check.base.unwrap_or_default();
    let edge = match check.bound {
        Bound::Max | Bound::Min => check.limit,
        Bound::MaxIncrease => base + check.limit,
        Bound::MaxDecrease => base - check.limit,
    };
    // What is beyond its limit must not read as if it stood on it.
    let is_told_apart = check.passed == Some(true) || value == edge || quantity(value) != quantity(edge);
    let text = if is_told_apart { quantity(value) } else { limit(value, unit) };
    match words::out_of(check.figure, check.of.0, check.of.1) {
        Some(of) => format!("{text} ({of})"),
        None => text,
    }
}

/// What is demanded of a figure: `at most 10 %`.
fn demanded(check: &Check) -> String {
    let unit = check.figure.unit();
    let base = || match check.base {
        Some(base) => format!("{} on the base branch", words::plain(&words::quantity(base, unit))),
        None => "on the base branch".to_owned(),
    };
    let difference = || match unit {
        Unit::Ratio => {
            let points = short(check.limit * 100.0);
            format!("{points} percentage point{}", if points == "1" { "" } else { "s" })
        }
        Unit::Seconds | Unit::Count => limit(check.limit, unit),
    };
    match check.bound {
        Bound::Max => format!("at most {}", limit(check.limit, unit)),
        Bound::Min => format!("at least {}", limit(check.limit, unit)),
        Bound::MaxIncrease => format!("at most {} more than {}", difference(), base()),
        Bound::MaxDecrease => format!("at most {} less than {}", difference(), base()),
    }
}

/// A limit as exactly as it was typed, in the figure's unit.
fn limit(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => format!("{} %", short(value * 100.0)),
        Unit::Seconds => format!("{} s", short(value)),
        Unit::Count => short(value),
    }
}

/// A number without more digits than anybody reads.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(pairs: &[(FigureName, Option<f64>)]) -> Readings {
        let reading = |value: Option<f64>| Reading { value, numerator: 8.0, denominator: 100.0 };
        let figures = pairs.iter().map(|(name, value)| (*name, reading(*value))).collect();
        Readings { whose: "project `web`".to_owned(), figures }
    }

    fn demand(bound: Bound, limit: &str) -> Demand {
        Demand { by: By::Flag, bound, limit: limit.parse().unwrap() }
    }

    fn one(bound: Bound, limit: &str, readings: &Readings, base: Option<&Readings>) -> Check {
        judge(&[demand(bound, limit)], readings, base).remove(0)
    }

    #[test]
    fn a_figure_at_its_limit_passes_and_one_beyond_it_fails_with_its_numbers() {
        let is = readings(&[(FigureName::FlakeRate, Some(0.08))]);
        let passed = one(Bound::Max, "flake_rate=0.08", &is, None);
        assert_eq!(passed.passed, Some(true));
        assert_eq!(passed.reason, "flake_rate is 8.0 % (8 of 100), demanded is at most 8 %");
        assert_eq!(one(Bound::Min, "flake_rate=0.08", &is, None).passed, Some(true));
        let failed = one(Bound::Max, "flake_rate=0.05", &is, None);
        assert_eq!(failed.passed, Some(false));
        assert_eq!(failed.reason, "flake_rate is 8.0 % (8 of 100), demanded is at most 5 %");
        assert_eq!(one(Bound::Min, "flake_rate=0.09", &is, None).passed, Some(false));
    }

    #[test]
    fn figures_are_told_in_their_unit_and_one_beyond_its_limit_never_reads_as_if_on_it() {
        for (figure, value, limit, expected) in [
            (
                FigureName::FlakeRate,
                0.1004,
                "flake_rate=10%",
                "flake_rate is 10.04 % (8 of 100), demanded is at most 10 %",
            ),
            (FigureName::FlakyTests, 8.0, "flaky_tests=5", "flaky_tests is 8 (of 100), demanded is at most 5"),
            (
                FigureName::RunDurationP95,
                120.0,
                "run_duration_p95=90",
                "run_duration_p95 is 2 min 0 s (over 100), demanded is at most 90 s",
            ),
        ] {
            let is = readings(&[(figure, Some(value))]);
            assert_eq!(one(Bound::Max, limit, &is, None).reason, expected);
        }
    }

    #[test]
    fn no_data_and_a_figure_that_is_not_told_never_pass_and_say_where_it_was_looked_for() {
        let is = readings(&[(FigureName::FlakeRate, None)]);
        for bound in [Bound::Max, Bound::Min, Bound::MaxIncrease] {
            let nothing = one(bound, "flake_rate=1", &is, Some(&is));
            assert_eq!(nothing.passed, Some(false));
            assert_eq!(nothing.reason, "flake_rate has no data in project `web`, and no data is no pass");
            assert_eq!(one(bound, "pass_ratio=1", &is, Some(&is)).passed, Some(false));
        }
    }

    #[test]
    fn a_figure_is_compared_with_the_base_branch() {
        let name = FigureName::PassRatio;
        let (is, base) = (readings(&[(name, Some(0.90))]), readings(&[(name, Some(0.95))]));
        let passed = |bound, limit| one(bound, limit, &is, Some(&base)).passed;
        assert_eq!(passed(Bound::MaxDecrease, "pass_ratio=0.05"), Some(true));
        assert_eq!(passed(Bound::MaxDecrease, "pass_ratio=0.04"), Some(false));
        assert_eq!(passed(Bound::MaxIncrease, "pass_ratio=0"), Some(true));
        let alone = one(Bound::MaxIncrease, "pass_ratio=0", &is, None);
        assert_eq!(alone.passed, Some(false), "nothing to compare with is no pass");
        let beyond = one(Bound::MaxDecrease, "pass_ratio=1%", &is, Some(&base)).reason;
        let expected = "pass_ratio is 90.0 % (8 of 100), demanded is at most 1 percentage point less than 95.0 % on the base branch";
        assert_eq!(beyond, expected);
    }

    #[test]
    fn the_summary_is_a_table_whose_cells_hold_no_markup_of_others() {
        let is = readings(&[(FigureName::FlakeRate, Some(0.08))]);
        let mut checks = vec![one(Bound::Max, "flake_rate=0.1", &is, None), one(Bound::Min, "tests=1", &is, None)];
        checks.extend(not_compared(&[demand(Bound::MaxIncrease, "flake_rate=1%")], "`a|b` is its own base"));
        insta::assert_snapshot!(markdown("we`b", None, None, &checks), @r"
        ## qastack gate: failed

        Project `web`

        | | figure | value | demanded |
        |---|---|---:|---|
        | ✅ | `flake_rate` | 8.0 % (8 of 100) | at most 10 % |
        | ❌ | `tests` | no data | at least 1 |
        | ➖ | `flake_rate` | not compared: ab is its own base | at most 1 percentage point more than on the base branch |
        ");
        checks.retain(|check| check.passed != Some(false));
        assert!(markdown("web", None, None, &checks).starts_with("## qastack gate: passed"));
    }
}
