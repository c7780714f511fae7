//! The Common Test Report Format: one record a test, its retries inside.

use super::durations::milliseconds;
use super::json::{each, message, offset_of, reason, unreadable};
use super::limits::Limits;
use super::model::{Attempt, Attempts, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{Record, RunBuilder};
use super::unreadable::Unreadable;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    duration: Option<f64>,
    start: Option<Number>,
    suite: Option<SuiteName>,
    #[serde(borrow)]
    message: Option<Cow<'a, str>>,
    #[serde(borrow)]
    trace: Option<Cow<'a, str>>,
    #[serde(borrow)]
    file_path: Option<Cow<'a, str>>,
    #[serde(borrow)]
    browser: Option<Cow<'a, str>>,
    retries: Option<u64>,
    flaky: Option<bool>,
    retry_attempts: Option<Vec<Retry>>,
}

#[derive(Deserialize)]
struct Retry {
    status: Option<String>,
    duration: Option<f64>,
    message: Option<String>,
    trace: Option<String>,
}

/// A suite is one name, or since version 0.0.13 of the format the names of suites inside each other.
#[derive(Deserialize)]
#[serde(untagged)]
enum SuiteName {
    One(String),
    Path(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Whole(i64),
    Broken(f64),
}

#[derive(Deserialize, Default)]
struct Summary {
    tests: Option<u64>,
    failed: Option<u64>,
    start: Option<f64>,
    stop: Option<f64>,
}

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    results: Results<'a>,
}

/// Values that are only passed over here; the tests are read one after the other.
#[derive(Deserialize)]
struct Results<'a> {
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    tests: &'a RawValue,
}

pub(super) fn read(text: &str, limits: &Limits, names: &NameRules) -> Result<TestRun, Unreadable> {
    let Report { results } = serde_json::from_str(text).map_err(|error| unreadable(text, &error))?;
    let mut report = Ctrf { run: RunBuilder::new(Format::Ctrf, text, limits, names), text };
    each(results.tests, |test| report.test(test))?;
    let summary = results.summary.and_then(|summary| serde_json::from_str(summary.get()).ok());
    let Summary { tests, failed, start, stop } = summary.unwrap_or_default();
    let counted = report.run.elements();
    if tests.is_some_and(|tests| tests != counted.tests) || failed.is_some_and(|failed| failed != counted.failed) {
        report.run.warn("counters_differ", 0, || {
            format!(
                "the summary declares {} tests and {} failed; {} and {} are there",
                tests.unwrap_or(0),
                failed.unwrap_or(0),
                counted.tests,
                counted.failed
            )
        });
    }
    // Several reporters write zero for a time they do not know.
    let duration = match (start, stop) {
        (Some(start), Some(stop)) if start > 0.0 && stop >= start => milliseconds(stop - start).duration,
        _ => None,
    };
    report.run.started(start.filter(|start| *start > 0.0).map(|start| start.to_string()), duration);
    Ok(report.run.finish())
}

struct Ctrf<'r> {
    run: RunBuilder<'r>,
    text: &'r str,
}

impl Ctrf<'_> {
    fn test(&mut self, value: &RawValue) -> Result<(), Unreadable> {
        let offset = offset_of(self.text, value);
        let test: Test<'_> = match serde_json::from_str(value.get()) {
            Ok(test) => test,
            Err(error) => {
                self.run.warn("test_unreadable", offset, || format!("a test is left out: {}", reason(&error)));
                return Ok(());
            }
        };
        let outcome = self.status(&test.status, offset);
        let limit = self.run.limits().kept_text;
        let earlier = self.earlier_attempts(&test, outcome, offset);
        let duration = test.duration.and_then(|value| self.run.time(milliseconds(value), &value.to_string(), offset));
        let message = message([test.message.as_deref(), test.trace.as_deref()], limit);
        let last = Attempt::new(outcome, duration, None, message);
        let suite = match test.suite {
            Some(SuiteName::One(name)) => name,
            Some(SuiteName::Path(names)) => names.join(" > "),
            None => String::new(),
        };
        let start = test.start.map(|start| match start {
            Number::Whole(number) => number.to_string(),
            Number::Broken(number) => number.to_string(),
        });
        self.run.add(Record {
            suite: &suite,
            class: "",
            name: test.name,
            file: test.file_path.as_deref().filter(|file| !file.is_empty()),
            variant: test.browser.as_deref().unwrap_or_default(),
            offset,
            element: outcome,
            outcome,
            attempts: Attempts::new(earlier, last),
            duration,
            reported_start: start,
        })
    }

    /// The attempts before the last one. Where only their number is given, or only that the test is flaky, they
    /// are known to have failed: that is why there was another.
    fn earlier_attempts(&mut self, test: &Test<'_>, outcome: Outcome, offset: usize) -> Vec<Attempt> {
        let limit = self.run.limits().kept_text;
        let most = self.run.limits().attempts;
        let said = usize::try_from(test.retries.unwrap_or(0)).unwrap_or(usize::MAX);
        let least = usize::from(test.flaky == Some(true) && outcome == Outcome::Passed);
        let mut attempts = Vec::new();
        for retry in test.retry_attempts.iter().flatten().take(most) {
            attempts.push(Attempt::new(
                retry.status.as_deref().map_or(Outcome::Failed, |status| self.status(status, offset)),
                retry.duration.and_then(|value| milliseconds(value).duration),
                None,
                message([retry.message.as_deref(), retry.trace.as_deref()], limit),
            ));
        }
        // Some reporters list the last attempt too; it is the record itself.
        if attempts.len() > said.max(least) && attempts.last().is_some_and(|last| last.outcome == outcome) {
            attempts.pop();
        }
        while attempts.len() < said.max(least).min(most) {
            attempts.push(Attempt::plain(Outcome::Failed, None));
        }
        attempts
    }

    fn status(&mut self, status: &str, offset: usize) -> Outcome {
        match status {
            "passed" => Outcome::Passed,
            "failed" => Outcome::Failed,
            "skipped" | "pending" | "other" => Outcome::Skipped,
            unknown => {
                self.run.warn("status_unknown", offset, || format!("status {unknown:?} is not known: read as skipped"));
                Outcome::Skipped
            }
        }
    }
}
