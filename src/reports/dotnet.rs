//! The formats of .NET: Visual Studio's TRX, NUnit 3 and xUnit.net v2.

use super::durations::{clock, seconds};
use super::limits::Limits;
use super::model::{Attempt, Format, Outcome, TestRun};
use super::names::NameRules;
use super::run::{Record, RunBuilder};
use super::unreadable::Unreadable;
use super::xml::{Tag, Token, Xml};
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
    let classes = if format == Format::Trx { classes(first, limits)? } else { HashMap::new() };
    let run = RunBuilder::new(format, text, limits, names);
    let mut reader = Reader { xml: second, run, format, classes };
    while !matches!(reader.next_element(&Place::default())?, Next::End) {}
    Ok(reader.run.finish())
}

struct Reader<'a> {
    xml: Xml<'a>,
    run: RunBuilder<'a>,
    format: Format,
    classes: HashMap<String, Class>,
}

/// What a TRX document says of a test in its definitions.
struct Class {
    name: String,
    assembly: String,
}

/// What the elements around a test say of it.
#[derive(Default, Clone)]
struct Place {
    suite: String,
    start: Option<String>,
}

enum Next {
    Element,
    Close,
    End,
}

/// The attributes that the three formats give a test or a group of tests, by what they mean.
#[derive(Default)]
struct Attributes {
    name: String,
    class: String,
    id: String,
    kind: String,
    outcome: Option<String>,
    label: String,
    time: Option<String>,
    start: Option<String>,
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
            "UnitTestResult" | "test-case" | "test" => self.test(tag, place),
            "TestRun" | "Results" | "InnerResults" | "test-run" | "assemblies" | "collection" | "class" => {
                self.group(tag, place)
            }
            "test-suite" | "assembly" => {
                let attributes = self.attributes(tag)?;
                let mut inner = place.clone();
                if tag.name() == "assembly" || attributes.kind == "Assembly" {
                    inner.suite = base_name(&attributes.name).to_owned();
                }
                self.run.started(attributes.start.clone(), None);
                inner.start = attributes.start.or(inner.start);
                self.children(&inner)
            }
            "errors" => self.environment_errors(),
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
    fn environment_errors(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.xml.next()? {
                Token::Open(tag) => {
                    let name = self.attributes(&tag)?.name;
                    self.run.warn("suite_error", tag.offset, || {
                        format!("an error outside of every test, in {name:?}: it is not counted")
                    });
                    self.xml.skip()?;
                }
                Token::Text(_) => {}
                Token::Close | Token::End => return Ok(()),
            }
        }
    }

    fn test(&mut self, tag: &Tag<'_>, place: &Place) -> Result<(), Unreadable> {
        let attributes = self.attributes(tag)?;
        let before = self.run.elements().tests;
        let failure = self.failure(place)?;
        // A data-driven test of TRX sums up the rows inside it: those are the tests.
        if self.run.elements().tests > before {
            return Ok(());
        }
        let outcome = self.outcome(&attributes, tag.offset);
        let duration = self.duration(&attributes, tag.offset);
        let (suite, class) = match self.classes.get(&attributes.id) {
            Some(class) => (class.assembly.clone(), class.name.clone()),
            None => (place.suite.clone(), attributes.class),
        };
        self.run.add(Record {
            suite: &suite,
            class: &class,
            name: attributes.name.into(),
            file: None,
            variant: "",
            offset: tag.offset,
            element: outcome,
            outcome,
            attempts: Attempt::new(outcome, duration, failure.kind, failure.message).into(),
            duration,
            reported_start: attributes.start.or_else(|| place.start.clone()),
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
                    "InnerResults" => self.children(place)?,
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

    fn outcome(&mut self, attributes: &Attributes, offset: usize) -> Outcome {
        let Some(written) = attributes.outcome.as_deref() else {
            self.run.warn("status_unknown", offset, || format!("{:?} has no outcome: read as failed", attributes.name));
            return Outcome::Failed;
        };
        match (written, attributes.label.as_str()) {
            ("Failed" | "Fail", "Error" | "Invalid" | "Cancelled") => Outcome::Error,
            ("Passed" | "Pass" | "PassedButRunAborted" | "Completed" | "Warning", _) => Outcome::Passed,
            ("Failed" | "Fail" | "Timeout", _) => Outcome::Failed,
            ("Error" | "Aborted" | "Disconnected", _) => Outcome::Error,
            (
                "Skipped" | "Skip" | "NotRun" | "NotExecuted" | "Inconclusive" | "NotRunnable" | "Pending"
                | "InProgress",
                _,
            ) => Outcome::Skipped,
            _ => {
                self.run.warn("status_unknown", offset, || format!("outcome {written:?} is not known: read as failed"));
                Outcome::Failed
            }
        }
    }

    fn duration(&mut self, attributes: &Attributes, offset: usize) -> Option<Duration> {
        let written = attributes.time.as_deref()?;
        match self.format {
            Format::Trx => clock(written),
            _ => self.run.time(seconds(written), written, offset),
        }
    }

    fn attributes(&mut self, tag: &Tag<'_>) -> Result<Attributes, Unreadable> {
        let mut attributes = Attributes::default();
        let sound = self.xml.attributes(tag, |key, value| {
            let value = value.into_owned();
            match key {
                "name" | "testName" => attributes.name = value,
                "classname" => attributes.class = value,
                "type" if tag.name() == "test" => attributes.class = value,
                "type" => attributes.kind = value,
                "testId" => attributes.id = value,
                "outcome" | "result" => attributes.outcome = Some(value),
                "label" => attributes.label = value,
                "time" | "duration" => attributes.time = Some(value),
                "startTime" | "start-time" | "start-rtf" | "timestamp" => attributes.start = Some(value),
                _ => {}
            }
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

/// The class and assembly of each test, which TRX writes after the results.
fn classes(mut xml: Xml<'_>, limits: &Limits) -> Result<HashMap<String, Class>, Unreadable> {
    let mut classes = HashMap::new();
    let mut id = String::new();
    let mut storage = String::new();
    loop {
        match xml.next()? {
            Token::Open(tag) if tag.name() == "UnitTest" => {
                (id, storage) = (String::new(), String::new());
                xml.attributes(&tag, |key, value| match key {
                    "id" => id = value.into_owned(),
                    "storage" => storage = value.into_owned(),
                    _ => {}
                })?;
            }
            Token::Open(tag) if tag.name() == "TestMethod" => {
                let mut name = String::new();
                xml.attributes(&tag, |key, value| {
                    if key == "className" {
                        // Older versions write the assembly's full name after the class.
                        value.split(',').next().unwrap_or_default().trim().clone_into(&mut name);
                    }
                })?;
                if (classes.len() as u64) < limits.cases {
                    let assembly = base_name(&storage).to_owned();
                    classes.insert(std::mem::take(&mut id), Class { name, assembly });
                }
            }
            Token::End => return Ok(classes),
            Token::Open(_) | Token::Close | Token::Text(_) => {}
        }
    }
}

/// An assembly's path differs from one checkout to the next; its name does not.
fn base_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}
