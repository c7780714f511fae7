//! The built-in page: what the figures are and why, for people without anything else.
//!
//! One file a page; `templates/page` has what they look like. Pages are made on the server, whole, and escaped by the
//! compiler of the templates; the little script adds comfort and nothing else. They read what is folded and what an
//! index leads to, never all executions, and they change nothing.

mod address;
mod assets;
mod badge;
mod chart;
mod defects;
mod explain;
mod frame;
mod ingest;
mod judged;
mod one_run;
mod one_test;
mod overview;
pub mod problem;
mod projects;
mod rows;
mod runs;
mod search;
mod test_lists;
mod view;

pub use badge::badge;
pub use overview::all as index;
pub use view::Kept;

use super::Exporter;
use crate::words;
use axum::Router;
use axum::routing::get;
use std::sync::Arc;

/// Every page but the first one, and what they need to look well.
pub fn routes() -> Router<Arc<Exporter>> {
    Router::new()
        .route("/assets/page.css", get(assets::style))
        .route("/assets/page.js", get(assets::script))
        .route("/assets/icon.svg", get(assets::icon))
        .route("/figures/{figure}", get(explain::of_all))
        .route("/ingest", get(ingest::state))
        .route("/projects", get(projects::list))
        .route("/projects/{project}", get(overview::one))
        .route("/projects/{project}/broken", get(test_lists::broken))
        .route("/projects/{project}/defects", get(defects::list))
        .route("/projects/{project}/figures/{figure}", get(explain::of_project))
        .route("/projects/{project}/flaky", get(test_lists::flaky))
        .route("/projects/{project}/runs", get(runs::list))
        .route("/projects/{project}/runs/{run}", get(one_run::one))
        .route("/projects/{project}/slowest", get(test_lists::slowest))
        .route("/projects/{project}/tests", get(test_lists::list))
        .route("/projects/{project}/tests/{fingerprint}", get(one_test::one))
        .route("/search", get(search::find))
}
