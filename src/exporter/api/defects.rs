//! `POST /api/v1/projects/{project}/defects`: a defect list, put into the store by its keys.

use super::{project_key, refused_by_store};
use crate::exporter::Exporter;
use crate::exporter::defect_list::{self, ListFormat, ListWarning, Unusable};
use crate::exporter::problem::Problem;
use crate::store::{DefectReceipt, NewDefects, Rejection};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;
use std::sync::Arc;

/// The answer to a stored defect list.
#[derive(Debug, Serialize)]
pub struct DefectsAnswer {
    #[serde(flatten)]
    receipt: DefectReceipt,
    project: String,
    format: ListFormat,
    left_out: u64,
    warnings: Vec<ListWarning>,
}

/// Takes one list.
pub async fn upload(
    State(exporter): State<Arc<Exporter>>,
    Path(project): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<DefectsAnswer>, Problem> {
    let project = project_key(project)?;
    exporter.authorize_upload(&headers, &project)?;
    let store = exporter.store()?;
    let sent = exporter.receive_upload(&headers, body).await?;
    let size = sent.bytes.len() as u64;
    let received_at = exporter.now();
    let list = exporter.work(&headers, sent, move |_, sent| defect_list::read(&sent.bytes, received_at)).await?;
    let list = match list {
        Ok(list) => list,
        Err(unusable) => {
            let rejection = Rejection { format: "defects".to_owned(), reason: "unusable".to_owned(), bytes: size };
            exporter.count_rejection(rejection).await;
            return Err(unusable_list(&unusable));
        }
    };
    let new = NewDefects { project: project.clone(), defects: list.defects, bytes: size, received_at };
    let receipt = store.upsert_defects(new).await.map_err(refused_by_store)?;
    exporter.real_input_arrived();
    let (format, left_out, warnings) = (list.format, list.left_out, list.warnings);
    Ok(Json(DefectsAnswer { receipt, project, format, left_out, warnings }))
}

fn unusable_list(unusable: &Unusable) -> Problem {
    let status = match unusable {
        Unusable::Malformed { .. } => StatusCode::BAD_REQUEST,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Problem::new(status, "defects_unusable", format!("the defect list cannot be used: {unusable}"))
        .hint("A CSV file needs a header row with at least key; title, severity, environment, labels, created help.")
}
