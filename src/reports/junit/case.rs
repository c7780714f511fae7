//! One test case element: its results, its retries, its status attributes, and what comes of them together.

use super::{Junit, Suite};
use crate::reports::durations::{seconds, total};
use crate::reports::model::{Attempt, Attempts, Outcome};
use crate::reports::run::Record;
use crate::reports::unreadable::Unreadable;
use crate::reports::words;
use crate::reports::xml::{Tag, Token};
use std::borrow::Cow;
use std::time::Duration;

/// What the attributes of a case say.
#[derive(Default)]
struct Attributes<'t> {
    name: Cow<'t, str>,
    class: Cow<'t, str>,
    file: Option<Cow<'t, str>>,
    start: Option<String>,
    duration: Option<Duration>,
    /// By the attributes `status` and `result`, where they say that the case did not simply pass.
    status: Option<Outcome>,
    /// What one of them says that is not known.
    unknown: Option<Cow<'t, str>>,
}

/// What the children of a case say.
#[derive(Default)]
struct Results {
    /// `failure`, `error`, `skipped`: how the case ended, where it did not simply pass.
    main: Option<Attempt>,
    /// How many of those there are.
    count: usize,
    /// `flakyFailure` and `flakyError`: failed attempts before the end.
    flaky: Vec<Attempt>,
    /// `rerunFailure` and `rerunError`: attempts after a first failure that failed as well.
    reruns: Vec<Attempt>,
    left_out: usize,
}

impl Junit<'_> {
    pub(super) fn case(&mut self, tag: &Tag<'_>, suite: &Suite) -> Result<(), Unreadable> {
        let mut attributes = self.case_attributes(tag)?;
        let results = self.results(suite)?;
        if let Some(word) = attributes.unknown.take() {
            self.unknown_status(&word, &mut attributes, &results, tag);
        }
        self.warn_of_results(tag, &attributes, &results);
        let element = element_outcome(&attributes, &results);
        let attempts = attempts(&attributes, results, element);
        let every = total(&attempts);
        let project = self.playwright_project(suite, &attributes.class);
        let file = attributes.file.as_deref().or(suite.file.as_deref());
        self.run.add(Record {
            suite: &suite.name,
            class: &attributes.class,
            file: file.or_else(|| project.map(|_| &*attributes.class)),
            name: attributes.name,
            variant: project.unwrap_or_default(),
            offset: tag.offset,
            element,
            outcome: element,
            attempts,
            duration: every.or(attributes.duration),
            reported_start: attributes.start,
        })
    }

    /// Playwright runs a file once a browser project, and writes the project where others write the machine's name.
    fn playwright_project<'s>(&self, suite: &'s Suite, class: &str) -> Option<&'s str> {
        let is_script = || {
            let extension = class.rsplit('.').next().unwrap_or_default();
            matches!(extension, "ts" | "js" | "mts" | "mjs" | "cts" | "cjs" | "tsx" | "jsx")
        };
        suite.hostname.as_deref().filter(|_| self.playwright && suite.name == class && is_script())
    }

    fn case_attributes<'t>(&mut self, tag: &'t Tag<'_>) -> Result<Attributes<'t>, Unreadable> {
        let mut case = Attributes::default();
        let mut time = None;
        let sound = self.xml.attributes(tag, |key, value| match key {
            "name" => case.name = value,
            "classname" => case.class = value,
            "class" if case.class.is_empty() => case.class = value,
            "file" | "filepath" => case.file = Some(value).filter(|file| !file.is_empty()),
            "timestamp" => case.start = Some(value.into_owned()),
            "time" => {
                let reading = seconds(&value);
                case.duration = reading.duration;
                time = reading.warning.is_some().then(|| (reading, value.into_owned()));
            }
            // Nearly all of them, so that no list is looked through.
            "status" | "result" if matches!(&*value, "run" | "completed" | "passed" | "") => {}
            "status" | "result" => match words::outcome(&value) {
                Some(Outcome::Passed) => {}
                Some(outcome) => case.status = case.status.max(Some(outcome)),
                None => case.unknown = Some(value),
            },
            _ => {}
        })?;
        self.warn_of_attributes(sound, tag);
        if let Some((reading, written)) = time {
            self.run.time(reading, &written, tag.offset);
        }
        Ok(case)
    }

    /// A result of the case says more than a word that is not known, and a number is no word.
    fn unknown_status(&mut self, word: &str, attributes: &mut Attributes<'_>, results: &Results, tag: &Tag<'_>) {
        if results.main.is_none() && word.contains(char::is_alphabetic) {
            attributes.status = attributes.status.max(Some(self.run.outcome(word, tag.offset)));
        } else {
            self.run
                .warn("status_unknown", tag.offset, || format!("status {word:?} is not known: the children decide"));
        }
    }

    fn results(&mut self, suite: &Suite) -> Result<Results, Unreadable> {
        let mut results = Results::default();
        let mut budget = self.run.limits().kept_text;
        loop {
            match self.xml.next()? {
                Token::Open(tag) => match tag.name() {
                    // PHPUnit fails with a warning, and so does its run.
                    "failure" | "warning" => self.main(&tag, Outcome::Failed, &mut results, &mut budget)?,
                    "error" => self.main(&tag, Outcome::Error, &mut results, &mut budget)?,
                    "skipped" | "skip" | "ignored" | "disabled" => {
                        self.main(&tag, Outcome::Skipped, &mut results, &mut budget)?;
                    }
                    "flakyFailure" => {
                        self.retry(&tag, Outcome::Failed, &mut results.flaky, &mut results.left_out, &mut budget)?
                    }
                    "flakyError" => {
                        self.retry(&tag, Outcome::Error, &mut results.flaky, &mut results.left_out, &mut budget)?
                    }
                    "rerunFailure" => {
                        self.retry(&tag, Outcome::Failed, &mut results.reruns, &mut results.left_out, &mut budget)?
                    }
                    "rerunError" => {
                        self.retry(&tag, Outcome::Error, &mut results.reruns, &mut results.left_out, &mut budget)?
                    }
                    // No dialect has cases inside each other. Whoever writes one means a test by it.
                    "testcase" => {
                        self.run.warn("case_inside", tag.offset, || {
                            "a test case inside another one: it is counted as a test of its own".to_owned()
                        });
                        self.case(&tag, suite)?;
                    }
                    _ => self.xml.skip()?,
                },
                Token::Text(_) => {}
                Token::Close | Token::End => return Ok(results),
            }
        }
    }

    /// The worst of several results counts; of equally bad ones the first.
    fn main(
        &mut self,
        tag: &Tag<'_>,
        outcome: Outcome,
        results: &mut Results,
        budget: &mut usize,
    ) -> Result<(), Unreadable> {
        results.count += 1;
        let attempt = self.attempt(tag, outcome, budget)?;
        if results.main.as_ref().is_none_or(|main| main.outcome < outcome) {
            results.main = Some(attempt);
        }
        Ok(())
    }

    fn retry(
        &mut self,
        tag: &Tag<'_>,
        outcome: Outcome,
        attempts: &mut Vec<Attempt>,
        left_out: &mut usize,
        budget: &mut usize,
    ) -> Result<(), Unreadable> {
        if attempts.len() < self.run.limits().attempts {
            attempts.push(self.attempt(tag, outcome, budget)?);
            Ok(())
        } else {
            *left_out += 1;
            self.xml.skip()
        }
    }

    fn attempt(&mut self, tag: &Tag<'_>, outcome: Outcome, budget: &mut usize) -> Result<Attempt, Unreadable> {
        let (mut duration, mut kind, mut message) = (None, None, None);
        let limit = self.run.limits().name;
        self.xml.attributes(tag, |key, value| match key {
            "type" if !value.is_empty() => kind = Some(crate::reports::run::cut(&value, limit).to_owned()),
            "message" if !value.is_empty() => {
                let head = crate::reports::run::cut(&value, *budget);
                // One byte more, for the line break between the message and the text.
                *budget = budget.saturating_sub(head.len() + 1);
                message = Some(head.to_owned());
            }
            "time" => duration = seconds(&value).duration,
            _ => {}
        })?;
        let text = self.xml.text(budget)?;
        let message = match message {
            _ if text.is_empty() => message,
            // Most producers repeat the message at the head of the text.
            Some(message) if !text.starts_with(message.trim()) => Some(format!("{message}\n{text}")),
            _ => Some(text),
        };
        Ok(Attempt::new(outcome, duration, kind, message))
    }

    fn warn_of_results(&mut self, tag: &Tag<'_>, attributes: &Attributes<'_>, results: &Results) {
        let name = &attributes.name;
        if results.count > 1 {
            self.run.warn("several_results", tag.offset, || {
                format!("{name:?} has {} results: the worst one counts", results.count)
            });
        }
        let failed = results.main.as_ref().is_some_and(|main| main.outcome.is_failure());
        if failed && attributes.status == Some(Outcome::Skipped) {
            self.run.warn("disabled_with_result", tag.offset, || {
                format!("{name:?} is said not to have run, but has a failure: the failure counts")
            });
        }
        if results.left_out > 0 {
            self.run.warn("attempts_left_out", tag.offset, || {
                format!("{name:?} has {} attempts more than are kept", results.left_out)
            });
        }
    }
}

/// The worst child decides; where there is none, the attributes do. Retries before the end are no results.
fn element_outcome(attributes: &Attributes<'_>, results: &Results) -> Outcome {
    match &results.main {
        // Of which kind a failure is, its element says; some producers call each one an error beside it.
        Some(main) if main.outcome.is_failure() => main.outcome,
        Some(main) => main.outcome.max(attributes.status.unwrap_or(Outcome::Passed)),
        None => attributes.status.unwrap_or(Outcome::Passed),
    }
}

/// The attempts in the order they were made. `flaky…` stand for attempts before the end; `failure` or `error`
/// stands for the first attempt where `rerun…` follow it, and for the last one otherwise.
fn attempts(attributes: &Attributes<'_>, results: Results, element: Outcome) -> Attempts {
    let Results { main, flaky, reruns, .. } = results;
    let mut main = main.unwrap_or_else(|| Attempt::plain(element, None));
    main.duration = main.duration.or(attributes.duration);
    let mut earlier = flaky;
    // Reruns without a result of the case that failed: the last attempt passed, and these came before it.
    if main.outcome.is_failure() || attributes.status.is_some() {
        let mut reruns = reruns.into_iter();
        let first = reruns.next_back().map(|last| std::mem::replace(&mut main, last));
        if let Some(first) = first {
            earlier.push(first);
            earlier.extend(reruns);
        }
    } else {
        earlier.extend(reruns);
    }
    Attempts::new(earlier, main)
}
