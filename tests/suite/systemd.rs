//! `qastack render systemd`, judged by systemd's own tool.

use std::path::Path;
use std::process::{Command, Output};

fn rendered(directory: &Path, arguments: &[&str]) -> String {
    let program = assert_cmd::cargo::cargo_bin!("qastack");
    let output = Command::new(program)
        .args(["render", "systemd", "--executable"])
        .arg(program)
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn analyze(arguments: &[&str], unit: &Path) -> Output {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit).env("XDG_RUNTIME_DIR", unit.parent().unwrap());
    command.output().unwrap_or_else(|error| panic!("systemd-analyze (package systemd) is needed: {error}"))
}

#[test]
fn systemd_finds_nothing_wrong_with_either_unit() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("qastack.service");
    for (arguments, manager) in [(&[][..], "--system"), (&["--user"], "--user")] {
        std::fs::write(&unit, rendered(directory.path(), arguments)).unwrap();
        let verdict = analyze(&["verify", "--man=no", manager], &unit);
        let said = String::from_utf8_lossy(&verdict.stderr);
        let ours: Vec<&str> = said.lines().filter(|line| line.contains("qastack.service")).collect();
        assert!(verdict.status.success() && ours.is_empty(), "{manager}: {verdict:?}");
    }
}

#[test]
fn the_systems_unit_is_exposed_to_next_to_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let unit = directory.path().join("qastack.service");
    std::fs::write(&unit, rendered(directory.path(), &[])).unwrap();
    // Tenths of the exposure that systemd computes: from 0, nothing, to 100, everything. Below 20 it says OK.
    let verdict = analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"], &unit);
    assert!(verdict.status.success(), "{}", String::from_utf8_lossy(&verdict.stdout));
    std::fs::write(&unit, "[Service]\nExecStart=/bin/true\n").unwrap();
    let verdict = analyze(&["security", "--offline=true", "--no-pager", "--threshold=20"], &unit);
    assert!(!verdict.status.success(), "a unit without any hardening is told from ours");
}
