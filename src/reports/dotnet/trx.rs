//! What only TRX has: results of many kinds, classes that stand apart from them, and what happened to the whole run.

use super::{Place, Reader, base_name};
use crate::reports::limits::Limits;
use crate::reports::model::Outcome;
use crate::reports::run::{OUTSIDE, Outside, cut};
use crate::reports::unreadable::Unreadable;
use crate::reports::words;
use crate::reports::xml::{Tag, Token, Xml};
use std::collections::HashMap;

/// What a document says of a test in its definitions.
pub(super) struct Class {
    pub name: String,
    pub assembly: String,
}

/// What a document says of the run as a whole, before or after the results.
#[derive(Default)]
pub(super) struct Summary {
    /// Where it says that the run failed, and the word.
    failed: Option<(usize, String)>,
    /// Errors of the run itself, such as a test host that crashed.
    errors: Vec<(usize, String)>,
}

/// Whether this element is the result of a test, or of several in order or by rows: a unit test, a generic, a manual, a
/// web or a load test.
pub(super) fn is_result(name: &str) -> bool {
    name.ends_with("Result") || name == "TestResultAggregation"
}

impl Reader<'_> {
    pub(super) fn results(&mut self, place: &Place) -> Result<(), Unreadable> {
        loop {
            match self.xml.next()? {
                Token::Open(tag) if is_result(tag.name()) => self.test(&tag, place)?,
                Token::Open(tag) => {
                    self.run.warn("result_unknown", tag.offset, || {
                        format!("<{}> among the results is not known: it is not counted", cut(tag.name(), 100))
                    });
                    self.xml.skip()?;
                }
                Token::Text(_) => {}
                Token::Close | Token::End => return Ok(()),
            }
        }
    }

    /// Some versions write it before the results, so that it is only noted here.
    pub(super) fn summary(&mut self, tag: &Tag<'_>) -> Result<(), Unreadable> {
        let outcome = self.attributes(tag)?.outcome.unwrap_or_default();
        if is_failure(&outcome) {
            self.summary.failed = Some((tag.offset, outcome.into_owned()));
        }
        let mut depth = 0;
        loop {
            match self.xml.next()? {
                Token::Open(tag) if tag.name() == "RunInfos" => depth += 1,
                Token::Open(tag) if tag.name() == "RunInfo" => {
                    let outcome = self.attributes(&tag)?.outcome.unwrap_or_default();
                    let text = self.xml.text(&mut 1_000)?;
                    if is_failure(&outcome) && self.summary.errors.len() < self.run.limits().warnings {
                        self.summary.errors.push((tag.offset, text));
                    }
                }
                Token::Open(_) => self.xml.skip()?,
                Token::Text(_) => {}
                Token::Close if depth > 0 => depth -= 1,
                Token::Close | Token::End => return Ok(()),
            }
        }
    }

    /// Tells what of the run's failure no test explains.
    pub(super) fn tell_summary(&mut self) -> Result<(), Unreadable> {
        let Summary { failed, errors } = std::mem::take(&mut self.summary);
        let tests_failed = self.broken() > 0;
        for (offset, text) in errors {
            // xUnit.net's adapter says each failed test here again, and the test platform its exit code for that.
            let of_tests = text.ends_with("[FAIL]") || text.starts_with("Exit code indicates failure: '2'");
            if !(of_tests && tests_failed) {
                let line = text.lines().next().unwrap_or_default().to_owned();
                self.fail_outside(of_run(offset, Some(text)), || format!("an error outside of every test: {line}"))?;
            }
        }
        if let Some((offset, word)) = failed.filter(|_| !tests_failed && self.outside == 0) {
            self.fail_outside(of_run(offset, None), || {
                format!("the run ended as {word:?}, but no test did: it counts as an error")
            })?;
        }
        Ok(())
    }
}

/// A failure of the run itself.
fn of_run(offset: usize, message: Option<String>) -> Outside<'static> {
    Outside { suite: "", class: "", name: OUTSIDE, offset, message }
}

fn is_failure(outcome: &str) -> bool {
    // A test may have passed then; the run has not.
    outcome.eq_ignore_ascii_case("PassedButRunAborted") || words::outcome(outcome).is_some_and(Outcome::is_failure)
}

/// The class and assembly of each test, which most versions write after the results.
pub(super) fn classes(mut xml: Xml<'_>, limits: &Limits) -> Result<HashMap<String, Class>, Unreadable> {
    let mut classes = HashMap::new();
    let (mut id, mut assembly) = (String::new(), String::new());
    loop {
        match xml.next()? {
            // Only a unit test has a class; the others are known by the file they stand in.
            Token::Open(tag) if tag.name().ends_with("Test") => {
                (id, assembly) = (String::new(), String::new());
                xml.attributes(&tag, |key, value| match key {
                    "id" => id = value.into_owned(),
                    "storage" => base_name(&value).clone_into(&mut assembly),
                    _ => {}
                })?;
                if tag.name() != "UnitTest" && (classes.len() as u64) < limits.cases {
                    let class = Class { name: String::new(), assembly: std::mem::take(&mut assembly) };
                    classes.insert(std::mem::take(&mut id), class);
                }
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
                    let assembly = std::mem::take(&mut assembly);
                    classes.insert(std::mem::take(&mut id), Class { name, assembly });
                }
            }
            Token::End => return Ok(classes),
            Token::Open(_) | Token::Close | Token::Text(_) => {}
        }
    }
}
