//! What can be asked: figures and why, runs, tests, defects, deployments; and who may ask.

use super::running::{Running, TOKEN, failed, json, passed, report};
use crate::http;
use serde_json::Value;

fn with_a_flake() -> Running {
    let exporter = Running::start();
    let path = |attempt: u32| format!("/api/v1/projects/web/reports?commit=abc&branch=main&run=ci-1&attempt={attempt}");
    exporter.post(&path(1), &report(&[&passed("adds"), &passed("removes"), &failed("pays"), &passed("ships")]));
    exporter.post(&path(2), &report(&[&passed("pays")]));
    exporter
}

fn figure<'a>(document: &'a Value, name: &str) -> &'a Value {
    document["figures"].as_array().unwrap().iter().find(|figure| figure["name"] == name).unwrap()
}

#[test]
fn figures_come_with_what_they_are_made_of() {
    let exporter = with_a_flake();
    for path in ["/api/v1/figures", "/api/v1/projects/web/figures"] {
        let document = exporter.json(path);
        assert_eq!(document["sample"], false);
        let rate = figure(&document, "flake_rate");
        assert_eq!(
            (&rate["value"], &rate["numerator"], &rate["denominator"]),
            (&0.25.into(), &1.0.into(), &4.0.into())
        );
        assert_eq!((&rate["window_days"], &rate["unit"]), (&14.into(), &"ratio".into()));
        assert_eq!(figure(&document, "defect_leakage")["value"], Value::Null);
    }
    let branch = exporter.json("/api/v1/projects/web/figures?branch=main");
    assert_eq!(figure(&branch, "pass_ratio")["value"], 0.8);
    let other = exporter.json("/api/v1/projects/web/figures?branch=other");
    assert_eq!(figure(&other, "pass_ratio")["value"], Value::Null);
}

#[test]
fn a_flake_is_explained_by_the_runs_commits_and_attempts_behind_it() {
    let exporter = with_a_flake();
    let explanation = exporter.json("/api/v1/projects/web/figures/flake_rate");
    let tests = explanation["tests"].as_array().unwrap();
    let flaky: Vec<&Value> = tests.iter().filter(|test| test["summary"]["is_flaky"] == true).collect();
    assert_eq!(flaky.len(), 1, "{explanation:#}");
    assert_eq!(flaky[0]["summary"]["test"]["name"], "pays");
    let executions = flaky[0]["events"][0]["executions"].as_array().unwrap();
    let mut attempts: Vec<(u64, &str, &str)> = executions
        .iter()
        .map(|one| {
            (one["attempt"].as_u64().unwrap(), one["outcome"].as_str().unwrap(), one["commit"].as_str().unwrap())
        })
        .collect();
    attempts.sort_unstable();
    assert_eq!(attempts, [(1, "failed", "abc"), (2, "passed", "abc")]);
    assert!(explanation["definition"].as_str().unwrap().contains("skipped"));
}

#[test]
fn the_sample_can_be_explained_and_says_that_it_is_one() {
    let exporter = Running::start();
    let explanation = exporter.json("/api/v1/figures/flake_rate");
    assert_eq!(explanation["sample"], true);
    let flaky = |test: &&Value| test["summary"]["is_flaky"] == true;
    assert_eq!(explanation["tests"].as_array().unwrap().iter().filter(flaky).count(), 4);
    assert_eq!(exporter.json("/api/v1/projects")[0]["key"], "sample");
}

#[test]
fn runs_tests_branches_and_defects_are_listed() {
    let exporter = with_a_flake();
    exporter.post("/api/v1/projects/web/defects", "key,created,environment\nA-1,2026-03-01,production\n");
    let web = |path: &str| exporter.json(&format!("/api/v1/projects/web{path}"));
    assert_eq!(exporter.json("/api/v1/projects")[0]["key"], "web");
    assert_eq!(web("/branches")[0]["branch"], "main");
    let runs = web("/runs?branch=main");
    assert_eq!(runs.as_array().unwrap().len(), 2);
    assert_eq!(runs[0]["run"], "ci-1");
    let run = web(&format!("/runs/{}", runs[1]["id"]));
    assert_eq!(run["failures"][0]["test"]["name"], "pays");
    assert_eq!(web("/tests?q=pay")[0]["test"]["name"], "pays");
    let fingerprint = web("/tests?q=pay")[0]["fingerprint"].as_str().unwrap().to_owned();
    assert_eq!(web(&format!("/tests/{fingerprint}"))["entries"].as_array().unwrap().len(), 2);
    let slowest = web("/tests?ranking=slowest&q=PAY");
    assert_eq!((slowest.as_array().unwrap().len(), &slowest[0]["test"]["name"]), (1, &"pays".into()));
    assert_eq!(web("/flaky"), Value::Array(Vec::new()), "two executions are no sample to rank by");
    assert_eq!(web("/defects")[0]["class"]["phase"], "production");
}

#[test]
fn what_is_not_there_and_what_cannot_be_asked_is_told() {
    let exporter = with_a_flake();
    for (path, status, code) in [
        ("/api/v1/figures/colour", 404, "figure_unknown"),
        ("/api/v1/projects/none/figures", 404, "unknown"),
        ("/api/v1/projects/none/runs", 404, "unknown"),
        ("/api/v1/projects/web/runs/77", 404, "unknown"),
        ("/api/v1/projects/web/runs/x", 404, "unknown"),
        ("/api/v1/projects/web/tests/xyz", 404, "unknown"),
        ("/api/v1/projects/web/runs?limit=0", 400, "query_invalid"),
        ("/api/v1/projects/web/tests?ranking=colour", 400, "query_invalid"),
        ("/api/v1/projects/web/figures?colour=red", 400, "query_invalid"),
        ("/api/v1/projects/%FF/figures", 400, "request_invalid"),
    ] {
        let answer = exporter.get(path);
        assert_eq!((answer.status, json(&answer)["code"].as_str()), (status, Some(code)), "{path}");
        assert_eq!(answer.headers["content-type"], "application/problem+json", "{path}");
    }
}

#[test]
fn deployments_are_recorded_and_the_same_key_replaces() {
    let exporter = Running::start();
    let post = |body: &str| exporter.post("/api/v1/projects/web/deployments", body);
    assert_eq!(post(r#"{"key": "d1", "environment": "production"}"#).status, 201);
    assert_eq!(post(r#"{"key": "d2"}"#).status, 201);
    assert_eq!(post(r#"{"key": "d2", "failed": true}"#).status, 201);
    // Where no user meets it, no change fails.
    assert_eq!(post(r#"{"key": "d3", "environment": "staging", "failed": true}"#).status, 201);
    assert_eq!(exporter.series("qa_change_failure_ratio{project=\"web\"}"), Some(0.5));
    let page = exporter.get("/projects/web/figures/change_failure_ratio").body;
    assert!(page.contains("The deployments behind it") && page.contains(">d2<") && !page.contains(">d3<"), "{page}");
    let metrics = exporter.metrics();
    assert!(metrics.contains("# TYPE qa_deployments gauge"), "what is replaced goes down: it is no counter");
    for outcome in ["succeeded", "failed"] {
        assert_eq!(exporter.series(&format!("qa_deployments{{project=\"web\",outcome=\"{outcome}\"}}")), Some(1.0));
    }
    for body in [
        "",
        "{}",
        "[]",
        r#"{"key": ""}"#,
        r#"{"key": " "}"#,
        r#"{"key": "x", "at": 1772452800000}"#,
        r#"{"key": "x", "at": 0.5}"#,
        r#"{"key": "x", "at": -1}"#,
        r#"{"key": "x", "colour": 1}"#,
    ] {
        assert_eq!(post(body).status, 422, "{body}");
    }
    let now: jiff::Timestamp = super::running::NOW.parse().unwrap();
    let later = now.as_second() + 5_000;
    let fast_clock = json(&post(&format!(r#"{{"key": "d3", "at": {later}.0}}"#)));
    assert_eq!(fast_clock["at"], now.as_second(), "what is not here yet cannot have happened");
}

fn ask(exporter: &Running, method: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let headers = [("Host", exporter.address.as_str()), ("Authorization", bearer.as_str())];
    let answer = http::send(&exporter.address, method, path, &headers, body);
    (answer.status, serde_json::from_str(&answer.body).unwrap_or_default())
}

#[test]
fn a_token_may_what_its_scope_says_until_it_is_revoked() {
    let exporter = Running::with("reading: token\n");
    let wanted = r#"{"name": "ci", "scopes": ["ingest"], "project": "web"}"#;
    let (status, made) = ask(&exporter, "POST", "/api/v1/tokens", TOKEN, wanted);
    assert_eq!(status, 201);
    let secret = made["secret"].as_str().unwrap();
    let body = report(&[&passed("adds")]);
    let push = |project: &str| ask(&exporter, "POST", &format!("/api/v1/projects/{project}/reports"), secret, &body).0;
    assert_eq!((push("web"), push("shop")), (201, 403));
    assert_eq!(ask(&exporter, "GET", "/api/v1/projects/web/runs", secret, "").0, 403, "it may bring and not read");
    assert_eq!(ask(&exporter, "POST", "/api/v1/tokens", secret, wanted).0, 403);
    assert_eq!(ask(&exporter, "POST", "/api/v1/tokens", TOKEN, wanted).0, 409, "the name is taken");
    assert_eq!(exporter.get("/api/v1/projects").status, 401);
    assert_eq!(exporter.get("/metrics").status, 200);
    let (_, list) = ask(&exporter, "GET", "/api/v1/tokens", TOKEN, "");
    assert_eq!(list[0]["name"], "ci");
    assert!(!list.to_string().contains(secret) && !list.to_string().contains("sha256"), "{list}");
    assert_eq!(ask(&exporter, "DELETE", "/api/v1/tokens/ci", TOKEN, "").0, 200);
    assert_eq!(push("web"), 401);
    let file = std::fs::read(exporter.directory.path().join("data/qastack.db")).unwrap();
    let log = std::fs::read(exporter.directory.path().join("data/qastack.db-wal")).unwrap_or_default();
    let is_in = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret.as_bytes());
    assert!(!is_in(&file) && !is_in(&log), "a secret on disk");
}

#[test]
fn a_token_without_a_name_or_a_scope_is_not_made() {
    let exporter = Running::start();
    for wanted in [
        "",
        "{}",
        r#"{"name": "ci", "scopes": []}"#,
        r#"{"name": "a b", "scopes": ["read"]}"#,
        r#"{"name": "ci", "scopes": ["all"]}"#,
        r#"{"name": "7", "scopes": ["read"]}"#,
    ] {
        assert_eq!(ask(&exporter, "POST", "/api/v1/tokens", TOKEN, wanted).0, 422, "{wanted}");
    }
}

#[test]
fn runs_are_listed_by_when_they_were_and_page_by_page_alike() {
    let exporter = Running::start();
    let day = 86_400;
    // Long before the day that the exporter's clock is set to.
    let today = 1_700_000_000;
    for (run, age) in [("new", 1), ("oldest", 9), ("middle", 5), ("newest", 0), ("old", 7)] {
        let path = format!("/api/v1/projects/shop/reports?run={run}&branch=main&started_at={}", today - age * day);
        assert_eq!(exporter.post(&path, &report(&[&passed(run)])).status, 201);
    }
    let runs = |query: &str| {
        let runs = exporter.json(&format!("/api/v1/projects/shop/runs?{query}"));
        let of = |run: &Value| (run["run"].as_str().unwrap().to_owned(), run["id"].as_i64().unwrap());
        runs.as_array().unwrap().iter().map(of).collect::<Vec<_>>()
    };
    let names = |runs: Vec<(String, i64)>| runs.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let expected = ["newest", "new", "middle", "old", "oldest"];
    assert_eq!(names(runs("")), expected);
    let mut paged = runs("limit=2");
    while let Some((_, last)) = paged.last().cloned() {
        let further = runs(&format!("limit=2&branch=main&before={last}"));
        if further.is_empty() {
            break;
        }
        paged.extend(further);
    }
    assert_eq!(names(paged), expected);
}
