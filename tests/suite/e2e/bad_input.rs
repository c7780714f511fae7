//! What users get wrong: each mistake is told in words with its exit code, before anything is touched.

use super::docker::{self, docker, objects_of};
use super::stack::{Stack, needed};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

/// Runs `up`, which must refuse with this exit code and word, tell all of `expected`, and leave nothing behind.
fn refused(stack: &Stack, arguments: &[&str], code: i32, word: &str, expected: &[&str]) -> Value {
    let envelope = stack.json(&[&["up"], arguments].concat(), code);
    assert_eq!(envelope["error"]["code"], word, "{envelope:#}");
    let told = format!("{} {}", envelope["error"]["message"], envelope["error"]["hint"]);
    for text in expected {
        assert!(told.contains(text), "{text:?} is not told: {told}");
    }
    assert_eq!(objects_of(&stack.project), [""; 0], "nothing is touched");
    envelope
}

#[test]
fn an_unknown_key_is_told_with_its_line_and_the_one_that_was_meant() {
    let stack = Stack::new();
    stack.settings("scrape_intervall: 15s");
    let expected = ["qastack.yaml", "line 4", "scrape_intervall", "did you mean `scrape_interval`?"];
    refused(&stack, &[], 10, "settings_invalid", &expected);
    stack.settings("grafana: { admin_pasword_file: x }");
    refused(&stack, &[], 10, "settings_invalid", &["did you mean `admin_password_file`?"]);
}

#[test]
fn a_port_that_no_machine_has_is_refused() {
    let stack = Stack::new();
    for port in ["0", "70000", "-1", "http", "127.0.0.1:0", "localhost:3000"] {
        stack.settings_with_ports(&format!("{{ grafana: '{port}' }}"), "");
        refused(&stack, &[], 10, "settings_invalid", &["qastack.yaml", "1 to 65535", port]);
    }
}

#[test]
fn a_name_that_the_engine_refuses_is_refused_first() {
    let stack = Stack::new();
    for name in ["Not A Name", "UPPER", "-dash", "a/b", "ümlaut", &"long".repeat(20)] {
        refused(&stack, &[&format!("--project={name}")], 10, "settings_invalid", &["--project", name, "lower-case"]);
    }
}

#[test]
fn an_image_reference_that_is_none_is_refused_before_any_pull() {
    let stack = Stack::new();
    for reference in ["no such:image:ref", "Upper/Case:1", "name:bad tag", "build", "a@sha256:12"] {
        let mut command = stack.command(&["up", "--json"]);
        command.env("QASTACK_IMAGES__GRAFANA", reference);
        let finished = super::stack::finish(command);
        assert_eq!(finished.code, 10, "{reference}: {finished:#?}");
        let told = finished.envelope()["error"].to_string();
        assert!(told.contains("images.grafana") && told.contains("is not an image reference"), "{told}");
    }
    assert_eq!(objects_of(&stack.project), [""; 0]);
}

#[test]
fn an_engine_on_a_host_that_does_not_exist_is_named_within_ten_seconds() {
    let stack = Stack::new();
    for address in ["tcp://no-such-host.invalid:2375", "tcp://127.0.0.1:9", "unix:///nowhere/docker.sock"] {
        let finished = stack.run(&["up", "--json", "--host", address]);
        assert_eq!(finished.code, 4, "{address}: {finished:#?}");
        assert!(finished.took < Duration::from_secs(10), "{address}: {:?}", finished.took);
        let error = finished.envelope()["error"].take();
        assert_eq!(error["code"], "engine_unreachable");
        let place = address.rsplit("//").next().expect("a place");
        assert!(error.to_string().contains(place), "{error:#}");
    }
    refused(&stack, &["--context", "nobody-made-it"], 4, "engine_unreachable", &["nobody-made-it"]);
}

#[test]
fn a_volume_of_another_project_is_named_with_its_owner_and_left_alone() {
    let stack = Stack::new();
    let volume = Stranger::new("volume", format!("{}-grafana-data", stack.project));
    docker(&["volume", "create", "--label", "com.docker.compose.project=billing", &volume.name]);
    let before = docker::inspect(&volume.name);
    refused(
        &stack,
        &[],
        10,
        "not_ours",
        &["the volume", &volume.name, "compose project billing", "Nothing was touched"],
    );
    assert_eq!(docker::inspect(&volume.name), before);
}

#[test]
fn a_container_of_our_name_that_is_not_ours_is_named_and_left_alone() {
    let stack = Stack::new();
    let container = Stranger::new("container", stack.container("grafana"));
    docker(&["create", "--name", &container.name, &needed("QASTACK_TEST_IMAGE_GRAFANA")]);
    let before = docker::inspect(&container.name);
    refused(&stack, &[], 10, "not_ours", &["the container", &container.name, "was not made by qastack"]);
    stack.json(&["down", "--volumes"], 0);
    assert_eq!(docker::inspect(&container.name), before, "down leaves it alone too");
}

#[test]
fn a_network_of_our_name_that_is_not_ours_is_named_and_left_alone() {
    let stack = Stack::new();
    let network = Stranger::new("network", format!("{}-network", stack.project));
    docker(&["network", "create", &network.name]);
    refused(&stack, &[], 10, "not_ours", &["the network", &network.name, "was not made by qastack"]);
    stack.json(&["down", "--volumes"], 0);
    assert!(!docker::inspect(&network.name).is_null());
}

/// An object of somebody else's, gone when the test is over.
struct Stranger {
    kind: &'static str,
    name: String,
}

impl Stranger {
    fn new(kind: &'static str, name: String) -> Self {
        Self { kind, name }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        // Whether it is there or not: the test has failed already if it was never made.
        let _ = Command::new("docker").args([self.kind, "rm", &self.name]).output();
    }
}
