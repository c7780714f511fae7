//! Both outcomes on the same code: which failures were noise, because the same test passed there elsewhere.
//!
//! Elsewhere is another run or another attempt. Two reports of one run are as a rule of two places that share a test's
//! name, such as two modules or two interpreters: what differs between them is no noise. Only where one of them holds
//! nothing but failed tests of the other, and not all of its tests, it is the failed ones tried again.

use super::day::Day;
use foldhash::HashMap;

/// A failure on code that the same test passed on in another report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FlakyFailure {
    /// The test's number in its project.
    pub test: u32,
    /// The day of the failing execution.
    pub day: Day,
    /// The report with the failing execution.
    pub report: i64,
    /// The number of the report's branch label in its project.
    pub label: u16,
}

/// What one report says about a piece of code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The report's number.
    pub report: i64,
    /// The tests that passed, in order.
    pub passed: Vec<u32>,
    /// The tests that failed, in order.
    pub failed: Vec<u32>,
}

/// What the tests did on one piece of code: one tree (else commit) in one environment and variant.
///
/// Whatever the order in which the outcomes come, the same failures turn out to be flaky.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeOutcomes {
    /// The run in which a test passed, or [`SEVERAL`].
    passed: HashMap<u32, i64>,
    /// Failures of tests that no pass on this code has explained, yet, each with its run.
    failed: HashMap<u32, Vec<(i64, FlakyFailure)>>,
    /// The reports of each run, as far as they can be told to be tries of the failed tests or to be tried again.
    runs: HashMap<i64, Vec<Told>>,
}

/// Stands for more than one run. Runs are numbered from 1.
const SEVERAL: i64 = 0;

/// Tests that are tried again in a report of their own; where there are more, it is the whole once more.
const TRIED_AGAIN: usize = 1_000;

impl Told {
    /// Whether it holds nothing but failed tests of another report, and not all of that one's tests.
    fn tries_again(&self, other: &Self) -> bool {
        let tests = self.passed.len() + self.failed.len();
        let failed_there = |test: &u32| other.failed.binary_search(test).is_ok();
        tests > 0
            && tests < other.passed.len() + other.failed.len()
            && self.passed.iter().chain(&self.failed).all(failed_there)
    }
}

impl CodeOutcomes {
    /// Takes in what a report of a run says; returns the failures, of this report and of others, that are now known to
    /// be flaky. `failure` makes one of this report's.
    pub fn add(&mut self, run: i64, told: Told, failure: impl Fn(u32) -> FlakyFailure) -> Vec<FlakyFailure> {
        let mut flaky = Vec::new();
        let known = self.runs.get(&run).map(Vec::as_slice).unwrap_or_default();
        if known.iter().any(|one| one.report == told.report) {
            return flaky;
        }
        let tried_again: Vec<i64> = known.iter().filter(|one| told.tries_again(one)).map(|one| one.report).collect();
        let tries: Vec<&Told> = known.iter().filter(|one| one.tries_again(&told)).collect();
        for &test in &told.failed {
            let elsewhere = self.passed.get(&test).is_some_and(|passed_in| *passed_in != run);
            if elsewhere || tries.iter().any(|one| one.passed.binary_search(&test).is_ok()) {
                flaky.push(failure(test));
            } else {
                self.failed.entry(test).or_default().push((run, failure(test)));
            }
        }
        for &test in &told.passed {
            self.passed.entry(test).and_modify(|seen| *seen = if *seen == run { run } else { SEVERAL }).or_insert(run);
            // Most code has no failure at all, and then there is nothing to look up.
            if self.failed.is_empty() {
                continue;
            }
            let Some(failures) = self.failed.get_mut(&test) else { continue };
            let is_explained = |(failed_in, failure): &mut (i64, FlakyFailure)| {
                *failed_in != run || tried_again.contains(&failure.report)
            };
            flaky.extend(failures.extract_if(.., is_explained).map(|(_, failure)| failure));
            if failures.is_empty() {
                self.failed.remove(&test);
            }
        }
        if !told.failed.is_empty() || told.passed.len() <= TRIED_AGAIN {
            // What is no try of the failed ones counts only with what failed in it, and with its size.
            self.runs.entry(run).or_default().push(told);
        }
        flaky
    }

    /// How many tests it knows: a measure of its size.
    pub fn tests(&self) -> usize {
        self.passed.len() + self.failed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(report: i64, test: u32) -> FlakyFailure {
        FlakyFailure { test, day: Day(1), report, label: 0 }
    }

    fn told(code: &mut CodeOutcomes, run: i64, report: i64, passed: &[u32], failed: &[u32]) -> Vec<FlakyFailure> {
        let told = Told { report, passed: passed.to_vec(), failed: failed.to_vec() };
        code.add(run, told, |test| failure(report, test))
    }

    #[test]
    fn failures_are_flaky_whether_the_pass_comes_before_or_after_them() {
        let mut code = CodeOutcomes::default();
        assert_eq!(told(&mut code, 1, 1, &[], &[7]), []);
        assert_eq!(told(&mut code, 2, 2, &[], &[7]), []);
        assert_eq!(told(&mut code, 3, 3, &[7], &[]), [failure(1, 7), failure(2, 7)]);
        assert_eq!(told(&mut code, 4, 4, &[7], &[]), []);
        assert_eq!(told(&mut code, 5, 5, &[], &[7]), [failure(5, 7)]);
        assert_eq!(told(&mut code, 3, 6, &[], &[7]), [failure(6, 7)], "it passed in another run, too");
    }

    #[test]
    fn another_tests_pass_says_nothing() {
        let mut code = CodeOutcomes::default();
        told(&mut code, 1, 1, &[8], &[]);
        assert_eq!(told(&mut code, 2, 2, &[], &[7]), []);
        assert_eq!(code.tests(), 2);
    }

    #[test]
    fn two_reports_of_one_run_that_differ_are_of_two_places() {
        let mut code = CodeOutcomes::default();
        assert_eq!(told(&mut code, 1, 1, &[2], &[1]), []);
        assert_eq!(told(&mut code, 1, 2, &[1, 2], &[]), [], "two interpreters");
        assert_eq!(told(&mut code, 1, 3, &[1], &[]), [failure(1, 1)], "the failed one tried again");
    }

    #[test]
    fn the_failed_ones_of_a_run_tried_again_are_known_in_either_order() {
        let first = |code: &mut CodeOutcomes| told(code, 1, 1, &[3], &[1, 2]);
        let again = |code: &mut CodeOutcomes| told(code, 1, 2, &[1], &[2]);
        let mut code = CodeOutcomes::default();
        assert_eq!(first(&mut code), []);
        assert_eq!(again(&mut code), [failure(1, 1)]);
        assert_eq!(again(&mut code), [], "a report counts once");
        let mut code = CodeOutcomes::default();
        assert_eq!(again(&mut code), []);
        assert_eq!(first(&mut code), [failure(1, 1)]);
    }
}
