//! JUnit XML in every dialect: suites inside suites, cases, their results, and what the suites declare.
//!
//! What a test case element says is read in `case`; this file walks the tree around it.

mod case;

use super::durations::seconds;
use super::limits::Limits;
use super::model::{Counts, Format, TestRun};
use super::names::NameRules;
use super::run::{OUTSIDE, Outside, Repeats, RunBuilder};
use super::unreadable::Unreadable;
use super::xml::{Tag, Token, Xml};
use crate::words;
use std::borrow::Cow;

/// A document being read.
struct Junit<'a> {
    xml: Xml<'a>,
    run: RunBuilder<'a>,
    /// The root says that it was written by Playwright: its suites name the browser project as their host.
    playwright: bool,
    /// The file of the suites that follow and name none themselves: so mocha's reporter writes what Cypress runs.
    file: Option<String>,
}

/// What a suite says about the cases in it.
#[derive(Default, Clone)]
struct Suite {
    /// The names of the suites around it and its own.
    name: String,
    file: Option<String>,
    hostname: Option<String>,
    offset: usize,
    declared: Declared,
}

/// The counters of a suite: compared with what is there, never used.
#[derive(Default, Clone, Copy)]
struct Declared {
    tests: Option<u64>,
    failures: Option<u64>,
    errors: Option<u64>,
    /// PHPUnit's, which it counts beside the failures.
    warnings: Option<u64>,
}

/// The groups of producers that never write a retry, so that what stands there twice is tests of one name in two files.
const NEVER_A_RETRY: [&str; 3] = ["jest tests", "vitest tests", "Mocha Tests"];

/// The suite that stands before the others of a file in what mocha's reporter writes.
const ROOT_SUITE: &str = "Root Suite";

/// Reads a document whose first element is a suite, a group of suites, or a case.
pub(super) fn read<'a>(
    xml: Xml<'a>,
    text: &'a str,
    limits: &'a Limits,
    names: &'a NameRules,
) -> Result<TestRun, Unreadable> {
    let mut junit =
        Junit { xml, run: RunBuilder::new(Format::Junit, text, limits, names), playwright: false, file: None };
    junit.document()?;
    Ok(junit.run.finish())
}

/// Whether a document that begins with this element is read here.
pub(super) fn is_root(name: &str) -> bool {
    matches!(name, "testsuites" | "testsuite" | "testcase" | "testrun")
}

impl Junit<'_> {
    /// Several runners append to one file: every root is read.
    fn document(&mut self) -> Result<(), Unreadable> {
        let mut roots = 0;
        loop {
            match self.xml.next()? {
                Token::Open(tag) => {
                    roots += 1;
                    // What a root before it says of its producer does not hold for this one.
                    self.run.repeats_are(Repeats::Unknown);
                    (self.file, self.playwright) = (None, false);
                    if roots == 2 {
                        let name = tag.name().to_owned();
                        self.run.warn("several_roots", tag.offset, || {
                            format!("a second root <{name}> follows: it is read too")
                        });
                    }
                    match tag.name() {
                        "testsuites" | "testrun" => self.group(&tag)?,
                        _ => self.element(&tag, &Suite::default())?,
                    }
                }
                Token::Text(text) if !text.is_blank() => {
                    let at = self.xml.position();
                    self.run.warn("text_outside", at, || "text outside of the root element is passed over".to_owned());
                }
                Token::Text(_) | Token::Close => {}
                Token::End => return Ok(()),
            }
        }
    }

    /// The outermost element. Its name is the whole run's and no part of a test's identity.
    fn group(&mut self, tag: &Tag<'_>) -> Result<(), Unreadable> {
        let before = self.run.elements();
        let mut group = self.suite_attributes(tag, &Suite::default())?;
        let mut duration = None;
        let mut has_id = false;
        self.xml.attributes(tag, |key, value| match key {
            "time" => duration = seconds(&value).duration,
            "id" => has_id = true,
            _ => {}
        })?;
        self.run.started(None, duration);
        self.playwright = has_id;
        if NEVER_A_RETRY.contains(&group.name.as_str()) {
            self.run.repeats_are(Repeats::Rows);
        }
        group.name.clear();
        self.children(&group)?;
        self.compare(&group, before);
        Ok(())
    }

    fn suite(&mut self, tag: &Tag<'_>, outer: &Suite) -> Result<(), Unreadable> {
        let before = self.run.elements();
        let mut suite = self.suite_attributes(tag, outer)?;
        if suite.name == ROOT_SUITE {
            self.file.clone_from(&suite.file);
        }
        suite.file = suite.file.or_else(|| self.file.clone());
        self.children(&suite)?;
        self.compare(&suite, before);
        Ok(())
    }

    fn children(&mut self, suite: &Suite) -> Result<(), Unreadable> {
        loop {
            match self.xml.next()? {
                Token::Open(tag) => self.element(&tag, suite)?,
                Token::Text(_) => {}
                Token::Close | Token::End => return Ok(()),
            }
        }
    }

    fn element(&mut self, tag: &Tag<'_>, suite: &Suite) -> Result<(), Unreadable> {
        match tag.name() {
            "testcase" => self.case(tag, suite),
            "testsuite" | "testsuites" => self.suite(tag, suite),
            "properties" => self.properties(),
            "failure" | "error" => self.failed_outside(tag, suite),
            _ => self.xml.skip(),
        }
    }

    /// A suite may fail by itself, as by its clean-up.
    fn failed_outside(&mut self, tag: &Tag<'_>, suite: &Suite) -> Result<(), Unreadable> {
        let mut message = String::new();
        self.xml.attributes(tag, |key, value| {
            if key == "message" {
                message = value.into_owned();
            }
        })?;
        let mut budget = self.run.limits().kept_text;
        let text = self.xml.text(&mut budget)?;
        if message.is_empty() {
            message = text;
        }
        let message = Some(message);
        let outside = Outside { suite: &suite.name, class: "", name: OUTSIDE, offset: tag.offset, message };
        let element = tag.name();
        self.run.add_outside(outside, || {
            format!("<{element}> outside of every test case, in suite {:?}: it counts as an error", suite.name)
        })
    }

    /// Properties tell which producer wrote the suite, and so what a repeated record means.
    fn properties(&mut self) -> Result<(), Unreadable> {
        loop {
            match self.xml.next()? {
                Token::Open(tag) => {
                    let mut go = false;
                    self.xml.attributes(&tag, |key, value| go |= key == "name" && value == "go.version")?;
                    if go {
                        self.run.repeats_are(Repeats::Retries);
                    }
                    self.xml.skip()?;
                }
                Token::Text(_) => {}
                Token::Close | Token::End => return Ok(()),
            }
        }
    }

    fn suite_attributes(&mut self, tag: &Tag<'_>, outer: &Suite) -> Result<Suite, Unreadable> {
        let mut suite = Suite { offset: tag.offset, file: outer.file.clone(), ..Suite::default() };
        let mut name = String::new();
        let mut start = None;
        let sound = self.xml.attributes(tag, |key, value| match key {
            "name" => name = value.into_owned(),
            "file" | "filepath" => suite.file = Some(value.into_owned()).filter(|file| !file.is_empty()),
            "hostname" => suite.hostname = Some(value.into_owned()),
            "timestamp" => start = Some(value.into_owned()),
            "tests" => suite.declared.tests = counter(&value),
            "failures" => suite.declared.failures = counter(&value),
            "errors" => suite.declared.errors = counter(&value),
            "warnings" => suite.declared.warnings = counter(&value),
            _ => {}
        })?;
        self.warn_of_attributes(sound, tag);
        self.run.started(start, None);
        if name == "pytest" {
            self.run.repeats_are(Repeats::RetriesWithoutResults);
        }
        suite.name = join(&outer.name, &name).into_owned();
        suite.hostname = suite.hostname.or_else(|| outer.hostname.clone());
        Ok(suite)
    }

    fn warn_of_attributes(&mut self, sound: bool, tag: &Tag<'_>) {
        if !sound {
            let name = tag.name();
            self.run.warn("attribute_malformed", tag.offset, || {
                format!("an attribute of <{name}> is not well formed, or names an unknown entity")
            });
        }
    }

    /// Counters lie in one report of ten: what is there counts, and the difference is said.
    fn compare(&mut self, suite: &Suite, before: Counts) {
        let now = self.run.elements();
        let counted = |now: u64, before: u64| now - before;
        let tests = counted(now.tests, before.tests);
        let broken = counted(now.failed + now.errors, before.failed + before.errors);
        let declared = suite.declared;
        let declared_broken = match (declared.failures, declared.errors) {
            (None, None) => None,
            (failures, errors) => Some(failures.unwrap_or(0).saturating_add(errors.unwrap_or(0))),
        };
        let broken_may_be =
            |count: u64| (count..=count.saturating_add(declared.warnings.unwrap_or(0))).contains(&broken);
        let differ = declared.tests.is_some_and(|count| count != tests)
            || declared_broken.is_some_and(|count| !broken_may_be(count));
        if differ {
            self.run.warn("counters_differ", suite.offset, || {
                let told = |count: Option<u64>, one, many| match count {
                    Some(count) => words::plain(&words::counted(count, one, many)),
                    None => format!("no {many}"),
                };
                format!(
                    "suite {:?} declares {} and {}; {tests} and {broken} are there",
                    suite.name,
                    told(declared.tests, "test", "tests"),
                    told(declared_broken, "failure or error", "failures and errors"),
                )
            });
        }
    }
}

fn counter(value: &str) -> Option<u64> {
    value.trim().parse().ok()
}

/// The names of suites inside each other, outermost first, each said once. A configuration file's path, with
/// which PHPUnit names its outermost suite, differs from one checkout to the next and is left out.
fn join<'n>(outer: &'n str, inner: &'n str) -> Cow<'n, str> {
    let is_configuration = inner.contains(['/', '\\']) && (inner.ends_with(".xml") || inner.ends_with(".xml.dist"));
    if is_configuration || inner.is_empty() {
        return Cow::Borrowed(outer);
    }
    let last = outer.rsplit(" > ").next().unwrap_or(outer);
    if outer.is_empty() {
        Cow::Borrowed(inner)
    } else if last == inner {
        Cow::Borrowed(outer)
    } else {
        Cow::Owned(format!("{outer} > {inner}"))
    }
}
