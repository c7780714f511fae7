//! XML as a stream of tokens, with limits and with errors that name a line. Shared by every XML dialect.
//!
//! It resolves no entity but the five predefined ones and character references, and refuses a DOCTYPE. The
//! check for duplicate attributes of quick-xml is off: it costs the square of their number.

use super::decode::{Decoded, line_of, without_controls};
use super::limits::Limits;
use super::run::cut;
use super::unreadable::Unreadable;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Error, Reader};
use std::borrow::Cow;

/// A report's XML, being read.
pub(crate) struct Xml<'a> {
    text: &'a str,
    reader: Reader<&'a [u8]>,
    limits: &'a Limits,
    open: Vec<usize>,
    has_controls: bool,
    /// The last element was empty (`<a/>`): its `Close` comes next.
    close: bool,
}

/// What stands next.
pub(crate) enum Token<'a> {
    Open(Tag<'a>),
    Close,
    Text(Text<'a>),
    End,
}

/// An opening tag. An empty element is followed by its `Close` like any other.
pub(crate) struct Tag<'a> {
    start: BytesStart<'a>,
    /// Where it begins.
    pub offset: usize,
}

/// A piece of text, not yet unescaped.
pub(crate) enum Text<'a> {
    Plain(Cow<'a, str>),
    Reference(Cow<'a, str>),
}

impl<'a> Xml<'a> {
    pub fn new(decoded: &'a Decoded<'_>, limits: &'a Limits) -> Self {
        let mut reader = Reader::from_str(&decoded.text);
        let config = reader.config_mut();
        // White space between elements would be an event each; `text` turns this off while it reads one.
        config.trim_text_start = true;
        config.allow_dangling_amp = true;
        config.trim_markup_names_in_closing_tags = true;
        Self {
            text: &decoded.text,
            reader,
            limits,
            open: Vec::new(),
            has_controls: decoded.control.is_some(),
            close: false,
        }
    }

    /// The next token; comments, declarations and processing instructions are passed over.
    pub fn next(&mut self) -> Result<Token<'a>, Unreadable> {
        if self.close {
            self.close = false;
            self.open.pop();
            return Ok(Token::Close);
        }
        loop {
            let offset = self.position();
            return Ok(match self.reader.read_event() {
                Ok(event @ (Event::Start(_) | Event::Empty(_))) => {
                    self.close = matches!(event, Event::Empty(_));
                    let (Event::Start(start) | Event::Empty(start)) = event else { continue };
                    // With white space trimmed, a tag begins after where the reader stood.
                    let offset = self.begin_of_tag(offset);
                    if self.open.len() >= self.limits.depth {
                        return Err(Unreadable::TooDeep { line: self.line(offset), limit: self.limits.depth });
                    }
                    self.open.push(offset);
                    Token::Open(Tag { start: self.cleaned(start), offset })
                }
                Ok(Event::End(_)) => {
                    self.open.pop();
                    Token::Close
                }
                Ok(Event::Text(text)) => Token::Text(Text::Plain(text.into_inner())),
                Ok(Event::CData(text)) => Token::Text(Text::Plain(text.into_inner())),
                Ok(Event::GeneralRef(reference)) => Token::Text(Text::Reference(reference.into_inner())),
                Ok(Event::DocType(_)) => {
                    return Err(Unreadable::Doctype { line: self.line(self.begin_of_tag(offset)) });
                }
                Ok(Event::Eof) if self.open.is_empty() => Token::End,
                Ok(Event::Eof) => return Err(self.truncated()),
                Ok(Event::Comment(_) | Event::Decl(_) | Event::PI(_)) => continue,
                Err(error) => return Err(self.unreadable(&error)),
            });
        }
    }

    fn begin_of_tag(&self, offset: usize) -> usize {
        let skipped = self.text.as_bytes().get(offset..).and_then(|rest| memchr::memchr(b'<', rest));
        offset + skipped.unwrap_or(0)
    }

    /// Where the reader stands.
    pub fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// Passes over the rest of the element that was opened last, however large it is.
    pub fn skip(&mut self) -> Result<(), Unreadable> {
        let outside = self.open.len().saturating_sub(1);
        while self.open.len() > outside {
            self.next()?;
        }
        Ok(())
    }

    /// The text of the element that was opened last, up to the budget, and passes over the rest of it. Output
    /// that a producer put inside (`system-out`) is no part of the text.
    pub fn text(&mut self, budget: &mut usize) -> Result<String, Unreadable> {
        self.reader.config_mut().trim_text_start = false;
        let kept = self.untrimmed_text(budget);
        self.reader.config_mut().trim_text_start = true;
        kept
    }

    fn untrimmed_text(&mut self, budget: &mut usize) -> Result<String, Unreadable> {
        let mut kept = String::new();
        let outside = self.open.len().saturating_sub(1);
        while self.open.len() > outside {
            match self.next()? {
                Token::Open(tag) if matches!(tag.name(), "system-out" | "system-err") => self.skip()?,
                Token::Text(text) if *budget > 0 => {
                    let text = text.read();
                    // White space in front is laid out by the producer; it must not use the budget up.
                    let text = if kept.is_empty() { text.trim_start() } else { &text };
                    let head = cut(text, *budget);
                    *budget = if head.len() < text.len() { 0 } else { *budget - head.len() };
                    kept.push_str(&self.without_controls(head));
                }
                Token::Open(_) | Token::Close | Token::Text(_) | Token::End => {}
            }
        }
        kept.truncate(kept.trim_end().len());
        Ok(kept)
    }

    /// The line of an offset.
    pub fn line(&self, offset: usize) -> u64 {
        line_of(self.text.as_bytes(), offset)
    }

    /// Hands every attribute of a tag to `take`, its value unescaped, in the order they stand.
    ///
    /// A value with an entity that is not known is handed on as it is written; `false` says that it happened.
    pub fn attributes(&self, tag: &Tag<'_>, mut take: impl FnMut(&str, Cow<'_, str>)) -> Result<bool, Unreadable> {
        let mut sound = true;
        let mut rest = tag.start.attributes_raw();
        for index in 0.. {
            rest = rest.trim_ascii_start();
            let Some((name, value, after)) = next_attribute(rest) else { break };
            if index >= self.limits.attributes {
                let line = self.line(tag.offset);
                return Err(Unreadable::TooManyAttributes { line, limit: self.limits.attributes });
            }
            rest = after;
            let Some(value) = value else {
                sound = false;
                continue;
            };
            let value = if memchr::memchr(b'&', value.as_bytes()).is_none() {
                Cow::Borrowed(value)
            } else {
                match unescape(value) {
                    // A character reference (`&#27;`) brings in what the bytes did not show.
                    Ok(value) => Cow::Owned(without_controls(&value).into_owned()),
                    Err(_) => {
                        sound = false;
                        Cow::Borrowed(value)
                    }
                }
            };
            take(local_name(name), value);
        }
        Ok(sound)
    }

    fn without_controls<'t>(&self, text: &'t str) -> Cow<'t, str> {
        if self.has_controls { without_controls(text) } else { Cow::Borrowed(text) }
    }

    /// Control characters inside a tag would be part of a name; most files have none at all.
    fn cleaned(&self, start: BytesStart<'a>) -> BytesStart<'a> {
        if !self.has_controls {
            return start;
        }
        let name = without_controls(start.name().into_inner()).into_owned();
        let content = format!("{name}{}", without_controls(start.attributes_raw()));
        BytesStart::from_content(content, name.len())
    }

    fn truncated(&self) -> Unreadable {
        let line = self.line(self.text.len());
        let inside = match self.open.last() {
            Some(offset) => format!("inside <{}> of line {}", self.name_at(*offset), self.line(*offset)),
            None => "before its first element".to_owned(),
        };
        Unreadable::Truncated { line, inside }
    }

    fn name_at(&self, offset: usize) -> &'a str {
        let rest = self.text.get(offset + 1..).unwrap_or_default();
        let end = rest.find(|character: char| character.is_whitespace() || matches!(character, '/' | '>'));
        cut(&rest[..end.unwrap_or(rest.len())], 100)
    }

    fn unreadable(&self, error: &Error) -> Unreadable {
        let at = usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
        match error {
            Error::Syntax(SyntaxError::UnclosedDoctype) => Unreadable::Doctype { line: self.line(at) },
            Error::Syntax(error @ SyntaxError::InvalidBangMarkup) if at < self.text.len() => {
                Unreadable::Malformed { line: self.line(at), reason: error.to_string() }
            }
            // The markup that is not closed may be an unescaped `<` far before the end, so both lines are named.
            Error::Syntax(error) => Unreadable::Truncated {
                line: self.line(self.text.len()),
                inside: format!("in what begins on line {}: {error}", self.line(at)),
            },
            Error::IllFormed(IllFormedError::UnclosedReference) => self.truncated(),
            other => Unreadable::Malformed { line: self.line(at), reason: other.to_string() },
        }
    }
}

/// A name without its name space prefix. Names are too short for a search that pays off on longer texts.
fn local_name(name: &str) -> &str {
    name.bytes().position(|byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}

/// The name and the value of the attribute that a text begins with, and what follows it.
///
/// quick-xml has an iterator for this, made for more than is needed here; with it, a case took twice the time.
/// A value without quotes ends at white space; a name without a value has none.
fn next_attribute(text: &str) -> Option<(&str, Option<&str>, &str)> {
    let end = text.bytes().position(|byte| byte == b'=' || byte.is_ascii_whitespace()).unwrap_or(text.len());
    if text.is_empty() {
        return None;
    }
    let (name, rest) = text.split_at(end);
    let Some(rest) = rest.trim_ascii_start().strip_prefix('=') else { return Some((name, None, rest)) };
    let rest = rest.trim_ascii_start();
    let (value, after) = match rest.as_bytes().first() {
        Some(quote @ (b'"' | b'\'')) => {
            let end = memchr::memchr(*quote, &rest.as_bytes()[1..])? + 1;
            (&rest[1..end], &rest[end + 1..])
        }
        _ => rest.split_at(rest.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(rest.len())),
    };
    Some((name, Some(value), after))
}

impl Tag<'_> {
    /// The element's name without a name space prefix.
    pub fn name(&self) -> &str {
        self.start.local_name().into_inner()
    }
}

impl<'a> Text<'a> {
    /// The text with its reference resolved; an unknown one stays as it is written.
    pub fn read(self) -> Cow<'a, str> {
        match self {
            Self::Plain(text) => text,
            Self::Reference(name) => match resolve_xml_entity(&name) {
                Some(resolved) => Cow::Borrowed(resolved),
                None => Cow::Owned(match unescape(&format!("&{name};")) {
                    Ok(character) => without_controls(&character).into_owned(),
                    Err(_) => format!("&{name};"),
                }),
            },
        }
    }

    /// Whether there is nothing but white space in it.
    pub fn is_blank(&self) -> bool {
        matches!(self, Self::Plain(text) if text.trim_start().is_empty())
    }
}
