//! What is kept of one test: a few days of counts, the last day of each kind, and what made it flaky.

use super::colour::Colour;
use super::day::{Day, Window};
use serde::Serialize;

/// How many of its newest flaky executions a test remembers, for whoever asks why it is called flaky.
const EVENTS: usize = 16;

/// One day of one test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TestDay {
    /// The day.
    pub day: Day,
    /// Decisive executions.
    pub decisive: u32,
    /// Those of them that failed.
    pub failed: u32,
    /// Those of them that were flaky.
    pub flaky: u32,
    /// The decisive executions' durations, summed, in microseconds.
    pub microseconds: u64,
}

/// Why an execution is flaky.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlakeKind {
    /// It passed only after a failed attempt of its own run.
    RetriedWithinRun,
    /// It failed on code that the same test passed on in another report.
    BothOutcomesOnOneCommit,
}

/// A flaky execution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FlakeEvent {
    /// Its day.
    pub day: Day,
    /// The report it stands in.
    pub report: i64,
    /// Why it is flaky.
    pub kind: FlakeKind,
}

/// What is kept of one test.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TestState {
    /// The label of its suite, by number.
    pub suite: u16,
    /// The first day it was seen, skipped or not.
    pub first_day: Option<Day>,
    /// The last day it was seen, skipped or not.
    pub last_seen: Option<Day>,
    /// The last day with a decisive outcome.
    pub last_decisive: Option<Day>,
    /// The last day it passed.
    pub last_pass: Option<Day>,
    /// The last day with a flaky execution.
    pub last_flaky: Option<Day>,
    /// Whether it is red or green on the default branch.
    pub colour: Colour,
    /// Its days, oldest first, for two windows back.
    pub days: Vec<TestDay>,
    /// Its newest flaky executions, oldest first.
    pub events: Vec<FlakeEvent>,
}

impl TestState {
    /// The last day that makes it flaky: it needs a flaky execution and a pass, else it is broken.
    pub fn flaky_day(&self) -> Option<Day> {
        self.last_flaky.min(self.last_pass)
    }

    /// Whether it is flaky in a window.
    pub fn is_flaky(&self, window: Window) -> bool {
        self.flaky_day().is_some_and(|day| window.contains(day))
    }

    /// Whether it was decided in a window, and failed each time.
    pub fn is_broken(&self, window: Window) -> bool {
        self.last_decisive.is_some_and(|day| window.contains(day))
            && !self.last_pass.is_some_and(|day| window.contains(day))
    }

    /// The sums of a window.
    pub fn sum(&self, window: Window) -> TestDay {
        let mut sum = TestDay { day: window.last, decisive: 0, failed: 0, flaky: 0, microseconds: 0 };
        for day in self.days.iter().filter(|day| window.contains(day.day)) {
            sum.decisive += day.decisive;
            sum.failed += day.failed;
            sum.flaky += day.flaky;
            sum.microseconds = sum.microseconds.saturating_add(day.microseconds);
        }
        sum
    }

    /// The day's counts, made where there are none. Nothing where the day is too old to be kept.
    pub(super) fn day(&mut self, day: Day, keep_days: u32) -> Option<&mut TestDay> {
        let newest = self.days.last().map_or(day, |last| last.day.max(day));
        if day < newest.back(keep_days) {
            return None;
        }
        let index = match self.days.binary_search_by_key(&day, |entry| entry.day) {
            Ok(index) => index,
            Err(index) => {
                self.days.insert(index, TestDay { day, decisive: 0, failed: 0, flaky: 0, microseconds: 0 });
                let old = self.days.partition_point(|entry| entry.day < newest.back(keep_days));
                self.days.drain(..old);
                index - old
            }
        };
        self.days.get_mut(index)
    }

    /// Remembers a flaky execution, if it is among the newest.
    pub(super) fn remember(&mut self, event: FlakeEvent) {
        if let Err(index) = self.events.binary_search(&event) {
            self.events.insert(index, event);
            if self.events.len() > EVENTS {
                self.events.remove(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_older_than_what_is_kept_go_whatever_the_order() {
        let (mut forward, mut backward) = (TestState::default(), TestState::default());
        for day in [1, 10, 38] {
            if let Some(entry) = forward.day(Day(day), 28) {
                entry.decisive += 1;
            }
        }
        for day in [38, 10, 1] {
            if let Some(entry) = backward.day(Day(day), 28) {
                entry.decisive += 1;
            }
        }
        assert_eq!(forward, backward);
        assert_eq!(forward.days.iter().map(|entry| entry.day.0).collect::<Vec<_>>(), [10, 38]);
    }

    #[test]
    fn only_the_newest_events_are_remembered() {
        let mut test = TestState::default();
        for report in (0..40).rev() {
            test.remember(FlakeEvent { day: Day(1), report, kind: FlakeKind::RetriedWithinRun });
        }
        assert_eq!(test.events.len(), EVENTS);
        assert_eq!(test.events.last().map(|event| event.report), Some(39));
    }
}
