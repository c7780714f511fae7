//! How the pages say things: figures, numbers, durations, days. The words are those of the dashboards and the API.

use crate::quality::{Day, Figure, FigureName, LeakageDenominator, Rules, Standing, Unit};
use crate::reports::Outcome;
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A figure's name for people.
pub fn title(name: FigureName) -> &'static str {
    match name {
        FigureName::FlakeRate => "Flake rate",
        FigureName::DefectLeakage => "Defect leakage",
        FigureName::FlakyExecutionRatio => "Flaky executions",
        FigureName::PassRatio => "Pass ratio",
        FigureName::SkippedRatio => "Skipped",
        FigureName::TestDurationP50 => "Test duration, median",
        FigureName::TestDurationP95 => "Test duration, p95",
        FigureName::RunDurationP95 => "Run duration, p95",
        FigureName::Tests => "Tests",
        FigureName::FlakyTests => "Flaky tests",
        FigureName::BrokenTests => "Broken tests",
        FigureName::NewTests => "New tests",
        FigureName::RecoveryTime => "Time to recovery",
        FigureName::RemovalEfficiency => "Removal efficiency",
        FigureName::OpenDefects => "Open defects",
        FigureName::OpenDefectAge => "Age of open defects",
        FigureName::ChangeFailureRatio => "Change failure ratio",
    }
}

/// A figure's value with its unit, or that there is none.
pub fn value(figure: &Figure) -> String {
    match figure.value {
        None => "no data".to_owned(),
        Some(value) => quantity(value, figure.name.unit()),
    }
}

/// A quantity in its unit.
pub fn quantity(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => percent(value),
        Unit::Seconds => seconds(value),
        Unit::Count => count(value.round() as u64),
    }
}

/// A share, with one decimal, as everywhere else.
pub fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", share * 100.0)
}

/// A number with its thousands set apart.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things, in the singular where it is one.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{}\u{a0}{}", count(number), if number == 1 { one } else { many })
}

/// A duration, with as much detail as one reads.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 0.000_5 => "0\u{a0}ms".to_owned(),
        s if s < 0.999_5 => format!("{:.0}\u{a0}ms", s * 1e3),
        s if s < 9.995 => format!("{s:.2}\u{a0}s"),
        s if s < 59.95 => format!("{s:.1}\u{a0}s"),
        s if s < 3_600.0 => format!("{}\u{a0}min {}\u{a0}s", whole / 60, whole % 60),
        s if s < 2.0 * 86_400.0 => format!("{}\u{a0}h {}\u{a0}min", whole / 3_600, whole % 3_600 / 60),
        s => format!("{:.1}\u{a0}days", s / 86_400.0),
    }
}

/// A size.
pub fn bytes(bytes: u64) -> String {
    let size = bytes as f64;
    match bytes {
        0..1_024 => format!("{bytes}\u{a0}B"),
        1_024..1_048_576 => format!("{:.1}\u{a0}KiB", size / 1_024.0),
        1_048_576..1_073_741_824 => format!("{:.1}\u{a0}MiB", size / 1_048_576.0),
        _ => format!("{:.2}\u{a0}GiB", size / 1_073_741_824.0),
    }
}

/// What a figure is made of, in one line: `4 of 50 tests`.
pub fn made_of(figure: &Figure, rules: &Rules) -> String {
    let (some, all) = (figure.numerator.round() as u64, figure.denominator.round() as u64);
    let share = |things: &str| format!("{} of {}\u{a0}{things}", count(some), count(all));
    let over = |one: &str, many: &str| format!("over {}", counted(all, one, many));
    match figure.name {
        FigureName::FlakeRate | FigureName::FlakyTests | FigureName::BrokenTests => share("decided tests"),
        FigureName::NewTests => share("tests"),
        FigureName::Tests => "seen, skipped or not".to_owned(),
        FigureName::DefectLeakage => match rules.defects.denominator {
            LeakageDenominator::Total => share("valid defects"),
            LeakageDenominator::PreRelease => {
                format!("{} in production, {} before", count(some), count(all))
            }
        },
        FigureName::RemovalEfficiency => share("valid defects"),
        FigureName::OpenDefects => share("known defects"),
        FigureName::OpenDefectAge => over("open defect", "open defects"),
        FigureName::FlakyExecutionRatio | FigureName::PassRatio => share("decisive executions"),
        FigureName::SkippedRatio => share("executions"),
        FigureName::TestDurationP50 | FigureName::TestDurationP95 => over("execution", "executions"),
        FigureName::RunDurationP95 => over("report", "reports"),
        FigureName::RecoveryTime => over("recovery", "recoveries"),
        FigureName::ChangeFailureRatio => share("deployments"),
    }
}

/// A figure's window: `14 days, Nov 11 to Nov 24`.
pub fn window(figure: &Figure, now: i64) -> String {
    if figure.window_days == 0 {
        return "as of now".to_owned();
    }
    let last = Day::of(now);
    let first = last.back(figure.window_days - 1);
    let length = counted(u64::from(figure.window_days), "day", "days");
    format!("{length}, {} to {}", day(first), day(last))
}

/// A day of this year or the last: `Nov 24`.
pub fn day(day: Day) -> String {
    zoned(day.start()).strftime("%b\u{a0}%-d").to_string()
}

/// A moment, for people and for programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// As in an attribute: `2026-03-10T12:00:00Z`.
    pub machine: String,
    /// As in a sentence, in UTC: `2026-03-10 12:00`.
    pub text: String,
}

impl Moment {
    /// The moment so many seconds after 1970.
    pub fn at(seconds: i64) -> Self {
        let zoned = zoned(seconds);
        Self {
            machine: zoned.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            text: zoned.strftime("%Y-%m-%d %H:%M").to_string(),
        }
    }
}

fn zoned(seconds: i64) -> jiff::Zoned {
    Timestamp::from_second(seconds).unwrap_or_default().to_zoned(TimeZone::UTC)
}

/// The beginning of a hash, as people tell them.
pub fn short_hash(hash: &str) -> String {
    hash.chars().take(10).collect()
}

/// The beginning of a text that may be of any length.
pub fn clipped(text: &str, longest: usize) -> String {
    match text.char_indices().nth(longest) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// An outcome's word, as in the API; a flaky one passed only after a failed attempt.
pub fn outcome(outcome: Outcome, flaky: bool) -> &'static str {
    match outcome {
        Outcome::Passed if flaky => "flaky",
        Outcome::Passed => "passed",
        Outcome::Skipped => "skipped",
        Outcome::Failed => "failed",
        Outcome::Error => "error",
    }
}

/// What tells outcomes apart without colours.
pub fn sign(word: &str) -> &'static str {
    match word {
        "passed" => "✓",
        "flaky" => "≈",
        "skipped" => "–",
        "error" => "!",
        _ => "✕",
    }
}

/// Why a report is in no figure; nothing where it is in them.
pub fn not_counted_because(standing: Standing) -> Option<&'static str> {
    match standing {
        Standing::Counts => None,
        Standing::HeldOut => Some("almost every test of a first attempt failed: taken for an outage, not for results"),
        Standing::OutOfScope => Some("its branch is not among those that figures.branches names"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_durations_are_told_as_people_read_them() {
        assert_eq!(
            ["0", "999", "1,000", "12,345,678"],
            [0, 999, 1000, 12_345_678].map(count).each_ref().map(String::as_str)
        );
        let told = [0.0, 0.012, 0.9996, 9.994, 12.34, 61.0, 5_400.0, 200_000.0].map(seconds);
        let expected = ["0 ms", "12 ms", "1.00 s", "9.99 s", "12.3 s", "1 min 1 s", "1 h 30 min", "2.3 days"];
        assert_eq!(told.map(|text| text.replace('\u{a0}', " ")), expected.map(str::to_owned));
        assert_eq!(bytes(1_536).replace('\u{a0}', " "), "1.5 KiB");
        assert_eq!(percent(0.08).replace('\u{a0}', " "), "8.0 %");
    }

    #[test]
    fn a_clipped_text_ends_at_a_character_and_says_so() {
        assert_eq!(clipped("äöü", 3), "äöü");
        assert_eq!(clipped("äöü", 2), "äö…");
    }
}
