//! A Grafana that is slow, locked, half broken, or not Grafana at all; and what it answers to queries.

use super::{Running, fake_prometheus, shipped};
use crate::grafana_double::{Fault, FaultKind, Settings};
use qastack::error::Error;
use qastack::exit_code::Code;
use qastack::grafana::{Action, Client, DataSourceHealth, GrafanaError, Login, Provisioned, provision, wait_ready};
use qastack::secret::Secret;
use serde_json::json;
use std::time::Duration;
use url::Url;

const POLL: Duration = Duration::from_millis(25);
const UID: &str = "qastack-prometheus";

fn fault(path: &str, kind: FaultKind, times: u32) -> Fault {
    Fault { path: path.to_owned(), kind, times: Some(times) }
}

#[tokio::test]
async fn it_waits_through_errors_pages_and_half_answers() {
    let grafana = Running::start(Settings::default()).await;
    grafana.double.fail(fault("/api/health", FaultKind::Status(503), 2));
    grafana.double.fail(fault("/api/health", FaultKind::Html, 1));
    grafana.double.fail(fault("/api/health", FaultKind::Half, 1));
    grafana.double.fail(fault("/api/org", FaultKind::Status(500), 1));
    grafana.double.fail(fault("/api/org", FaultKind::Html, 1));
    grafana.double.fail(fault("/api/plugins/prometheus/settings", FaultKind::Status(404), 1));
    let mut reasons = Vec::new();
    let ready = wait_ready(&grafana.client(), POLL, |error| reasons.push(error.to_string())).await.unwrap();
    assert_eq!(ready.version.as_deref(), Some("12.4.0"));
    assert_eq!(reasons.len(), 7, "{reasons:#?}");
    assert!(reasons[0].contains("answered 503"), "{}", reasons[0]);
    assert!(reasons[2].contains("an HTML page"), "{}", reasons[2]);
    assert!(reasons[3].contains("JSON that breaks off"), "{}", reasons[3]);
}

#[tokio::test]
async fn a_wrong_password_ends_the_wait_after_one_attempt() {
    let grafana = Running::start(Settings::default()).await;
    // Four more would lock the user out: a second attempt of ours would be seen by the fifth.
    let refused = wait_ready(&grafana.client_with("wrong"), POLL, |_| ()).await.unwrap_err();
    assert!(matches!(refused, GrafanaError::PasswordRefused { .. }), "{refused}");
    let error = Error::from(refused);
    assert_eq!(error.code(), Code::GrafanaPassword);
    assert!(error.hint_text().unwrap().contains("volume"));
    for _ in 0..3 {
        wait_ready(&grafana.client_with("wrong"), POLL, |_| ()).await.unwrap_err();
    }
    wait_ready(&grafana.client(), POLL, |_| ()).await.unwrap();
}

#[tokio::test]
async fn nobody_listening_is_said_with_the_address_and_may_be_tried_again() {
    let login = Login { user: "admin".to_owned(), password: Secret::new("s3cret") };
    let base = Url::parse("http://127.0.0.1:1").unwrap();
    let client = Client::new(crate::grafana_double::http_client(), base, login);
    let error = Error::from(client.data_source_health(UID).await.unwrap_err());
    assert!(error.message().contains("http://127.0.0.1:1/"), "{error}");
    assert!(error.is_retryable());
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[tokio::test]
async fn a_refusal_names_the_call_the_status_and_grafanas_words() {
    let grafana = Running::start(Settings::default()).await;
    grafana.double.fail(fault("/api/folders", FaultKind::Status(422), 1));
    let error = Error::from(provision(&grafana.client(), &shipped("http://prometheus:9090")).await.unwrap_err());
    assert_eq!(error.code(), Code::GrafanaFailed);
    for part in ["POST http://127.0.0.1", "/api/folders", "422", "a fault was ordered"] {
        assert!(error.message().contains(part), "{part:?} is missing in {error}");
    }
}

#[tokio::test]
async fn a_missing_permission_to_read_is_no_reason_to_write() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped("http://prometheus:9090"));
    provision(&client, &spec).await.unwrap();
    let path = format!("/api/datasources/uid/{UID}");
    grafana.double.fail(Fault { path, kind: FaultKind::Denied, times: None });
    let kept = provision(&client, &spec).await.unwrap();
    assert_eq!(kept.steps.len(), 1);
    assert_eq!(kept.steps[0].0.action, Action::Keep);
    assert!(kept.steps[0].0.reason.contains("cannot tell"));
}

#[tokio::test]
async fn a_conflict_or_a_passing_trouble_is_looked_at_again_and_nothing_is_written_twice() {
    let kinds =
        [FaultKind::Status(409), FaultKind::Status(412), FaultKind::Status(502), FaultKind::Html, FaultKind::Half];
    for kind in kinds {
        let grafana = Running::start(Settings::default()).await;
        grafana.double.fail(fault("/api/dashboards/db", kind, 1));
        let done = provision(&grafana.client(), &shipped("http://prometheus:9090")).await.unwrap();
        let objects: Vec<String> = done.steps.iter().map(|(step, _)| step.object.to_string()).collect();
        let expected = ["data source qastack-prometheus", "folder qastack", "dashboard qa-overview", "home page"];
        assert_eq!(objects, expected, "{kind:?}");
        let mut writes = grafana.double.writes();
        writes.sort();
        assert_eq!(writes.len(), 4, "{kind:?}: {writes:?}");
    }
}

#[tokio::test]
async fn the_home_page_is_set_although_the_answer_to_the_dashboards_creation_was_lost() {
    let grafana = Running::start(Settings::default()).await;
    let (client, spec) = (grafana.client(), shipped("http://prometheus:9090"));
    grafana.double.fail(fault("/api/dashboards/db", FaultKind::Lost, 1));
    provision(&client, &spec).await.unwrap();
    let (_, preferences) = grafana.call("GET", "/api/org/preferences", json!(null)).await;
    assert_eq!(preferences["homeDashboardUID"], "qa-overview");
    assert_eq!(provision(&client, &spec).await.unwrap(), Provisioned::default());
}

#[tokio::test]
async fn trouble_that_stays_is_told_with_the_call_and_the_status() {
    let grafana = Running::start(Settings::default()).await;
    grafana.double.fail(Fault { path: "/api/folders".to_owned(), kind: FaultKind::Status(503), times: None });
    let error = Error::from(provision(&grafana.client(), &shipped("http://prometheus:9090")).await.unwrap_err());
    assert!(error.message().contains("/api/folders answered 503"), "{error}");
    assert!(error.is_retryable());
}

#[tokio::test]
async fn the_data_sources_health_is_ok_missing_or_an_error_with_its_reason() {
    let prometheus = fake_prometheus().await;
    let grafana = Running::start(Settings::default()).await;
    let client = grafana.client();
    assert_eq!(client.data_source_health(UID).await.unwrap(), DataSourceHealth::Missing);
    provision(&client, &shipped(prometheus.as_str())).await.unwrap();
    assert!(matches!(client.data_source_health(UID).await.unwrap(), DataSourceHealth::Ok { .. }));
    provision(&client, &shipped("http://127.0.0.1:1")).await.unwrap();
    let health = client.data_source_health(UID).await.unwrap();
    let DataSourceHealth::Error { message } = health else { panic!("{health:?}") };
    assert!(message.contains("connection refused"), "{message}");
}

#[tokio::test]
async fn a_query_gives_labels_and_value_and_the_newest_sample_its_time() {
    let prometheus = fake_prometheus().await;
    let grafana = Running::start(Settings::default()).await;
    let client = grafana.client();
    provision(&client, &shipped(prometheus.as_str())).await.unwrap();
    let points = client.query_instant(UID, "flake_rate").await.unwrap();
    assert_eq!(points.len(), 1);
    assert_eq!(
        (points[0].value, points[0].labels["job"].as_str(), points[0].timestamp),
        (0.08, "test-metrics", 1_795_381_718_682)
    );
    let sample = client.latest_sample(UID, "flake_rate").await.unwrap().unwrap();
    assert_eq!((sample.value, sample.taken_at), (0.08, 1_795_381_710.5));
    assert!(client.query_instant(UID, "nan").await.unwrap()[0].value.is_nan());
    assert_eq!(client.latest_sample(UID, "no_such_metric").await.unwrap(), None);
}

#[tokio::test]
async fn a_bad_expression_and_an_unknown_data_source_say_so() {
    let prometheus = fake_prometheus().await;
    let grafana = Running::start(Settings::default()).await;
    let client = grafana.client();
    let missing = client.query_instant(UID, "up").await.unwrap_err();
    assert!(missing.is_not_found() && missing.to_string().contains("Data source not found"), "{missing}");
    provision(&client, &shipped(prometheus.as_str())).await.unwrap();
    let bad = client.query_instant(UID, "flake_rate{").await.unwrap_err();
    assert!(bad.to_string().contains("unexpected end of input"), "{bad}");
}

#[tokio::test]
async fn a_kept_state_keeps_its_password_and_its_dashboards() {
    let directory = tempfile::tempdir().unwrap();
    let settings = Settings { data: Some(directory.path().to_owned()), ..Settings::default() };
    let first = Running::start(settings.clone()).await;
    provision(&first.client(), &shipped("http://prometheus:9090")).await.unwrap();

    let second = Running::start(Settings { password: "another".to_owned(), ..settings.clone() }).await;
    wait_ready(&second.client_with("another"), POLL, |_| ()).await.unwrap_err();
    wait_ready(&second.client(), POLL, |_| ()).await.unwrap();
    assert_eq!(second.call("GET", "/api/dashboards/uid/qa-overview", json!(null)).await.0, 200);

    settings.write_password("set-from-outside").unwrap();
    wait_ready(&second.client_with("set-from-outside"), POLL, |_| ()).await.unwrap();
}
