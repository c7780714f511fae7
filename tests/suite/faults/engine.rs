//! Trouble with the engine and with containers: told in time, by name, with evidence.

use super::desk::{Desk, PROJECT, finish, finish_child, held_at};
use crate::engine_double::{Fault, Kind};
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

#[test]
fn an_engine_that_takes_connections_and_never_answers_is_told_within_ten_seconds() {
    let desk = Desk::new();
    desk.fail(Fault { on: "", call: 1, kind: Kind::Hang, for_ever: true });
    for command in [&["up"][..], &["status"], &["down"]] {
        let finished = desk.run(&[command, &["--json"]].concat());
        assert_eq!(finished.code, 4, "{finished:#?}");
        // Ten, and as many for a machine under load.
        assert!(finished.took < Duration::from_secs(20), "{finished:#?}");
        let message = finished.envelope()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("engine.sock") && message.contains("no answer"), "{message}");
    }
}

#[test]
fn a_socket_that_speaks_no_http_is_told_by_its_name() {
    let desk = Desk::new();
    let socket = desk.path("garbage.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"\x00\xff220 mail.example.org ready\r\n\r\n");
        }
    });
    let mut command = desk.command(&["up", "--json"]);
    command.env("DOCKER_HOST", format!("unix://{}", socket.display()));
    let finished = finish(command);
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stdout.contains("garbage.sock"), "{finished:#?}");
}

#[test]
fn an_engine_that_is_restarted_in_the_middle_of_up_is_waited_for() {
    let desk = Desk::new();
    let marker = desk.path("marker");
    let held = held_at(desk.command(&["up", "--json"]), "create:grafana", &marker);
    desk.fail(Fault { on: "", call: 1, kind: Kind::Reset, for_ever: true });
    std::fs::remove_file(&marker).unwrap();
    wait_until(|| desk.engine.calls() > 5);
    desk.engine.heal();
    let finished = finish_child(held);
    assert_eq!(finished.code, 0, "{finished:#?}");
    desk.is_put_right("a restart of the engine");
}

#[test]
fn an_engine_that_stays_away_in_the_middle_of_up_is_told_in_time_and_the_next_up_succeeds() {
    let desk = Desk::new();
    let marker = desk.path("marker");
    let held = held_at(desk.command(&["up", "--json"]), "start:prometheus", &marker);
    desk.fail(Fault { on: "", call: 1, kind: Kind::Reset, for_ever: true });
    std::fs::remove_file(&marker).unwrap();
    let finished = finish_child(held);
    desk.engine.heal();
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.took < Duration::from_secs(60), "{finished:#?}");
    assert!(finished.stdout.contains("engine.sock"), "{finished:#?}");
    desk.is_put_right("an engine that stayed away");
}

#[test]
fn a_container_that_is_killed_while_others_are_waited_for_ends_the_wait_with_its_last_words() {
    let desk = Desk::new();
    let held = held_at(desk.command(&["up", "--json"]), "ready:test-metrics", &desk.path("marker"));
    wait_until(|| desk.model().state().container(&format!("{PROJECT}-grafana")).is_some_and(|c| c.word == "running"));
    let killed = Instant::now();
    desk.model().kill(&format!("{PROJECT}-grafana"), false);
    let finished = finish_child(held);
    assert!(killed.elapsed() < Duration::from_secs(20), "not after the 120 s that services have: {finished:#?}");
    assert_eq!(finished.code, 7, "{finished:#?}");
    let envelope = finished.envelope();
    let message = envelope["error"]["message"].as_str().unwrap();
    for part in ["grafana died", "exit code 137", "a line of the log"] {
        assert!(message.contains(part), "{part:?} in {message}");
    }
    desk.is_put_right("a container that was killed");
}

#[test]
fn a_container_that_the_kernel_ended_for_want_of_memory_is_told_as_that() {
    let desk = Desk::new();
    let held = held_at(desk.command(&["up", "--json"]), "ready:test-metrics", &desk.path("marker"));
    wait_until(|| {
        desk.model().state().container(&format!("{PROJECT}-prometheus")).is_some_and(|c| c.word == "running")
    });
    desk.model().kill(&format!("{PROJECT}-prometheus"), true);
    let finished = finish_child(held);
    assert_eq!(finished.code, 7, "{finished:#?}");
    let error = finished.envelope()["error"].take();
    assert!(error["message"].as_str().unwrap().contains("out of memory"), "{error:#}");
    assert!(error["hint"].as_str().unwrap().contains("limits: { prometheus: { memory:"), "{error:#}");
    desk.is_put_right("an end for want of memory");
}

#[test]
fn evidence_of_a_failure_is_saved_before_anything_is_taken_back() {
    let desk = Desk::new();
    let held = held_at(desk.command(&["up", "--json"]), "ready:test-metrics", &desk.path("marker"));
    wait_until(|| desk.model().state().container(&format!("{PROJECT}-grafana")).is_some_and(|c| c.word == "running"));
    desk.model().kill(&format!("{PROJECT}-grafana"), true);
    let finished = finish_child(held);
    let path = desk.state(&format!("last-failure/{PROJECT}.txt"));
    assert!(finished.stdout.contains(path.to_str().unwrap()), "its path is told: {finished:#?}");
    let evidence = std::fs::read_to_string(&path).unwrap();
    for part in
        ["not_ready", "faulty-grafana", "exit code 137", "out of memory", "a line of the log", "faulty-prometheus"]
    {
        assert!(evidence.contains(part), "{part:?} in {evidence}");
    }
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "only its owner may read it");
    let left = desk.model().objects_of(PROJECT);
    assert!(left.iter().all(|object| object.starts_with("volume ")), "{left:?}");
}

#[test]
fn what_a_failure_left_for_a_look_is_removed_by_down() {
    let desk = Desk::new();
    desk.fail(Fault { on: "/start", call: 3, kind: Kind::Refused, for_ever: true });
    let failed = desk.run(&["up", "--keep-on-failure"]);
    desk.engine.heal();
    assert_eq!(failed.code, 4, "{failed:#?}");
    assert!(failed.stderr.contains(&format!("qastack down --project {PROJECT}")), "{failed:#?}");
    assert!(desk.model().objects_of(PROJECT).iter().any(|object| object.starts_with("container ")));
    desk.is_cleared("a failure that was kept for a look");
}

#[test]
fn after_a_reboot_status_tells_what_died_and_up_starts_it_again() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    let ids = || desk.model().state().containers.iter().map(|container| container.id.clone()).collect::<Vec<_>>();
    let before = ids();
    desk.model().reboot();
    let status = desk.json(&["status"], 3);
    let message = status["error"]["message"].as_str().unwrap();
    for service in ["test-metrics", "prometheus", "grafana"] {
        assert!(message.contains(&format!("{service} is not running: exited with exit code 255")), "{message}");
    }
    let up = desk.json(&["up"], 0);
    let steps = up["data"]["steps"].as_array().unwrap();
    assert!(steps.iter().all(|step| step["action"] != "create_container"), "{steps:#?}");
    assert_eq!(ids(), before, "the same containers run again");
    desk.is_cleared("a reboot");
}

#[test]
fn podmans_state_stopped_is_one_that_status_tells_and_up_and_down_put_right() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    let grafana = format!("{PROJECT}-grafana");
    let is_stopped = || {
        desk.model().kill(&grafana, false);
        desk.model().state().container_mut(&grafana).unwrap().word = "stopped";
    };
    is_stopped();
    let status = desk.json(&["status"], 3);
    assert_eq!(status["data"]["services"][2]["state"], "exited", "{status:#}");
    desk.is_brought_up("the state stopped");
    is_stopped();
    desk.is_cleared("the state stopped");
}

#[test]
fn a_container_that_somebody_stops_while_up_looks_on_is_started_again() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    // A `down` that was ended may still be under way in the engine when the next `up` has looked already.
    let marker = desk.path("marker");
    let held = held_at(desk.command(&["up", "--json"]), "observe", &marker);
    desk.model().kill(&format!("{PROJECT}-grafana"), false);
    std::fs::remove_file(&marker).unwrap();
    let finished = finish_child(held);
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert!(finished.took < Duration::from_secs(60), "not after the 120 s that services have: {finished:#?}");
    assert!(finished.stderr.contains("looking again"), "{finished:#?}");
    desk.is_put_right("a container that was stopped meanwhile");
}

fn wait_until(is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < deadline, "it does not become so");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn a_stack_that_is_proven_stays_though_the_last_look_at_it_fails() {
    let desk = Desk::new();
    let marker = desk.path("marker");
    let child = held_at(desk.command(&["up", "--json"]), "prove", &marker);
    desk.fail(Fault { on: "/containers/json", call: 1, kind: Kind::Refused, for_ever: true });
    std::fs::remove_file(&marker).unwrap();
    let finished = finish_child(child);
    assert!(desk.engine.heal(), "a look has failed");
    assert_eq!(finished.code, 0, "{finished:#?}");
    let warnings = finished.envelope()["warnings"].to_string();
    assert!(warnings.contains("a last look at its containers failed"), "{warnings}");
    assert_eq!(desk.json(&["up"], 0)["data"]["steps"], serde_json::json!([]));
}

#[test]
fn status_has_words_for_what_cannot_be_asked_and_says_each_thing_once() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    for service in ["test-metrics", "prometheus", "grafana"] {
        desk.model().kill(&format!("{PROJECT}-{service}"), false);
    }
    let status = desk.json(&["status"], 3);
    let data = &status["data"];
    assert_eq!(data["target"]["health"], "unknown");
    let error = data["target"]["last_error"].as_str().unwrap();
    assert!(error.starts_with("prometheus is not running: exited"), "{error}");
    assert_eq!(data["data_source"]["health"], "error");
    let message = data["data_source"]["message"].as_str().unwrap();
    assert!(message.starts_with("grafana is not running: exited"), "{message}");
    let none = serde_json::json!({ "flake_rate": null, "defect_leakage": null, "sample": null });
    assert_eq!(data["figures"], none);
    let told = status["error"]["message"].as_str().unwrap();
    assert_eq!(told.matches("is not running").count(), 3, "{told}");
}

#[test]
fn limits_on_cpu_time_are_what_the_machine_can_hold() {
    let desk = Desk::new();
    let limit = |service: &str| {
        let state = desk.model().state();
        state.container(&format!("{PROJECT}-{service}")).unwrap().body["HostConfig"]["NanoCpus"].as_i64()
    };
    desk.model().state().cpus = Some(1.0);
    desk.is_brought_up("a machine with one CPU");
    assert_eq!((limit("test-metrics"), limit("grafana")), (Some(1_000_000_000), Some(1_000_000_000)));
    desk.is_cleared("a machine with one CPU");

    desk.model().state().cpus = Some(0.0);
    let up = desk.run(&["up"]);
    assert!(up.stderr.contains("grafana runs without a limit on its CPU time"), "{up:#?}");
    assert_eq!(limit("grafana"), None);
    desk.is_put_right("an engine without limits on CPU time");
}

#[test]
fn a_layer_that_goes_while_the_image_is_built_does_not_end_the_run() {
    let desk = Desk::new();
    desk.model().state().cache_is_broken = true;
    desk.is_put_right("a build whose cached layer went");
}

#[test]
fn a_name_that_an_engine_does_not_give_back_is_told_with_the_way_to_get_it() {
    let desk = Desk::new();
    let name = format!("{PROJECT}-grafana");
    desk.model().state().names_not_given_back.push(name.clone());
    let error = desk.json(&["up"], 4)["error"].take();
    assert!(error["message"].as_str().unwrap().contains(&format!("has no container {name}")), "{error:#}");
    assert!(error["hint"].as_str().unwrap().contains(&format!("docker rm -f {name}")), "{error:#}");
    desk.model().state().names_not_given_back.clear();
    desk.is_put_right("a name that was not given back");
}

#[test]
fn an_engine_that_publishes_its_ports_on_another_machine_is_told() {
    let desk = Desk::new();
    desk.model().state().is_elsewhere = true;
    let error = desk.json(&["up", "--timeout", "2"], 7)["error"].take();
    let told = format!("nothing listens on 127.0.0.1:{} here", desk.ports[0]);
    assert!(error["hint"].as_str().unwrap().contains(&told), "{error:#}");
    desk.model().state().is_elsewhere = false;
    desk.is_put_right("ports elsewhere");
}
