//! A desk of a test's own: a fake engine with a stranger's things on it, settings, a home, and the built program.

use crate::e2e::stack::{Finished, free_port};
use crate::engine_double::{Engine, Fault, Model};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// No command takes so long, however slow the machine: one that does hangs.
const HANGS: Duration = Duration::from_secs(300);

/// The name of every desk's project; each has an engine of its own.
pub const PROJECT: &str = "faulty";

pub struct Desk {
    pub engine: Engine,
    pub ports: [u16; 3],
    directory: TempDir,
    strangers: Vec<String>,
}

impl Desk {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let engine = Engine::fake(&directory.path().join("engine.sock"));
        engine.model().add_strangers(PROJECT);
        let strangers = engine.model().others(PROJECT);
        let desk = Self { engine, ports: [free_port(), free_port(), free_port()], directory, strangers };
        desk.settings("");
        desk
    }

    /// Writes `qastack.yaml`: the desk's own lines, and these after them.
    pub fn settings(&self, more: &str) {
        let [test_metrics, prometheus, grafana] = self.ports;
        let text = format!(
            "project: {PROJECT}\nports: {{ test-metrics: {test_metrics}, prometheus: {prometheus}, grafana: {grafana} }}\n\
             images: {{ test-metrics: 'example.org/test-metrics:1', prometheus: 'example.org/prometheus:1', \
             grafana: 'example.org/grafana:1' }}\n{more}"
        );
        std::fs::write(self.path("qastack.yaml"), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where the state directory is.
    pub fn state(&self, name: &str) -> PathBuf {
        self.path("state/qastack").join(name)
    }

    pub fn model(&self) -> &Arc<Model> {
        self.engine.model()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(Path::new(env!("CARGO_BIN_EXE_qastack")), arguments)
    }

    /// Another program in the same surroundings.
    pub fn command_of(&self, program: &Path, arguments: &[&str]) -> Command {
        let home = self.directory.path();
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(home)
            .env_clear()
            .env("HOME", home)
            .env("XDG_STATE_HOME", home.join("state"))
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("DOCKER_HOST", self.engine.address())
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end; nothing that happens may be beyond the documented exit codes.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        finish(self.command(arguments))
    }

    /// Runs a command with `--json` that must end with this exit code, and gives the envelope.
    pub fn json(&self, arguments: &[&str], code: i32) -> Value {
        let finished = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(finished.code, code, "qastack {arguments:?}: {finished:#?}");
        finished.envelope()
    }

    /// Orders a fault.
    pub fn fail(&self, fault: Fault) {
        self.engine.fail(fault);
    }

    /// What is expected from wherever the desk was left: one `up` that succeeds and makes everything once, a second one
    /// that has nothing to do, and a `down --volumes` that leaves nothing of ours and everything of others.
    pub fn is_put_right(&self, after: &str) {
        self.is_brought_up(after);
        self.is_cleared(after);
    }

    pub fn is_brought_up(&self, after: &str) {
        let kept = self.model().secrets(PROJECT);
        let up = self.run(&["up", "--json"]);
        assert_eq!(up.code, 0, "up after {after}: {up:#?}");
        let objects = self.model().objects_of(PROJECT);
        let count = |kind: &str| objects.iter().filter(|object| object.starts_with(kind)).count();
        assert_eq!((count("container "), count("network ")), (3, 1), "after {after}: {objects:#?}");
        let now = self.model().secrets(PROJECT);
        assert_eq!(now.len(), 3, "after {after}: {:?}", now.keys());
        for (path, secret) in kept {
            assert_eq!(now.get(&path), Some(&secret), "{path} is kept after {after}");
        }
        let again = self.run(&["up", "--json"]);
        assert_eq!(again.envelope()["data"]["steps"], Value::Array(vec![]), "a second up after {after}: {again:#?}");
    }

    pub fn is_cleared(&self, after: &str) {
        let down = self.run(&["down", "--volumes", "--json"]);
        assert_eq!(down.code, 0, "down after {after}: {down:#?}");
        assert_eq!(self.model().objects_of(PROJECT), [""; 0], "after {after}");
        self.strangers_are_left(after);
    }

    pub fn strangers_are_left(&self, after: &str) {
        assert_eq!(self.model().others(PROJECT), self.strangers, "what is not ours, after {after}");
    }
}

/// Runs a command to its end, which must come, with a documented exit code and without a panic.
pub fn finish(mut command: Command) -> Finished {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    finish_child(child)
}

pub fn finish_child(mut child: Child) -> Finished {
    let started = Instant::now();
    let read = |stream: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut text = String::new();
            let _ = stream.map(|mut stream| stream.read_to_string(&mut text));
            text
        })
    };
    let stdout = read(child.stdout.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let stderr = read(child.stderr.take().map(|stream| Box::new(stream) as Box<dyn Read + Send>));
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > HANGS => {
                child.kill().unwrap();
                panic!("hangs: {}\n{}", stdout.join().unwrap(), stderr.join().unwrap());
            }
            None => std::thread::sleep(Duration::from_millis(10)),
        }
    };
    let finished = Finished {
        code: status.code().unwrap_or(-1),
        stdout: stdout.join().unwrap(),
        stderr: stderr.join().unwrap(),
        took: started.elapsed(),
    };
    let is_documented = qastack::exit_code::TABLE.iter().any(|row| i32::from(row.2) == finished.code);
    // One that was killed has no code.
    assert!(finished.code <= 0 || is_documented && finished.code != 1, "a documented exit code: {finished:#?}");
    assert!(!finished.stderr.contains("panicked"), "{finished:#?}");
    finished
}

/// Starts a command and waits until it is held at a checkpoint.
pub fn held_at(mut command: Command, place: &str, marker: &Path) -> Child {
    let _ = std::fs::remove_file(marker);
    command.env("QASTACK_CHECKPOINT", place).env("QASTACK_CHECKPOINT_MARKER", marker);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while !marker.exists() {
        if child.try_wait().unwrap().is_some() || started.elapsed() > HANGS {
            let _ = child.kill();
            panic!("it does not come to {place}: {:#?}", finish_child(child));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

/// Sends a signal to a process of ours.
pub fn send(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}
