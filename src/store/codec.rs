//! Numbers and texts as few bytes, and back. Bytes that cannot be read are an error, never a panic.

/// Bytes that were not written by this codec, or were changed since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the bytes cannot be read")]
pub(super) struct Malformed;

/// Compressed sizes below this are not worth the trouble.
const WORTH_COMPRESSING: usize = 192;

/// More than any honest blob inflates to.
const INFLATED_LIMIT: usize = 1 << 30;

/// Writes numbers and texts one after the other.
#[derive(Debug, Default)]
pub(super) struct Writer(Vec<u8>);

impl Writer {
    pub(super) fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    pub(super) fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    /// A number that may be negative, small ones of both signs in few bytes.
    pub(super) fn signed(&mut self, number: i64) {
        self.number(((number << 1) ^ (number >> 63)) as u64);
    }

    /// A number that may be missing.
    pub(super) fn maybe(&mut self, number: Option<i64>) {
        self.byte(u8::from(number.is_some()));
        if let Some(number) = number {
            self.signed(number);
        }
    }

    pub(super) fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// Puts all that another one wrote behind what this one wrote.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend_from_slice(&other.0);
    }

    /// The bytes, compressed where that pays; the first byte says which.
    pub(super) fn finish(self) -> Vec<u8> {
        let plain = |bytes: &[u8]| [&[0], bytes].concat();
        if self.0.len() < WORTH_COMPRESSING {
            return plain(&self.0);
        }
        match zstd::bulk::compress(&self.0, 1) {
            Ok(small) if small.len() + 4 < self.0.len() => {
                let mut head = Self::default();
                head.byte(1);
                head.number(self.0.len() as u64);
                head.0.extend_from_slice(&small);
                head.0
            }
            _ => plain(&self.0),
        }
    }
}

/// The bytes as they were before [`Writer::finish`].
pub(super) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Malformed> {
    match bytes.split_first() {
        Some((0, plain)) => Ok(plain.to_vec()),
        Some((1, rest)) => {
            let mut reader = Reader(rest);
            let length = usize::try_from(reader.number()?).map_err(|_| Malformed)?;
            if length > INFLATED_LIMIT {
                return Err(Malformed);
            }
            let inflated = zstd::bulk::decompress(reader.0, length).map_err(|_| Malformed)?;
            if inflated.len() == length { Ok(inflated) } else { Err(Malformed) }
        }
        _ => Err(Malformed),
    }
}

/// Reads what a [`Writer`] wrote, in the same order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a>(pub(super) &'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (first, rest) = self.0.split_first().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Malformed)
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1) as i64 ^ -((number & 1) as i64))
    }

    pub(super) fn maybe(&mut self) -> Result<Option<i64>, Malformed> {
        match self.byte()? {
            0 => Ok(None),
            1 => self.signed().map(Some),
            _ => Err(Malformed),
        }
    }

    /// A number of things that each take at least one byte of what is left.
    pub(super) fn length(&mut self) -> Result<usize, Malformed> {
        let length = usize::try_from(self.number()?).map_err(|_| Malformed)?;
        if length <= self.0.len() { Ok(length) } else { Err(Malformed) }
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.length()?;
        std::str::from_utf8(self.bytes(length)?).map_err(|_| Malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn whatever_is_written_is_read_back(numbers in prop::collection::vec(any::<u64>(), 0..200), signed in any::<i64>(), text in ".{0,300}") {
            let mut writer = Writer::default();
            writer.number(numbers.len() as u64);
            numbers.iter().for_each(|&number| writer.number(number));
            writer.maybe(Some(signed));
            writer.maybe(None);
            writer.text(&text);
            let bytes = inflate(&writer.finish()).unwrap();
            let mut reader = Reader(&bytes);
            let count = reader.length().unwrap();
            let read: Vec<u64> = (0..count).map(|_| reader.number().unwrap()).collect();
            prop_assert_eq!(read, numbers);
            prop_assert_eq!(reader.maybe(), Ok(Some(signed)));
            prop_assert_eq!(reader.maybe(), Ok(None));
            prop_assert_eq!(reader.text(), Ok(text.as_str()));
            prop_assert!(reader.0.is_empty());
        }

        #[test]
        fn hostile_bytes_are_an_error_or_a_value_but_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(inflated) = inflate(&bytes) {
                let mut reader = Reader(&inflated);
                while reader.text().is_ok() {}
            }
        }
    }
}
