//! The pages in a real browser: `tests/browser/look.mjs` looks at them, and says what is wrong.
//!
//! `QASTACK_PICTURES=docs/pictures` has the pictures of the documentation taken anew.

use super::running::{Running, json, passed, report};
use serde_json::{Value, json as document};
use std::io::Write;
use std::process::{Command, Stdio};

const OF_PROJECT: [&str; 9] = [
    "",
    "/runs",
    "/tests",
    "/flaky",
    "/broken",
    "/slowest",
    "/defects",
    "/figures/flake_rate",
    "/figures/defect_leakage",
];

fn pages(project: Option<&str>, more: &[String]) -> Vec<Value> {
    let of_all = ["/", "/projects", "/ingest", "/search?q=a"].map(str::to_owned);
    let of_project = project.map(|project| OF_PROJECT.map(|page| format!("/projects/{project}{page}")));
    let there = of_all.into_iter().chain(of_project.into_iter().flatten()).chain(more.iter().cloned());
    let mut pages: Vec<Value> = there.map(|path| document!({ "path": path })).collect();
    pages.push(document!({ "path": "/projects/nowhere", "status": 404 }));
    pages.push(document!({ "path": "/search?x=1", "status": 400 }));
    pages
}

/// The newest runs and the first tests of a project.
fn some_of(exporter: &Running, project: &str) -> Vec<String> {
    let api = |list: &str| exporter.json(&format!("/api/v1/projects/{project}/{list}"));
    let runs = api("runs?limit=2");
    let tests = api("tests?limit=6");
    let runs = runs.as_array().unwrap().iter().map(|run| format!("/projects/{project}/runs/{}", run["id"]));
    let tests = tests.as_array().unwrap().iter();
    runs.chain(tests.map(|test| format!("/projects/{project}/tests/{}", test["fingerprint"].as_str().unwrap())))
        .collect()
}

fn hostile() -> Running {
    let exporter = Running::start();
    let names = [
        "&lt;script&gt;alert(1)&lt;/script&gt;".to_owned(),
        "&quot;&gt;&lt;img src=x onerror=alert(1)&gt; &apos;".to_owned(),
        "\u{202e}\u{5e9}\u{5dc}\u{5d5}\u{5dd} \u{627}\u{644}\u{639}\u{631}\u{628}\u{64a}\u{629}".to_owned(),
        "x".repeat(10_000),
        "a b ".repeat(2_500),
    ];
    let case = |name: &String| {
        format!(
            "<testcase classname=\"{name}\" name=\"{name}\"><failure type=\"{name}\" message=\"{name}\">{name}</failure></testcase>"
        )
    };
    let cases: Vec<String> = names.iter().map(case).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    let name = "%3Cscript%3Ealert(1)%3C%2Fscript%3E%22'";
    let long = "y".repeat(400);
    let meta = format!("branch={name}{long}&run={name}&job={name}{long}&commit={name}&ci_url=https://x/{name}");
    let pushed = exporter.post(&format!("/api/v1/projects/hostile/reports?{meta}"), &report(&cases));
    assert_eq!(pushed.status, 201, "{pushed:?}");
    let list = format!(
        "key,created,environment,title,url\n<script>alert(1)</script>,2026-03-01,production,{long}{long},javascript:alert(1)\n"
    );
    assert_eq!(exporter.post("/api/v1/projects/hostile/defects", &list).status, 200);
    exporter.post(&format!("/api/v1/projects/{}/reports", "z".repeat(100)), &report(&[&passed("one")]));
    exporter
}

fn large() -> Running {
    let exporter = Running::start();
    let cases: String = (0..100_000).map(|number| passed(&format!("case number {number}"))).collect();
    let pushed = exporter.post("/api/v1/projects/large/reports?branch=main", &report(&[&cases]));
    assert_eq!(json(&pushed)["counts"]["tests"], 100_000, "{pushed:?}");
    exporter
}

#[test]
fn the_pages_are_whole_in_a_browser_however_wide_dark_hostile_empty_or_large() {
    let modules = std::env::var("QASTACK_BROWSER_MODULES").expect("QASTACK_BROWSER_MODULES; ./test sets it");
    let (sample, empty, hostile, large) = (Running::start(), Running::with("sample_data: false\n"), hostile(), large());
    let site = |name: &str, exporter: &Running, project: Option<&str>| {
        let more = project.map(|project| some_of(exporter, project)).unwrap_or_default();
        document!({ "name": name, "address": exporter.address, "pages": pages(project, &more) })
    };
    let mut sites = vec![
        site("sample", &sample, Some("sample")),
        site("empty", &empty, None),
        site("hostile", &hostile, Some("hostile")),
        site("large", &large, Some("large")),
    ];
    sites[0]["pictures"] = document!({ "/": "page-overview", "/projects/sample/figures/flake_rate": "page-explain" });
    sites[3]["once"] = true.into();
    let pictures = std::env::var("QASTACK_PICTURES").ok();
    let mut child = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/browser/look.mjs"))
        .env("QASTACK_BROWSER_MODULES", modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("node runs");
    let asked = document!({ "sites": sites, "pictures": pictures }).to_string();
    child.stdin.take().unwrap().write_all(asked.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let findings = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{findings}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(findings.is_empty(), "{findings}");
}
