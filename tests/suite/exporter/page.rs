//! The pages: each is there, says what the API says, and stays whole whatever names and addresses it is given.

use super::running::{Running, TOKEN, failed, json, passed, report};
use crate::http::{self, Answer};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Every page of a project.
const OF_PROJECT: [&str; 8] =
    ["", "/runs", "/tests", "/flaky", "/broken", "/slowest", "/defects", "/figures/flake_rate"];

/// Every page about all projects.
const OF_ALL: [&str; 6] = ["/", "/projects", "/ingest", "/search", "/search?q=a", "/figures/defect_leakage"];

fn is_page(answer: &Answer, status: u16) {
    let start: String = answer.body.chars().take(300).collect();
    assert_eq!(answer.status, status, "{start}");
    assert_eq!(answer.headers["content-type"], "text/html; charset=utf-8", "{start}");
    assert!(answer.body.starts_with("<!DOCTYPE html>") && answer.body.trim_end().ends_with("</html>"), "{start}");
}

fn with_a_flake() -> Running {
    let exporter = Running::start();
    let path = |attempt: u32| format!("/api/v1/projects/web/reports?commit=abc&branch=main&run=ci-1&attempt={attempt}");
    exporter.post(&path(1), &report(&[&passed("adds"), &passed("removes"), &failed("pays"), &passed("ships")]));
    exporter.post(&path(2), &report(&[&passed("pays")]));
    exporter.post(
        "/api/v1/projects/web/defects",
        "key,created,environment,title\nA-1,2026-03-01,production,Pays twice\nA-2,2026-03-01,staging,Wrong label\n",
    );
    exporter
}

#[test]
fn every_page_is_there_with_the_sample_and_says_that_it_is_one() {
    let exporter = Running::start();
    let pages = OF_ALL.map(str::to_owned).into_iter().chain(OF_PROJECT.map(|page| format!("/projects/sample{page}")));
    for path in pages {
        let answer = exporter.get(&path);
        is_page(&answer, 200);
        assert!(answer.body.contains("Sample data."), "{path}");
    }
    let overview = exporter.get("/").body;
    for said in [
        "8.0",
        "3.0",
        "4 of 50\u{a0}decided tests",
        "3 of 100\u{a0}valid defects",
        "2.0\u{a0}points more than a week before (6.0\u{a0}%)",
    ] {
        assert!(overview.contains(said), "{said}");
    }
}

#[test]
fn every_page_is_there_while_the_store_is_empty() {
    let exporter = Running::with("sample_data: false\n");
    for path in OF_ALL {
        is_page(&exporter.get(path), 200);
    }
    let overview = exporter.get("/").body;
    assert!(overview.contains("Nothing has been pushed yet") && overview.contains("no data"), "{overview}");
    assert!(!overview.contains("Sample data."));
    is_page(&exporter.get("/projects/web"), 404);
}

#[test]
fn the_first_report_puts_the_sample_away_at_once() {
    let exporter = Running::start();
    assert!(exporter.get("/").body.contains("Sample data."));
    exporter.post("/api/v1/projects/web/reports", &report(&[&passed("adds")]));
    let overview = exporter.get("/").body;
    assert!(!overview.contains("Sample data.") && overview.contains("0 of 1\u{a0}decided test<"), "{overview}");
    is_page(&exporter.get("/projects/sample"), 404);
}

#[test]
fn a_run_a_test_and_a_defect_are_shown_with_their_reasons() {
    let exporter = with_a_flake();
    let run = exporter.json("/api/v1/projects/web/runs")[1]["id"].to_string();
    let page = exporter.get(&format!("/projects/web/runs/{run}")).body;
    assert!(page.contains("pays") && page.contains("Attempt 1: failed") && page.contains("1 to 1 of 1"), "{page}");
    let fingerprint = exporter.json("/api/v1/projects/web/flaky");
    // It has fewer executions than a ranking needs, so it is looked for by its name.
    assert_eq!(fingerprint.as_array().unwrap().len(), 0);
    let fingerprint = exporter.json("/api/v1/projects/web/tests?q=pays")[0]["fingerprint"].as_str().unwrap().to_owned();
    let page = exporter.get(&format!("/projects/web/tests/{fingerprint}")).body;
    assert!(page.contains("It failed and passed on the same code, abc."), "{page}");
    assert_eq!(page.matches("class=\"cell ").count(), 2, "{page}");
    let page = exporter.get("/projects/web/figures/flake_rate").body;
    assert!(page.contains("It failed and passed on the same code, abc.") && page.contains("25.0"), "{page}");
    let page = exporter.get("/projects/web/defects?show=production").body;
    assert!(
        page.contains("found in a production environment") && page.contains("A-1") && !page.contains("A-2"),
        "{page}"
    );
    let page = exporter.get("/search?q=PAY").body;
    assert!(page.contains("pays") && page.contains("A-1"), "{page}");
}

#[test]
fn the_recovery_time_is_explained_by_the_tests_that_recovered_and_the_runs_that_say_so() {
    let exporter = Running::start();
    let path = |run: u32| format!("/api/v1/projects/web/reports?branch=main&run=ci-{run}");
    let all = |case: fn(&str) -> String| (0..25).map(|number| case(&format!("case {number}"))).collect::<String>();
    // Not an outage: nine tests of thirty-four passed.
    let others: String = (0..9).map(|number| passed(&format!("other {number}"))).collect();
    exporter.post(&path(1), &report(&[&all(failed), &others]));
    exporter.post(&path(2), &report(&[&all(passed)]));
    let page = exporter.get("/projects/web/figures/recovery_time").body;
    assert_eq!(page.matches("Red for ").count(), 20, "{page}");
    assert!(page.contains("The slowest recoveries") && page.contains("and 5\u{a0}more recoveries"), "{page}");
    assert!(page.contains("failed in <bdi>ci-1</bdi>") && page.contains("passed in <bdi>ci-2</bdi>"), "{page}");
    let explained = json(&exporter.get("/api/v1/figures/recovery_time?limit=3"));
    assert_eq!((explained["recoveries"].as_array().unwrap().len(), &explained["left_out"]), (3, &22.into()));
    let to = format!("/projects/web/tests/{}", explained["recoveries"][0]["fingerprint"].as_str().unwrap());
    assert!(page.contains(&to), "{to}");
    is_page(&exporter.get(&to), 200);
}

#[test]
fn what_was_refused_is_on_the_page_of_the_ingest() {
    let exporter = Running::start();
    exporter.post("/api/v1/projects/web/reports", "<testsuite");
    let page = exporter.get("/ingest").body;
    assert!(page.contains("Refused since the start") && page.contains("truncated"), "{page}");
}

#[test]
fn a_held_out_run_says_why() {
    let exporter = Running::start();
    let cases: Vec<String> = (0..25).map(|number| failed(&format!("case {number}"))).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    let id = json(&exporter.post("/api/v1/projects/web/reports", &report(&cases)))["run"].to_string();
    let page = exporter.get(&format!("/projects/web/runs/{id}")).body;
    assert!(page.contains("taken for an outage"), "{page}");
    assert!(exporter.get("/projects/web/runs").body.contains("held out"));
}

#[test]
fn lists_go_on_page_by_page_to_their_end() {
    let exporter = Running::start();
    let cases: Vec<String> = (0..120).map(|number| passed(&format!("case {number}"))).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    exporter.post("/api/v1/projects/web/reports", &report(&cases));
    for number in 0..90 {
        exporter
            .post(&format!("/api/v1/projects/web/reports?run=r{number}&branch=a%26b"), &report(&[&passed("case 0")]));
    }
    let rows_of = |start: &str, what: &str| {
        let (mut path, mut rows) = (start.to_owned(), Vec::new());
        loop {
            let page = exporter.get(&path);
            is_page(&page, 200);
            rows.push(page.body.matches(what).count());
            let Some(next) = page.body.split("rel=\"next\" href=\"").nth(1) else { return rows };
            path = next.split('"').next().unwrap().replace("&#38;", "&");
        }
    };
    assert_eq!(rows_of("/projects/web/tests", "<span class=\"pill stable\">"), [50, 50, 20]);
    assert_eq!(rows_of("/projects/web/runs?branch=a%26b", "all passed"), [40, 40, 10]);
}

#[test]
fn hostile_names_are_shown_and_do_nothing() {
    let exporter = Running::start();
    let names = [
        "&lt;script&gt;alert(1)&lt;/script&gt;".to_owned(),
        "&quot; onmouseover=&quot;alert(1)&quot; x=&apos;".to_owned(),
        "\u{202e}gnisrever \u{5e9}\u{5dc}\u{5d5}\u{5dd}".to_owned(),
        "x".repeat(10_000),
        "{{ frame.title }} {% raw %}".to_owned(),
    ];
    let cases: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                "<testcase classname=\"{name}\" name=\"{name}\"><failure type=\"{name}\" message=\"{name}\">&lt;img src=x \
                 onerror=alert(1)&gt;</failure></testcase>"
            )
        })
        .collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    let branch = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22'";
    let pushed = exporter.post(
        &format!("/api/v1/projects/web/reports?branch={branch}&run={branch}&job={branch}&commit={branch}&ci_url=https://x/{branch}"),
        &report(&cases),
    );
    assert_eq!(pushed.status, 201, "{pushed:?}");
    exporter.post(
        "/api/v1/projects/web/defects",
        "key,created,environment,title,url\n<script>1</script>,2026-03-01,production,<img src=x>,javascript:alert(1)\n",
    );
    let run = json(&pushed)["run"].to_string();
    let mut pages: Vec<String> = OF_ALL.map(str::to_owned).to_vec();
    pages.extend(OF_PROJECT.map(|page| format!("/projects/web{page}")));
    pages.extend([
        format!("/projects/web/runs/{run}"),
        format!("/projects/web/runs?branch={branch}"),
        format!("/search?q={branch}"),
        "/search?q=%3Cimg".to_owned(),
    ]);
    for test in exporter.json("/api/v1/projects/web/tests").as_array().unwrap() {
        pages.push(format!("/projects/web/tests/{}", test["fingerprint"].as_str().unwrap()));
    }
    for path in pages {
        let answer = exporter.get(&path);
        is_page(&answer, 200);
        let body = &answer.body;
        for inert in ["<script>", "<img", "onmouseover=\"", "href=\"javascript:"] {
            assert!(!body.contains(inert), "{path} holds {inert}");
        }
        assert!(body.len() < 110_000, "{path} is {} bytes long", body.len());
    }
}

#[test]
fn what_is_not_there_and_what_makes_no_sense_is_a_page_too() {
    let exporter = with_a_flake();
    for (path, status) in [
        ("/projects/none", 404),
        ("/projects/none/runs", 404),
        ("/projects/web/nowhere", 404),
        ("/projects/web/runs/7777", 404),
        ("/projects/web/runs/-1", 404),
        ("/projects/web/runs/x", 404),
        ("/projects/web/runs/99999999999999999999", 404),
        ("/projects/web/runs?before=0", 404),
        ("/projects/web/runs?before=x", 400),
        ("/projects/web/runs?limit=1000000", 400),
        ("/projects/web/tests/nope", 404),
        ("/projects/web/tests/00ff", 404),
        ("/projects/web/tests?after=99999999", 404),
        ("/projects/web/tests?after=-1", 400),
        ("/projects/web/flaky?x=1", 400),
        ("/projects/web/defects?show=everything", 400),
        ("/projects/web/defects?from=4000000000", 404),
        ("/projects/web/defects?from=99999999999999", 400),
        ("/projects/web/figures/nope", 404),
        ("/figures/nope", 404),
        ("/projects/%2e%2e%2fetc", 400),
        ("/projects/%3Cscript%3E", 400),
        ("/projects/%ff/runs", 400),
        ("/projects?after=zzzz", 404),
    ] {
        let answer = exporter.get(path);
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        is_page(&answer, status);
        assert!(!answer.body.contains("<script>"), "{path}");
    }
    let long = exporter.get(&format!("/search?q={}", "x".repeat(4_000)));
    is_page(&long, 400);
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let host = [("Host", exporter.address.as_str())];
        for path in ["/", "/projects/web", "/projects/web/runs", "/ingest", "/search"] {
            let answer = http::send(&exporter.address, method, path, &host, "");
            is_page(&answer, 405);
            assert_eq!(answer.headers["allow"], "GET,HEAD", "{method} {path}");
        }
    }
    let browser = [("Host", exporter.address.as_str()), ("Accept", "text/html,*/*;q=0.8")];
    is_page(&http::send(&exporter.address, "GET", "/nowhere", &browser, ""), 404);
    is_page(&http::send(&exporter.address, "GET", "/", &[("Host", "evil.example")], ""), 421);
}

#[test]
fn a_page_that_did_not_change_is_not_sent_again() {
    let exporter = with_a_flake();
    let first = exporter.get("/");
    let tag = first.headers["etag"].clone();
    let again = [("Host", exporter.address.as_str()), ("If-None-Match", tag.as_str())];
    let ask = || http::send(&exporter.address, "GET", "/", &again, "");
    assert_eq!((ask().status, ask().body.as_str()), (304, ""));
    exporter.post("/api/v1/projects/web/reports", &report(&[&failed("new")]));
    exporter.until("the page tells what was pushed", || ask().status == 200);
    let host = [("Host", exporter.address.as_str())];
    let head = http::send(&exporter.address, "HEAD", "/", &host, "");
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[test]
fn where_reading_needs_a_token_the_pages_do_too_and_a_browser_is_asked_for_a_password() {
    let exporter = Running::with("reading: token\n");
    exporter.post("/api/v1/projects/web/reports", &report(&[&passed("adds")]));
    let ask = |path: &str, authorization: Option<String>| {
        let mut headers = vec![("Host", exporter.address.as_str())];
        if let Some(authorization) = &authorization {
            headers.push(("Authorization", authorization));
        }
        http::send(&exporter.address, "GET", path, &headers, "")
    };
    let password = |password: &str| Some(format!("Basic {}", STANDARD.encode(format!("anybody:{password}"))));
    let pages = OF_ALL.map(str::to_owned).into_iter().chain(OF_PROJECT.map(|page| format!("/projects/web{page}")));
    for path in pages.chain(["/figures/nope".to_owned()]) {
        let refused = ask(&path, None);
        is_page(&refused, 401);
        assert!(!refused.body.contains("decided tests"), "{path}");
        assert_eq!(ask(&path, password("wrong")).status, 401, "{path}");
    }
    assert_eq!(ask("/badge/flake_rate.svg", None).status, 401);
    is_page(&ask("/", password(TOKEN)), 200);
    is_page(&ask("/", Some(format!("Bearer {TOKEN}"))), 200);
    let made = exporter.post("/api/v1/tokens", r#"{"name":"wall","scopes":["read"],"project":"web"}"#);
    let secret = json(&made)["secret"].as_str().unwrap().to_owned();
    is_page(&ask("/projects/web", password(&secret)), 200);
    is_page(&ask("/", password(&secret)), 403);
    let made = exporter.post("/api/v1/tokens", r#"{"name":"ci","scopes":["ingest"]}"#);
    let secret = json(&made)["secret"].as_str().unwrap().to_owned();
    is_page(&ask("/", password(&secret)), 403);
    assert_eq!(exporter.get("/metrics").status, 200, "a scrape needs none");
}

#[test]
fn a_badge_says_its_figure_in_a_picture_and_for_services() {
    let exporter = with_a_flake();
    let svg = exporter.get("/badge/flake_rate.svg?project=web");
    assert_eq!((svg.status, svg.headers["content-type"].as_str()), (200, "image/svg+xml"));
    assert!(svg.body.contains("<title>flake rate: 25.0 %</title>") && svg.body.contains("#c0322b"), "{}", svg.body);
    let badge = exporter.json("/badge/defect_leakage.json");
    let expected = serde_json::json!({
        "schemaVersion": 1, "label": "defect leakage", "message": "50.0 %", "color": "critical", "cacheSeconds": 300
    });
    assert_eq!(badge, expected);
    let labelled = exporter.json("/badge/flake_rate.json?label=%3Cflakes%3E");
    assert_eq!(labelled["label"], "<flakes>");
    let none = exporter.get("/badge/change_failure_ratio.svg").body;
    assert!(none.contains("no data") && none.contains("#646c78"), "{none}");
    for (path, status) in [
        ("/badge/nope.svg", 404),
        ("/badge/flake_rate.png", 404),
        ("/badge/flake_rate", 404),
        ("/badge/flake_rate.svg?project=none", 404),
        ("/badge/flake_rate.svg?project=%3C", 400),
        ("/badge/flake_rate.svg?colour=red", 400),
    ] {
        assert_eq!(exporter.get(path).status, status, "{path}");
    }
    let of_a_page =
        [("Host", exporter.address.as_str()), ("Sec-Fetch-Site", "cross-site"), ("Sec-Fetch-Dest", "image")];
    let shown = http::send(&exporter.address, "GET", "/badge/flake_rate.svg", &of_a_page, "");
    let policy = "cross-origin-resource-policy";
    assert_eq!((shown.status, shown.headers[policy].as_str()), (200, "cross-origin"), "a README on another site");
    let page = http::send(&exporter.address, "GET", "/", &of_a_page, "");
    assert_eq!((page.status, page.headers[policy].as_str()), (403, "same-origin"));
    let sample = Running::start();
    assert_eq!(sample.json("/badge/flake_rate.json")["message"], "8.0 % (sample)");
}

#[test]
fn a_flaky_test_with_too_few_executions_is_listed_and_an_outage_is_said_where_no_figure_is() {
    let exporter = Running::start();
    let path = |attempt: u32| format!("/api/v1/projects/web/reports?commit=abc&run=ci-1&attempt={attempt}");
    exporter.post(&path(1), &report(&[&passed("adds"), &failed("pays")]));
    exporter.post(&path(2), &report(&[&passed("pays")]));
    let page = exporter.get("/projects/web/flaky").body;
    assert!(page.contains("Too few executions to rank") && page.contains("pays"), "{page}");
    let all: Vec<String> = (0..20).map(|number| failed(&format!("t{number}"))).collect();
    exporter.post("/api/v1/projects/out/reports?commit=abc&run=ci-2", &report(&[&all.concat()]));
    let page = exporter.get("/projects/out").body.replace('\u{a0}', " ");
    assert!(page.contains("1 report of the window held out as an outage, and no other"), "{page}");
    assert!(!page.contains("no test was run"), "{page}");
}
