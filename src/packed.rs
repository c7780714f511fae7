//! Files that may be packed with gzip or zstd: known by how they begin, never by their name.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

/// How files of gzip begin.
pub const GZIP: &[u8] = b"\x1f\x8b";

/// How files of zstd begin.
pub const ZSTD: &[u8] = b"\x28\xb5\x2f\xfd";

/// A file's content, unpacked as it is read.
///
/// # Errors
/// The file cannot be read.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    let mut file = File::open(path)?;
    let mut head = Vec::with_capacity(ZSTD.len());
    file.by_ref().take(ZSTD.len() as u64).read_to_end(&mut head)?;
    let is_packed_by = |magic| head.starts_with(magic);
    let (gzip, zstd) = (is_packed_by(GZIP), is_packed_by(ZSTD));
    let whole = Cursor::new(head).chain(BufReader::new(file));
    Ok(match (gzip, zstd) {
        (true, _) => Box::new(flate2::read::MultiGzDecoder::new(whole)),
        (_, true) => Box::new(zstd::Decoder::with_buffer(BufReader::new(whole))?),
        _ => Box::new(whole),
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
