//! Many files in one upload: all of them are stored or none, and counted once however often they are sent.

use super::running::{Running, failed, json, passed, report};
use crate::http::Answer;
use serde_json::json;

const REPORTS: &str = "/api/v1/projects/web/reports";

/// The body of a form with these parts: a field, a file's name where it is a file, and the content.
fn form(parts: &[(&str, Option<&str>, &str)]) -> String {
    let part = |(field, file, content): &(&str, Option<&str>, &str)| {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        format!("--between\r\nContent-Disposition: form-data; name=\"{field}\"{file}\r\n\r\n{content}\r\n")
    };
    format!("{}--between--\r\n", parts.iter().map(part).collect::<String>())
}

fn send(exporter: &Running, headers: &[(&str, &str)], parts: &[(&str, Option<&str>, &str)]) -> Answer {
    let media = ("Content-Type", "multipart/form-data; boundary=between");
    exporter.post_with(REPORTS, &[&[media], headers].concat(), &form(parts))
}

#[test]
fn the_files_of_a_form_are_one_run_and_each_is_answered() {
    let exporter = Running::start();
    let meta = r#"{"run": "7", "attempt": 2, "branch": "main", "commit": "abc"}"#;
    let (one, two) = (report(&[&passed("adds"), &failed("pays")]), report(&[&passed("ships")]));
    let parts = [("meta", None, meta), ("report", Some("one.xml"), one.as_str()), ("files[]", None, two.as_str())];
    let answer = send(&exporter, &[], &parts);
    assert_eq!(answer.status, 201, "{answer:?}");
    let answer = json(&answer);
    assert_eq!(answer["counts"], json!({"tests": 3, "passed": 2, "failed": 1, "errors": 0, "skipped": 0}));
    assert_eq!((&answer["duplicate"], &answer["new_tests"]), (&false.into(), &3.into()));
    let reports = answer["reports"].as_array().unwrap();
    assert_eq!((&reports[0]["file"], &reports[1]["file"]), (&"one.xml".into(), &"files[]".into()));
    assert_eq!(reports[0]["run"], reports[1]["run"]);
    let run = exporter.json(&format!("/api/v1/projects/web/runs/{}", reports[0]["run"]));
    assert_eq!(
        (&run["summary"]["run"], &run["summary"]["attempt"], &run["summary"]["commit"]),
        (&"7".into(), &2.into(), &"abc".into())
    );
    let again = send(&exporter, &[], &parts);
    assert_eq!((again.status, &json(&again)["duplicate"]), (200, &true.into()));
    assert_eq!(exporter.series("qa_runs_total{project=\"web\",branch=\"main\",outcome=\"failed\"}"), Some(1.0));
}

#[test]
fn the_files_of_a_form_that_names_no_run_are_one_run_all_the_same() {
    let exporter = Running::start();
    let (one, two) = (report(&[&passed("adds"), &failed("pays")]), report(&[&passed("ships"), &passed("pays")]));
    let meta = ("meta", None, r#"{"commit": "abc"}"#);
    let parts = [meta, ("a", Some("one.xml"), one.as_str()), ("b", Some("two.xml"), two.as_str())];
    let answer = json(&send(&exporter, &[], &parts));
    assert_eq!((&answer["reports"][0]["run"], &answer["flaky"]), (&answer["reports"][1]["run"], &0.into()), "{answer}");
    assert_eq!(exporter.series("flake_rate"), Some(0.0));
    let again = send(&exporter, &[], &parts);
    assert_eq!((again.status, &json(&again)["duplicate"]), (200, &true.into()));
    let alone = exporter.post(&format!("{REPORTS}?commit=abc"), &one);
    assert_eq!((alone.status, &json(&alone)["duplicate"]), (200, &true.into()), "it is known from the form");
}

#[test]
fn one_file_that_cannot_be_read_keeps_all_of_them_out_and_is_named() {
    let exporter = Running::start();
    let good = report(&[&passed("adds")]);
    for (bad, status, code) in [("<testsuite>\n<testcase", 400, "truncated"), ("<testsuite/>", 422, "no_tests")] {
        let answer = send(&exporter, &[], &[("a", Some("good.xml"), &good), ("b", Some("bad.xml"), bad)]);
        let problem = json(&answer);
        assert_eq!((answer.status, &problem["code"], &problem["file"]), (status, &code.into(), &"bad.xml".into()));
        assert!(problem["detail"].as_str().unwrap().starts_with("nothing of the form is stored"), "{problem}");
    }
    assert_eq!(exporter.series("qa_sample_data"), Some(1.0), "the good one was stored");
}

#[test]
fn a_form_that_is_none_is_refused_in_words() {
    let exporter = Running::start();
    let good = report(&[&passed("adds")]);
    let file = ("report", Some("a.xml"), good.as_str());
    for (parts, code) in [
        (vec![], "form_invalid"),
        (vec![("meta", None, "{}")], "form_invalid"),
        (vec![("meta", None, "{}"), ("meta", None, "{}"), file], "form_invalid"),
        (vec![("meta", None, "{"), file], "meta_invalid"),
        (vec![("meta", None, r#"{"colour": "red"}"#), file], "meta_invalid"),
        (vec![("meta", None, r#"{"attempt": 0}"#), file], "meta_invalid"),
        (vec![("meta", None, r#"{"started_at": 1772452800000}"#), file], "meta_invalid"),
    ] {
        let answer = send(&exporter, &[], &parts);
        assert_eq!((answer.status, json(&answer)["code"].as_str()), (400, Some(code)), "{parts:?}");
    }
    let media = [("Content-Type", "multipart/form-data; boundary=between")];
    let no_boundary = exporter.post_with(REPORTS, &[("Content-Type", "multipart/form-data")], "x");
    assert_eq!(json(&no_boundary)["code"], "form_invalid");
    assert_eq!(exporter.series("qa_sample_data"), Some(1.0));
    // What the part does not say, the address may.
    let body = form(&[("meta", None, r#"{"job": "a"}"#), file]);
    let both = json(&exporter.post_with(&format!("{REPORTS}?run=1&job=b"), &media, &body));
    let run = exporter.json(&format!("/api/v1/projects/web/runs/{}", both["reports"][0]["run"]));
    assert_eq!((&run["summary"]["run"], &run["summary"]["job"]), (&"1".into(), &"a".into()));
}

#[test]
fn one_idempotency_key_stands_for_all_files_of_a_form() {
    let exporter = Running::start();
    let [a, b, c] = ["adds", "pays", "ships"].map(|name| report(&[&passed(name)]));
    let push = |files: &[&str]| {
        let parts: Vec<_> = files.iter().map(|file| ("report", Some("r.xml"), *file)).collect();
        send(&exporter, &[("Idempotency-Key", "form-1")], &parts).status
    };
    assert_eq!(push(&[&a, &b, &a]), 201);
    assert_eq!(push(&[&a, &b, &a]), 200, "the acknowledgement was lost");
    for other in [&[a.as_str(), &c, &a][..], &[&a, &b], &[&a], &[&c], &[&a, &b, &a, &c]] {
        assert_eq!(push(other), 409, "{other:?}");
    }
    assert_eq!(exporter.post_with(REPORTS, &[("Idempotency-Key", "form-1")], &a).status, 409);
    // Neither does a key of one report stand for more, and what was stored before under another key takes nothing from it.
    let alone = |key: &str, file: &str| exporter.post_with(REPORTS, &[("Idempotency-Key", key)], file).status;
    assert_eq!((alone("one", &a), alone("one", &a)), (200, 200), "it is known from the form");
    let d = report(&[&passed("sorts")]);
    assert_eq!((alone("one", &d), alone("one", &d)), (201, 200));
    let parts =
        |files: &[&str]| files.iter().map(|file| ("report", Some("r.xml"), (*file).to_owned())).collect::<Vec<_>>();
    let form_of = |key: &str, files: &[&str]| {
        let parts = parts(files);
        let parts: Vec<_> = parts.iter().map(|(field, name, file)| (*field, *name, file.as_str())).collect();
        send(&exporter, &[("Idempotency-Key", key)], &parts).status
    };
    assert_eq!((form_of("one", &[&d, &c]), form_of("one", &[&d, &d])), (409, 409));
    let e = report(&[&passed("wraps")]);
    assert_eq!((form_of("two", &[&e, &e]), form_of("two", &[&e, &e]), alone("two", &e)), (201, 200, 409));
    let runs = exporter.json("/api/v1/projects/web/runs");
    let reports: u64 = runs.as_array().unwrap().iter().map(|run| run["reports"].as_u64().unwrap()).sum();
    assert_eq!(reports, 4, "nothing of the refused ones is stored: {runs}");
}
