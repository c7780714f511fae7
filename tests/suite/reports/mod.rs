//! Reading reports: what comes out of every dialect, and out of every kind of broken input.

mod bad_input;
mod fixtures;
mod junit;

use qastack::reports::{Execution, Limits, TestRun, Unreadable, read};

/// Reads a report that is expected to be readable.
fn run(report: impl AsRef<[u8]>) -> TestRun {
    read(report.as_ref(), &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", error.word()))
}

/// Reads a report that is expected not to be.
fn error(report: impl AsRef<[u8]>) -> Unreadable {
    match read(report.as_ref(), &Limits::default()) {
        Ok(run) => panic!("is read: {run:?}"),
        Err(error) => error,
    }
}

/// The warning words, in order.
fn words(run: &TestRun) -> Vec<&'static str> {
    run.warnings.iter().map(|warning| warning.code).collect()
}

/// The counts after folding: tests, passed, failed, errors, skipped, flaky.
fn folded(run: &TestRun) -> [u64; 6] {
    let counts = run.counts();
    [counts.tests, counts.passed, counts.failed, counts.errors, counts.skipped, run.flaky()]
}

/// The execution of this name; there must be exactly one.
fn test<'r>(run: &'r TestRun, name: &str) -> &'r Execution {
    let found: Vec<_> = run.executions.iter().filter(|execution| execution.test.name == name).collect();
    match found.as_slice() {
        [one] => one,
        others => panic!("{} tests are called {name:?} in {run:?}", others.len()),
    }
}
