//! The exporter: takes reports and defects in over HTTP, shows figures as metrics and as a page.
//!
//! It must never know that Docker or Grafana exist, speak SQL or define a figure.

pub mod access;
pub mod answers;
pub mod body;
pub mod client;
pub mod clock;
pub mod connections;
pub mod defect_list;
pub mod exposition;
pub mod guard;
pub mod problem;
pub mod sample;
