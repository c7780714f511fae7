//! A changed setting touches what it is about, and nothing else.

use super::stack::Stack;
use crate::http;

#[test]
fn a_changed_limit_of_grafana_keeps_the_other_two_containers() {
    let stack = Stack::new();
    stack.up();
    let [test_metrics, prometheus, grafana] = stack.container_ids();
    stack.settings("limits: { grafana: { memory: 600MiB } }");
    stack.up();
    let after = stack.container_ids();
    assert_eq!(after[..2], [test_metrics, prometheus]);
    assert_ne!(after[2], grafana);
    assert_eq!(stack.inspect("grafana")["HostConfig"]["Memory"], 600 * 1024 * 1024);
}

#[test]
fn a_changed_scrape_interval_keeps_all_three_containers_and_reaches_prometheus() {
    let stack = Stack::new();
    stack.up();
    let before = stack.container_ids();
    stack.settings("scrape_interval: 20s");
    stack.up();
    assert_eq!(stack.container_ids(), before);
    let shown = http::get(&stack.address("prometheus"), "/api/v1/status/config").body;
    assert!(shown.contains("scrape_interval: 20s"), "{shown}");
}

#[test]
fn a_changed_rule_of_the_figures_is_a_reload_of_the_exporter() {
    let stack = Stack::new();
    stack.up();
    let before = stack.container_ids();
    let ready = http::get(&stack.address("test-metrics"), "/readyz").body;
    stack.settings("figures: { flake_window: 7d }");
    stack.up();
    assert_eq!(stack.container_ids(), before);
    let reloaded = http::get(&stack.address("test-metrics"), "/readyz").body;
    assert_ne!(reloaded, ready, "/readyz shows the hash of the settings it computes with");
}

#[test]
fn a_long_scrape_interval_is_proven_in_seconds_and_in_force_afterwards() {
    let stack = Stack::new();
    stack.settings("scrape_interval: 60s");
    let finished = stack.run(&["up", "--json"]);
    assert_eq!(finished.code, 0, "{finished:#?}");
    // The first scrape of a target comes at any time within the interval.
    assert!(finished.took < std::time::Duration::from_secs(30), "{finished:#?}");
    let shown = http::get(&stack.address("prometheus"), "/api/v1/status/config").body;
    assert!(shown.contains("scrape_interval: 1m"), "{shown}");
    assert!(stack.query("flake_rate").is_some(), "what the warm-up brought is there");
    let steps = stack.up()["steps"].take();
    assert_eq!(steps, serde_json::json!([]), "nothing has to change");
}
