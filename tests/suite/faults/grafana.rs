//! Grafana in trouble, seen from `up`: what passes is waited for, what stays is told by its address and status.

use super::desk::{Desk, PROJECT, finish_child, held_at};
use crate::grafana_double::{Fault, FaultKind};
use std::time::Duration;

fn fault(path: &str, kind: FaultKind, times: Option<u32>) -> Fault {
    Fault { path: path.to_owned(), kind, times }
}

/// One `up` with a Grafana that has these faults when it is started.
fn up_with(faults: Vec<Fault>) -> (Desk, crate::e2e::stack::Finished) {
    let desk = Desk::new();
    *desk.model().grafana_faults.lock().unwrap() = faults;
    let finished = desk.run(&["up", "--timeout", "15", "--json"]);
    desk.model().grafana_faults.lock().unwrap().clear();
    (desk, finished)
}

/// `up` gets through, and everything is there once.
fn passes(kind: FaultKind) {
    let paths = ["/api/health", "/api/org", "/api/folders", "/api/dashboards/db"];
    let (desk, finished) = up_with(paths.map(|path| fault(path, kind, Some(2))).to_vec());
    assert_eq!(finished.code, 0, "{kind:?}: {finished:#?}");
    desk.is_put_right(&format!("{kind:?} that passes"));
}

/// `up` ends with this code and names what Grafana said, and the next one succeeds once the trouble is gone.
fn stays(kind: FaultKind, code: i32, told: &[&str]) {
    let (desk, finished) = up_with(vec![fault("/api/folders", kind, None)]);
    assert_eq!(finished.code, code, "{kind:?}: {finished:#?}");
    let error = finished.envelope()["error"].take();
    for part in told {
        assert!(error["message"].as_str().unwrap().contains(part), "{kind:?}: {part:?} in {error:#}");
    }
    // The trouble goes with a new start of Grafana.
    desk.json(&["down"], 0);
    desk.is_put_right(&format!("{kind:?} that stayed"));
}

#[test]
fn a_grafana_that_answers_503_for_a_while_is_waited_for() {
    passes(FaultKind::Status(503));
}

#[test]
fn a_grafana_that_answers_half_json_for_a_while_is_waited_for() {
    passes(FaultKind::Half);
}

#[test]
fn a_grafana_that_answers_pages_for_a_while_is_waited_for() {
    passes(FaultKind::Html);
}

#[test]
fn a_grafana_that_is_slow_is_waited_for() {
    passes(FaultKind::Slow(Duration::from_millis(1_500)));
}

#[test]
fn a_query_that_fails_behind_grafana_for_a_while_is_waited_for() {
    let (desk, finished) = up_with(vec![fault("/api/ds/query", FaultKind::Query, Some(2))]);
    assert_eq!(finished.code, 0, "{finished:#?}");
    desk.is_put_right("queries that failed");
}

#[test]
fn a_conflict_of_somebody_who_writes_at_the_same_time_is_looked_at_again() {
    for status in [409, 412] {
        let (desk, finished) = up_with(vec![fault("/api/dashboards/db", FaultKind::Status(status), Some(1))]);
        assert_eq!(finished.code, 0, "{status}: {finished:#?}");
        desk.is_put_right(&format!("{status} once"));
    }
}

#[test]
fn a_grafana_that_stays_with_an_error_is_told_by_address_and_status() {
    stays(FaultKind::Status(500), 8, &["/api/folders", "500"]);
}

#[test]
fn a_grafana_that_stays_with_half_json_is_told() {
    stays(FaultKind::Half, 8, &["/api/folders", "breaks off"]);
}

#[test]
fn something_that_is_not_grafana_is_told() {
    stays(FaultKind::Html, 8, &["/api/folders", "HTML"]);
}

#[test]
fn a_refused_password_is_tried_once_and_explained() {
    let (desk, finished) = up_with(vec![fault("/api/org", FaultKind::Status(401), None)]);
    assert_eq!(finished.code, 8, "{finished:#?}");
    assert_eq!(finished.envelope()["error"]["code"], "grafana_password");
    desk.json(&["down"], 0);
    desk.is_put_right("a refused password");
}

#[test]
fn a_refused_password_does_not_leave_prometheus_in_its_warm_up() {
    let desk = Desk::new();
    let slow = fault("/api/health", FaultKind::Slow(Duration::from_millis(1_500)), Some(1));
    let refused = fault("/api/org", FaultKind::Status(401), None);
    *desk.model().grafana_faults.lock().unwrap() = vec![slow, refused];
    let child = held_at(desk.command(&["up"]), "ready:prometheus", &desk.path("marker"));
    let finished = finish_child(child);
    assert_eq!(finished.code, 8, "{finished:#?}");
    let state = desk.model().state();
    let loaded =
        String::from_utf8_lossy(&state.container(&format!("{PROJECT}-prometheus")).unwrap().loaded).into_owned();
    assert!(loaded.contains("job_name: test-metrics") && !loaded.contains("first-sample"), "{loaded}");
}

#[test]
fn another_administrator_than_grafanas_is_told_by_name() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    desk.settings("grafana: { admin_user: anna }");
    let error = desk.json(&["up"], 8)["error"].to_string();
    assert!(error.contains("another administrator or another password"), "{error}");
    assert!(error.contains("another user than anna, change grafana.admin_user back"), "{error}");
}

#[test]
fn a_refused_password_is_not_tried_again_by_any_command() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    std::fs::write(desk.path("password"), "mistyped\n").unwrap();
    desk.settings("grafana: { admin_password_file: password }");
    let is_left = |text: String| text.contains("it is not tried again for");
    // The first one to be refused is the doctor; that one is not asked again either.
    let login = |checks: &serde_json::Value| {
        let checks = checks["data"]["checks"].as_array().unwrap();
        checks.iter().find(|check| check["name"] == "login").unwrap().to_string()
    };
    assert!(!is_left(login(&desk.json(&["doctor"], 3))));
    assert!(is_left(login(&desk.json(&["doctor"], 3))));
    for command in ["up", "status"] {
        let finished = desk.run(&[command, "--json"]);
        assert!(is_left(finished.stdout.clone()), "{command:?}: {finished:#?}");
    }
    desk.settings("");
    desk.is_brought_up("the right password");
}

#[test]
fn a_password_that_grafana_refuses_leaves_the_one_that_opens_it() {
    let desk = Desk::new();
    std::fs::write(desk.path("password"), "of my own\n").unwrap();
    desk.settings("grafana: { admin_password_file: password }");
    desk.is_brought_up("a password of one's own");
    let password = || desk.model().secrets(PROJECT)["grafana/admin-password"].clone();
    assert_eq!(password(), b"of my own");
    desk.json(&["down"], 0);
    std::fs::write(desk.path("password"), "mistyped\n").unwrap();
    assert_eq!(desk.json(&["up"], 8)["error"]["code"], "grafana_password");
    assert_eq!(password(), b"of my own");
    desk.settings("");
    desk.is_put_right("a password that was refused");
}

#[test]
fn a_password_of_the_settings_that_grafana_takes_is_kept() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    desk.json(&["down"], 0);
    // Somebody changes the password in Grafana and says so in the settings.
    let data = format!("{PROJECT}-grafana-data");
    let directory = desk.model().state().volumes[&data].directory.path().to_owned();
    std::fs::write(directory.join("admin-password"), "of my own").unwrap();
    std::fs::write(desk.path("password"), "of my own\n").unwrap();
    desk.settings("grafana: { admin_password_file: password }");
    desk.json(&["up"], 0);
    assert_eq!(desk.model().secrets(PROJECT)["grafana/admin-password"], b"of my own");
    desk.settings("");
    desk.json(&["up"], 0);
}

#[test]
fn a_password_that_was_made_and_could_not_be_told_leaves_the_one_that_grafana_has() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    // This engine runs no commands in containers, so that Grafana is told nothing.
    desk.json(&["up", "--generate-password"], 4);
    assert_eq!(desk.model().secrets(PROJECT)["grafana/admin-password"], b"admin");
    desk.json(&["status"], 0);
}

#[test]
fn a_password_that_was_told_and_not_written_down_is_replaced_and_not_asked_for() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    let data = format!("{PROJECT}-grafana-data");
    let directory = desk.model().state().volumes[&data].directory.path().to_owned();
    std::fs::write(directory.join("admin-password"), "made by a run that was ended").unwrap();
    let refused = desk.json(&["up", "--generate-password"], 4);
    let told = refused["error"].to_string();
    assert!(told.contains("cannot run grafana in"), "it comes as far as telling Grafana a new one: {told}");
}

#[test]
fn what_keeps_a_password_from_being_reset_is_told_with_what_to_do() {
    let desk = Desk::new();
    std::fs::write(desk.path("password"), "correct horse").unwrap();
    desk.settings("grafana: { admin_password_file: password }");
    let refused = desk.run(&["grafana", "reset-password", "--generate", "--json"]);
    let error = refused.envelope()["error"].take();
    assert_eq!(refused.code, 10, "{refused:#?}");
    assert!(error["message"].as_str().unwrap().contains("names a password already"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("leave out --generate"), "{error}");

    desk.settings("");
    let nothing_runs = desk.run(&["grafana", "reset-password", "--json"]);
    let error = nothing_runs.envelope()["error"].take();
    assert_eq!(nothing_runs.code, 3, "{nothing_runs:#?}");
    assert!(error["hint"].as_str().unwrap().contains("qastack up"), "{error}");

    let alone = desk.run(&["grafana", "reset-password", "--engine", "embedded", "--json"]);
    let error = alone.envelope()["error"].take();
    assert_eq!(alone.code, 3, "{alone:#?}");
    assert!(error["message"].as_str().unwrap().contains("without Grafana"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--engine docker"), "{error}");
}

#[test]
fn a_backup_that_is_there_already_is_not_written_over_unasked() {
    let desk = Desk::new();
    std::fs::write(desk.path("team.qastack"), "mine").unwrap();
    let refused = desk.run(&["backup", "team.qastack", "--json"]);
    let error = refused.envelope()["error"].take();
    assert_eq!(refused.code, 9, "{refused:#?}");
    assert!(error["message"].as_str().unwrap().contains("team.qastack is there already"), "{error}");
    assert!(error["hint"].as_str().unwrap().contains("--force"), "{error}");
    assert_eq!(std::fs::read_to_string(desk.path("team.qastack")).unwrap(), "mine");
}
