//! What works: up, again, changed, pushed to, down.

use super::machine::{Machine, free_port, rights_of_others};
use crate::exporter::running::{passed, report};
use crate::http;
use serde_json::{Value, json};

fn actions(envelope: &Value) -> Vec<&str> {
    envelope["data"]["steps"].as_array().unwrap().iter().map(|step| step["action"].as_str().unwrap()).collect()
}

fn metrics(machine: &Machine) -> String {
    http::get(&machine.address(), "/metrics").body
}

#[test]
fn up_shows_the_samples_figures_and_again_changes_nothing() {
    let machine = Machine::new();
    let up = machine.json(&["up"], 0);
    assert_eq!(actions(&up), ["put_files", "ensure_secrets", "start"]);
    assert_eq!(up["data"]["figures"], json!({ "flake_rate": 0.08, "defect_leakage": 0.03, "sample": true }));
    assert!(up["data"]["timings"]["proven"].is_number());
    assert_eq!(up["data"]["services"][0]["url"], format!("http://{}", machine.address()));
    assert_eq!(up["warnings"], json!([]), "who names the engine knows what it is");
    let page = metrics(&machine);
    assert!(page.contains("\nflake_rate 0.08\n") && page.contains("\ndefect_leakage 0.03\n"), "{page}");
    let pid = machine.pid();
    assert_eq!(machine.running(), [pid]);
    for file in ["", "admin-token", "serve.yaml", "run.json", "log"] {
        assert_eq!(rights_of_others(&machine.state(file)), 0, "{file}");
    }

    let again = machine.json(&["up"], 0);
    assert_eq!(actions(&again), [""; 0]);
    assert_eq!((machine.pid(), machine.running()), (pid, vec![pid]));
}

#[test]
fn status_says_what_runs_and_what_an_engine_without_containers_has_not() {
    let machine = Machine::new();
    let before = machine.json(&["status"], 3);
    assert_eq!(before["error"]["code"], "not_running");
    assert_eq!(before["data"]["engine"], "embedded");
    assert_eq!(before["data"]["services"][0]["state"], "missing");
    machine.json(&["up"], 0);
    let status = machine.json(&["status"], 0)["data"].take();
    assert_eq!(status["engine"], "embedded");
    assert_eq!(status["services"].as_array().unwrap().len(), 1);
    let service = &status["services"][0];
    assert_eq!((&service["name"], &service["state"]), (&json!("test-metrics"), &json!("running")));
    assert_eq!(service["health"], "healthy");
    assert!(service["uptime_seconds"].is_u64());
    assert_eq!((&status["target"], &status["data_source"]), (&Value::Null, &Value::Null));
    assert_eq!(status["figures"]["flake_rate"], 0.08);
}

#[test]
fn status_and_doctor_tell_what_waits_in_the_spool_and_what_sends_it() {
    let machine = Machine::new();
    machine.json(&["up", "--project", "shop"], 0);
    let status = || machine.json(&["status", "--project", "shop"], 0)["data"].take();
    let doctor = || {
        let checks = machine.json(&["doctor", "--project", "shop"], 0)["data"]["checks"].take();
        checks.as_array().unwrap().iter().find(|check| check["name"] == "spool").unwrap().clone()
    };
    assert_eq!((&status()["project"], &status()["spool"]["waiting"]), (&json!("shop"), &json!(0)));
    assert_eq!((&status()["spool"]["since"], &doctor()["verdict"]), (&Value::Null, &json!("ok")));
    std::fs::write(machine.path("a.xml"), report(&[&passed("adds")])).unwrap();
    let mut push = machine.command(&["push", "a.xml", "--patience", "0s", "--project", "shop"]);
    let kept = push.env("QASTACK_URL", "http://127.0.0.1:1").env("QASTACK_TOKEN", "t").output().unwrap();
    assert!(kept.status.success(), "{kept:?}");
    let spool = status()["spool"].take();
    assert_eq!(spool["waiting"], 1, "{spool:#}");
    let since: jiff::Timestamp = spool["since"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(since).as_secs() < 600, "{spool:#}");
    let words = machine.run(&["status", "--project", "shop"]);
    let words = String::from_utf8(words.stdout).unwrap();
    assert!(words.contains("\nproject        shop\n"), "{words}");
    assert!(words.contains(&format!("\nspool          1 report waits since {since} in ")), "{words}");
    assert!(words.contains("qastack push --flush"), "{words}");
    let check = doctor();
    assert_eq!(check["verdict"], "warn", "{check:#}");
    assert!(check["fix"].as_str().unwrap().contains("qastack push --flush"), "{check:#}");
}

#[test]
fn a_project_remembers_that_it_runs_without_containers_and_says_so() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    // Nobody names an engine any more, and one may well be on this machine.
    let output = machine.command(&["up", "--json"]).output().unwrap();
    let again: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((again["ok"].as_bool(), actions(&again)), (Some(true), vec![]));
    let warnings = again["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].as_str().unwrap().contains("qastack up --engine docker"), "{}", warnings[0]);
    let status = machine.command(&["status", "--json"]).output().unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&status.stdout).unwrap()["data"]["engine"], "embedded");
    let down = machine.command(&["down"]).output().unwrap();
    assert!(down.status.success());
    assert!(machine.running().is_empty());
    assert!(!machine.state("run.json").exists(), "after down nothing is remembered");
}

#[test]
fn a_pushed_report_takes_the_samples_place_and_outlives_down_and_up() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    std::fs::write(machine.path("report.xml"), report(&[&passed("adds"), &passed("removes")])).unwrap();
    // Without a token: the stack's own lies on this machine.
    machine.json(&["push", "report.xml"], 0);
    let page = metrics(&machine);
    assert!(page.contains("\nqa_sample_data 0\n") && page.contains("\nflake_rate 0\n"), "{page}");

    let down = machine.json(&["down"], 0);
    assert_eq!(actions(&down), ["stop"]);
    assert_eq!(down["data"]["kept_volumes"], json!([machine.state("data")]));
    assert!(machine.running().is_empty());
    let up = machine.json(&["up"], 0);
    assert_eq!(up["data"]["figures"], json!({ "flake_rate": 0.0, "defect_leakage": null, "sample": false }));

    let down = machine.json(&["down", "--volumes"], 0);
    assert_eq!(actions(&down), ["stop", "remove_volume"]);
    assert!(machine.running().is_empty());
    assert!(!machine.state("").exists(), "nothing is left");
    assert_eq!(actions(&machine.json(&["down"], 0)), [""; 0]);
}

#[test]
fn other_figures_are_loaded_without_a_restart_and_another_port_restarts_it() {
    let mut machine = Machine::new();
    machine.json(&["up"], 0);
    let pid = machine.pid();
    machine.set(&format!("ports: {{ test-metrics: {} }}\nsample_data: false\n", machine.port));
    let preview = machine.json(&["up", "--dry-run"], 0);
    assert_eq!(actions(&preview), ["put_files", "reload"]);
    assert!(metrics(&machine).contains("\nflake_rate 0.08\n"), "a dry run changes nothing");
    let changed = machine.json(&["up"], 0);
    assert_eq!(actions(&changed), ["put_files", "reload"]);
    assert_eq!((machine.pid(), &changed["data"]["figures"]["flake_rate"]), (pid, &Value::Null));

    let before = machine.address();
    machine.port = free_port();
    machine.set(&format!("ports: {{ test-metrics: {} }}\n", machine.port));
    let moved = machine.json(&["up"], 0);
    assert_eq!(actions(&moved), ["stop", "put_files", "start"]);
    assert_eq!(machine.running(), [machine.pid()]);
    assert!(std::net::TcpStream::connect(before).is_err(), "nobody listens on the port before");
    assert!(metrics(&machine).contains("\nflake_rate 0.08\n"));
}

#[test]
fn another_build_of_the_program_restarts_it() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let pid = machine.pid();
    // What stands behind a program's end changes nothing but its hash.
    let other = machine.path("qastack-other");
    // A process of its own writes it: a program that any process has open for writing cannot be run.
    let mut copy = std::process::Command::new("sh");
    copy.args(["-c", "cp \"$0\" \"$1\" && printf another >>\"$1\""]);
    copy.arg(assert_cmd::cargo::cargo_bin!("qastack")).arg(&other);
    assert!(copy.status().unwrap().success());
    let like = machine.command(&[]);
    let mut command = std::process::Command::new(&other);
    command.env_clear().envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(machine.path(".")).args(["up", "--json", "--engine", "embedded"]);
    let output = command.output().unwrap();
    let up: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(actions(&up), ["stop", "start"], "{up}");
    assert_eq!(up["data"]["steps"][0]["reason"], "it runs another build of this program");
    assert_ne!(machine.pid(), pid);
    assert_eq!(machine.running(), [machine.pid()]);
}
