//! TRX, NUnit 3 and xUnit v2: which test it is, which rows are one test, and what fails outside of every test.

use super::{folded, run, test, words};
use qastack::reports::Outcome;

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
