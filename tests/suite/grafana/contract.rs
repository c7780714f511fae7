//! The double held to exchanges that were recorded from a running Grafana 12.4.0, in their order.

use super::{Running, fake_prometheus};
use crate::grafana_double::Settings;
use serde_json::{Map, Value};
use std::path::Path;

/// What the double does not do, and why: by the beginning of the exchange's name.
const OUT_OF_SCOPE: &[(&str, &str)] = &[
    ("annotation", "qastack writes none; annotations stand in the dashboard"),
    ("alert rule", "alerts are Prometheus' rules"),
    ("service account", "qastack logs in with the administrator's password"),
    ("org with the token", "no service accounts"),
    ("data source create as a viewer", "no service accounts; an ordered fault answers with that body"),
    ("dashboard save as a viewer", "no service accounts; an ordered fault answers with that body"),
    ("data source health, unknown host", "it would ask a name server, and tests stay on this machine"),
];

/// What differs from one run to the next: only its type is compared.
const VOLATILE: &[&str] = &[
    "id",
    "created",
    "updated",
    "createdAt",
    "updatedAt",
    "creationTimestamp",
    "resourceVersion",
    "dashboardId",
    "folderId",
    "buildstamp",
    "grafana.app/createdBy",
    "grafana.app/updatedBy",
    "grafana.app/updatedTimestamp",
    "grafana.app/deprecatedInternalID",
];

struct Replay {
    running: Running,
    prometheus: String,
    password: String,
    /// The newest object's version, which a later write has to name.
    resource_version: Option<Value>,
}

#[tokio::test]
async fn the_double_answers_as_the_recorded_grafana_did() {
    let recording = recording();
    let mut replay = Replay::start(Settings::default()).await;
    for exchange in recording["exchanges"].as_array().unwrap() {
        let name = exchange["name"].as_str().unwrap();
        match name {
            "org with the old password" => replay.password = "admin".to_owned(),
            "org with the new password" => replay.password = "Newpass-1".to_owned(),
            "wrong password 1" => replay.password = "wrong".to_owned(),
            // The recording leaves out the ones in between.
            "wrong password 6" => replay.guess(4).await,
            "right password after the lockout" => replay.password = "Newpass-1".to_owned(),
            _ => {}
        }
        replay.check(exchange).await;
    }
}

#[tokio::test]
async fn the_double_keeps_what_files_provisioned_and_loses_newer_formats_as_the_recorded_one_did() {
    let recording = recording();
    let settings = Settings { password: "from-a-file".to_owned(), provisioned: true, ..Settings::default() };
    let mut replay = Replay::start(settings).await;
    replay.password = "from-a-file".to_owned();
    for exchange in recording["more"]["exchanges"].as_array().unwrap() {
        if exchange["name"] == "locked out, right password" {
            replay.password = "wrong".to_owned();
            replay.guess(5).await;
            replay.password = "from-a-file".to_owned();
        }
        replay.check(exchange).await;
    }
}

#[test]
fn every_exchange_that_is_left_out_is_in_the_recording() {
    let recording = recording();
    let names: Vec<&str> =
        recording["exchanges"].as_array().unwrap().iter().map(|exchange| exchange["name"].as_str().unwrap()).collect();
    for (prefix, reason) in OUT_OF_SCOPE {
        assert!(names.iter().any(|name| name.starts_with(prefix)), "nothing is called {prefix:?} ({reason})");
    }
}

fn recording() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/grafana-12.4.0.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

impl Replay {
    async fn start(settings: Settings) -> Self {
        let prometheus = fake_prometheus().await.as_str().trim_end_matches('/').to_owned();
        let running = Running::start(settings).await;
        Self { running, prometheus, password: "admin".to_owned(), resource_version: None }
    }

    async fn guess(&self, times: usize) {
        for _ in 0..times {
            self.send("GET", "/api/org", true, None).await;
        }
    }

    async fn check(&mut self, exchange: &Value) {
        let name = exchange["name"].as_str().unwrap();
        if OUT_OF_SCOPE.iter().any(|(prefix, _)| name.starts_with(prefix)) {
            return;
        }
        let (request, recorded) = (&exchange["request"], &exchange["response"]);
        let body = match request.get("raw_body") {
            Some(raw) => Some(raw.as_str().unwrap().to_owned()),
            None => request.get("body").map(|body| self.request_body(body)),
        };
        let bearer = request["auth"] == "bearer";
        let (method, path) = (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let (status, content_type, text) = if bearer {
            self.send_bearer(method, path).await
        } else {
            self.send(method, path, !request["auth"].is_null(), body).await
        };
        assert_eq!(u64::from(status), recorded["status"].as_u64().unwrap(), "{name}: the status; it answered {text}");
        if let Some(recorded) = recorded["content_type"].as_str() {
            assert_eq!(content_type, recorded, "{name}: the content type");
        }
        let Some(expected) = recorded.get("json") else {
            assert_eq!(text, recorded["text"].as_str().unwrap(), "{name}: the body");
            return;
        };
        let actual: Value = serde_json::from_str(&self.as_recorded(&text)).unwrap();
        if let Some(version) = actual["metadata"].get("resourceVersion").filter(|_| method == "GET") {
            self.resource_version = Some(version.clone());
        }
        let expected = expected.to_string().replace("172.27.0.2:1:", "127.0.0.1:1:");
        let (actual, expected) = (masked(&actual), masked(&serde_json::from_str(&expected).unwrap()));
        assert_eq!(pretty(&actual), pretty(&expected), "{name}: the body");
    }

    /// A recorded body, with the addresses and the version of this run.
    fn request_body(&self, body: &Value) -> String {
        let mut body = body.clone();
        if let Some(version) = &self.resource_version
            && body["metadata"].get("resourceVersion").is_some()
        {
            body["metadata"]["resourceVersion"] = version.clone();
        }
        let text = body.to_string().replace("http://prometheus:9090", &self.prometheus);
        text.replace("http://prometheus:1\"", "http://127.0.0.1:1\"")
    }

    /// A body of this run, with the recorded addresses.
    fn as_recorded(&self, text: &str) -> String {
        let text = text.replace(&self.prometheus, "http://prometheus:9090");
        text.replace("http://127.0.0.1:1\"", "http://prometheus:1\"")
            .replace("http://127.0.0.1:1/", "http://prometheus:1/")
    }

    async fn send(&self, method: &str, path: &str, login: bool, body: Option<String>) -> (u16, String, String) {
        let mut request = self.running.http.request(method.parse().unwrap(), self.running.base.join(path).unwrap());
        if login {
            request = request.basic_auth("admin", Some(&self.password));
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body);
        }
        read(request).await
    }

    async fn send_bearer(&self, method: &str, path: &str) -> (u16, String, String) {
        let url = self.running.base.join(path).unwrap();
        read(self.running.http.request(method.parse().unwrap(), url).bearer_auth("glsa_wrong")).await
    }
}

async fn read(request: reqwest::RequestBuilder) -> (u16, String, String) {
    let answer = request.send().await.unwrap();
    let content_type = answer.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    (answer.status().as_u16(), content_type.unwrap_or_default(), answer.text().await.unwrap())
}

/// Volatile values as their types; keys in order.
fn masked(value: &Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut keys: Vec<&String> = object.keys().collect();
            keys.sort();
            let entries = keys.into_iter().filter(|key| *key != "managedFields").map(|key| {
                let value = &object[key];
                let is_object_uid = key == "uid" && object.contains_key("resourceVersion");
                let is_user_uid = key == "uid" && object.contains_key("isGrafanaAdmin");
                // A panel's id is part of what was saved.
                let is_panel_id = key == "id" && (object.contains_key("gridPos") || object.contains_key("vizConfig"));
                let volatile = VOLATILE.contains(&key.as_str()) && !is_panel_id || is_object_uid || is_user_uid;
                (key.clone(), if volatile { type_of(value) } else { times_masked(key, value) })
            });
            Value::Object(entries.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(masked).collect()),
        scalar => scalar.clone(),
    }
}

/// The times of samples are volatile, their values are not.
fn times_masked(key: &str, value: &Value) -> Value {
    let mut value = masked(value);
    let first = match key {
        "values" => value.get_mut(0).and_then(|column| column.get_mut(0)),
        "value" => value.get_mut(0),
        _ => None,
    };
    if let Some(time) = first {
        *time = type_of(time);
    }
    value
}

fn type_of(value: &Value) -> Value {
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    };
    Value::String(format!("({name})"))
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}
