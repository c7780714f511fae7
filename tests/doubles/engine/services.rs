//! What the three services would answer, as far as `up`, `status` and `down` ask. Grafana is the double.

use super::archive;
use super::model::Model;
use crate::grafana_double::{Double, Settings, serve};
use axum::Json;
use axum::Router;
use axum::extract::{Query, State};
use axum::response::IntoResponse;
use axum::routing::get;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

type Asked = State<(Arc<Model>, String)>;

/// Starts what a container would serve; the error is the engine's, for a port that is taken.
pub async fn start(model: &Arc<Model>, id: &str) -> Result<Vec<JoinHandle<()>>, String> {
    let Some((service, port)) = published(model, id).filter(|_| !model.state().is_elsewhere) else {
        return Ok(Vec::new());
    };
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let bind = |address: SocketAddr| async move {
        let words = |cause| format!("Error starting userland proxy: listen tcp4 {address}: bind: {cause}");
        TcpListener::bind(address).await.map_err(|cause| words(cause.to_string().to_lowercase()))
    };
    let listener = bind(address).await?;
    let asked = (Arc::clone(model), id.to_owned());
    match service.as_str() {
        "test-metrics" => {
            let router = Router::new().route("/readyz", get(readyz)).route("/metrics", get(metrics)).with_state(asked);
            Ok(vec![tokio::spawn(async move { drop(axum::serve(listener, router).await) })])
        }
        "prometheus" => {
            let inside = bind(SocketAddr::from((model.inside, 9090))).await?;
            let router = prometheus(asked);
            let published = router.clone();
            Ok(vec![
                tokio::spawn(async move { drop(axum::serve(listener, published).await) }),
                tokio::spawn(async move { drop(axum::serve(inside, router).await) }),
            ])
        }
        "grafana" => {
            let double = Double::open(grafana(model, id)?)?;
            Ok(vec![tokio::spawn(serve(listener, double))])
        }
        _ => Ok(Vec::new()),
    }
}

/// What a container reads at its start and at a SIGHUP.
pub fn configuration(model: &Model, id: &str) -> Vec<u8> {
    let state = model.state();
    let path = match state.container(id).map(|container| container.label("dev.qastack.service")) {
        Some("test-metrics") => "/etc/qastack/serve.yaml",
        _ => "/etc/prometheus/prometheus.yml",
    };
    archive::file(&state, id, path).map(|file| file.contents.clone()).unwrap_or_default()
}

fn published(model: &Model, id: &str) -> Option<(String, u16)> {
    let state = model.state();
    let container = state.container(id)?;
    let bindings = container.body["HostConfig"]["PortBindings"].as_object()?;
    let port = bindings.values().next()?[0]["HostPort"].as_str()?.parse().ok()?;
    Some((container.label("dev.qastack.service").to_owned(), port))
}

fn grafana(model: &Model, id: &str) -> Result<Settings, String> {
    let state = model.state();
    let password = archive::file(&state, id, "/run/qastack/grafana/admin-password").ok_or("no password was put")?;
    let container = state.container(id).ok_or("no such container")?;
    let mounts = container.body["HostConfig"]["Mounts"].as_array().cloned().unwrap_or_default();
    let data = mounts.iter().find(|mount| mount["Target"] == "/var/lib/grafana").ok_or("no volume for Grafana")?;
    let volume = state.volumes.get(data["Source"].as_str().unwrap_or_default()).ok_or("no such volume")?;
    Ok(Settings {
        data: Some(volume.directory.path().to_owned()),
        password: String::from_utf8_lossy(&password.contents).into_owned(),
        prometheus: Some(SocketAddr::from((model.inside, 9090))),
        faults: model.grafana_faults.lock().unwrap().clone(),
        ..Settings::default()
    })
}

async fn readyz(State((model, id)): Asked) -> Json<Value> {
    let loaded = model.state().container(&id).map(|container| container.loaded.clone()).unwrap_or_default();
    Json(json!({ "status": "ready", "config_sha256": qastack::stack::sha256(&loaded), "config_error": null }))
}

async fn metrics() -> &'static str {
    "flake_rate 0.08\ndefect_leakage 0.03\nqa_sample_data 1\n"
}

fn prometheus(asked: (Arc<Model>, String)) -> Router {
    Router::new()
        .route("/-/ready", get(|| async { "Prometheus Server is Ready.\n" }))
        .route("/api/v1/targets", get(targets))
        .route("/api/v1/status/config", get(config))
        .route("/api/v1/status/runtimeinfo", get(runtime))
        .route("/api/v1/query", get(query).post(query))
        .with_state(asked)
}

async fn targets() -> Json<Value> {
    let target = json!({
        "labels": { "job": "test-metrics" }, "health": "up", "lastError": "", "lastScrape": Timestamp::now().to_string(),
    });
    Json(json!({ "status": "success", "data": { "activeTargets": [target], "droppedTargets": [] } }))
}

async fn config(State((model, id)): Asked) -> Json<Value> {
    let loaded = model.state().container(&id).map(|container| container.loaded.clone()).unwrap_or_default();
    Json(json!({ "status": "success", "data": { "yaml": String::from_utf8_lossy(&loaded) } }))
}

async fn runtime() -> Json<Value> {
    let now = Timestamp::now().to_string();
    let data = json!({ "startTime": now, "reloadConfigSuccess": true, "lastConfigTime": now });
    Json(json!({ "status": "success", "data": data }))
}

async fn query(Query(url): Query<HashMap<String, String>>, body: String) -> impl IntoResponse {
    let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
    let query = url.get("query").or_else(|| form.get("query")).cloned().unwrap_or_default();
    let now = Timestamp::now().as_millisecond() as f64 / 1000.0;
    let value = match query.as_str() {
        "1+1" => return Json(json!({ "status": "success", "data": { "resultType": "scalar", "result": [now, "2"] } })),
        "flake_rate" => "0.08".to_owned(),
        "timestamp(flake_rate)" => now.to_string(),
        _ => "1".to_owned(),
    };
    let result = json!([{ "metric": { "job": "test-metrics" }, "value": [now, value] }]);
    Json(json!({ "status": "success", "data": { "resultType": "vector", "result": result } }))
}
