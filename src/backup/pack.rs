//! Makes a backup: members are gathered in a directory beside the file, which gets its name once it is whole.

use super::{FORMAT, MANIFEST, Manifest, Member, hash_of};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::hex::hex;
use jiff::Timestamp;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// zstd's own default: the store's large columns are compressed already.
const LEVEL: i32 = 3;

/// A backup that is being made. Where it is dropped unfinished, nothing is left.
#[derive(Debug)]
pub struct Packing {
    file: PathBuf,
    gathered: PathBuf,
    members: Vec<String>,
}

impl Packing {
    /// Begins one that will be this file.
    ///
    /// # Errors
    /// Its directory cannot be written to.
    pub fn begin(file: &Path) -> Result<Self> {
        let gathered = beside(file, "parts");
        let packing = Self { file: file.to_owned(), gathered, members: Vec::new() };
        let make = || {
            // What a run that was killed has left.
            match fs::remove_dir_all(&packing.gathered) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(cause),
                _ => {}
            }
            DirBuilder::new().mode(0o700).create(&packing.gathered)
        };
        make().map_err(|cause| packing.trouble(&cause))?;
        Ok(packing)
    }

    /// The path a new member is to be written to.
    ///
    /// # Errors
    /// Its directory cannot be made.
    pub fn member(&mut self, name: &str) -> Result<PathBuf> {
        let path = self.gathered.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|cause| self.trouble(&cause))?;
        }
        self.members.push(name.to_owned());
        Ok(path)
    }

    /// Writes a small member.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&mut self, name: &str, contents: &[u8]) -> Result<()> {
        let path = self.member(name)?;
        fs::write(path, contents).map_err(|cause| self.trouble(&cause))
    }

    /// Makes the file of the members; it is there whole or not at all. Takes as long as reading all of it twice.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(self, schema_version: i64, project: &str, engine: &str, made_at: Timestamp) -> Result<Manifest> {
        let manifest = || {
            let members = self.members.iter().map(|name| describe(&self.gathered, name)).collect::<io::Result<_>>()?;
            let manifest = Manifest {
                format: FORMAT,
                qastack_version: env!("CARGO_PKG_VERSION").to_owned(),
                schema_version,
                project: project.to_owned(),
                engine: engine.to_owned(),
                made_at,
                members,
            };
            self.write(&manifest)?;
            Ok(manifest)
        };
        manifest().map_err(|cause: io::Error| self.trouble(&cause))
    }

    fn write(&self, manifest: &Manifest) -> io::Result<()> {
        let new = beside(&self.file, "new");
        // There may be secrets in it.
        let file = OpenOptions::new().create(true).truncate(true).write(true).mode(0o600).open(&new)?;
        let written = (|| {
            let mut tar = tar::Builder::new(zstd::Encoder::new(file, LEVEL)?);
            let text = serde_json::to_vec_pretty(manifest)?;
            tar.append_data(&mut header(text.len() as u64), MANIFEST, text.as_slice())?;
            for member in &manifest.members {
                let contents = File::open(self.gathered.join(&member.name))?.take(member.bytes);
                tar.append_data(&mut header(member.bytes), &member.name, contents)?;
            }
            let mut file = tar.into_inner()?.finish()?;
            file.flush()?;
            file.sync_all()?;
            fs::rename(&new, &self.file)
        })();
        if written.is_err() {
            // The trouble that is told is the first one.
            let _ = fs::remove_file(&new);
        }
        written
    }

    fn trouble(&self, cause: &io::Error) -> Error {
        Error::new(Code::Usage, format!("the backup {} cannot be written: {cause}", self.file.display()))
            .hint("Name a file in a directory that you may write to, on a disk with room.")
    }
}

impl Drop for Packing {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.gathered);
    }
}

fn beside(file: &Path, what: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(format!(".{what}"));
    name.into()
}

fn header(bytes: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o600);
    header.set_size(bytes);
    header
}

fn describe(directory: &Path, name: &str) -> io::Result<Member> {
    let (bytes, hash) = hash_of(&directory.join(name))?;
    Ok(Member { name: name.to_owned(), bytes, sha256: hex(&hash) })
}
