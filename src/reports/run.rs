//! Gathers what a reader finds into a run: identities, counts, warnings, and repeated records folded into one.

use super::decode::newlines;
use super::durations::Reading;
use super::limits::Limits;
use super::model::{Attempt, Attempts, Counts, Execution, Format, Outcome, TestIdentity, TestPlace, TestRun, Warning};
use super::names::NameRules;
use super::places::{Places, Written};
use super::unreadable::Unreadable;
use super::words;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// One record of a report, as it stands there.
pub(crate) struct Record<'a> {
    pub suite: &'a str,
    pub class: &'a str,
    pub name: Cow<'a, str>,
    pub file: Option<&'a str>,
    pub variant: &'a str,
    /// Where it stands in the text, for warnings.
    pub offset: usize,
    /// How the element counts, nothing folded.
    pub element: Outcome,
    /// How it ended after the retries that the record itself tells of.
    pub outcome: Outcome,
    /// The attempts, oldest first.
    pub attempts: Attempts,
    pub duration: Option<Duration>,
    pub reported_start: Option<String>,
}

/// A failure outside of every test: of a suite's set-up or clean-up, or of a whole run.
pub(crate) struct Outside<'a> {
    pub suite: &'a str,
    pub class: &'a str,
    /// What names it, as [`OUTSIDE`] where nothing does.
    pub name: &'a str,
    /// Where it stands in the text, for its warning.
    pub offset: usize,
    pub message: Option<String>,
}

impl<'a> From<Outside<'a>> for Record<'a> {
    /// A test that ended with an error.
    fn from(outside: Outside<'a>) -> Self {
        let Outside { suite, class, name, offset, message } = outside;
        let message = message.filter(|text| !text.is_empty());
        Self {
            suite,
            class,
            name: name.into(),
            file: None,
            variant: "",
            offset,
            element: Outcome::Error,
            outcome: Outcome::Error,
            attempts: Attempt::new(Outcome::Error, None, None, message).into(),
            duration: None,
            reported_start: None,
        }
    }
}

/// Names what failed outside of tests, as `go-junit-report` names what failed of a package.
pub(crate) const OUTSIDE: &str = "[failed outside of tests]";

/// Stands where a test has no name. It says nothing of its position, which another test would have in the next run.
pub(crate) const NO_NAME: &str = "(no name)";

/// What a repeated record of the same test means to its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeats {
    /// The producer writes one record an attempt.
    Retries,
    /// The producer writes one record an attempt, but earlier ones without their failure.
    RetriesWithoutResults,
    /// The format tells a retry otherwise or not at all: such records are rows of a test whose names do not tell them
    /// apart, or the test of several targets. The worst of them counts, and none is an attempt at another.
    Rows,
    /// Nothing is known of the producer's habit: folded like retries, with a warning.
    Unknown,
}

/// A run being read.
pub(crate) struct RunBuilder<'r> {
    run: TestRun,
    limits: &'r Limits,
    names: &'r NameRules,
    lines: Lines<'r>,
    repeats: Repeats,
    // It knows names as they are written: two parameters that only differ in a random part are two tests.
    places: Places,
    /// How many failures outside of tests there were.
    outside: u64,
    /// Executions whose names lost a part that may be a parameter's value, with their names before.
    doubtful: Vec<(usize, String)>,
}

impl<'r> RunBuilder<'r> {
    pub fn new(format: Format, text: &'r str, limits: &'r Limits, names: &'r NameRules) -> Self {
        Self {
            repeats: match format {
                Format::Junit => Repeats::Unknown,
                Format::GoTestJson => Repeats::Retries,
                Format::Ctrf | Format::PlaywrightJson | Format::Trx | Format::Nunit3 | Format::XunitV2 => Repeats::Rows,
            },
            run: TestRun {
                format,
                elements: Counts::default(),
                executions: Vec::new(),
                warnings: Vec::new(),
                warnings_left_out: 0,
                reported_start: None,
                duration: None,
            },
            limits,
            names,
            lines: Lines { bytes: text.as_bytes(), offset: 0, line: 1 },
            places: Places::new(),
            outside: 0,
            doubtful: Vec::new(),
        }
    }

    pub fn limits(&self) -> &'r Limits {
        self.limits
    }

    /// How many elements of each outcome were counted so far.
    pub fn elements(&self) -> Counts {
        self.run.elements
    }

    /// Says what a repeated record means from here on.
    pub fn repeats_are(&mut self, repeats: Repeats) {
        self.repeats = repeats;
    }

    /// The run's own start and duration; the first that is given counts.
    pub fn started(&mut self, start: Option<String>, duration: Option<Duration>) {
        self.run.reported_start = self.run.reported_start.take().or(start);
        self.run.duration = self.run.duration.or(duration);
    }

    /// Notes a warning; over the limit it is only counted, and the text is not even made.
    pub fn warn(&mut self, code: &'static str, offset: usize, text: impl FnOnce() -> String) {
        if self.run.warnings.len() < self.limits.warnings {
            let line = self.lines.of(offset);
            self.run.warnings.push(Warning { code, line, text: text() });
        } else {
            self.run.warnings_left_out += 1;
        }
    }

    /// Takes a time as it was read, and warns where something had to be guessed or left out.
    pub fn time(&mut self, reading: Reading, written: &str, offset: usize) -> Option<Duration> {
        if let Some(code) = reading.warning {
            self.warn(code, offset, || match reading.duration {
                Some(duration) => format!("time {written:?} is read as {} s", duration.as_secs_f64()),
                None => format!("time {written:?} is left out"),
            });
        }
        reading.duration
    }

    /// What a word says of how a test ended. One that is not known counts as an error, so that it is never mistaken for
    /// a pass or for a test that did not matter.
    pub fn outcome(&mut self, word: &str, offset: usize) -> Outcome {
        words::outcome(word).unwrap_or_else(|| {
            let word = cut(word, 100);
            self.warn("status_unknown", offset, || format!("status {word:?} is not known: it counts as an error"));
            Outcome::Error
        })
    }

    /// Adds a record: as a test of its own, or folded into the one before it of the same name.
    pub fn add(&mut self, record: Record<'_>) -> Result<(), Unreadable> {
        self.run.elements.add(record.element);
        if self.run.elements.tests > self.limits.cases {
            let line = self.lines.of(record.offset);
            return Err(Unreadable::TooManyCases { line, limit: self.limits.cases });
        }
        self.put(record)
    }

    /// Adds a failure outside of every test as a test that ended with an error, with a warning: a run that failed must
    /// not look like one in which all is well. It is no element, since no test case stands there.
    pub fn add_outside(&mut self, outside: Outside<'_>, told: impl FnOnce() -> String) -> Result<(), Unreadable> {
        let offset = outside.offset;
        // They must not be without end, though they are no elements.
        self.outside += 1;
        if self.outside > self.limits.cases {
            return Err(Unreadable::TooManyCases { line: self.lines.of(offset), limit: self.limits.cases });
        }
        self.warn("suite_error", offset, told);
        self.put(outside.into())
    }

    fn put(&mut self, mut record: Record<'_>) -> Result<(), Unreadable> {
        if record.name.is_empty() {
            self.warn("name_missing", record.offset, || "a test case has no name".to_owned());
            record.name = NO_NAME.into();
        }
        self.go_to(&record);
        self.warn_of_length(&record.name, record.offset);
        let (name, before) = self.names.test(cut(&record.name, self.limits.name));
        let test = TestIdentity { place: self.places.here(), name: name.into_owned() };
        let executions = &self.run.executions;
        let further = self.places.note(&record.name, executions.len(), |known| executions[known].test == test);
        match further {
            // What failed at one place is one error; each has its warning.
            Some(_) if record.name == OUTSIDE => {}
            // Two tests without a name are hardly one that was tried again.
            Some(index) if self.repeats == Repeats::Rows || record.name == NO_NAME => self.fold_row(index, record),
            Some(index) => self.fold(index, record.outcome, record.attempts, record.duration, record.offset),
            None => {
                self.doubtful.extend(before.map(|name| (self.run.executions.len(), name)));
                self.run.executions.push(Execution {
                    test,
                    outcome: record.outcome,
                    flaky: is_flaky(record.outcome, &record.attempts),
                    duration: record.duration,
                    attempts: record.attempts,
                    reported_start: record.reported_start,
                });
            }
        }
        Ok(())
    }

    /// The run, read to its end.
    pub fn finish(mut self) -> TestRun {
        if self.run.executions.is_empty() {
            self.warn("no_tests", usize::MAX, || "there is no test case in this report".to_owned());
        }
        self.keep_parameters();
        self.run
    }

    /// Names of one report that differ only in what was taken for random are those of a test with several parameters:
    /// all of them keep it, in whatever order they stand.
    fn keep_parameters(&mut self) {
        let doubtful = std::mem::take(&mut self.doubtful);
        let executions = &self.run.executions;
        let mut names: HashMap<&TestIdentity, &str> = HashMap::new();
        let mut several: HashSet<&TestIdentity> = HashSet::new();
        for (index, name) in &doubtful {
            let test = &executions[*index].test;
            if *names.entry(test).or_insert(name) != name {
                several.insert(test);
            }
        }
        let kept: Vec<bool> = doubtful.iter().map(|(index, _)| several.contains(&executions[*index].test)).collect();
        for ((index, name), _) in doubtful.into_iter().zip(kept).filter(|(_, kept)| *kept) {
            self.run.executions[index].test.name = name;
        }
    }

    /// The last record decides, unless it is a skip: a skipped test has no result that could replace another.
    /// It is flaky only when a failure was written down before the final pass.
    fn fold(&mut self, index: usize, outcome: Outcome, attempts: Attempts, duration: Option<Duration>, offset: usize) {
        let known = &mut self.run.executions[index];
        let unexplained = self.repeats == Repeats::RetriesWithoutResults
            && !known.attempts.iter().any(|attempt| attempt.outcome.is_failure());
        known.attempts.extend(attempts);
        if outcome.is_decisive() || !known.outcome.is_decisive() {
            known.outcome = outcome;
        }
        known.flaky = is_flaky(known.outcome, &known.attempts);
        known.duration = sum(known.duration, duration);
        let name = self.run.executions[index].test.name.clone();
        match self.repeats {
            _ if unexplained => self.warn("retry_unexplained", offset, || {
                format!("{name:?} was tried again, but the report does not say how the earlier attempt ended")
            }),
            Repeats::Unknown => self.warn("duplicate_test", offset, || {
                format!("{name:?} stands here again with the same suite and class: read as a further attempt")
            }),
            Repeats::Retries | Repeats::RetriesWithoutResults | Repeats::Rows => {}
        }
    }

    /// The worst row is the test, with its own attempts alone: a row that passed after another one failed is no retry.
    /// A row that was skipped has no result that could be the worst.
    fn fold_row(&mut self, index: usize, row: Record<'_>) {
        let rank = |outcome: Outcome, flaky| (outcome.is_decisive(), outcome, flaky);
        let known = &mut self.run.executions[index];
        let flaky = is_flaky(row.outcome, &row.attempts);
        if rank(row.outcome, flaky) > rank(known.outcome, known.flaky) {
            (known.outcome, known.flaky, known.attempts) = (row.outcome, flaky, row.attempts);
        }
        known.duration = sum(known.duration, row.duration);
        let name = known.test.name.clone();
        self.warn("duplicate_test", row.offset, || {
            format!("{name:?} stands here again with the same suite and class: the worst of its results counts")
        });
    }

    fn go_to(&mut self, record: &Record<'_>) {
        let Record { suite, class, file, variant, .. } = *record;
        let written = Written { suite, class, file, variant };
        if self.places.stands_at(&written) {
            return;
        }
        for part in [suite, class, file.unwrap_or_default(), variant] {
            self.warn_of_length(part, record.offset);
        }
        let (names, limit) = (self.names, self.limits.name);
        self.places.go_to(&written, || TestPlace {
            suite: names.suite(cut(suite, limit)).into_owned(),
            class: names.name(cut(class, limit)).into_owned(),
            file: file.map(|file| names.file(cut(file, limit)).into_owned()),
            variant: cut(variant, limit).to_owned(),
        });
    }

    fn warn_of_length(&mut self, name: &str, offset: usize) {
        let limit = self.limits.name;
        if name.len() > limit {
            self.warn("name_cut", offset, || format!("a name of {} bytes is cut to {limit}", name.len()));
        }
    }
}

/// Whether a pass came after a failure that the report names.
fn is_flaky(outcome: Outcome, attempts: &[Attempt]) -> bool {
    outcome == Outcome::Passed && attempts.len() > 1 && attempts.iter().any(|attempt| attempt.outcome.is_failure())
}

fn sum(before: Option<Duration>, now: Option<Duration>) -> Option<Duration> {
    match (before, now) {
        (Some(before), Some(now)) => Some(before.saturating_add(now)),
        (before, now) => before.or(now),
    }
}

/// The head of a text, cut between two characters.
pub(crate) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Lines of offsets that mostly grow: counts on from the last one.
struct Lines<'t> {
    bytes: &'t [u8],
    offset: usize,
    line: u64,
}

impl Lines<'_> {
    fn of(&mut self, offset: usize) -> u64 {
        let offset = offset.min(self.bytes.len());
        if offset < self.offset {
            (self.offset, self.line) = (0, 1);
        }
        self.line += newlines(&self.bytes[self.offset..offset]);
        self.offset = offset;
        self.line
    }
}
