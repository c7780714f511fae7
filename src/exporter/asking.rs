//! Who asks: what a handler needs to know of a request before it answers a reader.

use super::guard::Connection;
use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use std::convert::Infallible;

/// A request that reads.
#[derive(Debug, Clone)]
pub struct Asking {
    /// Its headers.
    pub headers: HeaderMap,
    /// Its path and query.
    pub address: String,
    /// Whether it comes from this machine itself.
    pub from_here: bool,
}

impl<S: Sync> FromRequestParts<S> for Asking {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let peer = parts.extensions.get::<Connection>().map(|connection| connection.peer.ip().to_canonical());
        Ok(Self {
            headers: parts.headers.clone(),
            address: parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
            from_here: peer.is_some_and(|address| address.is_loopback()),
        })
    }
}
