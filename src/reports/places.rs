//! Where the tests of a report stand, and which tests were seen there.
//!
//! Neighbouring tests share their suite, class and file, so the rules for names look at each place once, and the
//! table of what was seen there is small enough to stay close to the processor, however large the report is.

use super::model::TestPlace;
use foldhash::fast::RandomState;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

/// The largest place that room is made for before its tests are there.
const USUAL: usize = 100;

/// A place as the report writes it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Written<'a> {
    pub suite: &'a str,
    pub class: &'a str,
    pub file: Option<&'a str>,
    pub variant: &'a str,
}

/// The places of a report. The last record stood in one of them, and the next one most likely stands there too.
pub(super) struct Places {
    known: Vec<Place>,
    by_written: HashMap<u64, usize, Prehashed>,
    hashes: RandomState,
    here: usize,
}

struct Place {
    /// The place as it is written, where the rules made another of it.
    written: Option<Box<TestPlace>>,
    normalised: Arc<TestPlace>,
    /// The executions of this place, by the hashes of their names as they are written.
    tests: HashMap<u64, usize, Prehashed>,
}

impl Written<'_> {
    /// The place of just these words.
    pub fn to_place(self) -> TestPlace {
        let Self { suite, class, file, variant } = self;
        TestPlace {
            suite: suite.to_owned(),
            class: class.to_owned(),
            file: file.map(str::to_owned),
            variant: variant.to_owned(),
        }
    }
}

impl Places {
    pub fn new() -> Self {
        Self { known: Vec::new(), by_written: HashMap::default(), hashes: RandomState::default(), here: 0 }
    }

    /// Whether the last record stood in this place.
    pub fn stands_at(&self, written: &Written<'_>) -> bool {
        self.known.get(self.here).is_some_and(|place| place.is(written))
    }

    /// Goes to a place; `normalise` makes what is shown of one that was not seen before.
    pub fn go_to(&mut self, written: &Written<'_>, normalise: impl FnOnce() -> TestPlace) {
        let key = self.hashes.hash_one(written);
        match self.by_written.get(&key) {
            Some(known) if self.known[*known].is(written) => self.here = *known,
            _ => {
                let like = self.known.last().map_or(0, |place| place.tests.len().min(USUAL));
                self.here = self.known.len();
                self.by_written.insert(key, self.here);
                let normalised = normalise();
                let same = is(&normalised, written);
                self.known.push(Place {
                    written: (!same).then(|| Box::new(written.to_place())),
                    normalised: Arc::new(normalised),
                    // One place is about as large as the one before it.
                    tests: HashMap::with_capacity_and_hasher(like, Prehashed::default()),
                });
            }
        }
    }

    /// The place of the last record, without random parts.
    pub fn here(&self) -> Arc<TestPlace> {
        self.known.get(self.here).map(|place| Arc::clone(&place.normalised)).unwrap_or_default()
    }

    /// Notes that the execution of this number has this name in the place of the last record. Gives the number of
    /// the one that had it before, as long as `is_same` says that it is no other test whose name has the same hash.
    pub fn note(&mut self, name: &str, number: usize, is_same: impl FnOnce(usize) -> bool) -> Option<usize> {
        let key = self.hashes.hash_one(name);
        let tests = &mut self.known.get_mut(self.here)?.tests;
        match tests.insert(key, number) {
            Some(known) if is_same(known) => {
                tests.insert(key, known);
                Some(known)
            }
            _ => None,
        }
    }
}

impl Place {
    fn is(&self, written: &Written<'_>) -> bool {
        is(self.written.as_deref().unwrap_or(&self.normalised), written)
    }
}

fn is(place: &TestPlace, written: &Written<'_>) -> bool {
    is_same(&place.class, written.class)
        && is_same(&place.suite, written.suite)
        && is_same(&place.variant, written.variant)
        && match (&place.file, written.file) {
            (Some(known), Some(file)) => is_same(known, file),
            (known, file) => known.is_none() && file.is_none(),
        }
}

/// Nearly every test has no variant. What an empty text points to cannot be read, and comparing nothing with it would
/// cost some processors more than all other comparisons together.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}

/// The keys are hashes already.
#[derive(Default, Clone, Copy)]
struct Prehashed(u64);

impl BuildHasher for Prehashed {
    type Hasher = Self;

    fn build_hasher(&self) -> Self {
        *self
    }
}

impl Hasher for Prehashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at<'a>(suite: &'a str, file: Option<&'a str>) -> Written<'a> {
        Written { suite, class: "c", file, variant: "" }
    }

    #[test]
    fn a_place_is_made_once_and_found_again() {
        let mut places = Places::new();
        let written = [at("a@1", None), at("b", None), at("b", Some("")), at("a@1", None), at("a@2", None)];
        let mut made = Vec::new();
        for place in &written {
            assert!(!places.stands_at(place));
            places.go_to(place, || {
                made.push(place.suite);
                TestPlace { suite: place.suite.split('@').next().unwrap().to_owned(), ..place.to_place() }
            });
            assert!(places.stands_at(place));
        }
        assert_eq!(made, ["a@1", "b", "b", "a@2"]);
        assert_eq!(places.here().suite, "a");
    }

    #[test]
    fn a_name_is_noted_in_its_place() {
        let mut places = Places::new();
        assert_eq!(places.note("n", 0, |_| true), None, "there is no place yet");
        places.go_to(&at("a", None), || at("a", None).to_place());
        assert_eq!(places.note("n", 0, |_| true), None);
        assert_eq!(places.note("n", 1, |_| true), Some(0));
        assert_eq!(places.note("n", 2, |known| known == 0), Some(0), "the first one stays");
        assert_eq!(places.note("n", 3, |_| false), None, "another test whose name has the same hash");
        assert_eq!(places.note("n", 4, |known| known == 3), Some(3));
        places.go_to(&at("b", None), || at("b", None).to_place());
        assert_eq!(places.note("n", 5, |_| true), None);
    }
}
