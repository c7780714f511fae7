//! `POST /api/v1/projects/{project}/reports`: one test report, or a form with many, stored whole before it is
//! acknowledged.

use super::{LATEST, project_key, refused_by_store};
use crate::exporter::Exporter;
use crate::exporter::body::Sent;
use crate::exporter::form::{self, FormFile};
use crate::exporter::problem::Problem;
use crate::hex::hex;
use crate::quality::Rules;
use crate::reports::{Counts, TestRun, Unreadable, Warning};
use crate::store::{NewReport, Receipt, Rejection, RunMeta};
use crate::words::{not_counted_because, outside_window};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use bytes::Bytes;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// The answer to what was stored.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum UploadAnswer {
    /// To a report.
    Report(Box<ReportAnswer>),
    /// To a form.
    Form(FormAnswer),
}

/// The answer to a stored report.
#[derive(Debug, Serialize)]
pub struct ReportAnswer {
    /// The name of its file, where a form gave it one.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
    #[serde(flatten)]
    receipt: Receipt,
    format: crate::reports::Format,
    warnings: Vec<Warning>,
    warnings_left_out: u64,
    /// Why the report is in no figure, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_out_because: Option<&'static str>,
    /// That its run is older than the figures' window, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    outside_window: Option<String>,
}

/// The answer to a form whose reports are stored.
#[derive(Debug, Serialize)]
pub struct FormAnswer {
    project: String,
    /// All of them were stored before.
    duplicate: bool,
    /// Of all of them together.
    counts: Counts,
    flaky: u64,
    new_tests: u64,
    /// Each of them, in the order of the form.
    reports: Vec<ReportAnswer>,
}

/// Longer values are no names of runs, jobs or branches.
const LONGEST_VALUE: usize = 500;

/// Takes one report, or a form with many.
pub async fn upload(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    meta: Result<Query<RunMeta>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<UploadAnswer>), Problem> {
    let project = project_key(project)?;
    let token = exporter.authorize_upload(&headers, &project)?;
    let store = exporter.store()?;
    let Query(meta) = meta.map_err(|rejection| meta_invalid(super::mistake_of(&rejection)))?;
    let mut meta = usable(meta)?;
    let idempotency_key = idempotency_key(&headers)?;
    let boundary = form::boundary(&headers)?;
    let is_form = boundary.is_some();
    let sent = exporter.receive_upload(&headers, body).await?;
    let read = match boundary {
        None => {
            let read = exporter.work_soon(&headers, sent, |exporter, sent| read_report(exporter, None, &sent.bytes));
            read.await?.map(|report| (None, vec![report]))
        }
        Some(boundary) => {
            exporter.work(&headers, sent, move |exporter, sent| read_form(exporter, sent, &boundary)).await?
        }
    };
    let (meta_part, read) = match read {
        Ok(read) => read,
        Err(Refused::Problem(problem)) => return Err(problem),
        Err(Refused::Unreadable { file, unreadable, bytes }) => {
            let rejection = Rejection { format: "unknown".to_owned(), reason: unreadable.word().to_owned(), bytes };
            exporter.count_rejection(rejection).await;
            return Err(unreadable_report(file, &unreadable));
        }
    };
    if let Some(part) = meta_part {
        meta = usable(with_part(&meta, &part)?)?;
    }
    if is_form && meta.run.is_none() && meta.push.is_none() {
        meta.push = Some(name_of_form(&read));
    }
    let received_at = exporter.now();
    let (mut new, mut told) = (Vec::with_capacity(read.len()), Vec::with_capacity(read.len()));
    for ReadReport { file, report, bytes, sha256 } in read {
        told.push((file, report.format, report.warnings.clone(), report.warnings_left_out));
        let (project, meta, idempotency_key) = (project.clone(), meta.clone(), idempotency_key.clone());
        new.push(NewReport { project, meta, report, sha256, bytes, idempotency_key, received_at, token: token.id });
    }
    let receipts = store.ingest_together(new).await.map_err(refused_by_store)?;
    exporter.real_input_arrived();
    let duplicate = receipts.iter().all(|receipt| receipt.duplicate);
    let status = if duplicate { StatusCode::OK } else { StatusCode::CREATED };
    let rules = &exporter.in_force().rules;
    let answer = |(receipt, told)| ReportAnswer::new(receipt, told, received_at, rules);
    let mut reports: Vec<ReportAnswer> = receipts.into_iter().zip(told).map(answer).collect();
    let answer = match reports.pop() {
        Some(only) if !is_form => UploadAnswer::Report(Box::new(only)),
        last => UploadAnswer::Form(FormAnswer::new(project, duplicate, reports.into_iter().chain(last).collect())),
    };
    Ok((status, Json(answer)))
}

/// What is told of a report besides its receipt: its file, its format, the warnings, and how many were left out.
type Told = (Option<String>, crate::reports::Format, Vec<Warning>, u64);

impl ReportAnswer {
    fn new(receipt: Receipt, (file, format, warnings, warnings_left_out): Told, now: i64, rules: &Rules) -> Self {
        let held_out_because = not_counted_because(receipt.standing);
        let outside_window = outside_window(receipt.at, now, rules);
        Self { file, receipt, format, warnings, warnings_left_out, held_out_because, outside_window }
    }
}

impl FormAnswer {
    fn new(project: String, duplicate: bool, reports: Vec<ReportAnswer>) -> Self {
        let receipts = || reports.iter().map(|report| &report.receipt);
        let sum = |count: fn(&Receipt) -> u64| receipts().map(count).sum();
        let counts = Counts {
            tests: sum(|receipt| receipt.counts.tests),
            passed: sum(|receipt| receipt.counts.passed),
            failed: sum(|receipt| receipt.counts.failed),
            errors: sum(|receipt| receipt.counts.errors),
            skipped: sum(|receipt| receipt.counts.skipped),
        };
        let (flaky, new_tests) = (sum(|receipt| receipt.flaky), sum(|receipt| receipt.new_tests));
        Self { project, duplicate, counts, flaky, new_tests, reports }
    }
}

/// A report that was read.
struct ReadReport {
    file: Option<String>,
    report: TestRun,
    bytes: u64,
    sha256: [u8; 32],
}

/// Why nothing of an upload is stored.
enum Refused {
    Problem(Problem),
    Unreadable { file: Option<String>, unreadable: Unreadable, bytes: u64 },
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

fn read_form(
    exporter: &Exporter,
    sent: &mut Sent,
    boundary: &str,
) -> Result<(Option<Bytes>, Vec<ReadReport>), Refused> {
    let (body, mut read) = (sent.bytes.clone(), Vec::new());
    let take = |FormFile { name, bytes }| {
        let unpacked = exporter.unpack_part(sent, bytes)?;
        read.push(read_report(exporter, Some(name), &unpacked)?);
        Ok::<_, Refused>(())
    };
    // This thread may wait, and there is nothing to wait for.
    let meta = tokio::runtime::Handle::current().block_on(form::take_apart(&body, boundary, take))?;
    Ok((meta, read))
}

/// Names a form by what is in it: its reports are one run, and the same form again is the same run.
fn name_of_form(read: &[ReadReport]) -> String {
    let mut hash = Sha256::new();
    read.iter().for_each(|report| hash.update(report.sha256));
    hex(&hash.finalize()[..16])
}

fn read_report(exporter: &Exporter, file: Option<String>, content: &[u8]) -> Result<ReadReport, Refused> {
    let in_force = exporter.in_force();
    let bytes = content.len() as u64;
    let read = crate::reports::read_with(content, &in_force.report_limits, &in_force.names);
    match read {
        Ok(report) if !report.executions.is_empty() => {
            Ok(ReadReport { file, report, bytes, sha256: Sha256::digest(content).into() })
        }
        // "0 tests" is what a broken job looks like when it looks green.
        Ok(_) => Err(Refused::Unreadable { file, unreadable: Unreadable::NoTests, bytes }),
        Err(unreadable) => Err(Refused::Unreadable { file, unreadable, bytes }),
    }
}

fn unreadable_report(file: Option<String>, unreadable: &Unreadable) -> Problem {
    let status = match unreadable {
        Unreadable::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Unreadable::Empty | Unreadable::NoTests | Unreadable::TooManyCases { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::BAD_REQUEST,
    };
    let detail = match &file {
        None => format!("the report cannot be used: {unreadable}"),
        Some(file) => format!("nothing of the form is stored, since {file:?} cannot be used: {unreadable}"),
    };
    let problem = Problem::new(status, unreadable.word(), detail).hint(unreadable.hint());
    let problem = match file {
        Some(file) => problem.with("file", file),
        None => problem,
    };
    match unreadable.line() {
        Some(line) => problem.with("line", line),
        None => problem,
    }
}

fn meta_invalid(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "meta_invalid", detail)
}

/// What stands in the part `meta` holds, and what else stands in the address.
fn with_part(meta: &RunMeta, part: &[u8]) -> Result<RunMeta, Problem> {
    let wrong = |error: serde_json::Error| meta_invalid(format!("the part meta: {error}"));
    let mut fields: serde_json::Map<_, _> =
        serde_json::to_value(meta).and_then(serde_json::from_value).map_err(wrong)?;
    fields.extend(serde_json::from_slice::<serde_json::Map<_, _>>(part).map_err(wrong)?);
    serde_json::from_value(fields.into()).map_err(wrong)
}

fn usable(meta: RunMeta) -> Result<RunMeta, Problem> {
    if meta.attempt == 0 {
        return Err(meta_invalid("attempt counts from 1".to_owned()));
    }
    if meta.started_at.is_some_and(|at| !(0..=LATEST).contains(&at)) {
        return Err(meta_invalid("started_at has to be seconds since 1970, not milliseconds".to_owned()));
    }
    let texts = [
        ("run", &meta.run),
        ("push", &meta.push),
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
        if value.is_empty() || value.chars().count() > LONGEST_VALUE || value.chars().any(char::is_control) {
            let what = format!("{name} has to be 1 to {LONGEST_VALUE} characters, none of them a control character");
            return Err(meta_invalid(what));
        }
    }
    if meta.ci_url.as_ref().is_some_and(|url| !url.starts_with("https://") && !url.starts_with("http://")) {
        return Err(meta_invalid("ci_url has to begin with https:// or http://".to_owned()));
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
