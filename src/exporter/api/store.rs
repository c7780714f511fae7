//! The whole store, out and in: what `qastack backup` and `restore` are made of. For administrators only.
//!
//! Both ways lead through a file in a directory of their own beside the store, so that neither needs memory and
//! what a crash leaves there is known to be waste. One of them goes on at a time.

use super::{query_invalid, refused_by_store};
use crate::exporter::Exporter;
use crate::exporter::body::Arrival;
use crate::exporter::problem::Problem;
use crate::store::{IfFull, SCHEMA_VERSION, Scope, StoreError};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OwnedSemaphorePermit;

/// How much of the file is in memory at once.
const CHUNK: usize = 128 << 10;

/// The schema version of the store that is sent.
pub const SCHEMA: HeaderName = HeaderName::from_static("x-qastack-schema-version");
/// Whether there is anything in the store that is sent.
pub const HOLDS_DATA: HeaderName = HeaderName::from_static("x-qastack-holds-data");
/// RFC 9530: the hash of what is sent.
pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// A file that is gone with its value, and the turn to have one.
struct Passing {
    path: PathBuf,
    _turn: OwnedSemaphorePermit,
}

impl Drop for Passing {
    fn drop(&mut self) {
        for suffix in ["", "-wal", "-shm", "-journal", ".lock"] {
            let mut name = self.path.as_os_str().to_owned();
            name.push(suffix);
            // Most of them never were.
            let _ = fs::remove_file(name);
        }
    }
}

fn passing(exporter: &Exporter) -> Result<Passing, Problem> {
    let busy = || {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "another copy of the store is being made or put in place")
            .retry_after(5)
    };
    let turn = exporter.turn_to_exchange().ok_or_else(busy)?;
    let directory = exporter.exchange_directory();
    fs::create_dir_all(&directory).map_err(|error| no_room(&error))?;
    let passing = Passing { path: directory.join("store.db"), _turn: turn };
    // What a crash left of the one before.
    let _ = fs::remove_file(&passing.path);
    Ok(passing)
}

fn no_room(error: &io::Error) -> Problem {
    tracing::error!(%error, "there is no place for a copy of the store");
    Problem::new(StatusCode::INSUFFICIENT_STORAGE, "store_full", "there is no place for a copy of the store")
        .hint("Free space on the exporter's disk; a store in memory needs a directory for temporary files.")
}

/// `GET /api/v1/store`: the store as it is now, as a SQLite database, while reports come in.
pub async fn copy(State(exporter): State<Arc<Exporter>>, headers: HeaderMap) -> Result<Response, Problem> {
    exporter.authorize(&headers, Scope::Admin, None)?;
    let store = exporter.store()?;
    let passing = passing(&exporter)?;
    store.copy_to(&passing.path).await.map_err(refused_by_store)?;
    let file = tokio::fs::File::open(&passing.path).await.map_err(|error| no_room(&error))?;
    let length = file.metadata().await.map_err(|error| no_room(&error))?.len();
    let holds_data = store.holds_anything().await.map_err(refused_by_store)?;
    tracing::info!(bytes = length, "a copy of the store is sent");
    let chunks = stream::try_unfold((file, passing), |(mut file, passing)| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK);
        let count = file.read_buf(&mut chunk).await?;
        Ok::<_, io::Error>((count > 0).then(|| (chunk.freeze(), (file, passing))))
    });
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/vnd.sqlite3")),
        (header::CONTENT_LENGTH, HeaderValue::from(length)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (SCHEMA, HeaderValue::from(SCHEMA_VERSION)),
        (HOLDS_DATA, HeaderValue::from_static(if holds_data { "true" } else { "false" })),
    ];
    Ok((headers, Body::from_stream(chunks)).into_response())
}

/// Whether a store that holds something may be replaced.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReplaceQuery {
    #[serde(default)]
    force: bool,
}

/// `PUT /api/v1/store`: a store that was sent takes the place of this one, whole or not at all.
pub async fn replace(
    State(exporter): State<Arc<Exporter>>,
    query: Result<Query<ReplaceQuery>, QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Value>, Problem> {
    exporter.authorize(&headers, Scope::Admin, None)?;
    let Query(ReplaceQuery { force }) = query.map_err(query_invalid)?;
    let store = exporter.store()?;
    let passing = passing(&exporter)?;
    let bytes = receive(&passing, &headers, body).await?;
    let if_full = if force { IfFull::Replace } else { IfFull::Refuse };
    store.replace_with(&passing.path, if_full).await.map_err(refused)?;
    tracing::warn!(bytes, "the store was replaced by the one that was sent");
    if store.has_input() {
        exporter.real_input_arrived();
    }
    Ok(Json(json!({ "bytes": bytes, "schema_version": SCHEMA_VERSION })))
}

/// Writes the body into the file, and compares its hash with the one that was announced.
async fn receive(passing: &Passing, headers: &HeaderMap, mut body: Body) -> Result<u64, Problem> {
    let announced = announced(headers)?;
    let mut file = tokio::fs::File::create(&passing.path).await.map_err(|error| no_room(&error))?;
    let (mut hash, mut bytes, arrival) = (Sha256::new(), 0, Arrival::begin());
    while let Some(chunk) = arrival.next(&mut body, bytes).await? {
        let chunk: Bytes = chunk;
        hash.update(&chunk);
        bytes += chunk.len() as u64;
        file.write_all(&chunk).await.map_err(|error| no_room(&error))?;
    }
    file.flush().await.map_err(|error| no_room(&error))?;
    if announced[..] != hash.finalize()[..] {
        let detail = "what came is not what was sent: its hash is not the one in Content-Digest";
        return Err(Problem::new(StatusCode::CONFLICT, "digest_mismatch", detail));
    }
    Ok(bytes)
}

/// The SHA-256 in `Content-Digest: sha-256=:BASE64:`. Nothing takes a store's place without it.
fn announced(headers: &HeaderMap) -> Result<Vec<u8>, Problem> {
    let read = || {
        let encoded =
            headers.get(CONTENT_DIGEST)?.to_str().ok()?.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
        STANDARD.decode(encoded).ok().filter(|hash| hash.len() == 32)
    };
    read().ok_or_else(|| {
        let detail = "Content-Digest has to be sha-256=:BASE64:, the hash of what is sent";
        Problem::new(StatusCode::BAD_REQUEST, "digest_invalid", detail)
    })
}

fn refused(error: StoreError) -> Problem {
    match error {
        StoreError::NotEmpty => {
            Problem::new(StatusCode::CONFLICT, "store_not_empty", "the store is not empty: it was left as it is")
                .hint("Say that it is to be replaced: ?force=true, or qastack restore --force.")
        }
        StoreError::Newer { found, known, .. } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "store_newer",
            format!("what was sent has schema version {found}; this exporter knows versions up to {known}"),
        )
        .hint("Run the exporter of the qastack that wrote it, or a newer one."),
        StoreError::NotOurs { .. } | StoreError::Unusable { .. } => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "store_invalid", "what was sent is no store of an exporter")
        }
        StoreError::Corrupt { reason, .. } | StoreError::Damaged { reason } => Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "store_damaged",
            format!("what was sent is a damaged store: {reason}"),
        ),
        StoreError::Folding => {
            let detail = "the figures are being computed under other rules";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).retry_after(5)
        }
        other => refused_by_store(other),
    }
}
