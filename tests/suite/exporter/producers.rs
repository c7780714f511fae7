//! Every producer's report, pushed by the program itself, counts in the exporter as its producer counted it.

use super::program::Served;
use crate::http;
use serde_json::Value;
use std::path::Path;

fn get(served: &Served, path: &str) -> Value {
    let answer = http::get(&served.address, path);
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{path}: {error}: {answer:?}"))
}

/// Each report of each producer: the directory, the file, and its row of the table that the producer printed.
fn reports() -> Vec<(String, String, Value)> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let mut reports = Vec::new();
    for entry in std::fs::read_dir(fixtures).unwrap() {
        let directory = entry.unwrap().path();
        if !directory.is_dir() {
            continue;
        }
        let table = std::fs::read_to_string(directory.join("expected.json")).unwrap();
        let table: Value = serde_json::from_str(&table).unwrap();
        for (file, row) in table["reports"].as_object().unwrap() {
            reports.push((directory.to_str().unwrap().to_owned(), file.clone(), row.clone()));
        }
    }
    reports.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    reports
}

#[test]
fn every_producers_report_is_pushed_and_shown_as_the_table_of_what_it_printed_says() {
    let served = Served::start();
    let all = reports();
    assert!(all.len() >= 25, "{} reports", all.len());
    for (directory, file, row) in all {
        let producer = Path::new(&directory).file_name().unwrap().to_str().unwrap().to_owned();
        let shown = format!("{producer}/{file}");
        let project = shown.replace(['/', '.'], "-");
        let path = format!("{directory}/{file}");
        let pushed = served.json(&["push", "--token-file", "token", "--report-project", &project, &path], 0);
        let receipt = &pushed["data"]["files"][0]["receipt"];
        assert_eq!(receipt["format"], row["format"], "{shown}");
        let mut counts = receipt["counts"].clone();
        counts["flaky"] = receipt["flaky"].clone();
        assert_eq!(counts, row["folded"], "what the push of {shown} answers");
        let runs = get(&served, &format!("/api/v1/projects/{project}/runs"));
        let mut kept = runs[0]["counts"].clone();
        kept["flaky"] = runs[0]["flaky"].clone();
        assert_eq!((runs.as_array().unwrap().len(), &kept), (1, &row["folded"]), "what is kept of {shown}");
        // And the figures are made of the same numbers: skipped tests are in none of them.
        let number = |name: &str| row["folded"][name].as_u64().unwrap() as f64;
        let decided = number("passed") + number("failed") + number("errors");
        let figures = get(&served, &format!("/api/v1/projects/{project}/figures"));
        let figure = |name: &str| {
            let figures = figures["figures"].as_array().unwrap();
            let figure = figures.iter().find(|figure| figure["name"] == name).unwrap();
            (figure["numerator"].as_f64().unwrap(), figure["denominator"].as_f64().unwrap())
        };
        assert_eq!(figure("flake_rate"), (number("flaky"), decided), "{shown}");
        assert_eq!(figure("pass_ratio"), (number("passed"), decided), "{shown}");
        assert_eq!(figure("skipped_ratio"), (number("skipped"), number("tests")), "{shown}");
    }
}
