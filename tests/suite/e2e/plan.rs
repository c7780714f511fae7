//! What a run would do, told before it does it: small steps, each with its reason.

use super::docker::{docker, objects_of};
use super::stack::{Stack, needed};
use crate::http;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The steps of an envelope, as `ACTION OBJECT: REASON`.
fn steps(envelope: &Value) -> Vec<String> {
    let text = |step: &Value, key: &str| step[key].as_str().expect("text").to_owned();
    let line = |step| format!("{} {}: {}", text(step, "action"), text(step, "object"), text(step, "reason"));
    envelope["data"]["steps"].as_array().expect("steps").iter().map(line).collect()
}

#[test]
fn a_dry_run_on_a_fresh_engine_tells_everything_and_makes_nothing() {
    let stack = Stack::new();
    let planned = steps(&stack.json(&["up", "--dry-run"], 0));
    for expected in [
        format!("create_network {}-network: missing", stack.project),
        format!("create_volume {}-grafana-data: missing", stack.project),
        format!("create_container {}: missing", stack.container("prometheus")),
        format!("start {}: just made", stack.container("grafana")),
    ] {
        assert!(planned.contains(&expected), "{expected:?} is not in {planned:#?}");
    }
    assert_eq!(objects_of(&stack.project), [""; 0]);
    let words = stack.run(&["up", "--dry-run"]);
    assert_eq!(words.stdout.lines().count(), planned.len(), "{words:#?}");
}

#[test]
fn a_changed_limit_is_told_with_both_values_and_what_becomes_of_the_data() {
    let stack = Stack::new();
    stack.up();
    let before = stack.container_ids();
    stack.settings("limits: { grafana: { memory: 1GiB } }");
    let planned = steps(&stack.json(&["up", "--dry-run"], 0));
    let expected = format!(
        "remove_container {}: memory limit 512 MiB -> 1 GiB: grafana is recreated, its volumes stay",
        stack.container("grafana")
    );
    assert_eq!(planned.first(), Some(&expected), "{planned:#?}");
    assert!(planned.iter().all(|step| step.contains("-grafana")), "only Grafana is touched: {planned:#?}");
    assert_eq!(stack.container_ids(), before, "a dry run changes nothing");
}

#[test]
fn a_data_source_that_somebody_deleted_is_a_planned_step_and_comes_back() {
    let stack = Stack::new();
    stack.up();
    let address = stack.address("grafana");
    let login = format!("Basic {}", STANDARD.encode("admin:admin"));
    let headers = [("Host", address.as_str()), ("Authorization", &login)];
    let path = "/api/datasources/uid/qastack-prometheus";
    assert_eq!(http::send(&address, "DELETE", path, &headers, "").status, 200);

    let planned = steps(&stack.json(&["up", "--dry-run"], 0));
    assert_eq!(planned, ["provision data source qastack-prometheus: create: not there"]);
    let done = steps(&stack.json(&["up"], 0));
    assert_eq!(done, planned);
    assert_eq!(http::send(&address, "GET", path, &headers, "").status, 200);
    assert_eq!(stack.up()["steps"], json!([]));
}

#[test]
fn a_container_of_an_older_version_is_found_by_its_label_and_goes() {
    let stack = Stack::new();
    let old = format!("{}-exporter", stack.project);
    let labels = [format!("dev.qastack.project={}", stack.project), "dev.qastack.service=exporter".to_owned()];
    let image = needed("QASTACK_TEST_IMAGE_PROMETHEUS");
    // It has a port that the stack needs: ours, so that nobody is asked to end it.
    let publish = format!("127.0.0.1:{}:9090", stack.ports[0]);
    docker(&[
        "run",
        "--detach",
        "--name",
        &old,
        "--label",
        &labels[0],
        "--label",
        &labels[1],
        "--publish",
        &publish,
        &image,
    ]);
    let planned = steps(&stack.json(&["up", "--dry-run"], 0));
    let expected = format!("remove_container {old}: left over: no service of this stack runs in it");
    assert_eq!(planned.first(), Some(&expected), "{planned:#?}");
    stack.up();
    assert!(!objects_of(&stack.project).contains(&format!("container {old}")));
}

#[test]
fn a_dry_run_of_down_tells_what_would_go_and_removes_nothing() {
    let stack = Stack::new();
    stack.up();
    let before = objects_of(&stack.project);
    let planned = steps(&stack.json(&["down", "--dry-run"], 0));
    assert!(planned.contains(&format!("remove_container {}: runs", stack.container("grafana"))), "{planned:#?}");
    assert!(planned.iter().all(|step| !step.starts_with("remove_volume")), "{planned:#?}");
    let all = steps(&stack.json(&["down", "--volumes", "--dry-run"], 0));
    let volume = format!("remove_volume {}-grafana-data: its data was asked to go too", stack.project);
    assert!(all.contains(&volume), "{all:#?}");
    assert_eq!(objects_of(&stack.project), before);
}

#[test]
fn timings_tell_the_steps_and_our_own_part() {
    let stack = Stack::new();
    let timings = stack.up()["timings"].take();
    let overhead = timings["overhead"].as_f64().expect("seconds");
    let proven = timings["proven"].as_f64().expect("seconds");
    assert!(overhead > 0.0 && overhead < proven, "{timings}");
    let words = stack.run(&["up", "--timings"]).stdout;
    assert!(words.lines().any(|line| line.contains("our own part")), "{words}");
}
