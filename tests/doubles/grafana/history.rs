//! A dashboard's history: an array up to 11.5, an object around it from 11.6 on.

use super::Shared;
use super::reply::Reply;
use axum::extract::{Path, Query, State};
use serde_json::{Value, json};
use std::collections::HashMap;

pub async fn versions(
    State(double): State<Shared>,
    Path(uid): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Reply {
    let model = double.model();
    let Some(dashboard) = model.dashboard(&uid) else { return Reply::message(404, "Dashboard not found") };
    let limit = query.get("limit").and_then(|limit| limit.parse().ok()).unwrap_or(usize::MAX);
    let array = double.settings.version_numbers() < (11, 6);
    let entries = dashboard.history.iter().rev().take(limit).map(|entry| {
        let mut described = json!({
            "id": entry.version, "dashboardId": dashboard.id, "uid": uid, "parentVersion": entry.version - 1,
            "restoredFrom": 0, "version": entry.version, "created": entry.created, "message": entry.message,
            "createdBy": "admin",
        });
        if !array {
            let mut data = entry.spec.clone();
            data.insert("uid".to_owned(), json!(uid));
            data.insert("version".to_owned(), json!(entry.version));
            described["data"] = Value::Object(data);
        }
        described
    });
    let entries: Vec<Value> = entries.collect();
    if array { Reply::ok(json!(entries)) } else { Reply::ok(json!({"continueToken": "", "versions": entries})) }
}
