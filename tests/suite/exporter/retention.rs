//! Old executions go by the clock, and what was counted of them stays.

use super::running::{NOW, Running, passed, report};

const RUNS: &str = "/api/v1/projects/web/runs";

fn days_later(exporter: &Running, days: i64) {
    let begin: jiff::Timestamp = NOW.parse().unwrap();
    exporter.clock.set(begin + jiff::SignedDuration::from_hours(24 * days));
}

fn runs(exporter: &Running) -> usize {
    exporter.json(RUNS).as_array().unwrap().len()
}

#[test]
fn executions_older_than_they_are_kept_go_by_themselves_and_their_counts_stay() {
    let exporter = Running::start();
    let push = |run: u32| {
        let path = format!("/api/v1/projects/web/reports?run={run}&branch=main");
        assert_eq!(exporter.post(&path, &report(&[&passed("adds")])).status, 201);
    };
    push(1);
    days_later(&exporter, 60);
    push(2);
    assert_eq!(runs(&exporter), 2);
    days_later(&exporter, 91);
    exporter.until("the older run is gone", || runs(&exporter) == 1);
    assert_eq!(exporter.json(RUNS)[0]["run"], "2");
    let total = "qa_test_executions_total{project=\"web\",branch=\"main\",outcome=\"passed\"}";
    assert_eq!(exporter.series(total), Some(2.0), "counters outlive what they counted");
    push(3);
    assert_eq!(exporter.series(total), Some(3.0));
}

#[test]
fn a_shorter_retention_holds_without_a_restart() {
    let exporter = Running::start();
    assert_eq!(exporter.post("/api/v1/projects/web/reports", &report(&[&passed("adds")])).status, 201);
    days_later(&exporter, 10);
    exporter.reload_with("history: { executions: 5d }\n");
    exporter.until("the settings are in force", || exporter.json("/readyz")["config_error"].is_null());
    let day = std::cell::Cell::new(10);
    exporter.until("the run is gone at the next look", || {
        // The settings may come into force after a look.
        day.set(day.get() + 1);
        days_later(&exporter, day.get());
        runs(&exporter) == 0
    });
    assert!(day.get() < 80, "it went by the default retention");
}
