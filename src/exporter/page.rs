//! The page at `/`: what this is, the two figures, and where to go from here.

use super::Exporter;
use crate::quality::FigureName;
use axum::extract::State;
use axum::http::header;
use axum::response::{Html, IntoResponse};
use std::sync::Arc;

const PAGE: &str = include_str!("../../templates/page/index.html");
const STYLE: &str = include_str!("../../templates/page/page.css");

/// `GET /`.
pub async fn index(State(exporter): State<Arc<Exporter>>) -> Html<String> {
    let shown = exporter.shown().await;
    let figures = shown.figures(exporter.now());
    let figure = |name| match figures.as_ref().and_then(|figures| figures.value(name)) {
        Some(value) => format!("{:.1} %", value * 100.0),
        None => "no data".to_owned(),
    };
    let banner = if shown.sample {
        "<p class=\"banner\">Sample data: these figures come from reports that ship with qastack. \
         They go away with the first report or defect list you push.</p>"
    } else {
        ""
    };
    // Only numbers and texts of our own are put in: nothing here needs escaping.
    let page = PAGE
        .replace("{{flake_rate}}", &figure(FigureName::FlakeRate))
        .replace("{{defect_leakage}}", &figure(FigureName::DefectLeakage))
        .replace("{{banner}}", banner)
        .replace("{{version}}", env!("CARGO_PKG_VERSION"));
    Html(page)
}

/// `GET /assets/page.css`.
pub async fn style() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")], STYLE)
}
