//! Broken and hostile input: what comes out of each, and that it is never a run without tests.

use super::{error, folded, run, test, words};
use qastack::error::Error;
use qastack::exit_code::Code;
use qastack::reports::{Limits, Unreadable, read};

#[test]
fn an_empty_file_is_an_error_of_its_own() {
    assert_eq!(error(""), Unreadable::Empty);
    assert_eq!(error(" \n\t\r\n"), Unreadable::Empty);
    assert_eq!(Error::from(error("")).code(), Code::ReportRejected);
}

#[test]
fn truncated_xml_names_the_line_it_ends_on_and_what_was_open() {
    let report = "<testsuite>\n<testcase name='a'/>\n<testcase name='b'>\n<failure>no";
    let error = error(report);
    assert_eq!(error.word(), "truncated");
    assert_eq!(error.to_string(), "line 4: the file ends too early, inside <failure> of line 4");
}

#[test]
fn every_head_of_a_report_is_an_error() {
    let report = "<?xml version='1.0'?>\n<testsuites><!-- c --><testsuite name='s'><testcase name='a'><failure><![CDATA[x]]></failure></testcase></testsuite></testsuites>";
    for end in 1..report.len() {
        let result = read(&report.as_bytes()[..end], &Limits::default());
        assert!(result.is_err(), "{:?} is read as {result:?}", &report[..end]);
    }
    assert_eq!(folded(&run(report)), [1, 0, 1, 0, 0, 0]);
}

#[test]
fn end_tags_that_do_not_match_are_an_error_with_a_line() {
    let error = error("<testsuite>\n<testcase name='a'>\n</testsuite>");
    assert_eq!((error.word(), error.line()), ("malformed", Some(3)));
}

#[test]
fn a_doctype_is_refused_before_any_entity_is_read() {
    let bomb = "<?xml version='1.0'?>\n<!DOCTYPE b [<!ENTITY a 'aaaa'><!ENTITY b '&a;&a;'>]>\n<testsuite><testcase name='&b;'/></testsuite>";
    assert_eq!(error(bomb), Unreadable::Doctype { line: 2 });
    assert_eq!(error("<!DOCTYPE x SYSTEM 'file:///etc/passwd'><testsuite/>").word(), "doctype_forbidden");
    assert_eq!(error("<testsuite>\n<!DOCTYPE x>\n</testsuite>"), Unreadable::Doctype { line: 2 });
    assert_eq!(error("<!DOCTYPE x [").word(), "doctype_forbidden");
}

#[test]
fn an_entity_nobody_declared_stays_as_it_is_written() {
    let run = run("<testsuite><testcase name='a &bogus; b'><failure>c &bogus; d</failure></testcase></testsuite>");
    assert_eq!(test(&run, "a &bogus; b").attempts[0].message(), Some("c &bogus; d"));
    assert_eq!(words(&run), ["attribute_malformed"]);
}

#[test]
fn control_characters_are_removed_with_a_warning_wherever_they_stand() {
    let report = b"<testsuite name='s'>\n<test\0case name='a\x1b[31m\0b'><failure message='\x01m'><![CDATA[x\x00\x1b[0my\xef\xbf\xbe]]></failure></test\0case>\n</testsuite>";
    let run = run(report);
    assert_eq!(folded(&run), [1, 0, 1, 0, 0, 0]);
    assert_eq!(test(&run, "a[31mb").attempts[0].message(), Some("m\nx[0my"));
    assert_eq!((words(&run), run.warnings[0].line), (vec!["control_characters"], 2));
}

#[test]
fn the_line_of_a_control_character_is_where_it_stands() {
    let run =
        run("<testsuite>\n<testcase name='a'>\n<failure>\n\n\n\n\n\u{1}boom\n\n</failure></testcase></testsuite>");
    assert_eq!((words(&run), run.warnings[0].line), (vec!["control_characters"], 8));
}

#[test]
fn character_references_bring_in_no_control_characters() {
    let run = run("<testsuite><testcase name='a&#27;b&#x9;c'><failure>d&#8;e&#0;</failure></testcase></testsuite>");
    assert!(!format!("{run:?}").contains("\\u{1b}"), "{run:?}");
    assert_eq!(run.executions[0].test.name, "ab\tc");
    assert_eq!(run.executions[0].attempts[0].message(), Some("de&#0;"));
}

#[test]
fn encodings_are_known_by_mark_by_declaration_and_by_their_bytes() {
    let xml = "<?xml version='1.0' encoding='NAME'?><testsuite><testcase name='é'/></testsuite>";
    let latin: Vec<u8> = xml.replace("NAME", "ISO-8859-1").chars().map(|character| character as u8).collect();
    let undeclared: Vec<u8> = xml.replace(" encoding='NAME'", "").chars().map(|character| character as u8).collect();
    let wide = |to_bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        xml.replace("NAME", "UTF-16").encode_utf16().flat_map(to_bytes).collect()
    };
    let marked: Vec<u8> = b"\xff\xfe".iter().copied().chain(wide(u16::to_le_bytes)).collect();
    let utf_8: Vec<u8> = [b"\xef\xbb\xbf".as_slice(), xml.replace("NAME", "utf-8").as_bytes()].concat();
    for (bytes, warned) in [
        (latin, vec![]),
        (undeclared, vec!["encoding_replaced"]),
        (wide(u16::to_be_bytes), vec![]),
        (marked, vec![]),
        (utf_8, vec![]),
        (xml.replace("NAME", "martian").into_bytes(), vec!["encoding_unknown"]),
    ] {
        let run = run(&bytes);
        assert_eq!((run.executions[0].test.name.as_str(), words(&run)), ("é", warned));
    }
}

#[test]
fn xml_1_1_and_a_declaration_without_a_version_are_read() {
    assert_eq!(run("<?xml version='1.1'?><testsuite><testcase name='a'/></testsuite>").elements.tests, 1);
    assert_eq!(run("<?xml encoding='UTF-8'?><testsuite><testcase name='a'/></testsuite>").elements.tests, 1);
}

#[test]
fn several_roots_in_one_file_are_all_read() {
    let one = "<?xml version='1.0'?>\n<testsuite><testcase name='NAME'/></testsuite>\n";
    let run = run([one.replace("NAME", "a"), one.replace("NAME", "b")].concat());
    assert_eq!((folded(&run), words(&run), run.warnings[0].line), ([2, 2, 0, 0, 0, 0], vec!["several_roots"], 4));
}

#[test]
fn a_million_attributes_are_refused_at_once() {
    let attributes: String = (0..1_000_000).map(|at| format!(" a{at}='x'")).collect();
    let error = error(format!("<testsuite>\n<testcase{attributes}/></testsuite>"));
    assert_eq!(error, Unreadable::TooManyAttributes { line: 2, limit: 64 });
}

#[test]
fn sixty_four_levels_are_read_and_one_more_is_refused() {
    let nested = |levels: usize| {
        format!("{}<testcase name='a'/>{}", "<testsuite>".repeat(levels), "</testsuite>".repeat(levels))
    };
    assert_eq!(run(nested(63)).elements.tests, 1);
    assert_eq!(error(nested(64)), Unreadable::TooDeep { line: 1, limit: 64 });
    assert_eq!(error("<a>".repeat(3_000_000)).word(), "unknown_format");
    assert_eq!(error("<testsuite>".repeat(3_000_000)).word(), "too_deep");
}

#[test]
fn two_hundred_thousand_cases_are_read_and_one_more_is_refused() {
    let cases: String = (0..200_000).map(|at| format!("<testcase name='n{at}'/>\n")).collect();
    assert_eq!(run(format!("<testsuite>{cases}</testsuite>")).elements.tests, 200_000);
    let error = error(format!("<testsuite>{cases}<testcase name='x'/></testsuite>"));
    assert_eq!(error, Unreadable::TooManyCases { line: 200_001, limit: 200_000 });
}

#[test]
fn a_report_over_the_size_limit_is_not_looked_at() {
    let limits = Limits { bytes: 10, ..Limits::default() };
    assert_eq!(read(b"<testsuite/>", &limits), Err(Unreadable::TooLarge { size: 12, limit: 10 }));
}

#[test]
fn a_hundred_megabytes_of_output_leave_nothing_behind() {
    let mut report = b"<testsuite><testcase name='a'><system-out><![CDATA[".to_vec();
    report.resize(100 << 20, b'x');
    report.extend(b"]]></system-out></testcase></testsuite>");
    let run = run(&report);
    assert_eq!(folded(&run), [1, 1, 0, 0, 0, 0]);
    assert!(format!("{run:?}").len() < 1_000);
}

#[test]
fn the_text_of_a_case_is_kept_up_to_the_limit() {
    let failure = format!("<failure message='head'>{}</failure>", "é".repeat(100_000));
    let run = run(format!("<testsuite><testcase name='a'>{failure}{failure}</testcase></testsuite>"));
    let kept = run.executions[0].attempts[0].message().expect("a message").len();
    assert!((60_000..=64 << 10).contains(&kept), "{kept} bytes are kept");
}

#[test]
fn a_name_over_the_limit_is_cut_with_a_warning() {
    let run = run(format!("<testsuite><testcase name='{}'/></testsuite>", "n".repeat(10_000)));
    assert_eq!((run.executions[0].test.name.len(), words(&run)), (4096, vec!["name_cut"]));
}

#[test]
fn warnings_over_the_limit_are_only_counted() {
    let cases: String = (0..1_000).map(|at| format!("<testcase name='n{at}' time='-1'/>")).collect();
    let run = run(format!("<testsuite>{cases}</testsuite>"));
    assert_eq!((run.warnings.len(), run.warnings_left_out), (200, 800));
}

#[test]
fn what_is_no_report_is_named() {
    for (bytes, named) in [
        (&b"<Site><Testing/></Site>"[..], "<Site>"),
        (b"<html><body/></html>", "an HTML page"),
        (
            b"\n<!DOCTYPE html>\n<html lang='en'><body>502</body></html>",
            "line 2: no format that is read here: an HTML page",
        ),
        (b"<!doctype HTML><p>", "an HTML page"),
        (b"[INFO] nothing\n<p>no report</p>", "[INFO] nothing"),
        (b"[{\"id\":1}]", "JSON"),
        (b"[\n]", "JSON"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x1f\x8brest", "gzip"),
        (b"Tests run: 3, Failures: 0", "Tests run"),
    ] {
        let error = error(bytes);
        assert_eq!((error.word(), error.to_string().contains(named)), ("unknown_format", true), "{error}");
    }
}

#[test]
fn attributes_without_quotes_or_twice_do_not_lose_the_case() {
    let run = run("<testsuite><testcase name=a classname='C' classname='D'><failure/></testcase></testsuite>");
    assert_eq!((run.executions[0].test.name.as_str(), folded(&run)), ("a", [1, 0, 1, 0, 0, 0]));
}

#[test]
fn the_longest_times_there_are_can_be_added_up() {
    let longest = u64::MAX;
    let junit = run(format!(
        "<testsuite><testcase name='a' time='{longest}'><flakyFailure time='{longest}'/></testcase>\
         <testcase name='a' time='{longest}'/></testsuite>"
    ));
    assert_eq!(folded(&junit), [1, 1, 0, 0, 0, 1]);
    let playwright = run(
        r#"{"config":{},"suites":[{"title":"a.spec.ts","specs":[{"title":"t","tests":[{"status":"flaky","results":[
        {"status":"failed","duration":1.8e22},{"status":"passed","duration":1.8e22}]}]}]}]}"#,
    );
    for run in [junit, playwright] {
        assert_eq!(run.executions[0].duration, Some(std::time::Duration::MAX), "{:?}", run.format);
    }
}

#[test]
fn a_field_that_decides_nothing_costs_no_test_whatever_its_type() {
    let ctrf = run(r#"{"results":{"tool":{"name":"x"},"summary":{"tests":7,"failed":2},"tests":[
        {"name":"a","status":"failed","duration":12,"start":"2026-11-24T10:00:00.000Z"},
        {"name":"b","status":"failed","duration":"12","message":{"text":"m"}},
        {"name":"c","status":"passed","duration":12,"trace":["x"]},
        {"name":"d","status":"passed","duration":[],"retries":1.0},
        {"name":"e","status":"passed","duration":12,"flaky":"true"},
        {"name":"f","status":"passed","suite":7,"filePath":null,"browser":null,"retryAttempts":"none"},
        {"name":"g","status":"passed"}]}}"#);
    assert_eq!(folded(&ctrf), [7, 5, 2, 0, 0, 2]);
    assert_eq!(test(&ctrf, "a").reported_start.as_deref(), Some("2026-11-24T10:00:00.000Z"));
    assert_eq!(test(&ctrf, "b").duration, Some(std::time::Duration::from_millis(12)));
    assert_eq!(words(&ctrf), ["field_unreadable"; 5]);
    assert_eq!(ctrf.warnings.iter().map(|warning| warning.line).collect::<Vec<_>>(), [3, 4, 5, 7, 7]);

    let playwright =
        run(r#"{"config":{},"stats":{"startTime":7,"duration":"long"},"suites":[{"title":"a.spec.ts","specs":[
        {"title":"t","file":null,"tests":[
        {"projectName":null,"expectedStatus":7,"status":"unexpected","results":[{"status":"failed","error":"no"}]},
        {"projectName":"phone","status":"expected","results":null}]}]}]}"#);
    assert_eq!(folded(&playwright), [2, 1, 1, 0, 0, 0]);
    assert_eq!(words(&playwright), ["field_unreadable"; 2]);
}

#[test]
fn a_test_without_a_name_or_a_status_is_an_error_and_not_left_out() {
    let ctrf = run(r#"{"results":{"tests":[{"name":"a","status":"passed"},{"name":"b"},
        {"status":"passed"},{"name":"c","status":["failed"]},7]}}"#);
    assert_eq!((folded(&ctrf), ctrf.elements.errors), ([4, 1, 0, 3, 0, 0], 4));
    assert_eq!(test(&ctrf, "b").attempts[0].kind(), Some("unreadable"));
    assert_eq!(test(&ctrf, "(no name)").outcome, qastack::reports::Outcome::Error);
    assert_eq!(words(&ctrf).iter().filter(|word| **word == "test_unreadable").count(), 4);

    let playwright = run(r#"{"config":{},"suites":[{"title":"a.spec.ts","suites":[{"title":"cart","specs":[
        {"title":"t","tests":[{"projectName":"phone","status":"expected"},{"projectName":"desktop"}]},
        {"title":"u"}]}],"specs":[{"tests":[]}]}]}"#);
    assert_eq!(folded(&playwright), [4, 1, 0, 3, 0, 0]);
    assert_eq!(test(&playwright, "cart › u").outcome, qastack::reports::Outcome::Error);
}

#[test]
fn what_a_script_printed_before_a_report_is_passed_over_and_told_and_the_lines_stay_the_same() {
    let junit = "<?xml version='1.0'?>\n<testsuite><testcase name='a' time='-1'/></testsuite>";
    let ctrf = "{\n\"results\":{\"tests\":[{\"name\":\"a\",\"status\":\"passed\",\"duration\":-1}]}}";
    let trx =
        "<TestRun><Results>\n<UnitTestResult testName='a' outcome='Passed' duration='-0:0:1'/></Results></TestRun>";
    for report in [junit, ctrf, trx] {
        for before in ["[INFO] Running\n", "Läuft 1 < 2\n", "Running 3 tests\r\n", "[1/3] a\n"] {
            let run = run([before, report].concat());
            let warned: Vec<_> = run.warnings.iter().map(|warning| (warning.code, warning.line)).collect();
            assert_eq!(warned, [("text_outside", 1), ("time_negative", 3)], "{before:?} {report}");
            assert_eq!(folded(&run), [1, 1, 0, 0, 0, 0]);
        }
        assert_eq!(words(&run(["\n ", report].concat())), ["time_negative"]);
    }
    let go = run(
        "make: test\n{\"Action\":\"pass\",\"Package\":\"p\",\"Test\":\"T\"}\n{\"Action\":\"pass\",\"Package\":\"p\"}\n",
    );
    assert_eq!((folded(&go), words(&go)), ([1, 1, 0, 0, 0, 0], vec!["line_unreadable"]));
}

#[test]
fn a_less_than_sign_in_text_is_named_with_its_line() {
    for report in [
        "<testsuite><testcase name='a'><failure>\n1 < 2</failure></testcase></testsuite>",
        "<testsuite><testcase name='a'><failure>\n1 < 2</failure>\n</testcase><testcase name='b'/>\n</testsuite>",
        "<testsuite><testcase name='a'/>\n< </testsuite>",
    ] {
        let expected = "line 2: a < that begins no element: in text it is written &lt;";
        assert_eq!(error(report).to_string(), expected, "{report}");
    }
}
