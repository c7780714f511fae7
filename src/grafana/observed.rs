//! What is in Grafana, read all at once.
//!
//! It reads and never writes, and it judges nothing: what the findings mean is for `plan`.

use super::client::Client;
use super::error::GrafanaError;
use super::spec::{DashboardSpec, GrafanaSpec, mark_in_description, mark_in_message, shown};
use futures_util::future::try_join_all;
use serde_json::Value;

/// How many entries of a dashboard's history are read. Saves that change nothing, and moves, add entries of the
/// same version, so that one is not enough.
const HISTORY: usize = 5;

/// What is in Grafana of what the specification names.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// The data source of our uid, as Grafana describes it.
    pub data_source: Readable<Option<Value>>,
    /// The uid of a data source that has our name and is not ours.
    pub name_taken_by: Option<String>,
    /// Whether the folder is there.
    pub folder: Readable<bool>,
    /// The dashboards, in the order of the specification.
    pub dashboards: Vec<Readable<Option<ObservedDashboard>>>,
    /// The uid of the organisation's home dashboard.
    pub home: Readable<Option<String>>,
}

/// Something that the login may be forbidden to read, so that one cannot tell whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readable<T> {
    /// It was read.
    Read(T),
    /// The login may not read it.
    Denied,
}

/// A dashboard of one of our uids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedDashboard {
    /// Its version, which a save must name.
    pub version: u64,
    /// The folder it is in now; empty at the root.
    pub folder_uid: String,
    /// Whether it comes from a file or is managed by another tool, so that it cannot be saved.
    pub provisioned: bool,
    /// The hash of the template that we wrote last, or none where somebody else wrote last.
    pub ours: Option<String>,
    /// How it is stored. Read only where a save of ours would follow.
    pub stored: StoredFormat,
}

/// How Grafana stores a dashboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredFormat {
    /// As classic JSON, which a classic save replaces by its like.
    Classic,
    /// In a newer format of this name, which a classic save would destroy.
    Newer(String),
    /// The login may not find out.
    Denied,
}

/// Reads everything that the specification names, all at once.
///
/// # Errors
/// When Grafana does not answer, refuses the login or fails. A missing permission is not an error here.
pub async fn observe(client: &Client, spec: &GrafanaSpec) -> Result<Observed, GrafanaError> {
    let dashboards = spec.dashboards.iter().map(|dashboard| readable(observe_dashboard(client, dashboard)));
    let (data_source, name_taken_by, folder, dashboards, home) = tokio::try_join!(
        readable(async { client.find(&format!("/api/datasources/uid/{}", spec.data_source.uid)).await }),
        name_taken_by(client, spec),
        readable(async { Ok(client.find(&format!("/api/folders/{}", spec.folder.uid)).await?.is_some()) }),
        try_join_all(dashboards),
        readable(home(client)),
    )?;
    Ok(Observed { data_source, name_taken_by, folder, dashboards, home })
}

async fn readable<T>(read: impl Future<Output = Result<T, GrafanaError>>) -> Result<Readable<T>, GrafanaError> {
    match read.await {
        Ok(found) => Ok(Readable::Read(found)),
        Err(error) if error.is_access_denied() => Ok(Readable::Denied),
        Err(error) => Err(error),
    }
}

async fn name_taken_by(client: &Client, spec: &GrafanaSpec) -> Result<Option<String>, GrafanaError> {
    // A list, since asking for a name that is not there was once answered like a missing permission.
    let Readable::Read(list) = readable(client.get("/api/datasources")).await? else { return Ok(None) };
    let all = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let holder = all.iter().find(|other| text(other, "name") == spec.data_source.name);
    Ok(holder.map(|other| text(other, "uid").to_owned()).filter(|uid| *uid != spec.data_source.uid))
}

async fn home(client: &Client) -> Result<Option<String>, GrafanaError> {
    let preferences = client.get("/api/org/preferences").await?;
    let uid = text(&preferences, "homeDashboardUID");
    if !uid.is_empty() {
        return Ok(Some(uid.to_owned()));
    }
    // Before it had a uid here, the home dashboard was a number.
    let number = preferences.get("homeDashboardId").and_then(Value::as_i64).filter(|id| *id != 0);
    Ok(number.map(|id| id.to_string()))
}

async fn observe_dashboard(client: &Client, spec: &DashboardSpec) -> Result<Option<ObservedDashboard>, GrafanaError> {
    let path = format!("/api/dashboards/uid/{}", spec.uid);
    let history_path = format!("{path}/versions?limit={HISTORY}");
    let (found, history) = tokio::try_join!(client.find(&path), client.find(&history_path))?;
    let Some(found) = found else { return Ok(None) };
    let (meta, dashboard) = (&found["meta"], &found["dashboard"]);
    let version = dashboard.get("version").or_else(|| meta.get("version")).and_then(Value::as_u64).unwrap_or(0);
    let ours = written_by_us(version, text(dashboard, "description"), history.as_ref());
    // A first version may be an edited one that somebody brought here with its mark.
    let is_brought = |hash: &String| version == 1 && *hash == spec.hash && shown(dashboard) != shown(&spec.json);
    let ours = ours.filter(|hash| !is_brought(hash));
    let stored = match &ours {
        Some(hash) if *hash != spec.hash => stored_format(client, &spec.uid).await?,
        _ => StoredFormat::Classic,
    };
    Ok(Some(ObservedDashboard {
        version,
        folder_uid: text(meta, "folderUid").to_owned(),
        provisioned: meta.get("provisioned").and_then(Value::as_bool).unwrap_or(false),
        ours,
        stored,
    }))
}

/// The hash that we wrote last, or none where somebody else did.
///
/// A save that changes a dashboard makes a new version; ours carry a message. A tool that reads an object,
/// changes it and writes it back may keep our message: then two versions in a row carry one hash, which we
/// never do, since we only write what differs.
fn written_by_us(version: u64, description: &str, history: Option<&Value>) -> Option<String> {
    // An array up to 11.5, an object around it from 11.6 on.
    let entries = history.and_then(|history| history.get("versions").unwrap_or(history).as_array());
    let entries = entries.map(Vec::as_slice).unwrap_or_default();
    let ours = mark_of_version(version, description, entries)?;
    let described_before = entries.iter().find(|entry| number(entry, "version") == Some(version.saturating_sub(1)));
    let description_before = described_before.map(|entry| text(&entry["data"], "description")).unwrap_or_default();
    let before = mark_of_version(version.saturating_sub(1), description_before, entries);
    (before != Some(ours)).then(|| ours.to_owned())
}

/// The hash that a version carries. The message of a first version is not kept by every Grafana, so there the
/// mark in the description speaks: a first version was never edited.
fn mark_of_version<'a>(version: u64, description: &'a str, entries: &'a [Value]) -> Option<&'a str> {
    let of_version = entries.iter().filter(|entry| number(entry, "version") == Some(version));
    let by_message = of_version.map(|entry| text(entry, "message")).find_map(mark_in_message);
    by_message.or_else(|| mark_in_description(description).filter(|_| version == 1))
}

/// How a dashboard is stored. The classic route answers with a lossy conversion and does not say so.
pub(super) async fn stored_format(client: &Client, uid: &str) -> Result<StoredFormat, GrafanaError> {
    let group = match readable(client.find("/apis/dashboard.grafana.app")).await {
        // Older versions know no other format; to them this is an unknown page.
        Ok(Readable::Read(None)) | Err(GrafanaError::Unreadable { .. }) => return Ok(StoredFormat::Classic),
        Ok(Readable::Denied) => return Ok(StoredFormat::Denied),
        Ok(Readable::Read(Some(group))) => group,
        Err(error) => return Err(error),
    };
    let served = group["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let names = served.iter().map(|entry| text(entry, "version"));
    let Some(classic) = names.into_iter().find(|name| name.starts_with("v1")) else {
        return Ok(StoredFormat::Classic);
    };
    for namespace in ["default", "org-1"] {
        let path = format!("/apis/dashboard.grafana.app/{classic}/namespaces/{namespace}/dashboards/{uid}");
        match readable(client.find(&path)).await? {
            Readable::Read(Some(object)) => {
                let stored = text(&object["status"]["conversion"], "storedVersion");
                let newer = stored.starts_with("v2");
                return Ok(if newer { StoredFormat::Newer(stored.to_owned()) } else { StoredFormat::Classic });
            }
            Readable::Read(None) => {}
            Readable::Denied => return Ok(StoredFormat::Denied),
        }
    }
    Ok(StoredFormat::Denied)
}

fn number(object: &Value, key: &str) -> Option<u64> {
    object.get(key).and_then(Value::as_u64)
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const OURS: &str = "0123456789ab";
    const OLDER: &str = "ba9876543210";

    fn entry(version: u64, message: &str, description: &str) -> Value {
        json!({"version": version, "message": message, "data": {"description": description}})
    }

    fn saved(hash: &str) -> String {
        format!("qastack 0.1.0 {hash}")
    }

    fn described(hash: &str) -> String {
        format!("Figures. Shipped by qastack as template {hash}. Edit it as you like.")
    }

    #[test]
    fn the_first_version_is_known_by_its_description_where_its_message_is_not_kept() {
        let history = json!({"versions": [entry(1, "Initial save", &described(OURS))]});
        assert_eq!(written_by_us(1, &described(OURS), Some(&history)).as_deref(), Some(OURS));
        assert_eq!(written_by_us(1, "Made by hand", Some(&history)), None);
    }

    #[test]
    fn a_later_version_is_known_by_its_message_alone() {
        let update = entry(2, &saved(OURS), &described(OURS));
        let history = json!([update, entry(1, "Initial save", &described(OLDER))]);
        assert_eq!(written_by_us(2, &described(OURS), Some(&history)).as_deref(), Some(OURS));
        let edited = json!([entry(3, "", &described(OURS)), update]);
        assert_eq!(written_by_us(3, &described(OURS), Some(&edited)), None);
    }

    #[test]
    fn a_move_that_makes_no_new_version_is_no_edit() {
        let history = json!([entry(2, "", &described(OURS)), entry(2, &saved(OURS), &described(OURS))]);
        assert_eq!(written_by_us(2, &described(OURS), Some(&history)).as_deref(), Some(OURS));
    }

    #[test]
    fn an_edit_that_kept_our_message_is_an_edit() {
        let of_an_update = json!([entry(3, &saved(OURS), &described(OURS)), entry(2, &saved(OURS), &described(OURS))]);
        assert_eq!(written_by_us(3, &described(OURS), Some(&of_an_update)), None);
        let of_the_first =
            json!([entry(2, &saved(OURS), &described(OURS)), entry(1, "Initial save", &described(OURS))]);
        assert_eq!(written_by_us(2, &described(OURS), Some(&of_the_first)), None);
    }

    #[test]
    fn a_message_that_only_looks_like_ours_is_not() {
        for message in ["qastack", "qastack 0.1.0", "qastack 0.1.0 tidy", "qastack 0.1.0 0123456789ab and more"] {
            assert_eq!(written_by_us(2, "", Some(&json!([entry(2, message, "")]))), None, "{message}");
        }
    }
}
