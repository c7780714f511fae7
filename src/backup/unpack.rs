//! Opens a backup: everything is unpacked into a directory and compared with what the file says of itself, before
//! anybody gets to see any of it.

use super::{FORMAT, MANIFEST, Manifest, Member};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::hex::hex;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

/// More than any manifest has; a larger one is none.
const LARGEST_MANIFEST: u64 = 1 << 20;

/// A backup that was verified; its members are there until it is dropped.
#[derive(Debug)]
pub struct Unpacked {
    /// What it says of itself.
    pub manifest: Manifest,
    directory: PathBuf,
}

impl Unpacked {
    /// Unpacks and verifies a backup, below a directory for things of a moment.
    ///
    /// # Errors
    /// It cannot be read, is of a newer form or store, or is not whole.
    pub fn open(file: &Path, below: &Path, newest_schema: i64) -> Result<Self> {
        let directory = below.join(format!("restore-{}", std::process::id()));
        let made = fs::create_dir_all(below).and_then(|()| DirBuilder::new().mode(0o700).create(&directory));
        made.map_err(|cause| {
            Error::new(Code::StoreDamaged, format!("cannot unpack into {}: {cause}", directory.display()))
                .hint("Make the directory writable, or name another one with XDG_STATE_HOME.")
        })?;
        // From here on it is removed with the value.
        let mut unpacked = Self { manifest: nothing(), directory };
        let source = File::open(file)
            .map_err(|cause| Error::new(Code::Usage, format!("cannot read the backup {}: {cause}", file.display())))?;
        unpacked.manifest = unpacked.verify(source, newest_schema).map_err(|trouble| trouble.told(file))?;
        Ok(unpacked)
    }

    /// The file of a member that is in the manifest.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// A small member; none where there is none of this name.
    ///
    /// # Errors
    /// It cannot be read any more.
    pub fn read(&self, name: &str) -> Result<Option<Vec<u8>>> {
        if self.manifest.member(name).is_none() {
            return Ok(None);
        }
        fs::read(self.path(name))
            .map(Some)
            .map_err(|cause| Error::new(Code::StoreDamaged, format!("cannot read {name} of the backup: {cause}")))
    }

    fn verify(&self, source: File, newest_schema: i64) -> std::result::Result<Manifest, Trouble> {
        let mut tar = tar::Archive::new(zstd::Decoder::new(source)?);
        let mut entries = tar.entries()?;
        let mut first = entries.next().ok_or_else(|| no_backup("it is empty"))??;
        if first.path()?.as_os_str() != MANIFEST || first.size() > LARGEST_MANIFEST {
            return Err(no_backup("it does not begin with a manifest"));
        }
        let mut text = Vec::new();
        first.read_to_end(&mut text)?;
        let manifest = read_manifest(&text, newest_schema)?;
        for member in &manifest.members {
            let mut entry = entries.next().ok_or_else(|| no_backup(format!("{} is missing", member.name)))??;
            if entry.path()?.as_os_str() != member.name.as_str() || entry.size() != member.bytes {
                return Err(no_backup(format!("{} is not what the manifest says", member.name)));
            }
            self.take(&mut entry, member)?;
        }
        if entries.next().is_some() {
            return Err(no_backup("there is more in it than the manifest says"));
        }
        Ok(manifest)
    }

    fn take(&self, entry: &mut impl Read, member: &Member) -> std::result::Result<(), Trouble> {
        let path = self.directory.join(&member.name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(path)?;
        let mut hash = Sha256::new();
        let mut chunk = vec![0; 128 << 10];
        let mut bytes = 0;
        loop {
            let count = entry.read(&mut chunk)?;
            if count == 0 {
                break;
            }
            hash.update(&chunk[..count]);
            file.write_all(&chunk[..count])?;
            bytes += count as u64;
        }
        if bytes != member.bytes || hex(&hash.finalize()) != member.sha256 {
            return Err(no_backup(format!("{} has another checksum than the manifest says", member.name)));
        }
        Ok(())
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        // There may have been secrets in it.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn nothing() -> Manifest {
    Manifest {
        format: FORMAT,
        qastack_version: String::new(),
        schema_version: 0,
        project: String::new(),
        engine: String::new(),
        made_at: jiff::Timestamp::UNIX_EPOCH,
        members: Vec::new(),
    }
}

fn read_manifest(text: &[u8], newest_schema: i64) -> std::result::Result<Manifest, Trouble> {
    /// What every form has said and will say.
    #[derive(Deserialize)]
    struct Form {
        format: u32,
        qastack_version: String,
    }
    let form: Form = serde_json::from_slice(text).map_err(|_| no_backup("its manifest cannot be read"))?;
    if form.format > FORMAT {
        return Err(Trouble::Newer(format!("has form {} of qastack {}", form.format, form.qastack_version)));
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(|_| no_backup("its manifest cannot be read"))?;
    if manifest.schema_version > newest_schema {
        let version = manifest.schema_version;
        return Err(Trouble::Newer(format!("has a store of schema version {version}, this one knows {newest_schema}")));
    }
    let is_plain = |name: &str| Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    match manifest.members.iter().find(|member| member.name.is_empty() || !is_plain(&member.name)) {
        Some(member) => Err(no_backup(format!("{:?} is no name of a member", member.name))),
        None => Ok(manifest),
    }
}

/// Why a file is of no use.
#[derive(Debug)]
enum Trouble {
    Damaged(String),
    Newer(String),
}

fn no_backup(why: impl Into<String>) -> Trouble {
    Trouble::Damaged(why.into())
}

impl From<io::Error> for Trouble {
    fn from(cause: io::Error) -> Self {
        Self::Damaged(cause.to_string())
    }
}

impl Trouble {
    fn told(self, file: &Path) -> Error {
        let file = file.display();
        match self {
            Self::Damaged(why) => {
                Error::new(Code::StoreDamaged, format!("{file} is no backup, or a damaged one: {why}"))
                    .hint("Take another backup. Nothing was changed.")
            }
            Self::Newer(what) => {
                Error::new(Code::StoreDamaged, format!("{file} was made by a newer qastack: it {what}"))
                    .hint("Restore it with the qastack that made it, or a newer one. Nothing was changed.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Packing;
    use super::*;

    fn packed(directory: &Path) -> PathBuf {
        let file = directory.join("team.backup");
        let mut packing = Packing::begin(&file).expect("begun");
        packing.put("store.db", &b"figures".repeat(10_000)).expect("put");
        packing.put("volumes/a.tar", b"a tar").expect("put");
        packing.finish(3, "web", "embedded", jiff::Timestamp::UNIX_EPOCH).expect("packed");
        file
    }

    fn open(file: &Path, schema: i64) -> Result<Unpacked> {
        Unpacked::open(file, &file.with_extension("below"), schema)
    }

    #[test]
    fn what_was_packed_is_unpacked_and_neither_leaves_anything() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("a directory");
        let file = packed(directory.path());
        assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
        let unpacked = open(&file, 3).expect("a backup");
        assert_eq!((unpacked.manifest.project.as_str(), unpacked.manifest.members.len()), ("web", 2));
        assert_eq!(unpacked.read("volumes/a.tar").expect("read").as_deref(), Some(&b"a tar"[..]));
        assert_eq!(unpacked.read("secrets/admin-token").expect("no error"), None);
        let below = unpacked.directory.clone();
        assert!(below.exists());
        drop(unpacked);
        assert!(!below.exists());
        let left: Vec<_> =
            fs::read_dir(directory.path()).expect("a directory").flatten().map(|e| e.file_name()).collect();
        assert_eq!(left.len(), 2, "the file and the directory below which it was unpacked: {left:?}");
    }

    #[test]
    fn a_backup_that_is_not_finished_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut packing = Packing::begin(&directory.path().join("b")).expect("begun");
        packing.put("store.db", b"x").expect("put");
        drop(packing);
        assert_eq!(fs::read_dir(directory.path()).expect("a directory").count(), 0);
    }

    #[test]
    fn a_single_wrong_byte_anywhere_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        let file = packed(directory.path());
        let whole = fs::read(&file).expect("read");
        for at in (0..whole.len()).step_by(whole.len() / 40 + 1) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x20;
            fs::write(&file, &damaged).expect("written");
            if let Ok(unpacked) = open(&file, 3) {
                // What zstd and tar do not look at changes nothing either.
                let store = unpacked.read("store.db").expect("read").expect("there");
                assert!(store == b"figures".repeat(10_000), "byte {at}");
                assert_eq!(unpacked.manifest.project, "web", "byte {at}");
            }
        }
        for length in [0, 10, whole.len() / 2, whole.len() - 1] {
            fs::write(&file, &whole[..length]).expect("written");
            let error = open(&file, 3).expect_err("cut off");
            assert_eq!(error.code(), Code::StoreDamaged, "{length}: {error}");
        }
    }

    fn with_manifest(directory: &Path, manifest: &serde_json::Value, more: &[(&str, &[u8])]) -> PathBuf {
        let file = directory.join("made.backup");
        let mut tar = tar::Builder::new(zstd::Encoder::new(File::create(&file).expect("a file"), 1).expect("zstd"));
        let text = manifest.to_string();
        for (name, contents) in [&[(MANIFEST, text.as_bytes())], more].concat() {
            let mut header = tar::Header::new_gnu();
            header.set_size(contents.len() as u64);
            // Not checked as `append_data` would: whoever means harm does not check either.
            header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, contents).expect("appended");
        }
        tar.into_inner().expect("tar").finish().expect("zstd");
        file
    }

    #[test]
    fn versions_names_and_checksums_are_checked() {
        let directory = tempfile::tempdir().expect("a directory");
        let manifest = |format: u32, schema: i64, name: &str, sha256: &str| {
            serde_json::json!({
                "format": format, "qastack_version": "9.9.9", "schema_version": schema, "project": "p",
                "engine": "docker", "made_at": "2026-11-24T10:00:00Z",
                "members": [{ "name": name, "bytes": 1, "sha256": sha256 }],
            })
        };
        let right = crate::stack::sha256(b"x");
        let refusal = |manifest, more: &[(&str, &[u8])]| {
            let error = open(&with_manifest(directory.path(), &manifest, more), 3).expect_err("refused");
            assert_eq!(error.code(), Code::StoreDamaged);
            error.message().to_owned()
        };
        open(&with_manifest(directory.path(), &manifest(1, 3, "a", &right), &[("a", b"x")]), 3).expect("a backup");
        assert!(
            refusal(manifest(2, 3, "a", &right), &[("a", b"x")])
                .contains("newer qastack: it has form 2 of qastack 9.9.9")
        );
        assert!(refusal(manifest(1, 4, "a", &right), &[("a", b"x")]).contains("schema version 4, this one knows 3"));
        assert!(refusal(manifest(1, 3, "a", &right), &[("a", b"y")]).contains("a has another checksum"));
        assert!(refusal(manifest(1, 3, "a", &right), &[]).contains("a is missing"));
        assert!(refusal(manifest(1, 3, "a", &right), &[("a", b"x"), ("b", b"x")]).contains("more in it"));
        for name in ["../a", "/etc/a", ""] {
            assert!(refusal(manifest(1, 3, name, &right), &[("a", b"x")]).contains("no name of a member"), "{name}");
        }
        fs::write(directory.path().join("made.backup"), "words").expect("written");
        open(&directory.path().join("made.backup"), 3).expect_err("no backup");
    }
}
