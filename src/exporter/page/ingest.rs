//! What was taken in: the newest reports, what was warned about or refused, and how large the store is.

use super::address;
use super::frame::{Frame, Tab};
use super::rows::Mix;
use super::test_lists::NoQuery;
use super::view::show;
use super::words::{self, Moment};
use crate::exporter::api::query_invalid;
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter, state_of_ingest};
use askama::Template;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use std::sync::Arc;

/// Reports that are shown.
const REPORTS: usize = 25;

#[derive(Template)]
#[template(path = "page/ingest.html")]
struct Ingest {
    frame: Frame,
    facts: Vec<(&'static str, String)>,
    /// Something that an operator should act on.
    troubles: Vec<String>,
    totals: Vec<(String, String, String, bool)>,
    warnings: Vec<(String, String)>,
    refused: Vec<RefusedRow>,
    reports: Vec<ReportRow>,
}

struct ReportRow {
    to: String,
    project: String,
    run: String,
    from: String,
    format: String,
    size: String,
    mix: Mix,
    new_tests: u64,
    warnings: usize,
    at: Moment,
}

struct RefusedRow {
    at: Moment,
    reason: String,
    size: String,
}

/// `GET /ingest`.
pub async fn state(
    State(exporter): State<Arc<Exporter>>,
    query: Result<Query<NoQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    query.map_err(query_invalid)?;
    let state = state_of_ingest(&exporter);
    show(&exporter, &asking, None, move |view| {
        let totals = &state.totals;
        let mut facts = vec![
            ("Store", state.size.map_or_else(|| "in memory".to_owned(), words::bytes)),
            ("Taken in", words::bytes(totals.bytes)),
            ("Runs and executions are kept", words::counted(state.kept_days, "day", "days")),
            ("Rules", view.snapshot.rules.version.clone()),
            ("Running since", Moment::at(state.started_at).text),
        ];
        if let Some(most) = state.most_bytes {
            facts.insert(1, ("At most", words::bytes(most)));
        }
        let rows = view.reader.newest_reports(None, REPORTS)?;
        let reports = rows.into_iter().map(|report| {
            let from = [report.branch.as_deref(), report.job.as_deref()];
            ReportRow {
                to: address::run(&report.project, report.run_id),
                run: report.run.map_or_else(|| format!("#{}", report.run_id), |key| words::clipped(&key, 80)),
                from: words::clipped(&from.into_iter().flatten().collect::<Vec<_>>().join(" · "), 120),
                format: report.format,
                size: words::bytes(report.bytes),
                mix: Mix::of(&report.counts, report.flaky),
                new_tests: report.new_tests,
                warnings: report.warnings.len(),
                at: Moment::at(report.received_at),
                project: report.project,
            }
        });
        let refused = state.refused.iter().map(|(at, refused)| RefusedRow {
            at: Moment::at(*at),
            reason: refused.reason.replace('_', " "),
            size: words::bytes(refused.bytes),
        });
        let of_result = |result: &str| matches!(result, "stored" | "duplicate");
        Ok(Ingest {
            frame: view.frame("Ingest", Tab::Ingest),
            facts,
            troubles: state.troubles.clone(),
            totals: totals
                .reports
                .iter()
                .map(|((format, result), count)| {
                    (format.clone(), result.replace('_', " "), words::count(*count), of_result(result))
                })
                .collect(),
            warnings: totals
                .warnings
                .iter()
                .map(|(code, count)| (code.replace('_', " "), words::count(*count)))
                .collect(),
            refused: refused.collect(),
            reports: reports.collect(),
        })
    })
    .await
}
