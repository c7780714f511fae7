//! The exporter's log: one line an event, `key=value`, with times in UTC and never a secret.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// The variable that says how much is logged: `info`, `debug`, `qastack::exporter=trace`.
const VARIABLE: &str = "QASTACK_LOG";

/// How large a log file grows before it begins anew; the one before is kept beside it.
const LARGEST: u64 = 4 << 20;

/// Sends what is traced to stderr from now on. Where a program around us does so already, its way stays.
pub fn to_stderr() {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_target(false);
    let _ = tracing_subscriber::registry().with(lines).with(filter()).try_init();
}

/// Sends what is traced to a file of bounded size from now on.
///
/// # Errors
/// The file cannot be written to.
pub fn to_file(path: &Path) -> io::Result<()> {
    let file = BoundedFile::open(path, LARGEST)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(Mutex::new(file)).with_ansi(false).with_target(false);
    let _ = tracing_subscriber::registry().with(lines).with(filter()).try_init();
    Ok(())
}

fn filter() -> Targets {
    let asked = std::env::var(VARIABLE).ok().and_then(|asked| asked.parse().ok());
    asked.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO))
}

/// A file that is copied to `FILE.1` and emptied when it is full. It stays the same file, so that what else appends
/// to it, such as this process' own stderr, goes on doing so.
struct BoundedFile {
    file: File,
    path: PathBuf,
    largest: u64,
}

impl BoundedFile {
    fn open(path: &Path, largest: u64) -> io::Result<Self> {
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(path)?, path: path.to_owned(), largest })
    }

    fn begin_anew(&self) -> io::Result<()> {
        let mut before = self.path.as_os_str().to_owned();
        before.push(".1");
        fs::copy(&self.path, &before)?;
        self.file.set_len(0)
    }
}

impl Write for BoundedFile {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A log is asked for its size each time: others may write to it too.
        if self.file.metadata()?.len() >= self.largest && self.begin_anew().is_err() {
            // Without room for a second file the bound is what counts.
            self.file.set_len(0)?;
        }
        self.file.write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_begins_anew_and_the_one_before_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = BoundedFile::open(&path, 20).unwrap();
        let mut beside = OpenOptions::new().append(true).open(&path).unwrap();
        for number in 0..5 {
            log.write_all(format!("line {number}..\n").as_bytes()).unwrap();
        }
        beside.write_all(b"a panic\n").unwrap();
        let text = |name: &str| fs::read_to_string(directory.path().join(name)).unwrap();
        assert_eq!(text("log.1"), "line 0..\nline 1..\nline 2..\n");
        assert_eq!(text("log"), "line 3..\nline 4..\na panic\n");
    }

    #[test]
    fn a_log_is_gone_on_with_after_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        for line in ["one\n", "two\n"] {
            BoundedFile::open(&path, 20).unwrap().write_all(line.as_bytes()).unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        assert!(BoundedFile::open(&directory.path().join("no/log"), 20).is_err());
    }
}
