//! `doctor`: what is well, what is not and how to mend it, before the stack runs, while it does and when it is broken.

use super::docker::docker;
use super::stack::Stack;
use flate2::read::GzDecoder;
use serde_json::Value;
use std::io::Read;
use std::net::TcpListener;
use std::path::Path;

#[test]
fn before_anything_runs_a_taken_port_fails_with_its_owner_and_everything_else_is_well() {
    let stack = Stack::new();
    let taken = TcpListener::bind(("127.0.0.1", stack.ports[2])).expect("the port for Grafana");
    let envelope = stack.json(&["doctor"], 3);
    assert_eq!(envelope["error"]["code"], "degraded");
    let port = check(&envelope["data"], &format!("port {}", stack.ports[2]));
    assert_eq!(port["verdict"], "fail", "{port}");
    assert!(
        port["message"].as_str().is_some_and(|text| text.contains(&format!("(pid {})", std::process::id()))),
        "{port}"
    );
    assert!(port["fix"].as_str().is_some_and(|fix| fix.contains("ports")), "{port}");
    assert_eq!(envelope["data"]["counts"]["fail"], 1, "{envelope:#}");

    drop(taken);
    let data = stack.json(&["doctor"], 0)["data"].take();
    assert!(text(&check(&data, "stack")["message"]).contains("does not run here"), "{data:#}");
    assert!(text(&check(&data, "engine")["message"]).contains("API 1."), "{data:#}");
    let words = stack.run(&["doctor"]);
    assert_eq!(words.code, 0, "{words:#?}");
    assert!(words.stdout.lines().any(|line| line.starts_with("ok    engine  ")), "{words:#?}");
}

#[test]
fn a_stack_that_runs_is_well_and_its_bundle_holds_no_secret() {
    let stack = Stack::new();
    let password = "swordfish-4711";
    std::fs::write(stack.directory().join("password"), password).expect("a password file");
    stack.settings("grafana: { admin_password_file: password }");
    stack.up();

    let bundle = stack.directory().join("report.tar.gz");
    let data = stack.json(&["doctor", "--bundle", "report.tar.gz"], 0)["data"].take();
    let all = [
        "settings",
        "engine",
        "clock",
        "state directory",
        "lock",
        "volumes",
        "test-metrics",
        "admin token",
        "prometheus",
        "target",
        "grafana",
        "login",
        "data source",
        "names",
        "password",
        "image grafana",
    ];
    for name in all {
        assert_eq!(check(&data, name)["verdict"], "ok", "{data:#}");
    }
    let files = unpack(&bundle);
    let names: Vec<&str> = files.iter().map(|(name, _)| name.as_str()).collect();
    for name in ["doctor.json", "settings.json", "versions.json", "plan.json"] {
        assert!(names.contains(&format!("qastack-doctor/{name}").as_str()), "{names:?}");
    }
    for service in super::stack::SERVICES {
        let container = stack.container(service);
        assert!(names.contains(&format!("qastack-doctor/inspect/{container}.json").as_str()), "{names:?}");
        assert!(names.contains(&format!("qastack-doctor/logs/{container}.txt").as_str()), "{names:?}");
    }
    let secrets = [
        password.to_owned(),
        secret(&stack.container("test-metrics"), "/run/qastack/test-metrics/admin-token"),
        secret(&stack.container("grafana"), "/run/qastack/grafana/secret-key"),
    ];
    for (name, contents) in &files {
        for secret in &secrets {
            assert!(!contents.contains(secret), "{name} holds a secret:\n{contents}");
        }
    }
    let plan = files.iter().find(|(name, _)| name.ends_with("plan.json")).map(|(_, contents)| contents);
    assert_eq!(serde_json::from_str::<Value>(plan.expect("a plan")).expect("JSON")["steps"], serde_json::json!([]));

    // Five wrong passwords would lock the user out: four looks make four attempts, and the right one is still taken.
    std::fs::write(stack.directory().join("wrong"), "not-it").expect("a password file");
    for _ in 0..4 {
        let mut command = stack.command(&["doctor", "--bundle", "wrong.tar.zst", "--force", "--json"]);
        let finished = super::stack::finish({
            command.env("QASTACK_GRAFANA__ADMIN_PASSWORD_FILE", "wrong");
            command
        });
        assert_eq!(finished.code, 3, "{finished:#?}");
        let data = finished.envelope()["data"].take();
        assert_eq!(check(&data, "login")["verdict"], "fail", "{data:#}");
        assert!(find(&data, "data source").is_none(), "nothing is asked after a refusal: {data:#}");
    }
    assert_eq!(check(&stack.json(&["doctor"], 0)["data"], "login")["verdict"], "ok");
    let kept = stack.json(&["doctor", "--bundle", "wrong.tar.zst"], 9)["error"]["message"].take();
    assert_eq!(kept, "wrong.tar.zst exists");

    docker(&["kill", &stack.container("prometheus")]);
    let data = stack.json(&["doctor"], 3)["data"].take();
    for name in ["prometheus", "data source"] {
        assert_eq!(check(&data, name)["verdict"], "fail", "{data:#}");
        assert!(check(&data, name)["fix"].is_string(), "{data:#}");
    }
    assert_eq!(check(&data, "test-metrics")["verdict"], "ok", "what runs is still looked at: {data:#}");
}

#[test]
fn an_engine_that_is_not_there_is_one_failure_among_what_can_be_looked_at() {
    let stack = Stack::new();
    let envelope = stack.json(&["doctor", "--host", "unix:///nowhere/docker.sock"], 3);
    let engine = check(&envelope["data"], "engine");
    assert_eq!(engine["verdict"], "fail");
    assert!(text(&engine["message"]).contains("/nowhere/docker.sock (--host): not there"), "{engine}");
    assert_eq!(check(&envelope["data"], "state directory")["verdict"], "ok");
}

fn find<'a>(data: &'a Value, name: &str) -> Option<&'a Value> {
    data["checks"].as_array().expect("checks").iter().find(|check| check["name"] == name)
}

fn check<'a>(data: &'a Value, name: &str) -> &'a Value {
    find(data, name).unwrap_or_else(|| panic!("no check {name}: {data:#}"))
}

fn text(value: &Value) -> &str {
    value.as_str().expect("words")
}

/// The contents of a small file in a container.
fn secret(container: &str, path: &str) -> String {
    let archive = std::process::Command::new("docker").args(["cp", &format!("{container}:{path}"), "-"]).output();
    let archive = archive.expect("docker cp runs").stdout;
    let mut contents = String::new();
    let mut files = tar::Archive::new(archive.as_slice());
    let mut file = files.entries().expect("an archive").next().expect("a file").expect("a file");
    file.read_to_string(&mut contents).expect("text");
    assert!(contents.len() >= 32, "{path} holds a secret");
    contents
}

fn unpack(path: &Path) -> Vec<(String, String)> {
    let file = std::fs::File::open(path).expect("the bundle");
    let mut archive = tar::Archive::new(GzDecoder::new(file));
    let files = archive.entries().expect("an archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a path").display().to_string();
        let mut contents = String::new();
        entry.read_to_string(&mut contents).expect("text");
        (name, contents)
    });
    files.collect()
}
