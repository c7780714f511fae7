//! The loop of those who test databases: the first call of a command fails, then the second, until the command meets
//! no fault any more; once with a fault that passes, once with one that stays.

use super::desk::Desk;
use crate::engine_double::{Fault, Kind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Which calls of a command fail, and how.
struct Loop {
    command: &'static [&'static str],
    kind: Kind,
    for_ever: bool,
    /// Every one, or every so manieth.
    step: usize,
}

/// Every command has so many seconds for its services, which on this engine take none.
const UP: &[&str] = &["up", "--timeout", "20", "--json"];
const DOWN: &[&str] = &["down", "--volumes", "--json"];
const STATUS: &[&str] = &["status", "--json"];

impl Loop {
    /// Runs the command with each call failing in turn; `check` sees how each ended, with a desk as it was left.
    fn run(&self, prepare: impl Fn(&Desk) + Sync, check: impl Fn(&Desk, &crate::e2e::stack::Finished, &str) + Sync) {
        let (next, is_through, met) = (AtomicUsize::new(0), AtomicBool::new(false), AtomicUsize::new(0));
        let work = || {
            let desk = Desk::new();
            while !is_through.load(Ordering::Relaxed) {
                let call = 1 + next.fetch_add(1, Ordering::Relaxed) * self.step;
                prepare(&desk);
                desk.fail(Fault { on: "", call, kind: self.kind, for_ever: self.for_ever });
                let finished = desk.run(self.command);
                if desk.engine.heal() {
                    met.fetch_add(1, Ordering::Relaxed);
                } else {
                    is_through.store(true, Ordering::Relaxed);
                }
                let what = format!("{:?} of call {call} of {:?}", self.kind, self.command);
                desk.strangers_are_left(&what);
                check(&desk, &finished, &what);
            }
        };
        // What is waited for is mostly the other process.
        std::thread::scope(|scope| (0..3).for_each(|_| drop(scope.spawn(work))));
        assert!(met.load(Ordering::Relaxed) > 2, "the loop has met calls to fail");
    }
}

fn nothing(_: &Desk) {}

fn brought_up(desk: &Desk) {
    assert_eq!(desk.run(&["up"]).code, 0);
}

#[test]
fn whichever_call_of_up_is_refused_the_next_up_succeeds() {
    let each = Loop { command: UP, kind: Kind::Refused, for_ever: false, step: 1 };
    each.run(nothing, |desk, _, what| desk.is_put_right(what));
}

#[test]
fn whichever_answer_to_up_is_lost_nothing_is_made_twice() {
    let each = Loop { command: UP, kind: Kind::LostAnswer, for_ever: false, step: 1 };
    each.run(nothing, |desk, finished, what| {
        // A connection that was lost once is no reason to give up; the first call asks whether there is an engine.
        assert!(finished.code == 0 || what.contains("call 1 of"), "{what}: {finished:#?}");
        desk.is_put_right(what);
    });
}

#[test]
fn whichever_connection_of_up_is_closed_once_up_goes_on() {
    let each = Loop { command: UP, kind: Kind::Reset, for_ever: false, step: 3 };
    each.run(nothing, |desk, finished, what| {
        assert!(finished.code == 0 || what.contains("call 1 of"), "{what}: {finished:#?}");
        desk.is_put_right(what);
    });
}

#[test]
fn whichever_answer_to_up_breaks_off_the_next_up_succeeds() {
    let each = Loop { command: UP, kind: Kind::Half, for_ever: false, step: 2 };
    each.run(nothing, |desk, _, what| desk.is_put_right(what));
}

#[test]
fn whichever_answer_to_up_is_garbage_the_next_up_succeeds() {
    let each = Loop { command: UP, kind: Kind::Garbage, for_ever: false, step: 2 };
    each.run(nothing, |desk, _, what| desk.is_put_right(what));
}

#[test]
fn an_engine_that_refuses_everything_from_some_call_on_leaves_what_the_next_up_puts_right() {
    let each = Loop { command: UP, kind: Kind::Refused, for_ever: true, step: 2 };
    each.run(nothing, |desk, finished, what| {
        assert!(finished.code != 0 || finished.stdout.contains("\"ok\":true"), "{what}: {finished:#?}");
        desk.is_put_right(what);
    });
}

#[test]
fn an_engine_that_is_gone_from_some_call_on_is_told_and_the_next_up_succeeds() {
    let each = Loop { command: UP, kind: Kind::Reset, for_ever: true, step: 12 };
    each.run(nothing, |desk, finished, what| {
        assert!([0, 4].contains(&finished.code), "{what}: {finished:#?}");
        assert!(finished.code == 0 || finished.stdout.contains("engine.sock"), "the socket is named: {finished:#?}");
        desk.is_put_right(what);
    });
}

#[test]
fn an_engine_that_hangs_from_some_call_on_is_told_and_the_next_up_succeeds() {
    let each = Loop { command: UP, kind: Kind::Hang, for_ever: true, step: 10 };
    each.run(nothing, |desk, finished, what| {
        assert!([0, 4].contains(&finished.code), "{what}: {finished:#?}");
        assert!(finished.code == 0 || finished.stdout.contains("engine.sock"), "the socket is named: {finished:#?}");
        desk.is_put_right(what);
    });
}

#[test]
fn whichever_call_of_down_is_refused_the_next_down_leaves_nothing() {
    let each = Loop { command: DOWN, kind: Kind::Refused, for_ever: false, step: 1 };
    each.run(brought_up, |desk, finished, what| {
        if finished.stdout.contains("cannot remove") {
            let on = "; qastack down --project faulty goes on.";
            assert!(finished.stdout.contains(on), "{what}: what is left is named: {finished:#?}");
        }
        desk.is_cleared(what);
    });
}

#[test]
fn whichever_answer_to_down_is_lost_down_leaves_nothing() {
    let each = Loop { command: DOWN, kind: Kind::LostAnswer, for_ever: false, step: 1 };
    each.run(brought_up, |desk, finished, what| {
        assert!(finished.code == 0 || what.contains("call 1 of"), "{what}: {finished:#?}");
        desk.is_cleared(what);
    });
}

#[test]
fn after_a_down_that_was_refused_halfway_up_and_down_succeed() {
    let each = Loop { command: DOWN, kind: Kind::Refused, for_ever: true, step: 2 };
    each.run(brought_up, |desk, _, what| desk.is_put_right(what));
}

#[test]
fn whichever_call_of_status_fails_status_changes_nothing_and_tells() {
    for kind in [Kind::Refused, Kind::Half, Kind::Garbage] {
        let each = Loop { command: STATUS, kind, for_ever: false, step: 1 };
        each.run(brought_up, |desk, finished, what| {
            assert!([0, 3, 4].contains(&finished.code), "{what}: {finished:#?}");
            assert_eq!(desk.run(&["status"]).code, 0, "after {what}");
            let up = desk.json(&["up"], 0);
            assert_eq!(up["data"]["steps"].as_array().map(Vec::len), Some(0), "after {what}");
        });
    }
}

#[test]
fn an_engine_that_hangs_in_the_middle_of_status_is_told_within_ten_seconds() {
    let each = Loop { command: STATUS, kind: Kind::Hang, for_ever: true, step: 1 };
    each.run(brought_up, |_, finished, what| {
        assert!([0, 3, 4].contains(&finished.code), "{what}: {finished:#?}");
        assert!(finished.code != 4 || finished.stdout.contains("engine.sock"), "{what}: {finished:#?}");
        // Ten, and as many for a machine under load.
        assert!(finished.took < Duration::from_secs(20), "{what}: {finished:#?}");
    });
}
