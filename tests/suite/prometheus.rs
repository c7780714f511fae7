//! The rendered configuration and the client, with a real Prometheus and its promtool.

use axum::Router;
use axum::http::header;
use axum::routing::get;
use qastack::prometheus::{self, Client, PrometheusSpec, TargetHealth};
use rustix::process::{Pid, Signal, kill_process};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use url::Url;

const POLL: Duration = Duration::from_millis(50);
/// More than two scrapes and the five seconds after which Prometheus hands its targets on.
const PATIENCE: Duration = Duration::from_secs(30);

fn spec(target: &str) -> PrometheusSpec {
    let retention = Duration::from_secs(15 * 86_400);
    PrometheusSpec { scrape_interval: Duration::from_secs(5), target: target.to_owned(), retention }
}

fn needed(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run the tests with ./test --only suite"))
}

/// A directory as the container's `/etc/prometheus` is.
fn directory_with(configuration: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("prometheus.yml"), configuration).unwrap();
    std::fs::write(directory.path().join(prometheus::rules_file()), prometheus::rules()).unwrap();
    directory
}

fn promtool(directory: &Path, arguments: &[&str]) {
    let output = Command::new(needed("QASTACK_PROMTOOL")).args(arguments).current_dir(directory).output().unwrap();
    let told = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "promtool {arguments:?}: {told}");
}

#[test]
fn promtool_has_nothing_against_what_is_rendered() {
    let spec = spec("test-metrics:8080");
    for configuration in [prometheus::render(&spec), prometheus::render_warm_up(&spec)] {
        let directory = directory_with(&configuration);
        promtool(directory.path(), &["check", "config", "--lint=all", "--lint-fatal", "prometheus.yml"]);
        promtool(directory.path(), &["check", "rules", "--lint=all", "--lint-fatal", &prometheus::rules_file()]);
    }
}

#[test]
fn the_alerts_fire_for_bad_figures_and_never_for_the_samples() {
    let directory = directory_with(&prometheus::render(&spec("test-metrics:8080")));
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/qastack.rules.test.yml");
    std::fs::write(directory.path().join("qastack.rules.yml"), prometheus::rules()).unwrap();
    std::fs::copy(tests, directory.path().join("qastack.rules.test.yml")).unwrap();
    promtool(directory.path(), &["test", "rules", "qastack.rules.test.yml"]);
}

/// A real Prometheus that ends with the test.
struct Running {
    process: Child,
    client: Client,
}

impl Running {
    /// Starts it with our flags, on a port and in a directory of the test's own.
    async fn start(directory: &Path, spec: &PrometheusSpec) -> Self {
        let port = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
        let own: PathBuf = directory.to_owned();
        let flags = prometheus::flags(spec).into_iter().map(|flag| {
            let flag = flag.replace("/etc/prometheus", &own.display().to_string());
            let flag = flag.replace("=/prometheus", &format!("={}", own.join("data").display()));
            flag.replace("0.0.0.0:9090", &format!("127.0.0.1:{port}"))
        });
        let log = std::fs::File::options().create(true).append(true).open(directory.join("log")).unwrap();
        let process =
            Command::new(needed("QASTACK_PROMETHEUS")).args(flags).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let base = Url::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        let running = Self { process, client: Client::new(crate::grafana_double::http_client(), base) };
        until("it is ready", async || running.client.ready().await.is_ok()).await;
        running
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    fn end(mut self) {
        self.signal(Signal::TERM);
        self.process.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL).await;
    }
}

/// An exporter with the two figures.
async fn exporter() -> (String, JoinHandle<()>) {
    let page = "# TYPE flake_rate gauge\nflake_rate 0.08\n# TYPE defect_leakage gauge\ndefect_leakage NaN\n";
    let answer = async move || ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], page);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let router = Router::new().route("/metrics", get(answer));
    (address, tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }))
}

#[tokio::test]
async fn the_warm_up_gives_the_first_sample_early_and_its_end_leaves_no_gap() {
    let (target, exporter) = exporter().await;
    let spec = spec(&target);
    let directory = directory_with(&prometheus::render_warm_up(&spec));
    let started = Instant::now();
    let running = Running::start(directory.path(), &spec).await;
    let client = &running.client;
    assert_eq!(client.target_state().await.unwrap().health, TargetHealth::Unknown);
    let is_up = async || client.target_state().await.unwrap().health == TargetHealth::Up;
    until("the target is up", is_up).await;
    let first = started.elapsed();
    assert!(first < Duration::from_secs(8), "the first sample came after {first:?}");

    // Another job is loaded than the plain configuration has; after the reload it is gone.
    let plain = prometheus::render(&spec);
    assert_eq!(client.config_differences(&plain).await.unwrap()[0].key, "scrape_configs");
    std::fs::write(directory.path().join("prometheus.yml"), &plain).unwrap();
    running.signal(Signal::HUP);
    until("the plain configuration is loaded", async || client.config_differences(&plain).await.unwrap().is_empty())
        .await;
    assert!(client.runtime().await.unwrap().reload_config_success);

    // Until the plain job has scraped twice by itself, nobody ever sees less than there was.
    let scraped = client.target_state().await.unwrap().last_scrape.unwrap();
    let two_scrapes = spec.scrape_interval * 2;
    until("the plain job scrapes", async || {
        let state = client.target_state().await.unwrap();
        assert_eq!(state.health, TargetHealth::Up);
        let series = client.query("flake_rate").await.unwrap();
        assert_eq!(series.iter().map(|series| series.value).collect::<Vec<_>>(), [0.08]);
        state.last_scrape.unwrap().duration_since(scraped).unsigned_abs() >= two_scrapes
    })
    .await;
    assert!(client.query("defect_leakage").await.unwrap()[0].value.is_nan());

    exporter.abort();
    until("the target is down", async || client.target_state().await.unwrap().health == TargetHealth::Down).await;
    let reason = client.target_state().await.unwrap().last_error.unwrap();
    assert!(reason.contains("refused") || reason.contains("reset") || reason.contains("EOF"), "{reason}");

    // What an earlier process saw says nothing about now, although its samples still answer queries.
    running.end();
    let again = Running::start(directory.path(), &spec).await;
    assert!(!again.client.query("up").await.unwrap().is_empty());
    assert_eq!(again.client.target_state().await.unwrap().health, TargetHealth::Unknown);
    again.end();
}

#[tokio::test]
async fn a_bad_expression_is_refused_in_prometheus_words() {
    let spec = spec("127.0.0.1:1");
    let directory = directory_with(&prometheus::render(&spec));
    let running = Running::start(directory.path(), &spec).await;
    let error = running.client.query("flake_rate{").await.unwrap_err();
    assert!(error.to_string().contains("400") && error.to_string().contains("parse error"), "{error}");
    assert!(!error.is_retryable());
    running.end();
}

#[tokio::test]
async fn a_scrape_that_failed_before_the_first_samples_says_nothing_of_now() {
    let answer = |data: serde_json::Value| axum::Json(serde_json::json!({ "status": "success", "data": data }));
    let at = |second: i64| jiff::Timestamp::from_second(1_790_000_000 + second).unwrap();
    // As after the warm-up: its target is gone, and the one that stays was scraped last while the exporter started.
    let target = serde_json::json!({
        "labels": { "job": "test-metrics" }, "health": "down", "lastError": "connection refused", "lastScrape": at(10),
    });
    let targets = answer(serde_json::json!({ "activeTargets": [target] }));
    let runtime = serde_json::json!({ "startTime": at(0), "reloadConfigSuccess": true, "lastConfigTime": at(0) });
    let sampled = |second: i64| {
        let samples = [serde_json::json!([at(second).as_second(), "1"])];
        let series = serde_json::json!({ "metric": { "job": "test-metrics" }, "values": samples });
        answer(serde_json::json!({ "resultType": "matrix", "result": [series] }))
    };
    for (second, expected) in [(12, TargetHealth::Up), (8, TargetHealth::Down)] {
        let (targets, runtime, samples) = (targets.clone(), answer(runtime.clone()), sampled(second));
        let router = Router::new()
            .route("/api/v1/targets", get(async move || targets))
            .route("/api/v1/status/runtimeinfo", get(async move || runtime))
            .route("/api/v1/query", get(async move || samples));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = Url::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let serving = tokio::spawn(async move { drop(axum::serve(listener, router).await) });
        let client = Client::new(crate::grafana_double::http_client(), base);
        assert_eq!(client.target_state().await.unwrap().health, expected, "a sample at {second}");
        serving.abort();
    }
}
