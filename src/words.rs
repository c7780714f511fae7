//! How figures, numbers, durations and days are said, on the page and on the command line. The words are those of the
//! dashboards and the API. It never decides anything and prints nothing.

use crate::quality::{Day, Figure, FigureName, LeakageDenominator, Rules, Standing, Unit, Window};
use crate::reports::{Counts, Outcome};
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

/// A text for a terminal: with plain spaces, which are found by what looks for them.
pub fn plain(text: &str) -> String {
    text.replace('\u{a0}', " ")
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
pub fn made_of(figure: &Figure, leakage: LeakageDenominator) -> String {
    let (some, all) = (figure.numerator.round() as u64, figure.denominator.round() as u64);
    let share = |one: &str, many: &str| format!("{} of {}", count(some), counted(all, one, many));
    let over = |one: &str, many: &str| format!("over {}", counted(all, one, many));
    match figure.name {
        FigureName::FlakeRate | FigureName::FlakyTests | FigureName::BrokenTests => {
            share("decided test", "decided tests")
        }
        FigureName::NewTests => share("test", "tests"),
        FigureName::Tests => "seen, skipped or not".to_owned(),
        FigureName::DefectLeakage => match leakage {
            LeakageDenominator::Total => share("valid defect", "valid defects"),
            LeakageDenominator::PreRelease => {
                format!("{} in production, {} before", count(some), count(all))
            }
        },
        FigureName::RemovalEfficiency => share("valid defect", "valid defects"),
        FigureName::OpenDefects => share("known defect", "known defects"),
        FigureName::OpenDefectAge => over("open defect", "open defects"),
        FigureName::FlakyExecutionRatio | FigureName::PassRatio => share("decisive execution", "decisive executions"),
        FigureName::SkippedRatio => share("execution", "executions"),
        FigureName::TestDurationP50 | FigureName::TestDurationP95 => over("execution", "executions"),
        FigureName::RunDurationP95 => over("report", "reports"),
        FigureName::RecoveryTime => over("recovery", "recoveries"),
        FigureName::ChangeFailureRatio => share("deployment", "deployments"),
    }
}

/// What a figure is a share of, or was looked for in, by its unit alone: `2 of 10`, `of 10`, `over 10`; nothing where
/// it would say nothing.
pub fn out_of(name: FigureName, numerator: f64, denominator: f64) -> Option<String> {
    let (some, all) = (count(numerator.round() as u64), count(denominator.round() as u64));
    match name.unit() {
        Unit::Ratio => Some(format!("{some} of {all}")),
        Unit::Count if name == FigureName::Tests => None,
        Unit::Count => Some(format!("of {all}")),
        Unit::Seconds => Some(format!("over {all}")),
    }
}

/// How many more of the things behind a figure there are than are shown: `3 more tests`.
pub fn left_out(name: FigureName, number: u64) -> String {
    let (one, many) = match name {
        FigureName::DefectLeakage
        | FigureName::RemovalEfficiency
        | FigureName::OpenDefects
        | FigureName::OpenDefectAge => ("more defect", "more defects"),
        FigureName::RecoveryTime => ("more recovery", "more recoveries"),
        FigureName::ChangeFailureRatio => ("more deployment", "more deployments"),
        _ => ("more test", "more tests"),
    };
    counted(number, one, many)
}

/// What a report or a run holds: `5 tests: 3 passed (1 of them flaky), 1 failed, 1 error`.
pub fn tally(counts: &Counts, flaky: u64) -> String {
    let Counts { tests, passed, failed, errors, skipped } = *counts;
    let mut text = format!("{}: {} passed", counted(tests, "test", "tests"), count(passed));
    if flaky > 0 {
        text.push_str(&format!(" ({} of them flaky)", count(flaky)));
    }
    let errors_word = if errors == 1 { "error" } else { "errors" };
    for (number, word) in [(failed, "failed"), (errors, errors_word), (skipped, "skipped")] {
        if number > 0 {
            text.push_str(&format!(", {} {word}", count(number)));
        }
    }
    text
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

/// Why a run of this moment is in no figure of now, though it counts; nothing where it is in their window.
pub fn outside_window(at: i64, now: i64, rules: &Rules) -> Option<String> {
    let days = rules.flake_window_days;
    let first = Window::ending(Day::of(now), days).first;
    (Day::of(at) < first).then(|| {
        let window = counted(u64::from(days), "day", "days");
        plain(&format!(
            "the run is of {}, before the window of {window} (figures.flake_window), which begins on {}: it is in no figure",
            date(Day::of(at)),
            date(first)
        ))
    })
}

/// What is to be known of valid defects of which some are older than the window; nothing where none is.
pub fn older_defects(older: u64, valid: u64, days: u64) -> Option<String> {
    (older > 0).then(|| {
        let (are, window) = (if older == 1 { "is" } else { "are" }, counted(days, "day", "days"));
        plain(&format!(
            "{} of {} {are} older than the window of {window} (figures.leakage_window) and not in defect_leakage",
            count(older),
            counted(valid, "valid defect", "valid defects")
        ))
    })
}

/// A day of any year: `2026-11-24`.
fn date(day: Day) -> String {
    zoned(day.start()).strftime("%F").to_string()
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
    fn a_figure_is_told_with_what_it_is_made_of() {
        let told = |name, numerator, denominator, leakage| {
            let figure = Figure { name, value: Some(0.0), numerator, denominator, window_days: 14 };
            plain(&made_of(&figure, leakage))
        };
        let total = LeakageDenominator::Total;
        assert_eq!(told(FigureName::ChangeFailureRatio, 0.0, 1.0, total), "0 of 1 deployment");
        assert_eq!(told(FigureName::FlakeRate, 2.0, 10.0, total), "2 of 10 decided tests");
        assert_eq!(told(FigureName::RunDurationP95, 1.0, 1.0, total), "over 1 report");
        let before = LeakageDenominator::PreRelease;
        assert_eq!(told(FigureName::DefectLeakage, 1.0, 3.0, before), "1 in production, 3 before");
    }

    #[test]
    fn one_thing_is_told_in_the_singular_and_flaky_tests_are_among_those_that_passed() {
        let counts = Counts { tests: 5, passed: 3, failed: 1, errors: 1, skipped: 0 };
        assert_eq!(plain(&tally(&counts, 1)), "5 tests: 3 passed (1 of them flaky), 1 failed, 1 error");
        let one = Counts { tests: 1, passed: 1, failed: 0, errors: 0, skipped: 0 };
        assert_eq!(plain(&tally(&one, 0)), "1 test: 1 passed");
        let two = Counts { tests: 1_003, passed: 1_000, failed: 0, errors: 2, skipped: 1 };
        assert_eq!(plain(&tally(&two, 0)), "1,003 tests: 1,000 passed, 2 errors, 1 skipped");
    }

    #[test]
    fn what_lies_before_a_window_is_told_with_the_window() {
        let now = Day(20_000).start() + 3_600;
        let told = |day: i32| outside_window(Day(day).start(), now, &Rules::default());
        assert_eq!(told(19_987), None);
        let expected = "the run is of 2024-09-20, before the window of 14 days (figures.flake_window), which begins on \
            2024-09-21: it is in no figure";
        assert_eq!(told(19_986).as_deref(), Some(expected));
        assert_eq!(older_defects(0, 40, 90), None);
        let expected = "1 of 40 valid defects is older than the window of 90 days (figures.leakage_window) and not in defect_leakage";
        assert_eq!(older_defects(1, 40, 90).as_deref(), Some(expected));
    }

    #[test]
    fn a_clipped_text_ends_at_a_character_and_says_so() {
        assert_eq!(clipped("äöü", 3), "äöü");
        assert_eq!(clipped("äöü", 2), "äö…");
    }
}
