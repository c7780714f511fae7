//! Bytes to text: byte order marks, the declared encoding, and characters that no XML may contain.

use super::unreadable::Unreadable;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::borrow::Cow;
use std::cell::Cell;

/// The text of a report, and what had to be done to get it.
pub(crate) struct Decoded<'a> {
    /// The text, without a byte order mark. Lines are the same as in the bytes.
    pub text: Cow<'a, str>,
    /// Bytes that are not valid in the encoding were replaced; the offset of the first.
    pub replaced: Option<usize>,
    /// The first control character that XML does not allow in what was read of the text, an offset into it.
    pub control: Cell<Option<usize>>,
    /// The declared encoding's name is not known, so another one was taken.
    pub unknown_label: Option<String>,
}

/// Decodes by byte order mark, then by the XML declaration, then as UTF-8.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded<'_>, Unreadable> {
    let mut unknown_label = None;
    let (encoding, start) = match Encoding::for_bom(bytes) {
        Some((encoding, length)) => (encoding, length),
        None => match bytes {
            [b'<', 0, ..] | [b'{' | b'[', 0, ..] => (UTF_16LE, 0),
            [0, b'<', ..] | [0, b'{' | b'[', ..] => (UTF_16BE, 0),
            _ => match declared_label(bytes) {
                // A declaration that can be read byte by byte is not UTF-16, whatever it says.
                Some(label) => match Encoding::for_label(label.as_bytes()) {
                    Some(encoding) if encoding.is_ascii_compatible() => (encoding, 0),
                    Some(_) => (UTF_8, 0),
                    None => {
                        unknown_label = Some(label);
                        (UTF_8, 0)
                    }
                },
                None => (UTF_8, 0),
            },
        },
    };
    let body = &bytes[start..];
    let (text, replaced) = if encoding == UTF_8 { utf_8(body) } else { other(body, encoding) };
    if text.trim_start().is_empty() {
        return Err(Unreadable::Empty);
    }
    Ok(Decoded { text, replaced, control: Cell::new(None), unknown_label })
}

impl Decoded<'_> {
    /// Removes what XML does not allow from a part of the text that stands here, and notes that something was.
    pub fn without_controls<'p>(&self, part: &'p str, offset: usize) -> Cow<'p, str> {
        let Some(at) = first_control(part) else { return Cow::Borrowed(part) };
        // Some formats are gone through twice.
        let first = self.control.get().map_or(offset + at, |known| known.min(offset + at));
        self.control.set(Some(first));
        without_controls(part)
    }
}

/// Removes what XML does not allow: control characters, and the two code points that are no characters.
pub(crate) fn without_controls(text: &str) -> Cow<'_, str> {
    match first_control(text) {
        Some(_) => Cow::Owned(text.chars().filter(|character| !is_forbidden(*character)).collect()),
        None => Cow::Borrowed(text),
    }
}

/// The line of an offset, from 1.
pub(crate) fn line_of(text: &[u8], offset: usize) -> u64 {
    1 + newlines(&text[..offset.min(text.len())])
}

/// How many lines end in these bytes.
pub(crate) fn newlines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

/// UTF-8 where it is valid. Where it is not, the file is nearly always in a western single-byte encoding that
/// its producer did not declare, unless most of it is UTF-8: then only the broken bytes are replaced.
fn utf_8(bytes: &[u8]) -> (Cow<'_, str>, Option<usize>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (Cow::Borrowed(text), None),
        Err(error) => {
            let multibyte = bytes[..error.valid_up_to()].iter().any(|byte| !byte.is_ascii());
            let text = if multibyte || error.error_len().is_none() {
                String::from_utf8_lossy(bytes)
            } else {
                WINDOWS_1252.decode_without_bom_handling(bytes).0
            };
            (text, Some(error.valid_up_to()))
        }
    }
}

fn other<'a>(bytes: &'a [u8], encoding: &'static Encoding) -> (Cow<'a, str>, Option<usize>) {
    let (text, replaced) = encoding.decode_without_bom_handling(bytes);
    (text, replaced.then_some(0))
}

/// The encoding named in `<?xml … encoding="…"?>`, where the file begins with a declaration.
fn declared_label(bytes: &[u8]) -> Option<String> {
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace())?;
    let head = &bytes[start..bytes.len().min(start + 256)];
    let declaration = head.strip_prefix(b"<?xml")?;
    let end = declaration.windows(2).position(|pair| pair == b"?>")?;
    let declaration = std::str::from_utf8(&declaration[..end]).ok()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|character| matches!(character, '"' | '\''))?;
    value[1..].split_once(quote).map(|(label, _)| label.to_owned())
}

fn is_forbidden(character: char) -> bool {
    matches!(character, '\0'..='\u{8}' | '\u{b}' | '\u{c}' | '\u{e}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}')
}

fn is_forbidden_byte(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r')
}

/// Where the first control character stands. A line's worth of bytes is looked at as a few words first, so that a clean
/// text costs next to nothing.
fn first_control(text: &str) -> Option<usize> {
    const LINE: usize = 32;
    let bytes = text.as_bytes();
    let is_forbidden = |at: &usize| match bytes[*at..] {
        [0xef, 0xbf, 0xbe | 0xbf, ..] => true,
        [byte, ..] => is_forbidden_byte(byte),
        [] => false,
    };
    for (index, line) in bytes.chunks(LINE).enumerate() {
        if may_have_control(line)
            && let Some(at) = (index * LINE..index * LINE + line.len()).find(is_forbidden)
        {
            return Some(at);
        }
    }
    None
}

/// A word whose bytes are all one.
const EACH: u64 = 0x0101_0101_0101_0101;

/// Whether one of these bytes may be a control character that XML does not allow, or begin a code point that is no
/// character.
fn may_have_control(line: &[u8]) -> bool {
    let (words, _) = line.as_chunks::<8>();
    let Some(last) = line.last_chunk::<8>() else { return true };
    let mut each = words.iter().chain([last]).map(|word| u64::from_le_bytes(*word));
    // Nearly every line has no suspect but its end.
    let suspects = each.clone().fold(0, |suspects, word| suspects | low_or_not_ascii(word));
    suspects != 0 && each.any(|word| low_or_not_ascii(word) != 0 && is_suspect(word))
}

/// The highest bit of each byte that is a control character, any of them, or no ASCII; now and then of the byte behind
/// one as well.
fn low_or_not_ascii(word: u64) -> u64 {
    (word.wrapping_sub(0x20 * EACH) | word) & (0x80 * EACH)
}

/// Whether one of a word's bytes is a control character that XML does not allow, or may begin a code point that is no
/// character.
fn is_suspect(word: u64) -> bool {
    const LOW: u64 = 0x7f * EACH;
    // The highest bit of each byte that is zero: no byte carries into the next.
    let zeros = |word: u64| !(((word & LOW) + LOW) | word | LOW);
    let is = |byte: u8| zeros(word ^ (u64::from(byte) * EACH));
    let control = zeros(word & (0xe0 * EACH)) & !(is(b'\t') | is(b'\n') | is(b'\r'));
    control | is(0xef) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> String {
        decode(bytes).expect("decodes").text.into_owned()
    }

    #[test]
    fn a_byte_order_mark_decides_and_is_removed() {
        assert_eq!(text(b"\xef\xbb\xbf<a/>"), "<a/>");
        assert_eq!(text(b"\xff\xfe<\0a\0/\0>\0"), "<a/>");
        assert_eq!(text(b"\xfe\xff\0<\0a\0/\0>"), "<a/>");
    }

    #[test]
    fn utf_16_without_a_mark_is_known_by_its_zeros() {
        assert_eq!(text(b"<\0a\0/\0>\0"), "<a/>");
        assert_eq!(text(b"\0<\0a\0/\0>"), "<a/>");
    }

    #[test]
    fn the_declared_encoding_is_used_where_the_bytes_allow_it() {
        assert_eq!(text(b"<?xml version='1.0' encoding='ISO-8859-1'?><a n='caf\xe9'/>").matches("café").count(), 1);
        assert_eq!(text("<?xml encoding=\"UTF-16\"?><a n='é'/>".as_bytes()).matches('é').count(), 1);
        let decoded = decode(b"<?xml version='1.0' encoding='klingon'?><a/>").expect("decodes");
        assert_eq!(decoded.unknown_label.as_deref(), Some("klingon"));
    }

    #[test]
    fn bytes_that_are_no_utf_8_are_read_as_the_western_encoding_or_replaced() {
        let latin = decode(b"<a n='caf\xe9 noir'/>").expect("decodes");
        assert_eq!((latin.text.contains("café noir"), latin.replaced), (true, Some(9)));
        let broken = decode("<a n='é".bytes().chain(*b"\xff'/>").collect::<Vec<_>>().leak()).expect("decodes");
        assert!(broken.text.contains("é\u{fffd}"));
    }

    #[test]
    fn nothing_and_white_space_alone_are_empty() {
        assert_eq!(decode(b"").err(), Some(Unreadable::Empty));
        assert_eq!(decode(b" \r\n\t ").err(), Some(Unreadable::Empty));
        assert_eq!(decode(b"\xef\xbb\xbf").err(), Some(Unreadable::Empty));
    }

    #[test]
    fn every_character_is_judged_alike_wherever_it_stands() {
        for character in ('\0'..='\u{80}').chain(['\t', 'ｱ', '\u{fffd}', '\u{fffe}', '\u{ffff}', '\u{10ffff}']) {
            for at in 0..40 {
                for behind in [0, 5, 40] {
                    let text = format!("{}{character}{}", "a".repeat(at), "é".repeat(behind));
                    let expected = is_forbidden(character).then_some(at);
                    assert_eq!(first_control(&text), expected, "{character:?} at {at}, {behind} behind");
                }
            }
        }
    }

    #[test]
    fn the_first_control_character_is_found_and_all_are_removed() {
        let input = format!("{}\u{1b}[31m\0\u{fffe}x\n", "a".repeat(5_000));
        let decoded = decode(input.as_bytes()).expect("decodes");
        assert_eq!(decoded.without_controls("clean", 7), "clean");
        assert_eq!(decoded.control.get(), None);
        assert_eq!(decoded.without_controls(&decoded.text[4_999..], 4_999), "a[31mx\n");
        assert_eq!(decoded.control.get(), Some(5_000));
        assert_eq!(decoded.without_controls("\0", 9_000), "");
        assert_eq!(decoded.control.get(), Some(5_000), "the first one is told");
        assert_eq!(without_controls("\u{1b}[31m\0\u{fffe}x\n\t"), "[31mx\n\t");
        assert_eq!(without_controls("<a>ｱ﷽\n\t\r</a>"), "<a>ｱ﷽\n\t\r</a>");
    }

    #[test]
    fn lines_count_from_one() {
        assert_eq!(line_of(b"a\nb\nc", 0), 1);
        assert_eq!(line_of(b"a\nb\nc", 4), 3);
        assert_eq!(line_of(b"a", 99), 1);
    }
}
