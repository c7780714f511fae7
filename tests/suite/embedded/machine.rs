//! A machine of a test's own: a home, a state directory, a port, and an end for everything that was started on it.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// A machine; every exporter that was started on it ends with its value.
pub struct Machine {
    directory: tempfile::TempDir,
    /// Where the exporter is published.
    pub port: u16,
}

impl Machine {
    /// One on which nothing was started yet.
    pub fn new() -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap(), port: free_port() };
        machine.set(&format!("ports: {{ test-metrics: {} }}\n", machine.port));
        machine
    }

    /// Writes the settings file.
    pub fn set(&self, settings: &str) {
        std::fs::write(self.path("qastack.yaml"), settings).unwrap();
    }

    /// A path in the working directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A path in the project's own directory.
    pub fn state(&self, name: &str) -> PathBuf {
        self.path("state/qastack/embedded/qastack").join(name)
    }

    /// Where the exporter answers.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A command line; the engine is to be named in it.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("qastack"));
        // A job's own variables must not decide what a test sees.
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.directory.path()).env("XDG_STATE_HOME", self.path("state"));
        command.current_dir(self.directory.path()).args(arguments);
        command
    }

    /// Runs without containers.
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).args(["--engine", "embedded"]).output().unwrap()
    }

    /// Runs without containers and gives the envelope; the exit code has to be this one.
    pub fn json(&self, arguments: &[&str], exit: i32) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
    }

    /// The number of the process as it is written down.
    pub fn pid(&self) -> i32 {
        let record: Value = serde_json::from_slice(&std::fs::read(self.state("run.json")).unwrap()).unwrap();
        i32::try_from(record["pid"].as_i64().unwrap()).unwrap()
    }

    /// Ends the exporter as a crash would, and waits until it is gone.
    pub fn kill(&self) {
        let pid = self.pid();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.running().contains(&pid) {
            assert!(Instant::now() < deadline, "{pid} was killed and does not end");
            std::thread::yield_now();
        }
    }

    /// The exporters of this machine that run.
    pub fn running(&self) -> Vec<i32> {
        let ours = self.directory.path().to_str().unwrap();
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let pids = entries.filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            // A process that has ended has no command line, even while nobody has taken note of its end.
            let command = std::fs::read(entry.path().join("cmdline")).ok()?;
            String::from_utf8_lossy(&command).contains(ours).then_some(pid)
        });
        pids.collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        for pid in self.running() {
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
    }
}

/// A port nobody listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// What a file may be used for by others than its owner.
pub fn rights_of_others(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o077
}
