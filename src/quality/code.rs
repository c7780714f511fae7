//! Both outcomes on the same code: which failures were noise, because the same test passed there elsewhere.

use super::day::Day;
use foldhash::{HashMap, HashSet};

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

/// What the tests did on one piece of code: one tree (else commit) in one environment and variant.
///
/// Whatever the order in which the outcomes come, the same failures turn out to be flaky.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CodeOutcomes {
    passed: HashSet<u32>,
    /// Failures of tests that have not passed on this code, yet.
    failed: HashMap<u32, Vec<FlakyFailure>>,
}

impl CodeOutcomes {
    /// A test passed; returns the earlier failures that are now known to be flaky.
    pub fn passed(&mut self, test: u32) -> Vec<FlakyFailure> {
        self.passed.insert(test);
        // Most code has no failure at all, and then there is nothing to look up.
        if self.failed.is_empty() { Vec::new() } else { self.failed.remove(&test).unwrap_or_default() }
    }

    /// A test failed; returns the failure where it is known to be flaky at once.
    pub fn failed(&mut self, failure: FlakyFailure) -> Option<FlakyFailure> {
        if self.passed.contains(&failure.test) {
            return Some(failure);
        }
        let failures = self.failed.entry(failure.test).or_default();
        if !failures.contains(&failure) {
            failures.push(failure);
        }
        None
    }

    /// How many tests it knows: a measure of its size.
    pub fn tests(&self) -> usize {
        self.passed.len() + self.failed.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(report: i64) -> FlakyFailure {
        FlakyFailure { test: 7, day: Day(1), report, label: 0 }
    }

    #[test]
    fn failures_are_flaky_whether_the_pass_comes_before_or_after_them() {
        let mut code = CodeOutcomes::default();
        assert_eq!(code.failed(failure(1)), None);
        assert_eq!(code.failed(failure(2)), None);
        assert_eq!(code.passed(7), [failure(1), failure(2)]);
        assert_eq!(code.passed(7), []);
        assert_eq!(code.failed(failure(3)), Some(failure(3)));
    }

    #[test]
    fn another_tests_pass_says_nothing() {
        let mut code = CodeOutcomes::default();
        code.passed(8);
        assert_eq!(code.failed(failure(1)), None);
        assert_eq!(code.tests(), 2);
    }
}
