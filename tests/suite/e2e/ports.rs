//! Host ports: whoever has one is named before anything is made, free ones are picked and remembered on the engine.

use super::docker::{docker, objects_of};
use super::stack::{SERVICES, Stack, finish, free_port, needed};
use crate::http;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};

#[test]
fn every_taken_port_is_named_with_its_owner_before_anything_is_made() {
    let stack = Stack::new();
    let _ours = TcpListener::bind(("127.0.0.1", stack.ports[0])).expect("the port for the exporter");
    let theirs = format!("{}-neighbour", stack.project);
    let label = format!("dev.qastack.project={}", stack.project);
    let publish = format!("127.0.0.1:{}:9090", stack.ports[2]);
    let image = needed("QASTACK_TEST_IMAGE_PROMETHEUS");
    // A project of compose's own; our label of another key lets the test's end find it.
    let compose =
        ["--label", "com.docker.compose.project=billing", "--label", &label.replace(".project", ".neighbour")];
    docker(&[&["run", "--detach", "--rm", "--name", &theirs, "--publish", &publish], &compose[..], &[&image]].concat());

    let envelope = stack.json(&["up"], 5);
    docker(&["rm", "--force", "--volumes", &theirs]);
    assert_eq!(envelope["error"]["code"], "port_busy");
    let message = envelope["error"]["message"].as_str().expect("a message");
    let process = format!("port {} for test-metrics is taken by", stack.ports[0]);
    assert!(message.contains(&process), "{message}");
    assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
    let container =
        format!("port {} for grafana is taken by the container {theirs} of the project billing", stack.ports[2]);
    assert!(message.contains(&container), "{message}");
    let hint = envelope["error"]["hint"].as_str().expect("a hint");
    assert!(hint.contains("--auto-port") && hint.contains("--port test-metrics="), "{hint}");
    assert_eq!(objects_of(&stack.project), [""; 0]);
}

#[test]
fn a_dry_run_tells_of_taken_ports_and_is_no_error() {
    let stack = Stack::new();
    let _taken = TcpListener::bind(("127.0.0.1", stack.ports[1])).expect("the port for Prometheus");
    let envelope = stack.json(&["up", "--dry-run"], 0);
    assert!(!envelope["data"]["steps"].as_array().expect("steps").is_empty());
    let warnings = envelope["warnings"].to_string();
    assert!(warnings.contains(&format!("port {} for prometheus is taken by", stack.ports[1])), "{warnings}");
}

#[test]
fn picked_ports_are_remembered_on_the_engine_through_down_and_a_lost_home() {
    let stack = Stack::new();
    let taken = TcpListener::bind(("127.0.0.1", stack.ports[2])).expect("the port for Grafana");
    let up = stack.json(&["up", "--auto-port"], 0);
    let told = up["warnings"].to_string();
    assert!(told.contains(&format!("port {} for grafana is taken by", stack.ports[2])), "{told}");
    let picked = published(&stack);
    assert_eq!(picked[..2], stack.ports[..2], "what is free stays");
    assert!(picked[2] > stack.ports[2], "{picked:?}");
    let address = format!("127.0.0.1:{}", picked[2]);
    assert_eq!(stack.status()["services"][2]["url"], format!("http://{address}"));
    assert_eq!(http::get(&address, "/api/health").status, 200);
    let root = stack.inspect("grafana")["Config"]["Env"].to_string();
    assert!(root.contains(&format!("GF_SERVER_ROOT_URL=http://localhost:{}/", picked[2])), "{root}");

    // The port is free again, and still everybody has the picked one in their bookmarks.
    drop(taken);
    let again = stack.up();
    assert_eq!(again["steps"], json!([]));
    stack.json(&["down"], 0);
    let home = tempfile::tempdir().expect("another home");
    let mut elsewhere = stack.command(&["up", "--json"]);
    elsewhere.env("HOME", home.path()).env("XDG_STATE_HOME", home.path());
    let finished = finish(elsewhere);
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert_eq!(published(&stack), picked);

    // Whoever names a port gets it, and it is forgotten that another was picked.
    stack.json(&["up", "--port", &format!("grafana={}", stack.ports[2])], 0);
    assert_eq!(published(&stack), stack.ports);
    assert_eq!(stack.up()["steps"], json!([]));
}

#[test]
fn two_services_that_change_places_find_each_others_port_free() {
    let mut stack = Stack::new();
    stack.up();
    stack.ports.swap(1, 2);
    stack.settings("");
    stack.up();
    assert_eq!(published(&stack), stack.ports);
}

#[test]
fn a_port_that_is_lost_between_check_and_start_is_named_and_what_was_made_goes() {
    let stack = Stack::new();
    let mut events = Command::new("docker");
    events.args([
        "events",
        "--filter",
        "type=network",
        "--filter",
        "event=create",
        "--format",
        "{{.Actor.Attributes.name}}",
    ]);
    let mut events = events.stdout(Stdio::piped()).spawn().expect("docker events");
    let mut lines = BufReader::new(events.stdout.take().expect("its output")).lines();
    let up = stack.command(&["up", "--json"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("up");
    // The network is made after the check; the exporter's image still has to be built before its port is bound.
    let network = format!("{}-network", stack.project);
    assert!(lines.any(|line| line.is_ok_and(|line| line == network)), "the network is made");
    let taken = TcpListener::bind(("127.0.0.1", stack.ports[0])).expect("quicker than the engine");
    events.kill().and_then(|()| events.wait()).expect("docker events ended");

    let output = up.wait_with_output().expect("up ended");
    assert_eq!(output.status.code(), Some(5), "{}", String::from_utf8_lossy(&output.stderr));
    let envelope: Value = serde_json::from_slice(&output.stdout).expect("one envelope");
    assert_eq!(envelope["error"]["code"], "port_busy");
    assert_eq!(envelope["error"]["retryable"], true);
    let message = envelope["error"]["message"].as_str().expect("a message");
    assert!(message.contains(&format!("port {} for test-metrics", stack.ports[0])), "{message}");
    assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
    let left = objects_of(&stack.project);
    assert!(!left.iter().any(|object| object.starts_with("container ") || object.starts_with("network ")), "{left:?}");

    drop(taken);
    stack.up();
}

#[test]
fn a_port_flag_publishes_where_it_says_and_only_that_service() {
    let stack = Stack::new();
    let port = free_port();
    stack.json(&["up", "--port", &format!("prometheus=127.0.0.2:{port}")], 0);
    let bindings = stack.inspect("prometheus")["HostConfig"]["PortBindings"]["9090/tcp"].take();
    assert_eq!(bindings, json!([{ "HostIp": "127.0.0.2", "HostPort": port.to_string() }]));
    let status = stack.status();
    assert_eq!(status["services"][1]["url"], format!("http://127.0.0.2:{port}"));
    assert_eq!(status["services"][0]["url"], format!("http://{}", stack.address("test-metrics")));
}

#[test]
fn a_port_that_is_none_is_refused_in_words() {
    let stack = Stack::new();
    for (flag, code, expected) in [
        ("grafana=0", 10, "1 to 65535"),
        ("grafana=70000", 10, "1 to 65535"),
        ("grafana=192.0.2.7:3000", 10, "login is admin/admin"),
        ("prometheus=192.0.2.7:9090", 10, "this machine has no address 192.0.2.7"),
        ("grafna=3001", 2, "`grafna` is no service"),
        ("grafana", 2, "SERVICE=PORT"),
    ] {
        let envelope = stack.json(&["up", "--port", flag], code);
        assert!(envelope["error"].to_string().contains(expected), "{flag}: {envelope:#}");
    }
    assert_eq!(objects_of(&stack.project), [""; 0]);
}

/// The host ports that the engine has bound for the services, in their order.
fn published(stack: &Stack) -> [u16; 3] {
    SERVICES.map(|service| {
        let bindings = stack.inspect(service)["HostConfig"]["PortBindings"].take();
        let binding = bindings.as_object().expect("bindings").values().next().expect("one").clone();
        binding[0]["HostPort"].as_str().expect("a port").parse().expect("a number")
    })
}
