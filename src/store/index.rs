//! What the writer knows by heart: the numbers of projects and tests.

use super::error::StoreError;
use super::live::Hash;
use crate::quality::Day;
use crate::reports::{TestIdentity, TestPlace};
use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::Arc;

/// The first 16 bytes of the SHA-256 of some parts, told apart by their lengths.
pub(super) fn hash<'a>(parts: impl IntoIterator<Item = Option<&'a [u8]>>) -> Hash {
    let mut hash = Sha256::new();
    for part in parts {
        match part {
            None => hash.update([0xff; 8]),
            Some(bytes) => {
                hash.update((bytes.len() as u64).to_le_bytes());
                hash.update(bytes);
            }
        }
    }
    let mut first = [0; 16];
    first.copy_from_slice(&hash.finalize()[..16]);
    first
}

/// A test's fingerprint: what makes it the same test in two reports, as 16 bytes.
pub(super) fn fingerprint(test: &TestIdentity) -> Hash {
    let texts = [Some(&test.suite), Some(&test.class), Some(&test.name), test.file.as_ref(), Some(&test.variant)];
    hash(texts.map(|text| text.map(String::as_bytes)))
}

/// A hash from its hexadecimal form.
pub(super) fn from_hexadecimal(text: &str) -> Option<Hash> {
    if text.len() != 32 || !text.is_ascii() {
        return None;
    }
    let mut hash = [0; 16];
    for (byte, index) in hash.iter_mut().zip((0..32).step_by(2)) {
        *byte = u8::from_str_radix(&text[index..index + 2], 16).ok()?;
    }
    Some(hash)
}

/// The numbers of projects and tests, read when they are first needed.
#[derive(Debug, Default)]
pub(super) struct Index {
    projects: HashMap<String, KnownProject>,
}

/// The numbers of a project's tests, by their fingerprints.
type TestNumbers = foldhash::HashMap<Hash, u32>;

/// A project that the index knows.
#[derive(Debug)]
pub(super) struct KnownProject {
    pub(super) id: i64,
    pub(super) default_branch: Option<String>,
    /// The numbers of its tests, by their fingerprints; nothing until a report needs them.
    tests: Option<TestNumbers>,
}

impl Index {
    /// Forgets everything: it will be read again.
    pub(super) fn forget(&mut self) {
        self.projects.clear();
    }

    /// A project; it is made where there is none. A default branch that is said replaces what was known.
    pub(super) fn project(
        &mut self,
        connection: &Connection,
        key: &str,
        default_branch: Option<&str>,
        now: i64,
    ) -> Result<&mut KnownProject, StoreError> {
        if !self.projects.contains_key(key) {
            let known = connection
                .prepare_cached("SELECT id, default_branch FROM project WHERE key = ?1")?
                .query_row([key], |row| Ok(KnownProject { id: row.get(0)?, default_branch: row.get(1)?, tests: None }))
                .optional()?;
            let project = match known {
                Some(project) => project,
                None => {
                    connection.execute("INSERT INTO project (key, created_at) VALUES (?1, ?2)", (key, now))?;
                    KnownProject {
                        id: connection.last_insert_rowid(),
                        default_branch: None,
                        tests: Some(TestNumbers::default()),
                    }
                }
            };
            self.projects.insert(key.to_owned(), project);
        }
        let Some(project) = self.projects.get_mut(key) else { return Err(StoreError::Closed) };
        if let Some(branch) = default_branch.filter(|branch| project.default_branch.as_deref() != Some(branch)) {
            connection.execute("UPDATE project SET default_branch = ?1 WHERE id = ?2", (branch, project.id))?;
            project.default_branch = Some(branch.to_owned());
        }
        Ok(project)
    }
}

/// A test that was not known before.
#[derive(Debug)]
pub(super) struct NewTest {
    pub(super) number: u32,
    pub(super) place: Arc<TestPlace>,
    pub(super) first_day: Day,
}

impl KnownProject {
    /// The numbers of tests; those that are not known are made.
    pub(super) fn numbers<'a>(
        &mut self,
        connection: &Connection,
        day: Day,
        tests: impl ExactSizeIterator<Item = (&'a Hash, &'a TestIdentity)>,
    ) -> Result<(Vec<u32>, Vec<NewTest>), StoreError> {
        let known = match &mut self.tests {
            Some(known) => known,
            unread => unread.insert(read_tests(connection, self.id)?),
        };
        let mut insert = connection.prepare_cached(
            "INSERT INTO test (project_id, number, fingerprint, suite, class, name, file, variant, first_day) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )?;
        let (mut numbers, mut new) = (Vec::with_capacity(tests.len()), Vec::new());
        for (fingerprint, test) in tests {
            let next = known.len() as u32;
            let number = *known.entry(*fingerprint).or_insert(next);
            numbers.push(number);
            if number == next {
                let TestPlace { suite, class, file, variant } = &*test.place;
                insert.execute((self.id, number, fingerprint, suite, class, &test.name, file, variant, day.0))?;
                new.push(NewTest { number, place: Arc::clone(&test.place), first_day: day });
            }
        }
        Ok((numbers, new))
    }
}

fn read_tests(connection: &Connection, project: i64) -> Result<TestNumbers, StoreError> {
    let mut statement = connection.prepare_cached("SELECT fingerprint, number FROM test WHERE project_id = ?1")?;
    let tests = statement.query_map([project], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(tests.collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_tell_apart_what_only_together_reads_the_same() {
        let test = |suite: &str, class: &str, file: Option<&str>| {
            let file = file.map(str::to_owned);
            let place = TestPlace { suite: suite.into(), class: class.into(), file, variant: String::new() };
            TestIdentity { place: place.into(), name: "works".into() }
        };
        let all = [test("ab", "c", None), test("a", "bc", None), test("ab", "c", Some("")), test("ab", "c", Some("x"))];
        let hashes: std::collections::HashSet<_> = all.iter().map(fingerprint).collect();
        assert_eq!(hashes.len(), 4);
        let one = fingerprint(&all[0]);
        assert_eq!(from_hexadecimal(&crate::hex::hex(&one)), Some(one));
        assert_eq!(from_hexadecimal("xyz"), None);
        assert_eq!(from_hexadecimal(&"é".repeat(16)), None);
    }
}
