//! Which engine is found, and how it is reached: sockets where other products put them, TLS, ssh, another machine's
//! loopback, one that hangs.

use super::far::FarEngine;
use super::stack::{SERVICES, Stack, finish, free_port, needed};
use crate::faults::desk::{finish_child, held_at};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn an_engine_is_found_where_each_product_puts_its_socket() {
    let stack = Stack::new();
    let home = stack.directory();
    for (product, socket) in [
        ("Docker Desktop", ".docker/run/docker.sock"),
        ("Docker Desktop on Linux", ".docker/desktop/docker.sock"),
        ("Colima", ".colima/default/docker.sock"),
        ("OrbStack", ".orbstack/run/docker.sock"),
        ("Rancher Desktop", ".rd/docker.sock"),
        ("rootless", "runtime/docker.sock"),
        ("Podman", "runtime/podman/podman.sock"),
    ] {
        let path = home.join(socket);
        std::fs::create_dir_all(path.parent().expect("a directory")).expect("a directory");
        std::fs::write(&path, "").expect("a place for the socket");
        let found = elsewhere(&stack, &["doctor", "--json"], Some(socket));
        let message = engine_of(&found);
        assert!(message.contains(&format!("unix://{} (known socket)", path.display())), "{product}: {message}");
        std::fs::remove_file(&path).expect("a file");
    }
    let none = elsewhere(&stack, &["status", "--engine", "docker", "--json"], None);
    assert_eq!(none["error"]["code"], "engine_unreachable", "{none:#}");
    let tried = none["error"]["message"].as_str().expect("words");
    for socket in ["/var/run/docker.sock", ".colima/default/docker.sock", ".orbstack/run/docker.sock", "podman.sock"] {
        assert!(tried.contains(socket), "every socket that was tried is named: {tried}");
    }
}

/// Runs a command where the usual socket leads nowhere, and the engine's is at this path below the home.
fn elsewhere(stack: &Stack, arguments: &[&str], socket: Option<&str>) -> Value {
    let real = std::fs::canonicalize("/var/run/docker.sock").expect("the engine's socket");
    let real = real.display();
    let bind = socket.map(|socket| format!("mount --bind {real} \"$HOME/{socket}\" && ")).unwrap_or_default();
    // Where Podman is installed, the system's own may answer too.
    let others = "[ ! -S /run/podman/podman.sock ] || mount --bind /dev/null /run/podman/podman.sock";
    let script = format!("{bind}{others}; mount --bind /dev/null {real} && exec \"$0\" \"$@\"");
    let inner = stack.command(arguments);
    let mut command = Command::new("unshare");
    command.args(["--mount", "--map-root-user", "sh", "-c", &script]).arg(inner.get_program()).args(inner.get_args());
    command.current_dir(stack.directory()).env_clear();
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env_remove("DOCKER_HOST").env("XDG_RUNTIME_DIR", stack.directory().join("runtime"));
    finish(command).envelope()
}

fn engine_of(doctor: &Value) -> String {
    let checks = doctor["data"]["checks"].as_array().unwrap_or_else(|| panic!("no checks: {doctor:#}"));
    let engine = checks.iter().find(|check| check["name"] == "engine").expect("the engine");
    engine["message"].as_str().expect("words").to_owned()
}

#[test]
fn an_engine_that_takes_connections_and_never_answers_is_named_within_ten_seconds() {
    let stack = Stack::new();
    let path = stack.directory().join("hung.sock");
    let _hung = UnixListener::bind(&path).expect("a socket");
    let address = format!("unix://{}", path.display());
    let finished = stack.run(&["up", "--host", &address, "--json"]);
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.took < Duration::from_secs(10), "{:?}", finished.took);
    let error = finished.envelope()["error"].take();
    assert!(
        error["message"].as_str().is_some_and(|text| text.contains(&address) && text.contains("no answer")),
        "{error}"
    );
}

#[test]
fn a_stack_on_the_loopback_of_another_machine_is_brought_up_watched_fed_and_taken_down_from_here() {
    let stack = Stack::new();
    let far = FarEngine::start(stack.ports[0].to_be_bytes()[1]);
    far.as_context(&stack, "far");
    let here = stack.run(&["images", "save", "images.tar", "--json"]);
    assert_eq!(here.code, 0, "{here:#?}");
    let there = |arguments: &[&str], code| stack.json(&[arguments, &["--context", "far"]].concat(), code);
    assert_eq!(there(&["images", "list"], 0)["data"]["images"][1]["present"], false, "it has no images yet");
    there(&["images", "load", "images.tar"], 0);

    let up = there(&["up", "--pull", "never"], 0);
    for port in stack.ports {
        let reached = TcpStream::connect_timeout(
            &format!("{}:{port}", far.host).parse().expect("an address"),
            Duration::from_secs(2),
        );
        assert!(reached.is_err(), "port {port} is on the other machine's loopback");
        assert!(TcpStream::connect(("127.0.0.1", port)).is_err(), "and not on this one's");
    }
    for service in up["data"]["services"].as_array().expect("services") {
        assert_eq!((&service["state"], &service["url"]), (&"running".into(), &Value::Null), "{up:#}");
    }
    let notice = format!("ssh -L {0}:127.0.0.1:{0}", stack.ports[0]);
    assert!(up["warnings"].to_string().contains(&notice), "{up:#}");
    assert_eq!(there(&["up"], 0)["data"]["steps"], serde_json::json!([]), "nothing has to change");

    let report = r#"<testsuite name="s" tests="1"><testcase classname="c" name="n" time="0.1"/></testsuite>"#;
    std::fs::write(stack.directory().join("report.xml"), report).expect("a report");
    there(&["push", "report.xml"], 0);
    let status = there(&["status"], 0);
    assert_eq!(status["data"]["target"]["health"], "up", "{status:#}");
    assert_eq!(status["data"]["data_source"]["health"], "ok", "{status:#}");
    assert_eq!(status["data"]["figures"]["sample"], false, "what was pushed has arrived: {status:#}");

    // The same engine by variables, and behind ssh: a program of that name stands in for the way there.
    let mut by_variables = stack.command(&["doctor", "--json"]);
    by_variables
        .env("DOCKER_HOST", format!("tcp://{}:2376", far.host))
        .env("DOCKER_TLS_VERIFY", "1")
        .env("DOCKER_CERT_PATH", far.tls());
    let doctor = finish(by_variables);
    assert_eq!(doctor.code, 0, "{doctor:#?}");
    assert!(engine_of(&doctor.envelope()).contains("(DOCKER_HOST)"), "{doctor:#?}");
    let mut without_proof = stack.command(&["status", "--json"]);
    without_proof.env("DOCKER_HOST", format!("tcp://{}:2376", far.host));
    assert_eq!(finish(without_proof).code, 4, "who does not prove who he is, is not let in");

    let programs = stack.directory().join("programs");
    std::fs::create_dir_all(&programs).expect("a directory");
    let script = format!(
        "#!/bin/sh\necho \"$@\" >>{0}/asked\nexec docker --host {1} system dial-stdio\n",
        programs.display(),
        far.socket()
    );
    executable(&programs.join("ssh"), &script);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let behind_ssh = |arguments: &[&str]| {
        let mut command = stack.command(&[arguments, &["--host", "ssh://ann@far.example:2222", "--json"]].concat());
        command.env("PATH", &path);
        finish(command)
    };
    let status = behind_ssh(&["status"]);
    assert_eq!(status.code, 0, "{status:#?}");
    assert_eq!(status.envelope()["data"]["target"]["health"], "up");
    let asked = std::fs::read_to_string(programs.join("asked")).expect("ssh was started");
    assert!(
        asked.lines().all(|line| line.ends_with("-l ann -p 2222 -- far.example docker system dial-stdio")),
        "{asked}"
    );

    executable(
        &programs.join("ssh"),
        "#!/bin/sh\necho 'ann@far.example: Permission denied (publickey).' >&2\nexit 255\n",
    );
    let refused = behind_ssh(&["status"]);
    assert_eq!(refused.code, 4, "{refused:#?}");
    let message = refused.envelope()["error"]["message"].to_string();
    assert!(message.contains("Permission denied (publickey)"), "ssh's own words are told: {message}");

    assert_eq!(far.containers(&stack.project).len(), SERVICES.len());
    there(&["down", "--volumes"], 0);
    assert_eq!(far.containers(&stack.project), [""; 0]);
}

#[test]
fn an_engine_behind_a_real_ssh_server_is_used_with_one_login() {
    let stack = Stack::new();
    let directory = tempfile::Builder::new().prefix("qastack-ssh").tempdir().expect("a directory");
    let server = SshServer::start(directory.path());
    let programs = stack.directory().join("programs");
    std::fs::create_dir_all(&programs).expect("a directory");
    let config = directory.path().join("ssh_config");
    // ssh finds a user's configuration by the account, not by the environment.
    executable(&programs.join("ssh"), &format!("#!/bin/sh\nexec /usr/bin/ssh -F {} \"$@\"\n", config.display()));
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").expect("a path"));
    let behind = |arguments: &[&str], code| {
        let mut command = stack.command(&[arguments, &["--json"]].concat());
        command.env("PATH", &path).env("DOCKER_HOST", "ssh://near");
        let finished = finish(command);
        assert_eq!(finished.code, code, "{arguments:?}: {finished:#?}");
        finished.envelope()
    };
    let up = behind(&["up"], 0);
    assert_eq!(up["data"]["services"][2]["state"], "running", "{up:#}");
    let status = behind(&["status"], 0);
    assert_eq!(status["data"]["target"]["health"], "up", "{status:#}");
    let logins = || {
        let log = std::fs::read_to_string(directory.path().join("sshd.log")).expect("the server's log");
        log.lines().filter(|line| line.starts_with("Accepted publickey")).count()
    };
    let before = logins();
    behind(&["status"], 0);
    assert_eq!(logins() - before, 1, "all connections of a command go over one login");
    behind(&["down", "--volumes"], 0);
    assert_eq!(super::docker::objects_of(&stack.project), [""; 0]);

    std::fs::write(directory.path().join("authorized_keys"), "").expect("nobody is let in any more");
    let refused = behind(&["status"], 4);
    let message = refused["error"]["message"].to_string();
    assert!(message.contains("Permission denied (publickey)"), "ssh's own words are told: {message}");
    drop(server);
}

/// A real sshd on loopback. `tests/environment/ssh-server` says how.
struct SshServer(std::process::Child);

impl SshServer {
    fn start(directory: &std::path::Path) -> Self {
        let mut command = Command::new(if rustix::process::geteuid().is_root() { "env" } else { "sudo" });
        command.arg(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/environment/ssh-server"));
        command.arg(directory).arg(free_port().to_string()).arg(needed("QASTACK_SSH_SERVER"));
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the server starts");
        let mut said = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut said).expect("a line");
        assert_eq!(said.trim(), "ready");
        Self(process)
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

#[test]
fn an_engine_that_is_restarted_in_the_middle_of_up_and_after_it_is_put_right_by_the_next_one() {
    let stack = Stack::new();
    let mut far = FarEngine::start(stack.ports[0].to_be_bytes()[1]);
    far.as_context(&stack, "far");
    stack.json(&["images", "save", "images.tar"], 0);
    let there = |arguments: &[&str], code| stack.json(&[arguments, &["--context", "far"]].concat(), code);
    there(&["images", "load", "images.tar"], 0);

    let marker = stack.directory().join("marker");
    let up = stack.command(&["up", "--pull", "never", "--context", "far", "--json"]);
    let held = held_at(up, "ready:prometheus", &marker);
    far.restart();
    std::fs::remove_file(&marker).expect("it goes on");
    let finished = finish_child(held);
    assert!(finished.took < Duration::from_secs(60), "not after the 120 s that services have: {finished:#?}");
    assert!(finished.code == 0 || !finished.envelope()["error"]["message"].is_null(), "{finished:#?}");
    there(&["up", "--pull", "never"], 0);
    assert_eq!(there(&["up"], 0)["data"]["steps"], serde_json::json!([]), "nothing has to change");

    let before = far.containers(&stack.project);
    far.restart();
    let status = there(&["status"], 3);
    let message = status["error"]["message"].as_str().expect("words").to_owned();
    for service in SERVICES {
        assert!(message.contains(&format!("{service} is not running: exited with exit code ")), "{message}");
    }
    there(&["up"], 0);
    assert_eq!(far.containers(&stack.project), before, "the same containers run again");
    assert_eq!(there(&["status"], 0)["data"]["target"]["health"], "up");
    there(&["down", "--volumes"], 0);
    assert_eq!(far.containers(&stack.project), [""; 0]);
}

fn executable(path: &std::path::Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
}
