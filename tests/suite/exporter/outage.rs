//! `push` while the exporter is away, overloaded or unsure: nothing is lost, nothing is counted twice, no job fails.

use super::program::Served;
use super::running::{failed, passed, report};
use crate::doorway::{Doorway, Passage};
use crate::http;
use serde_json::Value;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A server, and the way to it.
struct Way {
    served: Served,
    doorway: Doorway,
}

impl Way {
    fn open() -> Self {
        let served = Served::start();
        let doorway = Doorway::to(&served.address);
        served.write("first.xml", &report(&[&passed("adds"), &failed("pays")]));
        served.write("second.xml", &report(&[&passed("adds"), &passed("pays")]));
        Self { served, doorway }
    }

    fn closed() -> Self {
        let way = Self::open();
        way.doorway.set(Passage::Closed);
        way
    }

    fn push(&self, arguments: &[&str], exit: i32) -> Value {
        let mut command = self.served.start_command(&[&["--json", "push", "--branch", "main"], arguments].concat());
        command.env("QASTACK_URL", format!("http://{}", self.doorway.address));
        command.env("QASTACK_TOKEN", super::running::TOKEN).env("QASTACK_PUSH__PATIENCE", "1s");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(exit), "{text}{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    fn spool(&self) -> PathBuf {
        self.served.directory.path().join(".local/state/qastack/spool")
    }

    /// The files that wait, by name.
    fn waiting(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.spool()) else { return Vec::new() };
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut paths: Vec<_> = paths.filter(|path| path.extension().is_some_and(|is| is == "parcel")).collect();
        paths.sort();
        paths
    }

    fn runs(&self) -> Vec<Value> {
        let answer = http::get(&self.served.address, "/api/v1/projects/default/runs");
        serde_json::from_str::<Value>(&answer.body).unwrap().as_array().cloned().unwrap_or_default()
    }

    /// The reports of all runs.
    fn reports(&self) -> u64 {
        self.runs().iter().map(|run| run["reports"].as_u64().unwrap()).sum()
    }

    fn posts(&self) -> usize {
        self.doorway.seen().iter().filter(|line| line.starts_with("POST ")).count()
    }
}

fn warnings(pushed: &Value) -> String {
    pushed["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|warning| warning.as_str().unwrap())
        .collect::<Vec<_>>()
        .join("\n")
}

#[test]
fn a_connection_that_breaks_is_tried_again_and_the_report_is_stored_once() {
    let way = Way::open();
    way.doorway.next([Passage::Closed, Passage::OneWay, Passage::Answer(503, "")]);
    let pushed = way.push(&["first.xml", "--patience", "30s"], 0);
    assert_eq!((&pushed["data"]["stored"], &pushed["data"]["spooled"]), (&1.into(), &0.into()), "{pushed:#}");
    assert_eq!(pushed["data"]["files"][0]["receipt"]["duplicate"], true, "the lost answer was that of the first copy");
    assert_eq!((way.runs().len(), way.posts(), way.waiting().len()), (1, 4, 0));
}

#[test]
fn an_overloaded_exporter_is_asked_again_when_it_wants_to_be() {
    let way = Way::open();
    way.doorway.next([Passage::Answer(429, "Retry-After: 1\r\n")]);
    let begun = Instant::now();
    way.push(&["first.xml", "--patience", "30s"], 0);
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    assert_eq!((way.runs().len(), way.posts()), (1, 2));
}

#[test]
fn one_that_wants_to_be_left_alone_for_long_is_given_up_at_once_for_all_files() {
    let way = Way::open();
    way.doorway.set(Passage::Answer(503, "Retry-After: 120\r\n"));
    for number in 0..20 {
        way.served.write(&format!("more/{number}.xml"), &report(&[&passed(&format!("t{number}"))]));
    }
    let begun = Instant::now();
    let pushed = way.push(&["more", "--patience", "60s"], 0);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(pushed["data"]["spooled"], 20, "{pushed:#}");
    assert!(way.posts() <= 4, "{} requests after it was given up", way.posts());
}

#[test]
fn what_an_outage_kept_back_goes_first_with_the_next_push_and_counts_where_it_was_pushed() {
    let way = Way::closed();
    let pushed = way.push(&["first.xml", "--run", "1", "--commit", "abc"], 0);
    assert_eq!((&pushed["ok"], &pushed["data"]["spooled"]), (&true.into(), &1.into()), "{pushed:#}");
    let told = warnings(&pushed);
    assert!(told.contains("does not answer") && told.contains("1 report waits in the spool"), "{told}");
    assert_eq!(way.waiting().len(), 1);
    way.doorway.set(Passage::Open);
    let pushed = way.push(&["second.xml", "--run", "2", "--commit", "abc"], 0);
    let delivered = pushed["data"]["spool"]["delivered"].as_array().unwrap();
    assert_eq!((delivered.len(), &delivered[0]["file"]), (1, &"first.xml".into()), "{pushed:#}");
    assert_eq!((way.waiting().len(), &pushed["data"]["spool"]["waiting"]), (0, &0.into()));
    let runs = way.runs();
    let keys: Vec<_> = runs.iter().rev().map(|run| run["run"].as_str().unwrap()).collect();
    assert_eq!(keys, ["1", "2"], "the older one was stored first");
    // pays failed and passed on one commit: 1 of the 2 tests is flaky.
    let page = http::get(&way.served.address, "/metrics").body;
    assert!(page.contains("\nflake_rate 0.5\n"), "{page}");
}

#[test]
fn a_run_that_waited_is_shown_on_the_day_it_was_pushed() {
    let way = Way::closed();
    way.push(&["first.xml"], 0);
    // As if it had been pushed three days ago.
    let path = way.waiting().remove(0);
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let (moment, rest) = name.split_once('-').unwrap();
    let pushed_at: i64 = moment.parse().unwrap();
    let earlier = pushed_at - 3 * 86_400;
    let content = std::fs::read(&path).unwrap();
    let text = String::from_utf8(content).unwrap();
    let (_, content) = text.split_once('\n').unwrap();
    let content = content.replace(&format!("\"pushed_at\":{pushed_at}"), &format!("\"pushed_at\":{earlier}"));
    let sum: String = sha2_of(content.as_bytes());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(path.with_file_name(format!("{earlier:012}-{rest}")), format!("qastack-spool-1 {sum}\n{content}"))
        .unwrap();
    way.doorway.set(Passage::Open);
    way.push(&["--flush"], 0);
    let runs = way.runs();
    assert_eq!(runs[0]["at"], earlier, "{runs:#?}");
    assert!(runs[0]["received_at"].as_i64().unwrap() >= pushed_at);
}

fn sha2_of(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn strict_fails_with_14_and_keeps_the_report_all_the_same() {
    let way = Way::closed();
    let pushed = way.push(&["first.xml", "--strict"], 14);
    assert_eq!(pushed["error"]["code"], "exporter_unreachable");
    assert_eq!((&pushed["error"]["retryable"], &pushed["data"]["spooled"]), (&true.into(), &1.into()));
    assert_eq!(way.waiting().len(), 1);
    // Tried again, it waits once.
    way.push(&["first.xml", "--strict"], 14);
    assert_eq!(way.waiting().len(), 1);
}

#[test]
fn flush_delivers_the_spool_alone_and_fails_while_it_cannot() {
    let way = Way::closed();
    way.push(&["first.xml", "second.xml"], 0);
    let failed = way.push(&["--flush"], 14);
    assert_eq!(failed["data"]["spool"]["waiting"], 2, "{failed:#}");
    way.doorway.set(Passage::Open);
    let flushed = way.push(&["--flush"], 0);
    assert_eq!(flushed["data"]["spool"]["delivered"].as_array().unwrap().len(), 2);
    assert_eq!((way.reports(), way.runs().len()), (2, 1), "what was pushed together is one run still");
    let again = way.served.command(&["push", "--flush", "--url", &format!("http://{}", way.doorway.address)]);
    assert_eq!(String::from_utf8_lossy(&again.stdout), "nothing waits in the spool for this exporter\n");
}

#[test]
fn two_pushes_at_once_deliver_each_report_once() {
    let way = Way::closed();
    for number in 0..30 {
        way.served.write(&format!("more/{number}.xml"), &report(&[&passed(&format!("t{number}"))]));
    }
    way.push(&["more", "--patience", "0s"], 0);
    assert_eq!(way.waiting().len(), 30);
    way.doorway.set(Passage::Open);
    let before = way.posts();
    std::thread::scope(|scope| {
        for _push in 0..3 {
            scope.spawn(|| way.push(&["--flush"], 0));
        }
    });
    assert_eq!((way.posts() - before, way.reports(), way.waiting().len()), (30, 30, 0));
}

#[test]
fn a_torn_parcel_is_told_and_moved_aside_and_holds_up_no_other() {
    let way = Way::closed();
    way.push(&["first.xml"], 0);
    way.push(&["second.xml"], 0);
    let torn = way.waiting().remove(0);
    let bytes = std::fs::read(&torn).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() - 7]).unwrap();
    way.doorway.set(Passage::Open);
    let flushed = way.push(&["--flush"], 0);
    let aside = way.spool().join("torn").join(torn.file_name().unwrap());
    assert!(warnings(&flushed).contains(aside.to_str().unwrap()), "{flushed:#}");
    assert!(aside.exists());
    assert_eq!((way.runs().len(), way.waiting().len()), (1, 0));
}

#[test]
fn a_report_that_is_refused_is_never_kept_and_one_in_the_spool_is_moved_aside() {
    let way = Way::open();
    way.served.write("bad.xml", "this is no XML");
    way.push(&["bad.xml"], 12);
    assert_eq!(way.waiting().len(), 0);
    way.doorway.set(Passage::Closed);
    way.push(&["bad.xml", "first.xml"], 0);
    way.doorway.set(Passage::Open);
    let pushed = way.push(&["second.xml"], 0);
    assert!(warnings(&pushed).contains("bad.xml, from the spool: "), "{pushed:#}");
    assert_eq!((way.runs().len(), way.waiting().len()), (2, 0));
    assert_eq!(std::fs::read_dir(way.spool().join("refused")).unwrap().count(), 1);
}

#[test]
fn a_refused_token_is_neither_tried_again_nor_spooled_and_keeps_what_waits() {
    let way = Way::closed();
    way.push(&["first.xml"], 0);
    way.doorway.set(Passage::Open);
    way.served.write("wrong", "not-the-token-of-this-exporter");
    let before = way.posts();
    let refused = way.push(&["second.xml", "--token-file", "wrong"], 14);
    assert_eq!(refused["error"]["code"], "token_refused");
    assert_eq!((way.posts() - before, way.waiting().len()), (2, 1), "one request for each of the two");
}

#[test]
fn what_waits_for_another_exporter_goes_to_no_other() {
    let way = Way::closed();
    way.push(&["first.xml"], 0);
    let direct = way.served.json(&["push", "--token-file", "token", "second.xml"], 0);
    let told = warnings(&direct);
    assert!(told.contains("1 report waits in the spool for another exporter, http://"), "{told}");
    assert_eq!((way.runs().len(), way.waiting().len()), (1, 1));
}

#[test]
fn a_spool_over_its_bounds_drops_the_oldest_and_says_so() {
    let way = Way::closed();
    way.push(&["first.xml"], 0);
    let room_for_one = std::fs::metadata(&way.waiting()[0]).unwrap().len() + 100;
    let pushed = way.push(&["second.xml", "--spool-size", &format!("{room_for_one}B")], 0);
    let told = warnings(&pushed);
    assert!(told.contains("first.xml is dropped from the spool and was never delivered"), "{told}");
    assert_eq!(way.waiting().len(), 1);
    way.doorway.set(Passage::Open);
    let flushed = way.push(&["--flush"], 0);
    assert_eq!(flushed["data"]["spool"]["delivered"][0]["file"], "second.xml");
}

#[test]
fn a_report_that_cannot_be_kept_fails_the_job() {
    let way = Way::closed();
    way.served.write("occupied", "a file where the spool should be");
    let failed = way.push(&["first.xml", "--spool", "occupied/spool"], 14);
    let message = failed["error"]["message"].as_str().unwrap();
    assert!(message.contains("does not answer") && message.contains("cannot be kept in the spool"), "{message}");
}

#[test]
fn a_spool_in_trouble_keeps_nothing_back_that_can_be_delivered() {
    let way = Way::open();
    way.served.write("occupied", "a file where the spool should be");
    let pushed = way.push(&["first.xml", "--spool", "occupied/spool"], 0);
    assert!(warnings(&pushed).contains("occupied/spool cannot be used"), "{pushed:#}");
    assert_eq!(way.runs().len(), 1);
}

#[test]
fn a_push_that_is_killed_while_it_keeps_reports_leaves_whole_ones_or_none() {
    let way = Way::closed();
    let noise: String = (0..3_000).map(|n| passed(&format!("t{n}"))).collect();
    for number in 0..6 {
        way.served.write(&format!("more/{number}.xml"), &report(&[&noise, &passed(&format!("own {number}"))]));
    }
    let url = format!("http://{}", way.doorway.address);
    for round in 0..8u64 {
        let mut child = super::program::qastack(way.served.directory.path())
            .args(["push", "--branch", "main", "--url", &url, "--patience", "0s", "more"])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        // The moment differs from round to round; what must hold then does not.
        std::thread::sleep(Duration::from_millis(10 + 15 * round));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    way.doorway.set(Passage::Open);
    let kept = way.waiting().len();
    let flushed = way.push(&["--flush"], 0);
    assert_eq!((flushed["warnings"].as_array().unwrap().len(), way.reports_or_none()), (0, kept as u64));
    way.push(&["more"], 0);
    assert_eq!(way.reports(), 6, "nothing is lost, and nothing counted twice");
}

impl Way {
    fn reports_or_none(&self) -> u64 {
        let answer = http::get(&self.served.address, "/api/v1/projects/default/runs");
        if answer.status == 404 { 0 } else { self.reports() }
    }
}
