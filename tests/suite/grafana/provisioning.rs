//! Provisioning: what is missing is made, what is ours is brought up to date, what a user did stays.

use super::{Running, shipped};
use crate::grafana_double::Settings;
use qastack::grafana::{
    Action, DashboardSpec, GrafanaSpec, Object, ProvisionStep, Provisioned, observe, plan, provision,
};
use serde_json::{Value, json};

const PROMETHEUS: &str = "http://prometheus:9090";

fn summary(provisioned: &Provisioned) -> Vec<String> {
    provisioned.steps.iter().map(|(step, _)| format!("{} {}", step.action.word(), step.object)).collect()
}

pub fn only(provisioned: &Provisioned) -> &ProvisionStep {
    assert_eq!(provisioned.steps.len(), 1, "{provisioned:?}");
    &provisioned.steps[0].0
}

/// The shipped one as the next release may ship it.
pub fn next_release(spec: &GrafanaSpec) -> GrafanaSpec {
    let mut shipped: Value = serde_json::from_str(include_str!("../../../dashboards/qa-overview.json")).unwrap();
    shipped["refresh"] = json!("1m");
    let mut next = spec.clone();
    next.dashboards = vec![DashboardSpec::parse(&shipped.to_string()).unwrap()];
    next
}

pub async fn dashboard(grafana: &Running) -> Value {
    let (status, body) = grafana.call("GET", "/api/dashboards/uid/qa-overview", Value::Null).await;
    assert_eq!(status, 200, "{body}");
    body
}

/// A user's edit in the browser: saved by the classic route over the version that was read.
pub async fn edit_by_hand(grafana: &Running) {
    let read = dashboard(grafana).await;
    let mut edited = read["dashboard"].clone();
    edited["title"] = json!("Our own title");
    let body = json!({"dashboard": edited, "folderUid": read["meta"]["folderUid"], "message": "", "overwrite": false});
    let (status, answer) = grafana.call("POST", "/api/dashboards/db", body).await;
    assert_eq!(status, 200, "{answer}");
}

pub const VERSIONS: [&str; 4] = ["10.4.2", "11.6.0", "12.4.0", "13.1.0"];

pub async fn on_each_version(scenario: impl AsyncFn(Running)) {
    for version in VERSIONS {
        scenario(Running::start(Settings { version: version.to_owned(), ..Settings::default() }).await).await;
    }
}

#[tokio::test]
async fn a_fresh_grafana_gets_everything_and_the_second_run_writes_nothing() {
    on_each_version(async |grafana| {
        let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
        let first = provision(&client, &spec).await.unwrap();
        let made = [
            "create data source qastack-prometheus",
            "create folder qastack",
            "create dashboard qa-overview",
            "update home page",
        ];
        assert_eq!(summary(&first), made);
        let writes = grafana.double.writes();

        assert_eq!(plan(&spec, &observe(&client, &spec).await.unwrap()), []);
        assert_eq!(provision(&client, &spec).await.unwrap(), Provisioned::default());
        assert_eq!(grafana.double.writes(), writes);
        assert_eq!(dashboard(&grafana).await["dashboard"]["version"], 1);
    })
    .await;
}

#[tokio::test]
async fn everything_is_where_a_browser_looks_for_it() {
    let grafana = Running::start(Settings::default()).await;
    provision(&grafana.client(), &shipped(PROMETHEUS)).await.unwrap();
    let (_, source) = grafana.call("GET", "/api/datasources/uid/qastack-prometheus", Value::Null).await;
    assert_eq!(source["url"], PROMETHEUS);
    assert_eq!(source["jsonData"], json!({"httpMethod": "POST", "timeInterval": "15s"}));
    let dashboard = dashboard(&grafana).await;
    assert_eq!(dashboard["meta"]["folderUid"], "qastack");
    assert_eq!(dashboard["dashboard"]["title"], "QA overview");
    let (_, preferences) = grafana.call("GET", "/api/org/preferences", Value::Null).await;
    assert_eq!(preferences["homeDashboardUID"], "qa-overview");
}

#[tokio::test]
async fn a_new_template_replaces_the_one_that_nobody_edited_and_stays_in_its_folder() {
    on_each_version(async |grafana| {
        let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
        provision(&client, &spec).await.unwrap();
        grafana.call("POST", "/api/folders", json!({"uid": "mine", "title": "Mine"})).await;
        // Moved as the newer route does it: another folder, the same specification.
        "mine".clone_into(&mut grafana.double.model().dashboards[0].folder_uid);

        let next = next_release(&spec);
        let updated = provision(&client, &next).await.unwrap();
        let step = only(&updated);
        assert_eq!((step.action, &step.object), (Action::Update, &Object::Dashboard("qa-overview".to_owned())));
        assert!(step.reason.contains(&spec.dashboards[0].hash) && step.reason.contains(&next.dashboards[0].hash));
        let found = dashboard(&grafana).await;
        assert_eq!(
            (found["dashboard"]["refresh"].as_str(), found["meta"]["folderUid"].as_str()),
            (Some("1m"), Some("mine"))
        );

        // From now on the message of the second version speaks.
        assert_eq!(provision(&client, &next).await.unwrap(), Provisioned::default());
        only(&provision(&client, &spec).await.unwrap());
        assert_eq!(dashboard(&grafana).await["dashboard"]["version"], 3);
    })
    .await;
}

#[tokio::test]
async fn an_edited_dashboard_is_kept_and_reported() {
    on_each_version(async |grafana| {
        let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
        provision(&client, &spec).await.unwrap();
        edit_by_hand(&grafana).await;
        let writes = grafana.double.writes();
        for spec in [&spec, &next_release(&spec)] {
            let kept = provision(&client, spec).await.unwrap();
            assert_eq!(only(&kept).action, Action::Keep);
            assert!(only(&kept).reason.contains("edited"), "{}", only(&kept).reason);
        }
        assert_eq!(grafana.double.writes(), writes);
        assert_eq!(dashboard(&grafana).await["dashboard"]["title"], "Our own title");
    })
    .await;
}

#[tokio::test]
async fn an_edit_by_a_tool_that_keeps_our_message_is_kept_too() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    provision(&client, &spec).await.unwrap();
    let path = "/apis/dashboard.grafana.app/v1beta1/namespaces/default/dashboards/qa-overview";
    let (_, mut object) = grafana.call("GET", path, Value::Null).await;
    assert!(object["metadata"]["annotations"]["grafana.app/message"].as_str().unwrap().starts_with("qastack "));
    object["spec"]["title"] = json!("Edited with a tool");
    assert_eq!(grafana.call("PUT", path, object).await.0, 200);

    let kept = provision(&client, &next_release(&spec)).await.unwrap();
    assert_eq!(only(&kept).action, Action::Keep);
    assert_eq!(dashboard(&grafana).await["dashboard"]["title"], "Edited with a tool");
}

#[tokio::test]
async fn a_dashboard_of_the_newer_format_is_never_written_over() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    provision(&client, &spec).await.unwrap();
    "v2beta1".clone_into(&mut grafana.double.model().dashboards[0].format);
    let kept = provision(&client, &next_release(&spec)).await.unwrap();
    assert_eq!(only(&kept).action, Action::Keep);
}

#[tokio::test]
async fn a_deleted_dashboard_comes_back_without_taking_the_home_page() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    grafana.call("POST", "/api/dashboards/db", json!({"dashboard": {"uid": "own", "title": "Own"}})).await;
    grafana.call("PATCH", "/api/org/preferences", json!({"homeDashboardUID": "own"})).await;
    provision(&client, &spec).await.unwrap();
    grafana.call("DELETE", "/api/dashboards/uid/qa-overview", Value::Null).await;

    assert_eq!(summary(&provision(&client, &spec).await.unwrap()), ["create dashboard qa-overview"]);
    let (_, preferences) = grafana.call("GET", "/api/org/preferences", Value::Null).await;
    assert_eq!(preferences["homeDashboardUID"], "own");
}

#[tokio::test]
async fn a_changed_data_source_gets_our_keys_back_and_keeps_the_users() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    provision(&client, &spec).await.unwrap();
    let path = "/api/datasources/uid/qastack-prometheus";
    let body = json!({
        "uid": "qastack-prometheus", "name": "Renamed", "type": "prometheus", "access": "proxy", "isDefault": true,
        "url": "http://elsewhere:9090", "jsonData": {"httpMethod": "GET", "timeInterval": "15s", "manageAlerts": false},
    });
    assert_eq!(grafana.call("PUT", path, body).await.0, 200);

    let updated = provision(&client, &spec).await.unwrap();
    let differences = "url: http://elsewhere:9090 -> http://prometheus:9090, jsonData.httpMethod: GET -> POST";
    assert_eq!((only(&updated).action, only(&updated).reason.as_str()), (Action::Update, differences));
    let (_, source) = grafana.call("GET", path, Value::Null).await;
    assert_eq!((source["name"].as_str(), source["isDefault"].as_bool()), (Some("Renamed"), Some(true)));
    assert_eq!(source["jsonData"]["manageAlerts"], false);
    assert_eq!(source["url"], PROMETHEUS);
    assert_eq!(provision(&client, &spec).await.unwrap(), Provisioned::default());
}

#[tokio::test]
async fn a_data_source_that_has_our_name_stays_beside_ours() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    let other = json!({"uid": "other", "name": spec.data_source.name, "type": "prometheus", "access": "proxy", "url": "http://x:1"});
    assert_eq!(grafana.call("POST", "/api/datasources", other).await.0, 200);
    let made = provision(&client, &spec).await.unwrap();
    let step = &made.steps[0].0;
    assert_eq!(step.action, Action::Create);
    assert!(step.reason.contains("other"), "{}", step.reason);
    assert_eq!(grafana.call("GET", "/api/datasources/uid/other", Value::Null).await.1["url"], "http://x:1");
    assert_eq!(provision(&client, &spec).await.unwrap(), Provisioned::default());
}

#[tokio::test]
async fn what_files_provisioned_is_kept() {
    let grafana = Running::start(Settings { provisioned: true, ..Settings::default() }).await;
    let mut spec = shipped(PROMETHEUS);
    "prov-ds".clone_into(&mut spec.data_source.uid);
    let kept = provision(&grafana.client(), &spec).await.unwrap();
    let step = &kept.steps[0].0;
    assert_eq!(step.action, Action::Keep);
    assert!(step.reason.contains("read-only") && step.reason.contains("http://nowhere:9090"), "{}", step.reason);
}

#[tokio::test]
async fn titles_that_others_have_are_made_our_own_where_grafana_wants_that() {
    on_each_version(async |grafana| {
        let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
        let (status, _) = grafana.call("POST", "/api/folders", json!({"uid": "theirs", "title": "QA metrics"})).await;
        assert_eq!(status, 200);
        let theirs = json!({"uid": "their-own", "title": spec.dashboards[0].title});
        let body = json!({"dashboard": theirs, "folderUid": "", "message": "", "overwrite": false});
        assert_eq!(grafana.call("POST", "/api/dashboards/db", body).await.0, 200);

        provision(&client, &spec).await.unwrap();
        assert_eq!(provision(&client, &spec).await.unwrap(), Provisioned::default());
        let (_, read) = grafana.call("GET", "/api/folders/theirs", Value::Null).await;
        assert_eq!(read["title"], "QA metrics");
    })
    .await;
}

#[tokio::test]
async fn a_dashboard_whose_title_is_taken_in_our_folder_gets_its_uid_into_the_title() {
    let grafana = Running::start(Settings { version: "10.4.2".to_owned(), ..Settings::default() }).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    assert_eq!(grafana.call("POST", "/api/folders", json!({"uid": "qastack", "title": "QA metrics"})).await.0, 200);
    let theirs = json!({"uid": "their-own", "title": spec.dashboards[0].title});
    let body = json!({"dashboard": theirs, "folderUid": "qastack", "message": "", "overwrite": false});
    assert_eq!(grafana.call("POST", "/api/dashboards/db", body).await.0, 200);

    let first = provision(&client, &spec).await.unwrap();
    let title = format!("{} (qa-overview)", spec.dashboards[0].title);
    assert_eq!(dashboard(&grafana).await["dashboard"]["title"], title);
    assert!(first.steps.iter().any(|(step, _)| step.reason.contains(&title)), "{first:?}");
    assert_eq!(provision(&client, &spec).await.unwrap(), Provisioned::default());
}
