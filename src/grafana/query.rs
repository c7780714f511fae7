//! Asks Prometheus through Grafana, the way a dashboard does.

use super::client::{Access, Client};
use super::error::GrafanaError;
use super::frames;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What Grafana says about a data source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataSourceHealth {
    /// Grafana reaches Prometheus and gets an answer.
    Ok {
        /// Grafana's words.
        message: String,
    },
    /// It does not.
    Error {
        /// Grafana's words, which name the host and the reason.
        message: String,
    },
    /// There is no data source of this uid.
    Missing,
}

/// One series' value in the answer to an instant query.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The series' labels, `__name__` among them.
    pub labels: BTreeMap<String, String>,
    /// The value; NaN and the infinities are values.
    pub value: f64,
    /// The time of the evaluation, in milliseconds since the epoch: not the time of the sample.
    pub timestamp: i64,
}

/// The newest sample of a series.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Its value.
    pub value: f64,
    /// When Prometheus took it, in seconds since the epoch.
    pub taken_at: f64,
}

impl Client {
    /// Whether Grafana reaches Prometheus through this data source.
    ///
    /// # Errors
    /// When Grafana does not answer or refuses.
    pub async fn data_source_health(&self, uid: &str) -> Result<DataSourceHealth, GrafanaError> {
        let url = self.url(&format!("/api/datasources/uid/{uid}/health"));
        let answer = self.send(Method::GET, &url, None, Access::LoggedIn).await?;
        let message = answer.body.get("message").and_then(Value::as_str).unwrap_or_default().to_owned();
        match (answer.status, answer.body.get("status").and_then(Value::as_str)) {
            (StatusCode::OK, Some("OK")) => Ok(DataSourceHealth::Ok { message }),
            (StatusCode::OK | StatusCode::BAD_REQUEST, Some(_)) => Ok(DataSourceHealth::Error { message }),
            // An unknown uid is a 500 here, and a 404 in later versions.
            (StatusCode::INTERNAL_SERVER_ERROR | StatusCode::NOT_FOUND, _) if self.lacks_data_source(uid).await? => {
                Ok(DataSourceHealth::Missing)
            }
            _ => Err(self.refusal(&Method::GET, &url, answer)),
        }
    }

    async fn lacks_data_source(&self, uid: &str) -> Result<bool, GrafanaError> {
        Ok(self.find(&format!("/api/datasources/uid/{uid}")).await?.is_none())
    }

    /// Evaluates an expression now, through Grafana.
    ///
    /// # Errors
    /// When Grafana does not answer or refuses, or Prometheus behind it fails or rejects the expression.
    pub async fn query_instant(&self, uid: &str, expression: &str) -> Result<Vec<Point>, GrafanaError> {
        let mut answers = self.query_all(uid, &[expression]).await?;
        Ok(answers.pop().unwrap_or_default())
    }

    /// The newest sample of a metric with the time at which it was taken, or none. Of several series the
    /// newest one counts.
    ///
    /// # Errors
    /// As [`Client::query_instant`].
    pub async fn latest_sample(&self, uid: &str, selector: &str) -> Result<Option<Sample>, GrafanaError> {
        let taken = format!("timestamp({selector})");
        let answers = self.query_all(uid, &[selector, &taken]).await?;
        let [values, times] = answers.as_slice() else { return Ok(None) };
        let newest = times.iter().max_by(|left, right| left.value.total_cmp(&right.value));
        Ok(newest.and_then(|time| {
            let value = values.iter().find(|point| same_series(&point.labels, &time.labels))?;
            Some(Sample { value: value.value, taken_at: time.value })
        }))
    }

    /// One request for several expressions; the answers are in their order.
    async fn query_all(&self, uid: &str, expressions: &[&str]) -> Result<Vec<Vec<Point>>, GrafanaError> {
        let names: Vec<String> = (0..expressions.len()).map(|index| format!("Q{index}")).collect();
        let queries: Vec<Value> = names
            .iter()
            .zip(expressions)
            .map(|(name, expression)| {
                json!({"refId": name, "datasource": {"type": "prometheus", "uid": uid}, "expr": expression,
                       "instant": true, "range": false})
            })
            .collect();
        let body = json!({"queries": queries, "from": "now-5m", "to": "now"});
        let url = self.url("/api/ds/query");
        let answer = self.send(Method::POST, &url, Some(&body), Access::LoggedIn).await?;
        // A failed query is a 400 with the reason inside `results`; everything else is refused as usual.
        let Some(results) = answer.body.get("results").and_then(Value::as_object) else {
            return Err(self.refusal(&Method::POST, &url, answer));
        };
        names
            .iter()
            .zip(expressions)
            .map(|(name, expression)| {
                let failed =
                    |message: String| GrafanaError::QueryFailed { expression: (*expression).to_owned(), message };
                let result = results.get(name).ok_or_else(|| failed("Grafana left it out of its answer".to_owned()))?;
                if let Some(error) = result.get("error").and_then(Value::as_str) {
                    return Err(failed(error.to_owned()));
                }
                frames::points(result).map_err(|error| failed(format!("its answer cannot be read: {error}")))
            })
            .collect()
    }
}

/// Whether both belong to one series: `timestamp()` drops the metric's name.
fn same_series(value: &BTreeMap<String, String>, time: &BTreeMap<String, String>) -> bool {
    let without_name = |labels: &BTreeMap<String, String>| {
        labels.iter().filter(|(name, _)| *name != "__name__").map(|(k, v)| (k.clone(), v.clone())).collect::<Vec<_>>()
    };
    without_name(value) == without_name(time)
}
