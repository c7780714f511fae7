//! An exporter in this process, on a free port, with a clock and settings that the test sets.

use crate::http::{self, Answer};
use qastack::exporter::clock::SetClock;
use qastack::exporter::data_dir::Surroundings;
use qastack::exporter::run::{Outside, run};
use qastack::exporter::web::Web;
use qastack::settings::load_serve;
use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::sync::{Mutex, mpsc, oneshot};

/// The administrator's token of every exporter here.
pub const TOKEN: &str = "an-administrators-token-of-the-tests";

/// What the clock shows at first.
pub const NOW: &str = "2026-03-10T12:00:00Z";

/// A running exporter; it ends with its value.
pub struct Running {
    /// Where it answers.
    pub address: String,
    /// Its clock.
    pub clock: Arc<SetClock>,
    /// Its settings file and data directory are below.
    pub directory: Arc<TempDir>,
    stop: Option<oneshot::Sender<()>>,
    reload: mpsc::UnboundedSender<()>,
    thread: Option<JoinHandle<qastack::error::Result<()>>>,
}

impl Running {
    /// An exporter with nothing but defaults, a token and an empty store.
    pub fn start() -> Self {
        Self::with("")
    }

    /// An exporter with these settings besides.
    pub fn with(settings: &str) -> Self {
        Self::over(Arc::new(tempfile::tempdir().expect("a directory")), settings)
    }

    /// An exporter over a directory that another one has used.
    pub fn over(directory: Arc<TempDir>, settings: &str) -> Self {
        let running = Self::starting(directory, settings);
        running.wait_until_ready();
        running
    }

    /// An exporter that may not become ready. Where the directory has a `web.yml`, that guards its port.
    pub fn starting(directory: Arc<TempDir>, settings: &str) -> Self {
        std::fs::write(directory.path().join("token"), format!("{TOKEN}\n")).expect("a token file");
        write_settings(directory.path(), settings);
        let clock = Arc::new(SetClock::at(NOW.parse().expect("a time")));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener for tokio");
        let address = listener.local_addr().expect("an address").to_string();
        let (stop, stopped) = oneshot::channel();
        let (reload, reloads) = mpsc::unbounded_channel();
        let reloads = Arc::new(Mutex::new(reloads));
        let file = settings_file(directory.path());
        let loaded = load_serve(Some(&file), [], Vec::new()).expect("settings");
        let web = Some(directory.path().join("web.yml")).filter(|path| path.exists());
        let web = web.map(|path| Web::load(&path).expect("a web configuration"));
        let thread = std::thread::spawn({
            let clock = Arc::clone(&clock);
            move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
                let runtime = runtime.expect("a runtime");
                let ended = runtime.block_on(async {
                    let outside = Outside {
                        listener: tokio::net::TcpListener::from_std(listener).expect("a listener"),
                        clock,
                        web,
                        surroundings: Surroundings::default(),
                        stop: async {
                            let _ = stopped.await;
                        },
                        reload: move || {
                            let (reloads, file) = (Arc::clone(&reloads), file.clone());
                            async move {
                                reloads.lock().await.recv().await?;
                                Some(load_serve(Some(&file), [], Vec::new()))
                            }
                        },
                    };
                    run(loaded, outside).await
                });
                runtime.shutdown_background();
                ended
            }
        });
        Self { address, clock, directory, stop: Some(stop), reload, thread: Some(thread) }
    }

    fn wait_until_ready(&self) {
        self.until("it is ready", || self.get("/readyz").status == 200);
    }

    /// Polls until a state is reached.
    pub fn until(&self, what: &str, reached: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !reached() {
            assert!(Instant::now() < deadline, "not within 20 s: {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Writes other settings and has them read again.
    pub fn reload_with(&self, settings: &str) {
        write_settings(self.directory.path(), settings);
        self.reload.send(()).expect("it reloads");
    }

    /// Asks for a path.
    pub fn get(&self, path: &str) -> Answer {
        http::get(&self.address, path)
    }

    /// Asks for a JSON document.
    pub fn json(&self, path: &str) -> Value {
        json(&self.get(path))
    }

    /// Sends with the administrator's token.
    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.post_with(path, &[], body)
    }

    /// Sends with the administrator's token and further headers.
    pub fn post_with(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let bearer = format!("Bearer {TOKEN}");
        let all = [&[("Host", self.address.as_str()), ("Authorization", bearer.as_str())], headers].concat();
        http::send(&self.address, "POST", path, &all, body)
    }

    /// The page with the metrics.
    pub fn metrics(&self) -> String {
        let answer = self.get("/metrics");
        assert_eq!(answer.status, 200);
        answer.body
    }

    /// The value of one series, by its name and labels as they are written.
    pub fn series(&self, series: &str) -> Option<f64> {
        value_of(&self.metrics(), series)
    }

    /// Tells it to stop; returns how it ended and how long that took.
    pub fn stop(mut self) -> (qastack::error::Result<()>, Duration) {
        let begun = Instant::now();
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        self.join(begun)
    }

    /// Waits until it ends by itself.
    pub fn ended(mut self) -> qastack::error::Result<()> {
        self.join(Instant::now()).0
    }

    fn join(&mut self, begun: Instant) -> (qastack::error::Result<()>, Duration) {
        let ended = self.thread.take().expect("it runs").join().expect("it does not panic");
        (ended, begun.elapsed())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The document an answer holds.
pub fn json(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
}

/// The value of one series of a page.
pub fn value_of(page: &str, series: &str) -> Option<f64> {
    let value = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(value.parse().unwrap_or_else(|error| panic!("{series} {value}: {error}")))
}

/// A JUnit report of these test cases, each written as an element.
pub fn report(cases: &[&str]) -> String {
    format!("<testsuite name='checkout'>{}</testsuite>", cases.concat())
}

/// A test case that passed.
pub fn passed(name: &str) -> String {
    format!("<testcase classname='cart' name='{name}' time='0.1'/>")
}

/// A test case that failed.
pub fn failed(name: &str) -> String {
    format!("<testcase classname='cart' name='{name}' time='0.1'><failure message='no'/></testcase>")
}

/// Runs promtool's check of a page, and returns what it has to say.
pub fn promtool_check(page: &str) -> String {
    let path = std::env::var_os("QASTACK_PROMTOOL").expect("QASTACK_PROMTOOL names promtool; ./test sets it");
    let mut child = Command::new(path)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool runs");
    child.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{said}\n{page}");
    said
}

fn settings_file(directory: &Path) -> PathBuf {
    directory.join("serve.yaml")
}

fn write_settings(directory: &Path, more: &str) {
    let (data, token) = (directory.join("data"), directory.join("token"));
    let text = format!("data_dir: {}\nadmin_token_file: {}\n{more}", data.display(), token.display());
    std::fs::write(settings_file(directory), text).expect("a settings file");
}
