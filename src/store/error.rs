//! What can go wrong in the store, in words a user can act on.

use crate::error::Error;
use crate::exit_code::Code;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store could not do what it was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file was written by a newer qastack.
    #[error("{} has schema version {found}; this qastack knows versions up to {known}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version this binary knows.
        known: i64,
    },
    /// The file is damaged.
    #[error("{} is damaged: {reason}", path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        reason: String,
    },
    /// A part of the file is damaged.
    #[error("a part of the store is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// The file is a database of somebody else.
    #[error("{} is a SQLite database, but not one of qastack", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be opened.
    #[error("{} cannot be opened: {reason}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// Another process has the store open.
    #[error("{} is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The disk, or the size the store may have, is used up. Nothing of the refused call was stored.
    #[error("the store is full: {reason}")]
    Full {
        /// What SQLite says.
        reason: String,
    },
    /// Too much waits for the writer, or another process holds the file. Nothing of the refused call was stored.
    #[error("the store is busy")]
    Busy,
    /// The idempotency key was used for other content.
    #[error("the idempotency key {key:?} was used before, for other content")]
    Conflict {
        /// The key.
        key: String,
    },
    /// A name that must be free is not.
    #[error("there is a {what} already")]
    Taken {
        /// What has the name.
        what: String,
    },
    /// What was asked for is not there.
    #[error("there is no {what}")]
    Unknown {
        /// What was asked for.
        what: String,
    },
    /// What was given cannot be stored.
    #[error("{reason}")]
    Invalid {
        /// Why.
        reason: String,
    },
    /// There is something in the store that would be lost.
    #[error("the store is not empty")]
    NotEmpty,
    /// The figures are being computed anew; for that time the store stays the one it is.
    #[error("the figures are being computed under other rules")]
    Folding,
    /// The store is closed, or its writer ended.
    #[error("the store is closed")]
    Closed,
    /// SQLite failed in another way.
    #[error("the store failed: {0}")]
    Failed(Arc<rusqlite::Error>),
}

impl StoreError {
    /// Gives errors of opening a file the file's name.
    pub(super) fn opening(path: &Path, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, PermissionDenied, ReadOnly};
        let path = path.to_owned();
        match error.sqlite_error_code() {
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt { path, reason: error.to_string() },
            Some(CannotOpen | PermissionDenied | ReadOnly) => Self::Unusable { path, reason: error.to_string() },
            _ => Self::from(error),
        }
    }

    /// Whether the store itself is what is wrong.
    pub fn is_damage(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::Damaged { .. })
    }

    /// Names the file in an error that does not know it.
    pub(super) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Damaged { reason } => Self::Corrupt { path: path.to_owned(), reason },
            other => other,
        }
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // Where the disk is full, the index beside the WAL cannot grow either; SQLite has a code of its own for that.
        let no_room =
            error.sqlite_error().is_some_and(|code| code.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE);
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::SystemIoFailure) if no_room => Self::Full { reason: error.to_string() },
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => Self::Busy,
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full { reason: error.to_string() },
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged { reason: error.to_string() }
            }
            _ => Self::Failed(Arc::new(error)),
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        match error {
            StoreError::Newer { .. } => Error::new(Code::StoreDamaged, message)
                .hint("Run the qastack that wrote it, or a newer one. Nothing was changed."),
            StoreError::Corrupt { .. } | StoreError::Damaged { .. } => Error::new(Code::StoreDamaged, message).hint(
                "Start it with --set-aside-damaged-store, which keeps the file under another name and begins with \
                     an empty store, then restore a backup. Nothing was changed.",
            ),
            StoreError::NotOurs { .. } | StoreError::Unusable { .. } => Error::new(Code::StoreDamaged, message)
                .hint("Name another file, or mend its owner and permissions. Nothing was changed."),
            StoreError::InUse { .. } => {
                Error::new(Code::Locked, message).hint("Stop the other exporter, or give this one a store of its own.")
            }
            StoreError::Busy => Error::new(Code::Locked, message)
                .hint("Another process holds the store's file: end it, or try again.")
                .retryable(),
            StoreError::Full { .. } => Error::new(Code::StoreDamaged, message)
                .hint("Free space, raise the size limit, or shorten the retention; what was stored is safe.")
                .retryable(),
            StoreError::Conflict { .. } | StoreError::Taken { .. } | StoreError::Invalid { .. } => {
                Error::new(Code::ReportRejected, message)
            }
            StoreError::Unknown { .. } => Error::new(Code::Usage, message),
            StoreError::NotEmpty => {
                Error::new(Code::ConfirmationNeeded, message).hint("Say that it is to be replaced with --force.")
            }
            StoreError::Folding => Error::new(Code::Locked, message).hint("Wait a moment and try again.").retryable(),
            StoreError::Closed => Error::new(Code::Unexpected, message).retryable(),
            StoreError::Failed(_) => Error::new(Code::Unexpected, message),
        }
    }
}
