//! Whether a test is red or green on the default branch, and when it went from one to the other.
//!
//! A test that fails in one place, which is an environment or a job, is not mended by passing in another: it has a
//! colour in each. What counts is when the runs were and not when their reports came, as far back as is remembered; of
//! runs in the same second the one whose report came first was first.

/// How many of its newest decided executions a test remembers, so that one which comes late finds its place.
pub(super) const REMEMBERED: usize = 15;

/// In how many places a test is red at most, of those that are settled: the oldest is forgotten first.
const RED_PLACES: usize = 32;

/// One decided execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// When the run was, in seconds since 1970.
    pub at: u32,
    /// Where it was, and in the lowest bit whether it failed: every test has several of these, so they are small.
    pub packed: u32,
}

impl Decided {
    /// An execution of a run at a moment, in seconds since 1970, in a place, which is named by a hash.
    pub fn new(at: i64, place: u32, failed: bool) -> Self {
        Self { at: u32::try_from(at.max(0)).unwrap_or(u32::MAX), packed: place & !1 | u32::from(failed) }
    }

    fn failed(self) -> bool {
        self.packed & 1 == 1
    }

    fn place(self) -> u32 {
        self.packed & !1
    }
}

/// A test went from red to green: when it failed first, and when it passed again, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovered {
    /// When it failed first.
    pub red: u32,
    /// When it passed again.
    pub green: u32,
}

impl Recovered {
    /// How long it was red, in seconds.
    pub fn seconds(self) -> u64 {
        u64::from(self.green.abs_diff(self.red))
    }
}

/// What an execution changes. One that comes late may show that an earlier recovery was none, or another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// Recoveries that are no more.
    pub gone: Vec<Recovered>,
    /// Recoveries that are new.
    pub come: Vec<Recovered>,
}

/// Whether a test is red or green on the default branch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Colour {
    /// What was before this moment, in seconds since 1970, is settled: what comes late of it is left out.
    pub settled: Option<u32>,
    /// The places in which the test was red then, with the moment since which it was.
    pub red: Vec<(u32, u32)>,
    /// The newest decided executions, oldest first.
    pub newest: Vec<Decided>,
}

impl Colour {
    /// Takes in a decided execution of the default branch.
    pub fn decide(&mut self, one: Decided) -> Changes {
        if self.settled.is_some_and(|settled| one.at < settled) {
            return Changes::default();
        }
        let changes = match self.newest.last() {
            Some(last) if one.at < last.at => {
                let before = self.recoveries(one.place());
                let index = self.newest.partition_point(|known| known.at <= one.at);
                self.newest.insert(index, one);
                Changes::between(before, &self.recoveries(one.place()))
            }
            _ => {
                let red = if one.failed() { None } else { self.red_since(one.place()) };
                self.newest.push(one);
                Changes {
                    gone: Vec::new(),
                    come: red.map(|red| Recovered { red, green: one.at }).into_iter().collect(),
                }
            }
        };
        if self.newest.len() > REMEMBERED {
            self.settle(self.newest[0]);
            self.newest.remove(0);
        }
        changes
    }

    fn settle(&mut self, oldest: Decided) {
        self.settled = Some(oldest.at);
        let known = self.red.iter().position(|(place, _)| *place == oldest.place());
        match known {
            Some(index) if !oldest.failed() => {
                self.red.remove(index);
            }
            None if oldest.failed() => {
                if self.red.len() == RED_PLACES {
                    // Where places have a name of their own in each run, none of them ever passes.
                    self.red.remove(0);
                }
                self.red.push((oldest.place(), oldest.at));
            }
            _ => {}
        }
    }

    /// Since when the test is red in a place, where it is.
    fn red_since(&self, place: u32) -> Option<u32> {
        self.walk(place, |_| {})
    }

    fn recoveries(&self, place: u32) -> Vec<Recovered> {
        let mut all = Vec::new();
        self.walk(place, |recovered| all.push(recovered));
        all
    }

    /// Goes through what is remembered of a place; gives since when the test is red there in the end.
    fn walk(&self, place: u32, mut recovered: impl FnMut(Recovered)) -> Option<u32> {
        let mut since = self.red.iter().find(|(red, _)| *red == place).map(|(_, since)| *since);
        for one in self.newest.iter().filter(|one| one.place() == place) {
            if one.failed() {
                since = since.or(Some(one.at));
            } else if let Some(red) = since.take() {
                recovered(Recovered { red, green: one.at });
            }
        }
        since
    }
}

impl Changes {
    /// Of equal ones, which are those of one second, each counts.
    fn between(mut gone: Vec<Recovered>, after: &[Recovered]) -> Self {
        let mut come = Vec::new();
        for one in after {
            match gone.iter().position(|known| known == one) {
                Some(index) => drop(gone.swap_remove(index)),
                None => come.push(*one),
            }
        }
        Self { gone, come }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: u32 = 2;
    const THERE: u32 = 4;

    /// The recoveries that are left when each execution was taken in, by when they were.
    fn recovered(executions: &[Decided]) -> Vec<(u32, u32)> {
        let mut colour = Colour::default();
        let mut all: Vec<Recovered> = Vec::new();
        for one in executions {
            let changes = colour.decide(*one);
            for gone in changes.gone {
                let index = all.iter().position(|known| *known == gone).unwrap();
                all.remove(index);
            }
            all.extend(changes.come);
        }
        let mut all: Vec<_> = all.into_iter().map(|one| (one.red, one.green)).collect();
        all.sort_unstable();
        all
    }

    fn at(at: i64, failed: bool) -> Decided {
        Decided::new(at, HERE, failed)
    }

    #[test]
    fn a_pass_or_a_failure_that_comes_late_finds_its_place() {
        let (red, green) = (|moment| at(moment, true), |moment| at(moment, false));
        assert_eq!(recovered(&[green(5), red(1)]), [(1, 5)]);
        assert_eq!(recovered(&[red(1), green(9), green(4)]), [(1, 4)], "it had passed before");
        assert_eq!(recovered(&[red(1), red(5), green(9), green(4)]), [(1, 4), (5, 9)]);
        assert_eq!(recovered(&[red(3), green(9), red(1)]), [(1, 9)]);
        assert_eq!(recovered(&[green(1), green(9), red(5)]), [(5, 9)]);
        assert_eq!(recovered(&[green(1), red(9), red(5)]), [], "it is red still");
        let same_second = [red(5), green(5), red(5), green(5), red(1)];
        assert_eq!(recovered(&same_second), [(1, 5), (5, 5)], "of two equal ones one is another now");
    }

    #[test]
    fn each_place_has_a_colour_of_its_own() {
        let there = |moment, failed| Decided::new(moment, THERE, failed);
        assert_eq!(recovered(&[at(1, true), there(2, false), at(5, false)]), [(1, 5)]);
        assert_eq!(recovered(&[at(1, true), there(2, true), at(3, false), there(9, false)]), [(1, 3), (2, 9)]);
    }

    #[test]
    fn a_test_that_was_red_for_longer_than_is_remembered_recovers_all_the_same() {
        let mut executions: Vec<_> = (1..=100).map(|moment| at(moment, true)).collect();
        executions.push(at(200, false));
        assert_eq!(recovered(&executions), [(1, 200)]);
        executions.push(at(3, false));
        assert_eq!(recovered(&executions), [(1, 200)], "what is settled stays");
    }

    #[test]
    fn places_that_never_come_back_do_not_pile_up() {
        let mut colour = Colour::default();
        for moment in 1..=200u32 {
            colour.decide(Decided::new(i64::from(moment), moment * 2, true));
        }
        assert_eq!((colour.red.len(), colour.newest.len()), (RED_PLACES, REMEMBERED));
        assert_eq!(colour.decide(Decided::new(300, 184 * 2, false)).come, [Recovered { red: 184, green: 300 }]);
    }

    proptest! {
        #[test]
        fn the_order_in_which_reports_come_changes_nothing_of_what_is_remembered(
            history in prop::collection::vec((prop::sample::select(vec![HERE, THERE]), any::<bool>(), any::<u64>()), 0..=REMEMBERED)
        ) {
            let executions: Vec<_> = (1..).zip(&history).map(|(at, (place, failed, _))| Decided::new(at, *place, *failed)).collect();
            let mut shuffled: Vec<_> = executions.iter().zip(&history).collect();
            shuffled.sort_by_key(|(_, (_, _, key))| *key);
            let shuffled: Vec<_> = shuffled.into_iter().map(|(one, _)| *one).collect();
            prop_assert_eq!(recovered(&executions), recovered(&shuffled));
        }
    }
}
