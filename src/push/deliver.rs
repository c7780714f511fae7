//! One file on its way: read, packed, sent, and what the exporter made of it.

use crate::exporter::client::{Client, Refusal, Upload};
use crate::hex::hex;
use crate::packed;
use crate::store::RunMeta;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::io;
use std::path::Path;

/// Smaller bodies gain nothing by packing.
const WORTH_PACKING: usize = 1024;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A test report.
    Report,
    /// A list of defects.
    Defects,
}

impl Kind {
    /// What a file of this name holds: a `.csv` is a list of defects, all else a report.
    pub fn of(path: &Path) -> Self {
        let is_list = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
        if is_list { Self::Defects } else { Self::Report }
    }

    /// The last part of the address it is sent to.
    fn segment(self) -> &'static str {
        match self {
            Self::Report => "reports",
            Self::Defects => "defects",
        }
    }
}

/// A file ready to be sent. The spool keeps it as it is.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// Where it is from and goes to.
    pub label: Label,
    /// The bytes, packed.
    pub bytes: Bytes,
}

/// What is written on a parcel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Label {
    /// The file's name, for people.
    pub file: String,
    /// What it holds.
    pub kind: Kind,
    /// The project.
    pub project: String,
    /// The run.
    pub meta: RunMeta,
    /// By which the exporter knows a repetition: the same content for the same run.
    pub key: String,
    /// Whether the bytes are packed.
    pub packed: bool,
}

impl Parcel {
    /// Packs a file's bytes.
    ///
    /// # Errors
    /// Packing failed, which nothing but a lack of memory makes it do.
    pub fn pack(file: &Path, bytes: Vec<u8>, project: &str, meta: &RunMeta) -> io::Result<Self> {
        let key = idempotency_key(project, meta, &bytes);
        // What is packed already goes as it is: the exporter knows it by its first bytes.
        let packed = bytes.len() >= WORTH_PACKING && packed::by(&bytes).is_none();
        let bytes = if packed { zstd::encode_all(&bytes[..], 3)? } else { bytes };
        let label = Label {
            file: file.display().to_string(),
            kind: Kind::of(file),
            project: project.to_owned(),
            meta: meta.clone(),
            key,
            packed,
        };
        Ok(Self { label, bytes: bytes.into() })
    }

    /// Sends it. Returns what the exporter says about it.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub async fn send(&self, client: &Client) -> Result<Value, Refusal> {
        let Label { kind, project, meta, key, packed, .. } = &self.label;
        let mut url = client.url(&["api", "v1", "projects", project, kind.segment()]);
        if *kind == Kind::Report {
            append_meta(&mut url, meta);
        }
        let upload = Upload {
            bytes: self.bytes.clone(),
            media_type: match kind {
                Kind::Report => "application/octet-stream",
                Kind::Defects => "text/csv",
            },
            encoding: packed.then_some("zstd"),
            idempotency_key: (*kind == Kind::Report).then(|| key.clone()),
        };
        client.post(url, upload).await
    }
}

/// The run's fields as a query, those that say something.
fn append_meta(url: &mut url::Url, meta: &RunMeta) {
    let Ok(Value::Object(fields)) = serde_json::to_value(meta) else { return };
    let mut query = url.query_pairs_mut();
    for (name, value) in fields {
        match value {
            Value::String(text) => query.append_pair(&name, &text),
            Value::Number(number) => query.append_pair(&name, &number.to_string()),
            _ => continue,
        };
    }
}

fn idempotency_key(project: &str, meta: &RunMeta, bytes: &[u8]) -> String {
    // When it is sent makes no difference, nor what else is: a repetition comes later, and may come alone.
    let meta = RunMeta { started_at: None, push: None, ..meta.clone() };
    let mut hash = Sha256::new();
    hash.update(project);
    hash.update([0]);
    hash.update(serde_json::to_vec(&meta).unwrap_or_default());
    hash.update([0]);
    hash.update(bytes);
    hex(&hash.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parcel(file: &str, bytes: &[u8], meta: &RunMeta) -> Parcel {
        Parcel::pack(Path::new(file), bytes.to_vec(), "web", meta).unwrap()
    }

    #[test]
    fn the_same_content_for_the_same_run_has_the_same_key_whenever_it_is_sent() {
        let meta = RunMeta { run: Some("1".into()), started_at: Some(1), ..RunMeta::default() };
        let later = RunMeta { started_at: Some(2), push: Some("2".into()), ..meta.clone() };
        let retried = RunMeta { attempt: 2, ..meta.clone() };
        let key = |meta, bytes| parcel("a.xml", bytes, meta).label.key;
        assert_eq!(key(&meta, b"x"), key(&later, b"x"));
        assert_ne!(key(&meta, b"x"), key(&retried, b"x"));
        assert_ne!(key(&meta, b"x"), key(&meta, b"y"));
    }

    #[test]
    fn what_is_small_is_sent_as_it_is_and_what_is_large_is_packed() {
        let small = parcel("a.xml", b"<testsuite/>", &RunMeta::default());
        assert!(!small.label.packed && &small.bytes[..] == b"<testsuite/>");
        let text = b"<testcase/>".repeat(1000);
        let large = parcel("a.xml", &text, &RunMeta::default());
        assert!(large.label.packed && large.bytes.len() < 200);
        assert_eq!(zstd::decode_all(&large.bytes[..]).unwrap(), text);
    }

    #[test]
    fn what_is_packed_already_goes_as_it_is() {
        let text = zstd::encode_all(&b"<testcase/>".repeat(1000)[..], 3).unwrap().repeat(200);
        let packed = parcel("a.xml.zst", &text, &RunMeta::default());
        assert!(!packed.label.packed && packed.bytes.len() > WORTH_PACKING);
    }

    #[test]
    fn a_csv_is_a_list_of_defects() {
        assert_eq!(Kind::of(Path::new("bugs.CSV")), Kind::Defects);
        assert_eq!(Kind::of(Path::new("TEST-a.xml")), Kind::Report);
    }

    #[test]
    fn only_what_the_run_says_is_in_the_address() {
        let meta = RunMeta { branch: Some("a b&c".into()), ..RunMeta::default() };
        let mut url: url::Url = "http://localhost/x".parse().unwrap();
        append_meta(&mut url, &meta);
        assert_eq!(url.query(), Some("attempt=1&branch=a+b%26c"));
    }
}
