//! A backup: one file, a zstd-compressed tar, that says first what is in it and how each member hashes.
//!
//! This room packs, unpacks and verifies. It never knows where members come from or where they go, and hands out
//! nothing of a file of which a single byte is wrong.

mod pack;
mod unpack;

pub use pack::Packing;
pub use unpack::Unpacked;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The version of the form; a newer one is refused.
pub const FORMAT: u32 = 1;

/// The member that is the first one.
const MANIFEST: &str = "manifest.json";

/// The store, as a SQLite database.
pub const STORE: &str = "store.db";
/// The stack's settings.
pub const SETTINGS: &str = "qastack.yaml";
/// Grafana's dashboards and their folders.
pub const DASHBOARDS: &str = "dashboards.json";

/// Where the data of a volume is: `volumes/grafana-data.tar`.
pub fn volume(part: &str) -> String {
    format!("volumes/{part}.tar")
}

/// Where a secret is: `secrets/admin-token`.
pub fn secret(name: &str) -> String {
    format!("secrets/{name}")
}

/// The size of a file and the SHA-256 of its bytes. Reads all of it.
///
/// # Errors
/// It cannot be read.
pub fn hash_of(path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut file = File::open(path)?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0, vec![0; 128 << 10]);
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok((bytes, hash.finalize().into())),
            count => {
                hash.update(&chunk[..count]);
                bytes += count as u64;
            }
        }
    }
}

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the form.
    pub format: u32,
    /// The qastack that made it.
    pub qastack_version: String,
    /// The schema version of the store in it.
    pub schema_version: i64,
    /// The project it was made of.
    pub project: String,
    /// The engine that the project ran on.
    pub engine: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// What is in it, in this order.
    pub members: Vec<Member>,
}

/// A member of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of its bytes, in hex.
    pub sha256: String,
}

impl Manifest {
    /// A member of this name.
    pub fn member(&self, name: &str) -> Option<&Member> {
        self.members.iter().find(|member| member.name == name)
    }
}
