//! Reading reports: what comes out of every dialect, and out of every kind of broken input.

mod bad_input;
mod corpus;
mod differential;
mod dotnet;
mod fixtures;
mod json;
mod junit;
mod validate;

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

/// The tables of `docs/report-formats.md` list every word that the sources use, and no other.
#[test]
fn every_word_is_documented() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join("docs/report-formats.md")).expect("the document");
    let section = |from: &str, to: &str| -> std::collections::BTreeSet<String> {
        let (_, rest) = document.split_once(from).expect("a section");
        let text = rest.split_once(to).map_or(rest, |(text, _)| text);
        text.lines().filter_map(|line| Some(line.strip_prefix("| `")?.split_once('`')?.0.to_owned())).collect()
    };
    let sources: String = walkdir::WalkDir::new(root.join("src/reports"))
        .into_iter()
        .map(|entry| entry.expect("an entry").into_path())
        .filter(|path| path.is_file())
        .map(|path| std::fs::read_to_string(path).expect("a source"))
        .collect();
    let quoted = |word: &String| sources.contains(&format!("\"{word}\""));
    let warnings = section("## Warnings", "## What is refused");
    let refusals = section("## What is refused", "\n## ");
    for word in warnings.iter().chain(&refusals) {
        assert!(quoted(word), "{word} is documented, but no source says it");
    }
    let said = regex::Regex::new(r#"(?:warn\(|code: |nothing\(|if duration.is_some\(\) \{|else \{)\s*"([a-z_]+)""#)
        .expect("a pattern");
    for found in said.captures_iter(&sources) {
        assert!(warnings.contains(&found[1]), "{} is said, but not documented", &found[1]);
    }
    assert!(said.captures_iter(&sources).count() > 20);
}
