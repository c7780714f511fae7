//! Secrets: a password that everybody knows stays on loopback, one of one's own reaches containers as a file, and a
//! volume with another one is mended.

use super::docker::{self, File, objects_of};
use super::stack::{Stack, finish};
use crate::http;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

#[test]
fn grafana_is_not_published_elsewhere_while_everybody_knows_its_password() {
    let stack = Stack::new();
    let [test_metrics, prometheus, grafana] = stack.ports;
    let elsewhere =
        format!("{{ test-metrics: {test_metrics}, prometheus: {prometheus}, grafana: '0.0.0.0:{grafana}' }}");
    stack.settings_with_ports(&elsewhere, "");
    let refused = stack.json(&["up"], 10);
    assert_eq!(refused["error"]["code"], "settings_invalid");
    let told = refused["error"].to_string();
    assert!(told.contains("admin/admin") && told.contains("--generate-password"), "{told}");
    assert_eq!(objects_of(&stack.project), [""; 0]);

    std::fs::write(stack.directory().join("password"), "admin\n").expect("a password file");
    stack.settings_with_ports(&elsewhere, "grafana: { admin_password_file: password }");
    assert!(
        stack.json(&["up"], 10)["error"].to_string().contains("admin/admin"),
        "the default one in a file is no better"
    );

    stack.settings_with_ports(&elsewhere, "");
    stack.json(&["up", "--generate-password"], 0);
    let address = |service: &str| stack.inspect(service)["HostConfig"]["PortBindings"].to_string();
    assert!(address("grafana").contains("\"HostIp\":\"0.0.0.0\""), "{}", address("grafana"));
    assert!(
        address("prometheus").contains("\"HostIp\":\"127.0.0.1\""),
        "Prometheus has no login: {}",
        address("prometheus")
    );

    // It is known on the engine that there is a password, also when no container is there to look into.
    assert_eq!(stack.up()["steps"], json!([]));
    stack.json(&["down"], 0);
    stack.up();
}

#[test]
fn a_generated_password_replaces_the_default_one_and_is_seen_only_where_it_is_asked_for() {
    let stack = Stack::new();
    stack.up();
    assert_eq!(log_in(&stack, "admin"), 200);
    let before = stack.container_ids();
    let finished = stack.run(&["up", "--generate-password", "--json"]);
    assert_eq!(finished.code, 0, "{finished:#?}");
    assert_eq!(stack.container_ids(), before, "a password is changed in Grafana as it runs");

    let shown = stack.json(&["status", "--show-secrets"], 0)["data"]["secrets"].take();
    let password = shown["grafana_password"].as_str().expect("a password").to_owned();
    assert!(password.len() >= 20, "{password} can be guessed");
    assert_eq!(log_in(&stack, &password), 200);
    assert_eq!(log_in(&stack, "admin"), 401);

    let token = shown["admin_token"].as_str().expect("a token");
    let plain = stack.run(&["status"]);
    let seen = [finished.stdout, finished.stderr, plain.stdout, plain.stderr].concat();
    let inspected = ["grafana", "test-metrics"].map(|service| stack.inspect(service).to_string()).concat();
    for secret in [&password, token] {
        assert!(!seen.contains(secret) && !inspected.contains(secret), "a secret is shown unasked");
    }
    let environment = stack.inspect("grafana")["Config"]["Env"].to_string();
    assert!(
        environment.contains("GF_SECURITY_ADMIN_PASSWORD__FILE=/run/qastack/grafana/admin-password"),
        "{environment}"
    );
    let mut files: Vec<_> = secrets(&stack).into_iter().map(|file| (file.name, file.mode, file.owner)).collect();
    files.sort();
    assert_eq!(files, ["admin-password", "secret-key"].map(|name| (name.to_owned(), 0o400, 472)));

    assert_eq!(stack.json(&["up", "--generate-password"], 0)["data"]["steps"], json!([]), "the one there is stays");
    assert_eq!(log_in(&stack, &password), 200);
}

#[test]
fn a_kept_volume_with_another_password_is_explained_at_the_first_refusal_and_mended() {
    let stack = Stack::new();
    stack.up();
    let key = secret_key(&stack);
    // Somebody changes the password in Grafana; nothing of ours knows.
    change_password(&stack, "admin", "changed by hand");
    let refused = stack.json(&["up"], 8);
    assert_eq!(refused["error"]["code"], "grafana_password");
    let told = refused["error"].to_string();
    assert!(told.contains(&format!("{}-grafana-data", stack.project)), "{told}");
    assert!(told.contains("qastack grafana reset-password"), "{told}");

    // However often somebody looks, the refused password is not tried again: five refusals lock the user out.
    for _ in 0..3 {
        let looked = stack.json(&["status"], 3)["data"]["data_source"].take();
        assert!(looked["message"].as_str().is_some_and(|message| message.contains("not tried again")), "{looked}");
        let again = stack.json(&["up"], 8)["error"].to_string();
        assert!(again.contains("not tried again") && again.contains("qastack grafana reset-password"), "{again}");
    }

    let reset = stack.json(&["grafana", "reset-password"], 0);
    assert_eq!(reset["data"], json!({ "user": "admin", "password_from": "default" }));
    assert_eq!(log_in(&stack, "admin"), 200, "the login that was refused once is not locked out");
    stack.up();
    assert_eq!(secret_key(&stack), key, "the key that Grafana encrypts with is made once");

    // The same with a password of the settings, and for a stack that was down meanwhile.
    std::fs::write(stack.directory().join("password"), "of my own\n").expect("a password file");
    stack.settings("grafana: { admin_password_file: password }");
    stack.json(&["up"], 8);
    let reset = stack.json(&["grafana", "reset-password"], 0);
    assert_eq!(reset["data"]["password_from"], "settings");
    stack.up();
    stack.json(&["down"], 0);
    stack.up();
    assert_eq!(log_in(&stack, "of my own"), 200);
    assert_eq!(secret_key(&stack), key);

    stack.settings("");
    let reset = stack.json(&["grafana", "reset-password", "--generate"], 0);
    assert_eq!(reset["data"]["password_from"], "made");
    stack.up();
    assert_eq!(log_in(&stack, "of my own"), 401);
}

#[test]
fn a_password_of_two_places_is_refused_in_words() {
    let stack = Stack::new();
    std::fs::write(stack.directory().join("password"), "of my own\n").expect("a password file");
    stack.settings("grafana: { admin_password_file: password }");
    for command in [&["up", "--generate-password"][..], &["grafana", "reset-password", "--generate"]] {
        let refused = stack.json(command, 10);
        assert!(refused["error"].to_string().contains("admin_password_file"), "{refused:#}");
    }
    let mut command = stack.command(&["grafana", "reset-password", "--json"]);
    command.env("QASTACK_PROJECT", format!("{}-none", stack.project));
    let finished = finish(command);
    assert_eq!(finished.code, 3, "{finished:#?}");
    assert_eq!(finished.envelope()["error"]["code"], "not_running");
}

/// The status that Grafana answers a login with.
fn log_in(stack: &Stack, password: &str) -> u16 {
    as_admin(stack, password, "GET", "/api/org", "").status
}

fn change_password(stack: &Stack, from: &str, to: &str) {
    let body = json!({ "oldPassword": from, "newPassword": to, "confirmNew": to }).to_string();
    let answer = as_admin(stack, from, "PUT", "/api/user/password", &body);
    assert_eq!(answer.status, 200, "{}", answer.body);
}

fn as_admin(stack: &Stack, password: &str, method: &str, path: &str, body: &str) -> http::Answer {
    let address = stack.address("grafana");
    let login = format!("Basic {}", STANDARD.encode(format!("admin:{password}")));
    let headers = [("Host", address.as_str()), ("Authorization", &login), ("Content-Type", "application/json")];
    http::send(&address, method, path, &headers, body)
}

/// Grafana's secrets in their volume.
fn secrets(stack: &Stack) -> Vec<File> {
    docker::files(&stack.container("grafana"), "/run/qastack/grafana")
}

fn secret_key(stack: &Stack) -> Vec<u8> {
    let key = secrets(stack).into_iter().find(|file| file.name == "secret-key").expect("the secret key");
    assert_eq!(key.contents.len(), 64);
    key.contents
}
