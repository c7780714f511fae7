//! An engine that is on another machine as far as the network goes. `tests/environment/far-engine` says how.

use super::stack::Stack;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A far engine; it ends when this is dropped.
pub struct FarEngine {
    /// Its machine's address.
    pub host: String,
    directory: tempfile::TempDir,
    process: Child,
    said: BufReader<ChildStdout>,
}

impl FarEngine {
    /// Starts one. The number tells those of one run apart.
    pub fn start(number: u8) -> Self {
        let directory = tempfile::Builder::new().prefix("qastack-far").tempdir().expect("a directory");
        let mut command = Command::new(if rustix::process::geteuid().is_root() { "env" } else { "sudo" });
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/environment/far-engine"));
        command.arg(directory.path()).arg(number.to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the far engine starts");
        let mut said = BufReader::new(process.stdout.take().expect("its output"));
        let host = ready(&mut said);
        Self { host, directory, process, said }
    }

    /// Ends it as its machine's init system does, and comes back when it answers again.
    pub fn restart(&mut self) {
        self.process.stdin.as_mut().expect("its input").write_all(b"restart\n").expect("asked");
        ready(&mut self.said);
    }

    /// Its socket on this machine, for looking at it from outside.
    pub fn socket(&self) -> String {
        format!("unix://{}", self.directory.path().join("docker.sock").display())
    }

    /// What it knows of a container.
    pub fn containers(&self, project: &str) -> Vec<String> {
        let filter = format!("label=dev.qastack.project={project}");
        let output = Command::new("docker")
            .args(["--host", &self.socket(), "ps", "--all", "--quiet", "--filter", &filter])
            .output()
            .expect("docker runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect()
    }

    /// Makes it a context of the docker command in the stack's home, the way `docker context create` does.
    pub fn as_context(&self, stack: &Stack, name: &str) {
        use sha2::Digest;
        let id: String = sha2::Sha256::digest(name).iter().map(|byte| format!("{byte:02x}")).collect();
        let contexts = stack.directory().join(".docker/contexts");
        let meta = contexts.join("meta").join(&id);
        std::fs::create_dir_all(&meta).expect("a directory");
        let host = format!("tcp://{}:2376", self.host);
        let described =
            serde_json::json!({ "Name": name, "Metadata": {}, "Endpoints": { "docker": { "Host": host } } });
        std::fs::write(meta.join("meta.json"), described.to_string()).expect("a file");
        let tls = contexts.join("tls").join(&id).join("docker");
        std::fs::create_dir_all(&tls).expect("a directory");
        for file in ["ca.pem", "cert.pem", "key.pem"] {
            std::fs::copy(self.tls().join(file), tls.join(file)).expect("a file");
        }
    }

    /// The directory with what proves who we are.
    pub fn tls(&self) -> PathBuf {
        self.directory.path().join("tls")
    }
}

/// Waits for what it says when it answers: its address.
fn ready(said: &mut BufReader<ChildStdout>) -> String {
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    line.trim().strip_prefix("ready ").expect("an engine that answers").to_owned()
}

impl Drop for FarEngine {
    fn drop(&mut self) {
        // Its input is closed, and it cleans up after itself.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
