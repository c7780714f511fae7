//! Prometheus: the configuration that it runs with, and its HTTP API.
//!
//! It knows no engine and prints nothing. What is rendered is pure; [`Client`] asks a running server.

mod client;
mod config;
mod error;
mod loaded;
mod target;

pub use client::{Client, Runtime, Series};
pub use config::{JOB, PrometheusSpec, flags, render, render_warm_up, rules, rules_file};
pub use error::PrometheusError;
pub use loaded::{ConfigDifference, differences};
pub use target::{TargetHealth, TargetState};
