//! The database file: how it is opened, what makes it ours, and how one version becomes the next.

use super::error::StoreError;
use super::model::{Durability, StoreOptions};
use rusqlite::{Connection, OpenFlags};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Marks a database as one of qastack: the letters `qast`.
const APPLICATION_ID: i64 = 0x7161_7374;

/// What each version adds to the one before, the first one to nothing. A version that was released never changes.
const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql"), include_str!("schema/3.sql")];

/// The newest version this binary knows.
pub const VERSION: i64 = MIGRATIONS.len() as i64;

const PAGE_BYTES: u64 = 4096;

/// Where a store lives.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a file, with its WAL beside it.
    File(PathBuf),
    /// In this process' memory, under a name of its own.
    Memory(String),
}

impl Place {
    /// A place in memory that no other store has.
    pub(super) fn new_memory() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Self::Memory(format!("file:/qastack-{}?vfs=memdb", NUMBER.fetch_add(1, Ordering::Relaxed)))
    }

    /// The file's path, or words for the memory.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(path) => path,
            Self::Memory(_) => Path::new("the store in memory"),
        }
    }

    /// Keeps other processes from opening the same file for as long as the returned lock lives.
    pub(super) fn lock(&self) -> Result<Option<File>, StoreError> {
        let Self::File(path) = self else { return Ok(None) };
        let lock_path = path.with_added_extension("lock");
        let unusable = |error: std::io::Error| StoreError::Unusable { path: path.clone(), reason: error.to_string() };
        let file = File::options().create(true).truncate(false).write(true).open(lock_path).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(std::fs::TryLockError::WouldBlock) => Err(StoreError::InUse { path: path.clone() }),
            Err(std::fs::TryLockError::Error(error)) => Err(unusable(error)),
        }
    }

    /// Opens the connection that writes; makes the database, or brings it to the newest version.
    pub(super) fn open_writer(&self, options: &StoreOptions) -> Result<Connection, StoreError> {
        self.open_and_migrate(options).map_err(|error| error.in_file(self.path()))
    }

    fn open_and_migrate(&self, options: &StoreOptions) -> Result<Connection, StoreError> {
        let mut connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
        let version = self.check(&connection)?;
        if version == 0 {
            connection.pragma_update(None, "page_size", PAGE_BYTES)?;
        }
        if matches!(self, Self::File(_)) {
            connection.pragma_update(None, "journal_mode", "wal")?;
        }
        // A store that is just being made holds nothing yet: its first report brings it to the disk.
        let synchronous = match options.durability {
            Durability::Full if version > 0 => "full",
            Durability::Full | Durability::Normal => "normal",
        };
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "wal_autocheckpoint", 2000)?;
        connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
        connection.busy_timeout(options.patience)?;
        connection.set_prepared_statement_cache_capacity(64);
        limit_size(&connection, options.max_bytes)?;
        migrate(&mut connection, version)?;
        if options.durability == Durability::Full {
            connection.pragma_update(None, "synchronous", "full")?;
        }
        Ok(connection)
    }

    /// Opens a database that has to be there and to be ours; brings it to the newest version.
    pub(super) fn open_existing(&self, options: &StoreOptions) -> Result<Connection, StoreError> {
        let found = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE).and_then(|connection| self.check(&connection));
        match found.map_err(|error| error.in_file(self.path()))? {
            0 => Err(StoreError::NotOurs { path: self.path().into() }),
            _ => self.open_writer(options),
        }
    }

    /// Opens a connection that copies the database elsewhere.
    pub(super) fn open_copier(&self) -> Result<Connection, StoreError> {
        self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Opens a connection that only reads.
    pub(super) fn open_reader(&self) -> Result<Connection, StoreError> {
        let connection = self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    fn connect(&self, mode: OpenFlags) -> Result<Connection, StoreError> {
        let flags = mode | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = match self {
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(uri) => Connection::open_with_flags(uri, flags | OpenFlags::SQLITE_OPEN_URI),
        };
        let connection = connection.map_err(|error| StoreError::opening(self.path(), error))?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        // The exporter runs in an image without a directory for temporary files.
        connection.pragma_update(None, "temp_store", "memory")?;
        connection.pragma_update(None, "cache_size", -2048)?;
        Ok(connection)
    }

    /// The version of what is there, 0 where there is nothing. Changes nothing.
    fn check(&self, connection: &Connection) -> Result<i64, StoreError> {
        let number = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
        let version = number("PRAGMA user_version")?;
        let owner = number("PRAGMA application_id")?;
        if owner != APPLICATION_ID {
            let tables = number("SELECT count(*) FROM sqlite_schema")?;
            return if tables == 0 && owner == 0 {
                Ok(0)
            } else {
                Err(StoreError::NotOurs { path: self.path().into() })
            };
        }
        if version > VERSION {
            return Err(StoreError::Newer { path: self.path().into(), found: version, known: VERSION });
        }
        Ok(version)
    }
}

/// Keeps the file from growing beyond a size; nothing lifts the limit.
pub(super) fn limit_size(connection: &Connection, max_bytes: Option<u64>) -> Result<(), StoreError> {
    // SQLite's own greatest count stands for none.
    let pages = max_bytes.map_or(4_294_967_294, |bytes| (bytes / PAGE_BYTES).max(64));
    Ok(connection.pragma_update(None, "max_page_count", pages)?)
}

/// Brings a database from a version to the newest one, each step whole or not at all.
fn migrate(connection: &mut Connection, from: i64) -> Result<(), StoreError> {
    for (version, sql) in (1..).zip(MIGRATIONS).filter(|(version, _)| *version > from) {
        let step = connection.transaction()?;
        step.execute_batch(sql)?;
        step.pragma_update(None, "application_id", APPLICATION_ID)?;
        step.pragma_update(None, "user_version", version)?;
        step.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(directory: &tempfile::TempDir) -> Place {
        Place::File(directory.path().join("qastack.db"))
    }

    #[test]
    fn a_new_file_gets_the_newest_version_and_opens_again() {
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..2 {
            let connection = file(&directory).open_writer(&StoreOptions::default()).unwrap();
            let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
            assert_eq!(version, VERSION);
        }
    }

    #[test]
    fn a_newer_version_is_named_and_left_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let place = file(&directory);
        let connection = place.open_writer(&StoreOptions::default()).unwrap();
        connection.pragma_update(None, "user_version", VERSION + 7).unwrap();
        drop(connection);
        let before = std::fs::read(place.path()).unwrap();
        let error = place.open_writer(&StoreOptions::default()).unwrap_err();
        assert!(matches!(error, StoreError::Newer { found, .. } if found == VERSION + 7), "{error}");
        assert_eq!(std::fs::read(place.path()).unwrap(), before);
    }

    #[test]
    fn somebody_elses_database_is_not_touched() {
        let directory = tempfile::tempdir().unwrap();
        let place = file(&directory);
        Connection::open(place.path()).unwrap().execute_batch("CREATE TABLE theirs (x)").unwrap();
        let before = std::fs::read(place.path()).unwrap();
        assert!(matches!(place.open_writer(&StoreOptions::default()), Err(StoreError::NotOurs { .. })));
        assert_eq!(std::fs::read(place.path()).unwrap(), before);
    }

    #[test]
    fn a_file_that_is_no_database_is_damaged_and_stays() {
        let directory = tempfile::tempdir().unwrap();
        let place = file(&directory);
        std::fs::write(place.path(), "not a database at all, just words ".repeat(100)).unwrap();
        assert!(matches!(place.open_writer(&StoreOptions::default()), Err(StoreError::Corrupt { .. })));
        assert!(std::fs::read_to_string(place.path()).unwrap().starts_with("not a database"));
    }

    #[test]
    fn a_second_opener_is_told_that_the_store_is_in_use() {
        let directory = tempfile::tempdir().unwrap();
        let place = file(&directory);
        let _held = place.lock().unwrap();
        assert!(matches!(place.lock(), Err(StoreError::InUse { .. })));
    }
}
