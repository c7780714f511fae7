//! Whether the exporter is ready, and with which settings, as it says on `/readyz`.

use serde::Deserialize;
use std::time::Duration;
use url::Url;

/// What the exporter says on `/readyz`.
#[derive(Debug, Deserialize)]
pub struct Ready {
    /// The hash of the settings file that is in force.
    pub config_sha256: Option<String>,
    /// Why the last settings file was not taken.
    pub config_error: Option<String>,
}

impl Ready {
    /// None where it does not answer, or not that it is ready.
    pub async fn ask(http: &reqwest::Client, exporter: &Url) -> Option<Self> {
        let url = exporter.join("/readyz").ok()?;
        let response = http.get(url).timeout(Duration::from_secs(2)).send().await.ok()?;
        response.error_for_status().ok()?.json().await.ok()
    }
}
