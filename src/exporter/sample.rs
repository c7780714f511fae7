//! The sample: reports and defects that ship with the binary, dated relative to today.
//!
//! It hands out bytes and dates. They take the same way as an upload, into a store of their own, and no figure of
//! theirs is written down here. It must never meet real data.

use jiff::civil::{Date, Time};
use jiff::{Span, tz::TimeZone};
use serde::Deserialize;

/// The project the sample belongs to.
pub const PROJECT: &str = "sample";

const RUNS: &str = include_str!("../../templates/sample/runs.yaml");
const DEFECTS: &str = include_str!("../../templates/sample/defects.csv");
const REPORTS: [(&str, &str); 8] = [
    ("gotestsum.xml", include_str!("../../templates/sample/gotestsum.xml")),
    ("gotestsum-with-rerun.xml", include_str!("../../templates/sample/gotestsum-with-rerun.xml")),
    ("playwright.xml", include_str!("../../templates/sample/playwright.xml")),
    ("playwright-with-flake.xml", include_str!("../../templates/sample/playwright-with-flake.xml")),
    ("pytest.xml", include_str!("../../templates/sample/pytest.xml")),
    ("pytest-first-attempt.xml", include_str!("../../templates/sample/pytest-first-attempt.xml")),
    ("surefire.xml", include_str!("../../templates/sample/surefire.xml")),
    ("surefire-with-flake.xml", include_str!("../../templates/sample/surefire-with-flake.xml")),
];

/// One report of the sample, as a job would have pushed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleRun {
    /// The report's bytes.
    pub report: String,
    /// The job.
    pub job: String,
    /// The run's key.
    pub run: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// When it was received, in seconds since 1970.
    pub received_at: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Manifest {
    runs: Vec<ManifestRun>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestRun {
    report: String,
    job: String,
    run: String,
    attempt: u32,
    branch: String,
    commit: String,
    days_ago: i64,
    at: Time,
}

/// The sample's reports for this day, oldest first.
///
/// # Errors
/// Says what is wrong with the files the binary was built with; a test holds that nothing is.
pub fn runs(today: Date) -> Result<Vec<SampleRun>, String> {
    let manifest: Manifest = serde_yaml::from_str(RUNS).map_err(|error| format!("runs.yaml: {error}"))?;
    let mut runs = manifest.runs.into_iter().map(|run| run.on(today)).collect::<Result<Vec<_>, _>>()?;
    runs.sort_by_key(|run| run.received_at);
    Ok(runs)
}

impl ManifestRun {
    fn on(self, today: Date) -> Result<SampleRun, String> {
        let (_, template) = REPORTS
            .iter()
            .find(|(name, _)| *name == self.report)
            .ok_or_else(|| format!("runs.yaml: there is no report {}", self.report))?;
        let started = day(today, self.days_ago)?.to_datetime(self.at);
        let received = started.to_zoned(TimeZone::UTC).map_err(|error| error.to_string())?;
        Ok(SampleRun {
            report: template.replace("{{started}}", &started.to_string()),
            job: self.job,
            run: self.run,
            attempt: self.attempt,
            branch: self.branch,
            commit: self.commit,
            received_at: received.timestamp().as_second(),
        })
    }
}

/// The sample's defect list for this day.
///
/// # Errors
/// Says what is wrong with the file the binary was built with; a test holds that nothing is.
pub fn defects(today: Date) -> Result<String, String> {
    let mut text = String::with_capacity(DEFECTS.len());
    let mut rest = DEFECTS;
    while let Some((before, marked)) = rest.split_once("{{day-") {
        let (days, after) = marked.split_once("}}").ok_or("defects.csv: a {{day- is not closed")?;
        let days = days.parse().map_err(|_| format!("defects.csv: {days:?} is no number of days"))?;
        text.push_str(before);
        text.push_str(&day(today, days)?.to_string());
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

fn day(today: Date, days_ago: i64) -> Result<Date, String> {
    today.checked_sub(Span::new().days(days_ago)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::defect_list;
    use jiff::civil::date;

    #[test]
    fn every_placeholder_is_filled_and_every_report_is_used() {
        let runs = runs(date(2026, 3, 1)).unwrap();
        for run in &runs {
            assert!(!run.report.contains("{{"), "{}", run.run);
        }
        for (name, template) in REPORTS {
            let head = &template[..template.find("{{").unwrap()];
            assert!(runs.iter().any(|run| run.report.starts_with(head)), "{name} is not used");
        }
        assert!(!defects(date(2026, 3, 1)).unwrap().contains("{{"));
    }

    #[test]
    fn the_sample_moves_with_the_day() {
        let (one, next) = (runs(date(2026, 3, 1)).unwrap(), runs(date(2026, 3, 2)).unwrap());
        assert_eq!(one[0].received_at + 86_400, next[0].received_at);
        assert!(one[0].report.contains("2026-02-17T"), "{}", one[0].report);
        assert!(defects(date(2026, 3, 10)).unwrap().contains("2026-03-01"));
    }

    #[test]
    fn the_defect_list_is_read_without_a_warning() {
        let list = defect_list::read(defects(date(2026, 3, 1)).unwrap().as_bytes(), 0).unwrap();
        assert_eq!((list.defects.len(), list.left_out, list.warnings.len()), (106, 0, 0));
    }
}
