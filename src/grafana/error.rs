//! What can go wrong between us and Grafana, and how a user reads it.

use crate::error::Error;
use crate::exit_code::Code;
use reqwest::StatusCode;
use thiserror::Error as ThisError;

/// What went wrong in one call to Grafana.
#[derive(Debug, Clone, ThisError)]
pub enum GrafanaError {
    /// No answer: refused, reset, or too slow.
    #[error("Grafana does not answer {call}: {cause}")]
    Unreachable {
        /// The method and the address.
        call: String,
        /// Why, in the words of the HTTP client.
        cause: String,
    },
    /// The login was refused. It is never tried again: five wrong passwords lock the user out for minutes.
    #[error("Grafana refuses the password of {user} ({call}): {message}")]
    PasswordRefused {
        /// The method and the address that were refused.
        call: String,
        /// The name that was sent.
        user: String,
        /// Grafana's words, which are the same while the user is locked out.
        message: String,
    },
    /// Grafana answered with a status that the call does not expect.
    #[error("{call} answered {status}: {message}")]
    Status {
        /// The method and the address.
        call: String,
        /// The status.
        status: StatusCode,
        /// Grafana's `message`, or the beginning of the body.
        message: String,
        /// Whether the body names a missing permission, so that nothing can be said about the object.
        access_denied: bool,
    },
    /// The answer's status is fine, its body is not what Grafana would say.
    #[error("{call} answered {status} with {found} where Grafana sends JSON: {beginning}")]
    Unreadable {
        /// The method and the address.
        call: String,
        /// The status.
        status: StatusCode,
        /// What the body is: an HTML page, incomplete JSON, too much.
        found: &'static str,
        /// The beginning of the body.
        beginning: String,
    },
    /// A query was understood by Grafana but failed behind it.
    #[error("Grafana's query {expression:?} failed: {message}")]
    QueryFailed {
        /// The expression.
        expression: String,
        /// Why, in the words of Prometheus.
        message: String,
    },
}

impl GrafanaError {
    /// Whether the same call may succeed a moment later: no answer, or an answer of 5xx.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Status { status, .. } => status.is_server_error(),
            _ => false,
        }
    }

    /// Whether someone else wrote in between. Up to 12.4 that is 412, from 13 on 409.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::CONFLICT | StatusCode::PRECONDITION_FAILED, .. })
    }

    /// Whether another object has the title, which up to 10 is one object's in a folder.
    pub fn is_title_taken(&self) -> bool {
        self.is_conflict() && matches!(self, Self::Status { message, .. } if message.contains("same name"))
    }

    /// Whether the object is not there.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::NOT_FOUND, .. })
    }

    /// Whether a permission is missing, so that one cannot tell whether the object is there.
    pub fn is_access_denied(&self) -> bool {
        matches!(self, Self::Status { access_denied: true, .. })
    }
}

impl From<GrafanaError> for Error {
    fn from(error: GrafanaError) -> Self {
        let retryable = error.is_retryable();
        let code = match error {
            GrafanaError::PasswordRefused { .. } => Code::GrafanaPassword,
            _ => Code::GrafanaFailed,
        };
        let hint = match &error {
            GrafanaError::PasswordRefused { .. } => Some(
                "Grafana keeps the password of its first start in its volume: give that one \
                 (grafana.admin_password_file), or set it anew with qastack grafana reset-password. After five wrong \
                 ones it refuses even the right one for five minutes.",
            ),
            GrafanaError::Status { access_denied: true, .. } => {
                Some("Give the login of a Grafana organisation administrator.")
            }
            _ => None,
        };
        let mut converted = Error::new(code, error.to_string());
        if let Some(hint) = hint {
            converted = converted.hint(hint);
        }
        if retryable { converted.retryable() } else { converted }
    }
}
