//! The figures: each with its value, its numerator and denominator, its window and its definition.

use super::buckets::DayBucket;
use super::day::Window;
use super::defects::{DefectKind, DefectSums, LeakageDenominator};
use super::rules::Rules;
use serde::Serialize;

/// What a window adds up to. Those of several projects add up too.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct WindowSums {
    /// Tests that were seen, skipped or not.
    pub seen_tests: u64,
    /// Tests with a decisive outcome.
    pub decided_tests: u64,
    /// Tests with a flaky execution and a pass.
    pub flaky_tests: u64,
    /// Tests that failed each time they were decided.
    pub broken_tests: u64,
    /// Tests that were seen for the first time.
    pub new_tests: u64,
    /// The executions.
    pub executions: DayBucket,
    /// Valid defects found in production.
    pub production_defects: u64,
    /// Valid defects found before the release.
    pub pre_release_defects: u64,
    /// Defects that do not count.
    pub invalid_defects: u64,
    /// Valid defects that are open, whenever they were created.
    pub open_defects: u64,
    /// The ages of the open defects, summed, in seconds.
    pub open_defect_seconds: f64,
    /// The age of the oldest open defect, in seconds.
    pub oldest_open_defect_seconds: f64,
    /// Defects that are known at all, whenever they were created.
    pub known_defects: u64,
    /// Deployments.
    pub deployments: u64,
    /// Deployments that led to an incident or were rolled back.
    pub failed_deployments: u64,
}

impl WindowSums {
    /// Adds another project's sums.
    pub fn merge(&mut self, other: &Self) {
        self.seen_tests += other.seen_tests;
        self.decided_tests += other.decided_tests;
        self.flaky_tests += other.flaky_tests;
        self.broken_tests += other.broken_tests;
        self.new_tests += other.new_tests;
        self.executions.merge(&other.executions);
        self.production_defects += other.production_defects;
        self.pre_release_defects += other.pre_release_defects;
        self.invalid_defects += other.invalid_defects;
        self.open_defects += other.open_defects;
        self.open_defect_seconds += other.open_defect_seconds;
        self.oldest_open_defect_seconds = self.oldest_open_defect_seconds.max(other.oldest_open_defect_seconds);
        self.known_defects += other.known_defects;
        self.deployments += other.deployments;
        self.failed_deployments += other.failed_deployments;
    }

    pub(super) fn add_defects(&mut self, defects: &DefectSums, window: Window, now: i64) {
        (self.production_defects, self.pre_release_defects, self.invalid_defects) = defects.created_in(window);
        self.known_defects = defects.known();
        for (day, count) in defects.days(DefectKind::Open).iter() {
            // A defect's age is counted from the middle of the day it was created on.
            let age = (now - day.start() - 43_200).max(0) as f64;
            self.open_defects += count;
            self.open_defect_seconds += age * count as f64;
            self.oldest_open_defect_seconds = self.oldest_open_defect_seconds.max(age);
        }
    }
}

/// What a figure is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, 0 to 1.
    Ratio,
    /// Seconds.
    Seconds,
    /// A number of things.
    Count,
}

/// The figures there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FigureName {
    /// Flaky tests among the decided ones.
    FlakeRate,
    /// Valid production defects among all valid ones.
    DefectLeakage,
    /// Flaky executions among the decisive ones.
    FlakyExecutionRatio,
    /// Passed executions among the decisive ones.
    PassRatio,
    /// Skipped executions among all.
    SkippedRatio,
    /// The median duration of a decisive execution.
    TestDurationP50,
    /// The 95th percentile of the durations of decisive executions.
    TestDurationP95,
    /// The 95th percentile of the durations of whole reports.
    RunDurationP95,
    /// Tests that were seen.
    Tests,
    /// Flaky tests.
    FlakyTests,
    /// Tests that failed each time.
    BrokenTests,
    /// Tests seen for the first time.
    NewTests,
    /// From a test's first failure to its next pass on the default branch, in the mean.
    RecoveryTime,
    /// Valid pre-release defects among all valid ones.
    RemovalEfficiency,
    /// Valid open defects.
    OpenDefects,
    /// The mean age of the valid open defects.
    OpenDefectAge,
    /// Deployments that led to an incident or were rolled back, among all.
    ChangeFailureRatio,
}

/// A row of the table of figures: the name, its word, its unit and its definition in one sentence.
type Row = (FigureName, &'static str, Unit, &'static str);

const TABLE: &[Row] = &[
    (
        FigureName::FlakeRate,
        "flake_rate",
        Unit::Ratio,
        "tests with a flaky execution and a pass / tests with a decisive outcome; a flaky execution passed only after \
         a failed attempt of its own run, or failed on code (same tree, else same commit; same environment and \
         variant) on which the same test passed in another run or when the failed ones were tried again; skipped executions never count",
    ),
    (
        FigureName::DefectLeakage,
        "defect_leakage",
        Unit::Ratio,
        "valid defects found in production / valid defects, by the day they were created; with the denominator \
         pre_release / valid defects found before the release",
    ),
    (FigureName::FlakyExecutionRatio, "flaky_execution_ratio", Unit::Ratio, "flaky executions / decisive executions"),
    (FigureName::PassRatio, "pass_ratio", Unit::Ratio, "passed executions / decisive executions"),
    (FigureName::SkippedRatio, "skipped_ratio", Unit::Ratio, "skipped executions / all executions"),
    (
        FigureName::TestDurationP50,
        "test_duration_p50",
        Unit::Seconds,
        "the duration that half of the decisive executions do not pass, within 3 %",
    ),
    (
        FigureName::TestDurationP95,
        "test_duration_p95",
        Unit::Seconds,
        "the duration that 95 % of the decisive executions do not pass, within 3 %",
    ),
    (
        FigureName::RunDurationP95,
        "run_duration_p95",
        Unit::Seconds,
        "the duration that 95 % of the reports do not pass, within 3 %",
    ),
    (FigureName::Tests, "tests", Unit::Count, "tests that were seen, skipped or not"),
    (FigureName::FlakyTests, "flaky_tests", Unit::Count, "tests with a flaky execution and a pass"),
    (FigureName::BrokenTests, "broken_tests", Unit::Count, "tests that failed each time they were decided"),
    (FigureName::NewTests, "new_tests", Unit::Count, "tests that were seen for the first time"),
    (
        FigureName::RecoveryTime,
        "recovery_time",
        Unit::Seconds,
        "from a test's first failure to its next pass on the default branch in the same environment or job, in the \
         mean, by the day of the pass",
    ),
    (
        FigureName::RemovalEfficiency,
        "removal_efficiency",
        Unit::Ratio,
        "valid defects found before the release / valid defects, by the day they were created",
    ),
    (FigureName::OpenDefects, "open_defects", Unit::Count, "valid defects that are open, whenever they were created"),
    (FigureName::OpenDefectAge, "open_defect_age", Unit::Seconds, "the mean age of the valid open defects"),
    (
        FigureName::ChangeFailureRatio,
        "change_failure_ratio",
        Unit::Ratio,
        "deployments that led to an incident or were rolled back / deployments",
    ),
];

impl FigureName {
    /// Every figure, the two that matter most first.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|row| row.0)
    }

    /// The figure with this word, as in `flake_rate`.
    pub fn from_word(word: &str) -> Option<Self> {
        TABLE.iter().find(|row| row.1 == word).map(|row| row.0)
    }

    /// Its word in settings, JSON and on the command line.
    pub fn word(self) -> &'static str {
        self.row().1
    }

    /// What it is counted in.
    pub fn unit(self) -> Unit {
        self.row().2
    }

    /// Its definition in one sentence.
    pub fn definition(self) -> &'static str {
        self.row().3
    }

    fn row(self) -> &'static Row {
        // A test holds that every figure has its row, in the order of the enum.
        &TABLE[self as usize]
    }
}

/// One figure.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figure {
    /// Which one.
    pub name: FigureName,
    /// The value; nothing where there is no data, which is shown as NaN and never as 0.
    pub value: Option<f64>,
    /// What is counted: events, seconds, the number of things.
    pub numerator: f64,
    /// What it is a share or a mean of; for a quantile or a count, how many things were looked at.
    pub denominator: f64,
    /// The days of its window; 0 where it has none.
    pub window_days: u32,
}

/// All the figures of a window.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Figures(Vec<Figure>);

impl Figures {
    /// One of them.
    pub fn get(&self, name: FigureName) -> &Figure {
        &self.0[name as usize]
    }

    /// One figure's value.
    pub fn value(&self, name: FigureName) -> Option<f64> {
        self.get(name).value
    }

    /// All of them, in the order of [`FigureName::all`].
    pub fn iter(&self) -> impl Iterator<Item = &Figure> {
        self.0.iter()
    }
}

/// The figures that a window's sums give under the rules.
pub fn figures(sums: &WindowSums, rules: &Rules) -> Figures {
    Figures(FigureName::all().map(|name| figure(name, sums, rules)).collect())
}

fn figure(name: FigureName, sums: &WindowSums, rules: &Rules) -> Figure {
    let executions = &sums.executions;
    let valid_defects = sums.production_defects + sums.pre_release_defects;
    let leakage_base = match rules.defects.denominator {
        LeakageDenominator::Total => valid_defects,
        LeakageDenominator::PreRelease => sums.pre_release_defects,
    };
    let (tests, defects) = (rules.flake_window_days, rules.leakage_window_days);
    let share = |numerator: u64, denominator: u64, days| ratio(name, numerator as f64, denominator as f64, days);
    match name {
        FigureName::FlakeRate => share(sums.flaky_tests, sums.decided_tests, tests),
        FigureName::DefectLeakage => share(sums.production_defects, leakage_base, defects),
        FigureName::FlakyExecutionRatio => share(executions.flaky, executions.decisive(), tests),
        FigureName::PassRatio => share(executions.passed, executions.decisive(), tests),
        FigureName::SkippedRatio => share(executions.skipped, executions.executions(), tests),
        FigureName::TestDurationP50 => quantile(name, &executions.durations, 0.5, tests),
        FigureName::TestDurationP95 => quantile(name, &executions.durations, 0.95, tests),
        FigureName::RunDurationP95 => quantile(name, &executions.report_durations, 0.95, tests),
        FigureName::Tests => count(name, sums.seen_tests, sums.seen_tests, tests),
        FigureName::FlakyTests => count(name, sums.flaky_tests, sums.decided_tests, tests),
        FigureName::BrokenTests => count(name, sums.broken_tests, sums.decided_tests, tests),
        FigureName::NewTests => count(name, sums.new_tests, sums.seen_tests, tests),
        FigureName::RecoveryTime => share(executions.recoveries.seconds, executions.recoveries.count, tests),
        FigureName::RemovalEfficiency => share(sums.pre_release_defects, valid_defects, defects),
        FigureName::OpenDefects => count(name, sums.open_defects, sums.known_defects, 0),
        FigureName::OpenDefectAge => ratio(name, sums.open_defect_seconds, sums.open_defects as f64, 0),
        FigureName::ChangeFailureRatio => share(sums.failed_deployments, sums.deployments, tests),
    }
}

fn ratio(name: FigureName, numerator: f64, denominator: f64, window_days: u32) -> Figure {
    let value = (denominator > 0.0).then(|| numerator / denominator);
    Figure { name, value, numerator, denominator, window_days }
}

fn count(name: FigureName, counted: u64, looked_at: u64, window_days: u32) -> Figure {
    let value = (looked_at > 0).then_some(counted as f64);
    Figure { name, value, numerator: counted as f64, denominator: looked_at as f64, window_days }
}

fn quantile(name: FigureName, durations: &super::DurationHistogram, share: f64, window_days: u32) -> Figure {
    let count = durations.count() as f64;
    Figure {
        name,
        value: durations.quantile(share),
        numerator: (share * count).ceil(),
        denominator: count,
        window_days,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_has_its_row_in_order_and_its_word_once() {
        for (index, name) in FigureName::all().enumerate() {
            assert_eq!(name as usize, index);
            assert_eq!(FigureName::from_word(name.word()), Some(name));
        }
        assert_eq!(FigureName::all().last(), Some(FigureName::ChangeFailureRatio));
    }

    #[test]
    fn no_data_is_no_value_for_every_figure() {
        let empty = figures(&WindowSums::default(), &Rules::default());
        assert!(empty.iter().all(|figure| figure.value.is_none()), "{empty:?}");
    }

    #[test]
    fn leakage_is_a_share_of_all_valid_defects_or_of_the_pre_release_ones() {
        let sums = WindowSums { production_defects: 5, pre_release_defects: 100, ..WindowSums::default() };
        let mut rules = Rules::default();
        assert_eq!(figures(&sums, &rules).value(FigureName::DefectLeakage), Some(5.0 / 105.0));
        assert_eq!(figures(&sums, &rules).value(FigureName::RemovalEfficiency), Some(100.0 / 105.0));
        rules.defects.denominator = LeakageDenominator::PreRelease;
        assert_eq!(figures(&sums, &rules).value(FigureName::DefectLeakage), Some(5.0 / 100.0));
    }
}
