//! The engine seen from outside, through its own command line: no code of the product's looks after itself here.

use serde_json::Value;
use std::io::Read;
use std::process::Command;

/// Runs `docker` and gives what it printed.
pub fn docker(arguments: &[&str]) -> String {
    let output = Command::new("docker").args(arguments).output().expect("the docker command runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "docker {arguments:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A file in a container.
#[derive(Debug)]
pub struct File {
    /// Its name, without directories.
    pub name: String,
    /// Its mode.
    pub mode: u32,
    /// The user it belongs to.
    pub owner: u64,
    /// What it holds.
    pub contents: Vec<u8>,
}

/// The files in a directory of a container, whether it runs or not.
pub fn files(container: &str, directory: &str) -> Vec<File> {
    let output =
        Command::new("docker").args(["cp", &format!("{container}:{directory}"), "-"]).output().expect("docker cp");
    assert!(output.status.success(), "{container}:{directory}: {}", String::from_utf8_lossy(&output.stderr));
    let mut files = Vec::new();
    for entry in tar::Archive::new(output.stdout.as_slice()).entries().expect("an archive") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).expect("its contents");
            let path = entry.path().expect("a path").into_owned();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let header = entry.header();
            files.push(File {
                name,
                // Without the bits that tell the kind of file.
                mode: header.mode().expect("a mode") & 0o7777,
                owner: header.uid().expect("an owner"),
                contents,
            });
        }
    }
    files
}

/// What the engine knows of one object.
pub fn inspect(name: &str) -> Value {
    let mut found: Value = serde_json::from_str(&docker(&["inspect", name])).expect("JSON from docker inspect");
    found[0].take()
}

/// The names of the kind (`container`, `network`, `volume`, `image`) with the label `KEY=VALUE`.
pub fn labelled(kind: &str, label: &str) -> Vec<String> {
    let all: &[&str] = if kind == "container" { &["--all"] } else { &[] };
    // Images may have no name at all; the others are told by theirs.
    let field = match kind {
        "container" => "{{.Names}}",
        "image" => "{{.ID}}",
        _ => "{{.Name}}",
    };
    let filter = format!("label={label}");
    let listed = docker(&[&[kind, "ls", "--filter", &filter, "--format", field], all].concat());
    let mut names: Vec<String> = listed.lines().map(str::to_owned).collect();
    names.sort();
    names
}

/// Everything on the engine that carries this project's label: `kind NAME` each.
pub fn objects_of(project: &str) -> Vec<String> {
    let label = format!("dev.qastack.project={project}");
    ["container", "network", "volume"]
        .iter()
        .flat_map(|kind| labelled(kind, &label).into_iter().map(move |name| format!("{kind} {name}")))
        .collect()
}

/// Removes everything that carries this project's label. It runs while a failing test unwinds, so it never
/// panics, and what it cannot remove is left for `./test` to remove at its end.
pub fn remove_project(project: &str) {
    let filter = format!("label=dev.qastack.project={project}");
    let remove = |list: &[&str], remove: &[&str]| {
        let Ok(listed) = Command::new("docker").args(list).args(["--filter", &filter]).output() else { return };
        let listed = String::from_utf8_lossy(&listed.stdout);
        let found: Vec<&str> = listed.split_whitespace().collect();
        if !found.is_empty() {
            let _ = Command::new("docker").args(remove).args(found).output();
        }
    };
    remove(&["container", "ls", "-aq"], &["container", "rm", "--force", "--volumes"]);
    remove(&["network", "ls", "-q"], &["network", "rm"]);
    remove(&["volume", "ls", "-q"], &["volume", "rm"]);
    remove(&["image", "ls", "-q"], &["image", "rm", "--force"]);
}
