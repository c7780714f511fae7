//! The exporter: takes reports and defects in over HTTP, shows figures as metrics and as a page.
//!
//! It must never know that Docker or Grafana exist, speak SQL or define a figure. [`Exporter`] is what all
//! handlers share; `run` makes one from settings and keeps it until it is told to stop.

pub mod access;
pub mod answers;
pub mod api;
mod asking;
pub mod body;
pub mod client;
pub mod clock;
pub mod connections;
pub mod data_dir;
pub mod defect_list;
pub mod exposition;
pub mod form;
pub mod guard;
pub mod health;
mod ingest_state;
pub mod log;
pub mod metrics;
pub mod pace;
pub mod page;
pub mod problem;
pub mod retention;
pub mod routes;
pub mod run;
pub mod sample;
mod sample_store;
mod shown;
mod state;
pub mod web;

pub use asking::Asking;
pub use ingest_state::{IngestState, state_of_ingest};
pub use shown::Shown;
pub use state::{Exporter, InForce};
