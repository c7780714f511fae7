//! Playwright's JSON reporter: suites inside each other, specs, a test per browser project, a result per attempt.
//!
//! A test has the identity it has in Playwright's JUnit report: the file is suite and class, the titles of the
//! describe blocks and the test make its name, the project is the variant.

use super::durations::{milliseconds, total};
use super::json::{message, offset_of, reason, unreadable};
use super::limits::Limits;
use super::model::{Attempt, Attempts, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{Record, Repeats, RunBuilder};
use super::unreadable::Unreadable;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    suites: Vec<Suite<'a>>,
    #[serde(default, borrow)]
    errors: Vec<&'a RawValue>,
    stats: Option<Stats>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats {
    start_time: Option<String>,
    duration: Option<f64>,
}

/// Only the tree is held; the specs in it are passed over here and read one after the other.
#[derive(Deserialize)]
struct Suite<'a> {
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(default, borrow)]
    specs: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    suites: Vec<Suite<'a>>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(borrow)]
    file: Option<Cow<'a, str>>,
    #[serde(borrow)]
    tests: Vec<Test<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test<'a> {
    #[serde(default, borrow)]
    project_name: Cow<'a, str>,
    #[serde(borrow)]
    expected_status: Option<Cow<'a, str>>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default, borrow)]
    results: Vec<TestResult<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestResult<'a> {
    // An interrupted worker leaves a result without a status.
    #[serde(borrow)]
    status: Option<Cow<'a, str>>,
    duration: Option<f64>,
    start_time: Option<String>,
    #[serde(borrow)]
    error: Option<Failure<'a>>,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    stack: Option<Cow<'a, str>>,
}

pub(super) fn read(text: &str, limits: &Limits, names: &NameRules) -> Result<TestRun, Unreadable> {
    let report: Report<'_> = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let mut run = RunBuilder::new(Format::PlaywrightJson, text, limits, names);
    run.repeats_are(Repeats::Unknown);
    let mut reader = Reader { run, text };
    for error in report.errors {
        reader.run.warn("suite_error", offset_of(text, error), || {
            let failure = serde_json::from_str::<Failure<'_>>(error.get()).ok().and_then(|failure| failure.message);
            let message = failure.unwrap_or_default();
            format!("an error outside of every test: {}", message.lines().next().unwrap_or_default())
        });
    }
    for suite in &report.suites {
        reader.suite(suite, &suite.title, "")?;
    }
    if let Some(stats) = report.stats {
        reader.run.started(stats.start_time, stats.duration.and_then(|value| milliseconds(value).duration));
    }
    Ok(reader.run.finish())
}

struct Reader<'r> {
    run: RunBuilder<'r>,
    text: &'r str,
}

impl Reader<'_> {
    /// The outermost suite is the file; the ones inside are describe blocks.
    fn suite(&mut self, suite: &Suite<'_>, file: &str, titles: &str) -> Result<(), Unreadable> {
        for value in &suite.specs {
            self.spec(value, file, titles)?;
        }
        for inner in &suite.suites {
            self.suite(inner, file, &format!("{titles}{} › ", inner.title))?;
        }
        Ok(())
    }

    fn spec(&mut self, value: &RawValue, suite: &str, titles: &str) -> Result<(), Unreadable> {
        let offset = offset_of(self.text, value);
        let spec: Spec<'_> = match serde_json::from_str(value.get()) {
            Ok(spec) => spec,
            Err(error) => {
                self.run.warn("test_unreadable", offset, || format!("a spec is left out: {}", reason(&error)));
                return Ok(());
            }
        };
        let name = format!("{titles}{}", spec.title);
        spec.tests.iter().try_for_each(|test| {
            let outcome = self.outcome(&test.status, offset);
            let attempts = self.attempts(test, outcome);
            self.run.add(Record {
                suite,
                class: suite,
                name: name.as_str().into(),
                file: spec.file.as_deref(),
                variant: &test.project_name,
                offset,
                element: outcome,
                outcome,
                duration: total(&attempts),
                attempts,
                reported_start: test.results.first().and_then(|result| result.start_time.clone()),
            })
        })
    }

    /// The test's own word says whether what happened was expected; `flaky` is a pass.
    fn outcome(&mut self, status: &str, offset: usize) -> Outcome {
        match status {
            "expected" | "flaky" => Outcome::Passed,
            "unexpected" => Outcome::Failed,
            "skipped" => Outcome::Skipped,
            unknown => {
                self.run.warn("status_unknown", offset, || format!("status {unknown:?} is not known: read as skipped"));
                Outcome::Skipped
            }
        }
    }

    fn attempts(&self, test: &Test<'_>, outcome: Outcome) -> Attempts {
        let limits = self.run.limits();
        let mut budget = limits.kept_text;
        let mut attempts: Vec<_> = test
            .results
            .iter()
            .take(limits.attempts)
            .map(|result| {
                let failure = result.error.as_ref();
                let parts =
                    [failure.and_then(|one| one.message.as_deref()), failure.and_then(|one| one.stack.as_deref())];
                let message = message(parts, budget);
                budget -= message.as_ref().map_or(0, String::len).min(budget);
                let outcome = attempt_outcome(result.status.as_deref(), test.expected_status.as_deref());
                Attempt::new(outcome, result.duration.and_then(|value| milliseconds(value).duration), None, message)
            })
            .collect();
        let last = attempts.pop().unwrap_or_else(|| Attempt::plain(outcome, None));
        Attempts::new(attempts, last)
    }
}

/// A test may be expected to fail: then a failed attempt is a pass, and a passed one a failure.
fn attempt_outcome(status: Option<&str>, expected: Option<&str>) -> Outcome {
    match status {
        Some("skipped") => Outcome::Skipped,
        Some("interrupted") | None => Outcome::Error,
        Some(status) if status == expected.unwrap_or("passed") => Outcome::Passed,
        Some(_) => Outcome::Failed,
    }
}
