//! The same on a real engine, for some of the places and calls: what `crate::faults` shows for all of them on one that
//! only keeps books.

use super::docker::{docker, labelled, objects_of};
use super::stack::{Finished, Stack};
use crate::engine_double::{Engine, Fault, Kind};
use crate::faults::desk::{finish, finish_child, held_at, send};
use rustix::process::{Pid, Signal, kill_process};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The socket of the real engine.
fn socket() -> PathBuf {
    let host = std::env::var("DOCKER_HOST").unwrap_or_else(|_| "unix:///var/run/docker.sock".to_owned());
    PathBuf::from(host.strip_prefix("unix://").expect("an engine on a unix socket"))
}

impl Stack {
    /// One `up` succeeds and makes everything once, over the same volumes and secrets.
    fn is_brought_up(&self, after: &str) {
        let (volumes, password) = (self.volumes(), self.password());
        let up = finish(self.command(&["up", "--json"]));
        assert_eq!(up.code, 0, "up after {after}: {up:#?}");
        let objects = objects_of(&self.project);
        let count = |kind: &str| objects.iter().filter(|object| object.starts_with(kind)).count();
        assert_eq!((count("container "), count("network ")), (3, 1), "after {after}: {objects:#?}");
        assert!(volumes.iter().all(|volume| objects.contains(volume)), "{volumes:?} are kept after {after}");
        if let Some(password) = password {
            assert_eq!(self.password(), Some(password), "the secrets are kept after {after}");
        }
        let status = finish(self.command(&["status"]));
        assert_eq!(status.code, 0, "status after {after}: {status:#?}");
    }

    fn is_cleared(&self, after: &str) {
        let down = finish(self.command(&["down", "--volumes", "--json"]));
        assert_eq!(down.code, 0, "down after {after}: {down:#?}");
        assert_eq!(objects_of(&self.project), [""; 0], "after {after}");
    }

    fn volumes(&self) -> Vec<String> {
        objects_of(&self.project).into_iter().filter(|object| object.starts_with("volume ")).collect()
    }

    /// Grafana's secret key, which another run would make anew.
    fn password(&self) -> Option<Vec<u8>> {
        let path = format!("{}:/run/qastack/grafana/secret-key", self.container("grafana"));
        let output = Command::new("docker").args(["cp", &path, "-"]).output().expect("the docker command runs");
        output.status.success().then_some(output.stdout).filter(|tar| !tar.is_empty())
    }

    /// Runs a command with a fault in one of its calls.
    fn run_with(&self, fault: Fault, arguments: &[&str]) -> (Finished, bool) {
        let path = self.directory().join("proxy.sock");
        let _ = std::fs::remove_file(&path);
        let proxy = Engine::before(&socket(), &path);
        proxy.fail(fault);
        let mut command = self.command(arguments);
        command.env("DOCKER_HOST", proxy.address());
        let finished = finish(command);
        let is_met = proxy.heal();
        (finished, is_met)
    }
}

#[test]
fn a_run_that_is_ended_at_any_of_six_places_is_put_right_by_the_next() {
    let stack = Stack::new();
    let marker = stack.directory().join("marker");
    for (place, signal, code) in [
        ("network", Signal::KILL, -1),
        ("create:grafana", Signal::INT, 130),
        ("secrets:grafana", Signal::KILL, -1),
        ("start:prometheus", Signal::TERM, 143),
        ("ready:grafana", Signal::INT, 130),
        ("prove", Signal::KILL, -1),
    ] {
        let child = held_at(stack.command(&["up"]), place, &marker);
        send(&child, signal);
        let finished = finish_child(child);
        assert_eq!(finished.code, code, "{signal:?} at {place}: {finished:#?}");
        stack.is_brought_up(&format!("{signal:?} at {place}"));
        // The next one begins with containers to make.
        assert_eq!(stack.run(&["down"]).code, 0);
    }
    stack.is_cleared("six ends");
}

#[test]
fn a_down_that_is_ended_is_put_right_by_up_and_by_down() {
    let stack = Stack::new();
    let marker = stack.directory().join("marker");
    for (place, signal) in [("down:observe", Signal::KILL), ("down:containers", Signal::INT)] {
        stack.is_brought_up("a fresh start");
        let child = held_at(stack.command(&["down", "--volumes"]), place, &marker);
        send(&child, signal);
        finish_child(child);
        stack.is_brought_up(&format!("{signal:?} at {place}"));
        stack.is_cleared(&format!("{signal:?} at {place}"));
    }
}

#[test]
fn calls_that_fail_before_a_real_engine_leave_what_the_next_up_puts_right() {
    let stack = Stack::new();
    for (on, kind) in [
        ("/containers/create", Kind::Refused),
        ("/containers/create", Kind::LostAnswer),
        ("/networks/create", Kind::LostAnswer),
        ("/start", Kind::Refused),
        ("/start", Kind::LostAnswer),
        ("/archive", Kind::Reset),
        ("/build", Kind::Half),
    ] {
        let (finished, is_met) = stack.run_with(Fault { on, call: 1, kind, for_ever: false }, &["up", "--json"]);
        assert!(is_met, "{kind:?} of {on}");
        let passes = !matches!(kind, Kind::Refused);
        assert!(finished.code == 0 || !passes, "a connection that was lost once is no end: {on} {finished:#?}");
        stack.is_brought_up(&format!("{kind:?} of {on}"));
        stack.is_cleared(&format!("{kind:?} of {on}"));
    }
}

#[test]
fn a_real_engine_that_is_out_of_reach_in_the_middle_is_told_and_the_next_up_succeeds() {
    let stack = Stack::new();
    let fault = Fault { on: "", call: 30, kind: Kind::Reset, for_ever: true };
    let (finished, is_met) = stack.run_with(fault, &["up", "--json"]);
    assert!(is_met);
    assert_eq!(finished.code, 4, "{finished:#?}");
    assert!(finished.stdout.contains("proxy.sock"), "{finished:#?}");
    stack.is_brought_up("an engine that was gone");
    stack.is_cleared("an engine that was gone");
}

#[test]
fn four_operators_on_a_real_engine_make_one_stack() {
    let stack = Stack::new();
    let started: Vec<_> = (0..4)
        .map(|index| {
            let mut command = stack.command(&["up", "--json"]);
            command.env("XDG_STATE_HOME", stack.directory().join(format!("state-of-{index}")));
            std::thread::spawn(move || finish(command))
        })
        .collect();
    let finished: Vec<Finished> = started.into_iter().map(|thread| thread.join().expect("it ends")).collect();
    assert!(finished.iter().all(|finished| [0, 11].contains(&finished.code)), "{finished:#?}");
    assert!(finished.iter().any(|finished| finished.code == 0), "{finished:#?}");
    stack.is_brought_up("four operators at once");
    stack.is_cleared("four operators at once");
}

#[test]
fn a_container_that_is_killed_is_told_by_status_and_repaired_by_up() {
    let stack = Stack::new();
    stack.settings("restart: 'no'\n");
    stack.up();
    let before = stack.container_ids();
    docker(&["kill", &stack.container("prometheus")]);
    let status = stack.json(&["status"], 3);
    let message = status["error"]["message"].as_str().expect("a message");
    assert!(message.contains("prometheus is not running: exited with exit code 137"), "{message}");
    stack.is_brought_up("a kill");
    assert_eq!(stack.container_ids(), before, "it was started again, and nothing was made anew");
}

/// Ten in `./test`; `tests/kill-at-random` asks for more.
#[test]
fn a_run_that_is_ended_at_a_random_moment_is_put_right_by_the_next() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("QASTACK_KILL_SEED")
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64 % 1_000_000);
    let kills = number("QASTACK_KILLS").unwrap_or(10);
    println!("seed {seed}: tests/kill-at-random {kills} {seed} does it again");
    let mut random = Random(seed);
    let stack = Stack::new();
    let mut longest = Duration::ZERO;
    for kill in 1..=kills {
        let command: &[&str] = match random.below(4) {
            0 => &["down"],
            1 => &["down", "--volumes"],
            _ => &["up"],
        };
        let signal = [Signal::INT, Signal::TERM, Signal::KILL][random.below(3) as usize];
        let after = Duration::from_millis(random.below(if command[0] == "up" { 6_000 } else { 1_500 }));
        let what = format!("kill {kill} of seed {seed}: {signal:?} to {command:?} after {after:?}");
        println!("{what}");
        let log = std::fs::File::create(stack.directory().join("killed.log")).expect("a log");
        let mut killed = stack.command(command);
        killed.stdout(Stdio::null()).stderr(Stdio::from(log));
        let mut child = killed.spawn().expect("it starts");
        // The one place where time is what is tested.
        std::thread::sleep(after);
        let sent = Instant::now();
        let _ = kill_process(Pid::from_child(&child), signal);
        let status = child.wait().expect("it ends");
        longest = longest.max(sent.elapsed());
        let said = || std::fs::read_to_string(stack.directory().join("killed.log")).unwrap_or_default();
        assert!(sent.elapsed() < Duration::from_secs(10), "{what} took {:?}: {}", sent.elapsed(), said());
        let code = status.code().unwrap_or(-1);
        assert!([0, -1, 130, 143].contains(&code), "{what} ended with {code}: {}", said());
        if random.below(2) == 0 {
            stack.is_brought_up(&what);
        } else {
            stack.is_cleared(&what);
        }
    }
    println!("{kills} kills, the slowest end {longest:?} after its signal");
    stack.is_brought_up("all kills");
    stack.is_cleared("all kills");
    assert_eq!(labelled("image", &format!("dev.qastack.project={}", stack.project)), [""; 0]);
}

/// Numbers that a seed gives again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}
