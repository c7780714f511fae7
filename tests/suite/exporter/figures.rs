//! What is shown: the sample until something real arrives, then the real figures, or NaN.

use super::running::{NOW, Running, failed, passed, promtool_check, report};
use std::sync::Arc;

const HOUR: i64 = 3600;

#[test]
fn without_any_input_the_sample_shows_marked() {
    let exporter = Running::start();
    let page = exporter.metrics();
    for line in [
        "# HELP flake_rate Percentage of flaky tests",
        "# TYPE flake_rate gauge",
        "flake_rate 0.08",
        "# HELP defect_leakage Defects escaping to production",
        "# TYPE defect_leakage gauge",
        "defect_leakage 0.03",
        "qa_sample_data 1",
        "qa_flake_ratio{project=\"sample\"} 0.08",
        "qa_broken_tests{project=\"sample\",suite=\"pytest\"} 1",
    ] {
        assert!(page.lines().any(|written| written == line), "no line {line:?} in\n{page}");
    }
    assert_eq!(promtool_check(&page), "");
    assert!(exporter.get("/").body.contains("Sample data"));
}

#[test]
fn the_sample_never_grows_stale() {
    let exporter = Running::start();
    let begin: jiff::Timestamp = NOW.parse().unwrap();
    for days in [1, 30, 365] {
        exporter.clock.set(begin + jiff::SignedDuration::from_hours(24 * days));
        assert_eq!(exporter.series("flake_rate"), Some(0.08), "{days} days later");
        assert_eq!(exporter.series("defect_leakage"), Some(0.03), "{days} days later");
    }
}

#[test]
fn the_first_report_puts_the_sample_away_for_good() {
    let exporter = Running::start();
    let body = report(&[&passed("adds"), &passed("removes"), &failed("pays")]);
    assert_eq!(exporter.post("/api/v1/projects/web/reports", &body).status, 201);
    let directory = Arc::clone(&exporter.directory);
    let mut exporter = Some(exporter);
    for _restart in 0..3 {
        let exporter = exporter.take().unwrap_or_else(|| Running::over(Arc::clone(&directory), ""));
        let page = exporter.metrics();
        assert!(page.contains("\nflake_rate 0\n") && page.contains("\ndefect_leakage NaN\n"), "{page}");
        assert!(page.contains("\nqa_sample_data 0\n") && !page.contains("project=\"sample\""), "{page}");
        assert_eq!(promtool_check(&page), "");
        exporter.stop().0.expect("it ends well");
    }
}

#[test]
fn defects_alone_put_the_sample_away_too() {
    let exporter = Running::start();
    let list =
        "key,created,environment\nA-1,2026-03-01,production\nA-2,2026-03-01,qa\nA-3,2026-03-01,qa\nA-4,2026-03-02,qa\n";
    assert_eq!(exporter.post("/api/v1/projects/web/defects", list).status, 200);
    assert_eq!(exporter.series("defect_leakage"), Some(0.25));
    assert!(exporter.series("flake_rate").unwrap().is_nan());
    assert_eq!(exporter.series("qa_sample_data"), Some(0.0));
}

#[test]
fn without_sample_data_nothing_is_nan_and_not_zero() {
    let exporter = Running::with("sample_data: false\n");
    assert!(exporter.series("flake_rate").unwrap().is_nan());
    assert!(exporter.series("defect_leakage").unwrap().is_nan());
    assert_eq!(exporter.series("qa_sample_data"), Some(0.0));
}

#[test]
fn a_test_that_failed_and_passed_on_one_commit_is_flaky_until_the_window_is_over() {
    let exporter = Running::start();
    let first = report(&[&passed("adds"), &passed("removes"), &failed("pays"), &passed("ships")]);
    let second = report(&[&passed("pays")]);
    let path = |attempt: u32| format!("/api/v1/projects/web/reports?commit=abc&branch=main&run=1&attempt={attempt}");
    assert_eq!(exporter.post(&path(1), &first).status, 201);
    assert_eq!(exporter.series("flake_rate"), Some(0.0));
    assert_eq!(exporter.post(&path(2), &second).status, 201);
    assert_eq!(exporter.series("flake_rate"), Some(1.0 / 4.0));
    let begin: jiff::Timestamp = NOW.parse().unwrap();
    exporter.clock.set(begin + jiff::SignedDuration::from_secs(13 * 24 * HOUR));
    assert_eq!(exporter.series("flake_rate"), Some(1.0 / 4.0));
    exporter.clock.set(begin + jiff::SignedDuration::from_secs(14 * 24 * HOUR));
    assert!(exporter.series("flake_rate").unwrap().is_nan(), "nothing was decided in the last 14 days");
}

#[test]
fn counters_outlive_a_restart() {
    let exporter = Running::start();
    let body = report(&[&passed("adds"), &failed("pays")]);
    assert_eq!(exporter.post("/api/v1/projects/web/reports?branch=main", &body).status, 201);
    assert_eq!(exporter.post("/api/v1/projects/web/reports", "no report").status, 400);
    let series = [
        "qa_test_executions_total{project=\"web\",branch=\"main\",outcome=\"failed\"}",
        "qa_runs_total{project=\"web\",branch=\"main\",outcome=\"failed\"}",
        "qastack_ingest_reports_total{format=\"junit\",result=\"stored\"}",
        "qastack_ingest_reports_total{format=\"unknown\",result=\"unknown_format\"}",
    ];
    let directory = Arc::clone(&exporter.directory);
    let before: Vec<_> = series.iter().map(|series| exporter.series(series)).collect();
    assert_eq!(before, [Some(1.0); 4], "{}", exporter.metrics());
    exporter.stop().0.expect("it ends well");
    let exporter = Running::over(directory, "");
    let after: Vec<_> = series.iter().map(|series| exporter.series(series)).collect();
    assert_eq!(after, before);
}

#[test]
fn counters_and_histograms_do_not_go_back_when_single_days_are_forgotten() {
    let exporter = Running::start();
    let begin: jiff::Timestamp = NOW.parse().unwrap();
    let push = |exporter: &Running, run: u32| {
        let path = format!("/api/v1/projects/web/reports?branch=main&run={run}");
        assert_eq!(exporter.post(&path, &report(&[&passed("adds"), &failed("pays")])).status, 201);
    };
    let series = [
        "qa_test_executions_total{project=\"web\",branch=\"main\",outcome=\"passed\"}",
        "qa_runs_total{project=\"web\",branch=\"main\",outcome=\"failed\"}",
        "qa_test_duration_seconds_count{project=\"web\"}",
    ];
    push(&exporter, 1);
    exporter.clock.set(begin + jiff::SignedDuration::from_hours(24 * 400));
    push(&exporter, 2);
    let seen = |exporter: &Running| series.map(|series| exporter.series(series).unwrap());
    assert_eq!(seen(&exporter), [2.0, 2.0, 4.0]);
    let directory = Arc::clone(&exporter.directory);
    exporter.stop().0.expect("it ends well");
    let exporter = Running::over(directory, "");
    assert_eq!(seen(&exporter), [2.0, 2.0, 4.0]);
    push(&exporter, 3);
    assert_eq!(seen(&exporter), [3.0, 3.0, 6.0]);
}

#[test]
fn the_flakiest_tests_have_series_with_their_names_where_that_is_asked_for() {
    let exporter = Running::with("metrics: { top_flaky: 2 }\n");
    let begin: jiff::Timestamp = NOW.parse().unwrap();
    let late = std::cell::Cell::new(0);
    let page_until = |what: &str, wished: &dyn Fn(&str) -> bool| {
        exporter.until(what, || {
            // The list is looked up once a minute.
            late.set(late.get() + 61);
            exporter.clock.set(begin + jiff::SignedDuration::from_secs(late.get()));
            wished(&exporter.metrics())
        });
        exporter.metrics()
    };
    page_until("the sample's are shown", &|page| page.contains("qa_top_flaky_test_score{project=\"sample\""));
    for (run, outcomes) in [(1, "FFFP"), (2, "PPPP"), (3, "FFPP"), (4, "PPPP"), (5, "FPPP"), (6, "PPPP")] {
        let names = ["worst", "bad", "so \"so\"", "good"];
        let cases: Vec<String> = std::iter::zip(names, outcomes.chars())
            .map(|(name, outcome)| {
                if outcome == 'F' { failed(&name.replace('"', "&quot;")) } else { passed(&name.replace('"', "&quot;")) }
            })
            .collect();
        let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
        let path = format!("/api/v1/projects/web/reports?commit=c{}&run={run}", (run + 1) / 2);
        assert_eq!(exporter.post(&path, &report(&cases)).status, 201);
    }
    let page = page_until("the real ones are shown", &|page| page.contains("qa_top_flaky_test_score{project=\"web\""));
    let shown: Vec<&str> = page.lines().filter(|line| line.starts_with("qa_top_flaky_test_score{")).collect();
    assert_eq!(shown.len(), 2, "{shown:?}");
    assert!(shown[0].contains("test=\"checkout › cart › worst\"}") && shown[1].contains(" › bad\"}"), "{shown:?}");
    assert_eq!(promtool_check(&page), "");
    assert!(!Running::start().metrics().contains("qa_top_flaky_test_score"), "nobody asked");
}

#[test]
fn many_projects_suites_and_branches_stay_bounded_and_are_counted() {
    let exporter = Running::with("figures: { branches: ['*', 'b*'] }\n");
    let suites: String = (0..60).map(|n| format!("<testsuite name='s{n}'>{}</testsuite>", passed("adds"))).collect();
    for project in 0..60 {
        let path = format!("/api/v1/projects/p{project:02}/reports?branch=b{}", project % 7);
        assert_eq!(exporter.post(&path, &format!("<testsuites>{suites}</testsuites>")).status, 201);
    }
    let page = exporter.metrics();
    let series = page.lines().filter(|line| !line.starts_with('#')).count();
    // 2,000 for what was pushed, and the few that are always there.
    assert!((1_900..2_100).contains(&series), "{series} series");
    let overflow = exporter.series("qastack_label_overflow_total").unwrap();
    assert!(overflow > 10.0 && exporter.series("qastack_label_overflow_total") == Some(overflow), "{overflow}");
    assert!(exporter.series("qastack_label_values_left_out").unwrap() > 10.0);
    assert_eq!(exporter.series("flake_rate"), Some(0.0), "the figure of all counts those left out as well");
    assert_eq!(promtool_check(&page), "");
}

#[test]
fn hostile_names_are_inert_in_the_metrics() {
    let exporter = Running::start();
    let body = "<testsuite name='a&quot;} 1&#10;evil_metric 1 &lt;script&gt;\\'><testcase name='x'/></testsuite>";
    assert_eq!(exporter.post("/api/v1/projects/web/reports", body).status, 201);
    let page = exporter.metrics();
    assert!(!page.lines().any(|line| line.starts_with("evil_metric")), "{page}");
    assert_eq!(promtool_check(&page), "");
}
