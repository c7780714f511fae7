//! `gate` on a running exporter: whose limits hold, what a branch is compared by, and what a job's page says.

use super::program::Served;
use super::running::{Running, failed, passed, report};
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
    assert_eq!(set["error"]["message"], "flake_rate is 25.0 % (1 of 4), demanded is at most 10 %");
    served.json(&["gate", "--max", "flake_rate=25%"], 0);
    let variable = served.start_command(&["gate"]).env("QASTACK_GATE__MAX__FLAKE_RATE", "30%").output().unwrap();
    assert!(variable.status.success(), "{variable:?}");
    let mut both = served.start_command(&["gate", "--max", "flake_rate=0.2"]);
    let both = both.env("QASTACK_GATE__MAX", "{flake_rate: 1}").output().unwrap();
    assert_eq!(both.status.code(), Some(20), "the flag stands above the variable: {both:?}");
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
    let expected =
        "flake_rate is 25.0 % (1 of 4), demanded is at most 20 percentage points more than 0.0 % on the base branch";
    assert_eq!(message, expected);
    let (exit, unknown) = gate("defect_leakage=1");
    assert_eq!(exit, Some(20), "defects know no branch: {unknown:#}");
    let page = std::fs::read_to_string(served.directory.path().join("page.md")).unwrap();
    assert_eq!(page.matches("## qastack gate: ").count(), 3, "{page}");
    assert!(
        page.contains(
            "| ❌ | `flake_rate` | 25.0 % (1 of 4) | at most 20 percentage points more than 0.0 % on the base branch |"
        ),
        "{page}"
    );
}

#[test]
fn limits_of_the_settings_that_compare_do_not_fail_a_job_that_has_no_base_and_hide_no_other_limit() {
    let served = served();
    served.write("qastack.yaml", "gate: { max: { flake_rate: 10% }, max_increase: { flake_rate: 1% } }\n");
    let gate = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = served.start_command(&[&["--json", "gate", "--summary", "page.md"][..], arguments].concat());
        let output = command.env("GITHUB_ACTIONS", "true").envs(variables.iter().copied()).output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    let on_main = [("GITHUB_REF", "refs/heads/main")];
    let (exit, breach) = gate(&[], &on_main);
    assert_eq!(exit, Some(20), "{breach:#}");
    assert_eq!(breach["error"]["message"], "flake_rate is 25.0 % (1 of 4), demanded is at most 10 %");
    assert_eq!(checks(&breach), json!([["max", "flake_rate", 0.1, false], ["max_increase", "flake_rate", 0.01, null]]));
    let warning = breach["warnings"][0].as_str().unwrap();
    assert_eq!(warning, "1 limit not compared: this is no pull request, and no --base is named");
    let page = std::fs::read_to_string(served.directory.path().join("page.md")).unwrap();
    assert!(page.contains("| ➖ | `flake_rate` | not compared: this is no pull request"), "{page}");
    // A branch is no better or worse than itself, whoever asks.
    let (exit, own_base) = gate(&["--max", "flake_rate=1", "--base", "main"], &on_main);
    assert_eq!(exit, Some(0), "{own_base:#}");
    assert!(own_base["warnings"][0].as_str().unwrap().ends_with("the branch `main` is its own base"), "{own_base:#}");
    // Whoever types the comparison is told that it cannot be made.
    let (exit, typed) = gate(&["--max-increase", "flake_rate=1%"], &on_main);
    assert_eq!((exit, &typed["error"]["code"]), (Some(2), &"usage".into()), "{typed:#}");
    // On a pull request the same settings compare.
    let (_, compared) = gate(&[], &[("GITHUB_HEAD_REF", "feature"), ("GITHUB_BASE_REF", "main")]);
    assert_eq!(checks(&compared)[1], json!(["max_increase", "flake_rate", 0.01, false]), "{compared:#}");
}

#[test]
fn a_summary_that_cannot_be_written_is_a_warning_and_the_verdict_stands() {
    let served = served();
    for (limit, exit) in [("flake_rate=1", 0), ("flake_rate=0", 20)] {
        let gate = served.json(&["gate", "--max", limit, "--summary", "no/such/folder/page.md"], exit);
        let warning = gate["warnings"][0].as_str().unwrap();
        assert!(warning.starts_with("the summary no/such/folder/page.md is not written: "), "{gate:#}");
    }
}

#[test]
fn a_limit_that_means_nothing_is_a_usage_error_and_in_the_settings_names_its_line() {
    let served = served();
    for (limit, expected) in [
        ("foo=1", "there is no figure `foo`"),
        ("flakerate=1", "Did you mean flake_rate?"),
        ("flake_rate=10", "did you mean 10%?"),
    ] {
        let refused = served.json(&["gate", "--max", limit], 2);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains(expected), "{refused:#}");
        served.write("qastack.yaml", &format!("project: a\ngate:\n  max:\n    {}\n", limit.replace('=', ": ")));
        let refused = served.json(&["gate"], 10);
        let message = refused["error"]["message"].as_str().unwrap();
        assert!(message.contains("qastack.yaml, line 4") && message.contains(expected), "{refused:#}");
        served.write("qastack.yaml", "");
    }
    let named = served.json(&["gate", "--max", "qa_flake_ratio=25%", "--min", "pass-ratio=0.5"], 0);
    assert_eq!(checks(&named), json!([["max", "flake_rate", 0.25, true], ["min", "pass_ratio", 0.5, true]]));
}

#[test]
fn a_leakage_above_1_may_be_demanded_exactly_where_it_is_a_ratio_to_the_defects_from_before() {
    let served = Served::start();
    let refused = served.json(&["gate", "--max", "defect_leakage=10"], 2);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("10 is none unless figures.defects.denominator is pre_release; did you mean 10%?"),
        "{message}"
    );
    served.write("qastack.yaml", "gate: { max: { defect_leakage: 10 } }\n");
    let refused = served.json(&["gate"], 10);
    assert!(refused["error"]["message"].as_str().unwrap().contains("defect_leakage is a share"), "{refused:#}");
    // What counts is what the exporter says, and nothing that the settings here do.
    served.write(
        "qastack.yaml",
        "figures: { defects: { denominator: pre_release } }\ngate: { max: { defect_leakage: 150% } }\n",
    );
    served.json(&["gate"], 10);
    served.write("qastack.yaml", "gate: { max: { defect_leakage: 150% } }\n");
    let exporter = Running::with("figures: { defects: { denominator: pre_release } }\n");
    let today = "2026-03-09";
    let list =
        format!("key,environment,created\nA-1,prod,{today}\nA-2,prod,{today}\nA-3,prod,{today}\nA-4,qa,{today}\n");
    exporter.post("/api/v1/projects/default/defects", &list);
    let mut gate = served.start_command(&["gate", "--json"]);
    let output = gate.env("QASTACK_URL", format!("http://{}", exporter.address)).output().unwrap();
    let judged: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), checks(&judged)), (Some(20), json!([["max", "defect_leakage", 1.5, false]])));
    assert_eq!(judged["data"]["checks"][0]["value"], 3.0, "{judged:#}");
}

#[test]
fn a_project_without_data_and_a_branch_without_runs_never_pass() {
    let served = served();
    let nothing = served.json(&["gate", "--max", "flake_rate=1", "--report-project", "none"], 20);
    let expected = "flake_rate has no data in project `none`, and no data is no pass";
    assert_eq!(nothing["error"]["message"], expected);
    assert_eq!(nothing["error"]["hint"], "Projects with data: default; name one with --report-project.");
    let branch = ["gate", "--max-increase", "flake_rate=1", "--branch", "feature", "--base", "develop"];
    let nothing = served.json(&branch, 20);
    assert!(nothing["error"]["message"].as_str().unwrap().contains("has no data to compare with"), "{nothing:#}");
    assert_eq!(nothing["error"]["hint"], "Branches of `default` with runs: feature, main.");
}
