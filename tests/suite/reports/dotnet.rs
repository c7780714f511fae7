//! TRX, NUnit 3 and xUnit v2: which test it is, which rows are one test, and what fails outside of every test.

use super::{folded, run, test, words};
use qastack::reports::Outcome;

/// What names a failure that is no test's.
const OUTSIDE: &str = "[failed outside of tests]";

#[test]
fn fixtures_of_one_class_with_different_arguments_are_different_tests() {
    let fixture = |arguments: &str, full_name: &str, result: &str| {
        format!(
            "<test-suite type='TestFixture' name='Login{arguments}' classname='My.Login'>\
             <test-case name='Works' {full_name} classname='My.Login' result='{result}'/></test-suite>"
        )
    };
    let classes = |fixtures: [String; 2]| {
        let suite = format!("<test-suite type='ParameterizedFixture' name='Login'>{}</test-suite>", fixtures.concat());
        let run = run(format!("<test-run><test-suite type='Assembly' name='a.dll'>{suite}</test-suite></test-run>"));
        assert_eq!((folded(&run), words(&run)), ([2, 1, 1, 0, 0, 0], vec![]));
        run.executions.into_iter().map(|execution| execution.test.class.clone()).collect::<Vec<_>>()
    };
    let expected = ["My.Login(\"a.b\")", "My.Login(\"c\")"];
    let [a, c] = ["(&quot;a.b&quot;)", "(&quot;c&quot;)"];
    let [full_a, full_c] = [a, c].map(|arguments| format!("fullname='My.Login{arguments}.Works'"));
    assert_eq!(classes([fixture(a, &full_a, "Failed"), fixture(c, &full_c, "Passed")]), expected);
    assert_eq!(classes([fixture(a, "", "Failed"), fixture(c, "", "Passed")]), expected);
}

#[test]
fn a_test_without_arguments_of_its_fixture_has_the_class_its_producer_names() {
    let run = run("<test-run><test-suite type='TestFixture' name='A' classname='My.A'>\
         <test-case name='T(&quot;x.y&quot;)' fullname='My.A.T(&quot;x.y&quot;)' classname='My.A' result='Passed'/>\
         <test-case name='renamed' fullname='renamed' classname='My.A' result='Passed'/></test-suite></test-run>");
    assert!(run.executions.iter().all(|execution| execution.test.class == "My.A"), "{run:?}");
    assert_eq!(test(&run, "renamed").outcome, Outcome::Passed);
}

#[test]
fn rows_that_share_a_name_are_one_test_that_ended_as_the_worst_of_them() {
    let records = |[first, second]: [&str; 2], template: &str, around: [&str; 2]| {
        let record = |word: &str| template.replace("WORD", word);
        run([around[0], &record(first), &record(second), around[1]].concat())
    };
    let trx = |words| {
        let template = "<UnitTestResult testId='t' testName='T' duration='00:00:01' outcome='WORD'/>";
        records(words, template, ["<TestRun><Results>", "</Results></TestRun>"])
    };
    let xunit = |words| {
        let template = "<test name='A.T(s: aaa...)' type='A' time='1' result='WORD'/>";
        records(words, template, ["<assemblies><assembly name='a.dll'>", "</assembly></assemblies>"])
    };
    let nunit = |words| {
        records(
            words,
            "<test-case name='T' duration='1' result='WORD'/>",
            ["<test-run><test-suite>", "</test-suite></test-run>"],
        )
    };
    for run in [
        trx(["Failed", "Passed"]),
        trx(["Passed", "Failed"]),
        xunit(["Fail", "Pass"]),
        xunit(["Fail", "Skip"]),
        nunit(["Failed", "Passed"]),
    ] {
        assert_eq!((folded(&run), words(&run)), ([1, 0, 1, 0, 0, 0], vec!["duplicate_test"]), "{run:?}");
        assert_eq!((run.elements.tests, run.executions[0].attempts.len()), (2, 1));
        assert_eq!(run.executions[0].duration, Some(std::time::Duration::from_secs(2)));
    }
    assert_eq!(folded(&xunit(["Skip", "Pass"])), [1, 1, 0, 0, 0, 0]);
    assert_eq!(folded(&xunit(["Skip", "Skip"])), [1, 0, 0, 0, 1, 0]);
}

#[test]
fn every_kind_of_trx_result_counts_and_what_sums_others_up_does_not() {
    let run = run("<TestRun><Results>\n<UnitTestResult testName='a' outcome='Passed'/>\
         <GenericTestResult testName='g' testId='1' outcome='Failed'/><ManualTestResult testName='m' outcome='Failed'/>\
         <WebTestResult testName='w' outcome='Failed'/><TestResultAggregation testName='alone' outcome='Failed'/>\
         <TestResultAggregation testName='ordered' outcome='Failed'><InnerResults>\
         <UnitTestResult testName='first' outcome='Passed'/><TestResult testName='second' outcome='Failed'/>\
         </InnerResults></TestResultAggregation>\n<Surprise testName='s' outcome='Failed'/></Results>\
         <TestDefinitions><GenericTest id='1' storage='/x/y.generictest'/></TestDefinitions></TestRun>");
    assert_eq!(folded(&run), [7, 2, 5, 0, 0, 0]);
    assert_eq!((words(&run), run.warnings[0].line), (vec!["result_unknown"], 3));
    assert_eq!(test(&run, "g").test.suite, "y.generictest");
    assert!(run.executions.iter().all(|execution| execution.test.name != "ordered"));
}

#[test]
fn a_trx_result_that_failed_although_all_inside_it_passed_is_an_error() {
    let run = run("<TestRun><Results><TestResultAggregation testName='o' outcome='Failed'><InnerResults>\
         <UnitTestResult testName='a' outcome='Passed'/></InnerResults></TestResultAggregation></Results></TestRun>");
    assert_eq!((folded(&run), words(&run)), ([2, 1, 0, 1, 0, 0], vec!["suite_error"]));
    assert_eq!((test(&run, "o").outcome, run.elements.tests), (Outcome::Error, 1));
}

#[test]
fn what_fails_outside_of_the_tests_of_a_trx_report_is_an_error_wherever_the_summary_stands() {
    let results = |outcome: &str| format!("<Results><UnitTestResult testName='a' outcome='{outcome}'/></Results>");
    let summary = |outcome: &str, info: &str, text: &str| {
        format!(
            "<ResultSummary outcome='{outcome}'><Counters/><RunInfos><RunInfo outcome='{info}'><Text>{text}</Text>\
             </RunInfo></RunInfos></ResultSummary>"
        )
    };
    let crash = summary("Failed", "Error", "The run was aborted.\nTest host process crashed");
    let repeated = summary("Failed", "Error", "[xUnit.net 00:00:00.74]     a [FAIL]");
    let (passed, failed) = (results("Passed"), results("Failed"));
    for (parts, told) in [
        ([&passed, &crash], vec!["an error outside of every test: The run was aborted."]),
        ([&crash, &passed], vec!["an error outside of every test: The run was aborted."]),
        ([&failed, &crash], vec!["an error outside of every test: The run was aborted."]),
        ([&failed, &repeated], vec![]),
        ([&repeated, &failed], vec![]),
        (
            [&summary("Failed", "Warning", "w"), &passed],
            vec!["the run ended as \"Failed\", but no test did: it counts as an error"],
        ),
        (
            [&summary("PassedButRunAborted", "Warning", "w"), &passed],
            vec!["the run ended as \"PassedButRunAborted\", but no test did: it counts as an error"],
        ),
        ([&failed, &summary("Failed", "Warning", "w")], vec![]),
        ([&passed, &summary("Completed", "Warning", "a test was skipped")], vec![]),
    ] {
        let run = run(["<TestRun>", parts[0], parts[1], "</TestRun>"].concat());
        assert_eq!(run.warnings.iter().map(|warning| warning.text.as_str()).collect::<Vec<_>>(), told, "{parts:?}");
        assert_eq!((run.elements.tests, run.counts().errors), (1, told.len() as u64), "{parts:?}");
    }
}

#[test]
fn a_failure_that_sums_up_another_one_is_told_once() {
    let row = "<UnitTestResult testName='row' outcome='Passed'/>";
    let sums_up = |name: &str, inner: &str| {
        format!(
            "<UnitTestResult testName='{name}' outcome='Failed'><InnerResults>{inner}</InnerResults></UnitTestResult>"
        )
    };
    let results = sums_up("outer", &sums_up("inner", row));
    let run = run(format!("<TestRun><Results>{results}</Results></TestRun>"));
    assert_eq!((run.counts().tests, run.counts().errors, words(&run)), (2, 1, vec!["suite_error"]));
}

#[test]
fn an_nunit_suite_that_cannot_be_run_is_an_error_where_none_of_its_tests_is_there() {
    let bad = "<test-suite type='Assembly' name='/x/bad.dll' runstate='NotRunnable' result='Failed' label='Invalid'>\
               <reason><message>Could not load</message></reason></test-suite>";
    let good = "<test-suite type='Assembly' name='good.dll' runstate='Runnable'>\
                <test-suite type='TestFixture' name='B' classname='My.B' runstate='NotRunnable' result='Failed'>\
                <test-case name='t' classname='My.B' result='Failed' label='Invalid'/></test-suite></test-suite>";
    let run = run(format!("<test-run>{bad}{good}</test-run>"));
    assert_eq!((folded(&run), words(&run)), ([2, 0, 0, 2, 0, 0], vec!["suite_error"]));
    let assembly = test(&run, "[not runnable]");
    assert_eq!((assembly.test.suite.as_str(), assembly.attempts[0].message()), ("bad.dll", Some("Could not load")));
}

#[test]
fn what_fails_in_an_nunit_suite_outside_of_its_tests_is_an_error_and_told_once() {
    let suite = |site: &str, message: &str, result: &str| {
        run(format!(
            "<test-run><test-suite type='Assembly' name='a.dll' site='Child'><failure><message>One or more child tests had \
             errors</message></failure>\n<test-suite type='TestFixture' name='A(1)' fullname='My.A(1)' classname='My.A' {site}><failure><message>{message}\
             </message></failure><test-case name='t' classname='My.A' result='{result}'/></test-suite></test-suite></test-run>"
        ))
    };
    let one_by_one = "One or more child tests had errors";
    for (site, message, result, told) in [
        ("site='TearDown'", "TearDown : boom", "Passed", true),
        ("site='TearDown'", "TearDown : boom", "Failed", true),
        ("site='SetUp'", "OneTimeSetUp: boom", "Failed", false),
        ("site='SetUp'", "OneTimeSetUp: boom", "Skipped", true),
        ("site='Child'", one_by_one, "Passed", false),
        ("", one_by_one, "Failed", false),
        ("", "boom", "Passed", true),
    ] {
        let run = suite(site, message, result);
        assert_eq!(words(&run), if told { vec!["suite_error"] } else { vec![] }, "{site} {message} {result}");
        assert_eq!((run.elements.tests, run.counts().errors), (1, u64::from(told)), "{site} {message} {result}");
        if told {
            assert!(run.warnings[0].text.ends_with("boom") && run.warnings[0].line == 2, "{run:?}");
            let outside = test(&run, OUTSIDE);
            assert_eq!((&*outside.test.suite, &*outside.test.class), ("a.dll", "My.A(1)"));
            assert_eq!(outside.attempts[0].message(), Some(message));
        }
    }
}

#[test]
fn what_fails_of_a_run_at_one_place_is_one_error_with_all_its_warnings_and_needs_no_test() {
    let info = |text| format!("<RunInfo outcome='Error'><Text>{text}</Text></RunInfo>");
    let infos = ["The test run was aborted.", "Test host process crashed"].map(info).concat();
    let crash = format!("<ResultSummary outcome='Failed'><RunInfos>{infos}</RunInfos></ResultSummary>");
    for (results, tests) in [("", 1), ("<Results><UnitTestResult testName='a' outcome='Passed'/></Results>", 2)] {
        let run = run(format!("<TestRun>{results}{crash}</TestRun>"));
        assert_eq!((folded(&run), words(&run)), ([tests, tests - 1, 0, 1, 0, 0], vec!["suite_error"; 2]));
        assert_eq!(test(&run, OUTSIDE).attempts[0].message(), Some("The test run was aborted."));
    }
    let cleanup = |class| {
        format!("<error type='test-class-cleanup' name='{class}'><failure><message>boom</message></failure></error>")
    };
    let run = run(format!(
        "<assemblies><assembly name='/x/a.dll'><errors>{}{}</errors><collection><test name='t' type='My.A' \
         result='Pass'/></collection></assembly></assemblies>",
        cleanup("My.A"),
        cleanup("My.B")
    ));
    assert_eq!((folded(&run), words(&run)), ([3, 1, 0, 2, 0, 0], vec!["suite_error"; 2]));
    let outside = &run.executions[0];
    assert_eq!((&*outside.test.class, &*outside.test.name), ("My.A", OUTSIDE));
    assert_eq!(outside.attempts[0].message(), Some("boom"));
}

#[test]
fn an_outcome_that_is_not_known_or_not_there_is_an_error() {
    let run = run("<TestRun><Results><UnitTestResult testName='a' outcome='passed'/><UnitTestResult testName='b'/>\
         <UnitTestResult testName='c' outcome='Exploded'/><UnitTestResult testName='d' outcome='Warning'/></Results></TestRun>");
    assert_eq!((folded(&run), words(&run)), ([4, 2, 0, 2, 0, 0], vec!["status_unknown"; 2]));
}

#[test]
fn a_trx_duration_that_cannot_be_read_is_told() {
    let run = run("<TestRun><Results><UnitTestResult testName='a' outcome='Passed' duration='PT1S'/>\
         <UnitTestResult testName='b' outcome='Passed' duration='-00:00:01'/>\
         <UnitTestResult testName='c' outcome='Passed' duration='00:00:01'/></Results></TestRun>");
    assert_eq!(words(&run), ["time_unreadable", "time_negative"]);
    assert_eq!(test(&run, "c").duration, Some(std::time::Duration::from_secs(1)));
}
