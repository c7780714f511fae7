//! Data sources, with the quirks of their names and uids.

use super::Shared;
use super::model::{DataSource, Model};
use super::reply::{Reply, parse, text};
use axum::body::Bytes;
use axum::extract::{Path, State};
use serde_json::{Map, Value, json};

const NOT_FOUND: &str = "Data source not found";

pub async fn list(State(double): State<Shared>) -> Reply {
    let model = double.model();
    let entries = model.data_sources.iter().map(|source| {
        let mut entry = described(source);
        for key in ["basicAuthUser", "withCredentials", "secureJsonFields", "version", "apiVersion"] {
            entry.remove(key);
        }
        entry.insert("typeName".to_owned(), json!("Prometheus"));
        Value::Object(entry)
    });
    Reply::ok(entries.collect())
}

pub async fn by_uid(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    found(double.model().data_source(&uid))
}

pub async fn by_name(State(double): State<Shared>, Path(name): Path<String>) -> Reply {
    found(double.model().data_sources.iter().find(|source| source.text("name") == name))
}

fn found(source: Option<&DataSource>) -> Reply {
    source.map_or_else(|| Reply::message(404, NOT_FOUND), |source| Reply::ok(Value::Object(described(source))))
}

pub async fn create(State(double): State<Shared>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) if !text(&body, "type").is_empty() && !text(&body, "access").is_empty() => body,
        Ok(_) => return Reply::message(400, "bad request data"),
        Err(refusal) => return refusal,
    };
    if let Some(refusal) = refuse_url(&body) {
        return refusal;
    }
    let (uid, name) = (text(&body, "uid"), text(&body, "name"));
    let valid = uid.len() <= 40 && uid.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !valid {
        let id = "datasource.uidInvalid";
        return Reply::new(400, json!({"statusCode": 400, "messageId": id, "message": "Invalid datasource UID."}));
    }
    let mut model = double.model();
    if model.data_sources.iter().any(|other| other.text("name") == name) {
        return Reply::message(409, "data source with the same name already exists");
    }
    if model.data_source(uid).is_some() {
        return Reply::message(409, "data source with the same uid already exists");
    }
    let mut keys = body.as_object().cloned().unwrap_or_default();
    if uid.is_empty() {
        let made = format!("ds{}", model.new_id());
        keys.insert("uid".to_owned(), Value::String(made));
    }
    let id = model.data_sources.iter().map(|source| source.id).max().unwrap_or(0) + 1;
    // The first one of an organisation is the default, whatever was asked for.
    let is_default = model.data_sources.is_empty() || wants_default(&body);
    let source = DataSource { id, keys, is_default, version: 1, read_only: false };
    let reply = written(&source, "Datasource added");
    push_default(&mut model, source);
    reply
}

pub async fn update(State(double): State<Shared>, Path(uid): Path<String>, body: Bytes) -> Reply {
    let body = match parse(&body) {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let mut model = double.model();
    let Some(index) = model.data_sources.iter().position(|source| source.text("uid") == uid) else {
        return Reply::message(404, NOT_FOUND);
    };
    if model.data_sources[index].read_only {
        return Reply::message(403, "Cannot update read-only data source");
    }
    if text(&body, "type").is_empty() || text(&body, "access").is_empty() {
        return Reply::message(400, "bad request data");
    }
    if let Some(refusal) = refuse_url(&body) {
        return refusal;
    }
    // The real one looks for the row by the uid of the body, and does not find it.
    if ![uid.as_str(), ""].contains(&text(&body, "uid")) {
        return Reply::message(500, "Failed to update datasource");
    }
    let clash = |other: &DataSource| other.text("name") == text(&body, "name") && other.text("uid") != uid;
    if model.data_sources.iter().any(clash) {
        return Reply::message(409, "data source with the same name already exists");
    }
    let mut source = model.data_sources.remove(index);
    source.is_default = wants_default(&body);
    // The first write that carries a version, and every one after, counts.
    source.version = body.get("version").and_then(Value::as_u64).map_or(source.version, |_| source.version + 1);
    source.keys = body.as_object().cloned().unwrap_or_default();
    source.keys.insert("uid".to_owned(), Value::String(uid));
    let reply = written(&source, "Datasource updated");
    push_default(&mut model, source);
    reply
}

pub async fn delete(State(double): State<Shared>, Path(uid): Path<String>) -> Reply {
    let mut model = double.model();
    let Some(source) = model.data_source(&uid).cloned() else { return Reply::message(404, NOT_FOUND) };
    if source.read_only {
        return Reply::message(403, "Cannot delete read-only data source");
    }
    model.data_sources.retain(|other| other.id != source.id);
    model.keep();
    Reply::ok(json!({"id": source.id, "message": "Data source deleted"}))
}

fn push_default(model: &mut Model, source: DataSource) {
    if source.is_default {
        model.data_sources.iter_mut().for_each(|other| other.is_default = false);
    }
    model.data_sources.push(source);
    model.data_sources.sort_by_key(|source| source.id);
    model.keep();
}

fn wants_default(body: &Value) -> bool {
    body.get("isDefault").and_then(Value::as_bool).unwrap_or(false)
}

fn refuse_url(body: &Value) -> Option<Reply> {
    let url = text(body, "url");
    (!url.is_empty() && url::Url::parse(url).is_err()).then(|| Reply::message(400, "Validation error, invalid URL"))
}

fn written(source: &DataSource, message: &str) -> Reply {
    let described = Value::Object(described(source));
    Reply::ok(json!({"datasource": described, "id": source.id, "message": message, "name": source.text("name")}))
}

fn described(source: &DataSource) -> Map<String, Value> {
    let or = |key: &str, otherwise: Value| source.keys.get(key).cloned().unwrap_or(otherwise);
    let described = json!({
        "id": source.id, "uid": source.text("uid"), "orgId": 1, "name": source.text("name"),
        "type": source.text("type"), "typeLogoUrl": "public/plugins/prometheus/img/prometheus_logo.svg",
        "access": source.text("access"), "url": source.text("url"), "user": or("user", json!("")),
        "database": or("database", json!("")), "basicAuth": or("basicAuth", json!(false)),
        "basicAuthUser": or("basicAuthUser", json!("")), "withCredentials": or("withCredentials", json!(false)),
        "isDefault": source.is_default, "jsonData": or("jsonData", json!({})), "secureJsonFields": {},
        "version": source.version, "readOnly": source.read_only, "apiVersion": "",
    });
    described.as_object().cloned().unwrap_or_default()
}
