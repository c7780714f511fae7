//! Health, the organisation, its one user, its preferences, and what the front end would ask.

use super::Shared;
use super::reply::{Reply, parse, text};
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

pub async fn health(State(double): State<Shared>) -> Reply {
    Reply::ok(json!({"database": "ok", "version": double.settings.version, "commit": "NA"})).utf8()
}

pub async fn healthz() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "Ok").into_response()
}

/// What changed something so far.
pub async fn writes(State(double): State<Shared>) -> Reply {
    Reply::ok(json!(double.writes()))
}

pub async fn org() -> Reply {
    let address = json!({"address1": "", "address2": "", "city": "", "zipCode": "", "state": "", "country": ""});
    Reply::ok(json!({"id": 1, "name": "Main Org.", "address": address}))
}

pub async fn user(State(double): State<Shared>) -> Reply {
    Reply::ok(json!({
        "id": 1, "uid": "fg53rlzb7fym8a", "email": "admin@localhost", "name": "", "login": double.settings.user,
        "theme": "", "orgId": 1, "isGrafanaAdmin": true, "isDisabled": false, "isExternal": false,
        "isExternallySynced": false, "isGrafanaAdminExternallySynced": false, "authLabels": [],
        "updatedAt": super::model::now(), "createdAt": super::model::now(),
        "avatarUrl": "/avatar/46d229b033af06a191ff2267bca9ae56", "isProvisioned": false,
    }))
}

pub async fn change_password(State(double): State<Shared>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    if text(&body, "oldPassword") != double.password() {
        let id = "user.password-missmatch";
        return Reply::new(400, json!({"statusCode": 400, "messageId": id, "message": "Invalid old password"}));
    }
    double.set_password(text(&body, "newPassword"));
    Reply::message(200, "User password changed")
}

pub async fn preferences(State(double): State<Shared>) -> Reply {
    Reply::ok(Value::Object(double.model().preferences.clone()))
}

pub async fn patch_preferences(State(double): State<Shared>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut model = double.model();
    let home = text(&body, "homeDashboardUID");
    if !home.is_empty() && model.dashboard(home).is_none() {
        return Reply::message(404, "Dashboard not found");
    }
    model.preferences.extend(body.as_object().cloned().unwrap_or_default());
    model.keep();
    Reply::message(200, "Preferences updated")
}

pub async fn frontend_settings(State(double): State<Shared>) -> Reply {
    let version = &double.settings.version;
    let default = double
        .model()
        .data_sources
        .iter()
        .find(|source| source.is_default)
        .map(|source| source.text("name").to_owned());
    Reply::ok(json!({
        "namespace": "default",
        "buildInfo": {
            "hideVersion": false, "version": version, "versionString": format!("Grafana v{version} (NA)"),
            "commit": "NA", "commitShort": "NA", "buildstamp": 1_795_381_620, "edition": "Open Source",
            "latestVersion": "", "hasUpdate": false, "env": "production",
        },
        "defaultDatasource": default.unwrap_or_else(|| "-- Grafana --".to_owned()),
    }))
}

pub async fn plugin_settings(Path(id): Path<String>) -> Reply {
    if id != "prometheus" {
        return Reply::message(404, "Plugin not found, no installed plugin with that id");
    }
    Reply::ok(json!({
        "name": "Prometheus", "type": "datasource", "id": "prometheus", "enabled": false,
        "module": "core:plugin/prometheus", "state": "",
    }))
}

/// Unknown paths of the API are JSON; everything else is the front end's one page.
pub async fn not_found(uri: Uri) -> Response {
    if uri.path().starts_with("/api") {
        return Reply::message(404, "Not found").utf8().into_response();
    }
    let page = "<!DOCTYPE html>\n<html><head><title>Grafana</title></head><body></body></html>";
    (StatusCode::OK, [(header::CONTENT_TYPE, "text/html; charset=UTF-8")], page).into_response()
}
