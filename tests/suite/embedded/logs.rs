//! What the exporter wrote, read back; and where it is looked at.

use super::machine::Machine;
use crate::exporter::running::{passed, report};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `logs -f`, and its lines as they come.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn start(machine: &Machine, arguments: &[&str]) -> Self {
        let mut command = machine.command(&[&["logs", "-f"], arguments].concat());
        command.args(["--engine", "embedded"]).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    /// Reads on until a line says this; one that never comes ends the test with the end of the output.
    fn until(&mut self, wanted: &str) -> String {
        let mut line = String::new();
        while !line.contains(wanted) {
            line.clear();
            assert_ne!(self.lines.read_line(&mut line).unwrap(), 0, "it ended and never said {wanted:?}");
        }
        line
    }

    /// Waits for its end: the exit code, the rest of its output, and what it told people.
    fn end(mut self) -> (Option<i32>, String, String) {
        let (mut out, mut err) = (String::new(), String::new());
        self.lines.read_to_string(&mut out).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut err).unwrap();
        (self.child.wait().unwrap().code(), out, err)
    }
}

#[test]
fn logs_show_what_was_written_and_as_much_of_its_end_as_is_asked_for() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let all = machine.run(&["logs"]);
    assert!(all.status.success(), "{all:?}");
    let all = text(&all.stdout);
    assert!(all.contains("listening address=") && all.contains(" ready version="), "{all}");
    assert!(!all.contains(" | ") && !all.contains('\u{1b}'), "one service needs no name, a pipe no colour: {all}");
    let last = text(&machine.run(&["logs", "-n", "1", "test-metrics"]).stdout);
    assert_eq!(Some(last.trim_end()), all.lines().last());
    let envelope = machine.json(&["logs", "--tail", "1"], 0);
    assert_eq!(envelope["data"]["count"], 1);
    let line = &envelope["data"]["lines"][0];
    assert_eq!((line["service"].as_str(), line["text"].as_str()), (Some("test-metrics"), all.lines().last()));
    let time: jiff::Timestamp = line["time"].as_str().unwrap().parse().unwrap();
    assert!(time <= jiff::Timestamp::now());
}

#[test]
fn logs_that_are_followed_go_on_until_ctrl_c() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let mut following = Following::start(&machine, &[]);
    std::fs::write(machine.path("report.xml"), report(&[&passed("adds")])).unwrap();
    machine.json(&["push", "report.xml"], 0);
    following.until("the sample data is put away");
    kill_process(Pid::from_child(&following.child), Signal::INT).unwrap();
    let (code, _, err) = following.end();
    assert_eq!(code, Some(130));
    assert_eq!(err, "", "who ends it knows that it ended");

    let mut following = Following::start(&machine, &["--json"]);
    let line: Value = serde_json::from_str(&following.until("listening")).unwrap();
    assert_eq!(line["service"], "test-metrics");
    kill_process(Pid::from_child(&following.child), Signal::TERM).unwrap();
    let (code, out, _) = following.end();
    let envelope: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    assert_eq!((code, envelope["error"]["code"].as_str()), (Some(143), Some("terminated")));
    assert!(envelope["data"]["count"].as_u64().unwrap() >= 1, "{envelope}");
}

#[test]
fn logs_that_are_followed_end_with_the_last_one_who_writes() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let mut following = Following::start(&machine, &[]);
    following.until(" ready ");
    machine.kill();
    let (code, _, err) = following.end();
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let after = machine.run(&["logs"]);
    assert!(text(&after.stdout).contains(" ready "), "what a crash left is what logs are for: {after:?}");
}

#[test]
fn nothing_that_runs_and_a_service_that_is_not_there_are_told_with_exit_3() {
    let machine = Machine::new();
    for arguments in [&["logs"][..], &["logs", "-f"], &["open"], &["open", "page"]] {
        let refused = machine.json(arguments, 3);
        assert_eq!(refused["error"]["code"], "not_running", "{arguments:?}");
    }
    machine.json(&["up"], 0);
    for arguments in [["logs", "grafana"], ["open", "grafana"], ["open", "prometheus"]] {
        let refused = machine.json(&arguments, 3);
        let hint = refused["error"]["hint"].as_str().unwrap();
        assert!(hint.contains("qastack up --engine docker"), "{hint}");
    }
    machine.json(&["logs", "nothing"], 2);
    machine.json(&["down"], 0);
    let refused = machine.json(&["logs"], 3);
    let hint = refused["error"]["hint"].as_str().unwrap();
    assert!(hint.contains(machine.state("log").to_str().unwrap()), "the last log is named: {hint}");
}

#[test]
fn open_prints_the_address_and_shows_it_where_there_is_a_screen() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let url = format!("http://{}/", machine.address());
    assert_eq!(text(&machine.run(&["open"]).stdout), format!("{url}\n"));
    let envelope = machine.json(&["open", "page"], 0);
    assert_eq!((&envelope["data"]["url"], &envelope["data"]["opened"]), (&url.clone().into(), &false.into()));

    // A program of this name stands for the browser; `script` for the terminal.
    let seen = machine.path("seen");
    let opener = machine.path("bin/xdg-open");
    std::fs::create_dir(machine.path("bin")).unwrap();
    std::fs::write(&opener, format!("#!/bin/sh\necho \"$1\" >>'{}'\n", seen.display())).unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let on_a_terminal = |arguments: &str, screen: &str| {
        let inner = machine.command(&[]);
        let program = inner.get_program().to_str().unwrap();
        let mut script = Command::new("script");
        script.args(["-qec", &format!("{program} open {arguments} --engine embedded"), "/dev/null"]);
        script.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let path = format!("{}:{}", machine.path("bin").display(), std::env::var("PATH").unwrap());
        script.env("PATH", path).env("DISPLAY", screen).env("TERM", "xterm").current_dir(machine.path("."));
        let output = script.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        assert!(text(&output.stdout).contains(&url), "{output:?}");
    };
    on_a_terminal("--print", ":0");
    on_a_terminal("page", "");
    assert!(!seen.exists(), "neither asked for nor without a screen");
    on_a_terminal("page", ":0");
    let deadline = Instant::now() + Duration::from_secs(10);
    while std::fs::read_to_string(&seen).unwrap_or_default() != format!("{url}\n") {
        assert!(Instant::now() < deadline, "no browser was opened");
        std::thread::yield_now();
    }
}

#[test]
fn a_full_log_begins_anew_and_its_lines_before_are_shown_all_the_same() {
    let machine = Machine::new();
    machine.json(&["up"], 0);
    let mut log = std::fs::OpenOptions::new().append(true).open(machine.state("log")).unwrap();
    std::io::Write::write_all(&mut log, "filled by the test\n".repeat((4 << 20) / 19 + 1).as_bytes()).unwrap();
    std::fs::write(machine.path("report.xml"), report(&[&passed("adds")])).unwrap();
    machine.json(&["push", "report.xml"], 0);
    assert!(machine.state("log.1").exists(), "the full one is kept");
    assert!(std::fs::metadata(machine.state("log")).unwrap().len() < 1 << 20, "and the new one begins anew");
    let all = text(&machine.run(&["logs"]).stdout);
    assert!(all.lines().next().unwrap().contains("listening") && all.contains("the sample data is put away"));
    assert_eq!(text(&machine.run(&["logs", "-n", "2"]).stdout).lines().count(), 2);
}
