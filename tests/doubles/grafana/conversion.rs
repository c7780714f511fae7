//! One format of dashboards read as another, with what is lost on the way.

use super::model::Dashboard;
use super::reply::text;
use serde_json::{Map, Value, json};

/// A dashboard as the classic route shows it: as it was saved, or, from a newer format, what classic can say.
pub fn to_classic(dashboard: &Dashboard) -> Map<String, Value> {
    if dashboard.is_newer_format() { classic_of_v2(&dashboard.spec) } else { dashboard.spec.clone() }
}

/// A dashboard as version 1 of the newer route shows it: migrated, with every default filled in.
pub fn to_v1(dashboard: &Dashboard) -> Map<String, Value> {
    if dashboard.is_newer_format() {
        return classic_of_v2(&dashboard.spec);
    }
    let builtin = json!({
        "builtIn": 1, "datasource": {"type": "grafana", "uid": "-- Grafana --"}, "enable": true, "hide": true,
        "iconColor": "rgba(0, 211, 255, 1)", "name": "Annotations & Alerts", "type": "dashboard",
    });
    let defaults = json!({
        "annotations": {"list": [builtin]}, "editable": true, "fiscalYearStartMonth": 0, "graphTooltip": 0,
        "links": [], "panels": [], "refresh": "", "tags": [], "templating": {"list": []},
        "time": {"from": "now-6h", "to": "now"}, "timepicker": {}, "timezone": "", "weekStart": "",
    });
    let mut migrated = defaults.as_object().cloned().unwrap_or_default();
    migrated.extend(dashboard.spec.clone());
    for key in ["id", "uid", "version"] {
        migrated.remove(key);
    }
    migrated.insert("schemaVersion".to_owned(), json!(42));
    for panel in migrated.get_mut("panels").and_then(Value::as_array_mut).into_iter().flatten() {
        if panel.get("options") == Some(&json!({})) {
            panel.as_object_mut().map(|panel| panel.remove("options"));
        }
    }
    migrated
}

fn classic_of_v2(spec: &Map<String, Value>) -> Map<String, Value> {
    let spec = Value::Object(spec.clone());
    let items = spec["layout"]["spec"]["items"].as_array().cloned().unwrap_or_default();
    let panels: Vec<Value> = items.iter().map(|item| panel_of_v2(&spec, &item["spec"])).collect();
    let time = &spec["timeSettings"];
    let classic = json!({
        "annotations": {"list": []}, "editable": spec["editable"], "fiscalYearStartMonth": time["fiscalYearStartMonth"],
        "graphTooltip": 0, "liveNow": spec["liveNow"], "panels": panels, "preload": spec["preload"],
        "refresh": time["autoRefresh"], "schemaVersion": 42, "time": {"from": time["from"], "to": time["to"]},
        "timezone": time["timezone"], "title": spec["title"],
    });
    classic.as_object().cloned().unwrap_or_default()
}

fn panel_of_v2(spec: &Value, item: &Value) -> Value {
    let panel = &spec["elements"][text(&item["element"], "name")]["spec"];
    let (view, queries) = (&panel["vizConfig"], &panel["data"]["spec"]["queries"]);
    let targets: Vec<Value> =
        queries.as_array().into_iter().flatten().map(|query| target_of_v2(&query["spec"])).collect();
    json!({
        "datasource": targets.first().map(|target| target["datasource"].clone()),
        "gridPos": {"h": item["height"], "w": item["width"], "x": item["x"], "y": item["y"]},
        "id": panel["id"], "options": view["spec"]["options"], "pluginVersion": view["version"],
        "targets": targets, "title": panel["title"], "type": view["group"],
    })
}

fn target_of_v2(query: &Value) -> Value {
    let data_source = json!({"type": query["query"]["group"], "uid": query["query"]["datasource"]["name"]});
    let mut target = query["query"]["spec"].clone();
    target["datasource"] = data_source;
    target["refId"] = query["refId"].clone();
    target
}
