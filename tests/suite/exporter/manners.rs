//! How it answers: headers, methods, unknown paths, foreign names.

use super::running::{Running, json};
use crate::http;
use std::io::{Read, Write};
use std::net::TcpStream;

#[test]
fn every_answer_tells_a_browser_to_trust_nothing() {
    let exporter = Running::start();
    let expected = [
        (
            "content-security-policy",
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
             object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for path in ["/", "/assets/page.css", "/metrics", "/healthz", "/readyz", "/nowhere", "/api/v1/projects/x/reports"] {
        let answer = exporter.get(path);
        for (name, value) in expected {
            assert_eq!(answer.headers.get(name).map(String::as_str), Some(value), "{path}: {name}");
        }
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
    }
    let refused = http::send(&exporter.address, "GET", "/metrics", &[("Host", "evil.example")], "");
    assert_eq!(refused.headers["x-content-type-options"], "nosniff");
}

#[test]
fn metrics_have_exactly_the_media_type_prometheus_reads() {
    let exporter = Running::start();
    let accept = [
        ("Host", "test-metrics:8080"),
        (
            "Accept",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        ),
    ];
    let answer = http::send(&exporter.address, "GET", "/metrics", &accept, "");
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert!(answer.body.ends_with('\n'));
}

#[test]
fn only_the_listed_methods_are_possible() {
    let exporter = Running::start();
    let host = [("Host", exporter.address.as_str())];
    for (path, allowed) in [
        ("/", "GET,HEAD"),
        ("/metrics", "GET,HEAD"),
        ("/healthz", "GET,HEAD"),
        ("/readyz", "GET,HEAD"),
        ("/api/v1/projects/web/reports", "POST"),
        ("/api/v1/projects/web/deployments", "POST"),
    ] {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
            let answer = http::send(&exporter.address, method, path, &host, "");
            let is_allowed = allowed.split(',').any(|name| name == method);
            assert_eq!(answer.status != 405, is_allowed, "{method} {path}: {}", answer.status);
            if !is_allowed {
                assert_eq!(answer.headers["allow"], allowed, "{method} {path}");
                let kind = if path == "/" { "text/html; charset=utf-8" } else { "application/problem+json" };
                assert_eq!(answer.headers["content-type"], kind, "{method} {path}");
            }
        }
    }
}

#[test]
fn head_is_get_without_the_body() {
    let exporter = Running::start();
    let host = [("Host", exporter.address.as_str())];
    let (get, head) = (exporter.get("/healthz"), http::send(&exporter.address, "HEAD", "/healthz", &host, ""));
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], get.headers["content-length"]);
}

#[test]
fn an_unknown_path_is_a_problem_in_words() {
    let exporter = Running::start();
    let answer = exporter.get("/nowhere?x=%3Cscript%3E");
    assert_eq!((answer.status, json(&answer)["code"].as_str()), (404, Some("not_found")));
    assert_eq!(json(&answer)["detail"], "there is nothing at \"/nowhere\"");
}

#[test]
fn foreign_names_and_origins_are_refused_and_our_own_are_not() {
    let exporter = Running::with("allowed_hosts: [qa.example.com]\n");
    let status = |headers: &[(&str, &str)]| http::send(&exporter.address, "GET", "/metrics", headers, "").status;
    for host in ["localhost", "127.0.0.1:1", "[::1]:8080", "test-metrics:8080", "qa.example.com"] {
        assert_eq!(status(&[("Host", host)]), 200, "{host}");
    }
    for host in ["evil.example", "x.localhost", "10.1.2.3", "test-metrics.evil.example"] {
        assert_eq!(status(&[("Host", host)]), 421, "{host}");
    }
    assert_eq!(status(&[]), 400, "no name at all");
    assert_eq!(http::send(&exporter.address, "GET", "/healthz", &[], "").status, 200, "a small probe");
    assert_eq!(status(&[("Host", "localhost"), ("Origin", "http://evil.example")]), 403);
    assert_eq!(status(&[("Host", "localhost"), ("Origin", "null")]), 403);
    assert_eq!(status(&[("Host", "localhost"), ("Sec-Fetch-Site", "cross-site")]), 403);
    assert_eq!(status(&[("Host", "localhost:80"), ("Origin", "http://localhost")]), 200);
}

#[test]
fn two_lengths_of_one_body_are_refused() {
    let exporter = Running::start();
    for head in ["Content-Length: 5\r\nContent-Length: 6", "Content-Length: 5\r\nTransfer-Encoding: chunked"] {
        let mut stream = TcpStream::connect(&exporter.address).unwrap();
        write!(
            stream,
            "POST /healthz HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n"
        )
        .unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(!answer.contains("flake_rate"), "a second request was smuggled in: {answer}");
    }
}
