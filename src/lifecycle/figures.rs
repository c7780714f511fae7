//! The current figures, read where everybody reads them: on the exporter's `/metrics`.

use crate::words;
use serde::Serialize;
use url::Url;

/// The two figures that the stack exists for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Figures {
    /// Share of flaky tests, 0 to 1; none where there is no data.
    pub flake_rate: Option<f64>,
    /// Share of defects that escaped to production, 0 to 1; none where there is no data.
    pub defect_leakage: Option<f64>,
    /// Whether these are the sample's figures.
    pub sample: bool,
}

impl Figures {
    /// Asks the exporter; none where it does not answer with metrics.
    pub async fn ask(http: &reqwest::Client, exporter: &Url) -> Option<Self> {
        let url = exporter.join("/metrics").ok()?;
        let response = http.get(url).timeout(std::time::Duration::from_secs(5)).send().await.ok()?;
        Self::read(&response.error_for_status().ok()?.text().await.ok()?)
    }

    fn read(text: &str) -> Option<Self> {
        let gauge = |name: &str| -> Option<f64> {
            let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok();
            text.lines().find_map(value)
        };
        let number = |value: f64| Some(value).filter(|value| value.is_finite());
        Some(Self {
            flake_rate: number(gauge("flake_rate")?),
            defect_leakage: number(gauge("defect_leakage")?),
            sample: gauge("qa_sample_data") == Some(1.0),
        })
    }

    /// For people: `flake rate 8.0 %, defect leakage 3.0 % (sample data)`.
    pub fn in_words(&self) -> String {
        let percent = |value: Option<f64>| {
            value.map_or_else(|| "no data".to_owned(), |share| words::plain(&words::percent(share)))
        };
        let sample = if self.sample { " (sample data)" } else { "" };
        format!("flake rate {}, defect leakage {}{sample}", percent(self.flake_rate), percent(self.defect_leakage))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gauges_are_read_by_their_whole_name_and_nan_is_no_data() {
        let text = "# HELP flake_rate x\nflake_rate_other 1\nflake_rate 0.08\ndefect_leakage NaN\nqa_sample_data 1\n";
        let figures = Figures::read(text).expect("figures");
        assert_eq!(figures, Figures { flake_rate: Some(0.08), defect_leakage: None, sample: true });
        assert_eq!(figures.in_words(), "flake rate 8.0 %, defect leakage no data (sample data)");
        assert_eq!(Figures::read("<html>"), None);
    }
}
