//! CTRF, Playwright JSON and `go test -json`: retries, repeated records, words for how a test ended.

use super::{folded, run, test, words};

#[test]
fn a_test_that_stands_twice_in_a_format_with_retries_of_its_own_has_ended_as_the_worst_of_them() {
    let ctrf = |tests: &str| run(format!("{{\"results\":{{\"tests\":[{tests}]}}}}"));
    let (failed, passed) = (r#"{"name":"a","status":"failed"}"#, r#"{"name":"a","status":"passed"}"#);
    let retried = r#"{"name":"a","status":"passed","retries":1}"#;
    for (tests, counts) in [
        ([failed, passed], [1, 0, 1, 0, 0, 0]),
        ([passed, failed], [1, 0, 1, 0, 0, 0]),
        ([retried, failed], [1, 0, 1, 0, 0, 0]),
        ([passed, retried], [1, 1, 0, 0, 0, 1]),
        ([retried, passed], [1, 1, 0, 0, 0, 1]),
    ] {
        let run = ctrf(&tests.join(","));
        assert_eq!((folded(&run), words(&run)), (counts, vec!["duplicate_test"]), "{tests:?}");
    }
    // As `--repeat-each` writes it.
    let each = |status: &str, ended: &str| {
        format!(r#"{{"projectName":"c","status":"{status}","results":[{{"status":"{ended}"}}]}}"#)
    };
    let tests = [each("unexpected", "failed"), each("expected", "passed")].join(",");
    let playwright = run(format!(
        r#"{{"config":{{}},"suites":[{{"title":"a.spec.ts","specs":[{{"title":"t","tests":[{tests}]}}]}}]}}"#
    ));
    assert_eq!((folded(&playwright), words(&playwright)), ([1, 0, 1, 0, 0, 0], vec!["duplicate_test"]));
}

#[test]
fn a_status_is_known_in_any_letters_and_one_that_is_not_is_an_error() {
    let ctrf = run(r#"{"results":{"tests":[{"name":"a","status":"Passed"},{"name":"b","status":"FAILED"},
        {"name":"c","status":"broken"},{"name":"d","status":"error"},{"name":"e","status":"timedOut"},
        {"name":"f","status":"Pending"},{"name":"g","status":"exploded"},{"name":"h","status":""}]}}"#);
    assert_eq!((folded(&ctrf), words(&ctrf)), ([8, 1, 2, 4, 1, 0], vec!["status_unknown"; 2]));
    assert_eq!(ctrf.warnings[0].line, 3);
    let playwright = run(r#"{"config":{},"suites":[{"title":"a.spec.ts","specs":[
        {"title":"t","tests":[{"status":"exploded"}]},{"title":"u","tests":[{"status":"expected"}]}]}]}"#);
    assert_eq!((folded(&playwright), words(&playwright)), ([2, 1, 0, 1, 0, 0], vec!["status_unknown"]));
}

#[test]
fn the_word_of_a_reporter_decides_whether_a_test_was_flaky() {
    let flaky = |fields: &str| run(format!(r#"{{"results":{{"tests":[{{"name":"a",{fields}}}]}}}}"#)).flaky();
    assert_eq!(flaky(r#""status":"passed","retries":1"#), 1);
    assert_eq!(flaky(r#""status":"passed","retries":1,"flaky":false"#), 0);
    assert_eq!(flaky(r#""status":"passed","retries":1,"flaky":false,"retryAttempts":[{"status":"failed"}]"#), 0);
    assert_eq!(flaky(r#""status":"passed","flaky":true"#), 1);
    assert_eq!(flaky(r#""status":"failed","retries":1,"flaky":false"#), 0);
    let playwright = |results: &str| {
        let test = format!(r#"{{"status":"flaky"{results}}}"#);
        run(format!(r#"{{"config":{{}},"suites":[{{"title":"a","specs":[{{"title":"t","tests":[{test}]}}]}}]}}"#))
            .flaky()
    };
    assert_eq!([playwright(""), playwright(r#","results":[]"#)], [1, 1]);
}

#[test]
fn that_playwright_stopped_after_enough_failures_is_no_failure_of_its_own() {
    let report = |status: &str| {
        format!(
            r#"{{"config":{{}},"errors":[{{"message":"Testing stopped early after 1 maximum allowed failures."}}],"suites":[
            {{"title":"a.spec.ts","specs":[{{"title":"t","tests":[{{"status":"{status}"}}]}}]}}]}}"#
        )
    };
    assert_eq!(folded(&run(report("unexpected"))), [1, 0, 1, 0, 0, 0]);
    assert_eq!(folded(&run(report("expected"))), [2, 1, 0, 1, 0, 0], "nothing else says why it stopped");
}

#[test]
fn an_error_of_playwright_outside_of_every_test_is_an_error_of_the_run() {
    let run = run(r#"{"config":{},"errors":[{"message":"Error: a worker\nat line 1"},{"stack":"no message"}],
        "suites":[{"title":"a.spec.ts","specs":[{"title":"t","tests":[{"status":"expected"}]}]}]}"#);
    assert_eq!((folded(&run), words(&run)), ([2, 1, 0, 1, 0, 0], vec!["suite_error"; 2]));
    let outside = test(&run, "[failed outside of tests]");
    assert_eq!(outside.attempts[0].message(), Some("Error: a worker\nat line 1"));
    assert_eq!(run.warnings[0].text, "an error outside of every test: Error: a worker");
}
