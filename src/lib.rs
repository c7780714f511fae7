//! qastack: one command that gives a team its QA figures, live, true and easy to read.
//!
//! The map of the crate; ARCHITECTURE.md says what each room must never do. Two ways lead through it, both
//! one way: `cli -> settings -> stack (pure) -> lifecycle -> engine`, then `prometheus`, `grafana` and
//! `output`; and `bytes -> reports (pure) -> store <- quality (pure) -> exporter`.

pub mod backup;
mod checkpoint;
pub mod cli;
pub mod engine;
pub mod error;
pub mod exit_code;
pub mod exporter;
pub mod gate;
pub mod grafana;
mod hex;
pub mod lifecycle;
pub mod output;
mod packed;
pub mod prometheus;
pub mod push;
pub mod quality;
pub mod reports;
pub mod secret;
pub mod settings;
pub mod stack;
pub mod store;
pub mod words;
