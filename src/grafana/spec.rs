//! What should be there: the data source, the folder and the dashboards that this build ships.
//!
//! Everything that is written to Grafana is decided here, and nothing here talks to it.

use crate::hex::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;
use url::Url;

/// The data source's uid; dashboards and links rely on it.
pub const DATA_SOURCE_UID: &str = "qastack-prometheus";
/// The folder's uid.
pub const FOLDER_UID: &str = "qastack";
/// The uid of the dashboard that becomes the home page.
pub const DASHBOARD_UID: &str = "qa-overview";

/// How many hexadecimal digits of a dashboard's hash its marks carry.
const MARK_LENGTH: usize = 12;
/// What stands before the mark in a dashboard's description.
const MARK_IN_DESCRIPTION: &str = "Shipped by qastack as template ";

/// The dashboards that ship with this build.
const SHIPPED: &[&str] = &[include_str!("../../dashboards/qa-overview.json")];

/// Everything that qastack puts into Grafana.
#[derive(Debug, Clone, PartialEq)]
pub struct GrafanaSpec {
    /// Where Grafana finds Prometheus.
    pub data_source: DataSourceSpec,
    /// Where new dashboards go.
    pub folder: FolderSpec,
    /// The dashboards; the first one becomes the home page.
    pub dashboards: Vec<DashboardSpec>,
}

/// The data source.
#[derive(Debug, Clone, PartialEq)]
pub struct DataSourceSpec {
    /// Its uid.
    pub uid: String,
    /// The name it is created with. A user may rename it.
    pub name: String,
    /// Prometheus as Grafana sees it, on their own network.
    pub url: Url,
    /// The scrape interval: `$__rate_interval` would be too short without it.
    pub scrape_interval: Duration,
}

/// The folder.
#[derive(Debug, Clone, PartialEq)]
pub struct FolderSpec {
    /// Its uid.
    pub uid: String,
    /// The title it is created with. A user may change it.
    pub title: String,
}

/// A dashboard as it ships.
#[derive(Debug, Clone, PartialEq)]
pub struct DashboardSpec {
    /// Its uid.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// The beginning of the SHA-256 of the shipped JSON.
    pub hash: String,
    /// The JSON that is saved: the shipped one, with the hash in its description.
    pub json: Value,
}

impl GrafanaSpec {
    /// What this build puts into a Grafana that finds Prometheus at `prometheus`.
    ///
    /// # Errors
    /// A shipped dashboard that is no dashboard; a test holds that there is none.
    pub fn shipped(prometheus: Url, scrape_interval: Duration) -> Result<Self, serde_json::Error> {
        Ok(Self {
            data_source: DataSourceSpec {
                uid: DATA_SOURCE_UID.to_owned(),
                name: "QA Prometheus".to_owned(),
                url: prometheus,
                scrape_interval,
            },
            folder: FolderSpec { uid: FOLDER_UID.to_owned(), title: "QA metrics".to_owned() },
            dashboards: SHIPPED.iter().map(|text| DashboardSpec::parse(text)).collect::<Result<_, _>>()?,
        })
    }
}

impl DataSourceSpec {
    /// The keys that are ours. Every other key is the user's.
    pub(super) fn keys(&self) -> Map<String, Value> {
        // A URL without a path prints a slash that nobody would type into Grafana's form.
        let url = self.url.as_str().trim_end_matches('/');
        let json = json!({
            "type": "prometheus",
            "access": "proxy",
            "url": url,
            "jsonData": {"httpMethod": "POST", "timeInterval": format!("{}s", self.scrape_interval.as_secs().max(1))},
        });
        json.as_object().cloned().unwrap_or_default()
    }
}

impl DashboardSpec {
    /// Reads a shipped dashboard and marks it with its hash.
    ///
    /// # Errors
    /// Text that is not a JSON object with a uid and a title.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(serde::Deserialize)]
        struct Shipped {
            uid: String,
            title: String,
            #[serde(default)]
            description: String,
            #[serde(flatten)]
            rest: Map<String, Value>,
        }
        let Shipped { uid, title, description, rest } = serde_json::from_str(text)?;
        let hash = hash_of(&serde_json::from_str(text)?);
        let description = format!(
            "{description} {MARK_IN_DESCRIPTION}{hash}. Edit it as you like: an edited dashboard is never overwritten."
        );
        let mut json = Map::new();
        json.insert("uid".to_owned(), Value::String(uid.clone()));
        json.insert("title".to_owned(), Value::String(title.clone()));
        json.insert("description".to_owned(), Value::String(description.trim_start().to_owned()));
        json.extend(rest);
        Ok(Self { uid, title, hash, json: Value::Object(json) })
    }

    /// The message of each save of ours: it tells a later run that we wrote last, and what.
    pub(super) fn message(&self) -> String {
        format!("qastack {} {}", env!("CARGO_PKG_VERSION"), self.hash)
    }
}

/// The hash in the message of a save of ours.
pub(super) fn mark_in_message(message: &str) -> Option<&str> {
    let mut words = message.split(' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some("qastack"), Some(_version), Some(hash), None) if is_mark(hash) => Some(hash),
        _ => None,
    }
}

/// The hash in the description of a dashboard that we created.
pub(super) fn mark_in_description(description: &str) -> Option<&str> {
    let (_, after) = description.split_once(MARK_IN_DESCRIPTION)?;
    let (hash, _) = after.split_once('.')?;
    is_mark(hash).then_some(hash)
}

/// A description without the mark of a dashboard that we created.
pub(super) fn without_mark(description: &str) -> String {
    match (description.split_once(MARK_IN_DESCRIPTION), mark_in_description(description)) {
        (Some((before, after)), Some(hash)) => {
            let after = after.get(hash.len() + 1..).unwrap_or_default();
            format!("{}{after}", before.trim_end()).trim_start().to_owned()
        }
        _ => description.to_owned(),
    }
}

fn is_mark(text: &str) -> bool {
    text.len() == MARK_LENGTH && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// What a dashboard shows, as far as every Grafana keeps it as it was saved: its panels' titles and what they ask for.
pub(super) fn shown(dashboard: &Value) -> Vec<String> {
    let panels = dashboard["panels"].as_array().into_iter().flatten();
    // The panels of a row that is folded are inside of it.
    let all = panels.flat_map(|panel| std::iter::once(panel).chain(panel["panels"].as_array().into_iter().flatten()));
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut shown: Vec<String> = all
        .map(|panel| {
            let asked = panel["targets"].as_array().into_iter().flatten().map(|target| text(&target["expr"]));
            std::iter::once(text(&panel["title"])).chain(asked).collect::<Vec<_>>().join("\n")
        })
        .collect();
    shown.sort_unstable();
    shown
}

/// The hash of a dashboard, the same however its file is indented or its keys are ordered.
fn hash_of(dashboard: &Value) -> String {
    let mut canonical = String::new();
    write_sorted(dashboard, &mut canonical);
    let mut hash = hex(&Sha256::digest(canonical.as_bytes()));
    hash.truncate(MARK_LENGTH);
    hash
}

/// Writes JSON so that equal values read alike.
pub(super) fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            for (key, value) in entries {
                out.push_str(key);
                out.push(':');
                write_sorted(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            for item in items {
                write_sorted(item, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}
