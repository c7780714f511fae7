//! One call to Prometheus: the time-out, the cap on the body, and the error in words.

use super::error::PrometheusError;
use super::loaded::{ConfigDifference, differences};
use jiff::Timestamp;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::Duration;
use url::Url;

/// A call that takes longer than this has failed.
const TIME_OUT: Duration = Duration::from_secs(10);
/// No answer that we ask for is larger.
const LARGEST_BODY: usize = 8 * 1024 * 1024;
/// How much of a body that is not Prometheus' stands in an error.
const BEGINNING: usize = 200;

/// Asks one Prometheus.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
}

/// One series in the answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// The value; NaN and the infinities are values.
    pub value: f64,
    /// The time of the evaluation; for the last sample of a range, the time at which it was taken.
    pub time: f64,
}

/// What a Prometheus says about its own process.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Runtime {
    /// When the process started.
    pub start_time: Timestamp,
    /// Whether the last load of the configuration succeeded.
    pub reload_config_success: bool,
    /// When the running configuration was loaded, to the second.
    pub last_config_time: Timestamp,
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Refusal {
    error: String,
}

#[derive(Deserialize)]
struct QueryData {
    result: Vec<QueryResult>,
}

#[derive(Deserialize)]
struct QueryResult {
    metric: BTreeMap<String, String>,
    value: Option<(f64, String)>,
    #[serde(default)]
    values: Vec<(f64, String)>,
}

impl Client {
    /// A client for the Prometheus at `base`. `http` decides how it is reached.
    pub fn new(http: reqwest::Client, base: Url) -> Self {
        Self { http, base }
    }

    /// Succeeds once Prometheus has read its data and answers queries.
    ///
    /// # Errors
    /// Retryable ones until then.
    pub async fn ready(&self) -> Result<(), PrometheusError> {
        self.fetch(self.url("/-/ready")).await.map(drop)
    }

    /// Evaluates an expression now. A range selector gives each series' last sample with its own time.
    ///
    /// # Errors
    /// When Prometheus does not answer or rejects the expression.
    pub async fn query(&self, expression: &str) -> Result<Vec<Series>, PrometheusError> {
        let mut url = self.url("/api/v1/query");
        url.query_pairs_mut().append_pair("query", expression);
        let data: QueryData = self.data(url.clone()).await?;
        let series = data.result.into_iter().filter_map(|QueryResult { metric, value, mut values }| {
            let (time, text) = value.or_else(|| values.pop())?;
            Some((metric, time, text))
        });
        series
            .map(|(labels, time, text)| {
                // Rust reads NaN, +Inf and -Inf as Prometheus writes them.
                let value =
                    text.parse().map_err(|_| unreadable(&url, "a sample that is no number", text.as_bytes()))?;
                Ok(Series { labels, value, time })
            })
            .collect()
    }

    /// How the configuration that is loaded differs from a rendered one; nothing where it is the same.
    ///
    /// # Errors
    /// When Prometheus does not answer, or with something that is no configuration.
    pub async fn config_differences(&self, rendered: &str) -> Result<Vec<ConfigDifference>, PrometheusError> {
        #[derive(Deserialize)]
        struct Config {
            yaml: String,
        }
        let url = self.url("/api/v1/status/config");
        let Config { yaml } = self.data(url.clone()).await?;
        differences(rendered, &yaml).map_err(|error| unreadable(&url, &error.to_string(), yaml.as_bytes()))
    }

    /// What Prometheus says about its own process.
    ///
    /// # Errors
    /// When Prometheus does not answer.
    pub async fn runtime(&self) -> Result<Runtime, PrometheusError> {
        self.data(self.url("/api/v1/status/runtimeinfo")).await
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    pub(super) async fn data<T: DeserializeOwned>(&self, url: Url) -> Result<T, PrometheusError> {
        let body = self.fetch(url.clone()).await?;
        let envelope: Envelope<T> =
            serde_json::from_slice(&body).map_err(|error| unreadable(&url, &error.to_string(), &body))?;
        Ok(envelope.data)
    }

    async fn fetch(&self, url: Url) -> Result<Vec<u8>, PrometheusError> {
        let unreachable = |error: reqwest::Error| PrometheusError::Unreachable {
            url: url.clone(),
            cause: crate::error::chain(&error.without_url()),
        };
        let mut response = self.http.get(url.clone()).timeout(TIME_OUT).send().await.map_err(unreachable)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > LARGEST_BODY {
                return Err(unreadable(&url, "more than 8 MiB", &body));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() {
            return Ok(body);
        }
        let message = serde_json::from_slice(&body).map_or_else(|_| beginning(&body), |Refusal { error }| error);
        Err(PrometheusError::Status { url, status, message })
    }
}

fn unreadable(url: &Url, problem: &str, body: &[u8]) -> PrometheusError {
    PrometheusError::Unreadable { url: url.clone(), found: format!("{problem}: {}", beginning(body)) }
}

fn beginning(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(BEGINNING)]);
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
