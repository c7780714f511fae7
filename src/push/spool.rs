//! The spool: what could not be delivered, kept on disk until a later push delivers it.
//!
//! One file is one parcel with everything that was known when it was pushed. It is written whole beside its place,
//! synced and renamed, and carries a checksum: what is found here was pushed like this, or is told to be torn. The
//! names of the files tell the moment of their push. Only their owner may read them: reports hold output.

use super::deliver::{Label, Parcel};
use crate::hex::hex;
use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// The first word of every file, with the version of its form.
const MAGIC: &str = "qastack-spool-1";

/// What the files of whole parcels end in.
const PARCEL: &str = "parcel";

/// What a file ends in that is being written.
const UNFINISHED: &str = "unfinished";

/// A file that nobody has written to for so long will never be finished.
const ABANDONED: Duration = Duration::from_secs(3600);

/// How much the spool may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes of all parcels together.
    pub bytes: u64,
    /// How old a parcel may become: older runs are in no window any more.
    pub age: Duration,
}

/// The spool of one directory. Nothing is made before something is kept.
#[derive(Debug, Clone)]
pub struct Spool {
    directory: PathBuf,
    bounds: Bounds,
}

/// What is written on a parcel that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waybill {
    /// The exporter it is for; it goes to no other.
    pub url: String,
    /// When it was pushed, in seconds since 1970.
    pub pushed_at: i64,
    /// Where it is from and goes to.
    pub label: Label,
}

/// A parcel that waits, as its file's name tells.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waiting {
    /// When it was pushed, in seconds since 1970.
    pub pushed_at: i64,
    /// When its file was written: several are pushed in one second.
    pub written_at: Option<SystemTime>,
    /// Its file.
    pub path: PathBuf,
    /// The file's size.
    pub bytes: u64,
}

/// What waits in a spool, as the names of its files tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Waits {
    /// Where the spool is.
    pub directory: String,
    /// How many parcels wait.
    pub waiting: usize,
    /// When the oldest of them was pushed; none where none waits.
    pub since: Option<Timestamp>,
}

/// What sends what waits.
pub const SENT_BY: &str = "The next qastack push to their exporter delivers them first; so does qastack push --flush.";

/// Why a parcel is put where nothing is delivered from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// It is not what was written.
    Torn,
    /// The exporter does not take it.
    Refused,
}

impl Aside {
    fn directory(self) -> &'static str {
        match self {
            Self::Torn => "torn",
            Self::Refused => "refused",
        }
    }
}

/// Held while parcels are delivered: two pushes at once do not send the same ones.
#[derive(Debug)]
pub struct Delivering {
    _lock: File,
}

impl Spool {
    /// The spool of a directory.
    pub fn new(directory: PathBuf, bounds: Bounds) -> Self {
        Self { directory, bounds }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Keeps a parcel. The same content for the same run is kept once, with the moment it was first pushed.
    ///
    /// # Errors
    /// It cannot be written whole.
    pub fn keep(&self, parcel: &Parcel, url: &str, pushed_at: i64) -> io::Result<PathBuf> {
        let id = parcel.label.key.get(..32).unwrap_or(&parcel.label.key);
        make_private(&self.directory)?;
        let same = self.waiting()?.into_iter().find(|waiting| id_of(&waiting.path) == Some(id));
        if let Some(same) = same.filter(|same| read(&same.path).is_ok_and(|(bill, _)| bill.url == url)) {
            return Ok(same.path);
        }
        let bill = Waybill { url: url.to_owned(), pushed_at, label: parcel.label.clone() };
        let mut content = serde_json::to_vec(&bill).map_err(io::Error::other)?;
        content.push(b'\n');
        content.extend_from_slice(&parcel.bytes);
        let path = self.directory.join(format!("{pushed_at:012}-{id}.{PARCEL}"));
        // Two pushes may keep the same parcel at once: each has a place of its own to write it.
        let beside = self.directory.join(format!("{id}-{}.{UNFINISHED}", std::process::id()));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(format!("{MAGIC} {}\n", checksum(&content)).as_bytes())?;
        file.write_all(&content)?;
        file.sync_all()?;
        fs::rename(&beside, &path)?;
        // The name is on disk only with its directory.
        File::open(&self.directory)?.sync_all()?;
        Ok(path)
    }

    /// What waits in the spool of a directory. It costs one listing, whatever is in it.
    ///
    /// # Errors
    /// The directory cannot be read; one that is not there holds nothing.
    pub fn look(directory: PathBuf) -> io::Result<Waits> {
        let parcels = files(&directory, PARCEL)?;
        let since = parcels.iter().filter_map(|path| pushed_at(path)).min();
        let since = since.and_then(|seconds| Timestamp::from_second(seconds).ok());
        Ok(Waits { directory: directory.display().to_string(), waiting: parcels.len(), since })
    }

    /// The parcels that wait, the oldest first.
    ///
    /// # Errors
    /// The directory cannot be read; one that is not there holds nothing.
    pub fn waiting(&self) -> io::Result<Vec<Waiting>> {
        let mut waiting = Vec::new();
        for path in self.files(PARCEL)? {
            // Another push may have delivered it meanwhile.
            let Ok(metadata) = fs::metadata(&path) else { continue };
            let (pushed_at, written_at) = (pushed_at(&path).unwrap_or(0), metadata.modified().ok());
            waiting.push(Waiting { pushed_at, written_at, path, bytes: metadata.len() });
        }
        waiting.sort();
        Ok(waiting)
    }

    /// Whether there is nothing to deliver, and nothing that a dead push has left.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.files(PARCEL)?.is_empty() && self.files(UNFINISHED)?.is_empty())
    }

    /// Takes the right to deliver; nothing where another push has it.
    ///
    /// # Errors
    /// The lock cannot be used.
    pub fn deliver(&self) -> io::Result<Option<Delivering>> {
        let path = self.directory.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Delivering { _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }

    /// Moves a parcel to where nothing is delivered from, and returns where it is now.
    ///
    /// # Errors
    /// It cannot be moved.
    pub fn set_aside(&self, path: &Path, why: Aside) -> io::Result<PathBuf> {
        let directory = self.directory.join(why.directory());
        make_private(&directory)?;
        let aside = directory.join(path.file_name().unwrap_or_default());
        fs::rename(path, &aside)?;
        Ok(aside)
    }

    /// Takes out what is over the bounds, the oldest first, and what was never finished. What went is told in words.
    ///
    /// # Errors
    /// The directory cannot be read or changed.
    pub fn trim(&self, _right: &Delivering, now: i64) -> io::Result<Vec<String>> {
        let mut told = Vec::new();
        for path in self.files(UNFINISHED)? {
            let age = fs::metadata(&path).and_then(|metadata| metadata.modified()).map(|moment| moment.elapsed());
            if age.is_ok_and(|age| age.is_ok_and(|age| age > ABANDONED)) {
                let aside = self.set_aside(&path, Aside::Torn)?;
                told.push(format!(
                    "a push died while it kept a report in the spool; what is there of it is in {}",
                    aside.display()
                ));
            }
        }
        let waiting = self.waiting()?;
        let mut bytes: u64 = waiting.iter().map(|parcel| parcel.bytes).sum();
        let oldest = now.saturating_sub_unsigned(self.bounds.age.as_secs());
        for parcel in waiting {
            let why = if parcel.pushed_at < oldest {
                format!("it has waited for more than {}", humantime::format_duration(self.bounds.age))
            } else if bytes > self.bounds.bytes {
                format!("the spool holds more than {} bytes", self.bounds.bytes)
            } else {
                continue;
            };
            let file = read(&parcel.path).map_or_else(|_| "a torn parcel".to_owned(), |(bill, _)| bill.label.file);
            fs::remove_file(&parcel.path)?;
            bytes -= parcel.bytes;
            told.push(format!("{file} is dropped from the spool and was never delivered: {why}"));
        }
        Ok(told)
    }

    fn files(&self, extension: &str) -> io::Result<Vec<PathBuf>> {
        files(&self.directory, extension)
    }
}

fn files(directory: &Path, extension: &str) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|is| is == extension)).collect())
}

/// When a parcel was pushed, as its file's name tells.
fn pushed_at(path: &Path) -> Option<i64> {
    path.file_name()?.to_str()?.split('-').next()?.parse().ok()
}

/// Reads a parcel back, with what is written on it.
///
/// # Errors
/// It cannot be read, or it is not what was written.
pub fn read(path: &Path) -> io::Result<(Waybill, Parcel)> {
    let bytes = fs::read(path)?;
    let torn = || io::Error::new(io::ErrorKind::InvalidData, "it is torn: its checksum is another one");
    let (head, content) = split_line(&bytes).ok_or_else(torn)?;
    if head != format!("{MAGIC} {}", checksum(content)).as_bytes() {
        return Err(torn());
    }
    let (bill, body) = split_line(content).ok_or_else(torn)?;
    let bill: Waybill = serde_json::from_slice(bill).map_err(io::Error::other)?;
    let parcel = Parcel { label: bill.label.clone(), bytes: Bytes::copy_from_slice(body) };
    Ok((bill, parcel))
}

fn split_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b'\n', bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn checksum(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The part of a file's name that tells which parcel it is.
fn id_of(path: &Path) -> Option<&str> {
    path.file_stem()?.to_str()?.split_once('-').map(|(_, id)| id)
}

fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunMeta;
    use std::os::unix::fs::PermissionsExt;

    const DAY: i64 = 86_400;

    fn spool(directory: &tempfile::TempDir) -> Spool {
        let bounds = Bounds { bytes: 10_000, age: Duration::from_secs(10 * 86_400) };
        Spool::new(directory.path().join("below/spool"), bounds)
    }

    fn parcel(file: &str, content: &str) -> Parcel {
        Parcel::pack(Path::new(file), content.as_bytes().to_vec(), "web", &RunMeta::default()).unwrap()
    }

    fn files(spool: &Spool) -> Vec<String> {
        let waiting = spool.waiting().unwrap();
        waiting.iter().map(|waiting| read(&waiting.path).unwrap().0.label.file).collect()
    }

    #[test]
    fn what_is_kept_comes_back_as_it_was_the_oldest_first_and_only_for_its_owner() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        assert_eq!(spool.waiting().unwrap(), []);
        spool.keep(&parcel("late.xml", "b"), "http://a/", 2_000_000_000).unwrap();
        let path = spool.keep(&parcel("early.xml", &"a".repeat(5_000)), "http://a/", 999).unwrap();
        assert_eq!(files(&spool), ["early.xml", "late.xml"]);
        let (bill, again) = read(&path).unwrap();
        assert_eq!((bill.url.as_str(), bill.pushed_at), ("http://a/", 999));
        assert!(again.label.packed && again.bytes == parcel("early.xml", &"a".repeat(5_000)).bytes);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(spool.directory())), (0o600, 0o700));
    }

    #[test]
    fn the_same_parcel_is_kept_once_with_its_first_moment() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        let first = spool.keep(&parcel("a.xml", "a"), "http://a/", 5).unwrap();
        assert_eq!(spool.keep(&parcel("a.xml", "a"), "http://a/", 9).unwrap(), first);
        assert_ne!(spool.keep(&parcel("a.xml", "a"), "http://b/", 9).unwrap(), first, "it is for another exporter");
        assert_eq!(spool.waiting().unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_was_cut_or_changed_anywhere_is_torn() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        let path = spool.keep(&parcel("a.xml", "<testsuite/>"), "http://a/", 5).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            fs::write(&path, &whole[..end]).unwrap();
            assert!(read(&path).is_err(), "cut to {end}");
        }
        for at in 0..whole.len() {
            let mut bent = whole.clone();
            bent[at] ^= 1;
            fs::write(&path, bent).unwrap();
            assert!(read(&path).is_err(), "changed at {at}");
        }
        let aside = spool.set_aside(&path, Aside::Torn).unwrap();
        assert!(aside.ends_with(Path::new("torn").join(path.file_name().unwrap())) && aside.exists());
        assert_eq!(spool.waiting().unwrap(), []);
    }

    #[test]
    fn what_is_too_old_or_too_much_goes_the_oldest_first_and_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        let now = 100 * DAY;
        spool.keep(&parcel("old.xml", "0"), "http://a/", now - 11 * DAY).unwrap();
        for (number, file) in (0..).zip(["first.xml", "second.xml", "third.xml"]) {
            let large = Parcel { bytes: vec![b'x'; 4_000].into(), ..parcel(file, file) };
            spool.keep(&large, "http://a/", now - 9 * DAY + number).unwrap();
        }
        let right = spool.deliver().unwrap().unwrap();
        let told = spool.trim(&right, now).unwrap();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].starts_with("old.xml is dropped") && told[0].ends_with("more than 10days"), "{told:?}");
        assert!(told[1].starts_with("first.xml is dropped") && told[1].ends_with("10000 bytes"), "{told:?}");
        assert_eq!(files(&spool), ["second.xml", "third.xml"]);
        assert_eq!(spool.trim(&right, now).unwrap(), [""; 0]);
    }

    #[test]
    fn the_names_of_the_files_alone_tell_how_many_wait_and_since_when() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        let look = || Spool::look(spool.directory().to_owned()).unwrap();
        assert_eq!((look().waiting, look().since), (0, None), "no directory holds nothing");
        for (file, at) in [("b.xml", 70), ("a.xml", 60)] {
            let path = spool.keep(&parcel(file, file), "http://a/", at).unwrap();
            fs::write(path, "torn").unwrap();
        }
        assert_eq!((look().waiting, look().since), (2, Timestamp::from_second(60).ok()));
    }

    #[test]
    fn only_one_delivers_at_a_time() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        spool.keep(&parcel("a.xml", "a"), "http://a/", 5).unwrap();
        let right = spool.deliver().unwrap();
        assert!(right.is_some() && spool.deliver().unwrap().is_none());
        drop(right);
        assert!(spool.deliver().unwrap().is_some());
    }

    #[test]
    fn what_a_dead_push_never_finished_is_moved_aside_after_an_hour() {
        let directory = tempfile::tempdir().unwrap();
        let spool = spool(&directory);
        spool.keep(&parcel("a.xml", "a"), "http://a/", 5).unwrap();
        let young = spool.directory().join("young-1.unfinished");
        let old = spool.directory().join("old-2.unfinished");
        fs::write(&young, "x").unwrap();
        let hours_ago = std::time::SystemTime::now() - 2 * ABANDONED;
        File::create(&old).unwrap().set_modified(hours_ago).unwrap();
        let told = spool.trim(&spool.deliver().unwrap().unwrap(), 5).unwrap();
        assert!(told.len() == 1 && told[0].contains("torn/old-2.unfinished"), "{told:?}");
        assert!(young.exists() && !old.exists());
    }
}
