//! Dashboards by the classic route: saved only over the version that was read, unless told to overwrite.

use super::conversion::to_classic;
use super::model::{Dashboard, Model, now};
use super::reply::{Reply, parse, text};
use super::{Double, Shared};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use serde_json::{Map, Value, json};
use std::collections::HashMap;

const NOT_FOUND: &str = "Dashboard not found";

pub async fn by_uid(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    let model = double.model();
    let Some(dashboard) = model.dashboard(&uid) else { return Reply::message(404, NOT_FOUND) };
    let mut classic = to_classic(dashboard);
    classic.insert("id".to_owned(), json!(dashboard.id));
    classic.insert("uid".to_owned(), json!(dashboard.uid));
    classic.insert("version".to_owned(), json!(dashboard.generation));
    Reply::ok(json!({"meta": meta(&model, dashboard), "dashboard": classic}))
}

fn meta(model: &Model, dashboard: &Dashboard) -> Value {
    let slug = slug(text(&Value::Object(dashboard.spec.clone()), "title"));
    let folder = model.folder(&dashboard.folder_uid);
    let by = if dashboard.saved_again { "admin" } else { "Anonymous" };
    let permissions = json!({"canAdd": true, "canEdit": true, "canDelete": true});
    json!({
        "type": "db", "canSave": true, "canEdit": true, "canAdmin": true, "canStar": true, "canDelete": true,
        "slug": slug, "url": format!("/d/{}/{slug}", dashboard.uid), "expires": "0001-01-01T00:00:00Z",
        "created": dashboard.created, "updated": dashboard.updated, "updatedBy": by, "createdBy": by,
        "version": dashboard.generation, "hasAcl": false, "isFolder": false, "apiVersion": "v0alpha1",
        "folderId": folder.map_or(0, |folder| folder.id), "folderUid": dashboard.folder_uid,
        "folderTitle": folder.map_or("General", |folder| &folder.title),
        "folderUrl": folder.map_or(String::new(), |folder| format!("/dashboards/f/{}/{}", folder.uid, self::slug(&folder.title))),
        "provisioned": dashboard.provisioned_by.is_some(),
        "provisionedExternalId": dashboard.provisioned_by.as_deref().unwrap_or_default(),
        "annotationsPermissions": {"dashboard": permissions, "organization": permissions},
    })
}

pub async fn save(State(double): State<Shared>, body: Bytes) -> Reply {
    match parse(&body).and_then(|body| save_checked(&double, &body)) {
        Ok(reply) | Err(reply) => reply,
    }
}

fn save_checked(double: &Double, body: &Value) -> Result<Reply, Reply> {
    let sent = body.get("dashboard").cloned().unwrap_or_default();
    check_words(&sent, body)?;
    if sent.get("id").and_then(Value::as_u64).is_some_and(|id| id != 0) {
        let id = sent.get("id").and_then(Value::as_u64);
        if !double.model().dashboards.iter().any(|dashboard| Some(dashboard.id) == id) {
            return Err(Reply::with_status(404, NOT_FOUND, "not-found"));
        }
    }
    let mut model = double.model();
    let folder_uid = text(body, "folderUid").to_owned();
    if !folder_uid.is_empty() && model.folder(&folder_uid).is_none() {
        return Err(Reply::message(400, "folder not found"));
    }
    let mut spec = sent.as_object().cloned().unwrap_or_default();
    spec.remove("id");
    let mut uid = text(&sent, "uid").to_owned();
    if uid.is_empty() {
        uid = format!("d{}", model.new_id());
        spec.insert("uid".to_owned(), json!(uid));
    }
    let has_title = |other: &Dashboard| other.spec.get("title") == spec.get("title");
    let mut others = model.dashboards.iter().filter(|other| other.uid != uid && other.folder_uid == folder_uid);
    if double.settings.version_numbers().0 <= 10 && others.any(has_title) {
        let words = "A dashboard with the same name in the folder already exists";
        return Err(Reply::with_status(412, words, "name-exists"));
    }
    let Some(index) = model.dashboards.iter().position(|dashboard| dashboard.uid == uid) else {
        spec.insert("version".to_owned(), json!(1));
        let mut dashboard = model.new_dashboard(&uid, spec, "v0alpha1");
        dashboard.folder_uid = folder_uid;
        text(body, "message").clone_into(&mut dashboard.message);
        let reply = saved(&dashboard);
        model.dashboards.push(dashboard);
        model.keep();
        return Ok(reply);
    };
    let mut dashboard = model.dashboards[index].clone();
    if dashboard.provisioned_by.is_some() {
        return Err(Reply::message(400, "Cannot save provisioned dashboard"));
    }
    let version = spec.get("version").and_then(Value::as_u64).unwrap_or(0);
    if version != dashboard.generation {
        if body.get("overwrite").and_then(Value::as_bool) != Some(true) {
            return Err(conflict(double));
        }
        spec.insert("version".to_owned(), json!(dashboard.generation));
    }
    change(&mut dashboard, spec, "v0alpha1", text(body, "message"), model.new_resource_version());
    dashboard.folder_uid = folder_uid;
    let reply = saved(&dashboard);
    model.dashboards[index] = dashboard;
    model.keep();
    Ok(reply)
}

/// Writes over a dashboard. Only a changed specification makes a new version, but each save is remembered.
pub fn change(dashboard: &mut Dashboard, spec: Map<String, Value>, format: &str, message: &str, resource_version: u64) {
    if dashboard.spec != spec {
        dashboard.generation += 1;
    }
    dashboard.spec = spec;
    format.clone_into(&mut dashboard.format);
    message.clone_into(&mut dashboard.message);
    dashboard.resource_version = resource_version;
    dashboard.updated = now();
    dashboard.saved_again = true;
    dashboard.remember();
}

fn check_words(sent: &Value, body: &Value) -> Result<(), Reply> {
    let uid = text(sent, "uid");
    if text(sent, "title").is_empty() {
        return Err(Reply::with_status(400, "Dashboard title cannot be empty", "empty-name"));
    }
    if uid.len() > 40 {
        return Err(Reply::message(400, "uid too long, max 40 characters"));
    }
    if !uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)) {
        return Err(Reply::message(400, "uid contains illegal characters"));
    }
    if text(body, "message").len() > 500 {
        return Err(Reply::message(400, "message too long, max 500 characters"));
    }
    Ok(())
}

fn conflict(double: &Double) -> Reply {
    if double.settings.version_numbers().0 >= 13 {
        return Reply::message(409, "Dashboard already exists. Use overwrite flag to update.");
    }
    Reply::with_status(412, "The dashboard has been changed by someone else", "version-mismatch")
}

fn saved(dashboard: &Dashboard) -> Reply {
    let slug = slug(text(&Value::Object(dashboard.spec.clone()), "title"));
    Reply::ok(json!({
        "folderUid": dashboard.folder_uid, "id": dashboard.id, "slug": slug, "status": "success",
        "uid": dashboard.uid, "url": format!("/d/{}/{slug}", dashboard.uid), "version": dashboard.generation,
    }))
}

pub async fn delete(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    let mut model = double.model();
    let Some(dashboard) = model.dashboard(&uid) else { return Reply::message(404, NOT_FOUND) };
    if dashboard.provisioned_by.is_some() {
        return Reply::message(400, "provisioned dashboard cannot be deleted");
    }
    let title = text(&Value::Object(dashboard.spec.clone()), "title").to_owned();
    model.dashboards.retain(|dashboard| dashboard.uid != uid);
    model.keep();
    Reply::ok(json!({"message": format!("Dashboard {title} deleted"), "title": title, "uid": uid}))
}

pub async fn search(State(double): State<Shared>, Query(query): Query<HashMap<String, String>>) -> Reply {
    let model = double.model();
    let tagged = |dashboard: &&Dashboard| {
        let tags = dashboard.spec.get("tags").and_then(Value::as_array).cloned().unwrap_or_default();
        query.get("tag").is_none_or(|tag| tags.contains(&json!(tag)))
    };
    let entries = model.dashboards.iter().filter(tagged).map(|dashboard| {
        let title = text(&Value::Object(dashboard.spec.clone()), "title").to_owned();
        let folder = model.folder(&dashboard.folder_uid);
        let mut entry = json!({
            "id": dashboard.id, "uid": dashboard.uid, "orgId": 1, "title": title,
            "uri": format!("db/{}", slug(&title)), "url": format!("/d/{}/{}", dashboard.uid, slug(&title)),
            "slug": "", "type": "dash-db", "tags": dashboard.spec.get("tags"), "isStarred": false, "sortMeta": 0,
            "isDeleted": false,
        });
        if let Some(folder) = folder {
            entry["folderId"] = json!(folder.id);
            entry["folderUid"] = json!(folder.uid);
            entry["folderTitle"] = json!(folder.title);
            entry["folderUrl"] = json!(format!("/dashboards/f/{}/{}", folder.uid, slug(&folder.title)));
        }
        entry
    });
    Reply::ok(entries.collect())
}

/// A title as it stands in an address.
pub fn slug(title: &str) -> String {
    let words = title.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("-")
}
