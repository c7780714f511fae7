//! Writes Prometheus' text format, version 0.0.4: families with their help, type and samples.
//!
//! It writes what it is given, in the order it is given, and escapes it; it must never know what a family
//! means. A family is written once, with all its samples behind it, as the format demands.

use std::fmt::Write as _;

/// What `/metrics` answers as its media type. Prometheus 3 refuses a scrape without one.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The type of a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only grows; its name ends in `_total`.
    Counter,
    /// Observations counted in cumulative buckets.
    Histogram,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Gauge => "gauge",
            Self::Counter => "counter",
            Self::Histogram => "histogram",
        }
    }
}

/// A label of a sample: its name, and its value as it is, unescaped.
pub type Label<'a> = (&'a str, &'a str);

/// A page of families in the making.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
}

impl Exposition {
    /// An empty page.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins a family. Its samples have to follow at once, through what is returned.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        self.text.push_str("# HELP ");
        self.text.push_str(name);
        self.text.push(' ');
        for character in help.chars() {
            match character {
                '\\' => self.text.push_str("\\\\"),
                '\n' => self.text.push_str("\\n"),
                other => self.text.push(other),
            }
        }
        self.text.push_str("\n# TYPE ");
        self.text.push_str(name);
        self.text.push(' ');
        self.text.push_str(kind.word());
        self.text.push('\n');
        Family { text: &mut self.text, name }
    }

    /// Begins a family of gauges.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Gauge, help)
    }

    /// Begins a family of counters.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        self.family(name, Kind::Counter, help)
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }
}

/// A family whose head is written; takes its samples.
#[derive(Debug)]
pub struct Family<'page> {
    text: &'page mut String,
    name: &'static str,
}

impl Family<'_> {
    /// Writes one sample.
    pub fn sample(&mut self, labels: &[Label<'_>], value: f64) -> &mut Self {
        self.line("", labels, None, value);
        self
    }

    /// Writes one histogram: upper bounds with the observations in each bucket alone (not cumulated), how many
    /// observations lie above the last bound, and the sum of all.
    pub fn histogram(&mut self, labels: &[Label<'_>], buckets: &[(f64, u64)], above: u64, sum: f64) -> &mut Self {
        let mut cumulated = 0;
        for (bound, count) in buckets {
            cumulated += count;
            self.line("_bucket", labels, Some(&number(*bound)), cumulated as f64);
        }
        cumulated += above;
        self.line("_bucket", labels, Some("+Inf"), cumulated as f64);
        self.line("_sum", labels, None, sum);
        self.line("_count", labels, None, cumulated as f64);
        self
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<&str>, value: f64) {
        self.text.push_str(self.name);
        self.text.push_str(suffix);
        let all = labels.iter().copied().chain(bound.map(|bound| ("le", bound)));
        let mut open = false;
        for (name, label) in all {
            self.text.push(if open { ',' } else { '{' });
            open = true;
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape_label(self.text, label);
            self.text.push('"');
        }
        if open {
            self.text.push('}');
        }
        self.text.push(' ');
        self.text.push_str(&number(value));
        self.text.push('\n');
    }
}

fn escape_label(text: &mut String, label: &str) {
    for character in label.chars() {
        match character {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            other => text.push(other),
        }
    }
}

/// A number in the words of the format, which Go's `strconv.ParseFloat` reads.
fn number(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let mut text = String::new();
    // Beyond these magnitudes plain digits get long without saying more.
    let exponent_is_shorter = value != 0.0 && (value.abs() >= 1e17 || value.abs() < 1e-6);
    // Writing into a String cannot fail.
    let _ = if exponent_is_shorter { write!(text, "{value:e}") } else { write!(text, "{value}") };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn page(write: impl FnOnce(&mut Exposition)) -> String {
        let mut page = Exposition::new();
        write(&mut page);
        page.finish()
    }

    #[test]
    fn a_gauge_without_labels_is_three_lines() {
        let text = page(|page| {
            page.gauge("flake_rate", "Percentage of flaky tests").sample(&[], 0.08);
        });
        assert_eq!(text, "# HELP flake_rate Percentage of flaky tests\n# TYPE flake_rate gauge\nflake_rate 0.08\n");
    }

    #[test]
    fn help_and_labels_are_escaped_as_the_format_says() {
        let text = page(|page| {
            page.gauge("a", "back\\slash and\nline \"quoted\"").sample(&[("suite", "q\"\\\n<script>")], 1.0);
        });
        assert_eq!(
            text,
            "# HELP a back\\\\slash and\\nline \"quoted\"\n# TYPE a gauge\na{suite=\"q\\\"\\\\\\n<script>\"} 1\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulated_and_closed_with_infinity() {
        let text = page(|page| {
            page.family("d_seconds", Kind::Histogram, "d").histogram(&[("p", "x")], &[(0.1, 2), (1.0, 3)], 4, 20.5);
        });
        let samples: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(
            samples,
            [
                "d_seconds_bucket{p=\"x\",le=\"0.1\"} 2",
                "d_seconds_bucket{p=\"x\",le=\"1\"} 5",
                "d_seconds_bucket{p=\"x\",le=\"+Inf\"} 9",
                "d_seconds_sum{p=\"x\"} 20.5",
                "d_seconds_count{p=\"x\"} 9",
            ]
        );
    }

    #[test]
    fn numbers_are_written_in_the_words_of_the_format() {
        let written: Vec<String> = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, 0.03, 1e-9, 1e21, 1_790_000_000.0]
            .into_iter()
            .map(number)
            .collect();
        assert_eq!(written, ["NaN", "+Inf", "-Inf", "0", "0.03", "1e-9", "1e21", "1790000000"]);
    }

    proptest! {
        #[test]
        fn a_label_never_breaks_its_line_and_reads_back(value in ".*") {
            let text = page(|page| { page.gauge("a", "b").sample(&[("l", &value)], 1.0); });
            prop_assert_eq!(text.matches('\n').count(), 3);
            let line = text.lines().last().unwrap_or_default();
            let escaped = line.strip_prefix("a{l=\"").and_then(|rest| rest.strip_suffix("\"} 1")).unwrap();
            let mut read = String::new();
            let mut characters = escaped.chars();
            while let Some(character) = characters.next() {
                match character {
                    '\\' => match characters.next() {
                        Some('n') => read.push('\n'),
                        Some(other) => read.push(other),
                        None => prop_assert!(false, "a lone backslash at the end"),
                    },
                    '"' => prop_assert!(false, "a bare quote inside the label"),
                    other => read.push(other),
                }
            }
            prop_assert_eq!(read, value);
        }

        #[test]
        fn a_number_reads_back_as_itself(value in proptest::num::f64::ANY) {
            let read: f64 = number(value).parse().unwrap();
            prop_assert!(read == value || (read.is_nan() && value.is_nan()));
        }
    }
}
