//! How it ends: soon, and with everything it acknowledged.

use super::running::{Running, TOKEN, passed, report};
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// What the operating system gives 100 ms; the rest is for a machine under load.
const SOON: Duration = Duration::from_millis(500);

#[test]
fn it_ends_soon_although_a_client_stalls() {
    let exporter = Running::start();
    let mut stalled = TcpStream::connect(&exporter.address).unwrap();
    write!(
        stalled,
        "POST /api/v1/projects/web/reports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Length: 100\r\n\r\n<testsuite"
    )
    .unwrap();
    let idle = TcpStream::connect(&exporter.address).unwrap();
    assert_eq!(exporter.get("/healthz").status, 200);
    let (ended, took) = exporter.stop();
    ended.expect("it ends well");
    assert!(took < SOON, "{took:?}");
    drop((stalled, idle));
}

#[test]
fn everything_acknowledged_is_there_again() {
    let exporter = Running::start();
    let directory = Arc::clone(&exporter.directory);
    for run in 0..20 {
        let path = format!("/api/v1/projects/web/reports?run={run}&branch=main");
        assert_eq!(exporter.post(&path, &report(&[&passed(&format!("t{run}"))])).status, 201);
    }
    exporter.stop().0.expect("it ends well");
    let exporter = Running::over(directory, "");
    assert_eq!(exporter.series("qa_tests{project=\"web\",suite=\"checkout\"}"), Some(20.0));
}

#[test]
fn a_store_that_cannot_be_opened_ends_it_with_its_name() {
    let directory = Arc::new(tempfile::tempdir().unwrap());
    std::fs::create_dir(directory.path().join("data")).unwrap();
    std::fs::write(directory.path().join("data/qastack.db"), "this is no database, whatever its name says").unwrap();
    let error = Running::starting(directory, "").ended().expect_err("it does not serve");
    assert_eq!(error.code(), qastack::exit_code::Code::StoreDamaged);
    assert!(error.message().contains("qastack.db"), "{}", error.message());
}
