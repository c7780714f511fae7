//! The store as its callers see it: what goes in is kept, counted once, and explained.

mod crash;
mod defects;
mod exchange;
mod figures;
mod reports;
mod restart;

use qastack::quality::Rules;
use qastack::reports::{Attempt, Attempts, Execution, Format, Outcome, TestIdentity, TestPlace, TestRun};
use qastack::store::{NewReport, RunMeta, Store, StoreOptions};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// Monday, 2 March 2026, noon UTC: the tests' "now".
pub const NOON: i64 = 1_772_452_800;

/// A day in seconds.
pub const DAY: i64 = 86_400;

/// What one test did, in short: its name and how its attempts ended, as in `("pays", "FP")`.
pub type Line = (&'static str, &'static str);

/// A report of these lines. `P` passed, `F` failed, `E` error, `S` skipped; the last attempt decides.
pub fn report(lines: &[Line]) -> TestRun {
    let executions = lines.iter().map(|(name, attempts)| execution(name, attempts)).collect();
    test_run(executions)
}

/// A report of these executions.
pub fn test_run(executions: Vec<Execution>) -> TestRun {
    let mut run = TestRun {
        format: Format::Junit,
        elements: Default::default(),
        executions,
        warnings: Vec::new(),
        warnings_left_out: 0,
        reported_start: None,
        duration: None,
    };
    run.elements = run.counts();
    run
}

fn execution(name: &str, attempts: &str) -> Execution {
    let mut attempts: Vec<Attempt> = attempts
        .chars()
        .map(|letter| {
            let outcome = match letter {
                'P' => Outcome::Passed,
                'F' => Outcome::Failed,
                'E' => Outcome::Error,
                _ => Outcome::Skipped,
            };
            let message = outcome.is_failure().then(|| format!("{name} did not hold"));
            Attempt::new(outcome, Some(Duration::from_millis(20)), None, message)
        })
        .collect();
    let outcome = attempts.last().map_or(Outcome::Skipped, |attempt| attempt.outcome);
    let flaky = outcome == Outcome::Passed && attempts.iter().any(|attempt| attempt.outcome.is_failure());
    let duration = Some(Duration::from_millis(20 * attempts.len() as u64));
    let place = TestPlace { suite: "shop".into(), class: "Cart".into(), ..TestPlace::default() };
    let test = TestIdentity { place: place.into(), name: name.into() };
    let last = attempts.pop().unwrap();
    let attempts = Attempts::new(attempts, last);
    Execution { test, outcome, flaky, duration, attempts, reported_start: None }
}

/// A report of the project `shop` that was received at noon.
pub fn new_report(meta: RunMeta, report: TestRun) -> NewReport {
    let sha256 = Sha256::digest(format!("{report:?}").as_bytes()).into();
    NewReport {
        project: "shop".into(),
        meta,
        report,
        sha256,
        bytes: 1000,
        idempotency_key: None,
        received_at: NOON,
        token: None,
    }
}

/// A run of `main` with a key, at a commit.
pub fn on_main(run: &str, commit: &str) -> RunMeta {
    RunMeta { run: Some(run.into()), branch: Some("main".into()), commit: Some(commit.into()), ..RunMeta::default() }
}

/// A store in memory under the default rules.
pub fn store() -> Store {
    store_with(Rules::default())
}

/// A store in memory under these rules.
pub fn store_with(rules: Rules) -> Store {
    Store::in_memory(StoreOptions { rules, ..StoreOptions::default() }).unwrap()
}

/// Stores a report of these lines.
pub async fn push(store: &Store, meta: RunMeta, lines: &[Line]) -> qastack::store::Receipt {
    store.ingest(new_report(meta, report(lines))).await.unwrap()
}
