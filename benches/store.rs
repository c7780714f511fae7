//! How fast the store takes reports in and gives figures out, small and with ten million executions.
//!
//! `cargo bench --bench store` prints a table of medians. The store is asked directly, without HTTP and without
//! parsing; it lies in the directory for temporary files, so name a real disk there (`TMPDIR`).

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its table and ends when it fails")]

use qastack::quality::{Defect, DefectKind, FigureName};
use qastack::reports::{Attempt, Attempts, Execution, Format, Outcome, TestIdentity, TestPlace, TestRun};
use qastack::store::{NewDefects, NewReport, Ranking, Reader, RunMeta, RunQuery, Store, StoreOptions};
use sha2::{Digest, Sha256};
use std::time::{Duration, Instant};

const NOW: i64 = 1_772_452_800;
const DAY: i64 = 86_400;

/// Runs and tests of the large store: ten million executions. Fewer for a quick look: `QASTACK_BENCH_RUNS=500`.
const RUNS: u64 = 10_000;
const TESTS: u64 = 1_000;

#[tokio::main]
async fn main() {
    let directory = tempfile::tempdir().unwrap();
    let small = Store::open(directory.path().join("small.db"), StoreOptions::default()).unwrap();
    row("a 100,000-case run into an empty store", seconds(large_run(&small, "first").await));
    row("a 100,000-case run of known tests", seconds(large_run(&small, "second").await));
    row("1,000-case pushes one after the other, p50", milliseconds(one_by_one(&small).await));
    small_pushes(&small).await;
    small.close().await;

    let tracked = Store::open(directory.path().join("defects.db"), StoreOptions::default()).unwrap();
    row("100,000 defects into an empty store", seconds(defects(&tracked, "year", 300).await));
    defect_lists(&tracked, "year");
    defects(&tracked, "one day", i64::MAX).await;
    defect_lists(&tracked, "one day");
    tracked.close().await;

    let runs = std::env::var("QASTACK_BENCH_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(RUNS);
    let path = directory.path().join("large.db");
    let large = Store::open(&path, StoreOptions::default()).unwrap();
    let start = Instant::now();
    fill(&large, runs).await;
    let executions = runs * TESTS;
    row(&format!("filling it with {executions} executions"), seconds(start.elapsed()));
    row("  executions a second", format!("{:.0}", executions as f64 / start.elapsed().as_secs_f64()));
    figures(&large);
    queries(&large).await;
    row("a 100,000-case run into the large store", seconds(large_run(&large, "third").await));
    large.close().await;
    drop(large);
    let bytes = std::fs::metadata(&path).unwrap().len();
    row("the large file", format!("{:.1} MB", bytes as f64 / 1e6));
    row("  bytes an execution", format!("{:.2}", bytes as f64 / (executions + 100_000) as f64));
    let start = Instant::now();
    let reopened = Store::open(&path, StoreOptions::default()).unwrap();
    row("opening it again", milliseconds(start.elapsed()));
    row("resident memory of this process", resident());
    let start = Instant::now();
    let rules = qastack::quality::Rules { flake_window_days: 7, ..Default::default() };
    reopened.set_rules(rules).await.unwrap();
    row("folding all of it again under other rules", seconds(start.elapsed()));
}

/// Defects of a project, so many on each day; one of a thousand does not count, and one of ten is open.
async fn defects(store: &Store, project: &str, a_day: i64) -> Duration {
    let defect = |number: i64| Defect {
        key: format!("SHOP-{number}"),
        title: format!("The total of order {number} is wrong after a voucher was taken back"),
        kind: "Bug".to_owned(),
        severity: ["High", "Medium", "Low"][(number % 3) as usize].to_owned(),
        status: if number % 10 == 0 { "Open" } else { "Done" }.to_owned(),
        resolution: if number % 1_000 == 999 { "Duplicate" } else { "Fixed" }.to_owned(),
        environment: if number % 7 == 0 { "production" } else { "staging" }.to_owned(),
        component: "Checkout".to_owned(),
        labels: vec!["checkout".to_owned(), "voucher".to_owned()],
        url: format!("https://tracker.example.com/browse/SHOP-{number}"),
        created_at: NOW - number / a_day * DAY,
        resolved_at: (number % 10 != 0).then_some(NOW),
        ..Defect::default()
    };
    let defects = (0..100_000).map(defect).collect();
    let new = NewDefects { project: project.to_owned(), defects, bytes: 1, received_at: NOW };
    let start = Instant::now();
    store.upsert_defects(new).await.unwrap();
    start.elapsed()
}

fn defect_lists(store: &Store, project: &str) {
    let timed = |name: &str, asked: &dyn Fn(&Reader<'_>) -> usize| {
        let ask = |_| {
            let start = Instant::now();
            let shown = store.read_blocking(|reader| Ok(asked(reader))).unwrap();
            assert!(shown <= 50);
            start.elapsed()
        };
        let mut took: Vec<Duration> = (0..5).map(ask).collect();
        row(&format!("{project}: {name}"), milliseconds(quantile(&mut took, 0.5)));
    };
    let page = |reader: &Reader<'_>, kind, from| reader.defect_page(project, kind, from, 50).unwrap().defects.len();
    timed("the first page of all defects", &|reader| page(reader, None, 0));
    timed("the last page of all defects", &|reader| page(reader, None, 99_950));
    timed("the first page of those in production", &|reader| page(reader, Some(DefectKind::Production), 0));
    timed("the last page of those in production", &|reader| page(reader, Some(DefectKind::Production), 14_250));
    timed("the first page of those that do not count", &|reader| page(reader, Some(DefectKind::Invalid), 0));
    timed("the last page of those that do not count", &|reader| page(reader, Some(DefectKind::Invalid), 50));
    let why = |reader: &Reader<'_>, name| reader.explain(name, Some(project), NOW, 50).unwrap().defects.len();
    timed("explaining the open defects", &|reader| why(reader, FigureName::OpenDefects));
    timed("explaining the leakage", &|reader| why(reader, FigureName::DefectLeakage));
    let find = |reader: &Reader<'_>, text| reader.find_defects(project, text, 10).unwrap().len();
    timed("a search that finds ten at once", &|reader| find(reader, "voucher"));
    timed("a search that finds nothing", &|reader| find(reader, "unheard of"));
}

async fn large_run(store: &Store, run: &str) -> Duration {
    let report = new_report(run, 100_000, NOW, 0.01);
    let start = Instant::now();
    store.ingest(report).await.unwrap();
    start.elapsed()
}

async fn one_by_one(store: &Store) -> Duration {
    let mut took = Vec::new();
    for number in 0..100 {
        let report = new_report(&format!("one-{number}"), TESTS, NOW, 0.01);
        let start = Instant::now();
        store.ingest(report).await.unwrap();
        took.push(start.elapsed());
    }
    quantile(&mut took, 0.5)
}

/// 256 clients that each wait for their acknowledgement before they push again.
async fn small_pushes(store: &Store) {
    let (clients, each) = (256, 100);
    let start = Instant::now();
    let pushing: Vec<_> = (0..clients)
        .map(|client| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                for number in 0..each {
                    let report = new_report(&format!("small-{client}-{number}"), 10, NOW, 0.05);
                    let start = Instant::now();
                    store.ingest(report).await.unwrap();
                    took.push(start.elapsed());
                }
                took
            })
        })
        .collect();
    let mut took = Vec::new();
    for client in pushing {
        took.extend(client.await.unwrap());
    }
    let rate = f64::from(clients * each) / start.elapsed().as_secs_f64();
    row("10-case pushes a second, 256 clients", format!("{rate:.0}"));
    row("  p50", milliseconds(quantile(&mut took, 0.5)));
    row("  p99", milliseconds(quantile(&mut took, 0.99)));
}

async fn fill(store: &Store, runs: u64) {
    let lanes = 16;
    let filling: Vec<_> = (0..lanes)
        .map(|lane| {
            let store = store.clone();
            tokio::spawn(async move {
                for run in (lane..runs).step_by(lanes as usize) {
                    let at = NOW - 89 * DAY + run as i64 * (89 * DAY) / runs as i64;
                    store.ingest(new_report(&format!("run-{run}"), TESTS, at, 0.01)).await.unwrap();
                }
            })
        })
        .collect();
    for lane in filling {
        lane.await.unwrap();
    }
}

fn figures(store: &Store) {
    let mut took: Vec<Duration> = (0..1000)
        .map(|_| {
            let start = Instant::now();
            let snapshot = store.snapshot();
            let figures = snapshot.figures(NOW);
            assert!(figures.value(FigureName::FlakeRate).is_some());
            start.elapsed()
        })
        .collect();
    row("all figures from the snapshot, p99", milliseconds(quantile(&mut took, 0.99)));
}

async fn queries(store: &Store) {
    let timed = |name: &'static str, took: Duration| row(name, milliseconds(took));
    let start = Instant::now();
    let query = RunQuery { branch: None, before: None, limit: 50 };
    store.read(move |reader| reader.runs("bench", &query)).await.unwrap();
    timed("the newest 50 runs", start.elapsed());
    let start = Instant::now();
    let flaky = store.read(|reader| reader.ranked("bench", Ranking::Flaky, NOW, 50)).await.unwrap();
    timed("the 50 flakiest tests", start.elapsed());
    let fingerprint = flaky[0].fingerprint.clone();
    let start = Instant::now();
    store.read(move |reader| reader.history("bench", &fingerprint, NOW, 100)).await.unwrap();
    timed("one test's history", start.elapsed());
    let start = Instant::now();
    store.read(|reader| reader.explain(FigureName::FlakeRate, None, NOW, 50)).await.unwrap();
    timed("explaining the flake rate", start.elapsed());
    let start = Instant::now();
    store.read(|reader| reader.explain(FigureName::RecoveryTime, None, NOW, 50)).await.unwrap();
    timed("explaining the recovery time", start.elapsed());
    let start = Instant::now();
    store.read(|reader| reader.projects()).await.unwrap();
    timed("the list of projects", start.elapsed());
}

fn new_report(run: &str, tests: u64, at: i64, failing: f64) -> NewReport {
    let mut random = Random(Sha256::digest(run.as_bytes()).iter().fold(1, |seed, byte| seed * 31 + u64::from(*byte)));
    let executions = (0..tests).map(|number| execution(number, &mut random, failing)).collect();
    let report = TestRun {
        format: Format::Junit,
        elements: Default::default(),
        executions,
        warnings: Vec::new(),
        warnings_left_out: 0,
        reported_start: None,
        duration: None,
    };
    NewReport {
        project: "bench".into(),
        meta: RunMeta {
            run: Some(run.into()),
            branch: Some("main".into()),
            commit: Some(format!("commit of {run}")),
            started_at: Some(at),
            ..RunMeta::default()
        },
        report,
        sha256: Sha256::digest(run.as_bytes()).into(),
        bytes: tests * 120,
        idempotency_key: None,
        received_at: NOW,
        token: None,
    }
}

fn execution(number: u64, random: &mut Random, failing: f64) -> Execution {
    let fails = random.share() < failing;
    let retried = fails && random.share() < 0.3;
    let duration = Some(Duration::from_millis((random.share().powi(4) * 20_000.0) as u64));
    let attempt = |outcome: Outcome| match outcome.is_failure() {
        false => Attempt::plain(outcome, duration),
        true => {
            let message = format!("expected {number}, got {}\n  at Case.java:{number}", number + 1);
            Attempt::new(outcome, duration, Some("AssertionError".to_owned()), Some(message))
        }
    };
    let attempts = match (fails, retried) {
        (false, _) => attempt(Outcome::Passed).into(),
        (true, true) => Attempts::new(vec![attempt(Outcome::Failed)], attempt(Outcome::Passed)),
        (true, false) => attempt(Outcome::Failed).into(),
    };
    let class = format!("com.example.shop.Suite{:03}", number / 100);
    let place = TestPlace { suite: class.clone(), class, ..TestPlace::default() };
    Execution {
        test: TestIdentity { place: place.into(), name: format!("test case number {number} keeps its promise") },
        outcome: if fails && !retried { Outcome::Failed } else { Outcome::Passed },
        flaky: retried,
        duration,
        attempts,
        reported_start: None,
    }
}

/// A small generator of even numbers, the same ones each time (xorshift).
struct Random(u64);

impl Random {
    fn share(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn quantile(took: &mut [Duration], share: f64) -> Duration {
    took.sort();
    took[((took.len() as f64 * share) as usize).min(took.len() - 1)]
}

fn row(name: &str, value: String) {
    println!("{name:<48} {value:>12}");
}

fn seconds(took: Duration) -> String {
    format!("{:.3} s", took.as_secs_f64())
}

fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap_or("VmRSS: unknown");
    line.trim_start_matches("VmRSS:").trim().to_owned()
}
