//! What goes wrong: a crash, a taken port, a directory that cannot be used, a process that cannot start.

use super::machine::Machine;
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn a_crash_is_told_by_status_and_made_good_by_up() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let pid = machine.pid();
    machine.kill();
    let status = machine.json(&["status"], 3);
    assert_eq!(status["error"]["code"], "degraded");
    let message = status["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("test-metrics is not running: it ended by itself"), "{message}");
    assert_eq!(status["data"]["services"][0]["state"], "exited");
    assert_eq!(status["data"]["services"][0]["reason"], message.trim_start_matches("test-metrics is not running: "));

    let up = machine.json(&["up"], 0);
    let step = &up["data"]["steps"][0];
    assert_eq!(step["action"], "start");
    assert!(step["reason"].as_str().unwrap().starts_with("it ended by itself"), "{step}");
    assert_ne!(machine.pid(), pid);
    assert_eq!(machine.running(), [machine.pid()]);
}

#[test]
fn a_number_that_another_process_has_meanwhile_is_not_mistaken_for_ours() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    machine.kill();
    // As after a restart of the machine: the number that is written down is somebody else's now, here the test's own.
    let path = machine.state("run.json");
    let text = std::fs::read_to_string(&path).unwrap();
    let ours = format!("\"pid\":{}", std::process::id());
    std::fs::write(&path, text.replace(&format!("\"pid\":{}", machine.pid()), &ours)).unwrap();
    assert_eq!(machine.json(&["status"], 3)["data"]["services"][0]["state"], "exited");
    machine.json(&["down"], 0);
}

#[test]
fn an_exporter_whose_number_was_never_written_down_is_found_and_replaced() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let pid = machine.pid();
    // As where `up` was killed after it had started it and before it had written that down.
    std::fs::write(machine.state("run.json"), "").unwrap();
    let up = machine.json(&["up"], 0);
    assert_eq!(up["data"]["steps"][0]["reason"], "nothing is written down of what runs");
    assert_ne!(machine.pid(), pid);
    assert_eq!(machine.running(), [machine.pid()]);
}

#[test]
fn a_taken_port_is_told_with_its_owner_and_nothing_is_left() {
    let machine = Machine::new();
    let _taken = TcpListener::bind(machine.address()).unwrap();
    let refused = machine.json(&["up"], 5);
    assert_eq!(refused["error"]["code"], "port_busy");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains(&machine.port.to_string()), "{message}");
    assert!(message.contains(&format!("(pid {})", std::process::id())), "{message}");
    assert!(machine.running().is_empty());
    assert!(!machine.state("").exists(), "nothing was touched");
}

#[test]
fn a_damaged_store_stays_unless_somebody_asks_to_set_it_aside() {
    let machine = Machine::new();
    std::fs::create_dir_all(machine.state("data")).unwrap();
    let words = "this is no database, and long enough to be seen as none";
    std::fs::write(machine.state("data/qastack.db"), words).unwrap();
    let begun = std::time::Instant::now();
    let refused = machine.json(&["up"], 13);
    assert!(begun.elapsed().as_secs() < 60, "its death ends the wait, not the deadline of 120 s");
    assert_eq!(refused["error"]["code"], "store_damaged");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("test-metrics does not start: ") && message.contains("qastack.db is damaged"),
        "{message}"
    );
    let hint = refused["error"]["hint"].as_str().unwrap();
    assert!(
        hint.contains("--set-aside-damaged-store") && hint.contains(machine.state("log").to_str().unwrap()),
        "{hint}"
    );
    assert!(machine.running().is_empty());
    assert_eq!(machine.json(&["status"], 3)["error"]["code"], "not_running");
    assert_eq!(std::fs::read_to_string(machine.state("data/qastack.db")).unwrap(), words);

    let up = machine.json(&["up", "--set-aside-damaged-store"], 0);
    assert_eq!(up["data"]["figures"]["sample"], true, "an empty store takes its place");
    let names = std::fs::read_dir(machine.state("data")).unwrap().flatten().map(|entry| entry.file_name());
    let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
    let aside = names.iter().find(|name| name.starts_with("qastack.db.damaged-")).unwrap();
    assert_eq!(std::fs::read_to_string(machine.state("data").join(aside)).unwrap(), words, "and nothing is lost");
    machine.json(&["down"], 0);
    machine.json(&["up", "--set-aside-damaged-store"], 0);
    let again = std::fs::read_dir(machine.state("data")).unwrap().flatten();
    let again = again.filter(|entry| entry.file_name().to_string_lossy().contains("damaged")).count();
    assert_eq!(again, 1, "a store that is whole stays where it is");
}

#[test]
fn a_store_of_a_newer_version_is_named_and_never_set_aside() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    machine.json(&["down"], 0);
    let path = machine.state("data/qastack.db");
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 999).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    for arguments in [&["up"][..], &["up", "--set-aside-damaged-store"]] {
        let refused = machine.json(arguments, 13);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains("schema version 999; this qastack knows versions up to"), "{message}");
        assert!(machine.running().is_empty());
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_store_that_another_exporter_has_open_is_told_with_the_code_for_locked() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let data = machine.state("data").display().to_string();
    let other = machine.command(&["serve", "--listen", "127.0.0.1:0", "--data-dir", &data]).output().unwrap();
    assert_eq!(other.status.code(), Some(11), "{other:?}");
    assert!(String::from_utf8_lossy(&other.stderr).contains("is in use by another process"), "{other:?}");
}

#[test]
fn a_killed_up_leaves_a_lock_that_is_in_nobodys_way() {
    let machine = Machine::new();
    let locks = machine.path("state/qastack/locks");
    std::fs::create_dir_all(&locks).unwrap();
    std::fs::write(locks.join("qastack.lock"), "pid 1 (qastack up)").unwrap();
    machine.json(&["up"], 0);
    let held = std::fs::File::open(locks.join("qastack.lock")).unwrap();
    held.lock().unwrap();
    let refused = machine.json(&["down"], 11);
    assert_eq!(refused["error"]["code"], "locked");
    drop(held);
    machine.json(&["down"], 0);
}

#[test]
fn a_state_directory_that_cannot_be_used_is_named() {
    let machine = Machine::new();
    std::fs::write(machine.path("state"), "a file where a directory should be").unwrap();
    let refused = machine.json(&["up"], 13);
    assert_eq!(refused["error"]["code"], "store_damaged");
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains(machine.path("state").to_str().unwrap()), "{message}");
}

#[test]
fn an_engine_that_was_named_and_is_not_there_is_an_error_and_no_reason_to_do_without() {
    let machine = Machine::new();
    for arguments in [
        &["up", "--host", "unix:///nowhere/docker.sock"][..],
        &["up", "--host", "unix:///nowhere/docker.sock", "--engine", "docker"],
    ] {
        let output = machine.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(4), "{arguments:?}");
    }
    let output = machine.command(&["up"]).env("DOCKER_HOST", "unix:///nowhere/docker.sock").output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(machine.running().is_empty());
}

#[test]
fn doctor_finds_a_crash_a_taken_port_and_a_store_that_is_none() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let verdicts = |exit| {
        let data = machine.json(&["doctor"], exit)["data"].take();
        let all = data["checks"].as_array().unwrap().iter();
        let verdict = |check: &serde_json::Value| {
            (check["name"].as_str().unwrap().to_owned(), check["verdict"].as_str().unwrap().to_owned())
        };
        all.map(verdict).collect::<std::collections::BTreeMap<String, String>>()
    };
    let port = format!("port {}", machine.port);
    let well = verdicts(0);
    for name in ["settings", "engine", "state directory", "lock", "process", &port, "store", "test-metrics"] {
        assert_eq!(well.get(name).map(String::as_str), Some("ok"), "{name}: {well:?}");
    }
    machine.kill();
    let deadline = Instant::now() + Duration::from_secs(10);
    // A process that was killed may hold its port a little longer than its name.
    let _taken = loop {
        match TcpListener::bind(machine.address()) {
            Ok(taken) => break taken,
            Err(cause) => assert!(Instant::now() < deadline, "{cause}"),
        }
        std::thread::yield_now();
    };
    std::fs::write(machine.state("data/qastack.db"), vec![0; 8192]).unwrap();
    let broken = verdicts(3);
    for name in ["process", &port, "store"] {
        assert_eq!(broken.get(name).map(String::as_str), Some("fail"), "{name}: {broken:?}");
    }
}
