//! The files of the embedded engine: only their owner may read them, and none is ever seen half written.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// What is read of a log's end; no line that matters is longer.
const TAIL: u64 = 64 << 10;

/// A file's bytes; none where there is no such file.
pub fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    or_gone(fs::read(path).map(Some))
}

/// Takes "there is no such thing" as done.
pub fn or_gone<T: Default>(result: io::Result<T>) -> io::Result<T> {
    match result {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(T::default()),
        other => other,
    }
}

/// Makes a directory that only its owner can enter.
pub fn make_directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file, made where it is missing, that only its owner may read.
pub fn open_private(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    options.create(true).mode(0o600).open(path)
}

/// Writes a file whole, beside its place first.
pub fn write(path: &Path, contents: &[u8]) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        make_directory(directory)?;
    }
    let beside = path.with_extension("new");
    or_gone(fs::remove_file(&beside))?;
    let mut file = open_private(&beside, OpenOptions::new().write(true).truncate(true))?;
    file.write_all(contents)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

/// The last lines of a log, not before `from` bytes; none where it cannot be read.
pub fn last_lines(path: &Path, from: u64, count: usize) -> Vec<String> {
    let tail = || {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // A log that began anew meanwhile is shorter than it was.
        let from = if from > length { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL))))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let bytes = tail().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].iter().map(|line| (*line).to_owned()).collect()
}

/// The process whose standard input is this file, where the system tells.
pub fn process_with_stdin(path: &Path) -> Option<u32> {
    let wanted = fs::canonicalize(path).ok()?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    processes
        .filter(|process| fs::read_link(process.path().join("fd/0")).is_ok_and(|link| link == wanted))
        .find_map(|process| process.file_name().to_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_replaced_whole_and_only_its_owner_may_read_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("below/admin-token");
        write(&path, b"first, and longer").expect("written");
        write(&path, b"second").expect("written");
        assert_eq!(read(&path).expect("read").as_deref(), Some(&b"second"[..]));
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().expect("a parent"))), (0o600, 0o700));
        assert_eq!(read(&directory.path().join("nothing")).expect("no error"), None);
    }

    #[test]
    fn the_last_lines_are_those_of_this_start() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("log");
        fs::write(&path, "before\none\n\ntwo\nthree\n").expect("a log");
        assert_eq!(last_lines(&path, 7, 2), ["two", "three"]);
        assert_eq!(last_lines(&path, 7, 9), ["one", "two", "three"]);
        assert_eq!(last_lines(&path, 9_999, 1), ["three"]);
        assert!(last_lines(&directory.path().join("nothing"), 0, 1).is_empty());
    }

    #[test]
    fn a_process_is_found_by_what_it_reads() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("run.json");
        let file = File::create_new(&path).expect("a file");
        assert_eq!(process_with_stdin(&path), None);
        let mut sleeper = std::process::Command::new("sleep")
            .arg("60")
            .stdin(std::process::Stdio::from(file))
            .spawn()
            .expect("sleep");
        let found = process_with_stdin(&path);
        sleeper.kill().expect("ended");
        sleeper.wait().expect("ended");
        assert_eq!(found, Some(sleeper.id()));
    }
}
