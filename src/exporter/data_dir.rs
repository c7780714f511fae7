//! Where the store lies.
//!
//! A directory that was named is used or is an error. Where none was named, the first that can be written to is: in a
//! container the volume at /data, else the user's own data directory. Where there is none at all (a read-only
//! container without a volume), the store lives in memory, and the log says so.

use jiff::Timestamp;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The store's file in its directory.
const FILE: &str = "qastack.db";

/// The volume of the image.
const IN_CONTAINER: &str = "/data";

/// Where the store lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In this file.
    File(PathBuf),
    /// Nowhere: nothing can be written to. Each directory that was tried, and why it is none.
    Memory(Vec<String>),
}

/// What becomes of a store that is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum IfDamaged {
    /// It stays as it is, and the exporter does not start.
    #[default]
    Refuse,
    /// It is kept under another name, and an empty one takes its place: only where somebody asked for that.
    SetAside,
}

/// Keeps a store and what belongs to it under another name, which is returned.
///
/// # Errors
/// It cannot be renamed.
pub fn set_aside(store: &Path, now: Timestamp) -> io::Result<PathBuf> {
    let with = |path: &Path, suffix: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    };
    let aside = with(store, &now.strftime(".damaged-%Y%m%dT%H%M%SZ").to_string());
    // The log first: beside a store without it, it would be taken for that one's.
    for suffix in ["-wal", "-shm", ""] {
        match fs::rename(with(store, suffix), with(&aside, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(aside)
}

/// What decides the place, so that tests can decide it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// What becomes of a store there that is damaged.
    pub if_damaged: IfDamaged,
    /// Whether this is a container with a volume of its own.
    pub container: bool,
    /// `XDG_DATA_HOME`.
    pub data_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

/// Chooses the place.
///
/// # Errors
/// The named directory cannot be written to.
pub fn choose(named: Option<&Path>, surroundings: &Surroundings) -> io::Result<Place> {
    if let Some(directory) = named {
        return writable(directory).map(|()| Place::File(directory.join(FILE)));
    }
    let mut candidates = Vec::new();
    if surroundings.container && Path::new(IN_CONTAINER).is_dir() {
        candidates.push(PathBuf::from(IN_CONTAINER));
    }
    let data_home =
        surroundings.data_home.clone().or_else(|| surroundings.home.as_ref().map(|home| home.join(".local/share")));
    candidates.extend(data_home.map(|directory| directory.join("qastack")));
    let mut refused = Vec::new();
    for directory in candidates {
        match writable(&directory) {
            Ok(()) => return Ok(Place::File(directory.join(FILE))),
            Err(error) => refused.push(format!("{}: {error}", directory.display())),
        }
    }
    Ok(Place::Memory(refused))
}

/// Makes the directory where it is missing, and writes to it: permissions alone do not tell about read-only mounts.
fn writable(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let probe = directory.join(format!(".qastack-probe-{}", std::process::id()));
    fs::write(&probe, b"")?;
    fs::remove_file(&probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_is_set_aside_is_kept_with_its_log() {
        let root = tempfile::tempdir().unwrap();
        let store = root.path().join(FILE);
        fs::write(&store, b"a store").unwrap();
        fs::write(root.path().join("qastack.db-wal"), b"its log").unwrap();
        let now = "2026-11-24T10:15:00Z".parse().unwrap();
        let aside = set_aside(&store, now).unwrap();
        assert_eq!(aside, root.path().join("qastack.db.damaged-20261124T101500Z"));
        assert_eq!(fs::read(&aside).unwrap(), b"a store");
        assert_eq!(fs::read(root.path().join("qastack.db.damaged-20261124T101500Z-wal")).unwrap(), b"its log");
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_named_directory_is_made_and_used_or_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let named = root.path().join("a/b");
        assert_eq!(choose(Some(&named), &Surroundings::default()).unwrap(), Place::File(named.join(FILE)));
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        assert!(choose(Some(&file.join("below")), &Surroundings::default()).is_err());
    }

    #[test]
    fn without_a_name_the_users_data_directory_is_used() {
        let root = tempfile::tempdir().unwrap();
        let home = Surroundings { home: Some(root.path().to_owned()), ..Surroundings::default() };
        let expected = root.path().join(".local/share/qastack").join(FILE);
        assert_eq!(choose(None, &home).unwrap(), Place::File(expected));
        let data_home = Surroundings { data_home: Some(root.path().join("data")), ..home };
        assert_eq!(choose(None, &data_home).unwrap(), Place::File(root.path().join("data/qastack").join(FILE)));
    }

    #[test]
    fn where_nothing_can_be_written_to_the_store_is_in_memory_and_each_reason_is_told() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("file");
        fs::write(&file, b"").unwrap();
        let surroundings = Surroundings { data_home: Some(file), ..Surroundings::default() };
        let Place::Memory(refused) = choose(None, &surroundings).unwrap() else { panic!("a place was found") };
        assert_eq!(refused.len(), 1);
        assert_eq!(choose(None, &Surroundings::default()).unwrap(), Place::Memory(Vec::new()));
    }
}
