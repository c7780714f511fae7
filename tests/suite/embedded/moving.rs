//! A team moves from one machine to another: everything is there as before, or nothing was touched.

use super::machine::Machine;
use crate::exporter::running::{failed, passed, report};
use crate::http;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A machine with reports of two projects, defects, a token, and rules of its own.
pub fn lived_in() -> Machine {
    let machine = Machine::new();
    machine.set(&format!("ports: {{ test-metrics: {} }}\nfigures: {{ flake_window: 21d }}\n", machine.port));
    machine.json(&["up"], 0);
    for (run, outcome) in [("1", failed("pays")), ("2", passed("pays")), ("3", passed("pays"))] {
        std::fs::write(machine.path("report.xml"), report(&[&passed("adds"), &outcome])).unwrap();
        for project in ["web", "shop"] {
            let arguments = ["push", "report.xml", "--report-project", project, "--run", run, "--commit", "abc123"];
            machine.json(&arguments, 0);
        }
    }
    std::fs::write(machine.path("bugs.csv"), "key,created,environment\nA-1,2026-11-01,production\nA-2,2026-11-02,qa\n")
        .unwrap();
    machine.json(&["push", "bugs.csv", "--report-project", "web"], 0);
    machine.json(&["token", "create", "ci"], 0);
    machine
}

/// Everything that is counted and computed: the families on `/metrics` that are about tests and defects, and the runs.
fn figures(machine: &Machine) -> (Vec<String>, Vec<Value>) {
    figures_at(&machine.address())
}

/// The same of an exporter that runs anywhere.
pub fn figures_at(address: &str) -> (Vec<String>, Vec<Value>) {
    let page = http::get(address, "/metrics").body;
    let begins = |line: &str, names: &[&str]| names.iter().any(|name| line.starts_with(name));
    let ours = page.lines().filter(|line| begins(line, &["flake_rate", "defect_leakage", "qa_"]));
    // Ages are another second later.
    let lasting = ours.filter(|line| !begins(line, &["qa_defect_age_seconds", "qa_oldest_open_defect_seconds"]));
    let lines: Vec<String> = lasting.map(str::to_owned).collect();
    let runs = ["web", "shop"].map(|project| {
        let answer = http::get(address, &format!("/api/v1/projects/{project}/runs?limit=1000"));
        serde_json::from_str(&answer.body).unwrap_or(Value::String(answer.body))
    });
    (lines, runs.into())
}

/// Polls until a machine shows these figures: other rules are followed a moment after they were loaded.
fn shows(machine: &Machine, wanted: &(Vec<String>, Vec<Value>)) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let shown = figures(machine);
        if shown == *wanted {
            return;
        }
        if Instant::now() > deadline {
            let other = shown.0.iter().zip(&wanted.0).find(|(shown, wanted)| shown != wanted);
            panic!("it shows other figures: {other:?}, {} and {} lines", shown.0.len(), wanted.0.len());
        }
        std::thread::yield_now();
    }
}

fn backup(machine: &Machine, more: &[&str]) -> String {
    let file = machine.path("team.backup").display().to_string();
    let made = machine.json(&[&["backup", &file], more].concat(), 0);
    assert_eq!(made["data"]["manifest"]["engine"], "embedded");
    file
}

#[test]
fn a_backup_carries_every_run_and_every_figure_to_another_machine() {
    let old = lived_in();
    let before = figures(&old);
    assert!(before.0.iter().any(|line| line.starts_with("flake_rate ") && line != "flake_rate 0"), "{before:?}");
    let file = backup(&old, &[]);
    assert!(!std::path::Path::new(&format!("{file}.parts")).exists(), "nothing is left beside it");

    let new = Machine::new();
    std::fs::remove_file(new.path("qastack.yaml")).unwrap();
    let port = new.port.to_string();
    let run = |arguments: &[&str], exit: i32| {
        let output = new
            .command(&[arguments, &["--json", "--engine", "embedded"]].concat())
            .env("QASTACK_PORTS__TEST_METRICS", &port)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    assert_eq!(
        run(&["restore", &file], 3)["error"]["code"],
        "not_running",
        "there has to be something to restore into"
    );
    run(&["up"], 0);
    let restored = run(&["restore", &file], 0);
    assert_eq!(restored["data"]["restored"]["settings_written"], true);
    let written = std::fs::read_to_string(new.path("qastack.yaml")).unwrap();
    assert!(written.contains("flake_window: 21d"), "{written}");
    run(&["up"], 0);
    shows(&new, &before);
    assert_eq!(run(&["token", "list"], 0)["data"]["tokens"][0]["name"], "ci");
    assert!(http::get(&new.address(), "/metrics").body.contains("\nqa_sample_data 0\n"));

    // It is on disk, and not only shown.
    new.kill();
    run(&["up"], 0);
    shows(&new, &before);
    // And taken in as before: the same report again changes nothing.
    std::fs::copy(old.path("report.xml"), new.path("report.xml")).unwrap();
    run(&["push", "report.xml", "--report-project", "web", "--run", "3", "--commit", "abc123"], 0);
    assert_eq!(figures(&new).1, before.1);
}

#[test]
fn a_restore_that_would_lose_something_changes_nothing_unless_it_is_forced() {
    let old = lived_in();
    let file = backup(&old, &[]);
    let new = Machine::new();
    new.json(&["up"], 0);
    std::fs::write(new.path("report.xml"), report(&[&passed("other")])).unwrap();
    new.json(&["push", "report.xml", "--report-project", "theirs"], 0);
    let before = figures(&new);
    let settings = std::fs::read_to_string(new.path("qastack.yaml")).unwrap();
    let refused = new.json(&["restore", &file], 9);
    assert_eq!(refused["error"]["code"], "confirmation_needed");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("what is in the store") && message.contains("qastack.yaml"), "{message}");
    assert_eq!(figures(&new), before);
    assert_eq!(std::fs::read_to_string(new.path("qastack.yaml")).unwrap(), settings);

    new.json(&["restore", &file, "--force"], 0);
    new.json(&["up"], 0);
    shows(&new, &figures(&old));
    assert_eq!(std::fs::read_to_string(new.path("qastack.yaml.before-restore")).unwrap(), settings);
    let again = new.json(&["restore", &file, "--force"], 0);
    assert_eq!(again["data"]["restored"]["settings_written"], false, "they are as they should be");
}

#[test]
fn a_damaged_or_newer_backup_changes_nothing() {
    let old = lived_in();
    let file = backup(&old, &[]);
    let whole = std::fs::read(&file).unwrap();
    let new = Machine::new();
    new.json(&["up"], 0);
    let before = figures(&new);
    let mut wrong = whole.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    for damaged in [&wrong[..], &whole[..middle], b"words"] {
        std::fs::write(&file, damaged).unwrap();
        let refused = new.json(&["restore", &file, "--force"], 13);
        assert_eq!(refused["error"]["code"], "store_damaged");
        assert!(refused["error"]["hint"].as_str().unwrap().contains("Nothing was changed"), "{refused}");
    }
    new.json(&["restore", "nowhere.backup"], 2);
    assert_eq!(figures(&new), before);
    assert!(
        std::fs::read_dir(new.path("state/qastack"))
            .unwrap()
            .flatten()
            .all(|entry| { !entry.file_name().to_string_lossy().starts_with("restore-") })
    );
}

#[test]
fn secrets_go_along_only_where_that_is_asked_for() {
    let old = lived_in();
    let token = std::fs::read_to_string(old.state("admin-token")).unwrap();
    let holds = |file: &str, secret: &str| {
        let mut bytes = Vec::new();
        let plain = zstd::Decoder::new(std::fs::File::open(file).unwrap()).unwrap();
        std::io::Read::read_to_end(&mut std::io::BufReader::new(plain), &mut bytes).unwrap();
        bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
    };
    let file = backup(&old, &[]);
    assert!(holds(&file, "qastack_version") && !holds(&file, &token));
    old.json(&["backup", &file], 9);
    let refused = old.json(&["restore", &file, "--with-secrets", "--force"], 2);
    let hint = refused["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("qastack backup --with-secrets takes them"), "{refused}");
    let file = backup(&old, &["--with-secrets", "--force"]);
    assert!(holds(&file, &token));

    let new = Machine::new();
    new.json(&["up"], 0);
    let own = std::fs::read_to_string(new.state("admin-token")).unwrap();
    new.json(&["restore", &file, "--with-secrets", "--force"], 0);
    assert_eq!(std::fs::read_to_string(new.state("admin-token")).unwrap(), token);
    let list = |token: &str, exit: i32| {
        let output = new.command(&["token", "list", "--json"]).env("QASTACK_TOKEN", token).output().unwrap();
        output.status.code() == Some(exit)
    };
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !(list(&token, 0) && list(&own, 14)) {
        assert!(std::time::Instant::now() < deadline, "the restored token is not in force");
    }
}

#[test]
fn an_exporter_is_backed_up_and_restored_by_its_address_and_an_administrators_token_alone() {
    let old = lived_in();
    let url = format!("http://{}", old.address());
    let token = std::fs::read_to_string(old.state("admin-token")).unwrap();
    let elsewhere = Machine::new();
    let run = |arguments: &[&str], token: &str, exit: i32| {
        let mut command = elsewhere.command(&[arguments, &["--json"]].concat());
        let output = command.env("QASTACK_URL", &url).env("QASTACK_TOKEN", token).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let before = figures(&old);
    let made = run(&["backup", "far.backup"], &token, 0);
    let names: Vec<&Value> =
        made["data"]["manifest"]["members"].as_array().unwrap().iter().map(|member| &member["name"]).collect();
    assert_eq!(json!(names), json!(["store.db", "qastack.yaml"]));
    run(&["backup", "other.backup"], "no-token-of-theirs", 14);
    assert!(!elsewhere.path("other.backup").exists());
    run(&["backup", "other.backup", "--with-secrets"], &token, 2);
    std::fs::write(elsewhere.path("report.xml"), report(&[&passed("later")])).unwrap();
    run(&["push", "report.xml", "--report-project", "web"], &token, 0);
    assert_ne!(figures(&old), before);
    run(&["restore", "far.backup", "--force"], &token, 0);
    assert_eq!(figures(&old), before);
}

#[test]
fn a_restore_that_fails_on_the_way_puts_back_what_was_there() {
    let old = lived_in();
    let file = backup(&old, &[]);
    let new = Machine::new();
    new.json(&["up"], 0);
    std::fs::write(new.path("report.xml"), report(&[&passed("other")])).unwrap();
    new.json(&["push", "report.xml", "--report-project", "web"], 0);
    let before = figures(&new);
    // The settings are written after the store, and here they cannot be.
    std::fs::create_dir(new.path("qastack.yaml.new")).unwrap();
    let failed = new.json(&["restore", &file, "--force"], 10);
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("nothing was restored, and what was there is as it was"), "{message}");
    assert_eq!(figures(&new), before);
}
