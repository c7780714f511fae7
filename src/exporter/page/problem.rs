//! A problem as a page: the same words, for a person.

use super::frame::Frame;
use crate::exporter::problem::Problem;
use askama::Template;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};

#[derive(Template)]
#[template(path = "page/problem.html")]
struct ProblemPage {
    frame: Frame,
    status: u16,
    title: &'static str,
    detail: String,
    hint: Option<String>,
}

/// Whether whoever asks for this path wants to read a page.
pub fn wants_page(path: &str, headers: &HeaderMap) -> bool {
    let for_programs = ["/api/", "/badge/", "/assets/", "/metrics", "/healthz", "/readyz"];
    if for_programs.iter().any(|start| path.starts_with(start)) {
        return false;
    }
    let is_page =
        path == "/" || ["/projects", "/figures/", "/ingest", "/search"].iter().any(|start| path.starts_with(start));
    let reads = |value: &HeaderValue| value.to_str().is_ok_and(|kinds| kinds.contains("text/html"));
    is_page || headers.get_all(header::ACCEPT).iter().any(reads)
}

/// The same answer, as a page.
pub fn as_page(response: Response) -> Response {
    let Some(problem) = response.extensions().get::<Problem>().cloned() else { return response };
    let page = ProblemPage {
        frame: Frame::bare(problem.title()),
        status: response.status().as_u16(),
        title: problem.title(),
        detail: sentence(problem.detail()),
        hint: problem.hinted().map(str::to_owned),
    };
    let Ok(body) = page.render() else { return response };
    let (mut head, _) = response.into_parts();
    head.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    head.headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    head.headers.remove(header::CONTENT_LENGTH);
    (head, body).into_response()
}

/// What a program is told begins small and has no full stop; a person reads a sentence.
fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    let first: String = characters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", characters.as_str().trim_end_matches('.'))
}
