//! Dashboards as their users have them, with the folders they are in: read as one document, and put back.
//!
//! What is there and differs is never written over unless the caller says so; what was shipped and is as it was
//! shipped is never put back, since each build brings its own.

use super::client::{Access, Client};
use super::error::GrafanaError;
use super::observed::{Readable, StoredFormat, observe, stored_format};
use super::spec::{GrafanaSpec, without_mark, write_sorted};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

/// How many dashboards a page of the search has.
const PAGE: usize = 500;

/// All dashboards of a Grafana.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Library {
    /// The folders, each after the one it is in.
    pub folders: Vec<SavedFolder>,
    /// The dashboards, by uid.
    pub dashboards: Vec<SavedDashboard>,
}

/// A folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedFolder {
    /// Its uid.
    pub uid: String,
    /// Its title.
    pub title: String,
    /// The uid of the folder it is in; none at the root.
    pub parent: Option<String>,
}

/// A dashboard.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedDashboard {
    /// Its uid.
    pub uid: String,
    /// The uid of its folder; none at the root.
    pub folder: Option<String>,
    /// Whether it is as some build shipped it.
    pub shipped: bool,
    /// Its JSON, without what Grafana counts.
    pub json: Value,
}

impl SavedDashboard {
    /// The SHA-256 of its JSON, however its keys are ordered and whatever mark of ours it carries, in hex.
    pub fn hash(&self) -> String {
        let mut canonical = String::new();
        write_sorted(&self.unmarked(), &mut canonical);
        crate::hex::hex(&Sha256::digest(canonical.as_bytes()))
    }

    /// Its JSON without our mark, which tells of a dashboard's first version that nobody has edited it.
    fn unmarked(&self) -> Value {
        let mut json = self.json.clone();
        if let Some(description) = json.get("description").and_then(Value::as_str).map(without_mark) {
            json["description"] = Value::String(description);
        }
        json
    }

    fn title(&self) -> &str {
        text(&self.json, "title")
    }
}

/// What [`Library::put_back`] does about a dashboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    dashboard: SavedDashboard,
    /// What is there now, with its version.
    before: Option<(SavedDashboard, u64)>,
    /// Whether what is there was written by somebody who would miss it.
    pub is_edited: bool,
}

impl Change {
    /// Its title and uid, for people.
    pub fn name(&self) -> String {
        format!("{} ({})", self.dashboard.title(), self.dashboard.uid)
    }
}

impl Library {
    /// Reads all of them. The names of those that are not in it come with it: a newer format, of which Grafana gives
    /// out only a part.
    ///
    /// # Errors
    /// Grafana does not answer, or refuses.
    pub async fn read(client: &Client, spec: &GrafanaSpec) -> Result<(Self, Vec<String>), GrafanaError> {
        let shipped = shipped(client, spec).await?;
        let (mut library, mut left_out) = (Self::default(), Vec::new());
        for uid in uids(client).await? {
            let Some((dashboard, _)) = find(client, &uid, &shipped).await? else { continue };
            if matches!(stored_format(client, &uid).await?, StoredFormat::Newer(_)) {
                left_out.push(format!("{} ({uid})", dashboard.title()));
                continue;
            }
            if let Some(folder) = &dashboard.folder {
                library.take_folder(client, folder).await?;
            }
            library.dashboards.push(dashboard);
        }
        Ok((library, left_out))
    }

    /// Takes a folder and those it is in into the library, the outermost first.
    async fn take_folder(&mut self, client: &Client, uid: &str) -> Result<(), GrafanaError> {
        let mut inner = Vec::new();
        let mut next = Some(uid.to_owned());
        while let Some(uid) = next.take().filter(|uid| self.folders.iter().all(|known| known.uid != *uid)) {
            let Some(folder) = client.find(&format!("/api/folders/{uid}")).await? else { break };
            let parent = Some(text(&folder, "parentUid").to_owned()).filter(|parent| !parent.is_empty());
            next.clone_from(&parent);
            inner.push(SavedFolder { uid, title: text(&folder, "title").to_owned(), parent });
        }
        self.folders.extend(inner.into_iter().rev());
        Ok(())
    }

    /// What is to be done so that Grafana has these dashboards, and the names of those that stay as they are there: stored
    /// in a newer format, which a save would lose, and which could not be put back. Nothing is changed.
    ///
    /// # Errors
    /// Grafana does not answer, or refuses.
    pub async fn compare(
        &self,
        client: &Client,
        spec: &GrafanaSpec,
    ) -> Result<(Vec<Change>, Vec<String>), GrafanaError> {
        let shipped = shipped(client, spec).await?;
        let (mut changes, mut left_out) = (Vec::new(), Vec::new());
        for dashboard in &self.dashboards {
            let before = find(client, &dashboard.uid, &shipped).await?;
            let is_kept = match &before {
                Some((before, _)) => before.hash() == dashboard.hash() || (dashboard.shipped && before.shipped),
                None => false,
            };
            if is_kept {
                continue;
            }
            let is_edited = before.as_ref().is_some_and(|(before, _)| !before.shipped);
            let is_there = before.is_some();
            let change = Change { dashboard: dashboard.clone(), before, is_edited };
            if is_there && matches!(stored_format(client, &dashboard.uid).await?, StoredFormat::Newer(_)) {
                left_out.push(change.name());
            } else {
                changes.push(change);
            }
        }
        Ok((changes, left_out))
    }

    /// Makes the changes. Where one fails, those before it are undone.
    ///
    /// # Errors
    /// Grafana does not answer, or refuses.
    pub async fn put_back(&self, client: &Client, changes: &[Change], message: &str) -> Result<(), GrafanaError> {
        for folder in &self.folders {
            if client.find(&format!("/api/folders/{}", folder.uid)).await?.is_none() {
                let body = json!({ "uid": folder.uid, "title": folder.title, "parentUid": folder.parent });
                client.call(Method::POST, "/api/folders", Some(&body), Access::LoggedIn).await?;
            }
        }
        for (done, change) in changes.iter().enumerate() {
            let version = change.before.as_ref().map(|(_, version)| *version);
            // Only a first version's mark is heeded.
            let json = match change.dashboard.shipped || change.before.is_some() {
                true => change.dashboard.json.clone(),
                false => change.dashboard.unmarked(),
            };
            if let Err(error) = save(client, &change.dashboard, json, version, message).await {
                undo(client, &changes[..done]).await;
                return Err(error);
            }
        }
        Ok(())
    }
}

/// Undoes changes that were made, as far as Grafana lets it.
pub async fn undo(client: &Client, changes: &[Change]) {
    for change in changes.iter().rev() {
        let undone = match &change.before {
            None => {
                let path = format!("/api/dashboards/uid/{}", change.dashboard.uid);
                client.call(Method::DELETE, &path, None, Access::LoggedIn).await.map(drop)
            }
            Some((before, _)) => {
                save(client, before, before.json.clone(), None, "a restore that failed was undone").await
            }
        };
        if let Err(error) = undone {
            tracing::warn!(%error, dashboard = change.name(), "a restored dashboard could not be undone");
        }
    }
}

/// Saves a dashboard over the version that was read, or over whatever is there where none is said.
async fn save(
    client: &Client,
    dashboard: &SavedDashboard,
    mut json: Value,
    version: Option<u64>,
    message: &str,
) -> Result<(), GrafanaError> {
    if let (Some(version), Some(object)) = (version, json.as_object_mut()) {
        object.insert("version".to_owned(), Value::from(version));
    }
    let body = json!({
        "dashboard": json, "folderUid": dashboard.folder.clone().unwrap_or_default(), "message": message,
        "overwrite": version.is_none(),
    });
    client.call(Method::POST, "/api/dashboards/db", Some(&body), Access::LoggedIn).await.map(drop)
}

/// The uids of the shipped dashboards that nobody has edited.
async fn shipped(client: &Client, spec: &GrafanaSpec) -> Result<BTreeSet<String>, GrafanaError> {
    let observed = observe(client, spec).await?;
    let pairs = spec.dashboards.iter().zip(observed.dashboards);
    let is_ours = |found: Readable<Option<super::ObservedDashboard>>| match found {
        Readable::Read(Some(found)) => found.ours.is_some(),
        _ => false,
    };
    Ok(pairs.filter_map(|(spec, found)| is_ours(found).then(|| spec.uid.clone())).collect())
}

/// The uids of all dashboards.
async fn uids(client: &Client) -> Result<BTreeSet<String>, GrafanaError> {
    let mut uids = BTreeSet::new();
    for page in 1.. {
        let found = client.get(&format!("/api/search?type=dash-db&limit={PAGE}&page={page}")).await?;
        let found = found.as_array().map(Vec::as_slice).unwrap_or_default();
        let known = uids.len();
        uids.extend(found.iter().map(|entry| text(entry, "uid").to_owned()).filter(|uid| !uid.is_empty()));
        if found.len() < PAGE || uids.len() == known {
            break;
        }
    }
    Ok(uids)
}

/// A dashboard and its version.
async fn find(
    client: &Client,
    uid: &str,
    shipped: &BTreeSet<String>,
) -> Result<Option<(SavedDashboard, u64)>, GrafanaError> {
    let Some(found) = client.find(&format!("/api/dashboards/uid/{uid}")).await? else { return Ok(None) };
    let mut json = found["dashboard"].clone();
    let version = json.get("version").and_then(Value::as_u64).unwrap_or(0);
    if let Some(object) = json.as_object_mut() {
        object.retain(|key, _| !matches!(key.as_str(), "id" | "version"));
    }
    let folder = Some(text(&found["meta"], "folderUid").to_owned()).filter(|folder| !folder.is_empty());
    Ok(Some((SavedDashboard { uid: uid.to_owned(), folder, shipped: shipped.contains(uid), json }, version)))
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}
