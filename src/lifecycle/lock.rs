//! One operation a project at a time on this machine: a locked file that names its holder.
//!
//! The kernel drops the lock with the process, however it ends, so that a lock never outlives its holder.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Held for as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a project's lock, or says who has it.
    pub fn acquire(directory: &Path, project: &str, command: &str) -> Result<Self> {
        let locks = directory.join("locks");
        let path = locks.join(format!("{project}.lock"));
        let trouble = |cause: std::io::Error| {
            Error::new(Code::StoreDamaged, format!("cannot use the lock {}: {cause}", path.display()))
                .hint("Make the directory writable, or name another one with XDG_STATE_HOME.")
        };
        std::fs::create_dir_all(&locks).map_err(trouble)?;
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(trouble)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(held(&mut file, project)),
            Err(TryLockError::Error(cause)) => return Err(trouble(cause)),
        }
        // The text is only for the one who has to wait; the lock is the kernel's. On a full disk it has to do without:
        // a command that removes something must not need room first.
        let holder = format!("pid {} (qastack {command})", std::process::id());
        let _ = file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(holder.as_bytes()));
        Ok(Self { _file: file })
    }

    /// Who has a project's lock now; none where nobody has. It is held by nobody else meanwhile.
    pub fn holder(directory: &Path, project: &str) -> std::io::Result<Option<String>> {
        let path = directory.join("locks").join(format!("{project}.lock"));
        let mut file = match File::open(&path) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder)?;
                Ok(Some(if holder.is_empty() { "another run of qastack".to_owned() } else { holder }))
            }
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }
}

fn held(file: &mut File, project: &str) -> Error {
    let mut holder = String::new();
    let known = file.read_to_string(&mut holder).is_ok() && !holder.is_empty();
    let by = if known { holder } else { "another run of qastack".to_owned() };
    Error::new(Code::Locked, format!("the project {project} is being worked on by {by}"))
        .hint("Wait until it is done, or end it; then run the command again.")
        .retryable()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_told_who_works_on_the_project() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = Lock::acquire(directory.path(), "a", "up").expect("free");
        let error = Lock::acquire(directory.path(), "a", "down").expect_err("held");
        assert_eq!(error.code(), Code::Locked);
        assert!(error.message().contains(&format!("pid {} (qastack up)", std::process::id())), "{error}");
        Lock::acquire(directory.path(), "b", "up").expect("another project is free");
        drop(first);
        Lock::acquire(directory.path(), "a", "down").expect("free again");
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let error = Lock::acquire(Path::new("/proc/nowhere"), "a", "up").expect_err("no directory");
        assert_eq!(error.code(), Code::StoreDamaged);
        assert!(error.message().contains("/proc/nowhere"), "{error}");
    }
}
