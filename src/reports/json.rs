//! What the JSON formats share: telling them apart, limits, positions, and errors that name a line.

use super::decode::{Decoded, line_of};
use super::limits::Limits;
use super::model::{Attempt, Outcome, TestRun};
use super::names::NameRules;
use super::run::{NO_NAME, Record, RunBuilder};
use super::unreadable::Unreadable;
use super::{ctrf, go_test, playwright, run};
use serde::Deserialize;
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The keys by which a format is known. What stands under them is only passed over.
#[derive(Deserialize)]
#[serde(expecting = "an object")]
struct Keys {
    #[serde(rename = "Action")]
    action: Option<IgnoredAny>,
    results: Option<IgnoredAny>,
    suites: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
}

/// Reads a report that begins like JSON behind the text `before` it, or that has lines of JSON among others.
pub(super) fn read(
    decoded: &Decoded<'_>,
    before: usize,
    limits: &Limits,
    names: &NameRules,
) -> Result<TestRun, Unreadable> {
    let text = &*decoded.text;
    check_depth(text, limits)?;
    // A stream of events has one object a line; the other formats are one object.
    if text.lines().filter(|line| line.trim_start().starts_with('{')).take(3).any(go_test::is_event) {
        return go_test::read(text, limits, names);
    }
    let text = &*super::blanked(Cow::Borrowed(text), before);
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Keys>();
    match values.next() {
        Some(Ok(keys)) if keys.action.is_some() => go_test::read(text, limits, names),
        Some(Ok(keys)) if keys.config.is_some() && keys.suites.is_some() => playwright::read(text, limits, names),
        Some(Ok(keys)) if keys.results.is_some() => ctrf::read(text, limits, names),
        Some(Err(error)) if !error.is_data() => Err(unreadable(text, &error)),
        _ => Err(Unreadable::UnknownFormat {
            line: 1,
            found: "JSON that is neither CTRF (\"results\"), nor Playwright's (\"config\", \"suites\"), nor go test's"
                .to_owned(),
        }),
    }
}

/// A syntax error or an early end, as this room says it.
pub(super) fn unreadable(text: &str, error: &serde_json::Error) -> Unreadable {
    if error.is_eof() {
        let line = line_of(text.as_bytes(), text.len());
        return Unreadable::Truncated { line, inside: "in the middle of a value".to_owned() };
    }
    Unreadable::Malformed { line: error.line() as u64, reason: reason(error) }
}

/// Where a borrowed value stands in the text.
pub(super) fn offset_of(text: &str, value: &RawValue) -> usize {
    (value.get().as_ptr() as usize).saturating_sub(text.as_ptr() as usize)
}

/// The reason of an error inside one value, without its position, which counts from the value's beginning.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let reason = error.to_string();
    reason.rsplit_once(" at line ").map_or(reason.clone(), |(reason, _)| reason.to_owned())
}

/// Objects and arrays inside each other, counted in one pass, since the parser itself has a fixed limit.
fn check_depth(text: &str, limits: &Limits) -> Result<(), Unreadable> {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for (offset, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            // A quote in a line that is no JSON must not hide the lines after it: no JSON string has a line break.
            b'\n' => quoted = false,
            b'{' | b'[' if !quoted => {
                depth += 1;
                if depth > limits.depth {
                    return Err(Unreadable::TooDeep { line: line_of(text.as_bytes(), offset), limit: limits.depth });
                }
            }
            b'}' | b']' if !quoted => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

/// Hands on the values of an array one after the other, so that no more than one is held at a time.
pub(super) fn each<'a>(
    array: &'a RawValue,
    take: impl FnMut(&'a RawValue) -> Result<(), Unreadable>,
) -> Result<(), Unreadable> {
    let mut outcome = Ok(());
    // The array was found to be well formed before; what is no array at all is no list of tests.
    let visitor = Each { take, outcome: &mut outcome };
    match serde::Deserializer::deserialize_seq(&mut serde_json::Deserializer::from_str(array.get()), visitor) {
        Ok(()) => outcome,
        Err(error) => Err(Unreadable::Malformed { line: 1, reason: reason(&error) }),
    }
}

struct Each<'o, F> {
    take: F,
    outcome: &'o mut Result<(), Unreadable>,
}

impl<'a, F: FnMut(&'a RawValue) -> Result<(), Unreadable>> Visitor<'a> for Each<'_, F> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        // After an error of ours the rest is only passed over, so that the parser ends where it expects to.
        while let Some(value) = sequence.next_element::<&'a RawValue>()? {
            if self.outcome.is_ok() {
                *self.outcome = (self.take)(value);
            }
        }
        Ok(())
    }
}

/// A value that decides nothing by itself, whatever is in it: of what type a producer writes it must not cost a test.
/// Absent and `null` are the same.
#[derive(Deserialize, Default, Clone, Copy)]
#[serde(transparent)]
pub(super) struct Loose<'a>(#[serde(borrow)] Option<&'a RawValue>);

impl<'a> Loose<'a> {
    fn read<T: Deserialize<'a>>(self) -> Option<T> {
        serde_json::from_str(self.0?.get()).ok()
    }

    /// The value where it has this type, as it is meant.
    pub fn get<T: Deserialize<'a>>(self, run: &mut RunBuilder<'_>, field: &str, offset: usize) -> Option<T> {
        self.meant(run, field, offset, Self::read)
    }

    /// A text; a number is one too.
    pub fn text(self, run: &mut RunBuilder<'_>, field: &str, offset: usize) -> Option<String> {
        self.meant(run, field, offset, |value| match value.read()? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// A number; a text that says one is one too.
    pub fn number(self, run: &mut RunBuilder<'_>, field: &str, offset: usize) -> Option<f64> {
        self.meant(run, field, offset, |value| value.read().or_else(|| value.read::<String>()?.trim().parse().ok()))
    }

    /// Yes or no; a text that says so is one too.
    pub fn truth(self, run: &mut RunBuilder<'_>, field: &str, offset: usize) -> Option<bool> {
        self.meant(run, field, offset, |value| {
            value.read().or_else(|| value.read::<String>()?.trim().to_ascii_lowercase().parse().ok())
        })
    }

    fn meant<T>(
        self,
        run: &mut RunBuilder<'_>,
        field: &str,
        offset: usize,
        read: impl FnOnce(Self) -> Option<T>,
    ) -> Option<T> {
        let written = self.0?.get();
        let meant = read(self);
        if meant.is_none() {
            run.warn("field_unreadable", offset, || {
                format!("{field} is left out: it is {}", run::cut(&super::decode::without_controls(written), 60))
            });
        }
        meant
    }
}

/// Counts a test of which nothing else can be read as an error: a test that was left out would be one that passed.
pub(super) fn unreadable_test(
    run: &mut RunBuilder<'_>,
    suite: &str,
    name: Option<&str>,
    offset: usize,
    error: &serde_json::Error,
) -> Result<(), Unreadable> {
    let said = reason(error);
    run.warn("test_unreadable", offset, || format!("a test cannot be read and counts as an error: {said}"));
    let message = Some(format!("it stands in the report, but cannot be read: {said}"));
    let attempt = Attempt::new(Outcome::Error, None, Some("unreadable".to_owned()), message);
    run.add(Record {
        suite,
        class: suite,
        name: name.filter(|name| !name.is_empty()).unwrap_or(NO_NAME).into(),
        file: None,
        variant: "",
        offset,
        element: Outcome::Error,
        outcome: Outcome::Error,
        attempts: attempt.into(),
        duration: None,
        reported_start: None,
    })
}

/// The text under a key of a value that is otherwise not as it should be.
pub(super) fn text_in(value: &RawValue, key: &str) -> Option<String> {
    serde_json::from_str::<Value>(value.get()).ok()?.get(key)?.as_str().map(str::to_owned)
}

/// Message and text of a failure in one, up to the limit.
pub(super) fn message(parts: [Option<&str>; 2], limit: usize) -> Option<String> {
    let [message, trace] = parts.map(|part| part.filter(|part| !part.trim().is_empty()));
    let whole = match (message, trace) {
        (Some(message), Some(trace)) if !trace.contains(message.trim()) => format!("{message}\n{trace}"),
        (message, trace) => trace.or(message)?.to_owned(),
    };
    Some(super::decode::without_controls(run::cut(&whole, limit)).into_owned())
}
