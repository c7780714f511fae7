//! The gate: whether figures are as good as a team demands, pure.
//!
//! It never passes on the sample, on no data, or on a figure that does not exist. What is demanded and what is come
//! in as values; a verdict with its reasons comes out, in words, as data and as Markdown for a job's page.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;

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

/// `FIGURE=NUMBER` as typed: `flake_rate=0.1`.
#[derive(Debug, Clone, PartialEq)]
pub struct Limit {
    /// The figure's word.
    pub figure: String,
    /// The limit.
    pub value: f64,
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || format!("`{text}` is not FIGURE=NUMBER, such as flake_rate=0.1");
        let (figure, value) = text.split_once('=').ok_or_else(expected)?;
        let value = number(value).filter(|_| !figure.trim().is_empty()).ok_or_else(expected)?;
        Ok(Self { figure: figure.trim().to_owned(), value })
    }
}

/// A number or a percentage: `0.1` and `10%` are the same.
pub fn number(text: &str) -> Option<f64> {
    let (number, scale) = match text.trim().strip_suffix('%') {
        Some(percent) => (percent, 100.0),
        None => (text, 1.0),
    };
    let value: f64 = number.trim().parse().ok()?;
    value.is_finite().then_some(value / scale)
}

/// One thing that is demanded.
#[derive(Debug, Clone, PartialEq)]
pub struct Demand {
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

/// Figures by their words.
pub type Readings = BTreeMap<String, Reading>;

/// What became of one demand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The figure's word.
    pub figure: String,
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
    /// Whether it is as demanded.
    pub passed: bool,
    /// Why, in words.
    pub reason: String,
}

/// Judges each demand. `base` are the base branch's figures, where there is one.
pub fn judge(demands: &[Demand], readings: &Readings, base: Option<&Readings>) -> Vec<Check> {
    demands.iter().map(|demand| check(demand, readings, base)).collect()
}

fn check(demand: &Demand, readings: &Readings, base: Option<&Readings>) -> Check {
    let Demand { bound, limit: Limit { figure, value: limit } } = demand;
    let reading = readings.get(figure);
    let of_base = base.and_then(|base| base.get(figure)?.value);
    let (passed, reason) = verdict(*bound, *limit, figure, reading, of_base);
    Check {
        figure: figure.clone(),
        bound: *bound,
        limit: *limit,
        value: reading.and_then(|reading| reading.value),
        base: of_base.filter(|_| bound.compares()),
        of: reading.map_or((0.0, 0.0), |reading| (reading.numerator, reading.denominator)),
        passed,
        reason,
    }
}

fn verdict(bound: Bound, limit: f64, figure: &str, reading: Option<&Reading>, base: Option<f64>) -> (bool, String) {
    let Some(reading) = reading else { return (false, format!("there is no figure {figure} here")) };
    let Some(value) = reading.value else { return (false, format!("{figure} has no data, and no data is no pass")) };
    let told = format!("{figure} is {} ({} of {})", short(value), short(reading.numerator), short(reading.denominator));
    let (passed, demanded) = match bound {
        Bound::Max => (value <= limit, format!("at most {}", short(limit))),
        Bound::Min => (value >= limit, format!("at least {}", short(limit))),
        Bound::MaxIncrease | Bound::MaxDecrease => {
            let Some(base) = base else {
                return (false, format!("{told}; the base branch has no data to compare with"));
            };
            let (passed, word) = match bound {
                // A difference of equal shares is not always exactly 0.
                Bound::MaxIncrease => (value - base <= limit + 1e-12, "more"),
                _ => (base - value <= limit + 1e-12, "less"),
            };
            (passed, format!("at most {} {word} than {} on the base branch", short(limit), short(base)))
        }
    };
    (passed, if passed { told } else { format!("{told}, demanded is {demanded}") })
}

/// The verdict as a table for a job's page.
pub fn markdown(project: &str, trouble: Option<&str>, checks: &[Check]) -> String {
    let passed = trouble.is_none() && checks.iter().all(|check| check.passed);
    let mut page = format!("## qastack gate: {}\n\n", if passed { "passed" } else { "failed" });
    // Writing into a String cannot fail.
    let _ = writeln!(page, "Project `{}`\n", project.replace('`', ""));
    if let Some(trouble) = trouble {
        let _ = writeln!(page, "**{trouble}**\n");
    }
    if !checks.is_empty() {
        page.push_str("| | figure | value | demanded |\n|---|---|---:|---|\n");
    }
    for check in checks {
        let value = check.value.map_or("no data".to_owned(), short);
        let demanded = match check.bound {
            Bound::Max => format!("at most {}", short(check.limit)),
            Bound::Min => format!("at least {}", short(check.limit)),
            Bound::MaxIncrease => format!("at most {} more than {}", short(check.limit), base(check)),
            Bound::MaxDecrease => format!("at most {} less than {}", short(check.limit), base(check)),
        };
        let sign = if check.passed { "✅" } else { "❌" };
        let _ = writeln!(page, "| {sign} | `{}` | {value} | {demanded} |", check.figure.replace(['`', '|'], ""));
    }
    page
}

fn base(check: &Check) -> String {
    check.base.map_or("a base without data".to_owned(), |base| format!("{} on the base branch", short(base)))
}

/// A number without more digits than anybody reads.
fn short(value: f64) -> String {
    let text = format!("{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn readings(pairs: &[(&str, Option<f64>)]) -> Readings {
        let reading = |value: Option<f64>| Reading { value, numerator: 8.0, denominator: 100.0 };
        pairs.iter().map(|(name, value)| ((*name).to_owned(), reading(*value))).collect()
    }

    fn one(bound: Bound, limit: &str, readings: &Readings, base: Option<&Readings>) -> Check {
        judge(&[Demand { bound, limit: limit.parse().unwrap() }], readings, base).remove(0)
    }

    #[test]
    fn a_limit_is_a_figure_and_a_number_or_a_percentage() {
        assert_eq!("flake_rate=0.1".parse(), Ok(Limit { figure: "flake_rate".into(), value: 0.1 }));
        assert_eq!(" flake_rate = 10 % ".parse(), Ok(Limit { figure: "flake_rate".into(), value: 0.1 }));
        for text in ["flake_rate", "=1", "flake_rate=", "flake_rate=x", "flake_rate=NaN", "flake_rate=inf"] {
            assert!(text.parse::<Limit>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_figure_at_its_limit_passes_and_one_beyond_it_fails_with_its_numbers() {
        let is = readings(&[("flake_rate", Some(0.08))]);
        assert!(one(Bound::Max, "flake_rate=0.08", &is, None).passed);
        assert!(one(Bound::Min, "flake_rate=0.08", &is, None).passed);
        let failed = one(Bound::Max, "flake_rate=0.05", &is, None);
        assert!(!failed.passed);
        assert_eq!(failed.reason, "flake_rate is 0.08 (8 of 100), demanded is at most 0.05");
        assert!(!one(Bound::Min, "flake_rate=0.09", &is, None).passed);
    }

    #[test]
    fn no_data_and_no_such_figure_never_pass() {
        let is = readings(&[("flake_rate", None)]);
        for bound in [Bound::Max, Bound::Min, Bound::MaxIncrease] {
            assert!(!one(bound, "flake_rate=1", &is, Some(&is)).passed);
            assert!(!one(bound, "flak_rate=1", &is, Some(&is)).passed);
        }
    }

    #[test]
    fn a_figure_is_compared_with_the_base_branch() {
        let (is, base) = (readings(&[("pass_ratio", Some(0.90))]), readings(&[("pass_ratio", Some(0.95))]));
        assert!(one(Bound::MaxDecrease, "pass_ratio=0.05", &is, Some(&base)).passed);
        assert!(!one(Bound::MaxDecrease, "pass_ratio=0.04", &is, Some(&base)).passed);
        assert!(one(Bound::MaxIncrease, "pass_ratio=0", &is, Some(&base)).passed);
        assert!(!one(Bound::MaxIncrease, "pass_ratio=0", &is, None).passed, "nothing to compare with is no pass");
    }

    #[test]
    fn the_summary_is_a_table_whose_cells_hold_no_markup_of_others() {
        let is = readings(&[("flake_rate", Some(0.08))]);
        let checks = [one(Bound::Max, "flake_rate=0.1", &is, None), one(Bound::Max, "a|b`=1", &is, None)];
        insta::assert_snapshot!(markdown("we`b", None, &checks), @r"
        ## qastack gate: failed

        Project `web`

        | | figure | value | demanded |
        |---|---|---:|---|
        | ✅ | `flake_rate` | 0.08 | at most 0.1 |
        | ❌ | `ab` | no data | at most 1 |
        ");
    }
}
