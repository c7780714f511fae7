//! The exporter's log as lines: what is there, the part before the last rotation first, and what comes.
//!
//! A full log is copied to `log.1` and emptied in its place (`exporter::log`), so that a reader who finds it shorter
//! than before reads what it has missed in the copy.

use crate::engine::LogLine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// Reads on where it has stopped.
#[derive(Debug)]
pub struct LogReader {
    path: PathBuf,
    before: PathBuf,
    offset: u64,
    part: Vec<u8>,
}

impl LogReader {
    /// A reader of the log at a path, from its very beginning.
    pub fn new(path: PathBuf) -> Self {
        let mut before = path.as_os_str().to_owned();
        before.push(".1");
        Self { path, before: before.into(), offset: 0, part: Vec::new() }
    }

    /// Every line that is there now, with those of the copy.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn all(&mut self) -> Result<Vec<LogLine>> {
        let (earlier, _) = read_from(&self.before, 0)?;
        self.part.extend(earlier);
        self.more()
    }

    /// The lines that were written since.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn more(&mut self) -> Result<Vec<LogLine>> {
        let (mut bytes, length) = read_from(&self.path, self.offset)?;
        if length < self.offset {
            let (missed, _) = read_from(&self.before, self.offset)?;
            self.part.extend(missed);
            (bytes, _) = read_from(&self.path, 0)?;
            self.offset = 0;
        }
        self.offset += bytes.len() as u64;
        self.part.extend(bytes);
        let whole = self.part.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines: Vec<u8> = self.part.drain(..whole).collect();
        Ok(String::from_utf8_lossy(&lines).lines().map(line_of).collect())
    }

    /// A last line whose end was never written.
    pub fn rest(&mut self) -> Option<LogLine> {
        let part = std::mem::take(&mut self.part);
        (!part.is_empty()).then(|| line_of(&String::from_utf8_lossy(&part)))
    }
}

/// The bytes from an offset on, and the file's length; none where there is no file.
fn read_from(path: &Path, offset: u64) -> Result<(Vec<u8>, u64)> {
    try_read_from(path, offset).map_err(|cause| {
        Error::new(Code::StoreDamaged, format!("cannot read the log {}: {cause}", path.display()))
            .hint("Mend the file's owner and permissions.")
    })
}

fn try_read_from(path: &Path, offset: u64) -> io::Result<(Vec<u8>, u64)> {
    let mut file = match File::open(path) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        file => file?,
    };
    let length = file.metadata()?.len();
    let mut bytes = Vec::new();
    if offset < length {
        file.seek(SeekFrom::Start(offset))?;
        file.take(length - offset).read_to_end(&mut bytes)?;
    }
    Ok((bytes, length))
}

/// A line of ours begins with its time; one of a panic does not.
fn line_of(text: &str) -> LogLine {
    let at = text.split_whitespace().next().and_then(|word| word.parse().ok());
    LogLine { at, text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;

    fn texts(lines: Vec<LogLine>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    fn append(path: &Path, text: &str) {
        let mut file = fs::OpenOptions::new().create(true).append(true).open(path).expect("a log");
        file.write_all(text.as_bytes()).expect("written");
    }

    #[test]
    fn lines_are_given_once_and_whole_also_across_a_rotation() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        append(&directory.path().join("log.1"), "earlier\n");
        append(&path, "2026-11-24T10:00:00Z  INFO one\ntw");
        let mut reader = LogReader::new(path.clone());
        let all = reader.all().expect("read");
        assert_eq!(all[1].at, "2026-11-24T10:00:00Z".parse().ok());
        assert_eq!(texts(all), ["earlier", "2026-11-24T10:00:00Z  INFO one"]);
        append(&path, "o\nthree\n");
        assert_eq!(texts(reader.more().expect("read")), ["two", "three"]);
        append(&path, "four\n");
        fs::copy(&path, directory.path().join("log.1")).expect("copied");
        fs::write(&path, "five\nsix").expect("emptied and gone on with");
        assert_eq!(texts(reader.more().expect("read")), ["four", "five"]);
        assert!(reader.more().expect("read").is_empty());
        assert_eq!(reader.rest().expect("a line without an end").text, "six");
        assert!(reader.rest().is_none());
    }

    #[test]
    fn no_log_has_no_lines() {
        let directory = tempfile::tempdir().expect("a directory");
        assert!(LogReader::new(directory.path().join("log")).all().expect("no error").is_empty());
    }
}
