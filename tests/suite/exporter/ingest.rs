//! What is taken in, and what is refused in which words.

use super::running::{Running, TOKEN, failed, json, passed, report};
use crate::http;
use std::io::{Read, Write};
use std::net::TcpStream;

const REPORTS: &str = "/api/v1/projects/web/reports";
const DEFECTS: &str = "/api/v1/projects/web/defects";

#[test]
fn a_report_is_acknowledged_with_its_counts_and_warnings() {
    let exporter = Running::start();
    let body =
        report(&[&passed("adds"), &failed("pays"), "<testcase classname='cart' name='later'><skipped/></testcase>"]);
    let answer = exporter.post(&format!("{REPORTS}?branch=main&commit=abc&job=unit"), &body);
    assert_eq!(answer.status, 201);
    let answer = json(&answer);
    assert_eq!(answer["project"], "web");
    assert_eq!(answer["format"], "junit");
    assert_eq!(answer["standing"], "counts");
    let counts = &answer["counts"];
    assert_eq!(
        (&counts["tests"], &counts["passed"], &counts["failed"], &counts["skipped"]),
        (&3.into(), &1.into(), &1.into(), &1.into())
    );
    let strange = report(&["<testcase classname='cart' name='slow' time='soon'/>"]);
    let warnings = json(&exporter.post(REPORTS, &strange))["warnings"].clone();
    assert_eq!(warnings[0]["line"], 1, "{warnings}");
}

#[test]
fn the_same_report_of_the_same_run_is_counted_once() {
    let exporter = Running::start();
    let body = report(&[&passed("adds")]);
    let path = format!("{REPORTS}?run=7&job=unit");
    let first = exporter.post(&path, &body);
    let second = exporter.post(&path, &body);
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(json(&second)["duplicate"], true);
    assert_eq!(json(&first)["report"], json(&second)["report"]);
}

#[test]
fn one_idempotency_key_stands_for_one_content() {
    let exporter = Running::start();
    let key = [("Idempotency-Key", "push-1")];
    assert_eq!(exporter.post_with(REPORTS, &key, &report(&[&passed("adds")])).status, 201);
    assert_eq!(exporter.post_with(REPORTS, &key, &report(&[&passed("adds")])).status, 200);
    let other = exporter.post_with(REPORTS, &key, &report(&[&passed("removes")]));
    assert_eq!((other.status, json(&other)["code"].as_str()), (409, Some("idempotency_conflict")));
    assert_eq!(exporter.post_with(REPORTS, &[("Idempotency-Key", "")], "x").status, 400);
}

#[test]
fn nothing_is_taken_in_without_the_token() {
    let exporter = Running::start();
    let host = ("Host", exporter.address.as_str());
    let body = report(&[&passed("adds")]);
    for path in [REPORTS, DEFECTS] {
        for authorization in ["", "Bearer", "Bearer wrong", "Basic eDp5"] {
            let headers = [host, ("Authorization", authorization)];
            let answer = http::send(&exporter.address, "POST", path, &headers, &body);
            assert_eq!(answer.status, 401, "{path} {authorization}");
            assert!(answer.headers["www-authenticate"].starts_with("Bearer"));
            assert_eq!(json(&answer)["code"], "token_refused");
        }
    }
    assert_eq!(exporter.series("qa_sample_data"), Some(1.0), "nothing was stored");
}

#[test]
fn an_exporter_without_a_token_says_how_to_give_it_one() {
    let exporter = Running::start();
    std::fs::remove_file(exporter.directory.path().join("token")).unwrap();
    exporter.reload_with("");
    exporter.until("the token is gone", || exporter.post(REPORTS, "x").status == 401);
    let hint = json(&exporter.post(REPORTS, "x"))["hint"].as_str().unwrap().to_owned();
    assert!(hint.contains("admin_token_file"), "{hint}");
}

#[test]
fn what_is_no_report_is_an_error_with_its_line_and_is_counted() {
    let exporter = Running::start();
    for (body, status, code) in [
        ("hello", 400, "unknown_format"),
        ("<html><body/></html>", 400, "unknown_format"),
        ("<testsuite>\n<testcase name='x'", 400, "truncated"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><testsuite/>", 400, "doctype_forbidden"),
        ("", 422, "empty"),
        ("<testsuite name='x' tests='6'/>", 422, "no_tests"),
    ] {
        let answer = exporter.post(REPORTS, body);
        assert_eq!((answer.status, json(&answer)["code"].as_str()), (status, Some(code)), "{body}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    assert_eq!(
        exporter.series("qastack_ingest_reports_total{format=\"unknown\",result=\"unknown_format\"}"),
        Some(2.0)
    );
    assert_eq!(exporter.series("qastack_ingest_reports_total{format=\"unknown\",result=\"empty\"}"), Some(1.0));
    assert_eq!(exporter.series("qastack_ingest_reports_total{format=\"unknown\",result=\"no_tests\"}"), Some(1.0));
    assert_eq!(exporter.series("qa_sample_data"), Some(1.0), "a refused report puts no sample away");
}

#[test]
fn what_cannot_be_said_of_a_run_is_refused() {
    let exporter = Running::start();
    let long = "x".repeat(501);
    for query in [
        "attempt=0",
        "attempt=x",
        "colour=red",
        "branch=",
        "ci_url=javascript:1",
        "branch=a%0Ab",
        &format!("job={long}"),
    ] {
        let answer = exporter.post(&format!("{REPORTS}?{query}"), &report(&[&passed("adds")]));
        assert_eq!((answer.status, json(&answer)["code"].as_str()), (400, Some("meta_invalid")), "{query}");
    }
    assert_eq!(json(&exporter.post("/api/v1/projects/a%20b/reports", "x"))["code"], "project_invalid");
    let detail = |address: &str| json(&exporter.post(address, "x"))["detail"].as_str().unwrap().to_owned();
    assert_eq!(detail(&format!("{REPORTS}?attempt=x")), "attempt has to be a whole number within its bounds");
    assert!(detail(&format!("{REPORTS}?colour=red")).starts_with("unknown field `colour`, expected one of `run`"));
    let list = json(&exporter.get("/api/v1/projects/web/runs?limit=-1"));
    assert_eq!(list["detail"], "limit has to be a whole number within its bounds");
}

#[test]
fn an_outage_is_held_out_and_says_so() {
    let exporter = Running::start();
    let cases: Vec<String> =
        (0..20).map(|n| if n < 16 { failed(&n.to_string()) } else { passed(&n.to_string()) }).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    let answer = json(&exporter.post(REPORTS, &report(&cases)));
    assert_eq!(answer["standing"], "held_out");
    assert!(answer["held_out_because"].as_str().unwrap().contains("outage"));
    assert_eq!(exporter.series("qa_held_out_reports{project=\"web\"}"), Some(1.0));
    assert!(exporter.series("flake_rate").unwrap().is_nan());
}

#[test]
fn a_run_that_is_older_than_the_window_is_stored_and_told_to_be_in_no_figure() {
    let exporter = Running::start();
    let at = |day: &str| format!("{REPORTS}?started_at={}", day.parse::<jiff::Timestamp>().unwrap().as_second());
    let inside = json(&exporter.post(&at("2026-02-25T00:00:00Z"), &report(&[&passed("adds")])));
    assert_eq!(inside.get("outside_window"), None, "{inside:#}");
    let old = at("2026-02-24T23:59:59Z");
    for duplicate in [false, true] {
        let answer = json(&exporter.post(&old, &report(&[&passed("removes")])));
        assert_eq!((&answer["standing"], &answer["duplicate"]), (&"counts".into(), &duplicate.into()));
        let told = answer["outside_window"].as_str().unwrap_or_else(|| panic!("{answer:#}"));
        assert!(told.contains("2026-02-24, before the window of 14 days (figures.flake_window)"), "{told}");
        assert!(told.contains("begins on 2026-02-25"), "{told}");
    }
    assert_eq!(exporter.series("qa_executions{project=\"web\",branch=\"other\",outcome=\"passed\"}"), Some(1.0));
}

#[test]
fn a_run_whose_tests_passed_and_which_failed_by_itself_is_not_green() {
    let exporter = Running::start();
    let crashed = "<TestRun><Results><UnitTestResult testName='a' outcome='Passed'/></Results><ResultSummary \
                   outcome='Failed'><RunInfos><RunInfo outcome='Error'><Text>Test host process crashed</Text></RunInfo>\
                   </RunInfos></ResultSummary></TestRun>";
    let answer = json(&exporter.post(REPORTS, crashed));
    assert_eq!((&answer["counts"]["passed"], &answer["counts"]["errors"]), (&1.into(), &1.into()), "{answer:#}");
    assert_eq!(answer["warnings"][0]["code"], "suite_error");
    assert_eq!(exporter.series("qa_pass_ratio{project=\"web\"}"), Some(0.5));
    assert_eq!(exporter.series("qa_runs_total{project=\"web\",branch=\"other\",outcome=\"failed\"}"), Some(1.0));
    let page = exporter.get(&format!("/projects/web/runs/{}", answer["run"])).body;
    assert!(page.contains("[failed outside of tests]") && page.contains("Test host process crashed"), "{page}");
}

#[test]
fn a_time_beyond_all_measure_harms_neither_the_lists_nor_a_restart() {
    let exporter = Running::start();
    for time in ["1e300", "9223372036854775807", "99999999999999999999"] {
        let body = report(&[&format!("<testcase classname='cart' name='slow' time='{time}'/>")]);
        let posted = exporter.post(&format!("{REPORTS}?run={time}"), &body);
        assert_eq!(posted.status, 201, "{time}: {posted:?}");
        let run = json(&posted)["run"].clone();
        assert_eq!(exporter.get(&format!("/api/v1/projects/web/runs/{run}")).status, 200, "{time}");
    }
    assert_eq!(exporter.json("/api/v1/projects/web/runs").as_array().unwrap().len(), 3);
    let directory = std::sync::Arc::clone(&exporter.directory);
    exporter.stop().0.expect("it ends well");
    assert_eq!(Running::over(directory, "").get("/metrics").status, 200);
}

#[test]
fn packed_reports_are_unpacked_and_damaged_ones_refused() {
    let exporter = Running::start();
    let body = report(&[&passed("adds")]);
    let gzip = {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(body.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let zstd = zstd::encode_all(body.as_bytes(), 3).unwrap();
    for (run, encoding, bytes) in
        [(1, "gzip", &gzip[..]), (2, "zstd", &zstd), (3, "identity", &gzip), (4, "identity", body.as_bytes())]
    {
        assert_eq!(raw_post(&exporter, &format!("{REPORTS}?run={run}"), encoding, bytes).0, 201, "{encoding}");
    }
    assert_eq!(raw_post(&exporter, REPORTS, "gzip", &gzip[..gzip.len() - 6]).0, 400);
    assert_eq!(raw_post(&exporter, REPORTS, "br", body.as_bytes()).0, 415);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_sent() {
    let exporter = Running::with("uploads: { sent: 1MiB }\n");
    let mut stream = TcpStream::connect(&exporter.address).unwrap();
    write!(
        stream,
        "POST {REPORTS} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Length: 2000000\r\n\
         Connection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    let bomb = zstd::encode_all(&vec![b' '; 300 << 20][..], 3).unwrap();
    assert_eq!(raw_post(&exporter, REPORTS, "zstd", &bomb).0, 413);
}

#[test]
fn defects_are_added_changed_and_classified() {
    let exporter = Running::start();
    let list = "key,title,environment,resolution,created\n\
                A-1,one,production,,2026-03-01\nA-2,two,qa,,2026-03-01\nA-3,three,qa,duplicate,2026-03-01\n";
    let first = json(&exporter.post(DEFECTS, list));
    assert_eq!((&first["added"], &first["production"], &first["invalid"]), (&3.into(), &1.into(), &1.into()));
    let second = json(&exporter.post(DEFECTS, &list.replace("two,qa", "two,production")));
    assert_eq!((&second["added"], &second["changed"], &second["unchanged"]), (&0.into(), &1.into(), &2.into()));
    assert_eq!(exporter.series("defect_leakage"), Some(1.0));
}

#[test]
fn defects_that_are_older_than_the_window_are_counted_in_the_answer() {
    let exporter = Running::with("figures: { leakage_window: 30d }\n");
    // The window of 30 days begins on 2026-02-09; a defect that is not valid is in no figure anyway.
    let list = "key,environment,resolution,created\nA-1,production,,2026-02-09\nA-2,qa,,2026-02-08\n\
                A-3,production,,2025-02-08\nA-4,qa,duplicate,2025-02-08\n";
    for _ in 0..2 {
        let answer = json(&exporter.post(DEFECTS, list));
        assert_eq!((&answer["older_than_window"], &answer["window_days"]), (&2.into(), &30.into()), "{answer:#}");
    }
    assert_eq!(exporter.series("defect_leakage"), Some(1.0));
}

#[test]
fn a_list_that_is_none_is_refused_in_words() {
    let exporter = Running::start();
    for body in ["", "colour,size\nred,1\n", "key,created\nA,someday\n"] {
        let answer = exporter.post(DEFECTS, body);
        assert_eq!((answer.status, json(&answer)["code"].as_str()), (422, Some("defects_unusable")), "{body}");
    }
    let mended = json(&exporter.post(DEFECTS, "key,created\nA,2026-03-01\nB,someday\n"));
    assert_eq!(
        (&mended["added"], &mended["left_out"], &mended["warnings"][0]["line"]),
        (&1.into(), &1.into(), &3.into())
    );
}

/// Bytes that are no text, so with a request of our own.
fn raw_post(exporter: &Running, path: &str, encoding: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(&exporter.address).unwrap();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\nContent-Encoding: {encoding}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    )
    .unwrap();
    stream.write_all(body).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer)
}
