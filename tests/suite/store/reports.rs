//! Reports: stored once, read back as they were.

use super::{NOON, new_report, on_main, push, report, store};
use qastack::reports::Outcome;
use qastack::store::{NewReport, RunQuery, StoreError};

#[tokio::test]
async fn the_same_push_twice_is_counted_once_and_gets_the_same_receipt() {
    let store = store();
    let first = push(&store, on_main("1", "c1"), &[("pays", "P"), ("ships", "FP")]).await;
    let again = push(&store, on_main("1", "c1"), &[("pays", "P"), ("ships", "FP")]).await;
    assert!(!first.duplicate && again.duplicate);
    assert_eq!(
        (first.report, first.run, first.counts, first.flaky),
        (again.report, again.run, again.counts, again.flaky)
    );
    assert_eq!(again.new_tests, 2);
    let window = store.snapshot().window(NOON);
    assert_eq!((window.executions.passed, window.executions.runs), (2, 1));
    let ingest = &store.snapshot().ingest;
    assert_eq!(ingest.reports[&("junit".to_owned(), "stored".to_owned())], 1);
    assert_eq!(ingest.reports[&("junit".to_owned(), "duplicate".to_owned())], 1);
}

#[tokio::test]
async fn an_idempotency_key_with_other_content_is_a_conflict_and_stores_nothing() {
    let store = store();
    let keyed = |run: &str, outcome| NewReport {
        idempotency_key: Some("k".into()),
        ..new_report(on_main(run, "c1"), report(&[("pays", outcome)]))
    };
    let first = store.ingest(keyed("1", "P")).await.unwrap();
    assert_eq!(store.ingest(keyed("1", "P")).await.unwrap().report, first.report);
    assert!(matches!(store.ingest(keyed("2", "F")).await, Err(StoreError::Conflict { key }) if key == "k"));
    assert_eq!(store.snapshot().window(NOON).executions.executions(), 1);
}

#[tokio::test]
async fn files_of_one_job_are_one_run_and_another_attempt_is_another() {
    let store = store();
    let first = push(&store, on_main("1", "c1"), &[("pays", "P")]).await;
    let second = push(&store, on_main("1", "c1"), &[("ships", "F")]).await;
    let retried = push(&store, qastack::store::RunMeta { attempt: 2, ..on_main("1", "c1") }, &[("ships", "P")]).await;
    assert_eq!(first.run, second.run);
    assert_ne!(first.run, retried.run);
    let query = RunQuery { branch: Some("main".into()), before: None, limit: 10 };
    let runs = store.read(move |reader| reader.runs("shop", &query)).await.unwrap();
    assert_eq!(runs.iter().map(|run| (run.id, run.reports)).collect::<Vec<_>>(), [(retried.run, 1), (first.run, 2)]);
    assert_eq!((runs[1].counts.passed, runs[1].counts.failed), (1, 1));
    let query = RunQuery { branch: None, before: Some(retried.run), limit: 10 };
    assert_eq!(store.read(move |reader| reader.runs("shop", &query)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn one_run_shows_what_failed_and_what_each_attempt_said() {
    let store = store();
    let receipt = push(&store, on_main("1", "c1"), &[("a", "P"), ("b", "FFP"), ("c", "E"), ("d", "S")]).await;
    let detail = store.read(move |reader| reader.run("shop", receipt.run)).await.unwrap();
    let failures: Vec<_> = detail
        .failures
        .iter()
        .map(|one| (one.test.name.as_str(), one.outcome, one.flaky, one.attempts.len()))
        .collect();
    assert_eq!(failures, [("b", Outcome::Passed, true, 3), ("c", Outcome::Error, false, 1)]);
    assert_eq!(detail.failures[0].attempts[0].message(), Some("b did not hold"));
    assert_eq!(detail.summary.counts.skipped, 1);
    let missing = store.read(|reader| reader.run("shop", 999)).await;
    assert!(matches!(missing, Err(StoreError::Unknown { .. })));
}
