//! Rows of lists: runs, tests and defects as every page shows them.

use super::words::{self, Moment};
use super::{address, words::clipped};
use crate::quality::{Phase, Standing};
use crate::reports::{Counts, TestIdentity};
use crate::store::{ClassifiedDefect, RunSummary, TestSummary};

/// The longest name in a list; a test's own page shows all of it.
const NAME: usize = 160;

/// Counts as the parts of a bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Mix {
    /// The parts: an outcome's word, its left edge and its width in hundredths.
    pub parts: Vec<(&'static str, String, String)>,
    /// All of it in words.
    pub label: String,
}

impl Mix {
    /// The bar of these counts; the flaky ones are among those that passed.
    pub fn of(counts: &Counts, flaky: u64) -> Self {
        let passed = counts.passed.saturating_sub(flaky);
        let named = [
            ("failed", counts.failed + counts.errors),
            ("flaky", flaky),
            ("passed", passed),
            ("skipped", counts.skipped),
        ];
        let all = named.iter().map(|part| part.1).sum::<u64>().max(1) as f64;
        let mut left = 0.0;
        let mut parts = Vec::new();
        for (word, number) in named.into_iter().filter(|part| part.1 > 0) {
            // What is there at all is seen.
            let width = (number as f64 / all * 100.0).max(2.5).min(100.0 - left);
            parts.push((word, format!("{left:.1}"), format!("{width:.1}")));
            left += width;
        }
        let told =
            named.iter().filter(|part| part.1 > 0).map(|(word, number)| format!("{} {word}", words::count(*number)));
        Self { parts, label: told.collect::<Vec<_>>().join(", ") }
    }
}

/// A run in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Where its page is.
    pub to: String,
    /// Its key, else its number.
    pub name: String,
    /// `attempt 2`; empty for the first one.
    pub attempt: String,
    /// `passed`, `failed` or `held`.
    pub verdict: &'static str,
    /// The verdict's sign.
    pub sign: &'static str,
    /// The branch; empty where there is none.
    pub branch: String,
    /// The beginning of the commit; empty where there is none.
    pub commit: String,
    /// Job, shard, environment and variant.
    pub job: String,
    /// Its executions.
    pub mix: Mix,
    /// How many tests.
    pub tests: String,
    /// The same, with the word.
    pub size: String,
    /// How many of them failed.
    pub failed: u64,
    /// How many passed only after a failed attempt.
    pub flaky: u64,
    /// How long it took; empty where nobody said.
    pub duration: String,
    /// When it was.
    pub at: Moment,
}

impl RunRow {
    /// A run of a project.
    pub fn of(project: &str, run: &RunSummary) -> Self {
        let failed = run.counts.failed + run.counts.errors;
        let verdict = match (run.held_out_reports, failed) {
            (1.., _) => "held",
            (0, 0) => "passed",
            _ => "failed",
        };
        let text = |part: &Option<String>| part.as_deref().map(|text| clipped(text, NAME)).unwrap_or_default();
        let parts = [&run.job, &run.shard, &run.environment, &run.variant];
        let job: Vec<String> = parts.into_iter().map(text).filter(|part| !part.is_empty()).collect();
        Self {
            to: address::run(project, run.id),
            name: run.run.as_deref().map_or_else(|| format!("#{}", run.id), |key| clipped(key, NAME)),
            attempt: if run.attempt > 1 { format!("attempt {}", run.attempt) } else { String::new() },
            verdict,
            sign: if verdict == "held" { "◌" } else { words::sign(verdict) },
            branch: text(&run.branch),
            commit: run.commit.as_deref().or(run.tree.as_deref()).map(words::short_hash).unwrap_or_default(),
            job: job.join(" · "),
            mix: Mix::of(&run.counts, run.flaky),
            tests: words::count(run.counts.tests),
            size: words::counted(run.counts.tests, "test", "tests"),
            failed,
            flaky: run.flaky,
            duration: run.seconds.map(words::seconds).unwrap_or_default(),
            at: Moment::at(run.at),
        }
    }
}

/// What a test is called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestName {
    /// Its own name.
    pub name: String,
    /// Its suite and class, the one that says more first; empty where there is none.
    pub place: String,
    /// What else tells it from others; empty where there is nothing.
    pub variant: String,
}

impl TestName {
    /// As a list shows it.
    pub fn of(test: &TestIdentity) -> Self {
        let whole = Self::whole(test);
        Self {
            name: clipped(&whole.name, NAME),
            place: clipped(&whole.place, NAME),
            variant: clipped(&whole.variant, NAME),
        }
    }

    /// All of it.
    pub fn whole(test: &TestIdentity) -> Self {
        let place = match (test.class.as_str(), test.suite.as_str()) {
            ("", suite) => suite.to_owned(),
            (class, suite) if suite.is_empty() || suite == class || class.starts_with(suite) => class.to_owned(),
            (class, suite) => format!("{suite} › {class}"),
        };
        let name = if test.name.trim().is_empty() { "(without a name)".to_owned() } else { test.name.clone() };
        Self { name, place, variant: test.variant.clone() }
    }
}

/// A test in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct TestRow {
    /// Where its page is.
    pub to: String,
    /// What it is called.
    pub test: TestName,
    /// `flaky`, `broken`, `stable`, `skipped` where it was never decided, or `unseen`.
    pub verdict: &'static str,
    /// Decisive executions in the window.
    pub decisive: String,
    /// The same, with the word.
    pub executions: String,
    /// Those that failed.
    pub failed: u64,
    /// Those that were flaky.
    pub flaky: u64,
    /// The flaky share in words; empty where nothing was decided.
    pub flaky_share: String,
    /// The mean duration.
    pub duration: String,
    /// How the row compares with the first of its ranking, in hundredths.
    pub bar: String,
    /// When it was seen last; nothing where never.
    pub seen: Option<Moment>,
}

impl TestRow {
    /// A test of a project; `most` is the highest score of the list.
    pub fn of(project: &str, test: &TestSummary, most: f64) -> Self {
        Self {
            to: address::test(project, &test.fingerprint),
            test: TestName::of(&test.test),
            verdict: verdict(test),
            decisive: words::count(test.decisive),
            executions: words::counted(test.decisive, "execution", "executions"),
            failed: test.failed,
            flaky: test.flaky,
            flaky_share: if test.decisive == 0 {
                String::new()
            } else {
                words::percent(test.flaky as f64 / test.decisive as f64)
            },
            duration: if test.decisive == 0 { String::new() } else { words::seconds(test.mean_seconds) },
            bar: format!("{:.1}", if most > 0.0 { (test.score / most * 100.0).clamp(0.0, 100.0) } else { 0.0 }),
            seen: test.last_seen_at.map(Moment::at),
        }
    }

    /// The rows of a list.
    pub fn all(project: &str, tests: &[TestSummary]) -> Vec<Self> {
        let most = tests.iter().map(|test| test.score).fold(0.0, f64::max);
        tests.iter().map(|test| Self::of(project, test, most)).collect()
    }
}

/// What the window makes of a test.
pub fn verdict(test: &TestSummary) -> &'static str {
    match (test.is_flaky, test.is_broken, test.decisive) {
        (true, ..) => "flaky",
        (_, true, _) => "broken",
        (.., 0) if test.last_seen_at.is_some() => "skipped",
        (.., 0) => "unseen",
        _ => "stable",
    }
}

/// A defect in a list, with what the rules make of it and why.
#[derive(Debug, Clone, PartialEq)]
pub struct DefectRow {
    /// The project's key.
    pub project: String,
    /// Its key.
    pub key: String,
    /// Where the tracker shows it; nothing where nobody said.
    pub to: Option<String>,
    /// Its title.
    pub title: String,
    /// Its severity.
    pub severity: String,
    /// Its state in the tracker.
    pub status: String,
    /// Whether it is open.
    pub open: bool,
    /// `production`, `pre-release` or `invalid`.
    pub class: &'static str,
    /// The class in words.
    pub class_text: &'static str,
    /// The rule that decided, or that none did.
    pub because: String,
    /// When it was created.
    pub at: Moment,
}

impl DefectRow {
    /// A defect and its class.
    pub fn of(one: &ClassifiedDefect) -> Self {
        let (defect, found) = (&one.defect, &one.class);
        let (class, class_text, because) = match (found.valid, found.phase) {
            (false, _) => ("invalid", "does not count", found.invalid_rule.clone()),
            (true, Phase::Production) => ("production", "production", found.phase_rule.clone()),
            (true, Phase::PreRelease) => ("pre-release", "before the release", None),
        };
        Self {
            project: one.project.clone(),
            key: clipped(&defect.key, NAME),
            to: address::foreign(&defect.url),
            title: clipped(&defect.title, NAME),
            severity: clipped(&defect.severity, 40),
            status: clipped(&defect.status, 40),
            open: found.open,
            class,
            class_text,
            because: because.unwrap_or_else(|| "no rule says production".to_owned()),
            at: Moment::at(defect.created_at),
        }
    }
}

/// Whether a report counts, in a word.
pub fn standing_word(standing: Standing) -> &'static str {
    match standing {
        Standing::Counts => "counts",
        Standing::HeldOut => "held out",
        Standing::OutOfScope => "out of scope",
    }
}
