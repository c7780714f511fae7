//! What three containers wrote, side by side; and where each of them is looked at.

use super::docker::docker;
use super::stack::{SERVICES, Stack};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

#[test]
fn logs_stand_side_by_side_in_the_order_of_time_and_are_followed_across_a_restart() {
    let stack = Stack::new();
    for arguments in [&["logs"][..], &["open"]] {
        assert_eq!(stack.json(arguments, 3)["error"]["code"], "not_running");
    }
    stack.up();
    let lines = stack.json(&["logs"], 0)["data"]["lines"].take();
    let lines = lines.as_array().unwrap();
    for service in ["test-metrics", "prometheus"] {
        assert!(lines.iter().any(|line| line["service"] == service), "{service} wrote nothing: {lines:?}");
    }
    let times: Vec<jiff::Timestamp> =
        lines.iter().map(|line| line["time"].as_str().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    let words = stack.run(&["logs", "-n", "1"]);
    for line in words.stdout.lines() {
        assert!(SERVICES.iter().any(|service| line.starts_with(&format!("{service:<12} | "))), "{line}");
    }
    let one = stack.run(&["logs", "-n", "1", "test-metrics"]);
    assert!(one.stdout.lines().count() == 1 && !one.stdout.contains(" | "), "{one:?}");

    let mut command = stack.command(&["logs", "--follow", "test-metrics"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut followed = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |wanted: &str| assert!(followed.any(|line| line.contains(wanted)), "it ended before {wanted:?}");
    docker(&["kill", "--signal", "HUP", &stack.container("test-metrics")]);
    until("the settings are in force");
    docker(&["restart", &stack.container("test-metrics")]);
    until("told to stop");
    until("ready version=");
    stack.json(&["down"], 0);
    assert!(child.wait().unwrap().success(), "with the last container the log ends");
}

#[test]
fn open_names_where_each_service_is_published_and_what_does_not_run() {
    let stack = Stack::new();
    stack.up();
    let url = |arguments: &[&str]| stack.json(arguments, 0)["data"]["url"].as_str().unwrap().to_owned();
    assert_eq!(url(&["open"]), format!("http://{}/d/qa-overview", stack.address("grafana")));
    assert_eq!(url(&["open", "prometheus"]), format!("http://{}/", stack.address("prometheus")));
    assert_eq!(url(&["open", "page"]), format!("http://{}/", stack.address("test-metrics")));
    docker(&["stop", &stack.container("prometheus")]);
    let refused = stack.json(&["open", "prometheus"], 3);
    assert!(refused["error"]["message"].as_str().unwrap().starts_with("prometheus is not running"), "{refused}");
}
