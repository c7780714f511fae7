//! Every integration test, in one binary: one link, one set of helpers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "suite/dependencies.rs"]
mod dependencies;
#[path = "suite/documents.rs"]
mod documents;
#[path = "doubles/doorway.rs"]
mod doorway;
#[path = "suite/e2e/mod.rs"]
mod e2e;
#[path = "suite/embedded/mod.rs"]
mod embedded;
#[path = "doubles/engine/mod.rs"]
mod engine_double;
#[path = "suite/exporter/mod.rs"]
mod exporter;
#[path = "suite/faults/mod.rs"]
mod faults;
#[path = "suite/grafana/mod.rs"]
mod grafana;
#[path = "doubles/grafana/mod.rs"]
mod grafana_double;
#[path = "suite/house.rs"]
mod house;
#[path = "suite/http.rs"]
mod http;
#[path = "suite/prometheus.rs"]
mod prometheus;
#[path = "suite/reports/mod.rs"]
mod reports;
#[path = "suite/store/mod.rs"]
mod store;
#[path = "suite/systemd.rs"]
mod systemd;
