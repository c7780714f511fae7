//! Signals at every checkpoint: the run ends as it should, and the next one puts right what it left.

use super::desk::{Desk, PROJECT, finish_child, held_at, send};
use crate::engine_double::{Fault, Kind};
use rustix::process::Signal;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

/// The exit code of a run that a signal ends; a killed one has none.
fn exit_of(signal: Signal) -> i32 {
    match signal {
        Signal::INT => 130,
        Signal::TERM => 143,
        _ => -1,
    }
}

const SIGNALS: [Signal; 3] = [Signal::INT, Signal::TERM, Signal::KILL];

/// Ends `up` at a place with each signal in turn, on an engine that has nothing yet.
fn up_is_ended_at(place: &str) {
    let desk = Desk::new();
    for signal in SIGNALS {
        // Each time there is everything to do, pulls among it.
        desk.model().state().images.clear();
        end(&desk, &["up"], place, signal);
        desk.is_put_right(&format!("{signal:?} at {place}"));
    }
}

/// Ends a command at a place with a signal.
fn end(desk: &Desk, arguments: &[&str], place: &str, signal: Signal) {
    let child = held_at(desk.command(arguments), place, &desk.path("marker"));
    send(&child, signal);
    let finished = finish_child(child);
    assert_eq!(finished.code, exit_of(signal), "{signal:?} at {place}: {finished:#?}");
    // Two seconds are promised; a machine under load gets more.
    assert!(finished.took < Duration::from_secs(10), "{signal:?} at {place}: {finished:#?}");
    let is_ended = |name: &str| name == "network" || name.starts_with("create:");
    if signal != Signal::KILL && is_ended(place) {
        let told = finished.stderr.contains("was removed again") || finished.stderr.contains("Left behind: ");
        assert!(told, "what became of what was made, {signal:?} at {place}: {finished:#?}");
    }
    desk.strangers_are_left(place);
}

macro_rules! up_ended_at {
    ($($name:ident: $place:literal,)*) => {
        $(#[test]
        fn $name() {
            up_is_ended_at($place);
        })*
    };
}

up_ended_at! {
    an_up_ended_when_it_has_the_lock_is_put_right: "lock",
    an_up_ended_after_looking_is_put_right: "observe",
    an_up_ended_after_making_the_network_is_put_right: "network",
    an_up_ended_after_making_a_volume_is_put_right: "volume",
    an_up_ended_after_a_pull_is_put_right: "image",
    an_up_ended_after_making_the_exporter_is_put_right: "create:test-metrics",
    an_up_ended_after_making_prometheus_is_put_right: "create:prometheus",
    an_up_ended_after_making_grafana_is_put_right: "create:grafana",
    an_up_ended_after_putting_the_exporters_files_is_put_right: "put-files:test-metrics",
    an_up_ended_after_putting_prometheus_files_is_put_right: "put-files:prometheus",
    an_up_ended_after_making_grafanas_secrets_is_put_right: "secrets:grafana",
    an_up_ended_after_making_the_admin_token_is_put_right: "secrets:test-metrics",
    an_up_ended_after_starting_the_exporter_is_put_right: "start:test-metrics",
    an_up_ended_after_starting_prometheus_is_put_right: "start:prometheus",
    an_up_ended_after_starting_grafana_is_put_right: "start:grafana",
    an_up_ended_when_the_exporter_answers_is_put_right: "ready:test-metrics",
    an_up_ended_when_prometheus_answers_is_put_right: "ready:prometheus",
    an_up_ended_when_grafana_answers_is_put_right: "ready:grafana",
    an_up_ended_after_writing_the_data_source_is_put_right: "grafana:data-source",
    an_up_ended_after_writing_the_dashboard_is_put_right: "grafana:dashboard",
    an_up_ended_before_the_proof_is_put_right: "prove",
}

/// Ends `down --volumes` at a place with each signal in turn.
fn down_is_ended_at(place: &str) {
    let desk = Desk::new();
    for signal in SIGNALS {
        desk.is_brought_up("a fresh start");
        end(&desk, &["down", "--volumes"], place, signal);
        desk.is_put_right(&format!("{signal:?} at {place}"));
        desk.is_brought_up("a fresh start");
        end(&desk, &["down", "--volumes"], place, signal);
        desk.is_cleared(&format!("{signal:?} at {place}"));
    }
}

#[test]
fn a_down_ended_when_it_has_the_lock_is_put_right() {
    down_is_ended_at("down:lock");
}

#[test]
fn a_down_ended_after_looking_is_put_right() {
    down_is_ended_at("down:observe");
}

#[test]
fn a_down_ended_after_the_containers_is_put_right() {
    down_is_ended_at("down:containers");
}

#[test]
fn a_down_ended_after_network_and_volumes_is_put_right() {
    down_is_ended_at("down:network-and-volumes");
}

#[test]
fn an_up_ended_in_its_rollback_is_put_right() {
    let desk = Desk::new();
    for signal in SIGNALS {
        desk.fail(Fault { on: "/start", call: 2, kind: Kind::Refused, for_ever: true });
        let child = held_at(desk.command(&["up"]), "rollback", &desk.path("marker"));
        send(&child, signal);
        let finished = finish_child(child);
        // It had failed already: that is what its exit code tells.
        assert_eq!(finished.code, if signal == Signal::KILL { -1 } else { 4 }, "{finished:#?}");
        assert!(finished.took < Duration::from_secs(10), "{finished:#?}");
        assert!(signal == Signal::KILL || finished.stderr.contains("Left behind: "), "{finished:#?}");
        desk.engine.heal();
        desk.is_put_right(&format!("{signal:?} in the rollback"));
    }
}

#[test]
fn an_up_over_kept_data_that_is_killed_keeps_volumes_and_secrets() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    for place in ["create:grafana", "secrets:grafana", "start:grafana", "ready:grafana", "prove"] {
        desk.json(&["down"], 0);
        end(&desk, &["up"], place, Signal::KILL);
        desk.is_brought_up(&format!("a kill at {place}, over kept data"));
    }
    desk.is_cleared("five kills");
}

#[test]
fn an_interrupted_up_says_what_it_took_back_and_what_stays() {
    let desk = Desk::new();
    let child = held_at(desk.command(&["up", "--json"]), "start:grafana", &desk.path("marker"));
    send(&child, Signal::INT);
    let finished = finish_child(child);
    let envelope = finished.envelope();
    assert_eq!(envelope["error"]["code"], "interrupted");
    let hint = envelope["error"]["hint"].as_str().unwrap();
    assert!(hint.contains("What this run had made was removed again."), "{hint}");
    let left = desk.model().objects_of(PROJECT);
    assert!(left.iter().all(|object| object.starts_with("volume ")), "data that a service has used stays: {left:?}");
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_prints_what_cleans_up() {
    for signal in [Signal::INT, Signal::TERM] {
        let desk = Desk::new();
        let mut child = held_at(desk.command(&["up"]), "create:grafana", &desk.path("marker"));
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        send(&child, signal);
        assert!(lines.any(|line| line.contains("once more ends at once")), "the first one is answered");
        let sent = Instant::now();
        send(&child, signal);
        let finished = finish_child(child);
        let took = sent.elapsed();
        assert_eq!(finished.code, exit_of(signal));
        // 200 ms are promised; a machine under load gets more. In order it would have taken longer.
        assert!(took < Duration::from_secs(2), "{took:?}");
        let rest: Vec<String> = lines.collect();
        let cleanup = format!("qastack down --project {PROJECT}");
        assert!(rest.iter().any(|line| line.contains(&cleanup)), "{rest:?}");
        desk.is_put_right("a second signal");
    }
}

#[test]
fn a_signal_before_there_is_an_engine_ends_the_command() {
    let desk = Desk::new();
    desk.fail(Fault { on: "", call: 1, kind: Kind::Hang, for_ever: true });
    let child = held_at(desk.command(&["up"]), "lock", &desk.path("marker"));
    send(&child, Signal::TERM);
    assert_eq!(finish_child(child).code, 143);
}

#[test]
fn a_change_of_settings_that_was_ended_before_its_signal_is_taken_by_the_next_up() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    desk.settings("figures: { flake_window: 7d }");
    end(&desk, &["up"], "put-files:test-metrics", Signal::KILL);
    let envelope = desk.json(&["up"], 0);
    let steps = envelope["data"]["steps"].as_array().unwrap();
    let actions: Vec<_> = steps.iter().map(|step| step["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["reload"], "{envelope:#}");
    let in_force = {
        let state = desk.model().state();
        let exporter = state.container(&format!("{PROJECT}-test-metrics")).unwrap();
        String::from_utf8(exporter.loaded.clone()).unwrap()
    };
    assert!(in_force.contains("flake_window: 7d"), "{in_force}");
    desk.is_put_right("a signal that was lost");
}
