//! `POST /api/v1/projects/{project}/reports`: one test report, stored whole before it is acknowledged.

use super::{project_key, refused_by_store};
use crate::exporter::Exporter;
use crate::exporter::body::Sent;
use crate::exporter::problem::Problem;
use crate::quality::Standing;
use crate::reports::{TestRun, Unreadable, Warning};
use crate::store::{NewReport, Receipt, Rejection, RunMeta, Scope};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The answer to a stored report.
#[derive(Debug, Serialize)]
pub struct ReportAnswer {
    #[serde(flatten)]
    receipt: Receipt,
    format: crate::reports::Format,
    warnings: Vec<Warning>,
    warnings_left_out: u64,
    /// Why the report is in no figure, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out_because: Option<&'static str>,
}

/// Longer values are no names of runs, jobs or branches.
const LONGEST_VALUE: usize = 500;

/// Takes one report.
pub async fn upload(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    meta: Result<Query<RunMeta>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<ReportAnswer>), Problem> {
    let project = project_key(project)?;
    let token = exporter.authorize(&headers, Scope::Ingest, Some(&project))?;
    let store = exporter.store()?;
    let meta = usable_meta(meta)?;
    let idempotency_key = idempotency_key(&headers)?;
    let sent = exporter.receive_upload(&headers, body).await?;
    let size = sent.bytes.len() as u64;
    let read = exporter.work(&headers, sent, read_report).await?;
    let (report, bytes, sha256) = match read {
        Ok(read) => read,
        Err(unreadable) => {
            let rejection =
                Rejection { format: "unknown".to_owned(), reason: unreadable.word().to_owned(), bytes: size };
            exporter.count_rejection(rejection).await;
            return Err(unreadable_report(&unreadable));
        }
    };
    let (format, warnings, warnings_left_out) = (report.format, report.warnings.clone(), report.warnings_left_out);
    let new = NewReport {
        project,
        meta,
        report,
        sha256,
        bytes,
        idempotency_key,
        received_at: exporter.now(),
        token: token.id,
    };
    let receipt = store.ingest(new).await.map_err(refused_by_store)?;
    exporter.real_input_arrived();
    let status = if receipt.duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let held_out_because = match receipt.standing {
        Standing::Counts => None,
        Standing::HeldOut => Some("almost every test of a first attempt failed: taken for an outage, not for results"),
        Standing::OutOfScope => Some("its branch is not among those that figures.branches names"),
    };
    Ok((status, Json(ReportAnswer { receipt, format, warnings, warnings_left_out, held_out_because })))
}

type Reading = Result<(TestRun, u64, [u8; 32]), Unreadable>;

fn read_report(exporter: &Exporter, sent: &Sent) -> Reading {
    let in_force = exporter.in_force();
    let report = crate::reports::read_with(&sent.bytes, &in_force.report_limits, &in_force.names)?;
    if report.executions.is_empty() {
        // "0 tests" is what a broken job looks like when it looks green.
        return Err(Unreadable::Empty);
    }
    Ok((report, sent.bytes.len() as u64, Sha256::digest(&sent.bytes).into()))
}

fn unreadable_report(unreadable: &Unreadable) -> Problem {
    let status = match unreadable {
        Unreadable::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Unreadable::Empty | Unreadable::TooManyCases { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_REQUEST,
    };
    let problem = Problem::new(status, unreadable.word(), format!("the report cannot be used: {unreadable}"))
        .hint(unreadable.hint());
    match unreadable.line() {
        Some(line) => problem.with("line", line),
        None => problem,
    }
}

fn usable_meta(meta: Result<Query<RunMeta>, QueryRejection>) -> Result<RunMeta, Problem> {
    let invalid = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "meta_invalid", detail);
    let Query(meta) = meta.map_err(|rejection| invalid(rejection.body_text()))?;
    if meta.attempt == 0 {
        return Err(invalid("attempt counts from 1".to_owned()));
    }
    let texts = [
        ("run", &meta.run),
        ("job", &meta.job),
        ("shard", &meta.shard),
        ("branch", &meta.branch),
        ("commit", &meta.commit),
        ("tree", &meta.tree),
        ("pull_request", &meta.pull_request),
        ("environment", &meta.environment),
        ("variant", &meta.variant),
        ("ci_provider", &meta.ci_provider),
        ("ci_url", &meta.ci_url),
        ("default_branch", &meta.default_branch),
    ];
    for (name, value) in texts {
        let Some(value) = value else { continue };
        if value.is_empty() || value.len() > LONGEST_VALUE || value.chars().any(char::is_control) {
            return Err(invalid(format!("{name} has to be 1 to {LONGEST_VALUE} bytes without control characters")));
        }
    }
    if meta.ci_url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        return Err(invalid("ci_url has to begin with https:// or http://".to_owned()));
    }
    Ok(meta)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key") else { return Ok(None) };
    match value.to_str() {
        Ok(key) if (1..=200).contains(&key.len()) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "idempotency_key_invalid",
            "Idempotency-Key has to be 1 to 200 visible ASCII characters",
        )),
    }
}
