//! The pages' own files: style, script and icon. Their addresses change with their content, so that a browser may
//! keep them for as long as it likes.

use crate::hex::hex;
use axum::http::header;
use axum::response::IntoResponse;
use sha2::{Digest, Sha256};
use std::sync::OnceLock;

const STYLE: &str = include_str!("../../../templates/page/assets/page.css");
const SCRIPT: &str = include_str!("../../../templates/page/assets/page.js");
const ICON: &str = include_str!("../../../templates/page/assets/icon.svg");

/// Where the files are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Addresses {
    /// The style.
    pub style: String,
    /// The script.
    pub script: String,
    /// The icon.
    pub icon: String,
}

/// Where the files are.
pub fn addresses() -> &'static Addresses {
    static ADDRESSES: OnceLock<Addresses> = OnceLock::new();
    ADDRESSES.get_or_init(|| {
        let address = |name: &str, content: &str| {
            let version = hex(&Sha256::digest(content.as_bytes())[..4]);
            format!("/assets/{name}?v={version}")
        };
        Addresses {
            style: address("page.css", STYLE),
            script: address("page.js", SCRIPT),
            icon: address("icon.svg", ICON),
        }
    })
}

/// `GET /assets/page.css`.
pub async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", STYLE)
}

/// `GET /assets/page.js`.
pub async fn script() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", SCRIPT)
}

/// `GET /assets/icon.svg`.
pub async fn icon() -> impl IntoResponse {
    file("image/svg+xml", ICON)
}

fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "public, max-age=31536000, immutable")], content)
}
