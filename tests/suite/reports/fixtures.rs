//! Reports that real producers wrote, against what those producers printed; and every one of them cut and bent.

use super::{folded, words};
use qastack::reports::{Limits, TestRun, read};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// What a producer's `expected.json` says; worked out from the console output, never from our own reading.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    made_by: String,
    reports: BTreeMap<String, ExpectedReport>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedReport {
    format: String,
    elements: BTreeMap<String, u64>,
    folded: BTreeMap<String, u64>,
    /// A part of the console output; only hand-made reports have none.
    printed: Option<String>,
    #[serde(rename = "note")]
    _note: Option<String>,
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports")
}

/// Every producer's directory with its table.
fn producers() -> Vec<(PathBuf, Expected)> {
    let mut producers: Vec<_> = fs::read_dir(directory())
        .expect("the fixtures")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.is_dir())
        .map(|path| {
            let table = fs::read_to_string(path.join("expected.json"))
                .unwrap_or_else(|error| panic!("{}: {error}", path.join("expected.json").display()));
            let expected = serde_json::from_str(&table).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (path, expected)
        })
        .collect();
    producers.sort_by(|one, other| one.0.cmp(&other.0));
    producers
}

/// Every report with its path.
fn reports() -> Vec<(PathBuf, Vec<u8>)> {
    let paths = producers()
        .into_iter()
        .flat_map(|(path, expected)| expected.reports.into_keys().map(move |name| path.join(name)).collect::<Vec<_>>());
    paths.map(|path| (path.clone(), fs::read(path).expect("a report"))).collect()
}

fn read_fixture(path: &Path, bytes: &[u8]) -> TestRun {
    read(bytes, &Limits::default()).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_report_is_counted_as_its_producer_counts() {
    for (path, expected) in producers() {
        assert!(!expected.reports.is_empty(), "{} lists no report", path.display());
        for (name, expected) in &expected.reports {
            let file = path.join(name);
            let run = read_fixture(&file, &fs::read(&file).expect("a report"));
            let elements = serde_json::to_value(run.elements).expect("counts");
            let mut counts = serde_json::to_value(run.counts()).expect("counts");
            counts["flaky"] = run.flaky().into();
            let shown = file.display();
            assert_eq!(serde_json::to_value(run.format).expect("a format"), expected.format.as_str(), "{shown}");
            assert_eq!(elements, serde_json::to_value(&expected.elements).expect("a table"), "elements of {shown}");
            assert_eq!(counts, serde_json::to_value(&expected.folded).expect("a table"), "folded tests of {shown}");
        }
    }
}

#[test]
fn the_console_of_every_producer_that_was_run_shows_the_counts_it_is_held_to() {
    for (path, expected) in producers() {
        let by_hand = expected.made_by.starts_with("by hand, after ");
        for (name, report) in &expected.reports {
            let stem = name.split('.').next().expect("a stem");
            let console = fs::read_to_string(path.join(format!("{stem}.console.txt")));
            match (&report.printed, console) {
                (Some(printed), Ok(console)) => {
                    assert!(console.contains(printed), "{} {name}: {printed}", path.display())
                }
                (None, Err(_)) => assert!(by_hand, "{}: {name} has no console output", path.display()),
                (printed, console) => {
                    panic!("{} {name}: printed {printed:?}, console {}", path.display(), console.is_ok())
                }
            }
        }
    }
}

#[test]
fn every_producer_that_was_run_has_a_recipe_and_no_other_has() {
    let script = fs::read_to_string(directory().join("make")).expect("the script");
    let recipes: BTreeSet<_> = script
        .lines()
        .filter_map(|line| line.strip_prefix("make_")?.strip_suffix("() {"))
        .map(|name| name.replace('_', "-"))
        .collect();
    let run: BTreeSet<_> = producers()
        .into_iter()
        .filter(|(_, expected)| !expected.made_by.starts_with("by hand"))
        .map(|(path, _)| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert_eq!(recipes, run);
}

#[test]
fn an_execution_ends_as_its_attempts_say() {
    for (path, bytes) in reports() {
        for execution in read_fixture(&path, &bytes).executions {
            let failed_before = execution.attempts.iter().any(|attempt| attempt.outcome.is_failure());
            assert!(!execution.attempts.is_empty(), "{}: {execution:?}", path.display());
            assert!(!execution.flaky || (failed_before && !execution.outcome.is_failure()), "{}", path.display());
            assert!(!execution.test.name.is_empty(), "{}", path.display());
        }
    }
}

#[test]
fn a_playwright_test_is_the_same_test_in_both_of_its_reports() {
    let identities = |name: &str| -> BTreeSet<_> {
        let path = directory().join("playwright").join(name);
        let run = read_fixture(&path, &fs::read(&path).expect("a report"));
        run.executions.into_iter().map(|execution| execution.test).collect()
    };
    let junit = identities("retries.xml");
    assert_eq!(junit.len(), 20);
    assert_eq!(junit, identities("report.json"));
    assert_eq!(junit, identities("report.xml"));
    assert!(junit.iter().all(|test| test.variant == "desktop" || test.variant == "phone"), "{junit:?}");
}

#[test]
fn a_go_test_is_the_same_test_in_all_of_its_reports() {
    let identities = |name: &str| -> BTreeSet<_> {
        let path = directory().join("go").join(name);
        let run = read_fixture(&path, &fs::read(&path).expect("a report"));
        run.executions.into_iter().map(|execution| execution.test).collect()
    };
    assert_eq!(identities("gotestsum.xml"), identities("gotestsum.jsonl"));
    assert_eq!(identities("go-junit-report.xml"), identities("test2json.jsonl"));
}

#[test]
fn the_new_rerunfailures_says_that_it_cannot_tell_how_an_attempt_ended() {
    let path = directory().join("pytest/reruns-new.xml");
    let run = read_fixture(&path, &fs::read(&path).expect("a report"));
    assert_eq!(folded(&run)[5], 0);
    assert_eq!(words(&run).iter().filter(|word| **word == "retry_unexplained").count(), 5);
}

#[test]
fn a_report_cut_anywhere_is_an_error_or_a_part_of_itself_and_never_empty() {
    for (path, bytes) in reports() {
        let whole = read_fixture(&path, &bytes).elements;
        let step = (bytes.len() / 400).max(1);
        for end in (1..bytes.trim_ascii_end().len()).step_by(step) {
            if let Ok(run) = read(&bytes[..end], &Limits::default()) {
                // Only a stream of events can be cut between two of them; it then says what did not end.
                assert!(path.extension().is_some_and(|extension| extension == "jsonl"), "{} to {end}", path.display());
                // Among that may be a benchmark, which the whole stream does not count.
                let unfinished = words(&run).iter().filter(|word| **word == "unfinished").count() as u64;
                assert!(run.elements.tests - unfinished <= whole.tests, "{} to {end}", path.display());
                assert!(run.elements.tests > 0 || words(&run).contains(&"no_tests"), "{} to {end}", path.display());
            }
        }
    }
}

#[test]
fn a_report_with_any_byte_changed_never_makes_the_reader_panic() {
    for (path, bytes) in reports() {
        let step = (bytes.len() / 300).max(1);
        for (at, with) in
            (0..bytes.len()).step_by(step).zip([0, b'<', b'"', 0xff, b'&', b'{', b'\n'].into_iter().cycle())
        {
            let mut bent = bytes.clone();
            bent[at] = with;
            if let Err(error) = read(&bent, &Limits::default()) {
                assert!(!error.to_string().is_empty(), "{}", path.display());
            }
        }
    }
}
