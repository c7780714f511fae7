//! One opening tag and its attributes.
//!
//! quick-xml could read them, and its iterator of attributes too; made for more than is needed here, they took
//! more than half of the time of a whole report, and its check for duplicates the square of their number.

use super::super::decode::{Decoded, without_controls};
use quick_xml::escape::unescape;
use std::borrow::Cow;
use std::ops::Range;

/// An opening tag. An empty element is followed by its `Close` like any other.
pub(crate) struct Tag<'a> {
    /// What stands between the angle brackets, without the slash of an empty element.
    content: Cow<'a, str>,
    /// Where its name stands in there, without a name space prefix.
    name: Range<usize>,
    /// Where it begins.
    pub offset: usize,
}

/// What was found where an opening tag may follow.
pub(super) struct Scanned<'a> {
    pub tag: Tag<'a>,
    /// Where it ends.
    pub end: usize,
    /// Whether its element is empty.
    pub empty: bool,
}

/// The attributes of the tag that was scanned last, where they stand there as nearly every producer writes them.
#[derive(Default)]
pub(super) struct Usual {
    /// The tag they belong to, by its offset; nothing where they have to be looked for in its text.
    tag: Option<usize>,
    found: Vec<Span>,
}

/// An attribute, by offsets into what stands between the angle brackets. Its name has no name space prefix.
struct Span {
    name: Range<usize>,
    value: Range<usize>,
    escaped: bool,
}

/// The opening tag that follows. White space in front is passed over. Nothing where something else follows, or a
/// tag that is not closed.
pub(super) fn scan<'a>(text: &'a str, offset: usize, usual: &mut Usual) -> Option<Scanned<'a>> {
    let bytes = text.as_bytes();
    let begin = behind_white_space(bytes, offset);
    if *bytes.get(begin)? != b'<' || !bytes.get(begin + 1)?.is_ascii_alphabetic() {
        return None;
    }
    usual.tag = None;
    if let Some((name, end, after)) = usual.scan(bytes, begin) {
        usual.tag = Some(begin);
        let tag = Tag { content: Cow::Borrowed(&text[begin + 1..end]), name, offset: begin };
        return Some(Scanned { tag, end: after, empty: end + 2 == after });
    }
    let end = end_of_tag(bytes, begin)?;
    let content = &text[begin + 1..end];
    let (content, empty) = content.strip_suffix('/').map_or((content, false), |content| (content, true));
    Some(Scanned { tag: Tag::new(Cow::Borrowed(content), begin), end: end + 1, empty })
}

/// The closing bracket of the tag that begins here: the first one outside of quotes.
fn end_of_tag(bytes: &[u8], begin: usize) -> Option<usize> {
    let mut at = begin;
    loop {
        at += 1;
        match *bytes.get(at)? {
            b'>' => return Some(at),
            quote @ (b'"' | b'\'') => at += 1 + memchr::memchr(quote, &bytes[at + 1..])?,
            _ => {}
        }
    }
}

impl Usual {
    /// More attributes than this are not usual.
    const MOST: usize = 32;

    /// The tag's text is changed: its attributes stand elsewhere now.
    pub fn forget(&mut self) {
        self.tag = None;
    }

    /// Scans a tag of names and quoted values in one pass: its name, where its content ends, and what is behind it.
    /// Nothing where it is written in any other way.
    fn scan(&mut self, bytes: &[u8], begin: usize) -> Option<(Range<usize>, usize, usize)> {
        let content = begin + 1;
        self.found.clear();
        let name = name_at(bytes, content, content)?;
        let mut at = content + name.end;
        if matches!(bytes[at], b'=' | b'"' | b'\'') {
            return None;
        }
        loop {
            at = behind_white_space(bytes, at);
            match bytes.get(at..)? {
                [b'>', ..] => return Some((name, at, at + 1)),
                [b'/', b'>', ..] => return Some((name, at, at + 2)),
                _ if self.found.len() == Self::MOST => return None,
                _ => {}
            }
            let name = name_at(bytes, content, at)?;
            let end = content + name.end;
            let [b'=', quote @ (b'"' | b'\''), value @ ..] = bytes.get(end..)? else { return None };
            let first = memchr::memchr2(*quote, b'&', value)?;
            let escaped = value[first] == b'&';
            let length = if escaped { first + memchr::memchr(*quote, &value[first..])? } else { first };
            let value = name.end + 2;
            self.found.push(Span { name, value: value..value + length, escaped });
            at = end + 3 + length;
        }
    }
}

/// The name that begins here, without its name space prefix: up to white space or a mark of the markup.
fn name_at(bytes: &[u8], content: usize, begin: usize) -> Option<Range<usize>> {
    static ENDS: [bool; 256] = {
        let (mut ends, marks) = ([false; 256], b" \t\n\r\x0c/>=\"':");
        let mut at = 0;
        while at < marks.len() {
            ends[marks[at] as usize] = true;
            at += 1;
        }
        ends
    };
    let end_from = |from: usize| Some(from + bytes.get(from..)?.iter().position(|byte| ENDS[usize::from(*byte)])?);
    let mut end = end_from(begin)?;
    let local = if bytes[end] == b':' { end + 1 } else { begin };
    while bytes[end] == b':' {
        end = end_from(end + 1)?;
    }
    Some(local - content..end - content)
}

fn behind_white_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

impl<'a> Tag<'a> {
    pub fn new(content: Cow<'a, str>, offset: usize) -> Self {
        let end = content.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(content.len());
        let name = end - local_name(&content[..end]).len()..end;
        Self { content, name, offset }
    }

    /// The element's name without a name space prefix.
    pub fn name(&self) -> &str {
        self.part(self.name.clone())
    }

    /// Where the name stands in the text, with its name space prefix.
    pub fn name_range(&self) -> Range<usize> {
        self.offset + 1..self.offset + 1 + self.name.end
    }

    fn part(&self, range: Range<usize>) -> &str {
        self.content.get(range).unwrap_or_default()
    }

    /// The tag without its control characters, which would be part of a name; most files have none at all.
    pub fn without_controls(&self, decoded: &Decoded<'_>) -> Option<Self> {
        match decoded.without_controls(&self.content, self.offset + 1) {
            Cow::Owned(clean) => Some(Self::new(Cow::Owned(clean), self.offset)),
            Cow::Borrowed(_) => None,
        }
    }

    /// Hands on every attribute, unescaped; says whether all were sound, and nothing when there are too many. Those
    /// that were found when the tag was scanned are not looked for again.
    pub(super) fn attributes<'t>(
        &'t self,
        usual: &Usual,
        limit: usize,
        take: &mut impl FnMut(&'t str, Cow<'t, str>),
    ) -> Option<bool> {
        let mut sound = true;
        if usual.tag == Some(self.offset) {
            if usual.found.len() > limit {
                return None;
            }
            for Span { name, value, escaped } in &usual.found {
                let value = self.part(value.clone());
                let value = if *escaped { unescaped(value, &mut sound) } else { Cow::Borrowed(value) };
                take(self.part(name.clone()), value);
            }
            return Some(sound);
        }
        let mut attributes = Attributes { text: &self.content, at: self.name.end };
        for index in 0.. {
            let Some((name, value)) = attributes.next() else { break };
            if index >= limit {
                return None;
            }
            match value {
                Some(value) => take(local_name(name), unescaped(value, &mut sound)),
                None => sound = false,
            }
        }
        Some(sound)
    }
}

/// A value with its references resolved; one with an unknown entity stays as it is written, and is not sound.
fn unescaped<'t>(value: &'t str, sound: &mut bool) -> Cow<'t, str> {
    match unescape(value) {
        // A character reference (`&#27;`) brings in what the bytes did not show.
        Ok(Cow::Owned(value)) => Cow::Owned(without_controls(&value).into_owned()),
        Ok(value) => value,
        Err(_) => {
            *sound = false;
            Cow::Borrowed(value)
        }
    }
}

/// A name without its name space prefix. Names are too short for a search that pays off on longer texts.
fn local_name(name: &str) -> &str {
    name.bytes().position(|byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}

/// The attributes of a tag, read up to an offset.
struct Attributes<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Attributes<'t> {
    /// The name and the value of the next attribute. A value without quotes ends at white space; a name without a
    /// value has none.
    fn next(&mut self) -> Option<(&'t str, Option<&'t str>)> {
        let bytes = self.text.as_bytes();
        self.at = behind_white_space(bytes, self.at);
        let rest = &bytes[self.at..];
        if rest.is_empty() {
            return None;
        }
        let length = rest.iter().position(|byte| *byte == b'=' || byte.is_ascii_whitespace()).unwrap_or(rest.len());
        let name = &self.text[self.at..self.at + length];
        self.at = behind_white_space(bytes, self.at + length);
        if bytes.get(self.at) != Some(&b'=') {
            return Some((name, None));
        }
        self.at = behind_white_space(bytes, self.at + 1);
        let rest = &bytes[self.at..];
        let (begin, length) = match rest.first() {
            Some(quote @ (b'"' | b'\'')) => (self.at + 1, memchr::memchr(*quote, &rest[1..])?),
            _ => (self.at, rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len())),
        };
        // One more for the closing quote.
        self.at = begin + length + (begin - self.at);
        Some((name, Some(&self.text[begin..begin + length])))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Read = (String, usize, usize, bool, Option<(Vec<(String, String)>, bool)>);

    /// What is read of a tag: its name, where it begins and ends, whether it is empty, and its attributes.
    fn read_with(text: &str, usual: &mut Usual) -> Option<Read> {
        let Scanned { tag, end, empty } = scan(text, 0, usual)?;
        let mut attributes = Vec::new();
        let mut take = |name: &str, value: Cow<'_, str>| attributes.push((name.to_owned(), value.into_owned()));
        let sound = tag.attributes(usual, 4, &mut take);
        let name = tag.name().to_owned();
        assert_eq!(text.get(tag.name_range()).map(local_name), Some(&*name));
        Some((name, tag.offset, end, empty, sound.map(|sound| (attributes, sound))))
    }

    fn read(text: &str) -> (String, Vec<(String, String)>, bool) {
        let (name, _, _, _, attributes) = read_with(text, &mut Usual::default()).expect("a tag");
        let (attributes, sound) = attributes.expect("few");
        (name, attributes, sound)
    }

    /// Reads it without the pass for usual tags.
    fn read_the_long_way(text: &str) -> Option<Read> {
        let begin = behind_white_space(text.as_bytes(), 0);
        if text.as_bytes().get(begin) != Some(&b'<') || !text.as_bytes().get(begin + 1)?.is_ascii_alphabetic() {
            return None;
        }
        let end = end_of_tag(text.as_bytes(), begin)?;
        let content = &text[begin + 1..end];
        let tag = Tag::new(Cow::Borrowed(content.strip_suffix('/').unwrap_or(content)), begin);
        let mut attributes = Vec::new();
        let mut take = |name: &str, value: Cow<'_, str>| attributes.push((name.to_owned(), value.into_owned()));
        let sound = tag.attributes(&Usual::default(), 4, &mut take);
        let attributes = sound.map(|sound| (attributes, sound));
        Some((tag.name().to_owned(), begin, end + 1, content.ends_with('/'), attributes))
    }

    proptest! {
        #[test]
        fn both_ways_of_reading_a_tag_read_the_same(parts in prop::collection::vec(prop::sample::select(vec![
            "a", "b:c", " ", "\n", "=", "\"", "'", "&lt;", "&nobody;", "&", ">", "/", "/>", "<", "é", "x=\"1\"", " y='2 > 1'",
        ]), 0..14)) {
            let text = format!("<t{}", parts.concat());
            prop_assert_eq!(read_with(&text, &mut Usual::default()), read_the_long_way(&text), "{}", text);
        }
    }

    #[test]
    fn a_tag_ends_at_the_bracket_outside_of_quotes() {
        let text = " \n<a:b x='1 > 0' y = \"2/>\" />after";
        let (name, offset, end, empty, _) = read_with(text, &mut Usual::default()).expect("a tag");
        assert_eq!((&*name, offset, &text[end..], empty), ("b", 2, "after", true));
        let pairs = [("x", "1 > 0"), ("y", "2/>")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(text), ("b".to_owned(), pairs.to_vec(), true));
    }

    #[test]
    fn what_is_no_opening_tag_is_left_to_quick_xml() {
        for text in ["</a>", "<!-- a -->", "<?xml?>", "<![CDATA[x]]>", "text <a>", "<a x='", "<a", "  ", ""] {
            assert!(scan(text, 0, &mut Usual::default()).is_none(), "{text}");
        }
    }

    #[test]
    fn attributes_without_quotes_or_values_are_read_as_far_as_they_go() {
        let (_, attributes, sound) = read("<a x=1 y z='&lt;'>");
        let pairs = [("x", "1"), ("z", "<")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!((attributes, sound), (pairs.to_vec(), false));
        assert!(!read("<a x='&nobody;'>").2);
    }
}
