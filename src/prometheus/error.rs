//! What can go wrong between us and Prometheus, and how a user reads it.

use crate::error::Error;
use crate::exit_code::Code;
use reqwest::StatusCode;
use thiserror::Error as ThisError;
use url::Url;

/// What went wrong in one call to Prometheus.
#[derive(Debug, Clone, ThisError)]
pub enum PrometheusError {
    /// No answer: refused, reset, or too slow.
    #[error("Prometheus does not answer at {url}: {cause}")]
    Unreachable {
        /// Where.
        url: Url,
        /// Why, in the words of the HTTP client.
        cause: String,
    },
    /// Prometheus answered with a status that the call does not expect.
    #[error("{url} answered {status}: {message}")]
    Status {
        /// Where.
        url: Url,
        /// The status.
        status: StatusCode,
        /// Prometheus' `error`, or the beginning of the body.
        message: String,
    },
    /// The answer is not what Prometheus would say.
    #[error("{url} answered with something that is not Prometheus': {found}")]
    Unreadable {
        /// Where.
        url: Url,
        /// What is wrong with it, and its beginning.
        found: String,
    },
}

impl PrometheusError {
    /// Whether the same call may succeed a moment later: no answer, or an answer of 5xx.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            Self::Unreadable { .. } => false,
        }
    }
}

impl From<PrometheusError> for Error {
    fn from(error: PrometheusError) -> Self {
        let converted = Self::new(Code::PrometheusFailed, error.to_string());
        if error.is_retryable() { converted.retryable() } else { converted }
    }
}
