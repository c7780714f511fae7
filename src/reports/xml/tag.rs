//! One opening tag and its attributes.
//!
//! quick-xml could read them, and its iterator of attributes too; made for more than is needed here, they took
//! more than half of the time of a whole report, and its check for duplicates the square of their number.

use super::super::decode::without_controls;
use quick_xml::escape::unescape;
use std::borrow::Cow;

/// An opening tag. An empty element is followed by its `Close` like any other.
pub(crate) struct Tag<'a> {
    /// What stands between the angle brackets, without the slash of an empty element.
    content: Cow<'a, str>,
    /// The length of the name, with its name space prefix.
    name: usize,
    /// Where it begins.
    pub offset: usize,
}

/// The opening tag that follows, where it ends, and whether its element is empty. White space in front is passed
/// over. Nothing where something else follows, or a tag that is not closed.
pub(super) fn scan(text: &str, offset: usize) -> Option<(Tag<'_>, usize, bool)> {
    let bytes = text.as_bytes();
    let mut at = offset;
    while bytes.get(at)?.is_ascii_whitespace() {
        at += 1;
    }
    if bytes[at] != b'<' || !bytes.get(at + 1)?.is_ascii_alphabetic() {
        return None;
    }
    let begin = at;
    loop {
        at += 1;
        match *bytes.get(at)? {
            b'>' => break,
            quote @ (b'"' | b'\'') => at += 1 + memchr::memchr(quote, &bytes[at + 1..])?,
            _ => {}
        }
    }
    let content = &text[begin + 1..at];
    let (content, empty) = content.strip_suffix('/').map_or((content, false), |content| (content, true));
    Some((Tag::new(Cow::Borrowed(content), begin), at + 1, empty))
}

impl<'a> Tag<'a> {
    pub fn new(content: Cow<'a, str>, offset: usize) -> Self {
        let name = content.bytes().position(|byte| byte.is_ascii_whitespace()).unwrap_or(content.len());
        Self { content, name, offset }
    }

    /// The element's name without a name space prefix.
    pub fn name(&self) -> &str {
        local_name(&self.content[..self.name])
    }

    /// Control characters inside a tag would be part of a name; most files have none at all.
    pub fn without_controls(self) -> Self {
        Self::new(Cow::Owned(without_controls(&self.content).into_owned()), self.offset)
    }

    /// Hands on every attribute, unescaped; says whether all were sound, and nothing when there are too many.
    pub fn attributes(&self, limit: usize, take: &mut impl FnMut(&str, Cow<'_, str>)) -> Option<bool> {
        let mut sound = true;
        let mut rest = self.content[self.name..].trim_ascii_start();
        for index in 0.. {
            let Some((name, value, after)) = next_attribute(rest) else { break };
            if index >= limit {
                return None;
            }
            rest = after.trim_ascii_start();
            match value {
                Some(value) if memchr::memchr(b'&', value.as_bytes()).is_none() => {
                    take(local_name(name), Cow::Borrowed(value));
                }
                Some(value) => match unescape(value) {
                    // A character reference (`&#27;`) brings in what the bytes did not show.
                    Ok(value) => take(local_name(name), Cow::Owned(without_controls(&value).into_owned())),
                    Err(_) => {
                        sound = false;
                        take(local_name(name), Cow::Borrowed(value));
                    }
                },
                None => sound = false,
            }
        }
        Some(sound)
    }
}

/// A name without its name space prefix. Names are too short for a search that pays off on longer texts.
fn local_name(name: &str) -> &str {
    name.bytes().position(|byte| byte == b':').map_or(name, |colon| &name[colon + 1..])
}

/// The name and the value of the attribute that a text begins with, and what follows it. A value without quotes
/// ends at white space; a name without a value has none.
fn next_attribute(text: &str) -> Option<(&str, Option<&str>, &str)> {
    if text.is_empty() {
        return None;
    }
    let end = text.bytes().position(|byte| byte == b'=' || byte.is_ascii_whitespace()).unwrap_or(text.len());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (String, Vec<(String, String)>, bool) {
        let (tag, _, _) = scan(text, 0).expect("a tag");
        let mut attributes = Vec::new();
        let sound = tag.attributes(64, &mut |name, value| attributes.push((name.to_owned(), value.into_owned())));
        (tag.name().to_owned(), attributes, sound.expect("few"))
    }

    #[test]
    fn a_tag_ends_at_the_bracket_outside_of_quotes() {
        let text = " \n<a:b x='1 > 0' y = \"2/>\" />after";
        let (tag, end, empty) = scan(text, 0).expect("a tag");
        assert_eq!((tag.name(), tag.offset, &text[end..], empty), ("b", 2, "after", true));
        let pairs = [("x", "1 > 0"), ("y", "2/>")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read(text), ("b".to_owned(), pairs.to_vec(), true));
    }

    #[test]
    fn what_is_no_opening_tag_is_left_to_quick_xml() {
        for text in ["</a>", "<!-- a -->", "<?xml?>", "<![CDATA[x]]>", "text <a>", "<a x='", "<a", "  ", ""] {
            assert!(scan(text, 0).is_none(), "{text}");
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
