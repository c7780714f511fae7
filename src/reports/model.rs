//! What a test report says, whoever wrote it.

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};
use std::ops::Deref;
use std::sync::Arc;
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

/// What makes a test the same test in two reports. What its place says reads as if it were its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TestIdentity {
    /// Where it stands.
    pub place: Arc<TestPlace>,
    /// The test's own name, normalised.
    pub name: String,
}

/// Where a test stands. Neighbouring tests share it, so that a report of a hundred thousand holds it once.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct TestPlace {
    /// The suite it was reported in, without parts that differ from run to run.
    pub suite: String,
    /// The class, module or package.
    pub class: String,
    /// The source file, where the report names one.
    pub file: Option<String>,
    /// What else tells two executions apart: a browser project, a matrix cell. Empty where there is none.
    pub variant: String,
}

impl Deref for TestIdentity {
    type Target = TestPlace;

    fn deref(&self) -> &TestPlace {
        &self.place
    }
}

impl Serialize for TestIdentity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let TestPlace { suite, class, file, variant } = &*self.place;
        let mut fields = serializer.serialize_struct("TestIdentity", 5)?;
        fields.serialize_field("suite", suite)?;
        fields.serialize_field("class", class)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("file", file)?;
        fields.serialize_field("variant", variant)?;
        fields.end()
    }
}

/// One try at a test. The last attempt of an execution decides its outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// How it ended.
    pub outcome: Outcome,
    /// How long it took, where the report says so.
    pub duration: Option<Duration>,
    /// What the report says of a failure or a skip; a plain pass costs no memory for it.
    failure: Option<Box<Failure>>,
}

/// What a report says of an attempt that did not simply pass.
#[derive(Debug, Clone, PartialEq)]
struct Failure {
    kind: Option<String>,
    message: Option<String>,
}

impl Attempt {
    /// An attempt, with the type or class of its failure and with the failure's message and the head of its text,
    /// where there are any.
    pub fn new(outcome: Outcome, duration: Option<Duration>, kind: Option<String>, message: Option<String>) -> Self {
        let failure = (kind.is_some() || message.is_some()).then(|| Box::new(Failure { kind, message }));
        Self { outcome, duration, failure }
    }

    /// An attempt of which nothing but its end is known.
    pub fn plain(outcome: Outcome, duration: Option<Duration>) -> Self {
        Self { outcome, duration, failure: None }
    }

    /// The failure's type or class, where there is one.
    pub fn kind(&self) -> Option<&str> {
        self.failure.as_ref()?.kind.as_deref()
    }

    /// The failure's message and the head of its text, cut to the limit.
    pub fn message(&self) -> Option<&str> {
        self.failure.as_ref()?.message.as_deref()
    }
}

impl Serialize for Attempt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Attempt", 4)?;
        fields.serialize_field("outcome", &self.outcome)?;
        fields.serialize_field("duration", &self.duration)?;
        fields.serialize_field("kind", &self.kind())?;
        fields.serialize_field("message", &self.message())?;
        fields.end()
    }
}

/// The attempts at one test, oldest first; never empty. Nearly always there is one, and it lies here itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempts(Kept);

#[derive(Debug, Clone, PartialEq)]
enum Kept {
    One([Attempt; 1]),
    Several(Box<[Attempt]>),
}

impl Attempts {
    /// Attempts that came first, and the last one.
    pub fn new(mut earlier: Vec<Attempt>, last: Attempt) -> Self {
        if earlier.is_empty() {
            return last.into();
        }
        earlier.push(last);
        Self(Kept::Several(earlier.into()))
    }

    /// Adds later attempts.
    pub fn extend(&mut self, later: Self) {
        let mut all = std::mem::replace(&mut self.0, Kept::Several(Box::default())).into_vec();
        all.extend(later.0.into_vec());
        self.0 = Kept::Several(all.into());
    }
}

impl Kept {
    fn into_vec(self) -> Vec<Attempt> {
        match self {
            Self::One(one) => one.into(),
            Self::Several(several) => several.into(),
        }
    }
}

impl From<Attempt> for Attempts {
    fn from(one: Attempt) -> Self {
        Self(Kept::One([one]))
    }
}

impl Deref for Attempts {
    type Target = [Attempt];

    fn deref(&self) -> &[Attempt] {
        match &self.0 {
            Kept::One(one) => one,
            Kept::Several(several) => several,
        }
    }
}

impl<'a> IntoIterator for &'a Attempts {
    type Item = &'a Attempt;
    type IntoIter = std::slice::Iter<'a, Attempt>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Serialize for Attempts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self)
    }
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
    pub attempts: Attempts,
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A large report is hundreds of thousands of these: what they weigh is most of what reading one costs.
    #[test]
    fn an_execution_that_simply_passed_is_small() {
        assert!(size_of::<Attempts>() <= 32, "{}", size_of::<Attempts>());
        assert!(size_of::<Execution>() <= 112, "{}", size_of::<Execution>());
    }

    #[test]
    fn attempts_are_never_empty_and_keep_their_order() {
        let attempt = |outcome| Attempt::plain(outcome, None);
        let mut attempts = Attempts::new(Vec::new(), attempt(Outcome::Skipped));
        assert_eq!(*attempts, [attempt(Outcome::Skipped)]);
        attempts.extend(Attempts::new(vec![attempt(Outcome::Failed)], attempt(Outcome::Error)));
        attempts.extend(attempt(Outcome::Passed).into());
        let outcomes: Vec<_> = attempts.iter().map(|attempt| attempt.outcome).collect();
        assert_eq!(outcomes, [Outcome::Skipped, Outcome::Failed, Outcome::Error, Outcome::Passed]);
    }

    #[test]
    fn an_identity_and_an_attempt_are_flat_in_json() {
        let place = TestPlace { suite: "s".into(), class: "c".into(), file: None, variant: String::new() };
        let test = TestIdentity { place: Arc::new(place), name: "n".into() };
        let json = serde_json::to_string(&test).unwrap();
        assert_eq!(json, r#"{"suite":"s","class":"c","name":"n","file":null,"variant":""}"#);
        let attempt = Attempt::new(Outcome::Failed, None, None, Some("m".into()));
        let json = serde_json::to_string(&attempt).unwrap();
        assert_eq!(json, r#"{"outcome":"failed","duration":null,"kind":null,"message":"m"}"#);
    }
}
