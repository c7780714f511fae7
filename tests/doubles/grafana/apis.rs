//! Dashboards by the newer route, which tells the format they are stored in. Absent before 12.

use super::Shared;
use super::conversion::to_v1;
use super::dashboards::change;
use super::model::Dashboard;
use super::organisation::not_found;
use super::reply::{Reply, parse, text};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

const GROUP: &str = "dashboard.grafana.app";

pub async fn group(State(double): State<Shared>, uri: Uri) -> Response {
    let versions: &[&str] = match double.settings.version_numbers().0 {
        0..=11 => return not_found(uri).await,
        12 => &["v1beta1", "v0alpha1", "v2beta1", "v2alpha1"],
        _ => &["v1", "v1beta1", "v0alpha1", "v2", "v2beta1", "v2alpha1"],
    };
    let described = |version: &str| json!({"groupVersion": format!("{GROUP}/{version}"), "version": version});
    let all: Vec<Value> = versions.iter().map(|version| described(version)).collect();
    let preferred = described(versions[0]);
    Reply::ok(
        json!({"kind": "APIGroup", "apiVersion": "v1", "name": GROUP, "versions": all, "preferredVersion": preferred}),
    )
    .into_response()
}

type Address = Path<(String, String, String)>;

pub async fn by_uid(State(double): State<Shared>, Path((version, _, uid)): Address, uri: Uri) -> Response {
    if double.settings.version_numbers().0 < 12 {
        return not_found(uri).await;
    }
    let model = double.model();
    let object = model.dashboard(&uid).map(|dashboard| Reply::ok(described(dashboard, &version)));
    object.unwrap_or_else(|| absent(&uid)).into_response()
}

pub async fn create(State(double): State<Shared>, Path((version, _)): Path<(String, String)>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut model = double.model();
    let uid = text(&body["metadata"], "name").to_owned();
    if model.dashboard(&uid).is_some() {
        let message = format!("dashboards.{GROUP} \"{uid}\" already exists");
        return failure(409, &message, "AlreadyExists", &uid);
    }
    let spec = body["spec"].as_object().cloned().unwrap_or_default();
    let dashboard = model.new_dashboard(&uid, spec, &version);
    let mut object = described(&dashboard, &version);
    object["status"] = json!({});
    model.dashboards.push(dashboard);
    model.keep();
    Reply::new(201, object)
}

/// A write that keeps the message of the object it was given, ours too.
pub async fn update(State(double): State<Shared>, Path((version, _, uid)): Address, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut model = double.model();
    let resource_version = model.new_resource_version();
    let Some(dashboard) = model.dashboards.iter_mut().find(|dashboard| dashboard.uid == uid) else {
        return absent(&uid);
    };
    let read = text(&body["metadata"], "resourceVersion");
    if !read.is_empty() && read != dashboard.resource_version.to_string() {
        let message = format!(
            "Operation cannot be fulfilled on dashboards.{GROUP} \"{uid}\": the object has been modified; please apply \
             your changes to the latest version and try again"
        );
        return failure(409, &message, "Conflict", &uid);
    }
    let annotations = &body["metadata"]["annotations"];
    let spec = body["spec"].as_object().cloned().unwrap_or_default();
    // A classic object stays one, whatever version of the route wrote it.
    let format = if version.starts_with("v2") { version.as_str() } else { "v0alpha1" };
    change(dashboard, spec, format, text(annotations, "grafana.app/message"), resource_version);
    text(annotations, "grafana.app/folder").clone_into(&mut dashboard.folder_uid);
    let reply = Reply::ok(described(dashboard, &version));
    model.keep();
    reply
}

fn described(dashboard: &Dashboard, version: &str) -> Value {
    let mut annotations = Map::new();
    let mut annotate = |key: &str, value: &str| {
        if !value.is_empty() {
            annotations.insert(format!("grafana.app/{key}"), json!(value));
        }
    };
    annotate("createdBy", "user:fg53rlzb7fym8a");
    annotate("folder", &dashboard.folder_uid);
    annotate("message", &dashboard.message);
    if dashboard.saved_again {
        annotate("updatedBy", "user:fg53rlzb7fym8a");
        annotate("updatedTimestamp", &dashboard.updated);
    }
    let spec = if version.starts_with("v2") { dashboard.spec.clone() } else { to_v1(dashboard) };
    json!({
        "kind": "Dashboard", "apiVersion": format!("{GROUP}/{version}"),
        "metadata": {
            "name": dashboard.uid, "namespace": "default", "uid": dashboard.object_uid,
            "resourceVersion": dashboard.resource_version.to_string(), "generation": dashboard.generation,
            "creationTimestamp": dashboard.created,
            "labels": {"grafana.app/deprecatedInternalID": dashboard.id.to_string()}, "annotations": annotations,
        },
        "spec": spec,
        "status": {"conversion": {"failed": false, "storedVersion": dashboard.format}},
    })
}

fn absent(uid: &str) -> Reply {
    failure(404, &format!("dashboards.{GROUP} \"{uid}\" not found"), "NotFound", uid)
}

fn failure(status: u16, message: &str, reason: &str, uid: &str) -> Reply {
    let details = json!({"name": uid, "group": GROUP, "kind": "dashboards"});
    Reply::new(
        status,
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
            "reason": reason, "details": details, "code": status,
        }),
    )
}
