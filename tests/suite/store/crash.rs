//! Killed, torn, full, damaged: no acknowledged run is lost, none is stored by half, nothing is replaced.

use super::{NOON, new_report, on_main, report, test_run};
use qastack::quality::FigureName;
use qastack::reports::{Attempt, Execution, Outcome, TestIdentity, TestPlace, TestRun};
use qastack::store::{Reader, RunQuery, RunSummary, Store, StoreError, StoreOptions};
use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

/// How often the child is killed; the full exercise is `QASTACK_KILLS=200`.
const KILLS: &str = "QASTACK_KILLS";

/// Tells the child which store to fill, and from which run on.
const CHILD: &str = "QASTACK_CRASH_CHILD";

/// Executions of each run that the child stores.
const CASES: u64 = 60;

/// Not a test of its own: what the killed child does. Without its variable there is nothing to do.
#[test]
fn child_that_ingests_until_it_is_killed() {
    let Ok(task) = std::env::var(CHILD) else { return };
    let (path, first) = task.split_once('|').unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(ingest_for_ever(path, first.parse().unwrap()));
}

async fn ingest_for_ever(path: &str, first: u64) {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let lanes = 8;
    let all: Vec<_> = (0..lanes)
        .map(|lane| {
            let store = store.clone();
            tokio::spawn(async move {
                for run in (first + lane..).step_by(lanes as usize) {
                    store
                        .ingest(new_report(on_main(&run.to_string(), &format!("c{}", run / 3)), cases(run)))
                        .await
                        .unwrap();
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "\nack {run}").unwrap();
                    out.flush().unwrap();
                }
            })
        })
        .collect();
    for lane in all {
        lane.await.unwrap();
    }
}

fn cases(run: u64) -> TestRun {
    let outcome = |test: u64| if (run + test).is_multiple_of(17) { Outcome::Failed } else { Outcome::Passed };
    let place = Arc::new(TestPlace { suite: "crash".into(), ..TestPlace::default() });
    let execution = |test: u64| Execution {
        test: TestIdentity { place: Arc::clone(&place), name: format!("case {test}") },
        outcome: outcome(test),
        flaky: false,
        duration: None,
        attempts: Attempt::new(outcome(test), None, None, Some("x".repeat(200))).into(),
        reported_start: None,
    };
    test_run((0..CASES).map(execution).collect())
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended; whoever is left must not stay.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn no_acknowledged_run_is_lost_and_none_is_stored_by_half_however_often_it_is_killed() {
    let kills: u64 = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(6);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    for kill in 0..kills {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        acknowledged.extend(acknowledged_before_a_kill(&path, kill * 1_000_000, random >> 33));
        let stored = whole_runs(&path);
        let lost: Vec<_> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "lost after kill {kill}: {lost:?}");
    }
    assert!(acknowledged.len() as u64 >= kills, "the child got nothing done");
}

/// Starts a child, kills it at some moment after an acknowledgement, and returns what it acknowledged.
fn acknowledged_before_a_kill(path: &Path, first: u64, random: u64) -> Vec<u64> {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "store::crash::child_that_ingests_until_it_is_killed", "--nocapture"])
        .env(CHILD, format!("{}|{first}", path.display()))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut lines = BufReader::new(child.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged = Vec::new();
    let mut note =
        |line: String| acknowledged.extend(line.strip_prefix("ack ").and_then(|run| run.parse::<u64>().ok()));
    let mut patience = 1 + random % 40;
    for line in lines.by_ref() {
        patience -= u64::from(line.starts_with("ack "));
        note(line);
        if patience == 0 {
            break;
        }
    }
    // A moment that has nothing to do with an acknowledgement: anywhere in a group's life.
    std::thread::sleep(std::time::Duration::from_micros(random % 5000));
    child.0.kill().unwrap();
    // What it said before it died counts.
    lines.for_each(&mut note);
    child.0.wait().unwrap();
    acknowledged
}

/// Opens the store, checks it, and returns the runs in it, each of which must be whole.
fn whole_runs(path: &Path) -> BTreeSet<u64> {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let (findings, runs) = store.read_blocking(|reader| Ok((reader.check_integrity()?, all_runs(reader)?))).unwrap();
    assert_eq!(findings, Vec::<String>::new());
    for run in &runs {
        assert_eq!((run.counts.tests, run.reports), (CASES, 1), "run {:?} is stored by half", run.run);
    }
    let executions = store.snapshot().window(NOON).executions.executions();
    closed(store);
    assert_eq!(executions, runs.len() as u64 * CASES, "the figures know other runs than the store");
    runs.iter().map(|run| run.run.as_deref().unwrap().parse().unwrap()).collect()
}

fn all_runs(reader: &Reader<'_>) -> Result<Vec<RunSummary>, StoreError> {
    let mut runs: Vec<RunSummary> = Vec::new();
    loop {
        let query = RunQuery { branch: None, before: runs.last().map(|run| run.id), limit: 1000 };
        let page = reader.runs("shop", &query)?;
        if page.is_empty() {
            return Ok(runs);
        }
        runs.extend(page);
    }
}

#[test]
fn a_wal_that_is_torn_anywhere_opens_with_the_reports_before_the_tear() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    let reports = 12;
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for run in 0..reports {
        runtime.block_on(store.ingest(new_report(on_main(&run.to_string(), "c"), cases(run)))).unwrap();
    }
    // The store is open still: what was acknowledged lies in the WAL alone.
    let (file, wal) = (std::fs::read(&path).unwrap(), std::fs::read(with(&path, "-wal")).unwrap());
    let torn = directory.path().join("torn.db");
    let mut before = 0;
    // An odd step tears frames in their headers and in their pages.
    for length in (0..wal.len()).step_by(wal.len() / 60 + 1).chain([wal.len()]) {
        std::fs::write(&torn, &file).unwrap();
        std::fs::write(with(&torn, "-wal"), &wal[..length]).unwrap();
        let runs = whole_runs_if_any(&torn);
        assert!(runs.len() >= before, "a longer WAL has fewer runs");
        assert_eq!(runs, (0..runs.len() as u64).collect::<BTreeSet<_>>(), "runs are lost from the middle");
        before = runs.len();
    }
    assert_eq!(before as u64, reports);
}

/// The runs of a store that may know nothing at all yet.
fn whole_runs_if_any(path: &Path) -> BTreeSet<u64> {
    let store = Store::open(path, StoreOptions::default()).unwrap();
    let known = store.has_input();
    closed(store);
    let runs = if known { whole_runs(path) } else { BTreeSet::new() };
    for suffix in ["-wal", "-shm", ".lock"] {
        // Some of them may not be there.
        let _ = std::fs::remove_file(with(path, suffix));
    }
    runs
}

/// Closes a store: its file can be opened again, or taken away.
fn closed(store: Store) {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(store.close());
}

fn with(path: &Path, suffix: &str) -> std::path::PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[tokio::test]
async fn a_full_store_refuses_keeps_what_it_has_and_goes_on_when_the_oldest_days_went() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let options = StoreOptions { max_bytes: Some(512 << 10), ..StoreOptions::default() };
    let store = Store::open(&path, options.clone()).unwrap();
    let mut stored = 0;
    let refused = loop {
        match store.ingest(new_report(on_main(&stored.to_string(), "c"), cases(stored))).await {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
        assert!(stored < 100_000, "it is never full");
    };
    assert!(matches!(refused, StoreError::Full { .. }), "{refused}");
    assert_eq!(store.snapshot().window(NOON).executions.reports, stored);
    // The refusal made room: the same push, again, is taken.
    let receipt = store.ingest(new_report(on_main(&stored.to_string(), "c"), cases(stored))).await.unwrap();
    assert!(!receipt.duplicate);
    let kept = store.read_blocking(all_runs).unwrap();
    assert!((kept.len() as u64) < stored && kept.iter().any(|run| run.id == receipt.run));
    // Counters and roll-ups outlive what went, a restart too.
    assert_eq!(store.snapshot().window(NOON).executions.reports, stored + 1);
    store.close().await;
    drop(store);
    assert!(std::fs::metadata(&path).unwrap().len() <= 640 << 10);
    let store = Store::open(&path, options).unwrap();
    assert_eq!(store.snapshot().window(NOON).executions.reports, stored + 1);
    assert!(store.snapshot().figures(NOON).value(FigureName::FlakeRate).is_some());
}

#[tokio::test]
async fn a_damaged_file_is_named_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let store = Store::open(&path, StoreOptions::default()).unwrap();
    store.ingest(new_report(on_main("1", "c"), report(&[("pays", "P")]))).await.unwrap();
    store.close().await;
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    for (what, range) in [("the header", 0..100), ("the schema", 100..4096), ("the first table", 4096..3 * 4096)] {
        let mut damaged = whole.clone();
        damaged[range].fill(0x5a);
        std::fs::write(&path, &damaged).unwrap();
        let error = Store::open(&path, StoreOptions::default()).unwrap_err();
        assert!(matches!(error, StoreError::Corrupt { .. }), "{what}: {error}");
        let error = qastack::error::Error::from(error);
        assert_eq!((error.code().exit(), error.code().word()), (13, "store_damaged"));
        assert!(error.message().contains("qastack.db"), "{error}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "{what}: the file was changed");
    }
}

#[tokio::test]
async fn a_store_that_is_open_elsewhere_is_not_opened_again() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let _open = Store::open(&path, StoreOptions::default()).unwrap();
    let error = Store::open(&path, StoreOptions::default()).unwrap_err();
    assert!(matches!(error, StoreError::InUse { .. }));
    assert_eq!(qastack::error::Error::from(error).code().word(), "locked");
}

#[tokio::test]
async fn a_writer_with_more_to_do_than_it_can_refuses_after_a_while_and_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("qastack.db");
    let patience = std::time::Duration::from_millis(300);
    let store = Store::open(&path, StoreOptions { patience, ..StoreOptions::default() }).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    // More than the queue and one group hold.
    let pushes = (0..1500u64).map(|run| {
        let store = store.clone();
        tokio::spawn(async move { (run, store.ingest(new_report(on_main(&run.to_string(), "c"), cases(run))).await) })
    });
    let pushes: Vec<_> = pushes.collect();
    let mut refused = 0;
    for push in pushes {
        match push.await.unwrap() {
            (_, Err(StoreError::Busy)) => refused += 1,
            (run, other) => panic!("run {run}: {other:?}"),
        }
    }
    assert_eq!(refused, 1500);
    other.execute_batch("ROLLBACK").unwrap();
    store.ingest(new_report(on_main("later", "c"), cases(1))).await.unwrap();
    assert_eq!(store.read_blocking(all_runs).unwrap().len(), 1, "nothing that was refused is stored");
}
