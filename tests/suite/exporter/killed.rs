//! Killed at any moment, pushed again: over HTTP no acknowledged report is lost and none is counted twice.

use super::running::{TOKEN, report};
use crate::http::{self, Answer};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How often it is killed; the full exercise is `QASTACK_KILLS=200`.
const KILLS: &str = "QASTACK_KILLS";

/// Test cases of each report.
const CASES: u64 = 20;

/// Clients that push at once.
const CLIENTS: usize = 8;

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn over(directory: &Path) -> Self {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin!("qastack"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--admin-token-file", "token"])
            .env_clear()
            .current_dir(directory)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut address, mut line) = (String::new(), String::new());
        while !line.contains(" ready ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
            if let Some((_, rest)) = line.split_once("listening address=") {
                address = rest.trim().to_owned();
            }
        }
        // The pipe is read on, or the process would wait for it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    /// Pushes the report with this number; nothing where the server is gone.
    fn push(&self, number: u64) -> Option<Answer> {
        let path = format!("/api/v1/projects/web/reports?run=r{number}&branch=main");
        let bearer = format!("Bearer {TOKEN}");
        let key = format!("push-{number}");
        let headers =
            [("Host", self.address.as_str()), ("Authorization", bearer.as_str()), ("Idempotency-Key", key.as_str())];
        http::try_send(&self.address, "POST", &path, &headers, &cases(number)).ok()
    }

    /// The runs that are stored, with how many test cases each has.
    fn runs(&self) -> BTreeMap<String, Vec<u64>> {
        let mut runs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        let mut before = i64::MAX;
        loop {
            let page = http::get(&self.address, &format!("/api/v1/projects/web/runs?limit=1000&before={before}"));
            let page: serde_json::Value = serde_json::from_str(&page.body).unwrap();
            // Before the first report there is no such project.
            let Some(page) = page.as_array().filter(|page| !page.is_empty()) else { return runs };
            for run in page {
                let tests = run["counts"]["tests"].as_u64().unwrap();
                runs.entry(run["run"].as_str().unwrap().to_owned()).or_default().push(tests);
                before = before.min(run["id"].as_i64().unwrap());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been killed already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn cases(number: u64) -> String {
    let case = |case: u64| match (number + case).is_multiple_of(7) {
        true => format!("<testcase classname='c' name='t{case}'><failure message='no'/></testcase>"),
        false => format!("<testcase classname='c' name='t{case}' time='0.1'/>"),
    };
    let cases: Vec<String> = (0..CASES).map(case).collect();
    report(&cases.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn however_often_it_is_killed_what_was_acknowledged_is_there_once_and_what_was_not_can_be_pushed_again() {
    let kills: u64 = std::env::var(KILLS).ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("token"), TOKEN).unwrap();
    let next = AtomicU64::new(0);
    let acknowledged = Mutex::new(Vec::new());
    for kill in 0..kills {
        let mut server = Server::over(directory.path());
        let begun = Instant::now();
        let first = next.load(Ordering::Relaxed);
        let died = std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        match server.push(number).map(|answer| answer.status) {
                            Some(201) => acknowledged.lock().unwrap().push(number),
                            None => break,
                            Some(status) => panic!("push {number} was answered with {status}"),
                        }
                    }
                });
            }
            // Some way into the pushing, at a moment that has nothing to do with any of them.
            while next.load(Ordering::Relaxed) < first + 20 + kill * 7 % 40 {
                assert!(begun.elapsed() < Duration::from_secs(60), "the clients get nothing done");
                std::hint::spin_loop();
            }
            // As `kill -9`; the clients end when they are not answered any more.
            rustix::process::kill_process(
                rustix::process::Pid::from_child(&server.child),
                rustix::process::Signal::KILL,
            )
        });
        died.unwrap();
        server.child.wait().unwrap();
        let server = Server::over(directory.path());
        let runs = server.runs();
        for number in acknowledged.lock().unwrap().iter() {
            assert_eq!(runs.get(&format!("r{number}")), Some(&vec![CASES]), "run {number} after kill {kill}");
        }
        assert!(runs.values().all(|cases| *cases == [CASES]), "a run is stored by half, or twice: {runs:?}");
    }
    // Whoever got no answer pushes again, with the same key; others do by mistake.
    let server = Server::over(directory.path());
    let pushed = next.load(Ordering::Relaxed);
    for number in 0..pushed {
        let status = server.push(number).unwrap().status;
        let known = acknowledged.lock().unwrap().contains(&number);
        assert!(status == 200 || (status == 201 && !known), "run {number}: {status}");
    }
    let runs = server.runs();
    assert_eq!(runs.len() as u64, pushed);
    assert!(runs.values().all(|cases| *cases == [CASES]), "{runs:?}");
    let page = http::get(&server.address, "/metrics").body;
    let counted: f64 = ["passed", "failed"]
        .iter()
        .map(|outcome| {
            let series = format!("qa_test_executions_total{{project=\"web\",branch=\"main\",outcome=\"{outcome}\"}}");
            super::running::value_of(&page, &series).unwrap()
        })
        .sum();
    assert_eq!(counted as u64, pushed * CASES, "each execution is counted once");
}
