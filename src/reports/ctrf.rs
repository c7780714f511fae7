//! The Common Test Report Format: one record a test, its retries inside.

use super::durations::milliseconds;
use super::json::{self, Loose, each, offset_of, text_in, unreadable, unreadable_test};
use super::limits::Limits;
use super::model::{Attempt, Attempts, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{Record, RunBuilder};
use super::unreadable::Unreadable;
use crate::words;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Only what says which test it is and how it ended has to be what the format says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default, borrow)]
    duration: Loose<'a>,
    #[serde(default, borrow)]
    start: Loose<'a>,
    #[serde(default, borrow)]
    suite: Loose<'a>,
    #[serde(default, borrow)]
    message: Loose<'a>,
    #[serde(default, borrow)]
    trace: Loose<'a>,
    #[serde(default, borrow)]
    file_path: Loose<'a>,
    #[serde(default, borrow)]
    browser: Loose<'a>,
    #[serde(default, borrow)]
    retries: Loose<'a>,
    #[serde(default, borrow)]
    flaky: Loose<'a>,
    #[serde(default, borrow)]
    retry_attempts: Loose<'a>,
}

#[derive(Deserialize)]
struct Retry<'a> {
    #[serde(default, borrow)]
    status: Loose<'a>,
    #[serde(default, borrow)]
    duration: Loose<'a>,
    #[serde(default, borrow)]
    message: Loose<'a>,
    #[serde(default, borrow)]
    trace: Loose<'a>,
}

/// A suite is one name, or since version 0.0.13 of the format the names of suites inside each other.
#[derive(Deserialize)]
#[serde(untagged)]
enum SuiteName {
    One(String),
    Path(Vec<String>),
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
                "the summary declares {} and {} failed; {} and {} are there",
                words::plain(&words::counted(tests.unwrap_or(0), "test", "tests")),
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
                let name = text_in(value, "name");
                return unreadable_test(&mut self.run, "", name.as_deref(), offset, &error);
            }
        };
        let outcome = self.run.outcome(&test.status, offset);
        let earlier = self.earlier_attempts(&test, outcome, offset);
        let duration = test.duration.number(&mut self.run, "duration", offset);
        let duration = duration.and_then(|value| self.run.time(milliseconds(value), &value.to_string(), offset));
        let last = Attempt::new(outcome, duration, None, self.message(test.message, test.trace, offset));
        let run = &mut self.run;
        let suite = match test.suite.get(run, "suite", offset) {
            Some(SuiteName::One(name)) => name,
            Some(SuiteName::Path(names)) => names.join(" > "),
            None => String::new(),
        };
        let file = test.file_path.text(run, "filePath", offset).filter(|file| !file.is_empty());
        let variant = test.browser.text(run, "browser", offset).unwrap_or_default();
        let reported_start = test.start.text(run, "start", offset);
        run.add(Record {
            suite: &suite,
            class: "",
            name: test.name,
            file: file.as_deref(),
            variant: &variant,
            offset,
            element: outcome,
            outcome,
            attempts: Attempts::new(earlier, last),
            duration,
            reported_start,
        })
    }

    fn message(&mut self, message: Loose<'_>, trace: Loose<'_>, offset: usize) -> Option<String> {
        let limit = self.run.limits().kept_text;
        let text = message.text(&mut self.run, "message", offset);
        let trace = trace.text(&mut self.run, "trace", offset);
        json::message([text.as_deref(), trace.as_deref()], limit)
    }

    /// The attempts before the last one. Where only their number is given, or only that the test is flaky, they
    /// are known to have failed: that is why there was another.
    fn earlier_attempts(&mut self, test: &Test<'_>, outcome: Outcome, offset: usize) -> Vec<Attempt> {
        let most = self.run.limits().attempts;
        // Saturates: what is no number of attempts is none.
        let said = test.retries.number(&mut self.run, "retries", offset).map_or(0, |number| number as usize);
        let flaky = test.flaky.truth(&mut self.run, "flaky", offset);
        // The reporter knows better than the number of attempts whether one of them failed: a test is also run again
        // because another one of its group did.
        if flaky == Some(false) && outcome == Outcome::Passed {
            return Vec::new();
        }
        let least = usize::from(flaky == Some(true) && outcome == Outcome::Passed);
        let retries: Vec<Retry<'_>> =
            test.retry_attempts.get(&mut self.run, "retryAttempts", offset).unwrap_or_default();
        let mut attempts = Vec::new();
        for retry in retries.iter().take(most) {
            let status = retry.status.text(&mut self.run, "status", offset);
            let duration = retry.duration.number(&mut self.run, "duration", offset);
            attempts.push(Attempt::new(
                status.map_or(Outcome::Failed, |status| self.run.outcome(&status, offset)),
                duration.and_then(|value| milliseconds(value).duration),
                None,
                self.message(retry.message, retry.trace, offset),
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
}
