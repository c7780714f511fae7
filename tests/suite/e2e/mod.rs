//! The built program on a real Docker engine, with a real Prometheus and the Grafana double.
//!
//! `./test` makes what these need and names it in the environment. Without it each of them fails and says so;
//! none is passed over. Every test has a stack of its own, so they run side by side.

mod bad_input;
mod changes;
pub mod docker;
mod doctor;
mod engines;
mod far;
mod faults;
mod hardening;
mod images;
mod logs;
mod moving;
mod neighbours;
mod plan;
mod podman;
mod ports;
mod registry;
mod secrets;
pub mod stack;
mod story;
mod trouble;
