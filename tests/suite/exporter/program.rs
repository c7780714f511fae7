//! The program itself: `serve`, `healthcheck` and `push` as a person or a container starts them.

use super::running::{TOKEN, passed, report};
use crate::http;
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `qastack serve` as a process, killed with its value.
pub struct Served {
    child: Child,
    /// Where it answers.
    pub address: String,
    /// The working directory and home of all commands.
    pub directory: tempfile::TempDir,
}

/// The program, with nothing of the surroundings but the path.
pub fn qastack(directory: &Path) -> Command {
    let mut command = Command::new(assert_cmd::cargo::cargo_bin!("qastack"));
    // A job's own variables must not decide what a test sees.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", directory);
    command.current_dir(directory);
    command
}

impl Served {
    /// A server with a token in the file `token`.
    pub fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("token"), TOKEN).unwrap();
        let mut child = qastack(directory.path())
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--admin-token-file", "token"])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut address = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
            assert!(!line.contains(TOKEN), "a secret in the log: {line}");
            if let Some((_, rest)) = line.split_once("listening address=") {
                address = rest.trim().to_owned();
            }
            if line.contains(" ready ") {
                break;
            }
        }
        // The pipe is read on, or the process would wait for it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address, directory }
    }

    /// Runs a command to its end.
    pub fn command(&self, arguments: &[&str]) -> Output {
        self.start_command(arguments).output().unwrap()
    }

    /// A command, to which something may be added before it runs.
    pub fn start_command(&self, arguments: &[&str]) -> Command {
        let mut command = qastack(self.directory.path());
        command.env("QASTACK_URL", format!("http://{}", self.address)).args(arguments);
        command
    }

    /// Runs a command that ends with this code, and returns its envelope.
    pub fn json(&self, arguments: &[&str], exit: i32) -> Value {
        let output = self.command(&[&["--json"], arguments].concat());
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// Writes a file into the working directory.
    pub fn write(&self, name: &str, content: &str) {
        let path = self.directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn serve_ends_well_on_sigterm_and_says_it_is_alive_before() {
    let mut served = Served::start();
    let alive = served.command(&["healthcheck", "--listen", &served.address]);
    assert!(alive.status.success(), "{alive:?}");
    let begun = Instant::now();
    let id = rustix::process::Pid::from_child(&served.child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let status = served.child.wait().unwrap();
    assert_eq!((status.code(), status.signal()), (Some(0), None));
    assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
    let dead = served.command(&["healthcheck", "--listen", &served.address]);
    assert_eq!(dead.status.code(), Some(14));
}

#[test]
fn config_prints_the_settings_in_force_as_a_file_that_means_the_same_and_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(directory.path().join(name), text).unwrap();
    write("password", "hunter2hunter2");
    write(
        "qastack.yaml",
        "project: shop\ngrafana: { admin_password_file: password }\ngate: { max: { flake_rate: 10% } }\n",
    );
    let config = |arguments: &[&str]| {
        let mut command = qastack(directory.path());
        command.args(arguments).env("QASTACK_PORTS__GRAFANA", "3001").env("QASTACK_TOKEN", "hunter2hunter2");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let yaml = config(&["config", "--engine", "embedded"]);
    for line in ["project: shop", "engine: embedded", "  grafana: 127.0.0.1:3001", "    flake_rate: 0.1"] {
        assert!(yaml.lines().any(|told| told == line), "{line}: {yaml}");
    }
    assert!(yaml.contains("admin_password_file: password") && !yaml.contains("hunter2"), "{yaml}");
    write("again.yaml", &yaml);
    assert_eq!(config(&["config", "--file", "again.yaml"]), yaml);
    let told: Value = serde_json::from_str(&config(&["config", "--json", "--engine", "embedded"])).unwrap();
    let data = &told["data"];
    assert_eq!((&data["settings"]["project"], &data["settings"]["retention"]), (&"shop".into(), &"15d".into()));
    let origins = serde_json::json!({
        "engine": "--engine",
        "gate.max.flake_rate": "qastack.yaml",
        "grafana.admin_password_file": "qastack.yaml",
        "ports.grafana": "QASTACK_PORTS__GRAFANA",
        "project": "qastack.yaml",
    });
    assert_eq!(data["origins"], origins);
}

#[test]
fn push_warns_once_of_all_files_of_a_run_that_is_older_than_the_window() {
    let served = Served::start();
    for name in ["a.xml", "b.xml", "c.xml"] {
        served.write(name, &report(&[&passed(name)]));
    }
    let push = |files: &[&str]| {
        let old = ["push", "--token-file", "token", "--run", "7", "--started-at", "2020-01-31T08:00:00Z"];
        served.json(&[&old[..], files].concat(), 0)["warnings"].clone()
    };
    let text = "the run is of 2020-01-31, before the window of 14 days (figures.flake_window), which begins on ";
    let one = push(&["a.xml"]);
    assert!(one[0].as_str().unwrap().starts_with(&format!("a.xml: {text}")), "{one:#}");
    let three = push(&["a.xml", "b.xml", "c.xml"]);
    assert_eq!(three.as_array().unwrap().len(), 1, "{three:#}");
    assert!(three[0].as_str().unwrap().starts_with(&format!("a.xml and 2 more files: {text}")), "{three:#}");
}

#[test]
fn push_sends_reports_and_defects_and_says_what_became_of_them() {
    let served = Served::start();
    served.write("junit.xml", &report(&[&passed("adds"), &passed("removes")]));
    served.write("bugs.csv", "key,created,environment\nA-1,2026-11-01,production\nA-2,2026-11-01,qa\n");
    let pushed = served.json(&["push", "--token-file", "token", "junit.xml", "bugs.csv", "--branch", "main"], 0);
    assert_eq!(pushed["data"]["stored"], 2, "{pushed:#}");
    assert_eq!(pushed["data"]["project"], "default");
    let words = served.command(&["push", "--token-file", "token", "--report-project", "web", "junit.xml"]);
    assert_eq!(String::from_utf8_lossy(&words.stdout), "junit.xml: 2 tests: 2 passed\n");
    let page = http::get(&served.address, "/metrics").body;
    assert!(page.contains("qa_sample_data 0"), "{page}");
    assert!(page.contains("qa_runs_total{project=\"default\",branch=\"main\",outcome=\"passed\"} 1"), "{page}");
}

#[test]
fn variables_and_flags_that_say_nothing_leave_it_to_the_next_who_knows() {
    let served = Served::start();
    served.write("junit.xml", &report(&[&passed("adds")]));
    let mut push = served.start_command(&["push", "--token-file", "token", "junit.xml", "--commit", "", "--job", ""]);
    push.envs(
        ["BRANCH", "ATTEMPT", "STARTED_AT", "PROJECT", "VARIANT"].map(|name| (format!("QASTACK_PUSH__{name}"), "")),
    );
    push.envs([("GITHUB_ACTIONS", "true"), ("GITHUB_REF", "refs/heads/main"), ("GITHUB_SHA", "abc")]);
    let pushed = push.output().unwrap();
    assert!(pushed.status.success(), "{pushed:?}");
    let runs = http::get(&served.address, "/api/v1/projects/default/runs").body;
    let runs: Value = serde_json::from_str(&runs).unwrap();
    assert_eq!((&runs[0]["branch"], &runs[0]["commit"]), (&"main".into(), &"abc".into()), "{runs}");
    let mut gate = served.start_command(&["gate", "--max-increase", "flake_rate=1", "--branch", "", "--base", "main"]);
    gate.env("GITHUB_STEP_SUMMARY", "").env("QASTACK_PUSH__PROJECT", "");
    let gate = gate.envs([("GITHUB_ACTIONS", "true"), ("GITHUB_REF", "refs/heads/main")]).output().unwrap();
    assert!(gate.status.success(), "{gate:?}");
}

#[test]
fn a_variable_of_another_program_that_is_no_utf_8_ends_nothing() {
    let served = Served::start();
    served.write("junit.xml", &report(&[&passed("adds")]));
    let odd = OsStr::from_bytes(b"caf\xe9");
    let spool = OsStr::from_bytes(b"spool-\xe9");
    for (command, expected) in [
        (&["push", "--token-file", "token", "junit.xml"][..], &[0][..]),
        (&["gate", "--min", "pass_ratio=1"], &[0]),
        // No stack runs here.
        (&["status"], &[0, 3]),
        (&["serve", "--listen", "nonsense"], &[10]),
    ] {
        let mut start = served.start_command(command);
        let ended = start.env("CITY", odd).env(odd, "1").env("QASTACK_PUSH__SPOOL", spool).output().unwrap();
        assert!(ended.status.code().is_some_and(|code| expected.contains(&code)), "{command:?}: {ended:?}");
    }
    let mistake = served.start_command(&["status"]).env("QASTACK_ENGINE", odd).output().unwrap();
    assert_eq!(mistake.status.code(), Some(10), "{mistake:?}");
    assert!(String::from_utf8_lossy(&mistake.stderr).contains("QASTACK_ENGINE"), "{mistake:?}");
}

#[test]
fn a_file_that_is_no_report_is_named_and_the_others_are_stored() {
    let served = Served::start();
    served.write("good.xml", &report(&[&passed("adds")]));
    served.write("bad.xml", "this is no XML");
    let pushed = served.json(&["push", "--token-file", "token", "bad.xml", "good.xml", "none.xml"], 12);
    assert_eq!(pushed["error"]["code"], "report_rejected");
    let message = pushed["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("2 of 3 files were not stored: ") && message.contains("bad.xml: "), "{message}");
    assert_eq!((&pushed["data"]["stored"], &pushed["data"]["rejected"]), (&1.into(), &2.into()));
    let page = http::get(&served.address, "/metrics").body;
    assert!(page.contains("qastack_ingest_reports_total{format=\"unknown\",result=\"unknown_format\"} 1"), "{page}");
}

#[test]
fn a_moment_that_is_none_is_told_in_words() {
    let directory = tempfile::tempdir().unwrap();
    let ended = qastack(directory.path()).args(["push", "--started-at", "yesterday", "a.xml"]).output().unwrap();
    assert_eq!(ended.status.code(), Some(2));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.contains("it is no moment such as 2026-01-31T08:00:00Z"), "{said}");
}

#[test]
fn a_refused_token_is_told_in_words() {
    let served = Served::start();
    served.write("good.xml", &report(&[&passed("adds")]));
    served.write("wrong", "not-the-token-of-this-exporter");
    let refused = served.json(&["push", "--token-file", "wrong", "good.xml"], 14);
    assert_eq!(refused["error"]["code"], "token_refused");
    assert_eq!(refused["error"]["message"], "good.xml: the token is not known");
}

#[test]
fn a_settings_file_with_a_mistake_is_told_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("serve.yaml"), "sample_data: true\nlisten_on: 1\n").unwrap();
    let output = qastack(directory.path()).args(["serve", "--config", "serve.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(10));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("serve.yaml") && said.contains("line 2"), "{said}");
}

#[test]
fn a_busy_address_is_told() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let directory = tempfile::tempdir().unwrap();
    let output = qastack(directory.path()).args(["serve", "--listen", &address]).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&address));
}

#[test]
fn the_gate_passes_within_its_limits_and_fails_beyond_them_with_a_summary() {
    let served = Served::start();
    served.write(
        "junit.xml",
        &report(&[&passed("adds"), "<testcase classname='cart' name='pays'><failure/></testcase>"]),
    );
    served.json(&["push", "--token-file", "token", "junit.xml", "--branch", "main"], 0);
    let good = served.json(&["gate", "--max", "flake_rate=10%", "--min", "pass_ratio=0.5"], 0);
    assert_eq!(good["data"]["passed"], true);
    let bad =
        served.json(&["gate", "--min", "pass_ratio=0.9", "--max", "defect_leakage=1", "--summary", "summary.md"], 20);
    assert_eq!(bad["error"]["code"], "gate_failed");
    let message = bad["error"]["message"].as_str().unwrap();
    assert!(message.contains("pass_ratio is 50.0 % (1 of 2), demanded is at least 90 %"), "{message}");
    assert!(message.contains("defect_leakage has no data"), "{message}");
    let summary = std::fs::read_to_string(served.directory.path().join("summary.md")).unwrap();
    assert!(summary.contains("qastack gate: failed"), "{summary}");
    assert!(summary.contains("| ❌ | `pass_ratio` | 50.0 % (1 of 2) | at least 90 % |"), "{summary}");
}

#[test]
fn the_gate_compares_a_branch_with_its_base() {
    let served = Served::start();
    served.write("good.xml", &report(&[&passed("adds"), &passed("pays")]));
    served
        .write("bad.xml", &report(&[&passed("adds"), "<testcase classname='cart' name='pays'><failure/></testcase>"]));
    for (file, branch) in [("good.xml", "main"), ("bad.xml", "feature")] {
        served.json(&["push", "--token-file", "token", file, "--branch", branch], 0);
    }
    let compare = |limit: &str, exit| {
        served.json(&["gate", "--max-decrease", limit, "--branch", "feature", "--base", "main"], exit)
    };
    assert_eq!(compare("pass_ratio=0.5", 0)["data"]["checks"][0]["base"], 1.0);
    compare("pass_ratio=0.4", 20);
    served.json(&["gate", "--max-decrease", "pass_ratio=0.5"], 2);
}

#[test]
fn the_gate_never_passes_on_the_sample() {
    let served = Served::start();
    for project in ["default", "sample"] {
        let failed = served.json(&["gate", "--max", "flake_rate=1", "--report-project", project], 20);
        assert_eq!(failed["data"]["sample"], true, "{failed:#}");
    }
    served.json(&["gate"], 2);
}

#[test]
fn tokens_are_made_listed_and_revoked() {
    let served = Served::start();
    served.write("junit.xml", &report(&[&passed("adds")]));
    let made = served.command(&["token", "create", "ci", "--token-file", "token"]);
    assert!(made.status.success(), "{made:?}");
    served.write("ci", &String::from_utf8(made.stdout).unwrap());
    served.json(&["push", "--token-file", "ci", "junit.xml"], 0);
    let list = served.json(&["token", "list", "--token-file", "token"], 0);
    assert_eq!(
        (&list["data"]["tokens"][0]["name"], &list["data"]["tokens"][0]["scopes"]),
        (&"ci".into(), &serde_json::json!(["ingest"]))
    );
    served.json(&["token", "list", "--token-file", "ci"], 14);
    served.json(&["token", "revoke", "ci", "--token-file", "token"], 0);
    assert_eq!(served.json(&["push", "--token-file", "ci", "junit.xml"], 14)["error"]["code"], "token_refused");
}

#[test]
fn explain_tells_the_runs_behind_a_figure_in_words() {
    let served = Served::start();
    served.write(
        "first.xml",
        &report(&[&passed("adds"), "<testcase classname='cart' name='pays'><failure/></testcase>"]),
    );
    served.write("second.xml", &report(&[&passed("pays")]));
    for (file, attempt) in [("first.xml", "1"), ("second.xml", "2")] {
        let run = ["--run", "ci-1", "--commit", "abc", "--attempt", attempt, "--job", "unit", "--branch", "main"];
        served.json(&[&["push", "--token-file", "token", file], &run[..]].concat(), 0);
    }
    let explained = served.command(&["explain", "flake_rate"]);
    let words = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(words.starts_with("flake_rate = 50.0 % (1 of 2 decided tests), 14 days, "), "{words}");
    assert!(words.contains("cart › pays") && words.contains("failed in run ci-1 attempt 1 (unit) on abc"), "{words}");
    assert!(words.contains("run ci-1 attempt 1 (unit) on main, abc: 2 tests: 1 passed, 1 failed\n"), "{words}");
    let by_series = served.command(&["explain", "qa-flake-ratio"]);
    assert_eq!(String::from_utf8_lossy(&by_series.stdout), words);
    let nothing = served.command(&["explain", "open_defects"]);
    assert!(String::from_utf8_lossy(&nothing.stdout).starts_with("open_defects = no data, as of now\n"), "{nothing:?}");
    let unknown = served.json(&["explain", "flakerate"], 2);
    assert_eq!(unknown["error"]["message"], "there is no figure `flakerate`");
    assert!(unknown["error"]["hint"].as_str().unwrap().starts_with("Did you mean flake_rate? "), "{unknown:#}");
    served.json(&["explain", "colour"], 2);
}
