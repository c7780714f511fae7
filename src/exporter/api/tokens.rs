//! Tokens: made, listed and revoked over HTTP by whoever holds an administrator's. A secret is told once.

use super::{project_key, refused_by_store, small_json};
use crate::exporter::Exporter;
use crate::exporter::access::{TokenHash, new_secret};
use crate::exporter::problem::Problem;
use crate::store::{NewToken, Scope, Token};
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A token that is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    scopes: Vec<Scope>,
    /// The only project it may be used for.
    project: Option<String>,
}

/// A token that was made, with its secret, which is never told again.
#[derive(Serialize)]
struct Made {
    #[serde(flatten)]
    token: Token,
    secret: String,
}

/// `POST /api/v1/tokens`.
pub async fn create(
    State(exporter): State<Arc<Exporter>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    exporter.authorize(&headers, Scope::Admin, None)?;
    let store = exporter.store()?;
    let Wanted { name, scopes, project } = small_json(&exporter, &headers, body).await?;
    let usable = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 100 || !name.chars().all(usable) || name.chars().all(|c| c.is_ascii_digit()) {
        let detail = "a token's name is 1 to 100 letters, digits, `-`, `_` and `.`, not digits alone";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "token_invalid", detail));
    }
    if scopes.is_empty() {
        let detail = "a token needs a scope: ingest, read or admin";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "token_invalid", detail));
    }
    let project = project.map(project_key).transpose()?;
    let secret = new_secret()
        .map_err(|_| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "unexpected", "the system gives no randomness"))?;
    let new = NewToken { name, sha256: TokenHash::of(&secret).0, scopes, project, created_at: exporter.now() };
    let token = store.create_token(new).await.map_err(refused_by_store)?;
    tracing::info!(token = %token.name, "a token was made");
    let no_store = [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))];
    Ok((StatusCode::CREATED, no_store, Json(Made { token, secret })).into_response())
}

/// `GET /api/v1/tokens`.
pub async fn list(State(exporter): State<Arc<Exporter>>, headers: HeaderMap) -> Result<Json<Vec<Token>>, Problem> {
    exporter.authorize(&headers, Scope::Admin, None)?;
    exporter.store()?.read(|reader| reader.tokens()).await.map(Json).map_err(refused_by_store)
}

/// `DELETE /api/v1/tokens/{token}`: by its name or its number.
pub async fn revoke(
    State(exporter): State<Arc<Exporter>>,
    Path(token): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Token>, Problem> {
    exporter.authorize(&headers, Scope::Admin, None)?;
    let token = exporter.store()?.revoke_token(&token, exporter.now()).await.map_err(refused_by_store)?;
    tracing::info!(token = %token.name, "a token was revoked");
    Ok(Json(token))
}
