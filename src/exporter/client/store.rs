//! The whole store over the exporter's API: fetched into a file, and sent from one.

use super::{Client, Refusal, read, unreachable};
use crate::exporter::api::store::{CONTENT_DIGEST, HOLDS_DATA, SCHEMA};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use futures_util::stream;
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use serde_json::Value;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// How long the exporter may be silent: it copies or checks a store of any size before it says a word.
pub const SILENCE: Duration = Duration::from_secs(30 * 60);

/// How much of the file is in memory at once.
const CHUNK: usize = 128 << 10;

/// What is known of a store that was fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Its schema version.
    pub schema_version: i64,
    /// Whether there is anything in it.
    pub holds_data: bool,
}

impl Client {
    /// Fetches the store, as it is at one moment, into a file.
    ///
    /// # Errors
    /// See [`Refusal`]; a file that cannot be written reads as no answer.
    pub async fn fetch_store(&self, into: &Path) -> Result<Fetched, Refusal> {
        let url = self.url(&["api", "v1", "store"]);
        let mut response = self.request(Method::GET, url).send().await.map_err(unreachable)?;
        if !response.status().is_success() {
            return Err(match read(response).await {
                Err(refusal) => refusal,
                Ok(_) => broken(io::Error::other("an answer without a store")),
            });
        }
        let text = |name: &HeaderName| response.headers().get(name).and_then(|value| value.to_str().ok());
        let whole: Option<u64> = text(&CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let schema_version = text(&SCHEMA).and_then(|text| text.parse().ok());
        let (Some(whole), Some(schema_version)) = (whole, schema_version) else {
            return Err(broken(io::Error::other("what answers is no exporter that can be backed up")));
        };
        let fetched = Fetched { schema_version, holds_data: text(&HOLDS_DATA) != Some("false") };
        let mut file = tokio::fs::File::create(into).await.map_err(broken)?;
        let mut bytes = 0;
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(broken)?;
        }
        file.sync_all().await.map_err(broken)?;
        if bytes == whole { Ok(fetched) } else { Err(broken(io::Error::other("the copy broke off"))) }
    }

    /// Puts the store in a file in the place of the exporter's own.
    ///
    /// # Errors
    /// See [`Refusal`]; a file that cannot be read reads as no answer.
    pub async fn send_store(&self, from: &Path, sha256: &[u8], force: bool) -> Result<Value, Refusal> {
        let mut url = self.url(&["api", "v1", "store"]);
        if force {
            url.set_query(Some("force=true"));
        }
        let file = tokio::fs::File::open(from).await.map_err(broken)?;
        let length = file.metadata().await.map_err(broken)?.len();
        let chunks = stream::try_unfold(file, |mut file| async move {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            let count = file.read_buf(&mut chunk).await?;
            Ok::<_, io::Error>((count > 0).then(|| (chunk.freeze(), file)))
        });
        let request = self
            .request(Method::PUT, url)
            .header(CONTENT_TYPE, "application/vnd.sqlite3")
            .header(CONTENT_LENGTH, length)
            .header(CONTENT_DIGEST, format!("sha-256=:{}:", STANDARD.encode(sha256)))
            .body(reqwest::Body::wrap_stream(chunks));
        read(request.send().await.map_err(unreachable)?).await
    }
}

fn broken(cause: io::Error) -> Refusal {
    Refusal::Unreachable { cause: cause.to_string() }
}
