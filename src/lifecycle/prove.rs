//! The proof, end to end: what Grafana shows was measured by the stack that runs now.

use super::POLL;
use crate::error::{Error, Result};
use crate::grafana::{self, DATA_SOURCE_UID, DataSourceHealth, GrafanaError};
use crate::prometheus::{self, TargetHealth};
use jiff::Timestamp;
use std::time::Duration;

/// The figure that is asked for: it is always there, even where it has no value yet.
const FIGURE: &str = "flake_rate";

/// Waits until Grafana's data source is healthy. `trouble` is told why it is not yet.
pub async fn data_source(client: &grafana::Client, mut trouble: impl FnMut(String)) -> Result<()> {
    loop {
        match client.data_source_health(DATA_SOURCE_UID).await {
            Ok(DataSourceHealth::Ok { .. }) => return Ok(()),
            Ok(DataSourceHealth::Missing) => trouble("its data source".to_owned()),
            Ok(DataSourceHealth::Error { message }) => trouble(format!("its data source to answer ({message})")),
            Err(error) if error.is_retryable() => trouble(error.to_string()),
            Err(error) => return Err(Error::from(error)),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until Prometheus has the exporter as a target that is up, and was so after `since` (seconds since the epoch, the
/// engine's clock).
pub async fn target(client: &prometheus::Client, since: f64, mut trouble: impl FnMut(String)) -> Result<()> {
    let is_fresh = |at: Option<Timestamp>| at.map_or(0.0, |at| at.as_nanosecond() as f64 / 1e9) >= since;
    loop {
        match client.target_state().await {
            Ok(state) if state.health == TargetHealth::Up && is_fresh(state.last_scrape) => return Ok(()),
            Ok(state) => trouble(match state.last_error {
                Some(error) => format!("a scrape of the exporter that succeeds ({error})"),
                None => "its first scrape of the exporter".to_owned(),
            }),
            Err(error) => trouble(error.to_string()),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until a query through Grafana gives a sample taken after `since` (seconds since the epoch, the engine's clock).
pub async fn sample(client: &grafana::Client, since: f64, mut trouble: impl FnMut(String)) -> Result<()> {
    loop {
        match client.latest_sample(DATA_SOURCE_UID, FIGURE).await {
            Ok(Some(sample)) if sample.taken_at > since => return Ok(()),
            Ok(_) => trouble(format!("a fresh sample of {FIGURE} through Grafana")),
            // A Prometheus that has just been started or loads its rules may fail one query and answer the next.
            Err(error @ GrafanaError::QueryFailed { .. }) => trouble(error.to_string()),
            Err(error) if error.is_retryable() => trouble(error.to_string()),
            Err(error) => return Err(Error::from(error)),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until Prometheus runs with a configuration.
pub async fn loaded(client: &prometheus::Client, rendered: &str, limit: Duration) -> Result<()> {
    let work = async {
        loop {
            if client.config_differences(rendered).await.is_ok_and(|differences| differences.is_empty()) {
                return;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    if tokio::time::timeout(limit, work).await.is_ok() {
        return Ok(());
    }
    let differences = client.config_differences(rendered).await.map_err(Error::from)?;
    let told: Vec<String> = differences
        .iter()
        .map(|difference| {
            format!("{}: {} is loaded, {} was written", difference.key, difference.loaded, difference.rendered)
        })
        .collect();
    Err(Error::new(
        crate::exit_code::Code::PrometheusFailed,
        format!("prometheus did not take its new configuration within {} s: {}", limit.as_secs(), told.join("; ")),
    )
    .hint("Its log says why: docker logs of its container."))
}
