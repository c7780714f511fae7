//! Bad input on its whole way: what the push of each ends with, what is counted, and that none of it is ever a run
//! without tests. What the reader makes of each in detail is in `reports::bad_input`.

use super::program::Served;
use crate::http;
use std::io::Write;

const CASE: &str = "<testcase classname='c' name='a'/>";

fn suite(cases: &str) -> Vec<u8> {
    format!("<testsuite name='s'>{cases}</testsuite>").into_bytes()
}

/// Each report that cannot be used, with the word of the counter that tells of it and a part of what is said.
fn refused() -> Vec<(&'static str, Vec<u8>, &'static str, &'static str)> {
    let attributes: String = (0..1_000_000).map(|at| format!(" a{at}='x'")).collect();
    let deep = format!("{}{CASE}{}", "<testsuite>".repeat(65), "</testsuite>".repeat(65));
    let many: String = (0..200_001).map(|at| format!("<testcase name='n{at}'/>")).collect();
    let entities = format!("<!DOCTYPE x [<!ENTITY a 'aaaa'>]><testsuite>{CASE}</testsuite>");
    vec![
        ("truncated.xml", suite(CASE)[..40].to_vec(), "truncated", "the file ends too early"),
        ("empty.xml", Vec::new(), "empty", "empty"),
        ("zero-tests.xml", suite(""), "no_tests", "there is no test in it"),
        (
            "attributes.xml",
            format!("<testsuite{attributes}>{CASE}</testsuite>").into_bytes(),
            "too_many_attributes",
            "64",
        ),
        ("deep.xml", deep.into_bytes(), "too_deep", "64 levels"),
        ("entities.xml", entities.into_bytes(), "doctype_forbidden", "DOCTYPE"),
        ("too-many.xml", suite(&many), "too_many_cases", "200000 test cases"),
        ("words.xml", b"Tests run: 3".to_vec(), "unknown_format", "no format that is read here"),
    ]
}

#[test]
fn a_report_that_cannot_be_used_ends_with_12_in_words_and_in_a_counter() {
    let served = Served::start();
    for (name, bytes, word, said) in refused() {
        std::fs::write(served.directory.path().join(name), bytes).unwrap();
        let counter = |page: &str| {
            let series = format!("qastack_ingest_reports_total{{format=\"unknown\",result=\"{word}\"}} ");
            page.lines().find_map(|line| line.strip_prefix(&series)?.parse::<f64>().ok()).unwrap_or(0.0)
        };
        let before = counter(&http::get(&served.address, "/metrics").body);
        let pushed = served.json(&["push", "--token-file", "token", name], 12);
        assert_eq!(pushed["error"]["code"], "report_rejected", "{name}");
        let message = pushed["error"]["message"].as_str().unwrap();
        assert!(message.contains(said), "{name}: {message}");
        assert_eq!(counter(&http::get(&served.address, "/metrics").body), before + 1.0, "{name}");
        // `validate` says the same before anything is sent.
        assert_eq!(served.json(&["validate", name], 12)["error"]["code"], "report_rejected", "{name}");
    }
    let page = http::get(&served.address, "/metrics").body;
    assert!(page.contains("qa_sample_data 1"), "none of it was real input");
    assert!(!served.directory.path().join(".local/state/qastack/spool").exists(), "none of it is kept for later");
}

#[test]
fn a_bomb_is_refused_before_it_is_unpacked() {
    let served = Served::start();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let zeros = vec![b' '; 1 << 20];
    (0..300).for_each(|_| bomb.write_all(&zeros).unwrap());
    std::fs::write(served.directory.path().join("bomb.xml.gz"), bomb.finish().unwrap()).unwrap();
    let pushed = served.json(&["push", "--token-file", "token", "bomb.xml.gz"], 12);
    assert_eq!(pushed["error"]["code"], "report_rejected", "{pushed:#}");
}

#[test]
fn what_is_only_odd_is_stored_with_its_warning() {
    let served = Served::start();
    let times: String = ["2,503.1", "0,288", "-3", "1E-07"]
        .iter()
        .enumerate()
        .map(|(at, time)| format!("<testcase name='t{at}' time='{time}'/>"))
        .collect();
    let latin = b"<testsuite name='s'><testcase name='\xe9'/></testsuite>".to_vec();
    let twice = "<testcase classname='c' name='a'/>".repeat(2);
    for (name, bytes, tests, warned) in [
        ("nul.xml", b"<testsuite name='s'><testcase name='a\0b\x1b'/></testsuite>".to_vec(), 1, "characters"),
        ("encoding.xml", latin, 1, "encoding"),
        ("bom.xml", [b"\xef\xbb\xbf".as_slice(), &suite(CASE)].concat(), 1, ""),
        ("times.xml", suite(&times), 4, "time"),
        ("duplicated.xml", suite(&twice), 1, "twice"),
        ("counters.xml", format!("<testsuite tests='7'>{CASE}</testsuite>").into_bytes(), 1, "7"),
    ] {
        std::fs::write(served.directory.path().join(name), bytes).unwrap();
        let pushed = served.json(&["push", "--token-file", "token", name], 0);
        assert_eq!(pushed["data"]["files"][0]["receipt"]["counts"]["tests"], tests, "{name}");
        let warnings = pushed["warnings"].to_string();
        match warned {
            "" => assert_eq!(warnings, "[]", "{name}"),
            "twice" => assert!(warnings.contains("more than once") || warnings.contains("again"), "{name}: {warnings}"),
            word => assert!(warnings.contains(word), "{name}: {warnings}"),
        }
    }
}

#[test]
fn a_hundred_megabytes_of_output_are_read_over() {
    let served = Served::start();
    let file = std::fs::File::create(served.directory.path().join("loud.xml")).unwrap();
    let mut file = std::io::BufWriter::new(file);
    file.write_all(b"<testsuite name='s'><testcase name='a'><system-out><![CDATA[").unwrap();
    let mut number = 0x2545_f491_u64;
    let mut written = 0;
    while written < 100 << 20 {
        // Not all alike, or it would be a bomb.
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let line = format!("{number:016x} a line of the output, as a server writes them by the million\n");
        file.write_all(line.as_bytes()).unwrap();
        written += line.len();
    }
    file.write_all(b"]]></system-out></testcase></testsuite>").unwrap();
    drop(file);
    let pushed = served.json(&["push", "--token-file", "token", "loud.xml"], 0);
    assert_eq!(pushed["data"]["files"][0]["receipt"]["counts"]["passed"], 1, "{pushed:#}");
}

#[test]
fn a_packed_report_is_pushed_as_it_lies_on_the_disk() {
    let served = Served::start();
    let cases: String = (0..500).map(|at| format!("<testcase name='n{}'/>", at * 7919)).collect();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&suite(&cases)).unwrap();
    std::fs::write(served.directory.path().join("report.xml.gz"), packed.finish().unwrap()).unwrap();
    let pushed = served.json(&["push", "--token-file", "token", "report.xml.gz"], 0);
    assert_eq!(pushed["data"]["files"][0]["receipt"]["counts"]["tests"], 500);
}
