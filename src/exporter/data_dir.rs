//! Where the store lies.
//!
//! A directory that was named is used or is an error. Where none was named, the first that can be written to is: in a
//! container the volume at /data, else the user's own data directory. Where there is none at all (a read-only
//! container without a volume), the store lives in memory, and the log says so.

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

/// What decides the place, so that tests can decide it.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
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
