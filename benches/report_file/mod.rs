//! Makes JUnit reports of a wanted size, as a large Java project would write them.

use std::fmt::Write;

/// What the report is full of.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mix {
    /// Cases, some of them failed with a stack trace, and the output of each suite: what CI systems really keep.
    Usual,
    /// Nothing but passed cases: the most work a byte can make.
    CasesOnly,
}

/// A report of about this many bytes; the same for the same arguments.
pub fn report(bytes: usize, mix: Mix) -> String {
    let mut xml = String::with_capacity(bytes + (1 << 20));
    xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let mut suite = 0;
    while xml.len() < bytes {
        push_suite(&mut xml, suite, mix);
        suite += 1;
    }
    xml.push_str("</testsuites>\n");
    xml
}

const CASES_IN_A_SUITE: usize = 50;

fn push_suite(xml: &mut String, suite: usize, mix: Mix) {
    let class = format!("com.example.shop.module{}.Component{suite}Test", suite % 40);
    let failures = if mix == Mix::Usual { 1 } else { 0 };
    let _ = writeln!(
        xml,
        "  <testsuite name=\"{class}\" tests=\"{CASES_IN_A_SUITE}\" failures=\"{failures}\" errors=\"0\" skipped=\"1\" \
         timestamp=\"2024-05-01T10:11:12\" time=\"12.345\">"
    );
    for case in 0..CASES_IN_A_SUITE {
        let _ = write!(
            xml,
            "    <testcase name=\"returnsTheExpectedValueForCase{case}\" classname=\"{class}\" time=\"0.{:03}\"",
            (suite * 31 + case * 7) % 1000
        );
        match case {
            7 => xml.push_str(">\n      <skipped/>\n    </testcase>\n"),
            11 if mix == Mix::Usual => push_failure(xml, &class, case),
            _ => xml.push_str("/>\n"),
        }
    }
    if mix == Mix::Usual {
        push_output(xml, suite);
    }
    xml.push_str("  </testsuite>\n");
}

fn push_failure(xml: &mut String, class: &str, case: usize) {
    let message = "expected: &lt;200&gt; but was: &lt;503&gt;";
    let _ = write!(
        xml,
        ">\n      <failure message=\"{message}\" type=\"org.opentest4j.AssertionFailedError\">\
         org.opentest4j.AssertionFailedError: {message}\n"
    );
    for frame in 0..40 {
        let _ = writeln!(xml, "\tat {class}.lambda$frame{frame}$&lt;init&gt;({class}.java:{})", case * 40 + frame);
    }
    xml.push_str("      </failure>\n    </testcase>\n");
}

fn push_output(xml: &mut String, suite: usize) {
    xml.push_str("    <system-out><![CDATA[");
    for line in 0..160 {
        let _ = writeln!(
            xml,
            "10:11:12.{line:03} [main] INFO  c.e.shop.Component{suite} - handled request {line} in {} ms",
            line % 17
        );
    }
    xml.push_str("]]></system-out>\n");
}
