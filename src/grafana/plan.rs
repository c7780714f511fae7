//! From what should be there and what is there to the calls that close the gap. Pure: no call is made here.
//!
//! Each step is one call with its reason. An object that is as it should be has no step; one that differs
//! and is not ours to change has a step that keeps it, which the user reads as a warning.

use super::observed::{Observed, ObservedDashboard, Readable, StoredFormat};
use super::spec::{DashboardSpec, DataSourceSpec, FolderSpec, GrafanaSpec};
use serde_json::{Map, Value, json};
use std::fmt;

/// One object of Grafana and what is to be done about it.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvisionStep {
    /// What is to be done.
    pub action: Action,
    /// To what.
    pub object: Object,
    /// Why, key by key where keys differ.
    pub reason: String,
    /// The call that does it; none where the object is kept.
    pub call: Option<ApiCall>,
}

/// What is to be done about an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It is not there.
    Create,
    /// It is ours and differs.
    Update,
    /// It differs and is not ours to change: a warning.
    Keep,
}

/// An object of Grafana.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Object {
    /// The data source of this uid.
    DataSource(String),
    /// The folder of this uid.
    Folder(String),
    /// The dashboard of this uid.
    Dashboard(String),
    /// The organisation's home page.
    HomePage,
}

/// One call that writes.
#[derive(Debug, Clone, PartialEq)]
pub struct ApiCall {
    /// `POST`, `PUT` or `PATCH`.
    pub method: &'static str,
    /// The path below Grafana's root.
    pub path: String,
    /// The body.
    pub body: Value,
}

impl Action {
    /// The word for machine output and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Keep => "keep",
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DataSource(uid) => write!(f, "data source {uid}"),
            Self::Folder(uid) => write!(f, "folder {uid}"),
            Self::Dashboard(uid) => write!(f, "dashboard {uid}"),
            Self::HomePage => f.write_str("home page"),
        }
    }
}

/// What must be done so that Grafana shows what the specification says, without losing a user's edit.
pub fn plan(spec: &GrafanaSpec, observed: &Observed) -> Vec<ProvisionStep> {
    let dashboards: Vec<_> = spec
        .dashboards
        .iter()
        .zip(&observed.dashboards)
        .filter_map(|(wanted, found)| plan_dashboard(wanted, &spec.folder.uid, found))
        .collect();
    let creates = |uid: &str| {
        dashboards.iter().any(|step| step.action == Action::Create && step.object == Object::Dashboard(uid.to_owned()))
    };
    // A user who moved the dashboards elsewhere may delete our folder: it is needed for new ones only.
    let needs_folder = dashboards.iter().any(|step| step.action == Action::Create);
    let is_first_new = spec.dashboards.first().is_some_and(|first| creates(&first.uid));

    let mut steps = Vec::new();
    steps.extend(plan_data_source(&spec.data_source, observed));
    steps.extend(needs_folder.then(|| plan_folder(&spec.folder, &observed.folder)).flatten());
    steps.extend(dashboards);
    steps.extend(is_first_new.then(|| plan_home(spec, observed)).flatten());
    steps
}

fn plan_data_source(wanted: &DataSourceSpec, observed: &Observed) -> Option<ProvisionStep> {
    let object = Object::DataSource(wanted.uid.clone());
    let found = match &observed.data_source {
        Readable::Denied => {
            return Some(keep(object, "the login may not read it, so that one cannot tell whether it is there"));
        }
        Readable::Read(None) => return Some(create_data_source(wanted, observed.name_taken_by.as_deref())),
        Readable::Read(Some(found)) => found,
    };
    let mut differences = Vec::new();
    let merged = merge(found, &wanted.keys(), "", &mut differences);
    if differences.is_empty() {
        return None;
    }
    let differences = differences.join(", ");
    if found.get("readOnly").and_then(Value::as_bool) == Some(true) {
        return Some(keep(object, &format!("it is read-only, provisioned by a file ({differences})")));
    }
    let path = format!("/api/datasources/uid/{}", wanted.uid);
    let call = ApiCall { method: "PUT", path, body: writable(merged) };
    Some(ProvisionStep { action: Action::Update, object, reason: differences, call: Some(call) })
}

fn create_data_source(wanted: &DataSourceSpec, name_taken_by: Option<&str>) -> ProvisionStep {
    // The name is for people, the uid is what counts: with a second name both data sources can stay.
    let (name, reason) = match name_taken_by {
        None => (wanted.name.clone(), "not there".to_owned()),
        Some(other) => {
            let name = format!("{} ({})", wanted.name, wanted.uid);
            let reason = format!(
                "not there; the name {:?} belongs to the data source with uid {other}, so that this one is called {name:?}",
                wanted.name
            );
            (name, reason)
        }
    };
    let mut body = Map::new();
    body.insert("uid".to_owned(), Value::String(wanted.uid.clone()));
    body.insert("name".to_owned(), Value::String(name));
    body.extend(wanted.keys());
    let call = ApiCall { method: "POST", path: "/api/datasources".to_owned(), body: Value::Object(body) };
    ProvisionStep { action: Action::Create, object: Object::DataSource(wanted.uid.clone()), reason, call: Some(call) }
}

/// What is there with our keys over it; the differences in words.
fn merge(found: &Value, ours: &Map<String, Value>, above: &str, differences: &mut Vec<String>) -> Map<String, Value> {
    let mut merged = found.as_object().cloned().unwrap_or_default();
    for (key, wanted) in ours {
        let name = format!("{above}{key}");
        let present = merged.get(key).unwrap_or(&Value::Null);
        let value = match wanted {
            Value::Object(inner) => Value::Object(merge(present, inner, &format!("{name}."), differences)),
            scalar if scalar == present => continue,
            scalar => {
                differences.push(format!("{name}: {} -> {}", shown(present), shown(scalar)));
                scalar.clone()
            }
        };
        merged.insert(key.clone(), value);
    }
    merged
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Without what only Grafana writes. The numeric id is never sent, the version stays: it names what was read.
fn writable(mut data_source: Map<String, Value>) -> Value {
    for key in ["id", "orgId", "typeLogoUrl", "typeName", "readOnly", "secureJsonFields", "apiVersion", "accessControl"]
    {
        data_source.remove(key);
    }
    Value::Object(data_source)
}

fn plan_folder(wanted: &FolderSpec, found: &Readable<bool>) -> Option<ProvisionStep> {
    let object = Object::Folder(wanted.uid.clone());
    match found {
        Readable::Read(true) => None,
        Readable::Denied => {
            Some(keep(object, "the login may not read it, so that one cannot tell whether it is there"))
        }
        Readable::Read(false) => {
            let body = json!({"uid": wanted.uid, "title": wanted.title});
            let call = ApiCall { method: "POST", path: "/api/folders".to_owned(), body };
            Some(ProvisionStep { action: Action::Create, object, reason: "not there".to_owned(), call: Some(call) })
        }
    }
}

fn plan_dashboard(
    wanted: &DashboardSpec,
    folder: &str,
    found: &Readable<Option<ObservedDashboard>>,
) -> Option<ProvisionStep> {
    let object = Object::Dashboard(wanted.uid.clone());
    let found = match found {
        Readable::Denied => {
            return Some(keep(object, "the login may not read it, so that one cannot tell whether it is there"));
        }
        Readable::Read(None) => {
            let call = save(wanted, folder, None);
            return Some(ProvisionStep {
                action: Action::Create,
                object,
                reason: "not there".to_owned(),
                call: Some(call),
            });
        }
        Readable::Read(Some(found)) => found,
    };
    let Some(written) = &found.ours else {
        return Some(keep(object, "it was edited; the edited one stays as it is"));
    };
    if *written == wanted.hash {
        return None;
    }
    match &found.stored {
        _ if found.provisioned => Some(keep(object, "it is provisioned by a file or another tool")),
        StoredFormat::Newer(format) => {
            Some(keep(object, &format!("it is stored as {format}, which a save would lose")))
        }
        StoredFormat::Denied => Some(keep(object, "the login may not read how it is stored")),
        StoredFormat::Classic => {
            let reason = format!("template: {written} -> {}", wanted.hash);
            let call = save(wanted, &found.folder_uid, Some(found.version));
            Some(ProvisionStep { action: Action::Update, object, reason, call: Some(call) })
        }
    }
}

/// A save that fails where somebody else saved in between: without a version it only creates.
fn save(wanted: &DashboardSpec, folder: &str, version: Option<u64>) -> ApiCall {
    let mut dashboard = wanted.json.clone();
    if let (Some(version), Some(object)) = (version, dashboard.as_object_mut()) {
        object.insert("version".to_owned(), Value::from(version));
    }
    // Without a folder the dashboard would move to the root.
    let body = json!({
        "dashboard": dashboard, "folderUid": folder, "message": wanted.message(), "overwrite": false,
    });
    ApiCall { method: "POST", path: "/api/dashboards/db".to_owned(), body }
}

/// The first dashboard as the home page, unless there is one. It is planned with the dashboard's creation only, so that
/// who takes it away later keeps Grafana's own.
pub fn plan_home(spec: &GrafanaSpec, observed: &Observed) -> Option<ProvisionStep> {
    if observed.home != Readable::Read(None) {
        return None;
    }
    let dashboard = spec.dashboards.first()?.uid.as_str();
    // PATCH, since PUT blanks every preference that it does not carry.
    let body = json!({"homeDashboardUID": dashboard});
    let call = ApiCall { method: "PATCH", path: "/api/org/preferences".to_owned(), body };
    let reason = format!("none is set: dashboard {dashboard}");
    Some(ProvisionStep { action: Action::Update, object: Object::HomePage, reason, call: Some(call) })
}

fn keep(object: Object, reason: &str) -> ProvisionStep {
    ProvisionStep { action: Action::Keep, object, reason: reason.to_owned(), call: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use url::Url;

    fn spec() -> GrafanaSpec {
        GrafanaSpec::shipped(Url::parse("http://prometheus:9090").unwrap(), Duration::from_secs(15)).unwrap()
    }

    fn nothing_there() -> Observed {
        Observed {
            data_source: Readable::Read(None),
            name_taken_by: None,
            folder: Readable::Read(false),
            dashboards: vec![Readable::Read(None)],
            home: Readable::Read(None),
        }
    }

    fn everything_there(dashboard: ObservedDashboard) -> Observed {
        let mut source = Value::Object(spec().data_source.keys());
        source["uid"] = json!("qastack-prometheus");
        source["readOnly"] = json!(false);
        Observed {
            data_source: Readable::Read(Some(source)),
            name_taken_by: None,
            folder: Readable::Read(true),
            dashboards: vec![Readable::Read(Some(dashboard))],
            home: Readable::Read(None),
        }
    }

    fn written_by_us(hash: &str) -> ObservedDashboard {
        ObservedDashboard {
            version: 7,
            folder_uid: "moved".to_owned(),
            provisioned: false,
            ours: Some(hash.to_owned()),
            stored: StoredFormat::Classic,
        }
    }

    fn lines(steps: &[ProvisionStep]) -> Vec<String> {
        let call = |step: &ProvisionStep| step.call.as_ref().map(|call| format!("{} {}", call.method, call.path));
        let line = |step: &ProvisionStep| {
            format!("{} {} | {}", step.action.word(), step.object, call(step).unwrap_or_default())
        };
        steps.iter().map(line).collect()
    }

    #[test]
    fn a_fresh_grafana_is_given_everything_by_one_call_each() {
        let steps = plan(&spec(), &nothing_there());
        assert_eq!(
            lines(&steps),
            [
                "create data source qastack-prometheus | POST /api/datasources",
                "create folder qastack | POST /api/folders",
                "create dashboard qa-overview | POST /api/dashboards/db",
                "update home page | PATCH /api/org/preferences",
            ]
        );
        let data_source = &steps[0].call.as_ref().unwrap().body;
        let expected = json!({
            "uid": "qastack-prometheus", "name": "QA Prometheus", "type": "prometheus", "access": "proxy",
            "url": "http://prometheus:9090", "jsonData": {"httpMethod": "POST", "timeInterval": "15s"},
        });
        assert_eq!(*data_source, expected);
        let save = &steps[2].call.as_ref().unwrap().body;
        assert_eq!((save["folderUid"].as_str(), save["overwrite"].as_bool()), (Some("qastack"), Some(false)));
        assert!(save["dashboard"].get("id").is_none() && save["dashboard"].get("version").is_none());
        let message = format!("qastack {} {}", env!("CARGO_PKG_VERSION"), spec().dashboards[0].hash);
        assert_eq!(save["message"], json!(message));
    }

    #[test]
    fn an_update_names_the_version_that_was_read_and_the_folder_it_is_in() {
        let steps = plan(&spec(), &everything_there(written_by_us("0123456789ab")));
        assert_eq!(lines(&steps), ["update dashboard qa-overview | POST /api/dashboards/db"]);
        let save = &steps[0].call.as_ref().unwrap().body;
        assert_eq!((save["folderUid"].as_str(), save["dashboard"]["version"].as_u64()), (Some("moved"), Some(7)));
        assert_eq!(save["overwrite"], json!(false));
    }

    #[test]
    fn what_is_as_shipped_has_no_step() {
        let hash = spec().dashboards[0].hash.clone();
        assert_eq!(plan(&spec(), &everything_there(written_by_us(&hash))), []);
    }

    #[test]
    fn what_is_not_ours_to_write_is_kept() {
        let outdated = written_by_us("0123456789ab");
        for found in [
            ObservedDashboard { ours: None, ..outdated.clone() },
            ObservedDashboard { provisioned: true, ..outdated.clone() },
            ObservedDashboard { stored: StoredFormat::Newer("v2beta1".to_owned()), ..outdated.clone() },
            ObservedDashboard { stored: StoredFormat::Denied, ..outdated },
        ] {
            assert_eq!(lines(&plan(&spec(), &everything_there(found))), ["keep dashboard qa-overview | "]);
        }
    }

    #[test]
    fn what_cannot_be_read_is_kept_and_a_home_page_that_is_set_stays() {
        let mut observed = nothing_there();
        observed.data_source = Readable::Denied;
        observed.dashboards = vec![Readable::Denied];
        let kept = ["keep data source qastack-prometheus | ", "keep dashboard qa-overview | "];
        assert_eq!(lines(&plan(&spec(), &observed)), kept);
        let mut observed = nothing_there();
        observed.home = Readable::Read(Some("their-own".to_owned()));
        assert_eq!(plan(&spec(), &observed).len(), 3);
    }
}
