//! The API: what programs send and ask, `docs/openapi.yaml` says in which words.
//!
//! A handler checks who asks, reads what was sent under its limits, and hands it to the store. It must never hold a
//! worker thread for longer than a moment: what takes time is done where blocking is allowed.

pub mod defects;
pub mod deployments;
pub mod figures;
pub mod history;
pub mod reports;
pub mod store;
pub mod tokens;

pub(super) use figures::unknown_project;

use super::Exporter;
use super::problem::Problem;
use crate::store::StoreError;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Names are labels, parts of addresses and words people type.
const LONGEST_PROJECT: usize = 100;

/// Takes a project's key from an address.
///
/// # Errors
/// 400 for a name that could not be told from another or shown safely.
pub fn project_key(name: String) -> Result<String, Problem> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
    let usable = !name.is_empty()
        && name.len() <= LONGEST_PROJECT
        && name.chars().all(allowed)
        && name.chars().next().is_some_and(|c| c.is_ascii_alphanumeric());
    if usable {
        return Ok(name);
    }
    Err(Problem::new(StatusCode::BAD_REQUEST, "project_invalid", "the project's name cannot be used")
        .hint("Use letters, digits, `-`, `_`, `.` and `/`, beginning with a letter or digit, at most 100."))
}

/// The last moment that a push may name, the year 2100 in seconds since 1970: whoever names a later one means
/// milliseconds.
const LATEST: i64 = 4_102_444_800;

/// Documents that are no reports are small.
const SMALL: u64 = 64 * 1024;

/// Reads a small JSON document.
///
/// # Errors
/// 413 where it is not small, 422 where it does not say what it should.
async fn small_json<T: DeserializeOwned>(exporter: &Exporter, headers: &HeaderMap, body: Body) -> Result<T, Problem> {
    let sent = exporter.receive(headers, body, SMALL).await?;
    serde_json::from_slice(&sent.bytes).map_err(|error| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "json_invalid", format!("the document cannot be used: {error}"))
    })
}

/// How much of a list is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    limit: Option<usize>,
}

impl ListQuery {
    /// How many entries, 100 where nothing is asked.
    ///
    /// # Errors
    /// 400 for none, and for more than one reads.
    fn limit(&self) -> Result<usize, Problem> {
        match self.limit.unwrap_or(100) {
            limit @ 1..=1000 => Ok(limit),
            _ => Err(Problem::new(StatusCode::BAD_REQUEST, "query_invalid", "limit is from 1 to 1000")),
        }
    }
}

pub(super) fn query_invalid(rejection: QueryRejection) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "query_invalid", mistake_of(&rejection))
}

/// What is wrong with a query, without words of Rust.
fn mistake_of(rejection: &QueryRejection) -> String {
    let text = rejection.body_text();
    let text = text.strip_prefix("Failed to deserialize query string: ").unwrap_or(&text);
    let is_about_a_number = |why: &str| {
        ["invalid digit", "cannot parse integer", "number too"].iter().any(|trouble| why.starts_with(trouble))
    };
    match text.split_once(": ") {
        Some((name, why)) if is_about_a_number(why) => format!("{name} has to be a whole number within its bounds"),
        // The reason names it.
        Some((name, why)) if why.contains(&format!("`{name}`")) => why.to_owned(),
        _ => text.to_owned(),
    }
}

/// The answer to what the store refused. What only the operator can act on is logged and not told.
pub fn refused_by_store(error: StoreError) -> Problem {
    match error {
        StoreError::Full { reason } => {
            tracing::error!(%reason, "the store is full");
            Problem::new(StatusCode::INSUFFICIENT_STORAGE, "store_full", "the store is full; nothing of this was kept")
                .retry_after(60)
                .hint("Free space on the exporter's disk, or raise history.size.")
        }
        StoreError::Conflict { key } => Problem::new(
            StatusCode::CONFLICT,
            "idempotency_conflict",
            format!("the Idempotency-Key {key:?} was used before, for other content"),
        )
        .hint("Use a new key for new content."),
        StoreError::Taken { what } => {
            Problem::new(StatusCode::CONFLICT, "taken", format!("there is a {what} already")).hint("Use another name.")
        }
        StoreError::Busy => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "the store has more to do than it can").retry_after(2)
        }
        StoreError::Unknown { what } => Problem::new(StatusCode::NOT_FOUND, "unknown", format!("there is no {what}")),
        StoreError::Invalid { reason } => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", reason),
        StoreError::Closed => {
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the exporter is stopping").retry_after(2)
        }
        error => {
            tracing::error!(error = %crate::error::chain(&error), "the store failed");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "store_failed", "the store failed; the log says more")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_projects_name_is_plain() {
        for name in ["default", "web", "team/shop.api_v2-x", "7"] {
            assert!(project_key(name.to_owned()).is_ok(), "{name}");
        }
        for name in ["", "-x", "../x", "a b", "a\"b", "ä", "<script>", &"x".repeat(101)] {
            assert_eq!(project_key(name.to_owned()).unwrap_err().code(), "project_invalid", "{name}");
        }
    }
}
