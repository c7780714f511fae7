//! A team moves from a machine without containers to a stack in containers, to another one, and back.

use super::stack::Stack;
use crate::embedded::machine::Machine;
use crate::embedded::moving::{figures_at, lived_in};
use qastack::stack::sha256;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The hash of each dashboard by its uid, and the folder it is in.
fn dashboards(stack: &Stack) -> BTreeMap<String, (String, String)> {
    let found = stack.grafana("GET", "/api/search?type=dash-db", &Value::Null);
    let hash = |entry: &Value| {
        let uid = entry["uid"].as_str().unwrap().to_owned();
        let mut whole = stack.grafana("GET", &format!("/api/dashboards/uid/{uid}"), &Value::Null);
        let mut json = whole["dashboard"].take();
        json.as_object_mut().unwrap().retain(|key, _| !matches!(key.as_str(), "id" | "version"));
        (uid, (sha256(json.to_string().as_bytes()), whole["meta"]["folderTitle"].as_str().unwrap().to_owned()))
    };
    found.as_array().unwrap().iter().map(hash).collect()
}

/// A dashboard of the team's own in a folder of its own, and a change to the one that ships.
fn edit(stack: &Stack) {
    stack.grafana("POST", "/api/folders", &json!({ "uid": "team", "title": "Team" }));
    let own = json!({ "uid": "team-wall", "title": "The wall", "panels": [{ "id": 1, "title": "Flake Rate", "type": "stat" }] });
    stack.grafana("POST", "/api/dashboards/db", &json!({ "dashboard": own, "folderUid": "team" }));
    let mut shipped = stack.grafana("GET", "/api/dashboards/uid/qa-overview", &Value::Null);
    let mut edited = shipped["dashboard"].take();
    edited["title"] = json!("QA of our team");
    stack.grafana("POST", "/api/dashboards/db", &json!({ "dashboard": edited, "folderUid": "qastack" }));
}

#[test]
fn every_run_figure_and_dashboard_goes_from_without_containers_to_containers_and_on_and_back() {
    let old = lived_in();
    let before = figures_at(&old.address());
    let first = old.path("first.backup").display().to_string();
    old.json(&["backup", &first], 0);

    let stack = Stack::new();
    stack.settings("figures: { flake_window: 21d }\n");
    stack.up();
    stack.json(&["restore", &first], 0);
    assert_eq!(figures_at(&stack.address("test-metrics")), before);
    edit(&stack);
    let second = old.path("second.backup").display().to_string();
    let made = stack.json(&["backup", &second], 0);
    assert_eq!((&made["data"]["dashboards"], &made["data"]["manifest"]["engine"]), (&json!(2), &json!("docker")));

    let other = Stack::new();
    other.settings("figures: { flake_window: 21d }\n");
    other.up();
    other.json(&["restore", &second], 0);
    assert_eq!(figures_at(&other.address("test-metrics")), before);
    let moved = dashboards(&other);
    assert_eq!(moved, dashboards(&stack));
    assert_eq!(moved["team-wall"].1, "Team");
    other.up();
    assert_eq!(dashboards(&other), moved, "what came along is the users' own, and up leaves it alone");

    // A dashboard that was edited here would be lost.
    other.grafana(
        "POST",
        "/api/dashboards/db",
        &json!({
            "dashboard": { "uid": "team-wall", "title": "Edited here" }, "folderUid": "team", "overwrite": true,
        }),
    );
    let kept = dashboards(&other);
    let refused = other.json(&["restore", &second], 9);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("the edited dashboard The wall (team-wall)"), "{message}");
    assert_eq!(dashboards(&other), kept);
    other.json(&["restore", &second, "--force"], 0);
    assert_eq!(dashboards(&other), moved);

    let back = Machine::new();
    back.set(&format!("ports: {{ test-metrics: {} }}\nfigures: {{ flake_window: 21d }}\n", back.port));
    back.json(&["up"], 0);
    let restored = back.json(&["restore", &second], 0);
    assert!(restored["warnings"][0].as_str().unwrap().contains("2 dashboards"), "{restored}");
    assert_eq!(figures_at(&back.address()), before);
}

#[test]
fn volumes_and_secrets_go_along_where_they_are_asked_for_and_both_stacks_run_on() {
    let stack = Stack::new();
    stack.up();
    edit(&stack);
    // The only sample may be of this second.
    let now = jiff::Timestamp::now().as_millisecond() as f64 / 1000.0;
    let samples = |stack: &Stack| stack.query(&format!("count_over_time(flake_rate%5B1h%5D)&time={now}"));
    let sampled = samples(&stack).expect("samples before the backup");
    let file = stack.directory().join("whole.backup").display().to_string();
    let made = stack.json(&["backup", &file, "--with-volumes", "--with-secrets"], 0);
    let names: Vec<&str> =
        made["data"]["manifest"]["members"].as_array().unwrap().iter().map(|m| m["name"].as_str().unwrap()).collect();
    for name in ["volumes/prometheus-data.tar", "volumes/grafana-data.tar", "secrets/admin-token", "secrets/secret-key"]
    {
        assert!(names.contains(&name), "{name} is not in {names:?}");
    }
    for service in ["prometheus", "grafana"] {
        assert_eq!(stack.inspect(service)["State"]["Running"], true, "{service} runs again");
    }

    let other = Stack::new();
    other.up();
    assert_eq!(other.json(&["restore", &file, "--with-volumes"], 9)["error"]["code"], "confirmation_needed");
    assert_eq!(samples(&other), None, "nothing was changed");
    let restored = other.json(&["restore", &file, "--with-volumes", "--with-secrets", "--force"], 0);
    assert_eq!(restored["data"]["restored"]["volumes"], json!(["prometheus", "grafana"]));
    assert_eq!(samples(&other), Some(sampled), "Prometheus has what it had seen before");
    assert_eq!(dashboards(&other), dashboards(&stack));
    let again = other.up();
    let removed = again["steps"].as_array().unwrap().iter().filter(|step| step["action"] == "remove_container").count();
    assert_eq!(removed, 0, "the containers are as up makes them: {again}");
    other.status();
    // The token that came along opens the exporter, read from where up had put another one.
    other.json(&["token", "list"], 0);
}
