//! Badges: a figure as a small picture for a README, and as the JSON that badge services ask for.
//!
//! A picture is made here, whole, and asks for nothing else. It says its figure to those who do not see it, too.

use super::judged::{Verdict, verdict};
use super::words;
use crate::exporter::api::{project_key, query_invalid, unknown_project};
use crate::exporter::problem::Problem;
use crate::exporter::{Asking, Exporter};
use crate::quality::Figure;
use askama::Template;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Of which project.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BadgeQuery {
    project: Option<String>,
    /// What stands on the left; the figure's name without it.
    label: Option<String>,
}

/// The longest label.
const LABEL: usize = 60;

#[derive(Template)]
#[template(path = "page/badge.svg", escape = "html")]
struct Picture {
    label: String,
    message: String,
    colour: &'static str,
    /// Widths, and the middles of the texts.
    width: u32,
    left: u32,
    right: u32,
    left_middle: u32,
    right_middle: u32,
    left_text: u32,
    right_text: u32,
}

/// What badge services ask an endpoint for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Endpoint {
    schema_version: u8,
    label: String,
    message: String,
    color: &'static str,
    cache_seconds: u32,
}

/// `GET /badge/{badge}`: `flake_rate.svg` or `flake_rate.json`, of any figure.
pub async fn badge(
    State(exporter): State<Arc<Exporter>>,
    Path(badge): Path<String>,
    query: Result<Query<BadgeQuery>, QueryRejection>,
    asking: Asking,
) -> Result<Response, Problem> {
    let Query(BadgeQuery { project, label }) = query.map_err(query_invalid)?;
    let project = project.map(project_key).transpose()?;
    exporter.authorize_reading(&asking, project.as_deref())?;
    let unknown = || {
        Problem::new(StatusCode::NOT_FOUND, "unknown", "there is no such badge")
            .hint("A badge is a figure's word with .svg or .json, such as flake_rate.svg.")
    };
    let (word, kind) = badge.rsplit_once('.').ok_or_else(unknown)?;
    let name = crate::exporter::api::figures::named(word)?;
    let shown = exporter.shown().await;
    let snapshot = &shown.store()?.snapshot();
    let figures = match &project {
        None => snapshot.figures(exporter.now()),
        Some(project) => snapshot.project_figures(project, exporter.now()).ok_or_else(|| unknown_project(project))?,
    };
    let figure = figures.get(name);
    let label = label.map_or_else(|| words::title(name).to_lowercase(), |label| words::clipped(label.trim(), LABEL));
    // The sample is nobody's own figure, and must not look like one.
    let message = if shown.sample { format!("{} (sample)", words::value(figure)) } else { words::value(figure) };
    let message = message.replace('\u{a0}', " ");
    let head = [(header::CACHE_CONTROL, "max-age=60")];
    match kind {
        "svg" => {
            let picture = picture(label, message, colours(figure).1);
            let body = picture.render().map_err(|_| {
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unexpected", "the badge could not be drawn")
            })?;
            Ok((head, [(header::CONTENT_TYPE, "image/svg+xml")], body).into_response())
        }
        "json" => {
            let color = colours(figure).0;
            let endpoint = Endpoint { schema_version: 1, label, message, color, cache_seconds: 300 };
            Ok((head, Json(endpoint)).into_response())
        }
        _ => Err(unknown()),
    }
}

/// The colour's name where services know it, and the colour itself: dark enough for white letters.
fn colours(figure: &Figure) -> (&'static str, &'static str) {
    match verdict(figure.name, figure.value) {
        Verdict::Good => ("success", "#1a7f4b"),
        Verdict::Watch => ("yellow", "#8f6000"),
        Verdict::Act => ("critical", "#c0322b"),
        Verdict::Plain => ("informational", "#2f5fb3"),
        Verdict::NoData => ("lightgrey", "#646c78"),
    }
}

fn picture(label: String, message: String, colour: &'static str) -> Picture {
    let (left_text, right_text) = (width_of(&label), width_of(&message));
    let (left, right) = (left_text + 12, right_text + 12);
    Picture {
        width: left + right,
        left_middle: left / 2,
        right_middle: left + right / 2,
        label,
        message,
        colour,
        left,
        right,
        left_text,
        right_text,
    }
}

/// About how wide a text is at eleven pixels; the picture stretches it to that, so that no font makes it overflow.
fn width_of(text: &str) -> u32 {
    let tenths: u32 = text
        .chars()
        .map(|character| match character {
            'i' | 'j' | 'l' | '.' | ',' | '\'' | '|' | '!' => 32,
            ' ' | 'f' | 't' | 'r' | '(' | ')' | '-' => 42,
            'm' | 'w' | 'M' | 'W' | '%' => 100,
            'A'..='Z' => 76,
            character if character.is_ascii() => 65,
            _ => 90,
        })
        .sum();
    tenths.div_ceil(10).max(8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_badge_is_escaped_and_says_its_figure_in_its_title() {
        let svg = picture("<b>&\"".to_owned(), "8.0 %".to_owned(), "#000").render().unwrap();
        assert!(!svg.contains("<b>"), "{svg}");
        assert!(svg.contains("<title>&#60;b&#62;&#38;&#34;: 8.0 %</title>"), "{svg}");
    }

    #[test]
    fn a_longer_text_has_a_wider_badge() {
        assert!(width_of("defect leakage") > width_of("tests"));
        assert!(width_of("") > 0);
    }
}
