//! Whether Prometheus scrapes the exporter, told truly from the first sample on.
//!
//! A target says `unknown` until its own first scrape, which may be up to one interval after the job of the
//! warm-up has brought the first sample. Until then the newest sample of `up` speaks, if it was taken by the
//! same process.

use super::client::Client;
use super::config::JOB;
use super::error::PrometheusError;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Whether the exporter is scraped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetHealth {
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
    /// There was no scrape yet.
    Unknown,
}

/// The exporter as Prometheus sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TargetState {
    /// Whether it is scraped.
    pub health: TargetHealth,
    /// When it was scraped last.
    pub last_scrape: Option<Timestamp>,
    /// Why the last scrape failed.
    pub last_error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<ActiveTarget>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActiveTarget {
    labels: BTreeMap<String, String>,
    health: TargetHealth,
    last_error: String,
    last_scrape: Timestamp,
}

impl Client {
    /// The exporter as Prometheus sees it.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn target_state(&self) -> Result<TargetState, PrometheusError> {
        let mut url = self.url("/api/v1/targets");
        url.set_query(Some("state=active"));
        let targets: Targets = self.data(url).await?;
        let ours =
            targets.active_targets.into_iter().filter(|target| target.labels.get("job").is_some_and(|job| job == JOB));
        // While warming up there are two; the one that was scraped last knows best.
        let scraped = ours.filter(|target| target.health != TargetHealth::Unknown);
        let Some(target) = scraped.max_by_key(|target| target.last_scrape) else {
            return self.last_scrape_of_this_process().await;
        };
        let state = TargetState {
            health: target.health,
            last_scrape: Some(target.last_scrape),
            last_error: Some(target.last_error).filter(|error| !error.is_empty()),
        };
        if state.health != TargetHealth::Down {
            return Ok(state);
        }
        // One that failed while the exporter started may be followed by samples of the warm-up, whose target is gone by
        // now, long before the next scrape.
        let newest = self.last_scrape_of_this_process().await?;
        Ok(if newest.health == TargetHealth::Up && newest.last_scrape > state.last_scrape { newest } else { state })
    }

    async fn last_scrape_of_this_process(&self) -> Result<TargetState, PrometheusError> {
        let unknown = TargetState { health: TargetHealth::Unknown, last_scrape: None, last_error: None };
        // A range, since an instant query is blind to a series that has been marked as ended.
        let samples = self.query(&format!("up{{job=\"{JOB}\"}}[5m]")).await?;
        let Some(newest) = samples.iter().max_by(|left, right| left.time.total_cmp(&right.time)) else {
            return Ok(unknown);
        };
        #[allow(clippy::cast_possible_truncation, reason = "milliseconds since the epoch fit an i64 for ages")]
        let taken_at = Timestamp::from_millisecond((newest.time * 1000.0) as i64).ok();
        let started_at = self.runtime().await?.start_time;
        if taken_at.is_none_or(|taken_at| taken_at < started_at) {
            return Ok(unknown);
        }
        let health = if newest.value == 1.0 { TargetHealth::Up } else { TargetHealth::Down };
        Ok(TargetState { health, last_scrape: taken_at, last_error: None })
    }
}
