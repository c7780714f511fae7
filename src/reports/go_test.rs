//! `go test -json`: a stream of events, one object a line, of many packages at once.
//!
//! A test begins with `run` and ends with `pass`, `fail` or `skip`. Begun and ended again, as `gotestsum
//! --rerun-fails` and `-count` do, it was tried again. What never ends was cut off: it counts as an error, and so does
//! a package.

use super::decode::without_controls;
use super::durations::seconds;
use super::limits::Limits;
use super::model::{Attempt, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{Record, RunBuilder, cut};
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
    /// Where it began; output alone is no beginning.
    begun: Option<usize>,
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
    let run = RunBuilder::new(Format::GoTestJson, text, limits, names);
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
            Err(_) => match failed_build(line) {
                // Go before 1.20 tells a package that does not build in words alone.
                Some((package, how)) => {
                    let attempt = Attempt::new(Outcome::Error, None, None, Some(line.trim_end().to_owned()));
                    stream.failed_by_itself(package, how, attempt, start)?;
                }
                // Messages of the compiler and of the tests' own processes get between the events.
                None => stream.run.warn("line_unreadable", start, || {
                    format!("no event: {:?}", cut(&without_controls(line.trim_end()), 100))
                }),
            },
        }
    }
    for (name, package) in std::mem::take(&mut stream.packages) {
        stream.package_did_not_end(&name, package)?;
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
        // A stream that was cut off can be followed by another one.
        if event.action == "start"
            && self.packages.get(name).is_some_and(|package| package.begun.is_some())
            && let Some(before) = self.packages.remove(name)
        {
            self.package_did_not_end(name, before)?;
        }
        if !self.packages.contains_key(name) {
            self.packages.insert(name.to_owned(), Package::default());
        }
        let Some(package) = self.packages.get_mut(name) else { return Ok(()) };
        let limit = self.run.limits().kept_text;
        match (&*event.action, event.test.as_deref()) {
            ("start", None) => package.begun = Some(offset),
            ("run", Some(test)) => {
                package.begun.get_or_insert(offset);
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
            ("pass", None) => self.package_passed(name)?,
            ("skip", None) => {
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
        let message = if outcome == Outcome::Passed { None } else { message(&running.output) };
        let attempt = Attempt::new(outcome, duration, None, message);
        self.record(name, test, attempt, running.start, offset)
    }

    /// A package passes only after all of its tests did. The end of one is not told where its output is mistaken for
    /// another's or has no line break at its end (golang/go#40771), and a benchmark's never is.
    fn package_passed(&mut self, name: &str) -> Result<(), Unreadable> {
        let Some(package) = self.packages.remove(name) else { return Ok(()) };
        for (test, running) in package.running {
            if !is_benchmark(&test) {
                self.record(name, &test, Attempt::plain(Outcome::Passed, None), running.start, running.offset)?;
            }
        }
        Ok(())
    }

    /// A package can fail without a test of its own failing: it did not build, or its `TestMain` ended it.
    fn package_failed(&mut self, name: &str, build: bool, offset: usize) -> Result<(), Unreadable> {
        let Some(mut package) = self.packages.remove(name) else { return Ok(()) };
        forget_measured_benchmarks(&mut package.running);
        let explained = package.failed || !package.running.is_empty();
        self.unfinished(name, package.running)?;
        if explained {
            return Ok(());
        }
        let how = ["[setup failed]", "[build failed]"].into_iter().find(|how| package.output.contains(how));
        let how = how.unwrap_or(if build { "[build failed]" } else { "[package failed]" });
        let attempt = Attempt::new(Outcome::Error, None, None, message(&package.output));
        self.failed_by_itself(name, how, attempt, offset)
    }

    /// The error of a package none of whose tests failed, named as go-junit-report names it.
    fn failed_by_itself(
        &mut self,
        package: &str,
        how: &str,
        attempt: Attempt,
        offset: usize,
    ) -> Result<(), Unreadable> {
        self.run.warn("package_failed", offset, || format!("package {package} failed, but none of its tests did"));
        self.record(package, how, attempt, None, offset)
    }

    /// A stream that was cut off between two lines ends like a whole one, but for the ends of packages. Those of their
    /// tests that had begun say it already.
    fn package_did_not_end(&mut self, name: &str, mut package: Package) -> Result<(), Unreadable> {
        forget_measured_benchmarks(&mut package.running);
        let Some(offset) = package.begun.filter(|_| package.running.is_empty()) else {
            return self.unfinished(name, package.running);
        };
        self.run.warn("unfinished", offset, || format!("package {name} began and did not end: it counts as an error"));
        let kind = Some("unfinished".to_owned());
        let attempt = Attempt::new(Outcome::Error, None, kind, message(&package.output));
        self.record(name, "[package did not end]", attempt, None, offset)
    }

    /// What began and did not end was cut off, by a panic, a time-out or a kill.
    fn unfinished(&mut self, package: &str, running: BTreeMap<String, Running>) -> Result<(), Unreadable> {
        for (test, Running { start, output, offset }) in running {
            self.run.warn("unfinished", offset, || {
                format!("{test} of {package} began and did not end: it counts as an error")
            });
            let kind = Some("unfinished".to_owned());
            let attempt = Attempt::new(Outcome::Error, None, kind, message(&output));
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

fn message(output: &str) -> Option<String> {
    Some(without_controls(output.trim()).into_owned()).filter(|text| !text.is_empty())
}

/// The package of a line such as `FAIL`, a tab, `example.com/shop [build failed]`, and what is in brackets.
fn failed_build(line: &str) -> Option<(&str, &str)> {
    let (package, how) = line.trim_end().strip_prefix("FAIL\t")?.split_once(' ')?;
    matches!(how, "[build failed]" | "[setup failed]").then_some((package, how))
}

fn is_benchmark(test: &str) -> bool {
    test.starts_with("Benchmark")
}

/// What a benchmark measured is the last it says, and stands for the end that no event tells. One of parts is measured
/// only in these.
fn forget_measured_benchmarks(running: &mut BTreeMap<String, Running>) {
    let is_measured = |test: &str, running: &Running| is_benchmark(test) && running.output.contains(" ns/op");
    let measured: Vec<String> = running
        .iter()
        .filter(|(test, running)| is_measured(test, running))
        .flat_map(|(test, _)| test.match_indices('/').map(|(end, _)| &test[..end]).chain([test.as_str()]))
        .map(str::to_owned)
        .collect();
    for test in measured {
        running.remove(&test);
    }
}

#[cfg(test)]
mod tests {
    use crate::reports::{Limits, Outcome, read};

    /// Outcomes by name, of a package in which these tests began and none ended.
    fn outcomes(tests: &[&str], end: &str) -> Vec<(String, Outcome)> {
        let run = |test| format!("{{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"{test}\"}}\n");
        let stream: String = tests.iter().map(run).collect();
        let run = read(format!("{stream}{end}").as_bytes(), &Limits::default()).unwrap();
        run.executions.into_iter().map(|one| (one.test.name, one.outcome)).collect()
    }

    #[test]
    fn what_a_passing_package_leaves_without_an_end_has_passed() {
        let tests = ["TestA", "TestA/b"];
        let all = |outcome| tests.map(|test| (test.to_owned(), outcome)).to_vec();
        assert_eq!(outcomes(&tests, "{\"Action\":\"pass\",\"Package\":\"p\"}\n"), all(Outcome::Passed));
        assert_eq!(outcomes(&tests, "{\"Action\":\"fail\",\"Package\":\"p\"}\n"), all(Outcome::Error));
        assert_eq!(outcomes(&tests, ""), all(Outcome::Error));
    }

    #[test]
    fn a_package_that_begins_and_does_not_end_is_an_error() {
        let event = |action, rest| format!("{{\"Action\":\"{action}\",\"Package\":\"p\"{rest}}}\n");
        let start = event("start", "");
        let test = |action| event(action, r#","Test":"TestA""#);
        let passed = [test("run"), test("pass")].concat();
        let output = event("output", r#","Output":"ok\\n""#);
        let end = event("pass", "");
        let read = |stream: &[&str]| {
            let said = outcomes(&[], &stream.concat()).into_iter().map(|(name, outcome)| format!("{name} {outcome:?}"));
            said.collect::<Vec<_>>().join(", ")
        };
        let cut = "[package did not end] Error";
        assert_eq!(read(&[&start, &passed, &output]), format!("TestA Passed, {cut}"));
        assert_eq!(read(&[&passed]), format!("TestA Passed, {cut}"), "before Go 1.20 there is no start");
        assert_eq!(read(&[&start]), cut);
        assert_eq!(read(&[&start, &test("run")]), "TestA Error", "the test says it");
        assert_eq!(read(&[&start, &passed, &end, &output]), "TestA Passed", "output alone begins nothing");
        assert_eq!(read(&[&start, &passed, &end, &start, &passed, &end]), "TestA Passed", "two streams in one");
        assert_eq!(read(&[&start, &start, &passed, &end]), format!("{cut}, TestA Passed"), "the first was cut off");
        assert_eq!(read(&[&start, &output, &event("skip", "")]), "", "a package without tests");
    }

    #[test]
    fn a_package_that_old_versions_of_go_could_not_build_is_an_error() {
        let stream = |how| {
            let end = "{\"Action\":\"pass\",\"Package\":\"p\"}\n";
            outcomes(&["TestA"], &format!("# ex.com/b\n./b.go:3:1: syntax error\nFAIL\tex.com/b {how}\n{end}"))
        };
        for how in ["[build failed]", "[setup failed]"] {
            assert_eq!(stream(how), [(how.to_owned(), Outcome::Error), ("TestA".to_owned(), Outcome::Passed)]);
        }
        assert_eq!(stream("").len(), 1);
        // Go 1.20 to 1.23 write the same as output.
        let output = r#"{"Action":"output","Package":"p","Output":"FAIL\tp [build failed]\n"}"#;
        let fail = r#"{"Action":"fail","Package":"p","Elapsed":0}"#;
        assert_eq!(outcomes(&[], &format!("{output}\n{fail}\n")), [("[build failed]".to_owned(), Outcome::Error)]);
    }

    #[test]
    fn a_benchmark_that_did_not_get_to_its_measurement_is_an_error_unless_its_package_passed() {
        let tests = ["TestA", "BenchmarkB"];
        assert_eq!(
            outcomes(&tests, "{\"Action\":\"pass\",\"Package\":\"p\"}\n"),
            [("TestA".to_owned(), Outcome::Passed)]
        );
        assert_eq!(outcomes(&tests, "{\"Action\":\"fail\",\"Package\":\"p\"}\n").len(), 2);
    }
}
