//! What the double stores, and how it keeps it.

use super::settings::Settings;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::path::PathBuf;

/// Everything that is stored.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Model {
    pub data_sources: Vec<DataSource>,
    pub folders: Vec<Folder>,
    pub dashboards: Vec<Dashboard>,
    pub preferences: Map<String, Value>,
    next_id: u64,
    last_version: u64,
    #[serde(skip)]
    file: Option<PathBuf>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DataSource {
    pub id: u64,
    /// What was written: uid, name, type, access, url, jsonData and more.
    pub keys: Map<String, Value>,
    pub is_default: bool,
    pub version: u64,
    pub read_only: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Folder {
    pub id: u64,
    pub uid: String,
    pub title: String,
    pub created: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dashboard {
    pub id: u64,
    pub uid: String,
    /// What was saved, with the version that the save carried.
    pub spec: Map<String, Value>,
    /// The format it was saved in: `v0alpha1` for a classic save.
    pub format: String,
    pub folder_uid: String,
    pub generation: u64,
    pub resource_version: u64,
    pub object_uid: String,
    pub message: String,
    pub created: String,
    pub updated: String,
    /// Whether a save followed the first one.
    pub saved_again: bool,
    /// The file it came from.
    pub provisioned_by: Option<String>,
    /// The oldest first.
    pub history: Vec<HistoryEntry>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HistoryEntry {
    pub version: u64,
    pub created: String,
    pub message: String,
    pub spec: Map<String, Value>,
}

impl Model {
    /// Reads the kept state, or makes a fresh one, whose password is then the one of the settings.
    pub fn open(settings: &Settings) -> Result<Self, String> {
        let Some(file) = settings.state_file() else { return Ok(Self::fresh(settings)) };
        match std::fs::read(&file) {
            Ok(kept) => {
                let mut model: Self =
                    serde_json::from_slice(&kept).map_err(|error| format!("{}: {error}", file.display()))?;
                model.file = Some(file);
                Ok(model)
            }
            Err(_) => {
                settings.write_password(&settings.password)?;
                let mut model = Self::fresh(settings);
                model.file = Some(file);
                model.keep();
                Ok(model)
            }
        }
    }

    fn fresh(settings: &Settings) -> Self {
        let mut model = Self::default();
        if settings.provisioned {
            let keys = json!({"uid": "prov-ds", "name": "Provisioned", "type": "prometheus", "access": "proxy",
                              "url": "http://nowhere:9090", "jsonData": {}});
            let keys = keys.as_object().unwrap().clone();
            model.data_sources.push(DataSource { id: 1, keys, is_default: true, version: 1, read_only: true });
            let spec = json!({"panels": [], "schemaVersion": 39, "title": "Provisioned dashboard"});
            let mut dashboard = model.new_dashboard("prov-dash", spec.as_object().unwrap().clone(), "v0alpha1");
            dashboard.provisioned_by = Some("qa.json".to_owned());
            model.dashboards.push(dashboard);
        }
        model
    }

    /// Writes the state, if it is kept at all.
    pub fn keep(&self) {
        let Some(file) = &self.file else { return };
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, serde_json::to_vec(self).unwrap()).unwrap();
        std::fs::rename(&fresh, file).unwrap();
    }

    /// A number as large as those of the real one, and never given before.
    pub fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        3_415_610_000_000_000 + self.next_id * 4096
    }

    /// A resource version: grows with each write.
    pub fn new_resource_version(&mut self) -> u64 {
        let now = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or(0);
        self.last_version = now.max(self.last_version + 1);
        self.last_version
    }

    pub fn data_source(&self, uid: &str) -> Option<&DataSource> {
        self.data_sources.iter().find(|source| source.text("uid") == uid)
    }

    pub fn folder(&self, uid: &str) -> Option<&Folder> {
        self.folders.iter().find(|folder| folder.uid == uid)
    }

    pub fn dashboard(&self, uid: &str) -> Option<&Dashboard> {
        self.dashboards.iter().find(|dashboard| dashboard.uid == uid)
    }

    /// A first version; its message is not kept, as with the real one.
    pub fn new_dashboard(&mut self, uid: &str, spec: Map<String, Value>, format: &str) -> Dashboard {
        let now = now();
        let mut dashboard = Dashboard {
            id: self.new_id(),
            uid: uid.to_owned(),
            spec,
            format: format.to_owned(),
            folder_uid: String::new(),
            generation: 1,
            resource_version: self.new_resource_version(),
            object_uid: String::new(),
            message: String::new(),
            created: now.clone(),
            updated: now,
            saved_again: false,
            provisioned_by: None,
            history: Vec::new(),
        };
        dashboard.object_uid = format!("182e8c04-7146-4c47-aa96-{:012x}", dashboard.id);
        dashboard.remember();
        dashboard
    }
}

impl DataSource {
    pub fn text(&self, key: &str) -> &str {
        self.keys.get(key).and_then(Value::as_str).unwrap_or_default()
    }
}

impl Dashboard {
    /// Adds what is there now to the history.
    pub fn remember(&mut self) {
        let message = if self.generation == 1 { "Initial save" } else { &self.message };
        self.history.push(HistoryEntry {
            version: self.generation,
            created: self.updated.clone(),
            message: message.to_owned(),
            spec: self.spec.clone(),
        });
    }

    /// Whether the newest save was of a format that classic JSON cannot carry.
    pub fn is_newer_format(&self) -> bool {
        self.format.starts_with("v2")
    }
}

/// The time as Grafana writes it.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
