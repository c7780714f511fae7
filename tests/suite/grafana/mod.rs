//! Grafana: the double held to the recorded one, and provisioning against the double.

mod contract;
mod dashboards;
mod library;
mod provisioning;
mod trouble;

use crate::grafana_double::{Double, Settings, http_client, serve};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use qastack::grafana::{Client, GrafanaSpec, Login};
use qastack::secret::Secret;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use url::Url;

/// A double that serves in this process, until the test ends.
struct Running {
    double: Arc<Double>,
    base: Url,
    http: reqwest::Client,
}

impl Running {
    async fn start(settings: Settings) -> Self {
        let double = Double::open(settings).unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        tokio::spawn(serve(listener, Arc::clone(&double)));
        Self { double, base, http: http_client() }
    }

    fn client(&self) -> Client {
        self.client_with("admin")
    }

    fn client_with(&self, password: &str) -> Client {
        let login = Login { user: "admin".to_owned(), password: Secret::new(password) };
        Client::new(self.http.clone(), self.base.clone(), login)
    }

    /// A call that a person or another tool makes.
    async fn call(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let url = self.base.join(path).unwrap();
        let request = self.http.request(method.parse().unwrap(), url);
        let answer = request.basic_auth("admin", Some("admin")).json(&body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

/// A Prometheus that knows `flake_rate`, and answers as the recorded one did.
async fn fake_prometheus() -> Url {
    async fn answer(
        State(()): State<()>,
        Query(url): Query<HashMap<String, String>>,
        body: String,
    ) -> impl IntoResponse {
        let form: HashMap<String, String> = url::form_urlencoded::parse(body.as_bytes()).into_owned().collect();
        let query = url.get("query").or_else(|| form.get("query")).cloned().unwrap_or_default();
        let labels = json!({"__name__": "flake_rate", "instance": "172.27.0.1:18080", "job": "test-metrics"});
        let without_name = json!({"instance": "172.27.0.1:18080", "job": "test-metrics"});
        let vector = |result: Value| json!({"status": "success", "data": {"resultType": "vector", "result": result}});
        match query.as_str() {
            "1+1" => (
                StatusCode::OK,
                Json(json!({"status": "success", "data": {"resultType": "scalar", "result": [1.5, "2"]}})),
            ),
            "flake_rate" => {
                (StatusCode::OK, Json(vector(json!([{"metric": labels, "value": [1_795_381_718.682, "0.08"]}]))))
            }
            "timestamp(flake_rate)" => (
                StatusCode::OK,
                Json(vector(json!([{"metric": without_name, "value": [1_795_381_718.682, "1795381710.5"]}]))),
            ),
            "nan" => (StatusCode::OK, Json(vector(json!([{"metric": {}, "value": [1.5, "NaN"]}])))),
            "flake_rate{" => {
                let error = "invalid parameter \"query\": 1:12: parse error: unexpected end of input inside braces";
                (StatusCode::BAD_REQUEST, Json(json!({"status": "error", "errorType": "bad_data", "error": error})))
            }
            _ => (StatusCode::OK, Json(vector(json!([])))),
        }
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
    let router = Router::new().route("/api/v1/query", get(answer).post(answer)).with_state(());
    tokio::spawn(async move { axum::serve(listener, router).await });
    base
}

fn shipped(prometheus: &str) -> GrafanaSpec {
    GrafanaSpec::shipped(Url::parse(prometheus).unwrap(), Duration::from_secs(15)).unwrap()
}
