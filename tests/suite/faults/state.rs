//! The state directory full, torn or not to be written: it holds nothing that a run cannot do without.

use super::desk::{Desk, PROJECT, finish};
use crate::engine_double::{Fault, Kind};
use std::path::Path;
use std::process::Command;

/// A command whose state directory is on a file system of its own that is full, in a mount namespace of its own.
fn on_a_full_disk(desk: &Desk, arguments: &[&str]) -> Command {
    let state = desk.path("state");
    std::fs::create_dir_all(&state).unwrap();
    let script = "mount -t tmpfs -o size=4k,nr_inodes=64 tmpfs \"$XDG_STATE_HOME\" || exit 98\n\
                  head -c 4096 /dev/zero >\"$XDG_STATE_HOME/fill\" || exit 97\n\
                  exec \"$@\"";
    let own = env!("CARGO_BIN_EXE_qastack");
    // One who is not root may still mount in a user namespace.
    let root: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["--map-root-user"] };
    let words = [&["--mount"], root, &["sh", "-c", script, "sh", own], arguments].concat();
    desk.command_of(Path::new("unshare"), &words)
}

#[test]
fn on_a_full_disk_up_status_and_down_work() {
    let desk = Desk::new();
    for arguments in [&["up"][..], &["status"], &["up"], &["down", "--volumes"]] {
        let finished = finish(on_a_full_disk(&desk, arguments));
        assert_eq!(finished.code, 0, "{arguments:?}: {finished:#?}");
    }
    assert_eq!(desk.model().objects_of(PROJECT), [""; 0]);
}

#[test]
fn on_a_full_disk_a_failure_is_told_and_that_its_evidence_is_lost() {
    let desk = Desk::new();
    desk.fail(Fault { on: "/start", call: 2, kind: Kind::Refused, for_ever: true });
    let finished = finish(on_a_full_disk(&desk, &["up"]));
    desk.engine.heal();
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stderr.contains("a fault was ordered"), "the failure itself is told: {finished:#?}");
    assert!(finished.stderr.contains("could not be saved"), "{finished:#?}");
    desk.is_put_right("a failure on a full disk");
}

#[test]
fn a_lock_file_that_holds_garbage_locks_nobody_out() {
    let desk = Desk::new();
    std::fs::create_dir_all(desk.state("locks")).unwrap();
    std::fs::write(desk.state(&format!("locks/{PROJECT}.lock")), [0xff; 4096]).unwrap();
    desk.is_put_right("a torn lock file");
}

#[test]
fn evidence_that_was_torn_is_written_anew_and_whole() {
    let desk = Desk::new();
    let path = desk.state(&format!("last-failure/{PROJECT}.txt"));
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, "half a li").unwrap();
    std::fs::write(path.with_extension("new"), [0xff; 100_000]).unwrap();
    desk.fail(Fault { on: "/start", call: 2, kind: Kind::Refused, for_ever: true });
    assert_eq!(desk.run(&["up"]).code, 4);
    desk.engine.heal();
    let evidence = std::fs::read_to_string(&path).unwrap();
    assert!(evidence.starts_with("engine_failed: ") && evidence.ends_with('\n'), "{evidence}");
    assert!(!path.with_extension("new").exists());
}

#[test]
fn a_state_directory_that_was_lost_loses_nothing() {
    let desk = Desk::new();
    desk.is_brought_up("a fresh start");
    std::fs::remove_dir_all(desk.path("state")).unwrap();
    desk.is_put_right("a lost state directory");
}
