//! The formats of .NET: Visual Studio's TRX, NUnit 3 and xUnit.net v2. What only one of them has is in `trx` and `nunit`.

mod nunit;
mod trx;

use crate::reports::durations::{clock_time, seconds};
use crate::reports::limits::Limits;
use crate::reports::model::{Attempt, Format, Outcome, TestRun};
use crate::reports::names::NameRules;
use crate::reports::run::{OUTSIDE, Outside, Record, RunBuilder};
use crate::reports::unreadable::Unreadable;
use crate::reports::xml::{Tag, Token, Xml};
use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

/// The format whose document begins with this element.
pub(super) fn format_of(root: &str) -> Option<Format> {
    match root {
        "TestRun" => Some(Format::Trx),
        "test-run" => Some(Format::Nunit3),
        "assemblies" | "assembly" => Some(Format::XunitV2),
        _ => None,
    }
}

/// Reads a document of this format. `first` and `second` read the same text: TRX names its classes at the end.
pub(super) fn read<'a>(
    format: Format,
    first: Xml<'a>,
    second: Xml<'a>,
    text: &'a str,
    limits: &'a Limits,
    names: &'a NameRules,
) -> Result<TestRun, Unreadable> {
    let classes = if format == Format::Trx { trx::classes(first, limits)? } else { HashMap::new() };
    let run = RunBuilder::new(format, text, limits, names);
    let mut reader = Reader { xml: second, run, format, classes, summary: trx::Summary::default(), outside: 0 };
    while !matches!(reader.next_element(&Place::default())?, Next::End) {}
    reader.tell_summary()?;
    Ok(reader.run.finish())
}

struct Reader<'a> {
    xml: Xml<'a>,
    run: RunBuilder<'a>,
    format: Format,
    classes: HashMap<String, trx::Class>,
    summary: trx::Summary,
    /// Failures outside of every test.
    outside: u64,
}

/// What the elements around a test say of it.
#[derive(Default, Clone)]
struct Place {
    suite: String,
    start: Option<String>,
    /// The arguments of an NUnit fixture: `("chrome")` of `LoginTests("chrome")`.
    arguments: String,
}

enum Next {
    Element,
    Close,
    End,
}

/// The attributes that the three formats give a test or a group of tests, by what they mean.
#[derive(Default)]
struct Attributes<'t> {
    name: Cow<'t, str>,
    full_name: Cow<'t, str>,
    class: Cow<'t, str>,
    id: Cow<'t, str>,
    kind: Cow<'t, str>,
    outcome: Option<Cow<'t, str>>,
    label: Cow<'t, str>,
    site: Cow<'t, str>,
    run_state: Cow<'t, str>,
    time: Option<Cow<'t, str>>,
    start: Option<String>,
}

impl Attributes<'_> {
    /// NUnit gives all fixtures of one class the same `classname`, whatever their arguments. The full name has them,
    /// and where a test goes without one, so has the name of the fixture around it.
    fn class(&self, place: &Place) -> Cow<'_, str> {
        let fixture = self.full_name.strip_suffix(&*self.name).and_then(|before| before.strip_suffix('.'));
        match fixture {
            Some(fixture) if !fixture.is_empty() => Cow::Borrowed(fixture),
            _ if place.arguments.is_empty() => Cow::Borrowed(&self.class),
            _ => Cow::Owned(format!("{}{}", self.class, place.arguments)),
        }
    }
}

impl Reader<'_> {
    /// Reads the next child of an element that groups others.
    fn next_element(&mut self, place: &Place) -> Result<Next, Unreadable> {
        match self.xml.next()? {
            Token::Open(tag) => {
                self.element(&tag, place)?;
                Ok(Next::Element)
            }
            Token::Text(_) => Ok(Next::Element),
            Token::Close => Ok(Next::Close),
            Token::End => Ok(Next::End),
        }
    }

    fn element(&mut self, tag: &Tag<'_>, place: &Place) -> Result<(), Unreadable> {
        match tag.name() {
            "test-case" | "test" => self.test(tag, place),
            name if trx::is_result(name) => self.test(tag, place),
            "Results" | "InnerResults" => self.results(place),
            "ResultSummary" => self.summary(tag),
            "TestRun" | "test-run" | "assemblies" | "collection" | "class" => self.group(tag, place),
            "test-suite" => self.suite(tag, place),
            "assembly" => {
                let attributes = self.attributes(tag)?;
                let suite = base_name(&attributes.name).to_owned();
                self.run.started(attributes.start.clone(), None);
                let start = attributes.start.or_else(|| place.start.clone());
                self.children(&Place { suite, start, ..Place::default() })
            }
            "errors" => self.environment_errors(place),
            _ => self.xml.skip(),
        }
    }

    fn group(&mut self, tag: &Tag<'_>, place: &Place) -> Result<(), Unreadable> {
        let attributes = self.attributes(tag)?;
        if tag.name() == "test-run" || tag.name() == "assemblies" {
            let duration = attributes.time.as_deref().and_then(|time| seconds(time).duration);
            self.run.started(attributes.start, duration);
        }
        self.children(place)
    }

    fn children(&mut self, place: &Place) -> Result<(), Unreadable> {
        while !matches!(self.next_element(place)?, Next::Close | Next::End) {}
        Ok(())
    }

    /// xUnit's errors of fixtures and clean-up stand outside of every test.
    fn environment_errors(&mut self, place: &Place) -> Result<(), Unreadable> {
        loop {
            match self.xml.next()? {
                Token::Open(tag) => {
                    let name = self.attributes(&tag)?.name;
                    let mut budget = self.run.limits().kept_text;
                    let message = Some(self.xml.text(&mut budget)?);
                    let class = base_name(&name);
                    let outside = Outside { suite: &place.suite, class, name: OUTSIDE, offset: tag.offset, message };
                    self.fail_outside(outside, || {
                        format!("an error outside of every test, in {name:?}: it counts as an error")
                    })?;
                }
                Token::Text(_) => {}
                Token::Close | Token::End => return Ok(()),
            }
        }
    }

    fn fail_outside(&mut self, outside: Outside<'_>, told: impl FnOnce() -> String) -> Result<(), Unreadable> {
        self.outside += 1;
        self.run.add_outside(outside, told)
    }

    /// How many tests have failed so far, in whichever way.
    fn broken(&self) -> u64 {
        let counts = self.run.elements();
        counts.failed + counts.errors
    }

    fn test(&mut self, tag: &Tag<'_>, place: &Place) -> Result<(), Unreadable> {
        let mut attributes = self.attributes(tag)?;
        let (before, broken, outside) = (self.run.elements().tests, self.broken(), self.outside);
        let failure = self.failure(place)?;
        let outcome = self.outcome(&attributes, tag.offset);
        // A data-driven or an ordered test of TRX sums up the results inside it: those are the tests.
        let sums_up = self.run.elements().tests > before;
        let explained = self.broken() > broken || self.outside > outside;
        if sums_up && (explained || !outcome.is_failure()) {
            return Ok(());
        }
        let duration = if sums_up { None } else { self.duration(&attributes, tag.offset) };
        let start = attributes.start.take();
        let (suite, class) = match self.classes.get(&*attributes.id) {
            Some(class) => (class.assembly.as_str(), Cow::Borrowed(class.name.as_str())),
            None => (place.suite.as_str(), attributes.class(place)),
        };
        if sums_up {
            self.outside += 1;
            let (name, message) = (&*attributes.name, failure.message);
            return self.run.add_outside(Outside { suite, class: &class, name, offset: tag.offset, message }, || {
                format!("{name:?} failed, but no test in it did: it counts as an error")
            });
        }
        self.run.add(Record {
            suite,
            class: &class,
            name: Cow::Borrowed(&attributes.name),
            file: None,
            variant: "",
            offset: tag.offset,
            element: outcome,
            outcome,
            attempts: Attempt::new(outcome, duration, failure.kind, failure.message).into(),
            duration,
            reported_start: start.or_else(|| place.start.clone()),
        })
    }

    /// The message and the stack trace, wherever they stand inside a test; inner results are tests themselves.
    fn failure(&mut self, place: &Place) -> Result<Failure, Unreadable> {
        let mut failure = Failure::default();
        let mut budget = self.run.limits().kept_text;
        let mut depth = 0;
        loop {
            match self.xml.next()? {
                Token::Open(tag) => match tag.name() {
                    "InnerResults" => self.results(place)?,
                    "failure" => {
                        failure.kind = self.exception_type(&tag)?;
                        depth += 1;
                    }
                    "message" | "Message" | "stack-trace" | "StackTrace" => {
                        let text = self.xml.text(&mut budget)?;
                        failure.add(&text);
                        budget = budget.saturating_sub(1);
                    }
                    "reason" | "Output" | "ErrorInfo" => depth += 1,
                    _ => self.xml.skip()?,
                },
                Token::Text(_) => {}
                Token::Close if depth > 0 => depth -= 1,
                Token::Close | Token::End => return Ok(failure),
            }
        }
    }

    fn exception_type(&self, tag: &Tag<'_>) -> Result<Option<String>, Unreadable> {
        let mut kind = None;
        self.xml.attributes(tag, |key, value| {
            if key == "exception-type" && !value.is_empty() {
                kind = Some(value.into_owned());
            }
        })?;
        Ok(kind)
    }

    fn outcome(&mut self, attributes: &Attributes<'_>, offset: usize) -> Outcome {
        let Some(written) = attributes.outcome.as_deref() else {
            self.run.warn("status_unknown", offset, || {
                format!("{:?} has no outcome: it counts as an error", attributes.name)
            });
            return Outcome::Error;
        };
        match (written, &*attributes.label) {
            // NUnit's word for a test that passed and said something.
            ("Warning", _) => Outcome::Passed,
            ("Failed", "Error" | "Invalid" | "Cancelled") => Outcome::Error,
            _ => self.run.outcome(written, offset),
        }
    }

    fn duration(&mut self, attributes: &Attributes<'_>, offset: usize) -> Option<Duration> {
        let written = attributes.time.as_deref()?;
        let reading = if self.format == Format::Trx { clock_time(written) } else { seconds(written) };
        self.run.time(reading, written, offset)
    }

    fn attributes<'t>(&mut self, tag: &'t Tag<'_>) -> Result<Attributes<'t>, Unreadable> {
        let mut attributes = Attributes::default();
        let sound = self.xml.attributes(tag, |key, value| match key {
            "name" | "testName" => attributes.name = value,
            "fullname" => attributes.full_name = value,
            "classname" => attributes.class = value,
            "type" if tag.name() == "test" => attributes.class = value,
            "type" => attributes.kind = value,
            "testId" => attributes.id = value,
            "outcome" | "result" => attributes.outcome = Some(value),
            "label" => attributes.label = value,
            "site" => attributes.site = value,
            "runstate" => attributes.run_state = value,
            "time" | "duration" => attributes.time = Some(value),
            "startTime" | "start-time" | "start-rtf" | "timestamp" => attributes.start = Some(value.into_owned()),
            _ => {}
        })?;
        if !sound {
            self.run.warn("attribute_malformed", tag.offset, || {
                format!("an attribute of <{}> is not well formed", tag.name())
            });
        }
        Ok(attributes)
    }
}

#[derive(Default)]
struct Failure {
    kind: Option<String>,
    message: Option<String>,
}

impl Failure {
    fn add(&mut self, text: &str) {
        match &mut self.message {
            _ if text.is_empty() => {}
            Some(message) => {
                message.push('\n');
                message.push_str(text);
            }
            None => self.message = Some(text.to_owned()),
        }
    }
}

/// An assembly's path differs from one checkout to the next; its name does not.
fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
