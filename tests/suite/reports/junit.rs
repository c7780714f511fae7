//! JUnit XML: results, retries, repeated records, identities, and the traps real producers lay.

use super::{folded, run, test, words};
use qastack::reports::{Format, Limits, NameRules, Outcome, read_with};
use std::time::Duration;

#[test]
fn elements_are_counted_by_their_worst_child_and_attributes_decide_where_there_is_none() {
    let run = run(r#"<testsuites><testsuite name="s" tests="9">
        <testcase name="a"/>
        <testcase name="b"><failure message="m"/></testcase>
        <testcase name="c"><error/></testcase>
        <testcase name="d"><skipped/></testcase>
        <testcase name="e"><skipped/><failure/><error/></testcase>
        <testcase name="f" status="notrun" result="suppressed"/>
        <testcase name="g" status="disabled"/>
        <testcase name="h" status="fail"/>
        <testcase name="i" status="run" result="completed"/>
    </testsuite></testsuites>"#);
    assert_eq!(run.format, Format::Junit);
    assert_eq!(folded(&run), [9, 2, 2, 2, 3, 0]);
    assert_eq!(run.counts(), run.elements);
    assert_eq!(words(&run), ["several_results"]);
}

#[test]
fn a_status_that_is_not_known_is_never_a_pass_and_a_child_says_more() {
    let run = run("<testsuite name='s'><testcase name='a' status='timedout'/><testcase name='b' status='crashed'/>\
         <testcase name='c' result='Aborted'/>\n<testcase name='d' status='exploded'/>\
         <testcase name='e' status='exploded'><skipped/></testcase><testcase name='f' status='run' result='exploded'/>\
         <testcase name='g' status='exploded'><failure/></testcase><testcase name='h' status='Success' result='OK'/>\
         <testcase name='i' status=''/></testsuite>");
    assert_eq!((folded(&run), words(&run)), ([9, 2, 2, 4, 1, 0], vec!["status_unknown"; 4]));
    assert_eq!((test(&run, "d").outcome, run.warnings[0].line), (Outcome::Error, 2));
    assert_eq!(test(&run, "e").outcome, Outcome::Skipped);
}

#[test]
fn a_case_with_phpunits_warning_has_failed_and_the_counters_may_leave_it_out() {
    let run = run("<testsuite name='s' tests='2' failures='0' errors='0' warnings='1'><testcase name='a'>\
         <warning type='Warning'>No tests found in class</warning></testcase><testcase name='b'/></testsuite>");
    assert_eq!((folded(&run), words(&run)), ([2, 1, 1, 0, 0, 0], vec![]));
    assert_eq!(test(&run, "a").attempts[0].message(), Some("No tests found in class"));
}

#[test]
fn a_disabled_case_with_a_failure_has_failed_with_a_warning() {
    let run = run("<testsuite>\n<testcase name='a' status='disabled'><failure/></testcase></testsuite>");
    assert_eq!(folded(&run), [1, 0, 1, 0, 0, 0]);
    assert_eq!((words(&run), run.warnings[0].line), (vec!["disabled_with_result"], 2));
}

#[test]
fn counters_that_lie_are_said_and_not_used() {
    let run = run(
        "<testsuites>\n<testsuite name='empty' tests='6' failures='0'/>\n<testsuite name='s' tests='1' failures='3'><testcase name='a'/></testsuite></testsuites>",
    );
    assert_eq!(folded(&run), [1, 1, 0, 0, 0, 0]);
    assert_eq!(words(&run), ["counters_differ", "counters_differ"]);
    assert_eq!(run.warnings.iter().map(|warning| warning.line).collect::<Vec<_>>(), [2, 3]);
    assert!(run.warnings[0].text.contains("declares 6 tests"), "{}", run.warnings[0].text);
}

#[test]
fn zero_tests_are_a_run_with_a_warning_and_not_an_error() {
    let run = run("<testsuites tests='0'/>");
    assert_eq!((folded(&run), words(&run)), ([0; 6], vec!["no_tests"]));
}

#[test]
fn a_flaky_failure_before_a_pass_is_one_flaky_pass() {
    let run = run(r#"<testsuite name="s"><testcase name="a" classname="C" time="0.5">
        <flakyFailure message="first" type="AssertionError"><stackTrace>at C.a</stackTrace><system-out>noise</system-out></flakyFailure>
        <flakyError message="second"/>
    </testcase></testsuite>"#);
    let a = test(&run, "a");
    assert_eq!((a.outcome, a.flaky), (Outcome::Passed, true));
    assert_eq!(
        a.attempts.iter().map(|attempt| attempt.outcome).collect::<Vec<_>>(),
        [Outcome::Failed, Outcome::Error, Outcome::Passed]
    );
    assert_eq!(a.attempts[0].message(), Some("first\nat C.a"));
    assert_eq!(a.attempts[0].kind(), Some("AssertionError"));
    assert_eq!((run.elements.passed, run.elements.failed), (1, 0));
}

#[test]
fn a_failure_and_its_failed_reruns_are_one_failure_and_not_flaky() {
    let run = run(r#"<testsuite name="s" tests="4" failures="4"><testcase name="a" time="1">
        <failure message="1"/><rerunFailure message="2" time="2"/><rerunError message="3" time="3"/></testcase></testsuite>"#);
    let a = test(&run, "a");
    assert_eq!((a.outcome, a.flaky, a.attempts.len()), (Outcome::Failed, false, 3));
    assert_eq!(a.attempts[0].message(), Some("1"));
    assert_eq!(words(&run), ["counters_differ"]);
}

#[test]
fn a_flaky_result_that_its_producer_counts_as_a_failure_stays_a_failure() {
    let run = run(
        "<testsuite><testcase name='a'><failure/><flakyFailure time='1'>text</flakyFailure></testcase></testsuite>",
    );
    let a = test(&run, "a");
    assert_eq!((a.outcome, a.flaky, a.attempts.len()), (Outcome::Failed, false, 2));
}

#[test]
fn attempts_with_times_add_up_and_one_alone_has_the_time_of_its_case() {
    let run = run(r#"<testsuites><testsuite name="s">
        <testcase name="a" time="1.5"><flakyFailure time="2"/></testcase><testcase name="b" time="4"/></testsuite></testsuites>"#);
    assert_eq!(test(&run, "a").duration, Some(Duration::from_millis(3_500)));
    assert_eq!(test(&run, "b").attempts[0].duration, Some(Duration::from_secs(4)));
}

#[test]
fn a_repeated_record_is_a_further_attempt_and_the_last_one_decides() {
    let record =
        |name: &str, result: &str| format!("<testcase classname='p' name='{name}' time='1'>{result}</testcase>");
    let cases = [
        record("recovers", "<failure>no</failure>"),
        record("never", "<failure/>"),
        record("worsens", ""),
        record("recovers", ""),
        record("never", "<failure/>"),
        record("worsens", "<failure/>"),
        record("skipped-later", "<failure/>"),
        record("skipped-later", "<skipped/>"),
        record("skipped-first", "<skipped/>"),
        record("skipped-first", ""),
    ];
    let properties = "<properties><property name='go.version' value='1.26'/></properties>";
    let run = run(format!("<testsuites><testsuite name='p'>{properties}{}</testsuite></testsuites>", cases.concat()));
    assert_eq!(run.elements.tests, 10);
    assert_eq!(folded(&run), [5, 2, 3, 0, 0, 1]);
    let outcome = |name| (test(&run, name).outcome, test(&run, name).flaky);
    assert_eq!(outcome("recovers"), (Outcome::Passed, true));
    assert_eq!(outcome("never"), (Outcome::Failed, false));
    assert_eq!(outcome("worsens"), (Outcome::Failed, false));
    assert_eq!(outcome("skipped-later"), (Outcome::Failed, false));
    assert_eq!(outcome("skipped-first"), (Outcome::Passed, false));
    assert_eq!(test(&run, "recovers").duration, Some(Duration::from_secs(2)));
    assert_eq!(words(&run), Vec::<&str>::new());
}

#[test]
fn pytests_empty_records_of_failed_attempts_never_make_a_test_flaky() {
    let suite = |cases: &str| format!("<testsuites><testsuite name='pytest'>{cases}</testsuite></testsuites>");
    let empty = "<testcase classname='t' name='a'/>";
    let always = run(suite(&[empty, empty, "<testcase classname='t' name='a'><failure/></testcase>"].concat()));
    assert_eq!((folded(&always), always.elements.tests), ([1, 0, 1, 0, 0, 0], 3));
    let unknown = run(suite(&[empty, empty].concat()));
    assert_eq!((folded(&unknown), words(&unknown)), ([1, 1, 0, 0, 0, 0], vec!["retry_unexplained"]));
}

#[test]
fn duplicated_names_of_an_unknown_producer_are_folded_with_a_warning() {
    let run = run("<testsuite name='s'>\n<testcase name='a'/>\n<testcase name='a'/></testsuite>");
    assert_eq!((folded(&run), words(&run), run.warnings[0].line), ([1, 1, 0, 0, 0, 0], vec!["duplicate_test"], 3));
}

#[test]
fn what_producers_write_twice_that_never_write_a_retry_is_two_tests_of_one_name_and_never_flaky() {
    for producer in ["jest tests", "vitest tests", "Mocha Tests"] {
        let file = |result: &str| {
            format!(
                "<testsuite name='cart'><testcase classname='cart adds' name='cart adds'>{result}</testcase></testsuite>"
            )
        };
        let both = [file("<failure/>"), file("")].concat();
        let run = run(format!("<testsuites name='{producer}'>{both}</testsuites>"));
        assert_eq!((folded(&run), words(&run)), ([1, 0, 1, 0, 0, 0], vec!["duplicate_test"]), "{producer}");
    }
}

#[test]
fn suites_that_cypress_runs_stand_in_the_file_that_was_named_before_them() {
    let file = |file: &str, result: &str| {
        format!(
            "<testsuite name='Root Suite' file='{file}' tests='0'/>\
             <testsuite name='Form'><testcase name='Form sends' classname='sends'>{result}</testcase></testsuite>"
        )
    };
    let both = [file("cypress/e2e/login.cy.js", "<failure/>"), file("cypress/e2e/order.cy.js", "")].concat();
    let run = run(format!("<testsuites name='Mocha Tests'>{both}<testsuite name='Root Suite'/></testsuites>"));
    let files: Vec<_> = run.executions.iter().map(|one| one.test.file.as_deref().unwrap_or_default()).collect();
    assert_eq!((folded(&run), files), ([2, 1, 1, 0, 0, 0], vec!["cypress/e2e/login.cy.js", "cypress/e2e/order.cy.js"]));
}

#[test]
fn of_which_kind_a_failure_is_its_element_says() {
    let run = run("<testsuite name='s'><testcase name='a' status='ERROR'><failure>m</failure></testcase>\
         <testcase name='b' status='panicked'><error/></testcase>\
         <testcase name='c' status='failed'><skipped/></testcase></testsuite>");
    assert_eq!((folded(&run), words(&run)), ([3, 0, 2, 1, 0, 0], Vec::<&str>::new()));
}

#[test]
fn the_same_name_in_another_suite_class_file_or_browser_is_another_test() {
    let run = run(r#"<testsuites id="" name="">
        <testsuite name="a.spec.ts" hostname="chromium"><testcase classname="a.spec.ts" name="x"><failure/></testcase></testsuite>
        <testsuite name="a.spec.ts" hostname="firefox"><testcase classname="a.spec.ts" name="x"/></testsuite>
        <testsuite name="s"><testcase classname="C" name="x"/><testcase classname="D" name="x"/><testcase classname="C" file="f" name="x"/></testsuite>
    </testsuites>"#);
    assert_eq!(folded(&run), [5, 4, 1, 0, 0, 0]);
    let variants: Vec<_> = run.executions.iter().map(|execution| execution.test.variant.as_str()).collect();
    assert_eq!(variants, ["chromium", "firefox", "", "", ""]);
}

#[test]
fn the_hostname_of_other_producers_is_a_machine_and_no_variant() {
    let run = run(
        r#"<testsuites><testsuite name="pytest" hostname="runner-7"><testcase classname="t" name="x"/></testsuite></testsuites>"#,
    );
    assert_eq!(run.executions[0].test.variant, "");
}

#[test]
fn nested_suites_keep_all_their_names_but_a_configuration_files_path() {
    let run = run(
        r#"<testsuites><testsuite name="/home/me/shop/phpunit.xml"><testsuite name="unit"><testsuite name="CartTest" file="/builds/t/shop/CartTest.php">
        <testsuite name="CartTest::adds"><testcase name="adds with data set #0" class="CartTest"/></testsuite></testsuite></testsuite></testsuite></testsuites>"#,
    );
    let test = &run.executions[0].test;
    assert_eq!(test.suite, "unit > CartTest > CartTest::adds");
    assert_eq!((test.class.as_str(), test.file.as_deref()), ("CartTest", Some("CartTest.php")));
}

#[test]
fn a_stress_run_repeats_a_test_without_making_it_a_retry() {
    let run = run(
        r#"<testsuites name="nextest-run"><testsuite name="bin@stress-0"><testcase name="a"><failure/></testcase></testsuite>
        <testsuite name="bin@stress-1"><testcase name="a"/></testsuite></testsuites>"#,
    );
    assert_eq!(folded(&run), [2, 1, 1, 0, 0, 0]);
    assert!(run.executions.iter().all(|execution| execution.test.suite == "bin"));
}

#[test]
fn parameters_with_random_parts_are_two_tests_of_one_lasting_name() {
    let report =
        "<testsuite><testcase name='a[W@6e576b5a]'><failure/></testcase><testcase name='a[W@1b2c3d4e]'/></testsuite>";
    let run = run(report);
    assert_eq!(folded(&run), [2, 1, 1, 0, 0, 0]);
    assert!(run.executions.iter().all(|execution| execution.test.name == "a[W@*]"));
    let rules = NameRules::new([(r"\[.*\]$", "")]).expect("compiles");
    let run = read_with(report.as_bytes(), &Limits::default(), &rules).expect("reads");
    assert_eq!(run.executions[0].test.name, "a");
}

#[test]
fn odd_times_are_read_or_left_out_with_a_warning_that_names_the_line() {
    let times = ["2,503.1", "0,288", "-3", "1E-07", "&lt;&lt;computed&gt;&gt;", ""];
    let cases: Vec<_> =
        times.iter().enumerate().map(|(at, time)| format!("\n<testcase name='{at}' time='{time}'/>")).collect();
    let run = run(format!("<testsuite>{}</testsuite>", cases.concat()));
    let read: Vec<_> = run.executions.iter().map(|one| one.duration.map(|duration| duration.as_secs_f64())).collect();
    assert_eq!(read, [Some(2503.1), Some(0.288), None, Some(1e-7), None, None]);
    let warned: Vec<_> = run.warnings.iter().map(|warning| (warning.code, warning.line)).collect();
    assert_eq!(warned, [("time_ambiguous", 2), ("time_ambiguous", 3), ("time_negative", 4), ("time_unreadable", 6)]);
}

#[test]
fn every_kind_of_timestamp_is_kept_as_it_is_written() {
    for stamp in [
        "2024-05-01T10:11:12",
        "2024-05-01T10:11:12+02:00",
        "2024-05-01T10:11:12Z",
        "2024-05-01T10:11:12.1234567",
        "2024-05-01",
        "01/05/2024 10:11:12",
        "2024-05-01 10:11:12 UTC",
        "Wed, 01 May 2024 10:11:12 GMT",
        "1714558272",
        "1714558272.5",
        "2019-09-13T 23:30:12Z",
        "0001-01-01T00:00:00Z",
        "1970-01-01T00:00:00",
    ] {
        let run = run(format!("<testsuite timestamp='{stamp}'><testcase name='a' timestamp='{stamp}'/></testsuite>"));
        assert_eq!(run.reported_start.as_deref(), Some(stamp));
        assert_eq!(run.executions[0].reported_start.as_deref(), Some(stamp));
        assert_eq!(words(&run), Vec::<&str>::new());
    }
}

#[test]
fn cases_without_a_name_are_one_test_wherever_they_stand_and_no_retries() {
    let run = run("<testsuites><testsuite name='s'><testcase name='a'/><testcase><failure/></testcase>\
         <testcase name=''/></testsuite><testsuite name='t'><testcase/></testsuite></testsuites>");
    assert_eq!((folded(&run), run.elements.tests), ([3, 2, 1, 0, 0, 0], 4));
    assert_eq!(words(&run), ["name_missing", "name_missing", "duplicate_test", "name_missing"]);
    assert!(run.executions.iter().all(|execution| matches!(&*execution.test.name, "a" | "(no name)")), "{run:?}");
}

#[test]
fn a_failure_outside_of_every_case_is_an_error() {
    let run = run("<testsuite name='s'><testcase name='a'/><error message='broke'/></testsuite>");
    assert_eq!((folded(&run), words(&run)), ([2, 1, 0, 1, 0, 0], vec!["suite_error"]));
    let outside = &run.executions[1];
    assert_eq!((&*outside.test.suite, &*outside.test.name), ("s", "[failed outside of tests]"));
    assert_eq!((outside.attempts[0].message(), run.elements.tests), (Some("broke"), 1));
}

#[test]
fn names_keep_their_characters_and_lose_their_escapes() {
    let run = run(
        "<testsuite name='s'><testcase name='a &lt;b&gt; &amp; &quot;c&quot; &#233; 日本語 \u{1f600}' classname='p:q'><failure>x &lt; y &amp;&amp; <![CDATA[z < w]]></failure></testcase></testsuite>",
    );
    let test = &run.executions[0];
    assert_eq!(test.test.name, "a <b> & \"c\" é 日本語 \u{1f600}");
    assert_eq!(test.attempts[0].message(), Some("x < y && z < w"));
}

#[test]
fn name_spaces_and_prefixes_do_not_matter() {
    let run = run(
        "<j:testsuite xmlns:j='urn:j' xmlns:xsi='x' xsi:noNamespaceSchemaLocation='s.xsd' name='s'><j:testcase name='a'><j:failure/></j:testcase></j:testsuite>",
    );
    assert_eq!(folded(&run), [1, 0, 1, 0, 0, 0]);
}

#[test]
fn output_inside_a_case_is_read_over_even_when_it_looks_like_a_report() {
    let run = run(
        "<testsuite><testcase name='a'><system-out><testcase name='b'><failure/></testcase></system-out></testcase></testsuite>",
    );
    assert_eq!(folded(&run), [1, 1, 0, 0, 0, 0]);
}

#[test]
fn a_case_inside_a_case_is_a_test_of_its_own_and_is_told() {
    let run = run("<testsuite name='s' tests='2' failures='1'>\n<testcase name='outer'>\n\
         <testcase name='inner'><failure message='m'/></testcase></testcase></testsuite>");
    assert_eq!(folded(&run), [2, 1, 1, 0, 0, 0]);
    assert_eq!(test(&run, "inner").outcome, Outcome::Failed);
    assert_eq!((words(&run), run.warnings[0].line), (vec!["case_inside"], 3));
}

#[test]
fn a_status_that_is_a_number_says_nothing_and_is_told() {
    let run = run("<testsuite name='s'><testcase name='a' status='200'/>\
         <testcase name='b' status='500'><failure message='m'/></testcase></testsuite>");
    assert_eq!((folded(&run), words(&run)), ([2, 1, 1, 0, 0, 0], vec!["status_unknown"; 2]));
}

#[test]
fn parameters_that_look_random_stay_apart_where_one_report_has_several_of_them() {
    let names = |cases: &str| -> Vec<String> {
        let run = run(format!("<testsuites>{cases}</testsuites>"));
        run.executions.into_iter().map(|execution| execution.test.name).collect()
    };
    let (one, other) = ("<testcase name='p[0x7f00aa01]'/>", "<testcase name='p[0x7f00bb02]'/>");
    let both = ["p[0x7f00aa01]", "p[0x7f00bb02]"];
    assert_eq!(names(&format!("<testsuite name='s'>{one}{other}</testsuite>")), both);
    assert_eq!(names(&format!("<testsuite name='s'>{other}{one}</testsuite>")), [both[1], both[0]]);
    // Alone it may differ in the next run; so may what stands elsewhere, or again in the iteration of a stress run.
    assert_eq!(names(&format!("<testsuite name='s'>{one}{one}</testsuite>")), ["p[0x*]"]);
    assert_eq!(
        names(&format!("<testsuite name='s'>{one}</testsuite><testsuite name='t'>{other}</testsuite>")),
        ["p[0x*]", "p[0x*]"]
    );
    assert_eq!(
        names(&format!(
            "<testsuite name='s@stress-0'>{other}</testsuite><testsuite name='s@stress-1'>{other}</testsuite>"
        )),
        ["p[0x*]", "p[0x*]"]
    );
    // Hashes of objects are new in every run.
    assert_eq!(
        names("<testsuite><testcase name='p[W@6e576b5a]'/><testcase name='p[W@1b2c3d4e]'/></testsuite>"),
        ["p[W@*]", "p[W@*]"]
    );
}
