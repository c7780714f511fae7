//! The shipped dashboards: what a user must find on them, and that every expression can be evaluated.

use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};
use qastack::grafana::{DATA_SOURCE_UID, DashboardSpec};
use serde_json::Value;
use std::path::Path;

fn shipped() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/qa-overview.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The panels that show something; rows only divide.
fn panels(dashboard: &Value) -> Vec<&Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect()
}

fn panel<'a>(dashboard: &'a Value, title: &str) -> &'a Value {
    panels(dashboard).into_iter().find(|panel| panel["title"] == title).unwrap_or_else(|| panic!("no panel {title:?}"))
}

fn expressions(panel: &Value) -> Vec<&str> {
    panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap()).collect()
}

#[test]
fn the_two_figures_are_stats_in_percent_with_thresholds_and_a_sparkline() {
    let dashboard = shipped();
    for (title, metric) in [("Flake Rate", "flake_rate"), ("Defect Leakage", "defect_leakage")] {
        let panel = panel(&dashboard, title);
        assert_eq!(panel["type"], "stat");
        assert_eq!(expressions(panel), [metric]);
        let defaults = &panel["fieldConfig"]["defaults"];
        assert_eq!(defaults["unit"], "percentunit");
        assert_eq!(defaults["thresholds"]["steps"].as_array().unwrap().len(), 3);
        assert_eq!(panel["options"]["graphMode"], "area");
        // A sparkline needs the whole range.
        assert_eq!(panel["targets"][0]["instant"], false);
        // The newest value, even where it is NaN: an older number would be a false figure.
        assert_eq!(panel["options"]["reduceOptions"]["calcs"], serde_json::json!(["last"]));
        assert_eq!(defaults["noValue"], "no data yet");
        assert!(panels(&dashboard).iter().any(|other| other["type"] == "timeseries" && expressions(other) == [metric]));
    }
}

#[test]
fn a_figure_is_shown_from_the_first_scrape_on() {
    let dashboard = shipped();
    assert_eq!((&dashboard["time"]["from"], &dashboard["time"]["to"]), (&"now-6h".into(), &"now".into()));
    for panel in panels(&dashboard).into_iter().filter(|panel| panel["type"] == "stat") {
        // Points lie on multiples of their distance: one of a minute would show nothing for a minute.
        let points = panel["maxDataPoints"].as_u64().unwrap_or_else(|| panic!("{}", panel["title"]));
        assert!(6 * 3600 / points < 15, "{}", panel["title"]);
    }
}

#[test]
fn sample_data_is_marked_at_the_top() {
    let dashboard = shipped();
    let banner = panels(&dashboard)[0];
    assert_eq!((banner["gridPos"]["y"].as_u64(), banner["gridPos"]["w"].as_u64()), (Some(0), Some(24)));
    assert_eq!(expressions(banner), ["qa_sample_data"]);
}

#[test]
fn every_panel_says_what_it_shows_and_asks_our_data_source() {
    let dashboard = shipped();
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        assert!(panel["description"].as_str().unwrap().len() > 20, "{title}: no description");
        assert_eq!(panel["datasource"]["uid"], DATA_SOURCE_UID, "{title}");
        assert!(!panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(), "{title}: no unit");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], DATA_SOURCE_UID, "{title}");
        }
    }
}

#[test]
fn the_panels_fill_the_grid_without_overlap_and_their_ids_differ() {
    let dashboard = shipped();
    let all = dashboard["panels"].as_array().unwrap();
    let mut ids: Vec<u64> = all.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all.len());
    let mut taken = std::collections::BTreeMap::<u64, u64>::new();
    for panel in all {
        let grid = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(grid("x") + grid("w") <= 24);
        (grid("y")..grid("y") + grid("h")).for_each(|row| *taken.entry(row).or_default() += grid("w"));
    }
    assert!(taken.values().all(|width| *width == 24), "rows that are not 24 wide: {taken:?}");
}

#[test]
fn every_expression_asks_for_metrics_and_labels_that_the_exporter_shows() {
    let page = crate::exporter::running::Running::start().get("/metrics").body;
    let dashboard = shipped();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap();
            let legend = target["legendFormat"].as_str().unwrap();
            let named = legend.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}"));
            for (name, mut labels) in selectors(&expression.replace("$project", ".*")) {
                labels.extend(named.map(str::to_owned));
                let shown: Vec<&str> = page.lines().filter(|line| is_sample_of(line, &name)).collect();
                assert!(!shown.is_empty(), "{expression:?}: the exporter shows no {name}");
                for label in labels {
                    let labelled = shown.iter().all(|line| line.contains(&format!("{label}=\"")));
                    assert!(labelled, "{expression:?}: {name} has no label {label}");
                }
            }
        }
    }
}

#[test]
fn the_variable_lists_the_projects_of_a_metric_that_the_exporter_shows() {
    let page = crate::exporter::running::Running::start().get("/metrics").body;
    let dashboard = shipped();
    let variable = &dashboard["templating"]["list"][0];
    assert_eq!(
        (variable["name"].as_str(), variable["query"]["query"].as_str()),
        (Some("project"), Some("label_values(qa_tests, project)"))
    );
    assert!(page.lines().any(|line| is_sample_of(line, "qa_tests") && line.contains("project=\"")));
}

fn is_sample_of(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']))
}

#[test]
fn a_dashboard_carries_its_hash_which_formatting_does_not_change() {
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboards/qa-overview.json")).unwrap();
    let (pretty, compact) =
        (DashboardSpec::parse(&text).unwrap(), DashboardSpec::parse(&shipped().to_string()).unwrap());
    assert_eq!(pretty.hash, compact.hash);
    assert!(pretty.json["description"].as_str().unwrap().contains(&pretty.hash));
    assert!(pretty.json.get("id").is_none());
    let mut changed = shipped();
    changed["refresh"] = Value::from("5m");
    assert_ne!(DashboardSpec::parse(&changed.to_string()).unwrap().hash, pretty.hash);
}

/// The metrics in an expression, each with the labels it is selected by.
fn selectors(expression: &str) -> Vec<(String, Vec<String>)> {
    struct Found(Vec<(String, Vec<String>)>);
    impl ExprVisitor for Found {
        type Error = std::convert::Infallible;
        fn pre_visit(&mut self, expression: &Expr) -> Result<bool, Self::Error> {
            let selector = match expression {
                Expr::VectorSelector(selector) => selector,
                Expr::MatrixSelector(selector) => &selector.vs,
                _ => return Ok(true),
            };
            let labels = selector.matchers.matchers.iter().map(|matcher| matcher.name.clone()).collect();
            self.0.push((selector.name.clone().unwrap_or_default(), labels));
            Ok(true)
        }
    }
    let parsed = parser::parse(expression).unwrap_or_else(|error| panic!("{expression:?}: {error}"));
    let mut found = Found(Vec::new());
    let Ok(_) = walk_expr(&mut found, &parsed);
    found.0
}
