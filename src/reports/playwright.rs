//! Playwright's JSON reporter: suites inside each other, specs, a test per browser project, a result per attempt.
//!
//! A test has the identity it has in Playwright's JUnit report: the file is suite and class, the titles of the
//! describe blocks and the test make its name, the project is the variant.

use super::durations::{milliseconds, total};
use super::json::{Loose, message, offset_of, text_in, unreadable, unreadable_test};
use super::limits::Limits;
use super::model::{Attempt, Attempts, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{OUTSIDE, Outside, Record, RunBuilder, cut};
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
    #[serde(default, borrow)]
    stats: Loose<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stats<'a> {
    #[serde(default, borrow)]
    start_time: Loose<'a>,
    #[serde(default, borrow)]
    duration: Loose<'a>,
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

/// Only what says which test it is and how it ended has to be what the format says.
#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    title: Cow<'a, str>,
    #[serde(default, borrow)]
    file: Loose<'a>,
    #[serde(borrow)]
    tests: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test<'a> {
    #[serde(default, borrow)]
    project_name: Loose<'a>,
    #[serde(default, borrow)]
    expected_status: Loose<'a>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default, borrow)]
    results: Loose<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TestResult<'a> {
    // An interrupted worker leaves a result without a status.
    #[serde(default, borrow)]
    status: Loose<'a>,
    #[serde(default, borrow)]
    duration: Loose<'a>,
    #[serde(default, borrow)]
    start_time: Loose<'a>,
    #[serde(default, borrow)]
    error: Loose<'a>,
}

/// An error outside of every test.
#[derive(Deserialize)]
struct ErrorMessage {
    message: String,
}

#[derive(Deserialize)]
struct Failure<'a> {
    #[serde(default, borrow)]
    message: Loose<'a>,
    #[serde(default, borrow)]
    stack: Loose<'a>,
}

pub(super) fn read(text: &str, limits: &Limits, names: &NameRules) -> Result<TestRun, Unreadable> {
    let report: Report<'_> = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let run = RunBuilder::new(Format::PlaywrightJson, text, limits, names);
    let mut reader = Reader { run, text };
    for suite in &report.suites {
        reader.suite(suite, &suite.title, "")?;
    }
    let counts = reader.run.elements();
    for error in report.errors {
        let message =
            serde_json::from_str::<ErrorMessage>(error.get()).map_or_else(|_| String::new(), |one| one.message);
        // With `maxFailures` it says of failed tests that there are enough of them.
        if message.contains("Testing stopped early") && counts.failed + counts.errors > 0 {
            continue;
        }
        let line = message.lines().next().unwrap_or_default().to_owned();
        let message = Some(cut(&message, limits.kept_text).to_owned());
        let offset = offset_of(text, error);
        let outside = Outside { suite: "", class: "", name: OUTSIDE, offset, message };
        reader.run.add_outside(outside, || format!("an error outside of every test: {line}"))?;
    }
    let run = &mut reader.run;
    if let Some(Stats { start_time, duration }) = report.stats.get(run, "stats", 0) {
        let start = start_time.text(run, "startTime", 0);
        let duration = duration.number(run, "duration", 0).and_then(|value| milliseconds(value).duration);
        run.started(start, duration);
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
                let name = text_in(value, "title").map(|title| format!("{titles}{title}"));
                return unreadable_test(&mut self.run, suite, name.as_deref(), offset, &error);
            }
        };
        let name = format!("{titles}{}", spec.title);
        let file = spec.file.text(&mut self.run, "file", offset);
        spec.tests.iter().try_for_each(|value| {
            let offset = offset_of(self.text, value);
            let test: Test<'_> = match serde_json::from_str(value.get()) {
                Ok(test) => test,
                Err(error) => return unreadable_test(&mut self.run, suite, Some(&name), offset, &error),
            };
            let outcome = self.outcome(&test.status, offset);
            let results: Vec<TestResult<'_>> = test.results.get(&mut self.run, "results", offset).unwrap_or_default();
            let attempts = self.attempts(&test, &results, outcome, offset);
            let reported_start =
                results.first().and_then(|result| result.start_time.text(&mut self.run, "startTime", offset));
            let project = test.project_name.text(&mut self.run, "projectName", offset);
            self.run.add(Record {
                suite,
                class: suite,
                name: name.as_str().into(),
                file: file.as_deref(),
                variant: project.as_deref().unwrap_or_default(),
                offset,
                element: outcome,
                outcome,
                duration: total(&attempts),
                attempts,
                reported_start,
            })
        })
    }

    /// The test's own word says whether what happened was expected; `flaky` is a pass.
    fn outcome(&mut self, status: &str, offset: usize) -> Outcome {
        match status {
            "flaky" => Outcome::Passed,
            word => self.run.outcome(word, offset),
        }
    }

    fn attempts(&mut self, test: &Test<'_>, results: &[TestResult<'_>], outcome: Outcome, offset: usize) -> Attempts {
        let limits = self.run.limits();
        let mut budget = limits.kept_text;
        let run = &mut self.run;
        let expected = test.expected_status.text(run, "expectedStatus", offset);
        let mut attempts = Vec::new();
        for result in results.iter().take(limits.attempts) {
            let failure: Option<Failure<'_>> = result.error.get(run, "error", offset);
            let parts =
                failure.map(|one| [one.message.text(run, "message", offset), one.stack.text(run, "stack", offset)]);
            let message = parts.and_then(|parts| message([parts[0].as_deref(), parts[1].as_deref()], budget));
            budget -= message.as_ref().map_or(0, String::len).min(budget);
            let status = result.status.text(run, "status", offset);
            let duration = result.duration.number(run, "duration", offset);
            attempts.push(Attempt::new(
                attempt_outcome(status.as_deref(), expected.as_deref()),
                duration.and_then(|value| milliseconds(value).duration),
                None,
                message,
            ));
        }
        let last = attempts.pop().unwrap_or_else(|| Attempt::plain(outcome, None));
        // Where the attempts are left out, the word alone says that one of them failed.
        if results.is_empty() && test.status == "flaky" {
            attempts.push(Attempt::plain(Outcome::Failed, None));
        }
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
