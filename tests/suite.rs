//! Every integration test, in one binary: one link, one set of helpers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "suite/documents.rs"]
mod documents;
#[path = "suite/house.rs"]
mod house;
