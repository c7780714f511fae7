//! The sample in a store of its own, in memory, made anew for each day.
//!
//! It takes the same way as everything real: bytes through the readers, into a store, out of the figures.

use super::{defect_list, sample};
use crate::quality::Rules;
use crate::reports::{self, Limits, NameRules};
use crate::store::{NewDefects, NewReport, RunMeta, Store, StoreError, StoreOptions};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use sha2::{Digest, Sha256};

/// The sample's store for one day under one set of rules.
#[derive(Debug, Clone)]
pub struct SampleStore {
    day: Date,
    rules_version: String,
    store: Store,
}

/// Why there is no sample. All of it is a defect of the binary.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// The files the binary was built with are wrong.
    #[error("the sample's {0}")]
    Files(String),
    /// A report among them cannot be read.
    #[error("the sample's report of {run} cannot be used: {reason}")]
    Report {
        /// Its run.
        run: String,
        /// Why.
        reason: String,
    },
    /// The store refuses them.
    #[error("the sample cannot be stored")]
    Store(#[from] StoreError),
}

impl SampleStore {
    /// Reads, stores and computes the sample for the day of `now`.
    ///
    /// # Errors
    /// The binary was built with files it cannot read.
    pub async fn build(now: i64, rules: &Rules, names: &NameRules) -> Result<Self, SampleError> {
        let day = day_of(now);
        let store = Store::in_memory(StoreOptions { rules: rules.clone(), ..StoreOptions::default() })?;
        let mut reports = Vec::new();
        for run in sample::runs(day).map_err(SampleError::Files)? {
            let report = reports::read_with(run.report.as_bytes(), &Limits::default(), names)
                .map_err(|error| SampleError::Report { run: run.run.clone(), reason: error.to_string() })?;
            let meta = RunMeta {
                run: Some(run.run),
                attempt: run.attempt,
                job: Some(run.job),
                branch: Some(run.branch),
                commit: Some(run.commit),
                started_at: Some(run.received_at),
                ..RunMeta::default()
            };
            let new = NewReport {
                project: sample::PROJECT.to_owned(),
                meta,
                report,
                sha256: Sha256::digest(run.report.as_bytes()).into(),
                bytes: run.report.len() as u64,
                idempotency_key: None,
                received_at: run.received_at,
                token: None,
            };
            reports.push(new);
        }
        store.ingest_together(reports).await?;
        let text = sample::defects(day).map_err(SampleError::Files)?;
        let list = defect_list::read(text.as_bytes(), now)
            .map_err(|error| SampleError::Files(format!("defects.csv: {error}")))?;
        let bytes = text.len() as u64;
        let project = sample::PROJECT.to_owned();
        store.upsert_defects(NewDefects { project, defects: list.defects, bytes, received_at: now }).await?;
        Ok(Self { day, rules_version: rules.version(), store })
    }

    /// Whether it is the sample for the day of `now` under the rules of this version.
    pub fn holds(&self, now: i64, rules_version: &str) -> bool {
        self.day == day_of(now) && self.rules_version == rules_version
    }

    /// The store it is in.
    pub fn store(&self) -> Store {
        self.store.clone()
    }
}

fn day_of(now: i64) -> Date {
    Timestamp::from_second(now).unwrap_or_default().to_zoned(TimeZone::UTC).date()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::shown::Shown;
    use crate::quality::FigureName;

    async fn figures(now: &str, rules: &Rules) -> (Option<f64>, Option<f64>, Shown) {
        let now = now.parse::<Timestamp>().unwrap().as_second();
        let sample = SampleStore::build(now, rules, &NameRules::default()).await.unwrap();
        let shown = Shown::of(sample.store(), true);
        let figures = shown.figures(now).unwrap();
        (figures.value(FigureName::FlakeRate), figures.value(FigureName::DefectLeakage), shown)
    }

    #[tokio::test]
    async fn the_sample_computes_to_its_two_figures_on_any_day() {
        for now in ["2026-01-01T00:00:00Z", "2026-03-01T23:59:59Z", "2028-02-29T12:00:00Z"] {
            let (flake_rate, leakage, _) = figures(now, &Rules::default()).await;
            assert_eq!((flake_rate, leakage), (Some(4.0 / 50.0), Some(3.0 / 100.0)), "{now}");
            assert_eq!((4.0_f64 / 50.0, 3.0_f64 / 100.0), (0.08, 0.03));
        }
    }

    #[tokio::test]
    async fn the_sample_follows_the_rules_and_is_no_constant() {
        let mut rules = Rules { flake_window_days: 2, ..Rules::default() };
        rules.defects.production.clear();
        let (flake_rate, leakage, _) = figures("2026-03-01T12:00:00Z", &rules).await;
        assert_eq!((flake_rate, leakage), (Some(1.0 / 50.0), Some(0.0)));
    }

    #[tokio::test]
    async fn a_sample_holds_for_its_day_and_its_rules_alone() {
        let now = "2026-03-01T12:00:00Z".parse::<Timestamp>().unwrap().as_second();
        let rules = Rules::default();
        let sample = SampleStore::build(now, &rules, &NameRules::default()).await.unwrap();
        assert!(sample.holds(now + 43_199, &rules.version()));
        assert!(!sample.holds(now + 43_200, &rules.version()));
        assert!(!sample.holds(now, &Rules { minimum_sample: 6, ..rules }.version()));
    }
}
