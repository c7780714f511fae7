//! What may be packed with gzip or zstd: known by how it begins, never by its name.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// With what something is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packed {
    /// With gzip.
    Gzip,
    /// With zstd.
    Zstd,
}

/// As many bytes tell with what something is packed.
const HEAD: u64 = 4;

/// With what something is packed that begins like this; nothing where it is not.
pub fn by(head: &[u8]) -> Option<Packed> {
    match head {
        [0x1f, 0x8b, ..] => Some(Packed::Gzip),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Packed::Zstd),
        _ => None,
    }
}

/// A file's content, unpacked as it is read.
///
/// # Errors
/// The file cannot be read.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    unpacked(File::open(path)?)
}

/// What is read there, unpacked as it is read.
///
/// # Errors
/// It cannot be read.
pub fn unpacked(mut packed: impl Read + 'static) -> io::Result<Box<dyn Read>> {
    let mut head = Vec::new();
    packed.by_ref().take(HEAD).read_to_end(&mut head)?;
    let packing = by(&head);
    let whole = Cursor::new(head).chain(BufReader::new(packed));
    Ok(match packing {
        Some(Packed::Gzip) => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        Some(Packed::Zstd) => Box::new(zstd::Decoder::with_buffer(BufReader::new(whole))?),
        None => Box::new(whole),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_file_is_read_alike_however_it_is_packed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report");
        let text = "<testsuite/>".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        for bytes in [text.clone().into_bytes(), gzip.finish().unwrap(), zstd::encode_all(text.as_bytes(), 1).unwrap()]
        {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(io::read_to_string(open(&path).unwrap()).unwrap(), text);
        }
        std::fs::write(&path, b"").unwrap();
        assert_eq!(io::read_to_string(open(&path).unwrap()).unwrap(), "");
    }
}
