//! The exporter as its clients see it: over HTTP, with a clock that the test sets, on a port of its own.

mod api;
mod bad_input;
mod browser;
mod ending;
mod figures;
mod form;
mod full_disk;
mod gate;
mod import;
mod ingest;
mod killed;
mod load;
mod manners;
mod openapi;
mod outage;
mod page;
mod producers;
mod program;
mod retention;
pub mod running;
mod settings;
mod standard_input;
mod store;
mod stories;
mod web;
