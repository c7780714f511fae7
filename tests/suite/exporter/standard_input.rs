//! `-`: a report that is read from standard input, by `push` and by `validate`.

use super::program::{Served, qastack};
use super::running::{passed, report};
use serde_json::Value;
use std::io::Write;
use std::process::{Command, Stdio};

/// Runs a command into which this is written, which ends with this code, and returns its envelope.
fn sent_into(mut command: Command, content: &[u8], exit: i32) -> Value {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    // One that does not read it may have ended.
    let _ = child.stdin.take().unwrap().write_all(content);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{text}{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn push(served: &Served, content: &[u8], more: &[&str], exit: i32) -> Value {
    let arguments = [&["--json", "push", "-", "--branch", "main", "--token-file", "token"], more].concat();
    sent_into(served.start_command(&arguments), content, exit)
}

#[test]
fn a_report_from_standard_input_is_stored_under_its_name_beside_files() {
    let served = Served::start();
    served.write("a.xml", &report(&[&passed("adds")]));
    let content = report(&[&passed("adds"), &passed("removes")]);
    let pushed = push(&served, content.as_bytes(), &["a.xml"], 0);
    let files = pushed["data"]["files"].as_array().unwrap();
    assert_eq!((&files[0]["file"], &files[1]["file"]), (&"a.xml".into(), &"standard input".into()));
    assert_eq!((&files[1]["kind"], &files[1]["receipt"]["counts"]["tests"]), (&"report".into(), &2.into()));
    assert_eq!(files[0]["receipt"]["run"], files[1]["receipt"]["run"], "one push is one run: {pushed:#}");
    let packed = zstd::encode_all(content.as_bytes(), 3).unwrap();
    let again = push(&served, &packed, &["--run", "7"], 0);
    assert_eq!(again["data"]["files"][0]["receipt"]["counts"]["tests"], 2, "{again:#}");
}

#[test]
fn an_empty_standard_input_is_an_error_that_keeps_no_file_back() {
    let served = Served::start();
    served.write("a.xml", &report(&[&passed("adds")]));
    let pushed = push(&served, b"", &["a.xml"], 12);
    assert_eq!((&pushed["data"]["stored"], &pushed["data"]["rejected"]), (&1.into(), &1.into()), "{pushed:#}");
    let message = pushed["error"]["message"].as_str().unwrap();
    assert!(message.contains("standard input: it is empty"), "{message}");
}

#[test]
fn a_report_from_standard_input_waits_in_the_spool_while_the_exporter_is_away() {
    let served = Served::start();
    let mut away = served.start_command(&["--json", "push", "-", "--patience", "0s", "--spool", "spool"]);
    away.env("QASTACK_URL", "http://127.0.0.1:1").env("QASTACK_TOKEN", super::running::TOKEN);
    let kept = sent_into(away, report(&[&passed("adds")]).as_bytes(), 0);
    let file = &kept["data"]["files"][0];
    assert_eq!((&file["file"], &file["spooled"]), (&"standard input".into(), &true.into()), "{kept:#}");
}

#[test]
fn validate_reads_standard_input_alone_and_beside_files() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("a.xml"), report(&[&passed("adds")])).unwrap();
    let validate = |content: &str, files: &[&str], exit| {
        let mut command = qastack(directory.path());
        command.args(["--json", "validate", "-"]).args(files);
        sent_into(command, content.as_bytes(), exit)
    };
    let content = report(&[&passed("adds"), &passed("removes")]);
    assert_eq!(validate(&content, &[], 0)["data"]["tests"], 2);
    let both = validate(&content, &["a.xml"], 0);
    assert_eq!(both["data"]["files"][1]["file"], "standard input", "{both:#}");
    let empty = validate("", &[], 12);
    assert!(empty["error"]["message"].as_str().unwrap().starts_with("standard input: "), "{empty:#}");
}

#[test]
fn a_terminal_is_not_waited_for() {
    let directory = tempfile::tempdir().unwrap();
    let program = assert_cmd::cargo::cargo_bin!("qastack").display().to_string();
    for command in ["push - --url http://127.0.0.1:1", "validate -"] {
        // It gives the command a terminal of its own.
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &format!("{program} {command}"), "/dev/null"])
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .output()
            .expect("script (package bsdutils) runs");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{command}: {shown}");
        assert!(shown.contains("standard input is a terminal"), "{command}: {shown}");
    }
}
