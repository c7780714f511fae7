//! The whole store over HTTP: for administrators alone, and nothing that is no store takes its place.

use super::running::{Running, TOKEN, json, passed, report};
use crate::http::{self, Answer};

fn send(exporter: &Running, method: &str, path: &str, token: &str, digest: Option<&str>, body: &str) -> Answer {
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("Host", exporter.address.as_str()), ("Authorization", bearer.as_str())];
    headers.extend(digest.map(|digest| ("Content-Digest", digest)));
    http::send(&exporter.address, method, path, &headers, body)
}

#[test]
fn a_copy_is_a_database_and_leaves_nothing_behind() {
    let exporter = Running::start();
    let copy = send(&exporter, "GET", "/api/v1/store", TOKEN, None, "");
    assert_eq!((copy.status, copy.headers["content-type"].as_str()), (200, "application/vnd.sqlite3"));
    assert!(copy.body.starts_with("SQLite format 3\0"));
    assert_eq!(copy.headers["x-qastack-holds-data"], "false");
    exporter.post("/api/v1/projects/web/reports", &report(&[&passed("adds")]));
    let copy = send(&exporter, "GET", "/api/v1/store", TOKEN, None, "");
    assert_eq!(copy.headers["x-qastack-holds-data"], "true");
    assert_eq!(copy.headers["x-qastack-schema-version"], qastack::store::SCHEMA_VERSION.to_string());
    let exchange = exporter.directory.path().join("data/exchange");
    exporter.until("the copy is gone", || std::fs::read_dir(&exchange).unwrap().count() == 0);
}

#[test]
fn only_an_administrator_takes_the_store_out_or_puts_one_in() {
    let exporter = Running::start();
    let wanted = r#"{"name":"ci","scopes":["ingest","read"]}"#;
    let secret = json(&exporter.post("/api/v1/tokens", wanted))["secret"].as_str().unwrap().to_owned();
    for method in ["GET", "PUT"] {
        for (token, status) in [(secret.as_str(), 403), ("wrong", 401)] {
            assert_eq!(send(&exporter, method, "/api/v1/store", token, None, "").status, status, "{method}");
        }
    }
}

#[test]
fn what_is_no_store_is_refused_and_what_is_there_stays() {
    let exporter = Running::start();
    exporter.post("/api/v1/projects/web/reports", &report(&[&passed("adds")]));
    let before = exporter.json("/api/v1/projects");
    let right = |body: &str| {
        use base64::Engine;
        use sha2::Digest;
        format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(body)))
    };
    let words = "words, and no database at all, but many of them";
    let force = "/api/v1/store?force=true";
    for (path, digest, body, status, code) in [
        (force, Some(right("")), "", 422, "store_invalid"),
        (force, Some(right(words)), words, 422, "store_damaged"),
        (force, Some(right(words)), "other words", 409, "digest_mismatch"),
        (force, None, words, 400, "digest_invalid"),
        (force, Some("md5=:x:".to_owned()), "words", 400, "digest_invalid"),
        ("/api/v1/store?force=perhaps", None, "words", 400, "query_invalid"),
        ("/api/v1/store?other=1", None, "words", 400, "query_invalid"),
    ] {
        let refused = send(&exporter, "PUT", path, TOKEN, digest.as_deref(), body);
        assert_eq!((refused.status, json(&refused)["code"].as_str()), (status, Some(code)), "{path} {body:?}");
        assert_eq!(exporter.json("/api/v1/projects"), before);
    }
}
