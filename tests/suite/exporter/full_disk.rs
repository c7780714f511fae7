//! A disk that is really full: nothing is taken in, everything is shown, and with room all goes on.

use super::running::{TOKEN, json, passed, report};
use crate::http::{self, Answer};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// An exporter whose store lies on a small file system of its own, which nobody else sees and which goes with it.
struct OnSmallDisk {
    child: Child,
    address: String,
    _directory: tempfile::TempDir,
    disk: PathBuf,
}

/// Mounts the file system where the exporter alone sees it, and becomes the exporter.
const SCRIPT: &str = r#"mount -t tmpfs -o size=6m qastack-test "$1" && exec "$0" serve \
    --listen 127.0.0.1:0 --data-dir "$1" --admin-token-file token --log-file log"#;

impl OnSmallDisk {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let disk = directory.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let mut command = Command::new("unshare");
        command.arg("--mount");
        if !rustix::process::geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        let child = command
            .args(["sh", "-c", SCRIPT])
            .arg(assert_cmd::cargo::cargo_bin!("qastack"))
            .arg(&disk)
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("unshare, of util-linux");
        // Its own view of the file system, with the small disk in it.
        let disk = PathBuf::from(format!("/proc/{}/root{}", child.id(), disk.display()));
        let mut running = Self { child, address: String::new(), _directory: directory, disk };
        let log = running._directory.path().join("log");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(line) = text.lines().find_map(|line| line.split_once("listening address=")) {
                running.address = line.1.trim().to_owned();
            }
            if text.contains(" ready ") {
                return running;
            }
            let ended = running.child.try_wait().unwrap();
            assert!(
                ended.is_none() && std::time::Instant::now() < deadline,
                "it does not start on a file system of its own, for which this user must be root or may make \
                 user namespaces: {ended:?}\n{text}"
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    fn push(&self, run: u32, body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let headers = [("Host", self.address.as_str()), ("Authorization", bearer.as_str())];
        let path = format!("/api/v1/projects/web/reports?run={run}&branch=main");
        http::send(&self.address, "POST", &path, &headers, body)
    }

    fn runs(&self) -> usize {
        json(&http::get(&self.address, "/api/v1/projects/web/runs?limit=1000")).as_array().unwrap().len()
    }

    /// Fills the disk to the last byte.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.disk.join("filler")).expect("its disk can be reached");
        for size in [64 * 1024, 1] {
            loop {
                match file.write_all(&vec![0x5a; size]) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    }
}

impl Drop for OnSmallDisk {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A report of so many tests that are known to nobody yet.
fn many(run: u32) -> String {
    let cases: Vec<String> = (0..300).map(|test| passed(&format!("a test with a long name {run}-{test}"))).collect();
    report(&cases.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn a_full_disk_refuses_uploads_shows_what_it_has_and_goes_on_when_there_is_room() {
    let exporter = OnSmallDisk::start();
    assert_eq!(exporter.push(0, &many(0)).status, 201);
    exporter.fill();
    // What SQLite has laid out already may take some more.
    let mut stored: u32 = 1;
    let refused = loop {
        let answer = exporter.push(stored, &many(stored));
        match answer.status {
            201 => stored += 1,
            _ => break answer,
        }
        assert!(stored < 1000, "it is never full");
    };
    assert_eq!((refused.status, json(&refused)["code"].as_str()), (507, Some("store_full")), "{refused:?}");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    for path in ["/metrics", "/", "/healthz", "/readyz", "/api/v1/figures"] {
        assert_eq!(http::get(&exporter.address, path).status, 200, "{path}");
    }
    assert_eq!(exporter.runs(), stored as usize, "what was acknowledged is there, and nothing else");
    assert_eq!(exporter.push(stored, &many(stored)).status, 507, "it stays full");
    std::fs::remove_file(exporter.disk.join("filler")).unwrap();
    assert_eq!(exporter.push(stored, &many(stored)).status, 201, "there is room again");
    assert_eq!(exporter.push(stored, &many(stored)).status, 200);
    assert_eq!(exporter.runs(), stored as usize + 1);
}
