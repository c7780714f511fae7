//! What is refused when too much comes, and how it is told when to come back.

use super::running::{Running, TOKEN, json, passed, report};
use crate::http;
use std::time::{Duration, Instant};

const REPORTS: &str = "/api/v1/projects/web/reports";

fn made_token(exporter: &Running, name: &str) -> String {
    let wanted = format!(r#"{{"name": "{name}", "scopes": ["ingest"]}}"#);
    json(&exporter.post("/api/v1/tokens", &wanted))["secret"].as_str().expect("a secret").to_owned()
}

fn push_with(exporter: &Running, token: &str) -> http::Answer {
    let bearer = format!("Bearer {token}");
    let headers = [("Host", exporter.address.as_str()), ("Authorization", bearer.as_str())];
    http::send(&exporter.address, "POST", REPORTS, &headers, &report(&[&passed("adds")]))
}

#[test]
fn a_token_that_brings_too_much_is_told_when_to_come_back_and_others_go_on() {
    let exporter = Running::with("uploads: { rate: 1 }\n");
    let (busy, calm) = (made_token(&exporter, "busy"), made_token(&exporter, "calm"));
    let begun = Instant::now();
    let answers: Vec<_> = (0..40).map(|_| push_with(&exporter, &busy)).collect();
    let allowed = 10 + begun.elapsed().as_secs() as usize + 1;
    let taken = answers.iter().filter(|answer| answer.status < 300).count();
    assert!((10..=allowed).contains(&taken), "{taken} were taken");
    let refused = answers.iter().find(|answer| answer.status == 429).expect("some are refused");
    assert_eq!(json(refused)["code"], "too_many_requests");
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    assert_eq!(push_with(&exporter, &calm).status, 200);
    assert!((0..40).all(|_| push_with(&exporter, TOKEN).status == 200), "the administrator's own is not limited");
    exporter.until("the rate lets it in again", || push_with(&exporter, &busy).status == 200);
}

#[test]
fn the_administrators_own_token_is_limited_where_the_settings_say_so() {
    let exporter = Running::with("uploads: { admin_rate: 1 }\n");
    let statuses: Vec<u16> = (0..40).map(|_| push_with(&exporter, TOKEN).status).collect();
    assert!(statuses.contains(&429), "{statuses:?}");
}

#[test]
fn a_file_that_another_process_holds_makes_uploads_wait_and_then_come_back_and_reads_go_on() {
    let exporter = Running::start();
    assert_eq!(push_with(&exporter, TOKEN).status, 201);
    let other = rusqlite::Connection::open(exporter.directory.path().join("data/qastack.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = report(&[&passed("pays")]);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| exporter.post(REPORTS, &body));
        while !waiting.is_finished() {
            let begun = Instant::now();
            assert_eq!(exporter.get("/metrics").status, 200);
            assert_eq!(exporter.json("/api/v1/projects/web/tests")[0]["test"]["name"], "adds");
            assert!(begun.elapsed() < Duration::from_secs(2), "a reader waits for the writer");
        }
        let refused = waiting.join().unwrap();
        assert_eq!((refused.status, json(&refused)["code"].as_str()), (503, Some("busy")));
        assert_eq!(refused.headers["retry-after"], "2");
    });
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(exporter.post(REPORTS, &body).status, 201);
}
