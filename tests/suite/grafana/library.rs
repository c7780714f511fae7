//! Dashboards from one Grafana to another: what somebody edited stays edited there.

use super::provisioning::{VERSIONS, dashboard, edit_by_hand, next_release, on_each_version, only};
use super::{Running, shipped};
use crate::grafana_double::Settings;
use qastack::grafana::{Action, Library, provision};
use serde_json::{Value, json};

const PROMETHEUS: &str = "http://prometheus:9090";

async fn of_version(version: &str) -> Running {
    Running::start(Settings { version: version.to_owned(), ..Settings::default() }).await
}

/// A Grafana of this version whose shipped dashboard somebody has edited, as a library.
async fn edited(version: &str) -> Library {
    let grafana = of_version(version).await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    provision(&client, &spec).await.unwrap();
    edit_by_hand(&grafana).await;
    Library::read(&client, &spec).await.unwrap().0
}

#[tokio::test]
async fn an_edited_dashboard_that_is_put_back_where_there_is_none_is_not_taken_for_ours() {
    for version in VERSIONS {
        let grafana = of_version(version).await;
        let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
        let library = edited(version).await;
        let (changes, left_out) = library.compare(&client, &spec).await.unwrap();
        assert_eq!(left_out, [""; 0]);
        library.put_back(&client, &changes, "restored").await.unwrap();
        assert_eq!(library.compare(&client, &spec).await.unwrap().0, [], "a second time there is nothing to do");

        let later = provision(&client, &next_release(&spec)).await.unwrap();
        let kept = later.steps.iter().any(|(step, _)| step.action == Action::Keep);
        assert!(kept, "{later:?}");
        assert_eq!(dashboard(&grafana).await["dashboard"]["title"], "Our own title");
    }
}

#[tokio::test]
async fn an_edited_dashboard_that_was_imported_with_its_mark_is_not_taken_for_ours() {
    on_each_version(async |grafana| {
        let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
        provision(&client, &spec).await.unwrap();
        let mut imported = dashboard(&grafana).await["dashboard"].take();
        let (status, _) = grafana.call("DELETE", "/api/dashboards/uid/qa-overview", Value::Null).await;
        assert_eq!(status, 200);
        imported["panels"][1]["title"] = json!("Our own panel");
        for key in ["id", "version"] {
            imported.as_object_mut().unwrap().remove(key);
        }
        let body = json!({"dashboard": imported, "folderUid": "qastack", "message": "", "overwrite": false});
        let (status, answer) = grafana.call("POST", "/api/dashboards/db", body).await;
        assert_eq!(status, 200, "{answer}");

        let again = provision(&client, &spec).await.unwrap();
        assert_eq!(only(&again).action, Action::Keep);
    })
    .await;
}

#[tokio::test]
async fn a_dashboard_that_is_stored_in_a_newer_format_is_left_as_it_is_and_named() {
    let library = edited("12.4.0").await;
    let grafana = of_version("12.4.0").await;
    let (client, spec) = (grafana.client(), shipped(PROMETHEUS));
    provision(&client, &spec).await.unwrap();
    "v2beta1".clone_into(&mut grafana.double.model().dashboards[0].format);
    let (changes, left_out) = library.compare(&client, &spec).await.unwrap();
    assert_eq!(changes, []);
    assert_eq!(left_out, ["Our own title (qa-overview)"]);
}
