//! A stack on Podman's socket, by a service of the test's own: `tests/environment/podman-engine` says how.

use super::stack::{Stack, finish, needed};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

struct Podman {
    directory: tempfile::TempDir,
    process: Child,
}

impl Podman {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("qastack-podman").tempdir().expect("a directory");
        let mut command = Command::new(if rustix::process::geteuid().is_root() { "env" } else { "sudo" });
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/environment/podman-engine"));
        command.arg(directory.path());
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("Podman starts");
        let mut said = String::new();
        BufReader::new(process.stdout.take().expect("its output")).read_line(&mut said).expect("a line");
        assert_eq!(said.trim(), "ready");
        Self { directory, process }
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.directory.path().join("podman.sock").display())
    }

    /// Gives it the images of the tests.
    fn load_images(&self) {
        let images = ["QASTACK_TEST_IMAGE_PROMETHEUS", "QASTACK_TEST_IMAGE_GRAFANA"].map(needed);
        let mut save =
            Command::new("docker").arg("save").args(images).stdout(Stdio::piped()).spawn().expect("docker save");
        let archive = save.stdout.take().expect("its output");
        self.docker_with(&["load"], Stdio::from(archive));
        assert!(save.wait().expect("its end").success());
    }

    fn docker(&self, arguments: &[&str]) -> String {
        self.docker_with(arguments, Stdio::null())
    }

    fn docker_with(&self, arguments: &[&str], input: Stdio) -> String {
        let output = Command::new("docker")
            .args([&["--host", &self.socket()], arguments].concat())
            .stdin(input)
            .output()
            .expect("docker runs");
        assert!(output.status.success(), "docker {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // Its input is closed, and it cleans up after itself.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

#[test]
fn a_stack_on_podman_is_brought_up_kept_repaired_and_taken_down() {
    let stack = Stack::new();
    let podman = Podman::start();
    podman.load_images();
    let on_podman = |arguments: &[&str], code: i32| -> Value {
        let mut command = stack.command(&[arguments, &["--json"]].concat());
        command.env("DOCKER_HOST", podman.socket());
        let finished = finish(command);
        assert_eq!(finished.code, code, "{arguments:?}: {finished:#?}");
        finished.envelope()
    };
    let up = on_podman(&["up", "--pull", "never"], 0);
    for service in up["data"]["services"].as_array().expect("services") {
        assert_eq!(service["state"], "running", "{up:#}");
    }
    assert_eq!(on_podman(&["up"], 0)["data"]["steps"], json!([]), "nothing has to change");
    let status = on_podman(&["status"], 0);
    assert_eq!(status["data"]["target"]["health"], "up", "{status:#}");
    assert_eq!(status["data"]["data_source"]["health"], "ok", "{status:#}");

    // Not Prometheus: Podman's name server goes on telling its old address.
    podman.docker(&["stop", &stack.container("grafana")]);
    let status = on_podman(&["status"], 3);
    assert_eq!(status["data"]["services"][2]["state"], "exited", "{status:#}");
    let repair = on_podman(&["up"], 0);
    let actions: Vec<&Value> =
        repair["data"]["steps"].as_array().expect("steps").iter().map(|step| &step["action"]).collect();
    assert!(actions.iter().all(|action| *action != "create_container"), "the same container runs again: {actions:?}");

    let doctor = on_podman(&["doctor"], 0);
    assert!(doctor["data"]["checks"].to_string().contains("Podman"), "{doctor:#}");
    on_podman(&["down", "--volumes"], 0);
    let ours = format!("label=dev.qastack.project={}", stack.project);
    for kind in [&["ps", "--all"][..], &["network", "ls"], &["volume", "ls"]] {
        assert_eq!(podman.docker(&[kind, &["--quiet", "--filter", &ours]].concat()), "", "{kind:?}");
    }
}
