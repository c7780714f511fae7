//! `qastack validate`: what a script gets, and how the process ends.

use assert_cmd::Command;
use serde_json::{Value, json};

fn validate(report: &str) -> (i32, Value) {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("report.any");
    std::fs::write(&file, report).expect("is written");
    let output = Command::cargo_bin("qastack").expect("the program").args(["validate", "--json"]).arg(&file).output();
    let output = output.expect("runs");
    (output.status.code().expect("a code"), serde_json::from_slice(&output.stdout).expect("an envelope"))
}

#[test]
fn a_report_is_shown_as_elements_and_as_folded_tests() {
    let (code, envelope) = validate(
        "<testsuite tests='9'>\n<testcase name='a'><flakyFailure/></testcase><testcase name='b' status='notrun'/>\
         <testcase name='c'><failure/></testcase><testcase name='c'><failure/></testcase></testsuite>",
    );
    let data = &envelope["data"];
    assert_eq!((code, &envelope["ok"], &data["format"]), (0, &json!(true), &json!("junit")));
    assert_eq!(data["elements"], json!({"tests": 4, "passed": 1, "failed": 2, "errors": 0, "skipped": 1}));
    let folded = ["tests", "passed", "failed", "errors", "skipped", "flaky"].map(|key| data[key].as_u64());
    assert_eq!(folded, [3, 1, 1, 0, 1, 1].map(Some));
    assert_eq!(data["warnings"][0]["line"], 2);
    assert!(data["warnings"][1]["text"].as_str().expect("a text").contains("declares 9 tests"), "{data}");
}

#[test]
fn an_unusable_report_ends_with_12_and_says_why() {
    for (report, reason) in [("", "empty"), ("<testsuite>\n<testcase", "line 2"), ("hello", "no format")] {
        let (code, envelope) = validate(report);
        assert_eq!((code, &envelope["error"]["code"]), (12, &json!("report_rejected")));
        assert!(envelope["error"]["message"].as_str().expect("a message").contains(reason), "{envelope}");
    }
}

#[test]
fn a_report_without_tests_ends_with_12_and_still_shows_what_it_says() {
    let (code, envelope) = validate("<testsuites tests='6'/>");
    assert_eq!((code, &envelope["ok"], &envelope["data"]["tests"]), (12, &json!(false), &json!(0)));
    assert_eq!(envelope["data"]["warnings"].as_array().expect("warnings").len(), 2);
}

#[test]
fn many_reports_are_validated_at_once_each_with_its_own_words() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(directory.path().join(name), bytes).unwrap();
    write("good.xml", b"<testsuite name='a'><testcase classname='c' name='t'/></testsuite>");
    write("packed.xml.zst", &zstd::encode_all(&b"<testsuite><testcase name='t'/></testsuite>"[..], 1).unwrap());
    write("TEST-cut.xml", b"<testsuite><testcase name='t'");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_qastack"))
        .args(["validate", ".", "none.xml", "--json"])
        .current_dir(directory.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(12), "{output:?}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = answer["data"]["files"].as_array().unwrap();
    let of =
        |name: &str| files.iter().find(|file| file["file"] == name).unwrap_or_else(|| panic!("{name}: {answer:#}"));
    assert_eq!((&of("good.xml")["tests"], &of("packed.xml.zst")["tests"]), (&1.into(), &1.into()));
    assert!(of("TEST-cut.xml")["error"].is_string() && of("none.xml")["error"].is_string());
    assert_eq!(answer["error"]["message"], "2 of 4 files cannot be used");
}
