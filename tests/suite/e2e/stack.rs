//! One stack of a test's own: a project nobody else has, free ports, a home of its own; gone when it is dropped.

use super::docker;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A service, and its place in [`Stack::ports`].
pub const SERVICES: [&str; 3] = ["test-metrics", "prometheus", "grafana"];

/// A project on the engine, seen from the command line.
pub struct Stack {
    /// The name of the project.
    pub project: String,
    /// The host ports, in the order of [`SERVICES`].
    pub ports: [u16; 3],
    directory: TempDir,
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The exit code.
    pub code: i32,
    /// What it printed for programs.
    pub stdout: String,
    /// What it printed for people.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Stack {
    /// A stack with the images from the environment and otherwise the default settings.
    pub fn new() -> Self {
        let project = format!("e2e-{}-{}", run(), NEXT.fetch_add(1, Ordering::Relaxed));
        let directory = tempfile::Builder::new().prefix(&project).tempdir().expect("a directory for the stack");
        let stack = Self { project, ports: [free_port(), free_port(), free_port()], directory };
        stack.settings("");
        stack
    }

    /// Writes `qastack.yaml`: this stack's own lines, and these after them.
    pub fn settings(&self, more: &str) {
        let [test_metrics, prometheus, grafana] = self.ports;
        let ports = format!("{{ test-metrics: {test_metrics}, prometheus: {prometheus}, grafana: {grafana} }}");
        self.settings_with_ports(&ports, more);
    }

    /// The same, with ports as they are written here.
    pub fn settings_with_ports(&self, ports: &str, more: &str) {
        let text = format!(
            "project: {}\nports: {ports}\n\
             images: {{ prometheus: '{}', grafana: '{}' }}\n{more}",
            self.project,
            needed("QASTACK_TEST_IMAGE_PROMETHEUS"),
            needed("QASTACK_TEST_IMAGE_GRAFANA"),
        );
        std::fs::write(self.directory.path().join("qastack.yaml"), text).expect("qastack.yaml written");
    }

    /// The directory that commands run in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A command of the built program, in an environment with nothing of the caller's but the way to the engine.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let home = self.directory.path();
        let mut command = Command::new(program());
        command
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::null());
        if let Some(engine) = std::env::var_os("DOCKER_HOST") {
            command.env("DOCKER_HOST", engine);
        }
        command
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments))
    }

    /// Runs a command with `--json`, which must end with this exit code, and gives the envelope.
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let finished = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(finished.code, code, "qastack {arguments:?}: {finished:#?}");
        let envelope = finished.envelope();
        assert_eq!(envelope["ok"], code == 0, "ok is true exactly when the exit code is 0: {envelope:#}");
        envelope
    }

    /// Brings the stack up to *proven*, and gives `data`.
    pub fn up(&self) -> Value {
        self.json(&["up"], 0)["data"].take()
    }

    /// The state of the stack, all well, and gives `data`.
    pub fn status(&self) -> Value {
        self.json(&["status"], 0)["data"].take()
    }

    /// What the engine says of a service's container.
    pub fn inspect(&self, service: &str) -> Value {
        docker::inspect(&self.container(service))
    }

    /// The name of a service's container.
    pub fn container(&self, service: &str) -> String {
        format!("{}-{service}", self.project)
    }

    /// The ids of the three containers, in the order of [`SERVICES`].
    pub fn container_ids(&self) -> [String; 3] {
        SERVICES.map(|service| self.inspect(service)["Id"].as_str().expect("an id").to_owned())
    }

    /// Where a service is published: `127.0.0.1:PORT`.
    pub fn address(&self, service: &str) -> String {
        let index = SERVICES.iter().position(|name| *name == service).expect("a service of the stack");
        format!("127.0.0.1:{}", self.ports[index])
    }

    /// What Prometheus answers to an instant query: the value of its only sample.
    pub fn query(&self, expression: &str) -> Option<f64> {
        let answer = crate::http::get(&self.address("prometheus"), &format!("/api/v1/query?query={expression}"));
        let body: Value = serde_json::from_str(&answer.body).expect("JSON from Prometheus");
        body["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    /// A call that a person makes in Grafana.
    pub fn grafana(&self, method: &str, path: &str, body: &Value) -> Value {
        let address = self.address("grafana");
        let login = format!("Basic {}", STANDARD.encode("admin:admin"));
        let headers = [("Host", address.as_str()), ("Authorization", &login), ("Content-Type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = crate::http::send(&address, method, path, &headers, &body);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        serde_json::from_str(&answer.body).expect("JSON from Grafana")
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        docker::remove_project(&self.project);
    }
}

impl Finished {
    /// The envelope on stdout, which must be its only line.
    pub fn envelope(&self) -> Value {
        assert_eq!(self.stdout.trim_end().lines().count(), 1, "one envelope on stdout: {self:#?}");
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON on stdout ({error}): {self:#?}"))
    }
}

/// Runs a command to its end.
pub fn finish(mut command: Command) -> Finished {
    let started = Instant::now();
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    Finished {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        took: started.elapsed(),
    }
}

/// The program under test: the release build, which is also the exporter's image.
fn program() -> PathBuf {
    std::env::var_os("QASTACK_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_qastack")), PathBuf::from)
}

/// A value `./test` gives; a test that needs it cannot do without.
pub fn needed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with ./test --only e2e"))
}

/// Tells the stacks of one run of the tests from those of another.
fn run() -> String {
    std::env::var("QASTACK_TEST_RUN").unwrap_or_else(|_| std::process::id().to_string())
}

static NEXT: AtomicU16 = AtomicU16::new(1);

/// How far apart the ports are that tests are given: whoever asks for a free one instead of a taken one gets the next
/// above it, which must not be another test's.
const PORTS_APART: u16 = 8;

/// A port that nobody listens on, and that no other test of this run is given: below the range from which the
/// kernel gives ports to connections.
pub fn free_port() -> u16 {
    static STEP: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 12_000).expect("below 12,000");
    loop {
        let port = 20_000 + (first + STEP.fetch_add(PORTS_APART, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
