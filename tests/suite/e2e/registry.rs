//! Registries of a test's own on loopback, which the engine takes without TLS: a real one, with or without a login, and a
//! proxy before it that breaks off where it is told to.

use super::stack::{free_port, needed};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Who may pull where a login is asked for. In base64 it has every character that tells the two alphabets apart.
pub const LOGIN: (&str, &str) = ("ann", "~~~???>>>ÿÿÿ");

/// Its password as `htpasswd` writes it.
const HASHED: &str = "$2b$05$abcdefghijklmnopqrstuureYt1QPQ25ZzIxJ8F1CbRf6RdOOv7ma";

/// A registry that runs until it is dropped.
pub struct Registry {
    /// Where it is: `127.0.0.1:PORT`.
    pub address: String,
    process: Child,
    _directory: tempfile::TempDir,
}

impl Registry {
    /// One that lets everybody in.
    pub fn open() -> Self {
        Self::start("")
    }

    /// One that lets only [`LOGIN`] in.
    pub fn with_login() -> Self {
        Self::start("auth: { htpasswd: { realm: test, path: HTPASSWD } }\n")
    }

    fn start(auth: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let htpasswd = directory.path().join("htpasswd");
        std::fs::write(&htpasswd, format!("{}:{HASHED}\n", LOGIN.0)).expect("a file");
        let address = format!("127.0.0.1:{}", free_port());
        let settings = format!(
            "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {}/data }}, delete: {{ enabled: true }} }}\n\
             http: {{ addr: {address} }}\n{}",
            directory.path().display(),
            auth.replace("HTPASSWD", &htpasswd.display().to_string()),
        );
        let path = directory.path().join("config.yml");
        std::fs::write(&path, settings).expect("a file");
        let mut command = Command::new(needed("QASTACK_REGISTRY"));
        command.arg("serve").arg(&path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = command.spawn().expect("the registry starts");
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(&address).is_err() {
            assert!(Instant::now() < deadline, "the registry at {address} does not answer");
            std::thread::yield_now();
        }
        Self { address, process, _directory: directory }
    }

    /// Puts an image of the engine's into it, and gives the reference it has there. The engine forgets it again.
    pub fn take(&self, image: &str, name: &str) -> String {
        let reference = format!("{}/{name}", self.address);
        let home = tempfile::tempdir().expect("a directory");
        log_in(home.path(), &self.address);
        let run = |arguments: &[&str]| {
            let output = Command::new("docker").env("DOCKER_CONFIG", home.path()).args(arguments).output();
            let output = output.expect("docker runs");
            assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["tag", image, &reference]);
        run(&["push", "--quiet", &reference]);
        run(&["rmi", &reference]);
        reference
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Writes the file that `docker login` writes.
pub fn log_in(directory: &Path, address: &str) {
    use base64::Engine as _;
    let auth = base64::prelude::BASE64_STANDARD.encode(format!("{}:{}", LOGIN.0, LOGIN.1));
    let config = serde_json::json!({ "auths": { address: { "auth": auth } } });
    std::fs::write(directory.join("config.json"), config.to_string()).expect("a file");
}

/// Stands before a registry and breaks off an answer in the middle of a layer, so many times.
pub struct Breaking {
    /// Where it is: `127.0.0.1:PORT`.
    pub address: String,
    /// How many answers were broken off so far.
    pub broken: Arc<AtomicUsize>,
}

impl Breaking {
    /// Before this registry; answers longer than `after` bytes are broken off there, `times` times in all.
    pub fn before(registry: &Registry, after: usize, times: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let broken = Arc::new(AtomicUsize::new(0));
        let (count, behind) = (Arc::clone(&broken), registry.address.clone());
        // It ends with the test's process; nobody connects any more by then.
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (count, behind) = (Arc::clone(&count), behind.clone());
                std::thread::spawn(move || pass(&client, &behind, after, times, &count));
            }
        });
        Self { address, broken }
    }
}

/// Passes one connection on, both ways.
fn pass(client: &TcpStream, behind: &str, after: usize, times: usize, count: &AtomicUsize) {
    let Ok(server) = TcpStream::connect(behind) else { return };
    let (Ok(mut from_client), Ok(mut to_server)) = (client.try_clone(), server.try_clone()) else { return };
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let (mut from_server, mut to_client) = (&server, client);
    let (mut part, mut passed) = (vec![0; 64 << 10], 0);
    while let Ok(read) = from_server.read(&mut part) {
        if read == 0 || to_client.write_all(&part[..read]).is_err() {
            break;
        }
        passed += read;
        if passed > after && count.load(Ordering::SeqCst) < times {
            count.fetch_add(1, Ordering::SeqCst);
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = server.shutdown(Shutdown::Both);
}
