//! XML as a stream of tokens, with limits and with errors that name a line. Shared by every XML dialect.
//!
//! It resolves no entity but the five predefined ones and character references, and refuses a DOCTYPE.
//! quick-xml reads everything but opening tags, most of what a report consists of: `tag` reads those.

mod tag;

pub(crate) use tag::Tag;

use super::decode::{Decoded, line_of, without_controls};
use super::limits::Limits;
use super::run::cut;
use super::unreadable::Unreadable;
use quick_xml::errors::{IllFormedError, SyntaxError};
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::Event;
use quick_xml::{Error, Reader};
use std::borrow::Cow;
use std::io::BufRead;

/// A report's XML, being read.
pub(crate) struct Xml<'a> {
    decoded: &'a Decoded<'a>,
    text: &'a str,
    reader: Reader<&'a [u8]>,
    limits: &'a Limits,
    open: Vec<Open<'a>>,
    usual: tag::Usual,
    /// The last element was empty (`<a/>`): its `Close` comes next.
    close: bool,
    /// quick-xml stands between two pieces of markup, where what follows can be taken out of its hands.
    between: bool,
}

/// An element that was opened and not yet closed.
#[derive(Clone, Copy)]
struct Open<'a> {
    name: &'a str,
    offset: usize,
}

/// What stands next.
pub(crate) enum Token<'a> {
    Open(Tag<'a>),
    Close,
    Text(Text<'a>),
    End,
}

/// A piece of text, not yet unescaped.
pub(crate) enum Text<'a> {
    Plain(Cow<'a, str>),
    Reference(Cow<'a, str>),
}

impl<'a> Xml<'a> {
    pub fn new(decoded: &'a Decoded<'a>, limits: &'a Limits) -> Self {
        let mut reader = Reader::from_str(&decoded.text);
        let config = reader.config_mut();
        // White space between elements would be an event each; `text` turns this off while it reads one.
        config.trim_text_start = true;
        config.allow_dangling_amp = true;
        config.trim_markup_names_in_closing_tags = true;
        // It does not see the opening tags, so the names of the closing ones are compared here.
        config.check_end_names = false;
        config.allow_unmatched_ends = true;
        Self {
            decoded,
            text: &decoded.text,
            reader,
            limits,
            open: Vec::new(),
            usual: tag::Usual::default(),
            close: false,
            between: true,
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
            if self.between {
                if let Some(tag) = self.opening_tag(offset) {
                    return self.open(tag);
                }
                if self.closing_tag(offset) {
                    return Ok(Token::Close);
                }
            }
            let event = self.reader.read_event();
            self.between = !matches!(event, Ok(Event::Text(_) | Event::GeneralRef(_)));
            return Ok(match event {
                // Only after text, or where the tag is broken.
                Ok(Event::Start(start)) => {
                    let tag = Tag::new(Cow::Owned((*start).to_owned()), self.begin_of_tag(offset));
                    return self.open(tag);
                }
                Ok(Event::Empty(start)) => {
                    self.close = true;
                    let tag = Tag::new(Cow::Owned((*start).to_owned()), self.begin_of_tag(offset));
                    return self.open(tag);
                }
                Ok(Event::End(end)) => {
                    self.check_name(end.name().into_inner(), offset)?;
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

    /// Reads an opening tag where one follows, and moves quick-xml behind it.
    fn opening_tag(&mut self, offset: usize) -> Option<Tag<'a>> {
        let scanned = tag::scan(self.text, offset, &mut self.usual)?;
        self.reader.stream().consume(scanned.end - offset);
        self.close = scanned.empty;
        Some(scanned.tag)
    }

    /// Reads the closing tag of the element that was opened last, where it follows just as usual.
    fn closing_tag(&mut self, offset: usize) -> bool {
        let Some(Open { name, .. }) = self.open.last() else { return false };
        let Some(rest) = self.text.as_bytes().get(offset..) else { return false };
        let tag = rest.trim_ascii_start();
        let Some([b'>', after @ ..]) = tag.strip_prefix(b"</").and_then(|tag| tag.strip_prefix(name.as_bytes())) else {
            return false;
        };
        self.reader.stream().consume(rest.len() - after.len());
        self.open.pop();
        true
    }

    fn open(&mut self, tag: Tag<'a>) -> Result<Token<'a>, Unreadable> {
        if self.open.len() >= self.limits.depth {
            return Err(Unreadable::TooDeep { line: self.line(tag.offset), limit: self.limits.depth });
        }
        let name = self.text.get(tag.name_range()).unwrap_or_default();
        self.open.push(Open { name, offset: tag.offset });
        match tag.without_controls(self.decoded) {
            Some(clean) => {
                self.usual.forget();
                Ok(Token::Open(clean))
            }
            None => Ok(Token::Open(tag)),
        }
    }

    fn check_name(&mut self, found: &str, offset: usize) -> Result<(), Unreadable> {
        let line = |xml: &Self| xml.line(xml.begin_of_tag(offset));
        let reason = match self.open.pop() {
            Some(Open { name, .. }) if name == found => return Ok(()),
            Some(open) if open.name.is_empty() => return Err(self.unescaped(open)),
            Some(Open { name, .. }) => format!("expected </{}>, but </{found}> was found", cut(name, 100)),
            None => format!("</{found}> closes nothing"),
        };
        Err(Unreadable::Malformed { line: line(self), reason })
    }

    /// Text such as `1 < 2` opens an element without a name, which nothing closes.
    fn unescaped(&self, open: Open<'_>) -> Unreadable {
        let reason = "a < that begins no element: in text it is written &lt;".to_owned();
        Unreadable::Malformed { line: self.line(open.offset), reason }
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
            // Text and CDATA, the output of whole suites, are not even split into tokens.
            if self.close || !self.between || !self.skip_text() {
                self.next()?;
            }
        }
        Ok(())
    }

    /// Passes over text up to the next markup, and over that where it closes the element or is CDATA. Says whether
    /// it did; whatever else follows is for `next`.
    fn skip_text(&mut self) -> bool {
        let offset = self.position();
        let Some(rest) = self.text.as_bytes().get(offset..) else { return false };
        let Some(text) = memchr::memchr(b'<', rest) else { return false };
        let markup = &rest[text..];
        if let Some(data) = markup.strip_prefix(b"<![CDATA[") {
            let Some(end) = memchr::memmem::find(data, b"]]>") else { return false };
            self.reader.stream().consume(rest.len() - (data.len() - end - 3));
            return true;
        }
        self.reader.stream().consume(text);
        self.closing_tag(offset + text)
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
            if let Some(text) = self.piece() {
                self.keep(&mut kept, text, budget);
                continue;
            }
            match self.next()? {
                Token::Open(tag) if matches!(tag.name(), "system-out" | "system-err") => self.skip()?,
                Token::Text(text) => self.keep(&mut kept, text, budget),
                Token::Open(_) | Token::Close | Token::End => {}
            }
        }
        kept.truncate(kept.trim_end().len());
        Ok(kept)
    }

    fn keep(&self, kept: &mut String, text: Text<'_>, budget: &mut usize) {
        if *budget == 0 {
            return;
        }
        let text = text.read();
        // White space in front is laid out by the producer; it must not use the budget up.
        let text = if kept.is_empty() { text.trim_start() } else { &text };
        let (head, offset) = (cut(text, *budget), self.position().saturating_sub(text.len()));
        *budget = if head.len() < text.len() { 0 } else { *budget - head.len() };
        kept.push_str(&self.decoded.without_controls(head, offset));
    }

    /// A piece of text up to the next markup or reference, or a reference to a character that every XML knows.
    /// Nothing where markup follows, or what is for quick-xml to read.
    fn piece(&mut self) -> Option<Text<'a>> {
        if self.close || !self.between {
            return None;
        }
        let rest = self.text.get(self.position()..)?;
        let (text, length) = match memchr::memchr2(b'<', b'&', rest.as_bytes())? {
            0 => {
                let name = cut(&rest[1..], "apos;".len()).split_once(';')?.0;
                (Text::Plain(resolve_xml_entity(name)?.into()), name.len() + 2)
            }
            length => (Text::Plain(rest[..length].into()), length),
        };
        self.reader.stream().consume(length);
        Some(text)
    }

    /// The line of an offset.
    pub fn line(&self, offset: usize) -> u64 {
        line_of(self.text.as_bytes(), offset)
    }

    /// Hands every attribute of a tag to `take`, its value unescaped, in the order they stand.
    ///
    /// A value with an entity that is not known is handed on as it is written; `false` says that it happened.
    pub fn attributes<'t>(
        &self,
        tag: &'t Tag<'_>,
        mut take: impl FnMut(&'t str, Cow<'t, str>),
    ) -> Result<bool, Unreadable> {
        match tag.attributes(&self.usual, self.limits.attributes, &mut take) {
            Some(sound) => Ok(sound),
            None => Err(Unreadable::TooManyAttributes { line: self.line(tag.offset), limit: self.limits.attributes }),
        }
    }

    fn truncated(&self) -> Unreadable {
        if let Some(open) = self.open.iter().find(|open| open.name.is_empty()) {
            return self.unescaped(*open);
        }
        let line = self.line(self.text.len());
        let inside = match self.open.last() {
            Some(Open { name, offset }) => format!("inside <{}> of line {}", cut(name, 100), self.line(*offset)),
            None => "before its first element".to_owned(),
        };
        Unreadable::Truncated { line, inside }
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
