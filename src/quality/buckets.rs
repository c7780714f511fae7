//! What is kept a day: counts that add up.

use super::day::{Day, Window};
use super::histogram::DurationHistogram;
use crate::reports::Outcome;

/// A count for each day that has one, oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayCounts(Vec<(Day, u64)>);

impl DayCounts {
    /// Counts up or down on a day. A count that reaches 0 is forgotten.
    pub fn change(&mut self, day: Day, by: i64) {
        match self.0.binary_search_by_key(&day, |entry| entry.0) {
            Ok(index) => {
                let count = self.0[index].1.saturating_add_signed(by);
                if count == 0 {
                    self.0.remove(index);
                } else {
                    self.0[index].1 = count;
                }
            }
            Err(index) if by > 0 => self.0.insert(index, (day, by.unsigned_abs())),
            Err(_) => {}
        }
    }

    /// Moves one thing from a day, if it was counted on one, to another.
    pub fn shift(&mut self, from: Option<Day>, to: Option<Day>) {
        if from == to {
            return;
        }
        if let Some(day) = from {
            self.change(day, -1);
        }
        if let Some(day) = to {
            self.change(day, 1);
        }
    }

    /// The count of a window.
    pub fn sum(&self, window: Window) -> u64 {
        self.iter().filter(|(day, _)| window.contains(*day)).map(|(_, count)| count).sum()
    }

    /// Each day and its count, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Day, u64)> + '_ {
        self.0.iter().copied()
    }
}

/// Tests that went from red to green, and how long they were red.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recoveries {
    /// How many.
    pub count: u64,
    /// From the first failure to the first pass after it, summed, in seconds.
    pub seconds: u64,
}

/// Everything that a day of one branch label adds to the figures.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DayBucket {
    /// Executions that passed.
    pub passed: u64,
    /// Executions that failed.
    pub failed: u64,
    /// Executions that ended in an error.
    pub errors: u64,
    /// Executions that were skipped.
    pub skipped: u64,
    /// Flaky executions among the decisive ones.
    pub flaky: u64,
    /// Runs that began with a report of it.
    pub runs: u64,
    /// Reports that were folded.
    pub reports: u64,
    /// Reports with a failure among them.
    pub failed_reports: u64,
    /// Reports that the infrastructure guard held out; nothing else of them is counted.
    pub held_out_reports: u64,
    /// Durations of decisive executions.
    pub durations: DurationHistogram,
    /// Durations of whole reports.
    pub report_durations: DurationHistogram,
    /// Tests that went from red to green on the default branch.
    pub recoveries: Recoveries,
}

impl DayBucket {
    /// Counts an execution.
    pub fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Passed => self.passed += 1,
            Outcome::Failed => self.failed += 1,
            Outcome::Error => self.errors += 1,
            Outcome::Skipped => self.skipped += 1,
        }
    }

    /// Adds all that another one has counted.
    pub fn merge(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.errors += other.errors;
        self.skipped += other.skipped;
        self.flaky += other.flaky;
        self.runs += other.runs;
        self.reports += other.reports;
        self.failed_reports += other.failed_reports;
        self.held_out_reports += other.held_out_reports;
        self.durations.merge(&other.durations);
        self.report_durations.merge(&other.report_durations);
        self.recoveries.count += other.recoveries.count;
        self.recoveries.seconds += other.recoveries.seconds;
    }

    /// Passed, failed and errors: what says something about the code.
    pub fn decisive(&self) -> u64 {
        self.passed + self.failed + self.errors
    }

    /// All executions.
    pub fn executions(&self) -> u64 {
        self.decisive() + self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_a_window_leave_out_the_days_around_it() {
        let mut counts = DayCounts::default();
        [3, 5, 5, 9].iter().for_each(|&day| counts.change(Day(day), 1));
        assert_eq!(counts.sum(Window { first: Day(4), last: Day(8) }), 2);
        counts.shift(Some(Day(5)), Some(Day(9)));
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(Day(3), 1), (Day(5), 1), (Day(9), 2)]);
        counts.shift(Some(Day(3)), None);
        assert_eq!(counts.iter().next(), Some((Day(5), 1)));
    }
}
