//! What a test report says, whoever wrote it.

use serde::Serialize;
use std::time::Duration;

/// The producer's dialect, found from the content, never from the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// JUnit XML in any dialect.
    Junit,
    /// Common Test Report Format, JSON.
    Ctrf,
    /// Playwright's own JSON reporter.
    PlaywrightJson,
    /// `go test -json`, one JSON object a line.
    GoTestJson,
    /// Visual Studio's TRX.
    Trx,
    /// NUnit 3 XML.
    Nunit3,
    /// xUnit.net v2 XML.
    XunitV2,
}

/// How one execution of a test ended.
///
/// `Passed` and the two kinds of failure are decisive; `Skipped` never is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, PartialOrd, Ord)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran and every check held.
    Passed,
    /// It did not run, or its result does not count: skipped, disabled, not run, pending.
    Skipped,
    /// A check did not hold.
    Failed,
    /// It broke outside its checks.
    Error,
}

impl Outcome {
    /// Whether the outcome says something about the code under test.
    pub fn is_decisive(self) -> bool {
        self != Self::Skipped
    }

    /// Whether it is a failure or an error.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Failed | Self::Error)
    }
}

/// What makes a test the same test in two reports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Default)]
pub struct TestIdentity {
    /// The suite it was reported in, without parts that differ from run to run.
    pub suite: String,
    /// The class, module or package.
    pub class: String,
    /// The test's own name, normalised.
    pub name: String,
    /// The source file, where the report names one.
    pub file: Option<String>,
    /// What else tells two executions apart: a browser project, a matrix cell. Empty where there is none.
    pub variant: String,
}

/// One try at a test. The last attempt of an execution decides its outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, where the report says so.
    pub duration: Option<Duration>,
    /// The failure's type or class, where there is one.
    pub kind: Option<String>,
    /// The failure's message and the head of its text, cut to the limit.
    pub message: Option<String>,
}

/// One test of one run, its retries folded by its producer's rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Execution {
    /// Which test.
    pub test: TestIdentity,
    /// The final outcome.
    pub outcome: Outcome,
    /// A failed attempt came before a final pass, and the report says so explicitly.
    pub flaky: bool,
    /// How long it took in all, where the report says so.
    pub duration: Option<Duration>,
    /// The attempts, oldest first; never empty.
    pub attempts: Vec<Attempt>,
    /// The start the report gives, as written there. It never places the run in a window: file dates lie.
    pub reported_start: Option<String>,
}

/// How many elements or tests ended in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// All of them.
    pub tests: u64,
    /// Passed, the flaky ones among them.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Ended in an error.
    pub errors: u64,
    /// Skipped, disabled, not run.
    pub skipped: u64,
}

impl Counts {
    /// Counts one more.
    pub fn add(&mut self, outcome: Outcome) {
        self.tests += 1;
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }
}

/// Something the reader had to guess, mend or leave out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// A documented word, such as `time_ambiguous`; counted in `qastack_parse_warnings_total`.
    pub code: &'static str,
    /// The line it was seen on, from 1.
    pub line: u64,
    /// The warning in words.
    pub text: String,
}

/// A report, read.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TestRun {
    /// The dialect.
    pub format: Format,
    /// One per test case element, the worst child deciding, nothing folded.
    pub elements: Counts,
    /// The executions, retries folded, in the report's order.
    pub executions: Vec<Execution>,
    /// What had to be guessed, mended or left out. Capped; `warnings_left_out` says how many more.
    pub warnings: Vec<Warning>,
    /// Warnings over the cap.
    pub warnings_left_out: u64,
    /// The start the report gives, as written there.
    pub reported_start: Option<String>,
    /// The duration the report gives for the whole run.
    pub duration: Option<Duration>,
}

impl TestRun {
    /// The folded executions by outcome.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for execution in &self.executions {
            counts.add(execution.outcome);
        }
        counts
    }

    /// How many executions passed only after a failed attempt.
    pub fn flaky(&self) -> u64 {
        self.executions.iter().filter(|execution| execution.flaky).count() as u64
    }
}
