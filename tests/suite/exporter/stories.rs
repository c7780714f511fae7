//! Stories of retries, pushed as CI jobs push them: the flake rate of each is worked out by hand, as flaky tests over
//! decided tests, and `explain` tells what makes each of them flaky.

use super::program::Served;
use super::running::{failed, passed, report};
use crate::http;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn fixture(served: &Served, name: &str) -> String {
    let path = format!("{}/tests/fixtures/reports/{name}", env!("CARGO_MANIFEST_DIR"));
    let file = name.replace('/', "-");
    std::fs::copy(path, served.directory.path().join(&file)).unwrap();
    file
}

/// One push of one job, with the variables that its CI system sets.
fn push(served: &Served, variables: &[(&str, &str)], files: &[&str]) -> Value {
    let arguments = [&["--json", "push", "--token-file", "token"], files].concat();
    let output = served.start_command(&arguments).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Flaky tests and decided tests.
fn flake_rate(served: &Served) -> (f64, f64) {
    let explained = served.json(&["explain", "flake_rate"], 0);
    let figure = &explained["data"]["figure"];
    let (flaky, decided) = (figure["numerator"].as_f64().unwrap(), figure["denominator"].as_f64().unwrap());
    assert_eq!(figure["value"].as_f64(), Some(flaky / decided));
    (flaky, decided)
}

/// Each flaky test with the kind of each event, and of each of its executions the run, the run's attempt, the commit,
/// the outcome and how many attempts of its own it took.
fn why(served: &Served) -> Value {
    let explained = served.json(&["explain", "flake_rate"], 0);
    let tests = explained["data"]["tests"].as_array().unwrap().clone();
    let mut told: Vec<Value> = tests
        .iter()
        .map(|test| {
            let event = |event: &Value| {
                let executions = event["executions"].as_array().unwrap().iter();
                let told = executions
                    .map(|one| json!([one["run"], one["attempt"], one["commit"], one["outcome"], one["attempts"]]));
                json!({ "kind": event["kind"], "executions": told.collect::<Vec<_>>() })
            };
            let events: Vec<_> = test["events"].as_array().unwrap().iter().map(event).collect();
            json!([test["summary"]["test"]["name"], events])
        })
        .collect();
    told.sort_by_key(|test| test[0].as_str().unwrap().to_owned());
    Value::Array(told)
}

#[test]
fn gotestsum_on_github_one_retried_in_its_run_and_one_by_a_second_attempt_of_the_workflow() {
    let served = Served::start();
    let file = fixture(&served, "go/gotestsum.xml");
    let job = |attempt: &'static str, commit: &'static str, run: &'static str| {
        [
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_RUN_ID", run),
            ("GITHUB_RUN_ATTEMPT", attempt),
            ("GITHUB_JOB", "test"),
            ("GITHUB_SHA", commit),
            ("GITHUB_REF", "refs/heads/main"),
        ]
    };
    push(&served, &job("1", "c0ffee", "900"), &[&file]);
    // 8 tests, TestWaits was skipped: 7 decided. TestRecovers failed and passed within the run.
    assert_eq!(flake_rate(&served), (1.0, 7.0));
    // Somebody re-runs the failed job: on the same commit TestFails passes now.
    let case = "<testcase classname='example.com/shop/shop' name='TestFails' time='0.1'/>";
    served.write(
        "again.xml",
        &format!("<testsuites><testsuite name='example.com/shop/shop'>{case}</testsuite></testsuites>"),
    );
    push(&served, &job("2", "c0ffee", "900"), &["again.xml"]);
    assert_eq!(flake_rate(&served), (2.0, 7.0));
    let both = json!([["github:900", 1, "c0ffee", "failed", 3], ["github:900", 2, "c0ffee", "passed", 1],]);
    let expected = json!([
        ["TestFails", [{ "kind": "both_outcomes_on_one_commit", "executions": both }]],
        ["TestRecovers", [{ "kind": "retried_within_run", "executions": [["github:900", 1, "c0ffee", "passed", 2]] }]],
    ]);
    assert_eq!(why(&served), expected);
    // Another commit on which all of it passes changes nothing about what was flaky, and neither does the same push again.
    push(&served, &job("1", "decade", "901"), &["again.xml"]);
    push(&served, &job("1", "c0ffee", "900"), &[&file]);
    assert_eq!(flake_rate(&served), (2.0, 7.0));
}

#[test]
fn pytest_on_gitlab_a_job_that_failed_and_its_retry_on_the_same_commit() {
    let served = Served::start();
    let (plain, reruns) = (fixture(&served, "pytest/plain.xml"), fixture(&served, "pytest/reruns-new.xml"));
    let job = |id: &'static str| {
        [
            ("GITLAB_CI", "true"),
            ("CI_PIPELINE_ID", "77"),
            ("CI_JOB_ID", id),
            ("CI_JOB_NAME", "pytest"),
            ("CI_COMMIT_SHA", "facade"),
            ("CI_COMMIT_BRANCH", "main"),
        ]
    };
    push(&served, &job("1"), &[&plain]);
    // 11 tests, 2 of them skipped: 9 decided, and none of them has passed after it failed.
    assert_eq!(flake_rate(&served), (0.0, 9.0));
    // The retried job runs under pytest-rerunfailures. Its earlier attempts look passed and are not told to be
    // failures: test_fails and test_breaks fail again in the end, and only test_recovers has passed on this commit.
    push(&served, &job("2"), &[&reruns]);
    assert_eq!(flake_rate(&served), (1.0, 9.0));
    let both = json!([["gitlab:77/1", 1, "facade", "failed", 1], ["gitlab:77/2", 1, "facade", "passed", 1]]);
    let mut told = why(&served);
    let executions = told[0][1][0]["executions"].as_array_mut().unwrap();
    // The empty record of the attempt before stands in the report as one more; the last record is the outcome.
    executions.dedup();
    let attempts: Vec<_> = executions.iter().map(|one| json!([one[0], one[1], one[2], one[3]])).collect();
    let expected: Vec<_> = both.as_array().unwrap().iter().map(|one| json!([one[0], one[1], one[2], one[3]])).collect();
    assert_eq!((told[0][0].clone(), attempts), ("test_recovers".into(), expected), "{told:#}");
    assert_eq!(told[0][1][0]["kind"], "both_outcomes_on_one_commit");
}

#[test]
fn surefire_on_jenkins_the_same_flaky_test_in_two_builds_is_one_flaky_test() {
    let served = Served::start();
    let file = fixture(&served, "surefire/report.xml");
    for build in ["jenkins-shop-1", "jenkins-shop-2"] {
        let commit = if build.ends_with('1') { "aaa" } else { "bbb" };
        let job = [
            ("JENKINS_URL", "https://ci.example.com/"),
            ("BUILD_TAG", build),
            ("JOB_NAME", "shop"),
            ("GIT_COMMIT", commit),
            ("GIT_BRANCH", "origin/main"),
        ];
        push(&served, &job, &[&file]);
    }
    // 8 tests, one skipped: 7 decided. recovers is flaky; what fails in every attempt is broken and not flaky.
    assert_eq!(flake_rate(&served), (1.0, 7.0));
    let executions = &served.json(&["explain", "flaky_execution_ratio"], 0)["data"]["figure"];
    assert_eq!((&executions["numerator"], &executions["denominator"]), (&2.0.into(), &14.0.into()));
    let broken = &served.json(&["explain", "broken_tests"], 0)["data"];
    assert_eq!((&broken["figure"]["value"], broken["tests"].as_array().unwrap().len()), (&3.0.into(), 3));
    let event = |run: &str, commit: &str| json!({ "kind": "retried_within_run", "executions": [[run, 1, commit, "passed", 2]] });
    let expected =
        json!([["recovers", [event("jenkins:jenkins-shop-2", "bbb"), event("jenkins:jenkins-shop-1", "aaa")]]]);
    assert_eq!(why(&served), expected);
}

#[test]
fn playwright_on_circleci_is_flaky_once_a_browser_in_whichever_of_its_reports() {
    let served = Served::start();
    let job = |workflow: &'static str| {
        [
            ("CIRCLECI", "true"),
            ("CIRCLE_WORKFLOW_ID", workflow),
            ("CIRCLE_JOB", "e2e"),
            ("CIRCLE_SHA1", "beef"),
            ("CIRCLE_BRANCH", "main"),
        ]
    };
    push(&served, &job("w-1"), &[&fixture(&served, "playwright/retries.xml")]);
    // 20 tests of two browsers, one skipped in each: 18 decided. recovers is flaky in both.
    assert_eq!(flake_rate(&served), (2.0, 18.0));
    push(&served, &job("w-2"), &[&fixture(&served, "playwright/report.json")]);
    assert_eq!(flake_rate(&served), (2.0, 18.0), "the same tests by another reporter");
    let told = why(&served);
    assert_eq!((&told[0][0], &told[1][0], told.as_array().unwrap().len()), (&"recovers".into(), &"recovers".into(), 2));
    let event = |run: &str| json!({ "kind": "retried_within_run", "executions": [[run, 1, "beef", "passed", 2]] });
    assert_eq!(told[0][1], json!([event("circleci:w-2"), event("circleci:w-1")]));
}

#[test]
fn a_skipped_test_is_never_decided_and_never_makes_another_outcome_flaky() {
    let served = Served::start();
    let skipped = "<testcase classname='cart' name='pays'><skipped/></testcase>";
    served.write("failed.xml", &report(&[&passed("adds"), &failed("pays")]));
    served.write("skipped.xml", &report(&[&passed("adds"), skipped]));
    served.write("only.xml", &report(&["<testcase classname='cart' name='ships'><skipped/></testcase>"]));
    for (run, file) in [("1", "failed.xml"), ("2", "skipped.xml"), ("3", "only.xml")] {
        let of_run = ["--run", run, "--commit", "abc", "--branch", "main"];
        push(&served, &[], &[&[file][..], &of_run].concat());
    }
    // adds passed, pays failed and was skipped, ships was only ever skipped.
    assert_eq!(flake_rate(&served), (0.0, 2.0));
    assert_eq!(why(&served), json!([]));
}

#[test]
fn a_directory_of_reports_is_judged_as_one_run() {
    let served = Served::start();
    let class = |name: String, fails: bool| {
        let end = if fails { "<failure message='no'/>" } else { "" };
        let case = |number| format!("<testcase classname='{name}' name='t{number}' time='0.1'>{end}</testcase>");
        format!("<testsuite name='{name}'>{}</testsuite>", (0..25).map(case).collect::<String>())
    };
    for number in 0..19 {
        served.write(&format!("reports/TEST-{number}.xml"), &class(format!("c{number}"), number == 0));
    }
    let pushed = push(&served, &[], &["reports", "--run", "1", "--branch", "main"]);
    for file in pushed["data"]["files"].as_array().unwrap() {
        assert_eq!(file["receipt"]["standing"], "counts", "{file}");
    }
    let gate = served.json(&["gate", "--min", "pass_ratio=99%"], 20);
    assert_eq!(gate["data"]["checks"][0]["of"], json!([450.0, 475.0]), "one class of 19 failed: {gate:#}");
    // An outage in small reports: each of them alone would be a result.
    for number in 0..10 {
        let cases: Vec<String> = (0..10).map(|test| failed(&format!("small-{number}-{test}"))).collect();
        served.write(&format!("outage/TEST-{number}.xml"), &report(&[&cases.concat()]));
    }
    push(&served, &[], &["outage", "--run", "2", "--branch", "main"]);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let parts = &served.json(&["explain", "pass_ratio"], 0)["data"]["parts"];
        if parts["held_out_reports"] == 10.0 && parts["executions_failed"] == 25.0 {
            break;
        }
        assert!(Instant::now() < deadline, "the outage is counted: {parts}");
    }
}

#[test]
fn an_outage_is_held_out_and_says_so_and_one_failure_less_is_a_result() {
    let served = Served::start();
    let outage = |failures: usize| {
        let cases: String =
            (0..20).map(|n| if n < failures { failed(&format!("t{n}")) } else { passed(&format!("t{n}")) }).collect();
        report(&[&cases])
    };
    served.write("outage.xml", &outage(16));
    served.write("bad-day.xml", &outage(15));
    served.write("good.xml", &outage(0));
    let of_run = |run: &'static str| ["--run", run, "--commit", "abc", "--branch", "main"];
    let pushed = push(&served, &[], &[&["outage.xml"][..], &of_run("1")].concat());
    let receipt = &pushed["data"]["files"][0]["receipt"];
    assert_eq!(receipt["standing"], "held_out");
    assert!(receipt["held_out_because"].as_str().unwrap().contains("taken for an outage"), "{receipt}");
    let words = served.command(&[&["push", "--token-file", "token", "outage.xml"][..], &of_run("1")].concat());
    let said = String::from_utf8_lossy(&words.stdout).into_owned();
    assert!(said.contains("in no figure: almost every test of a first attempt failed"), "{said}");
    push(&served, &[], &[&["good.xml"][..], &of_run("2")].concat());
    // Had the outage counted, its 16 failures beside passes on the same commit would be 16 flaky tests of 20.
    assert_eq!(flake_rate(&served), (0.0, 20.0));
    let explained = served.json(&["explain", "flake_rate"], 0);
    assert_eq!(
        (&explained["data"]["held_out"][0]["run"], &explained["data"]["parts"]["held_out_reports"]),
        (&"1".into(), &1.0.into())
    );
    let words = served.command(&["explain", "flake_rate"]);
    let words = String::from_utf8_lossy(&words.stdout).into_owned();
    let held_out = words.lines().find(|line| line.contains("held out as an outage: run 1 attempt 1")).unwrap();
    assert!(held_out.ends_with(" UTC"), "the run is told with its time: {words}");
    // Who asks for a verdict is told that the newest run is not in it.
    push(&served, &[], &[&["outage.xml"][..], &of_run("9")].concat());
    let gate = served.json(&["gate", "--min", "pass_ratio=95%", "--summary", "summary.md"], 0);
    assert!(gate["warnings"].to_string().contains("the newest run, 9, is in no figure"), "{gate}");
    let summary = std::fs::read_to_string(served.directory.path().join("summary.md")).unwrap();
    assert!(summary.contains("⚠️ the newest run, 9, is in no figure"), "{summary}");
    // 15 of 20 are less than 80 %: that is a result, however bad.
    push(&served, &[], &[&["bad-day.xml"][..], &of_run("3")].concat());
    assert_eq!(flake_rate(&served), (15.0, 20.0));
}

/// A push of one run on one commit.
fn push_run(served: &Served, run: &str, files: &[&str]) {
    push(served, &[], &[files, &["--run", run, "--commit", "abc", "--branch", "main"]].concat());
}

#[test]
fn what_differs_between_two_places_of_one_run_is_no_noise() {
    let served = Served::start();
    // One test fails under one of two interpreters, each with a report of its own: it is as broken as can be.
    served.write("py39.xml", &report(&[&passed("adds"), &failed("pays")]));
    served.write("py313.xml", &report(&[&passed("adds"), &passed("pays")]));
    push_run(&served, "1", &["py39.xml", "py313.xml"]);
    assert_eq!(flake_rate(&served), (0.0, 2.0));
    // The failed one tried again in a report of its own is the same code twice.
    served.write("again.xml", &report(&[&passed("pays")]));
    push_run(&served, "1", &["again.xml"]);
    assert_eq!(flake_rate(&served), (1.0, 2.0));
}

#[test]
fn another_run_of_the_same_commit_is_the_same_code_twice() {
    let served = Served::start();
    served.write("failed.xml", &report(&[&passed("adds"), &failed("pays")]));
    served.write("passed.xml", &report(&[&passed("adds"), &passed("pays")]));
    push_run(&served, "1", &["failed.xml"]);
    push_run(&served, "2", &["passed.xml"]);
    assert_eq!(flake_rate(&served), (1.0, 2.0));
}

#[test]
fn what_one_push_brings_from_a_desk_is_one_run_and_another_push_is_another() {
    let served = Served::start();
    let runs = || {
        let runs = http::get(&served.address, "/api/v1/projects/default/runs").body;
        serde_json::from_str::<Value>(&runs).unwrap().as_array().unwrap().len()
    };
    let from_desk = |files: &[&str]| push(&served, &[], &[files, &["--commit", "abc", "--branch", "main"]].concat());
    served.write("one/TEST-a.xml", &report(&[&passed("adds"), &failed("pays")]));
    served.write("one/TEST-b.xml", &report(&[&passed("ships"), &passed("pays")]));
    from_desk(&["one"]);
    assert_eq!((flake_rate(&served), runs()), ((0.0, 3.0), 1), "two places that share a name");
    from_desk(&["one"]);
    from_desk(&["one/TEST-a.xml"]);
    assert_eq!((flake_rate(&served), runs()), ((0.0, 3.0), 1), "a report counts once");
    served.write("two/TEST-a.xml", &report(&[&passed("adds"), &passed("pays"), &passed("packs")]));
    from_desk(&["two", "one"]);
    assert_eq!((flake_rate(&served), runs()), ((1.0, 4.0), 2), "the same code passed in another run");
}

#[test]
fn attempts_that_bazel_kept_are_tries_of_the_same_tests() {
    let served = Served::start();
    served.write("bazel-testlogs/cart/test_attempts/attempt_1.xml", &report(&[&passed("adds"), &failed("pays")]));
    served.write("bazel-testlogs/cart/test.xml", &report(&[&passed("adds"), &passed("pays")]));
    push_run(&served, "1", &["bazel-testlogs"]);
    assert_eq!(flake_rate(&served), (1.0, 2.0));
}

#[test]
fn an_empty_token_file_is_no_leave_to_use_another_token() {
    let served = Served::start();
    served.write("empty", "\n");
    served.write("report.xml", &report(&[&passed("adds")]));
    let refused = served.json(&["push", "--token-file", "empty", "report.xml"], 2);
    assert!(refused["error"]["message"].as_str().unwrap().contains("the token file empty is empty"), "{refused}");
    served.write("wrong", "not-the-token");
    let refused = served.json(&["push", "--token-file", "wrong", "report.xml"], 14);
    let told = refused.to_string();
    assert!(told.contains("QASTACK_TOKEN or with --token-file"), "{told}");
}
