//! What every answer carries, and what is answered when a handler breaks.
//!
//! Headers that tell a browser to trust nothing here; 404 and 405 as problems; a panic becomes a 500 and the
//! process lives. It must never look into a request's body.

use super::problem::Problem;
use super::{guard, page};
use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use std::future::Future;
use std::panic::AssertUnwindSafe;

/// Which sites may show what is answered.
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// The headers of every answer. The built-in pages load their own files only and run no inline script.
pub const HEADERS: [(HeaderName, &str); 5] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (RESOURCE_POLICY, "same-origin"),
];

/// Has the request answered; adds the headers; answers 500 where a handler panics.
pub async fn finish<Answer>(request: Request, answer: impl FnOnce(Request) -> Answer) -> Response
where
    Answer: Future<Output = Response>,
{
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let path = uri.path();
    let reads_pages = page::problem::wants_page(path, request.headers());
    let mut response = match AssertUnwindSafe(answer(request)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            let reason = panic
                .downcast_ref::<&str>()
                .map(|text| (*text).to_owned())
                .or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            tracing::error!(%method, %path, %reason, "a handler panicked");
            Problem::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "unexpected",
                "the exporter has a defect; its log says more",
            )
            .into_response()
        }
    };
    if is_wordless(&response) {
        // What the framework refuses by itself (an address it cannot decode) is told in the same form.
        let status = response.status();
        response = Problem::new(status, "request_invalid", "the request cannot be understood").into_response();
    }
    if reads_pages {
        response = page::problem::as_page(response);
    }
    let headers = response.headers_mut();
    // At once, or the table would be made anew on the way.
    headers.reserve(HEADERS.len() + 1);
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if guard::is_badge(path) {
        headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    }
    response
}

/// Whether it is an error that is no problem document.
fn is_wordless(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    let is_document = matches!(kind, Some(b"application/problem+json" | b"application/json"));
    response.status().is_client_error() && !is_document
}

/// The answer where no such path exists.
pub async fn not_found(uri: Uri) -> Problem {
    let path: String = uri.path().chars().take(200).collect();
    Problem::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {path:?}"))
        .hint("The page at / lists what there is.")
}

/// The answer where the path exists, but not with this method. The router adds `Allow`.
pub async fn method_not_allowed(method: Method) -> Problem {
    let method: String = method.as_str().chars().take(20).collect();
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", format!("{method} is not possible here"))
        .hint("The Allow header lists the methods that are.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::middleware::{Next, from_fn};
    use axum::routing::get;
    use hyper::service::Service as _;
    use hyper_util::service::TowerToHyperService;

    async fn finished(request: Request, next: Next) -> Response {
        finish(request, |request| next.run(request)).await
    }

    async fn broken() -> &'static str {
        panic!("the secret reason")
    }

    #[tokio::test]
    async fn a_panic_is_a_500_that_tells_nothing_and_the_next_request_is_served() {
        let router =
            Router::new().route("/broken", get(broken)).route("/", get(|| async { "fine" })).layer(from_fn(finished));
        let service = TowerToHyperService::new(router);
        let ask = |path: &str| service.call(Request::builder().uri(path).body(Body::empty()).unwrap());
        let response = ask("/broken").await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let body = axum::body::to_bytes(response.into_body(), 10_000).await.unwrap();
        assert!(!String::from_utf8_lossy(&body).contains("secret"));
        assert_eq!(ask("/").await.unwrap().status(), StatusCode::OK);
    }
}
