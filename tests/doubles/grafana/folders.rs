//! Folders.

use super::Shared;
use super::dashboards::slug;
use super::model::{Folder, now};
use super::reply::{Reply, parse, text};
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Value, json};

pub async fn list(State(double): State<Shared>) -> Reply {
    let model = double.model();
    let entries = model.folders.iter().map(|folder| json!({"id": folder.id, "uid": folder.uid, "title": folder.title}));
    Reply::ok(entries.collect())
}

pub async fn by_uid(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    let model = double.model();
    let folder = model.folder(&uid);
    folder
        .map_or_else(|| Reply::with_status(404, "folder not found", "not-found"), |folder| Reply::ok(described(folder)))
}

pub async fn create(State(double): State<Shared>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let title = text(&body, "title");
    if title.is_empty() {
        return Reply::message(400, "folder title cannot be empty");
    }
    let mut model = double.model();
    let mut uid = text(&body, "uid").to_owned();
    if uid.is_empty() {
        uid = format!("f{}", model.new_id());
    }
    if model.folder(&uid).is_some() {
        return Reply::message(412, "the folder has been changed by someone else");
    }
    if double.settings.version_numbers().0 <= 10 && model.folders.iter().any(|other| other.title == title) {
        let words = "a folder or dashboard in the general folder with the same name already exists";
        return Reply::message(409, words);
    }
    let folder = Folder { id: model.new_id(), uid, title: title.to_owned(), created: now() };
    let reply = Reply::ok(described(&folder));
    model.folders.push(folder);
    model.keep();
    reply
}

/// The dashboards in it go with it.
pub async fn delete(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    let mut model = double.model();
    if model.folder(&uid).is_none() {
        return Reply::message(404, &format!("folders.folder.grafana.app \"{uid}\" not found"));
    }
    model.folders.retain(|folder| folder.uid != uid);
    model.dashboards.retain(|dashboard| dashboard.folder_uid != uid);
    model.keep();
    Reply::message(200, "Folder deleted")
}

fn described(folder: &Folder) -> Value {
    json!({
        "id": folder.id, "uid": folder.uid, "orgId": 1, "title": folder.title,
        "url": format!("/dashboards/f/{}/{}", folder.uid, slug(&folder.title)),
        "hasAcl": false, "canSave": true, "canEdit": true, "canAdmin": true, "canDelete": true,
        "createdBy": "admin", "created": folder.created, "updatedBy": "Anonymous", "updated": folder.created,
        "version": 1,
    })
}
