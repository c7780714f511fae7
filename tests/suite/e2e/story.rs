//! The ordinary story: up, look, down, and up again with what was kept.

use super::docker::{docker, labelled, objects_of};
use super::stack::{SERVICES, Stack, needed};
use crate::http;
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn up_shows_the_sample_figures_everywhere_and_down_keeps_only_the_data() {
    let stack = Stack::new();
    let up = stack.up();
    assert_eq!(up["figures"]["flake_rate"], 0.08);
    assert_eq!(up["figures"]["defect_leakage"], 0.03);
    assert_eq!(up["figures"]["sample"], true);
    assert!(up["timings"]["proven"].as_f64() >= up["timings"]["ready"].as_f64(), "{up:#}");

    let status = stack.status();
    assert_eq!(status["engine"], "docker");
    for (service, shown) in SERVICES.iter().zip(status["services"].as_array().expect("services")) {
        assert_eq!(shown["name"], *service);
        assert_eq!(shown["state"], "running", "{shown:#}");
        assert_eq!(shown["url"], format!("http://{}", stack.address(service)));
    }
    assert_eq!(status["target"]["health"], "up");
    assert_eq!(status["data_source"]["health"], "ok");
    assert_eq!(status["figures"], up["figures"]);

    assert_eq!(stack.query("flake_rate"), Some(0.08));
    assert_eq!(stack.query("defect_leakage"), Some(0.03));

    stack.json(&["down"], 0);
    let kept = objects_of(&stack.project);
    assert!(!kept.is_empty() && kept.iter().all(|object| object.starts_with("volume ")), "{kept:#?}");
    let after = stack.json(&["status"], 3);
    assert_eq!(after["error"]["code"], "not_running");
    assert!(after["data"]["services"].as_array().expect("services").iter().all(|shown| shown["state"] == "missing"));

    stack.json(&["down", "--volumes"], 0);
    assert_eq!(objects_of(&stack.project), [""; 0]);
}

#[test]
fn the_panels_show_figures_as_soon_as_prometheus_has_scraped_twice() {
    /// What is asked for where a panel does not say it: as many points as a small panel is wide.
    const POINTS: u64 = 300;
    let stack = Stack::new();
    stack.up();
    let before = Instant::now();
    let dashboard = stack.grafana("GET", "/api/dashboards/uid/qa-overview", &Value::Null)["dashboard"].take();
    let panels = dashboard["panels"].as_array().expect("panels");
    for panel in panels.iter().filter(|panel| panel["type"] == "stat") {
        let mut query = panel["targets"][0].clone();
        query["expr"] = json!(query["expr"].as_str().expect("an expression").replace("$project", ".*"));
        query["maxDataPoints"] = json!(panel["maxDataPoints"].as_u64().unwrap_or(POINTS));
        let asked = json!({ "from": dashboard["time"]["from"], "to": "now", "queries": [query] });
        loop {
            let answer = stack.grafana("POST", "/api/ds/query", &asked);
            let values = &answer["results"]["A"]["frames"][0]["data"]["values"][1];
            if values.as_array().and_then(|values| values.last()).is_some_and(Value::is_number) {
                break;
            }
            assert!(before.elapsed() < Duration::from_secs(31), "{}: {answer:#}", panel["title"]);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_second_up_changes_nothing() {
    let stack = Stack::new();
    assert_ne!(stack.up()["steps"], Value::Array(vec![]));
    let before = stack.container_ids();
    let again = stack.up();
    assert_eq!(again["steps"], Value::Array(vec![]), "nothing had to change");
    assert_eq!(stack.container_ids(), before);
}

#[test]
fn an_exporters_image_that_lost_its_name_goes_with_the_rest() {
    let stack = Stack::new();
    let context = stack.directory().join("unnamed");
    std::fs::create_dir(&context).expect("a directory to build in");
    let recipe = format!("FROM scratch\nCOPY Dockerfile /\nLABEL dev.qastack.project={}\n", stack.project);
    std::fs::write(context.join("Dockerfile"), recipe).expect("a Dockerfile");
    docker(&["build", "--quiet", &context.to_string_lossy()]);
    let of_this_project = format!("dev.qastack.project={}", stack.project);
    assert_eq!(labelled("image", &of_this_project).len(), 1);
    stack.json(&["down", "--volumes"], 0);
    assert_eq!(labelled("image", &of_this_project), [""; 0]);
}

#[test]
fn real_reports_put_the_sample_away_and_outlive_down_and_up() {
    let stack = Stack::new();
    stack.up();
    std::fs::write(
        stack.directory().join("report.xml"),
        "<testsuites><testsuite name='checkout'>\
         <testcase classname='cart' name='adds'/><testcase classname='cart' name='removes'/>\
         </testsuite></testsuites>",
    )
    .expect("a report");
    stack.json(&["push", "report.xml"], 0);
    let figures = stack.status()["figures"].take();
    assert_eq!(figures["sample"], false);
    assert_ne!(figures["flake_rate"], 0.08, "sample figures are never shown beside real reports");

    stack.json(&["down"], 0);
    let up = stack.up();
    assert_eq!(up["figures"]["sample"], false, "the kept volume still holds the run: {up:#}");
}

#[test]
fn the_exporters_page_is_what_the_world_was_promised() {
    let stack = Stack::new();
    stack.up();
    let answer = http::get(&stack.address("test-metrics"), "/metrics");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# HELP flake_rate Percentage of flaky tests",
        "# TYPE flake_rate gauge",
        "flake_rate 0.08",
        "# HELP defect_leakage Defects escaping to production",
        "# TYPE defect_leakage gauge",
        "defect_leakage 0.03",
        "qa_sample_data 1",
    ] {
        assert!(answer.body.lines().any(|written| written == line), "no line {line:?} in\n{}", answer.body);
    }
    promtool(&["check", "metrics"], &answer.body);
}

#[test]
fn prometheus_runs_with_a_configuration_that_promtool_accepts() {
    let stack = Stack::new();
    stack.up();
    let answer = http::get(&stack.address("prometheus"), "/api/v1/status/config");
    let body: Value = serde_json::from_str(&answer.body).expect("JSON from Prometheus");
    let configuration = body["data"]["yaml"].as_str().expect("the configuration");
    assert!(configuration.contains("scrape_interval: 15s"), "{configuration}");
    let file = stack.directory().join("shown.yml");
    std::fs::write(&file, configuration).expect("the configuration written");
    // Rules are files of the container's, so their names are looked at only there.
    promtool(&["check", "config", "--syntax-only", &file.to_string_lossy()], "");
}

/// Runs promtool, which must have nothing to say against what it is given.
fn promtool(arguments: &[&str], input: &str) {
    let mut child = Command::new(needed("QASTACK_PROMTOOL"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("its input").write_all(input.as_bytes()).expect("its input written");
    let output = child.wait_with_output().expect("promtool ends");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.trim().is_empty(), "promtool {arguments:?}: {complaints}");
}
