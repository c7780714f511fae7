//! Our reading beside another's: the crate junit-parser on every JUnit fixture, and generated reports beside
//! the structure they were made from.

use super::{folded, run};
use junit_parser::{TestCase, TestStatus, TestSuite};
use proptest::prelude::*;
use qastack::reports::{Counts, Limits, Outcome, read};
use std::fmt::Write;
use std::fs;
use std::path::Path;

#[test]
fn junit_parser_counts_the_same_cases_of_every_report_it_reads() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports");
    let mut compared = 0;
    for entry in walkdir::WalkDir::new(root).into_iter().map(|entry| entry.expect("an entry")) {
        let (path, bytes) = (entry.path(), fs::read(entry.path()).unwrap_or_default());
        let ours = match read(&bytes, &Limits::default()) {
            Ok(run) if run.format == qastack::reports::Format::Junit => run,
            _ => continue,
        };
        // A time with a decimal comma ends its reading; ours goes on with a warning.
        let Ok(theirs) = junit_parser::from_reader(bytes.as_slice()) else {
            assert!(path.ends_with("dotnet-junit-logger/report.xml"), "{} is not read", path.display());
            continue;
        };
        let mut counts = Counts::default();
        theirs.suites.iter().for_each(|suite| count(suite, &mut counts));
        compared += 1;
        assert_eq!(ours.elements, counts, "{}", path.display());
    }
    assert!(compared >= 18, "only {compared} reports were compared");
}

fn count(suite: &TestSuite, counts: &mut Counts) {
    suite.suites.iter().for_each(|inner| count(inner, counts));
    suite.cases.iter().for_each(|case| counts.add(outcome(case)));
}

/// What junit-parser says, but for what GoogleTest and CTest say by attribute alone, which it takes for a pass.
fn outcome(case: &TestCase) -> Outcome {
    match case.status {
        TestStatus::Success if case.name.contains("DISABLED_") || case.original_name == "waits" => Outcome::Skipped,
        TestStatus::Success => Outcome::Passed,
        TestStatus::Error(_) => Outcome::Error,
        TestStatus::Failure(_) => Outcome::Failed,
        TestStatus::Skipped(_) => Outcome::Skipped,
    }
}

/// What a generated case says of itself.
#[derive(Debug, Clone)]
struct Case {
    name: String,
    result: Option<Outcome>,
    retries: usize,
}

fn case() -> impl Strategy<Value = Case> {
    let result = prop_oneof![
        3 => Just(None),
        1 => Just(Some(Outcome::Failed)),
        1 => Just(Some(Outcome::Error)),
        1 => Just(Some(Outcome::Skipped)),
    ];
    ("[^\u{0}-\u{1f}\u{fffe}\u{ffff}@/-]{1,20}", result, 0..3_usize).prop_map(|(name, result, retries)| Case {
        name,
        result,
        retries,
    })
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

fn write_case(xml: &mut String, number: usize, case: &Case) {
    let _ = write!(xml, "<testcase name=\"{number} {}\" time=\"0.1\">", escape(&case.name));
    let retry = match case.result {
        Some(Outcome::Failed) => "<failure/>",
        Some(Outcome::Error) => "<error/>",
        Some(_) => "<skipped/>",
        None => "",
    };
    xml.push_str(retry);
    for _ in 0..case.retries {
        xml.push_str(match case.result {
            None => "<flakyFailure message=\"m\"/>",
            Some(Outcome::Skipped) => "<system-out>&lt;failure/&gt;</system-out>",
            Some(_) => "<rerunFailure/>",
        });
    }
    xml.push_str("</testcase>");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn counts_are_those_of_the_structure(suites in prop::collection::vec(prop::collection::vec(case(), 0..8), 1..6)) {
        let mut xml = String::from("<?xml version=\"1.0\"?>\n<testsuites>");
        let mut expected = Counts::default();
        let (mut flaky, mut number) = (0, 0);
        for suite in &suites {
            xml.push_str("<testsuite name=\"outer\"><testsuite name=\"inner\">\n");
            for case in suite {
                write_case(&mut xml, number, case);
                expected.add(case.result.unwrap_or(Outcome::Passed));
                flaky += u64::from(case.result.is_none() && case.retries > 0);
                number += 1;
            }
            xml.push_str("</testsuite></testsuite>");
        }
        xml.push_str("</testsuites>");
        let run = run(&xml);
        prop_assert_eq!(run.elements, expected);
        prop_assert_eq!(folded(&run)[5], flaky);
        let names: Vec<_> = suites.iter().flatten().enumerate().map(|(at, case)| format!("{at} {}", case.name)).collect();
        let read: Vec<_> = run.executions.into_iter().map(|execution| execution.test.name).collect();
        prop_assert_eq!(read, names);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = read(&bytes, &Limits::default());
    }

    #[test]
    fn no_pieces_of_reports_make_the_reader_panic(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let report = pieces.concat();
        if let Ok(run) = read(report.as_bytes(), &Limits::default()) {
            prop_assert!(run.counts().tests <= run.elements.tests);
            prop_assert!(run.executions.iter().all(|execution| !execution.attempts.is_empty()));
        }
    }
}

const PIECES: &[&str] = &[
    "<testsuites>",
    "</testsuites>",
    "<testsuite name='s' tests='3'>",
    "</testsuite>",
    "<testcase name='a'>",
    "<testcase name=\"b\" time=\"1,5\" status='disabled'/>",
    "</testcase>",
    "<failure message='é'>",
    "</failure>",
    "<rerunFailure/>",
    "<flakyError/>",
    "<skipped/>",
    "&amp;",
    "&#0;",
    "&x;",
    "<![CDATA[",
    "]]>",
    "<!--",
    "-->",
    "<?xml version='1.0'?>",
    "\n",
    "\u{0}",
    " ",
    "=",
    "'",
    "\"",
    "<",
    ">",
    "/",
    "<TestRun>",
    "<UnitTestResult testId='1'>",
    "<InnerResults>",
    "</InnerResults>",
    "</UnitTestResult>",
    "<assemblies>",
    "<test name='x' result='Pass'/>",
    "<test-run>",
    "<test-case result='Failed'>",
    "</test-case>",
    "{\"results\":{\"tests\":[",
    "{\"name\":\"a\",\"status\":\"passed\"}",
    "]}}",
    ",",
    "{\"Action\":\"run\",\"Package\":\"p\",\"Test\":\"T\"}\n",
    "{\"Action\":\"fail\",\"Package\":\"p\"}\n",
    "{\"config\":{},\"suites\":[",
    "{\"title\":\"t\",\"specs\":[]}",
    "]}",
];
