//! `go test -json`: a stream of events, one object a line, of many packages at once.
//!
//! A test begins with `run` and ends with `pass`, `fail` or `skip`. Begun and ended again, as `gotestsum
//! --rerun-fails` and `-count` do, it was tried again. What never ends was cut off: it counts as an error.

use super::decode::without_controls;
use super::durations::seconds;
use super::limits::Limits;
use super::model::{Attempt, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{Record, Repeats, RunBuilder, cut};
use super::unreadable::Unreadable;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event<'a> {
    #[serde(borrow)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow)]
    action: Cow<'a, str>,
    #[serde(borrow)]
    package: Option<Cow<'a, str>>,
    #[serde(borrow)]
    test: Option<Cow<'a, str>>,
    #[serde(borrow)]
    elapsed: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<Cow<'a, str>>,
    failed_build: Option<IgnoredAny>,
}

/// A package whose end is not yet there.
#[derive(Default)]
struct Package {
    running: BTreeMap<String, Running>,
    output: String,
    failed: bool,
}

/// A test whose end is not yet there.
#[derive(Default)]
struct Running {
    start: Option<String>,
    output: String,
    offset: usize,
}

/// Whether a line is one of these events.
pub(super) fn is_event(line: &str) -> bool {
    serde_json::from_str::<Event<'_>>(line).is_ok()
}

pub(super) fn read(text: &str, limits: &Limits, names: &NameRules) -> Result<TestRun, Unreadable> {
    let mut run = RunBuilder::new(Format::GoTestJson, text, limits, names);
    run.repeats_are(Repeats::Retries);
    let mut stream = Stream { run, packages: BTreeMap::new() };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        if line.trim().is_empty() {
            continue;
        }
        match serde_json::from_str::<Event<'_>>(line) {
            Ok(event) => stream.event(&event, start)?,
            // The last line of a stream that was cut off ends in the middle.
            Err(error) if error.is_eof() && offset == text.len() && line.trim_start().starts_with('{') => {
                let line = super::decode::line_of(text.as_bytes(), text.len());
                return Err(Unreadable::Truncated { line, inside: "in the middle of an event".to_owned() });
            }
            // Messages of the compiler and of the tests' own processes get between the events.
            Err(_) => stream.run.warn("line_unreadable", start, || {
                format!("no event: {:?}", cut(&without_controls(line.trim_end()), 100))
            }),
        }
    }
    for (name, package) in std::mem::take(&mut stream.packages) {
        stream.unfinished(&name, package.running)?;
    }
    Ok(stream.run.finish())
}

struct Stream<'r> {
    run: RunBuilder<'r>,
    packages: BTreeMap<String, Package>,
}

impl Stream<'_> {
    fn event(&mut self, event: &Event<'_>, offset: usize) -> Result<(), Unreadable> {
        let Some(name) = event.package.as_deref() else { return Ok(()) };
        if !self.packages.contains_key(name) {
            self.packages.insert(name.to_owned(), Package::default());
        }
        let Some(package) = self.packages.get_mut(name) else { return Ok(()) };
        let limit = self.run.limits().kept_text;
        match (&*event.action, event.test.as_deref()) {
            ("run", Some(test)) => {
                self.run.started(event.time.as_deref().map(str::to_owned), None);
                let start = event.time.as_deref().map(str::to_owned);
                package.running.insert(test.to_owned(), Running { start, output: String::new(), offset });
            }
            ("output", test) => {
                let output = match test {
                    Some(test) => package.running.get_mut(test).map(|running| &mut running.output),
                    None => Some(&mut package.output),
                };
                if let (Some(output), Some(text)) = (output, event.output.as_deref()) {
                    output.push_str(cut(text, limit.saturating_sub(output.len())));
                }
            }
            ("pass", Some(test)) => self.ended(event, name, test, Outcome::Passed, offset)?,
            ("fail", Some(test)) => self.ended(event, name, test, Outcome::Failed, offset)?,
            ("skip", Some(test)) => self.ended(event, name, test, Outcome::Skipped, offset)?,
            ("fail", None) => self.package_failed(name, event.failed_build.is_some(), offset)?,
            ("pass" | "skip", None) => {
                if let Some(package) = self.packages.remove(name) {
                    self.unfinished(name, package.running)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn ended(
        &mut self,
        event: &Event<'_>,
        name: &str,
        test: &str,
        outcome: Outcome,
        offset: usize,
    ) -> Result<(), Unreadable> {
        let package = self.packages.entry(name.to_owned()).or_default();
        let running = package.running.remove(test).unwrap_or_default();
        package.failed |= outcome.is_failure();
        let duration = event.elapsed.and_then(|elapsed| self.run.time(seconds(elapsed.get()), elapsed.get(), offset));
        let message = (outcome != Outcome::Passed).then(|| without_controls(running.output.trim()).into_owned());
        let attempt = Attempt::new(outcome, duration, None, message.filter(|text| !text.is_empty()));
        self.record(name, test, attempt, running.start, offset)
    }

    /// A package can fail without a test of its own failing: it did not build, or its `TestMain` ended it.
    fn package_failed(&mut self, name: &str, build: bool, offset: usize) -> Result<(), Unreadable> {
        let Some(package) = self.packages.remove(name) else { return Ok(()) };
        let explained = package.failed || !package.running.is_empty();
        self.unfinished(name, package.running)?;
        if explained {
            return Ok(());
        }
        self.run.warn("package_failed", offset, || format!("package {name} failed, but none of its tests did"));
        let message = Some(without_controls(package.output.trim()).into_owned()).filter(|text| !text.is_empty());
        let attempt = Attempt::new(Outcome::Error, None, None, message);
        // Named as go-junit-report names it.
        let test = if build { "[build failed]" } else { "[package failed]" };
        self.record(name, test, attempt, None, offset)
    }

    /// What began and did not end was cut off, by a panic, a time-out or a kill.
    fn unfinished(&mut self, package: &str, running: BTreeMap<String, Running>) -> Result<(), Unreadable> {
        for (test, Running { start, output, offset }) in running {
            self.run.warn("unfinished", offset, || {
                format!("{test} of {package} began and did not end: it counts as an error")
            });
            let message = Some(without_controls(output.trim()).into_owned()).filter(|text| !text.is_empty());
            let kind = Some("unfinished".to_owned());
            let attempt = Attempt::new(Outcome::Error, None, kind, message);
            self.record(package, &test, attempt, start, offset)?;
        }
        Ok(())
    }

    fn record(
        &mut self,
        package: &str,
        test: &str,
        attempt: Attempt,
        reported_start: Option<String>,
        offset: usize,
    ) -> Result<(), Unreadable> {
        self.run.add(Record {
            suite: package,
            class: package,
            name: test.into(),
            file: None,
            variant: "",
            offset,
            element: attempt.outcome,
            outcome: attempt.outcome,
            duration: attempt.duration,
            attempts: attempt.into(),
            reported_start,
        })
    }
}
