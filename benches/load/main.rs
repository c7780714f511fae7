//! How fast the exporter takes reports in and gives figures out, over real HTTP, from a process of its own.
//!
//! `load QASTACK RUNS` starts that program, measures, and prints a table in Markdown; RUNS runs of 1,000 tests make
//! the large store. `benches/ingest-load` builds what this needs. Only the standard library is used, so that this side
//! costs little: both share the machine.

#![allow(clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used, reason = "a benchmark ends when it fails")]

mod client;

use client::{Client, Server};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const DAY: u64 = 86_400;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    // Cargo starts every bench; there is nothing to do without a program.
    let [program, runs] = arguments.as_slice() else { return };
    let runs = runs.parse().unwrap();
    println!("| what | measured | bound | verdict |\n|---|---:|---:|---|");
    let directory = Directory::new();
    small_store(program, &directory.0.join("small"));
    large_store(program, &directory.0.join("large"), runs);
}

fn small_store(program: &str, directory: &std::path::Path) {
    std::fs::create_dir_all(directory).unwrap();
    let exporter = Server::exporter(program, directory);
    requests_beside_python(&exporter);
    let mut client = Client::new(&exporter.address);
    let large = report(100_000, 0);
    let mut work = Work::of(&exporter);
    most("a run of 100,000 new tests", client.push("large-1", None, &large), seconds(0.6));
    work.done(1);
    let known = (2..5).map(|number| client.push(&format!("large-{number}"), None, &large)).collect();
    most("a run of 100,000 known tests, median of 3", Times(known).at(0.5), seconds(0.6));
    work.done(3);
    let thousand = report(1_000, 1);
    let one_by_one = (0..200).map(|number| client.push(&format!("one-{number}"), None, &thousand)).collect();
    most("a push of 1,000 tests, p50", Times(one_by_one).at(0.5), seconds(0.010));
    work.done(200);
    let (times, took) = clients(&exporter.address, "small", 256, 150, &report(10, 2));
    least("pushes of 10 tests from 256 clients, a second", times.0.len() as f64 / took.as_secs_f64(), 4000.0);
    most("the same, p99", times.at(0.99), seconds(0.150));
    work.done(times.0.len());
    page_beside_pushes(&exporter.address);
    exporter.stop();
}

/// `/metrics` beside Python's http.server with two metrics, each as its own protocol allows: HTTP/1.0 closes the
/// connection after each answer, and so do we in the second row.
fn requests_beside_python(exporter: &Server) {
    let python = Server::python();
    let (mut ours, mut fresh, mut theirs) = (0.0, 0.0, 0.0);
    for _ in 0..3 {
        // In turns, so that a busy moment of the machine hits all of them.
        theirs += rate(&python.address, false);
        ours += rate_kept(&exporter.address);
        fresh += rate(&exporter.address, true);
    }
    row("`/metrics` a second, connections kept", &format!("{:.0}", ours / 3.0), "", "");
    row("`/metrics` a second, a connection each", &format!("{:.0}", fresh / 3.0), "", "");
    row("Python's http.server, a second", &format!("{:.0}", theirs / 3.0), "", "");
    least("the first in multiples of Python's", ours / theirs, 10.0);
}

/// Answers a second that 32 connections get of `/metrics` in a second and a half, which are kept. Two threads ask on half
/// of them each, and then read the answers: a thread for each would keep the machine from its work with changing threads.
fn rate_kept(address: &str) -> f64 {
    let started = Instant::now();
    let end = started + Duration::from_millis(1500);
    let asking: Vec<_> = (0..2)
        .map(|_| {
            let mut clients: Vec<_> = (0..16).map(|_| Client::new(address)).collect();
            std::thread::spawn(move || {
                let mut count = 0;
                while Instant::now() < end {
                    clients
                        .iter_mut()
                        .for_each(|client| client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", b""));
                    clients.iter_mut().for_each(|client| assert_eq!(client.receive(), 200));
                    count += clients.len() as u32;
                }
                count
            })
        })
        .collect();
    let count: u32 = asking.into_iter().map(|client| client.join().unwrap()).sum();
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// Answers a second that 8 clients get of `/metrics` in a second and a half.
fn rate(address: &str, fresh: bool) -> f64 {
    let started = Instant::now();
    let end = started + Duration::from_millis(1500);
    let asking: Vec<_> = (0..8)
        .map(|_| {
            let mut client = Client::new(address);
            let address = address.to_owned();
            std::thread::spawn(move || {
                let mut count = 0;
                while Instant::now() < end {
                    if fresh {
                        client = Client::new(&address);
                    }
                    client.get("/metrics");
                    count += 1;
                }
                count
            })
        })
        .collect();
    let count: u32 = asking.into_iter().map(|client| client.join().unwrap()).sum();
    f64::from(count) / started.elapsed().as_secs_f64()
}

/// 256 people look at the page while 64 jobs push.
fn page_beside_pushes(address: &str) {
    let done = AtomicBool::new(false);
    let body = report(10, 3);
    let (mut times, mut pushed) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..64)
            .map(|client| {
                let (done, body) = (&done, &body);
                scope.spawn(move || {
                    let mut connection = Client::new(address);
                    let mut count = 0;
                    while !done.load(Ordering::Relaxed) {
                        connection.push(&format!("beside-{client}-{count}"), None, body);
                        count += 1;
                    }
                    count
                })
            })
            .collect();
        let reading: Vec<_> = (0..256)
            .map(|_| {
                scope.spawn(move || {
                    let mut connection = Client::new(address);
                    (0..40).map(|_| connection.get("/")).collect::<Vec<_>>()
                })
            })
            .collect();
        times = reading.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        done.store(true, Ordering::Relaxed);
        pushed = pushing.into_iter().map(|client| client.join().unwrap()).sum();
    });
    most("the page for 256 readers while 64 clients push, p99", Times(times).at(0.99), seconds(0.100));
    row("pushes acknowledged meanwhile", &pushed.to_string(), "", "");
}

/// Tells how much processor time the exporter spent on a piece of work; on a busy machine it says more than the clock.
struct Work<'s>(&'s Server, f64);

impl<'s> Work<'s> {
    fn of(exporter: &'s Server) -> Self {
        Self(exporter, exporter.processor_seconds())
    }

    fn done(&mut self, times: usize) {
        let now = self.0.processor_seconds();
        eprintln!("  processor time for each: {:.3} ms", (now - self.1) * 1e3 / times as f64);
        self.1 = now;
    }
}

fn large_store(program: &str, directory: &std::path::Path, runs: u64) {
    std::fs::create_dir_all(directory).unwrap();
    let exporter = Server::exporter(program, directory);
    let executions = runs * 1_000;
    let started = Instant::now();
    fill(&exporter.address, runs);
    let rate = executions as f64 / started.elapsed().as_secs_f64();
    row(&format!("{executions} executions brought in over HTTP, a second"), &format!("{rate:.0}"), "", "");
    let mut work = Work::of(&exporter);
    let mut client = Client::new(&exporter.address);
    let idle = Times((0..1_000).map(|_| client.get("/metrics")).collect());
    most(&format!("`/metrics` with {executions} executions, p50"), idle.at(0.5), seconds(0.005));
    most("the same, p99", idle.at(0.99), seconds(0.005));
    let busy = metrics_beside_pushes(&exporter.address);
    most("the same while runs of 1,000 tests are pushed, p50", busy.at(0.5), seconds(0.005));
    row("the same, p99", &milliseconds(busy.at(0.99)), "", "");
    first_views(&mut client);
    let large = report(100_000, 0);
    work.done(1);
    most("a run of 100,000 new tests into it", client.push("large-1", None, &large), seconds(1.5));
    work.done(1);
    let known = (2..5).map(|number| client.push(&format!("large-{number}"), None, &large)).collect();
    most("a run of 100,000 known tests into it, median of 3", Times(known).at(0.5), seconds(1.5));
    work.done(3);
    row("the exporter's memory then", &format!("{:.0} MB", exporter.resident() as f64 / 1e6), "", "");
    exporter.stop();
    let bytes: u64 =
        std::fs::read_dir(directory.join("data")).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
    let each = bytes as f64 / (executions + 400_000) as f64;
    row("the store's file", &format!("{:.0} MB", bytes as f64 / 1e6), "", "");
    row("bytes of it an execution", &format!("{each:.1}"), "", "");
}

/// Each page as the first one sees it who looks after a push, which makes what was kept of pages worthless.
fn first_views(client: &mut Client) {
    let linked = |client: &mut Client, list: &str, prefix: &str| {
        client.get(list);
        let page = String::from_utf8_lossy(&client.body).into_owned();
        let (_, rest) = page.split_once(&format!("href=\"{prefix}")).unwrap();
        format!("{prefix}{}", rest.split('"').next().unwrap())
    };
    let one_test = linked(client, "/projects/load/tests", "/projects/load/tests/");
    let one_run = linked(client, "/projects/load/runs", "/projects/load/runs/");
    let pages = [
        ("overview", "/"),
        ("project", "/projects/load"),
        ("runs", "/projects/load/runs"),
        ("one run", &one_run),
        ("tests", "/projects/load/tests"),
        ("one test", &one_test),
        ("flaky", "/projects/load/flaky"),
        ("slowest", "/projects/load/slowest"),
        ("explain", "/projects/load/figures/flake_rate"),
        ("search", "/search?q=Promise"),
    ];
    let body = report(10, 6);
    for (name, path) in pages {
        let look = |number| {
            client.push(&format!("before-{name}-{number}").replace(' ', "-"), None, &body);
            // A page is shown again for a quarter of a second though something was stored since.
            std::thread::sleep(Duration::from_millis(300));
            client.get(path)
        };
        most(
            &format!("first view of the page {name}, the slowest of 5"),
            Times((0..5).map(look).collect()).at(1.0),
            seconds(0.100),
        );
    }
}

/// Brings in runs of 1,000 tests, spread over the days that are kept.
fn fill(address: &str, runs: u64) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let bodies: Vec<Vec<u8>> = (0..16).map(|seed| report(1_000, seed)).collect();
    let lanes = 8;
    std::thread::scope(|scope| {
        for lane in 0..lanes {
            let bodies = &bodies;
            scope.spawn(move || {
                let mut client = Client::new(address);
                for run in (lane..runs).step_by(lanes as usize) {
                    let at = now - 89 * DAY + run * (89 * DAY) / runs;
                    client.push(&format!("run-{run}"), Some(at), &bodies[run as usize % bodies.len()]);
                }
            });
        }
    });
}

fn metrics_beside_pushes(address: &str) -> Times {
    let done = AtomicBool::new(false);
    let body = report(1_000, 5);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut client = Client::new(address);
            for number in 0.. {
                if done.load(Ordering::Relaxed) {
                    break;
                }
                client.push(&format!("meanwhile-{number}"), None, &body);
            }
        });
        let mut client = Client::new(address);
        let times = Times((0..500).map(|_| client.get("/metrics")).collect());
        done.store(true, Ordering::Relaxed);
        times
    })
}

/// Clients that each wait for their acknowledgement before they push again. Gives all times, and the time in all.
fn clients(address: &str, name: &str, clients: usize, each: usize, body: &[u8]) -> (Times, Duration) {
    let started = Instant::now();
    let times = std::thread::scope(|scope| {
        let pushing: Vec<_> = (0..clients)
            .map(|client| {
                scope.spawn(move || {
                    let mut connection = Client::new(address);
                    let push = |number| connection.push(&format!("{name}-{client}-{number}"), None, body);
                    (0..each).map(push).collect::<Vec<_>>()
                })
            })
            .collect();
        pushing.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    (Times(times), started.elapsed())
}

/// A JUnit report of so many tests, 100 in a suite, one in a hundred failed; another seed, other times and failures.
fn report(tests: u64, seed: u64) -> Vec<u8> {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let mut random = seed * 2_654_435_761 + 12_345;
    for number in 0..tests {
        let suite = format!("com.example.shop.module{}.Suite{}Test", number / 1000, number / 100);
        if number % 100 == 0 {
            let _ = writeln!(xml, "  <testsuite name=\"{suite}\">");
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let milliseconds = (random >> 33) % 1000;
        let _ = write!(
            xml,
            "    <testcase name=\"keepsItsPromiseForCase{number}\" classname=\"{suite}\" time=\"0.{milliseconds:03}\""
        );
        match (random >> 50) % 100 {
            7 => {
                let _ = writeln!(
                    xml,
                    "><failure type=\"AssertionError\" message=\"expected {number}\">at {suite}.case({number})</failure></testcase>"
                );
            }
            _ => xml.push_str("/>\n"),
        }
        if number % 100 == 99 || number + 1 == tests {
            xml.push_str("  </testsuite>\n");
        }
    }
    xml.push_str("</testsuites>\n");
    xml.into_bytes()
}

struct Times(Vec<Duration>);

impl Times {
    fn at(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        sorted[((sorted.len() as f64 * share) as usize).min(sorted.len() - 1)]
    }
}

fn most(what: &str, took: Duration, bound: Duration) {
    let verdict = if took <= bound { "holds" } else { "**missed**" };
    row(what, &milliseconds(took), &format!("at most {}", milliseconds(bound)), verdict);
}

fn least(what: &str, value: f64, bound: f64) {
    let verdict = if value >= bound { "holds" } else { "**missed**" };
    let text = |value: f64| if value < 100.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    row(what, &text(value), &format!("at least {}", text(bound)), verdict);
}

fn row(what: &str, value: &str, bound: &str, verdict: &str) {
    println!("| {what} | {value} | {bound} | {verdict} |");
    eprintln!("{what}: {value}");
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

fn milliseconds(took: Duration) -> String {
    let value = took.as_secs_f64() * 1e3;
    if value < 100.0 { format!("{value:.1} ms") } else { format!("{value:.0} ms") }
}

/// A directory that goes with its value.
struct Directory(std::path::PathBuf);

impl Directory {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("qastack-load-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
