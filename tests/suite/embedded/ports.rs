//! Ports without a container engine: a taken one is named, a free one is picked and remembered.

use super::machine::{Machine, free_port};
use serde_json::json;
use std::net::TcpListener;

#[test]
fn a_picked_port_is_remembered_until_the_user_names_one() {
    let machine = Machine::new();
    let taken = TcpListener::bind(("127.0.0.1", machine.port)).unwrap();
    let refused = machine.json(&["up"], 5);
    assert!(refused["error"]["message"].as_str().unwrap().contains("(pid "), "{refused:#}");
    let up = machine.json(&["up", "--auto-port"], 0);
    let told = up["warnings"].to_string();
    assert!(told.contains(&format!("port {} for test-metrics is taken by", machine.port)), "{told}");
    let url = up["data"]["services"][0]["url"].as_str().unwrap().to_owned();
    assert!(!url.ends_with(&format!(":{}", machine.port)), "{url}");

    drop(taken);
    assert_eq!(machine.json(&["up"], 0)["data"]["steps"], json!([]));
    machine.json(&["down"], 0);
    machine.json(&["up"], 0);
    assert_eq!(machine.json(&["status"], 0)["data"]["services"][0]["url"], url);

    let named = machine.json(&["up", "--port", &format!("test-metrics={}", machine.port)], 0);
    assert_eq!(named["data"]["services"][0]["url"], format!("http://{}", machine.address()));
    assert_eq!(machine.json(&["up"], 0)["data"]["steps"], json!([]));
}

#[test]
fn a_port_flag_is_no_error_where_its_service_does_not_run() {
    let machine = Machine::new();
    let up = machine.json(&["up", "--port", &format!("grafana={}", free_port()), "--generate-password"], 0);
    assert!(up["warnings"].to_string().contains("there is no Grafana"), "{up:#}");
}
