//! An engine that is on another machine as far as the network goes. `tests/environment/far-engine` says how.

use super::stack::Stack;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A far engine; it ends when this is dropped.
pub struct FarEngine {
    /// Its machine's address.
    pub host: String,
    directory: tempfile::TempDir,
    process: Child,
}

impl FarEngine {
    /// Starts one. The number tells those of one run apart.
    pub fn start(number: u8) -> Self {
        let directory = tempfile::Builder::new().prefix("qastack-far").tempdir().expect("a directory");
        let mut command = Command::new(if rustix::process::geteuid().is_root() { "env" } else { "sudo" });
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/environment/far-engine"));
        command.arg(directory.path()).arg(number.to_string());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the far engine starts");
        let mut said = String::new();
        let stdout = process.stdout.take().expect("its output");
        BufReader::new(stdout).read_line(&mut said).expect("a line");
        let host = said.trim().strip_prefix("ready ").expect("an engine that answers").to_owned();
        Self { host, directory, process }
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

impl Drop for FarEngine {
    fn drop(&mut self) {
        // Its input is closed, and it cleans up after itself.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}
