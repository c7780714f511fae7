//! A Grafana of our own for tests: the part of the HTTP API of Grafana 12.4 that qastack uses.
//!
//! It really stores, and really asks the Prometheus behind a data source; a contract test holds it to
//! exchanges that were recorded from the real one. Tests serve it in their own process
//! ([`Double::open`], [`serve`]); `main.rs` makes the program of it that goes into an image.
//!
//! Beside Grafana's routes, `GET /double/writes` lists what changed something, for tests that must see that
//! nothing did.

#![allow(dead_code, unused_imports, reason = "the program and the tests each use a part of it")]
#![allow(clippy::unwrap_used, reason = "a double that cannot go on fails its test by panicking")]

mod access;
mod apis;
mod conversion;
mod dashboards;
mod data_sources;
mod folders;
mod frames;
mod history;
mod model;
mod organisation;
mod queries;
mod reply;
mod settings;

pub use model::Model;
pub use settings::{Fault, FaultKind, Settings};

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::net::TcpListener;

/// A running double: its settings, its state, and what was asked of it.
pub struct Double {
    settings: Settings,
    model: Mutex<Model>,
    access: Mutex<access::Attempts>,
    writes: Mutex<Vec<String>>,
    http: reqwest::Client,
}

type Shared = Arc<Double>;

impl Double {
    /// Opens the state that a kept directory holds, or makes a fresh one.
    pub fn open(settings: Settings) -> Result<Shared, String> {
        let model = Model::open(&settings)?;
        Ok(Arc::new(Self {
            access: Mutex::new(access::Attempts::new(&settings)),
            model: Mutex::new(model),
            writes: Mutex::default(),
            http: settings.prometheus.map_or_else(http_client, http_client_to),
            settings,
        }))
    }

    /// What changed something so far: method, path and status.
    pub fn writes(&self) -> Vec<String> {
        self.writes.lock().unwrap().clone()
    }

    /// The state, to look at or to arrange for a test.
    pub fn model(&self) -> MutexGuard<'_, Model> {
        self.model.lock().unwrap()
    }
}

/// Serves until the future is dropped.
pub async fn serve(listener: TcpListener, double: Shared) {
    let router = Router::new()
        .route("/api/health", get(organisation::health))
        .route("/healthz", get(organisation::healthz))
        .route("/double/writes", get(organisation::writes))
        .route("/api/org", get(organisation::org))
        .route("/api/user", get(organisation::user))
        .route("/api/user/password", axum::routing::put(organisation::change_password))
        .route("/api/org/preferences", get(organisation::preferences).patch(organisation::patch_preferences))
        .route("/api/frontend/settings", get(organisation::frontend_settings))
        .route("/api/plugins/{id}/settings", get(organisation::plugin_settings))
        .route("/api/datasources", get(data_sources::list).post(data_sources::create))
        .route("/api/datasources/name/{name}", get(data_sources::by_name))
        .route(
            "/api/datasources/uid/{uid}",
            get(data_sources::by_uid).put(data_sources::update).delete(data_sources::delete),
        )
        .route("/api/datasources/uid/{uid}/health", get(queries::health))
        .route("/api/datasources/proxy/uid/{uid}/{*path}", any(queries::proxy))
        .route("/api/ds/query", post(queries::query))
        .route("/api/folders", get(folders::list).post(folders::create))
        .route("/api/folders/{uid}", get(folders::by_uid).delete(folders::delete))
        .route("/api/dashboards/db", post(dashboards::save))
        .route("/api/dashboards/uid/{uid}", get(dashboards::by_uid).delete(dashboards::delete))
        .route("/api/dashboards/uid/{uid}/versions", get(history::versions))
        .route("/api/search", get(dashboards::search))
        .route("/apis/dashboard.grafana.app", get(apis::group))
        .route("/apis/dashboard.grafana.app/{version}/namespaces/{namespace}/dashboards", post(apis::create))
        .route(
            "/apis/dashboard.grafana.app/{version}/namespaces/{namespace}/dashboards/{uid}",
            get(apis::by_uid).put(apis::update),
        )
        .fallback(organisation::not_found)
        .layer(from_fn_with_state(Arc::clone(&double), access::check))
        .with_state(double);
    // It only ends with the process or the task that runs it.
    let _ = axum::serve(listener, router).await;
}

/// A client that finds the host `prometheus` at an address.
fn http_client_to(prometheus: std::net::SocketAddr) -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).resolve("prometheus", prometheus).build().unwrap()
}

/// A client that resolves names without the system's libraries, which a static program cannot load.
pub fn http_client() -> reqwest::Client {
    // Whoever comes first installs it; it is the same one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // It only ever speaks plain HTTP: reading the certificates of the system would be most of the work.
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}
