//! Several at once: on one machine a lock keeps them apart, and on one engine from several machines they give way.

use super::desk::{Desk, PROJECT, finish, finish_child, held_at, send};
use crate::engine_double::{Fault, Kind};
use rustix::process::Signal;
use std::process::Command;

fn at_once(commands: Vec<Command>) -> Vec<crate::e2e::stack::Finished> {
    let started: Vec<_> = commands.into_iter().map(|command| std::thread::spawn(move || finish(command))).collect();
    started.into_iter().map(|thread| thread.join().unwrap()).collect()
}

#[test]
fn of_ten_ups_at_once_one_works_and_the_others_are_told_who() {
    let desk = Desk::new();
    let held = held_at(desk.command(&["up"]), "create:grafana", &desk.path("marker"));
    let pid = held.id();
    for finished in at_once((0..9).map(|_| desk.command(&["up", "--json"])).collect()) {
        assert_eq!(finished.code, 11, "{finished:#?}");
        let message = finished.envelope()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains(&format!("pid {pid} (qastack up)")), "{message}");
    }
    send(&held, Signal::KILL);
    finish_child(held);
    // Without one that holds it, whoever comes first has it.
    let finished = at_once((0..10).map(|_| desk.command(&["up"])).collect());
    assert!(finished.iter().all(|finished| [0, 11].contains(&finished.code)), "{finished:#?}");
    assert!(finished.iter().any(|finished| finished.code == 0), "{finished:#?}");
    desk.is_put_right("ten ups at once");
}

#[test]
fn five_operators_on_one_engine_make_one_stack() {
    let desk = Desk::new();
    let command = |index: usize, arguments: &[&str]| {
        let mut command = desk.command(arguments);
        command.env("XDG_STATE_HOME", desk.path(&format!("state-of-{index}")));
        command
    };
    let finished = at_once((0..5).map(|index| command(index, &["up", "--json"])).collect());
    assert!(finished.iter().all(|finished| [0, 11].contains(&finished.code)), "{finished:#?}");
    assert!(finished.iter().any(|finished| finished.code == 0), "{finished:#?}");
    desk.is_put_right("five operators at once");
}

#[test]
fn a_down_beside_an_up_waits_for_its_turn_and_the_last_one_decides() {
    let desk = Desk::new();
    let held = held_at(desk.command(&["up"]), "ready:grafana", &desk.path("marker"));
    let told = desk.json(&["down"], 11);
    let message = told["error"]["message"].as_str().unwrap();
    assert!(message.contains("qastack up"), "{message}");
    send(&held, Signal::KILL);
    finish_child(held);
    desk.is_cleared("an up that was killed beside a down");
}

#[test]
fn a_container_that_another_operator_makes_meanwhile_is_taken_over() {
    let desk = Desk::new();
    let marker = desk.path("marker");
    let held = held_at(desk.command(&["up", "--json"]), "observe", &marker);
    // Held after looking, it plans to make what another one makes now.
    let mut other = desk.command(&["up"]);
    other.env("XDG_STATE_HOME", desk.path("state-of-another"));
    assert_eq!(finish(other).code, 0);
    let ids = || desk.model().state().containers.iter().map(|container| container.id.clone()).collect::<Vec<_>>();
    let theirs = ids();
    std::fs::remove_file(&marker).unwrap();
    let finished = finish_child(held);
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert_eq!(ids(), theirs, "one stack, the other operator's");
    desk.is_put_right("another operator's up");
}

/// Two operators' ups, of which one is held when it has made Grafana's container and not started it.
fn meeting_on_a_created_container(is_planned: bool) {
    let desk = Desk::new();
    let (ours, theirs) = (desk.path("marker"), desk.path("marker-of-another"));
    let up_of_another = || {
        let mut command = desk.command(&["up", "--json"]);
        command.env("XDG_STATE_HOME", desk.path("state-of-another"));
        command
    };
    // Held after looking, we plan to make what the other one makes now.
    let held = (!is_planned).then(|| held_at(desk.command(&["up", "--json"]), "observe", &ours));
    let maker = held_at(up_of_another(), "create:grafana", &theirs);
    let finished = match held {
        Some(held) => {
            std::fs::remove_file(&ours).unwrap();
            finish_child(held)
        }
        None => finish(desk.command(&["up", "--json"])),
    };
    assert_eq!(finished.code, 0, "what is not started in time is ours to start: {finished:#?}");
    let ids = || desk.model().state().containers.iter().map(|container| container.id.clone()).collect::<Vec<_>>();
    let running = ids();
    std::fs::remove_file(&theirs).unwrap();
    let maker = finish_child(maker);
    assert_eq!(maker.code, 0, "{maker:#?}");
    assert_eq!(ids(), running, "one stack, and nothing of it made twice");
    desk.is_put_right("two operators on one created container");
}

#[test]
fn a_container_that_another_operator_has_made_and_not_started_is_seen_and_started() {
    meeting_on_a_created_container(true);
}

#[test]
fn a_container_that_another_operator_makes_meanwhile_and_does_not_start_is_taken_over_in_time() {
    meeting_on_a_created_container(false);
}

#[test]
fn a_run_that_fails_takes_back_what_it_made_and_nothing_of_the_runs_before() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    desk.json(&["down"], 0);
    let kept = desk.model().objects_of(PROJECT);
    assert!(kept.len() > 3 && kept.iter().all(|object| object.starts_with("volume ")), "{kept:?}");
    desk.fail(Fault { on: "/start", call: 2, kind: Kind::Refused, for_ever: true });
    let failed = desk.run(&["up"]);
    desk.engine.heal();
    assert_eq!(failed.code, 4, "{failed:#?}");
    assert!(failed.stderr.contains("What this run had made was removed again."), "{failed:#?}");
    assert_eq!(desk.model().objects_of(PROJECT), kept, "containers and network are gone, the volumes are as before");
    desk.is_put_right("a run that failed");
}

#[test]
fn a_network_that_was_made_twice_is_made_one_again() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    desk.json(&["down"], 0);
    let labels = serde_json::json!({ "dev.qastack.project": PROJECT, "dev.qastack.run": "another" });
    for _ in 0..2 {
        desk.model().state().add_network(&format!("{PROJECT}-network"), labels.clone());
    }
    desk.is_put_right("two networks of one name");
}

#[test]
fn a_network_that_was_removed_under_stopped_containers_is_made_again_with_them() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    desk.model().reboot();
    desk.model().state().networks.retain(|network| !network.name.starts_with(PROJECT));
    desk.is_put_right("a network that was removed by hand");
}

#[test]
fn a_volume_of_our_name_that_is_not_ours_is_refused_and_left() {
    let desk = Desk::new();
    let name = format!("{PROJECT}-grafana-data");
    desk.model().state().add_volume(&name, serde_json::json!({}));
    let refused = desk.json(&["up"], 10);
    assert_eq!(refused["error"]["code"], "not_ours");
    assert!(desk.model().state().volumes.contains_key(&name));
    assert_eq!(desk.model().objects_of(PROJECT), [""; 0]);
}
