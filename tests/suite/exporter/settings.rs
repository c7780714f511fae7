//! Settings in force, and how they change while it runs.

use super::running::{Running, failed, passed, report};
use sha2::{Digest, Sha256};

#[test]
fn readiness_names_the_version_and_the_settings_in_force() {
    let exporter = Running::start();
    let ready = exporter.json("/readyz");
    let file = std::fs::read(exporter.directory.path().join("serve.yaml")).unwrap();
    let hash: String = Sha256::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(ready["config_sha256"], hash);
    assert_eq!(ready["config_error"], serde_json::Value::Null);
    assert_eq!(ready["durable"], true);
    assert_eq!(ready["sample"], true);
}

#[test]
fn changed_rules_change_the_figures_without_a_restart() {
    let exporter = Running::start();
    let path = |branch: &str, run: u32| format!("/api/v1/projects/web/reports?commit=abc&branch={branch}&run={run}");
    exporter.post(&path("main", 1), &report(&[&passed("adds"), &passed("pays")]));
    exporter.post(&path("wild", 2), &report(&[&failed("pays")]));
    assert_eq!(exporter.series("flake_rate"), Some(0.5));
    let before = exporter.json("/readyz");
    exporter.reload_with("figures: { branches: [main] }\n");
    exporter.until("only main counts", || exporter.series("flake_rate") == Some(0.0));
    let after = exporter.json("/readyz");
    assert_ne!(before["config_sha256"], after["config_sha256"]);
    assert_eq!(after["rules_version"], after["rules_version_served"]);
}

#[test]
fn settings_with_a_mistake_change_nothing_and_say_so() {
    let exporter = Running::start();
    let before = exporter.json("/readyz");
    exporter.reload_with("sample_dat: false\n");
    exporter.until("the mistake is told", || !exporter.json("/readyz")["config_error"].is_null());
    let after = exporter.json("/readyz");
    assert!(after["config_error"].as_str().unwrap().contains("line 3"), "{after}");
    assert_eq!(after["config_sha256"], before["config_sha256"]);
    assert_eq!(exporter.series("flake_rate"), Some(0.08));
    exporter.reload_with("sample_data: false\n");
    exporter.until("the mended file is in force", || exporter.series("qa_sample_data") == Some(0.0));
    assert!(exporter.json("/readyz")["config_error"].is_null());
}

#[test]
fn rules_for_what_is_random_in_names_make_one_test_of_many_from_then_on() {
    let exporter = Running::start();
    let tests = |exporter: &Running| {
        let figures = exporter.json("/api/v1/projects/web/figures");
        let figure = figures["figures"].as_array().unwrap().iter().find(|figure| figure["name"] == "tests").unwrap();
        figure["value"].as_f64().unwrap()
    };
    let post = |name: &str| exporter.post("/api/v1/projects/web/reports", &report(&[&passed(name)])).status;
    assert_eq!((post("order-17"), post("order-18")), (201, 201));
    assert_eq!(tests(&exporter), 2.0);
    let before = exporter.json("/readyz")["config_sha256"].clone();
    exporter.reload_with("figures: { names: [{ pattern: 'order-\\d+', replace: 'order-*' }] }\n");
    exporter.until("the rule is in force", || exporter.json("/readyz")["config_sha256"] != before);
    assert_eq!((post("order-19"), post("order-20")), (201, 201));
    let known = exporter.json("/api/v1/projects/web/tests?q=order-*");
    assert_eq!((tests(&exporter), known.as_array().unwrap().len()), (3.0, 1), "{known:#}");
}
