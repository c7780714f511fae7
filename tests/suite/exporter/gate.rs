//! `gate` on a running exporter: whose limits hold, what a branch is compared by, and what a job's page says.

use super::program::Served;
use super::running::{failed, passed, report};
use serde_json::{Value, json};

fn served() -> Served {
    let served = Served::start();
    served.write("main.xml", &report(&[&passed("adds"), &passed("pays"), &passed("ships"), &failed("sorts")]));
    served.write("feature.xml", &report(&[&passed("adds"), &failed("pays"), &passed("ships"), &failed("sorts")]));
    served.write("again.xml", &report(&[&passed("pays")]));
    for (file, branch, commit, run) in
        [("main.xml", "main", "aaa", "1"), ("feature.xml", "feature", "bbb", "2"), ("again.xml", "feature", "bbb", "3")]
    {
        let of_run = ["--branch", branch, "--commit", commit, "--run", run];
        served.json(&[&["push", "--token-file", "token", file][..], &of_run].concat(), 0);
    }
    served
}

/// The limit and the verdict of each check, by figure and bound.
fn checks(gate: &Value) -> Value {
    let checks = gate["data"]["checks"].as_array().unwrap().iter();
    checks.map(|check| json!([check["bound"], check["figure"], check["limit"], check["passed"]])).collect()
}

#[test]
fn limits_of_the_settings_hold_until_a_variable_or_a_flag_says_otherwise() {
    let served = served();
    served.write("qastack.yaml", "gate: { max: { flake_rate: 10% }, min: { pass_ratio: 0.5, tests: 4 } }\n");
    // Of four tests pays is flaky: 1/4. Of nine executions six passed.
    let set = served.json(&["gate"], 20);
    assert_eq!(
        checks(&set),
        json!([["max", "flake_rate", 0.1, false], ["min", "pass_ratio", 0.5, true], ["min", "tests", 4.0, true]])
    );
    assert_eq!(set["error"]["message"], "flake_rate is 0.25 (1 of 4), demanded is at most 0.1");
    served.json(&["gate", "--max", "flake_rate=25%"], 0);
    let variable = served.start_command(&["gate"]).env("QASTACK_GATE__MAX__FLAKE_RATE", "30%").output().unwrap();
    assert!(variable.status.success(), "{variable:?}");
    let mut both = served.start_command(&["gate", "--max", "flake_rate=0.2"]);
    let both = both.env("QASTACK_GATE__MAX", "{flake_rate: 1}").output().unwrap();
    assert_eq!(both.status.code(), Some(20), "the flag stands above the variable: {both:?}");
    served.write("qastack.yaml", "gate: { max: { flak_rate: 10% } }\n");
    assert_eq!(served.json(&["gate"], 10)["error"]["code"], "settings_invalid");
}

#[test]
fn every_figure_of_a_branch_is_compared_with_its_base_as_ci_names_them() {
    let served = served();
    let gate = |limit: &str| {
        let mut command = served.start_command(&["--json", "gate", "--max-increase", limit]);
        command.envs([("GITHUB_ACTIONS", "true"), ("GITHUB_HEAD_REF", "feature"), ("GITHUB_BASE_REF", "main")]);
        let output = command.env("GITHUB_STEP_SUMMARY", "page.md").output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    // Of the branch's four tests one is flaky, of the base's none is.
    let (exit, within) = gate("flake_rate=0.25");
    assert_eq!((exit, &within["data"]["checks"][0]["base"]), (Some(0), &0.0.into()), "{within:#}");
    let (exit, beyond) = gate("flake_rate=0.2");
    assert_eq!(exit, Some(20), "{beyond:#}");
    let message = beyond["error"]["message"].as_str().unwrap();
    assert!(message.contains("at most 0.2 more than 0 on the base branch"), "{message}");
    let (exit, unknown) = gate("defect_leakage=1");
    assert_eq!(exit, Some(20), "defects know no branch: {unknown:#}");
    let page = std::fs::read_to_string(served.directory.path().join("page.md")).unwrap();
    assert_eq!(page.matches("## qastack gate: ").count(), 3, "{page}");
    assert!(page.contains("| ❌ | `flake_rate` | 0.25 | at most 0.2 more than 0 on the base branch |"), "{page}");
}

#[test]
fn a_project_without_data_and_a_branch_without_runs_never_pass() {
    let served = served();
    let nothing = served.json(&["gate", "--max", "flake_rate=1", "--report-project", "none"], 20);
    assert!(nothing["error"]["message"].as_str().unwrap().contains("no data is no pass"), "{nothing:#}");
    let branch = ["gate", "--max-increase", "flake_rate=1", "--branch", "feature", "--base", "develop"];
    let nothing = served.json(&branch, 20);
    assert!(nothing["error"]["message"].as_str().unwrap().contains("has no data to compare with"), "{nothing:#}");
}
