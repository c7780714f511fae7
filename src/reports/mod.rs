//! Bytes of a test report in, a [`TestRun`] out: pure, streaming, lenient, with limits.
//!
//! This room does no I/O and reads no clock. It never trusts a counter: it counts elements. What it has to
//! guess, mend or leave out becomes a [`Warning`] with a line; what it cannot use is [`Unreadable`], never
//! a run without tests. `docs/report-formats.md` says how each producer is read.

mod ctrf;
mod decode;
mod dotnet;
mod durations;
mod go_test;
mod json;
mod junit;
mod limits;
pub mod model;
mod names;
mod places;
mod playwright;
mod run;
mod unreadable;
mod words;
mod xml;

pub use limits::Limits;
pub use model::{Attempt, Attempts, Counts, Execution, Format, Outcome, TestIdentity, TestPlace, TestRun, Warning};
pub use names::{BadNameRule, NameRules};
pub use unreadable::Unreadable;

use decode::Decoded;
use std::borrow::Cow;
use std::sync::LazyLock;
use xml::{Token, Xml};

/// Reads a report in whichever format its content shows, with the default rules for names.
///
/// # Errors
/// When the report cannot be used at all; see [`Unreadable`].
pub fn read(bytes: &[u8], limits: &Limits) -> Result<TestRun, Unreadable> {
    static DEFAULT_NAMES: LazyLock<NameRules> = LazyLock::new(NameRules::default);
    read_with(bytes, limits, &DEFAULT_NAMES)
}

/// Reads a report, its names normalised by these rules. Build the rules once and use them for many reports.
///
/// # Errors
/// When the report cannot be used at all; see [`Unreadable`].
pub fn read_with(bytes: &[u8], limits: &Limits, names: &NameRules) -> Result<TestRun, Unreadable> {
    if bytes.len() > limits.bytes {
        return Err(Unreadable::TooLarge { size: bytes.len(), limit: limits.bytes });
    }
    let mut decoded = decode::decode(bytes)?;
    let Some(begin) = begin(&decoded.text) else { return Err(unknown(&decoded.text)) };
    let report = &decoded.text[begin..];
    let before = if decoded.text[..begin].trim_start().is_empty() { 0 } else { begin };
    let mut run = match report.as_bytes() {
        _ if is_html(report) => {
            let line = decode::line_of(decoded.text.as_bytes(), begin);
            Err(Unreadable::UnknownFormat { line, found: "an HTML page".to_owned() })
        }
        [b'<', ..] => {
            decoded.text = blanked(decoded.text, before);
            read_xml(&decoded, limits, names)
        }
        _ => {
            // Nothing is removed from it before it is read, and only what could be read is kept.
            decoded.without_controls(&decoded.text, 0);
            json::read(&decoded, before, limits, names)
        }
    }?;
    // A stream of events may have other lines anywhere, and tells each of them.
    if before > 0 && run.format != Format::GoTestJson {
        let text = "text before the report is passed over".to_owned();
        run.warnings.insert(0, Warning { code: "text_outside", line: 1, text });
    }
    warn_of_decoding(&mut run, &decoded);
    Ok(run)
}

/// Where the report begins: with the text, or behind what a script printed into the same file.
fn begin(text: &str) -> Option<usize> {
    let start = text.len() - text.trim_start().len();
    let is_list = |text: &str| {
        let inner = text.strip_prefix('[').map(str::trim_start);
        inner.is_some_and(|inner| inner.is_empty() || inner.starts_with(['{', '[', '"', ']']))
    };
    if text[start..].starts_with(['<', '{']) || is_list(&text[start..]) {
        return Some(start);
    }
    let is_report = |line: &str| {
        let end = |rest: &str| rest.find(|one: char| !one.is_ascii_alphanumeric() && one != '-').unwrap_or(rest.len());
        let is_element = |rest: &str| rest.starts_with("?xml") || is_root(&rest[..end(rest)]);
        line.starts_with('{') || line.strip_prefix('<').is_some_and(is_element)
    };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim_start();
        if is_report(trimmed) {
            return Some(offset + line.len() - trimmed.len());
        }
        offset += line.len();
    }
    None
}

/// The text with spaces for what stands before the report, so that the report's lines and offsets stay what they are.
fn blanked(text: Cow<'_, str>, before: usize) -> Cow<'_, str> {
    if before == 0 {
        return text;
    }
    let (head, report) = text.split_at(before);
    let blank = head.bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' });
    Cow::Owned(blank.chain(report.chars()).collect())
}

fn is_html(text: &str) -> bool {
    let begins_with = |tag: &str| text.get(..tag.len()).is_some_and(|head| head.eq_ignore_ascii_case(tag));
    begins_with("<!doctype html") || begins_with("<html")
}

/// The first element decides. A reader of its own looks for it, so that the dialect's reader sees it too.
fn read_xml(decoded: &Decoded<'_>, limits: &Limits, names: &NameRules) -> Result<TestRun, Unreadable> {
    let mut probe = Xml::new(decoded, limits);
    let root = loop {
        match probe.next()? {
            Token::Open(tag) => break tag,
            Token::Text(_) | Token::Close => {}
            Token::End => {
                let line = probe.line(decoded.text.len());
                return Err(Unreadable::Truncated { line, inside: "before its first element".to_owned() });
            }
        }
    };
    let xml = Xml::new(decoded, limits);
    match (root.name(), dotnet::format_of(root.name())) {
        (name, _) if junit::is_root(name) => junit::read(xml, &decoded.text, limits, names),
        (_, Some(format)) => dotnet::read(format, Xml::new(decoded, limits), xml, &decoded.text, limits, names),
        (name, None) => Err(Unreadable::UnknownFormat { line: probe.line(root.offset), found: format!("<{name}>") }),
    }
}

/// Whether an XML document that begins with this element is a report.
pub fn is_root(name: &str) -> bool {
    junit::is_root(name) || dotnet::format_of(name).is_some()
}

/// The text that a report begins with, whatever its encoding.
pub fn text_of(head: &[u8]) -> String {
    decode::decode(head).map(|decoded| decoded.text.into_owned()).unwrap_or_default()
}

/// Says what the file looks like instead, where that is easy to tell.
fn unknown(text: &str) -> Unreadable {
    let found = match text.trim_start() {
        text if text.starts_with("PK\u{3}\u{4}") => "a zip archive".to_owned(),
        text if text.starts_with('\u{1f}') => "a gzip file".to_owned(),
        text => {
            let line = text.lines().next().unwrap_or_default();
            format!("{:?}", run::cut(&decode::without_controls(line), 60))
        }
    };
    Unreadable::UnknownFormat { line: 1, found }
}

/// These are noted after the reading, since they must not be lost when the warnings are over their limit.
fn warn_of_decoding(run: &mut TestRun, decoded: &Decoded<'_>) {
    let line = |offset: usize| decode::line_of(decoded.text.as_bytes(), offset);
    if let Some(offset) = decoded.replaced {
        let text = "bytes that are not valid in the file's encoding were replaced".to_owned();
        run.warnings.insert(0, Warning { code: "encoding_replaced", line: line(offset), text });
    }
    if let Some(offset) = decoded.control.get() {
        let text = "control characters that XML does not allow were removed, here and further on".to_owned();
        run.warnings.insert(0, Warning { code: "control_characters", line: line(offset), text });
    }
    if let Some(label) = &decoded.unknown_label {
        let text = format!("the encoding {label:?} is not known: read as UTF-8");
        run.warnings.insert(0, Warning { code: "encoding_unknown", line: 1, text });
    }
}
