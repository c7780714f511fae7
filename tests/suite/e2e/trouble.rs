//! What goes wrong on real machines: each trouble has its exit code, names the thing, and leaves nothing behind.

use super::docker::objects_of;
use super::stack::{Stack, needed};
use std::time::Duration;

#[test]
fn an_image_that_cannot_be_had_is_named_and_nothing_is_left() {
    let stack = Stack::new();
    stack.settings("");
    let mut command = stack.command(&["up", "--json"]);
    command.env("QASTACK_IMAGES__GRAFANA", "127.0.0.1:9/absent/grafana:1");
    let finished = super::stack::finish(command);
    assert_eq!(finished.code, 6, "{finished:#?}");
    let envelope = finished.envelope();
    assert_eq!(envelope["error"]["code"], "image_unavailable");
    let message = envelope["error"]["message"].as_str().expect("a message");
    assert!(message.contains("127.0.0.1:9/absent/grafana:1"), "{message}");
    assert_eq!(objects_of(&stack.project), [""; 0]);
}

#[test]
fn a_service_that_dies_while_it_starts_ends_the_wait_at_once_with_its_last_words() {
    let stack = Stack::new();
    // Prometheus in Grafana's place: it cannot write where it runs, says so and ends.
    let mut command = stack.command(&["up", "--json"]);
    command.env("QASTACK_IMAGES__GRAFANA", needed("QASTACK_TEST_IMAGE_PROMETHEUS"));
    let finished = super::stack::finish(command);
    assert_eq!(finished.code, 7, "{finished:#?}");
    assert!(finished.took < Duration::from_secs(10), "a dead container is not waited for: {:?}", finished.took);
    let envelope = finished.envelope();
    assert_eq!(envelope["error"]["code"], "not_ready");
    let told = envelope.to_string() + &finished.stderr;
    assert!(told.contains("grafana"), "the service is named: {told}");
    assert!(told.contains("permission denied"), "its last log lines are told: {told}");
}
