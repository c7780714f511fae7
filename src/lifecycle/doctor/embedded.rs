//! Without a container engine: the directory, the process, its port, its store.

use super::{Check, machine};
use crate::engine::embedded::EmbeddedEngine;
use crate::engine::ports::{Port, process_on, try_port};
use crate::lifecycle::{Figures, reach};
use crate::settings::StackSettings;
use crate::stack::{EmbeddedState, Service};
use std::io::Read;
use std::path::Path;

/// What every SQLite file begins with.
const STORE_BEGINS: &[u8] = b"SQLite format 3\0";

/// Looks at the process of a project, and at what it needs.
pub async fn examine(engine: &EmbeddedEngine, settings: &StackSettings, state_directory: &Path) -> Vec<Check> {
    let mut checks = machine::state_directory(state_directory, &settings.project);
    let observed = match engine.observe() {
        Ok(observed) => observed,
        Err(error) => {
            checks.push(Check::error("process", &error));
            return checks;
        }
    };
    let running = observed.record.as_ref().filter(|_| observed.state == EmbeddedState::Running);
    checks.push(match (&observed.state, running) {
        (EmbeddedState::Running, Some(record)) => Check::ok("process", format!("runs as pid {}", record.pid)),
        (EmbeddedState::Running, None) => Check::ok("process", "runs"),
        (EmbeddedState::Missing, _) => {
            Check::ok("process", format!("{} does not run here; qastack up brings it up", settings.project))
        }
        (EmbeddedState::Exited(why), _) => Check::fail("process", why, "qastack up starts it again."),
    });
    checks.push(port(settings, running.map(|record| record.listen)));
    checks.extend(store(&engine.data()));
    if let Some(record) = running {
        checks.push(answer(engine, record.listen).await);
        if !observed.has_token {
            checks.push(Check::fail("admin token", "its file is missing or empty", "qastack up makes one."));
        }
    }
    checks
}

fn port(settings: &StackSettings, listens: Option<crate::settings::Published>) -> Check {
    let wanted = settings.ports.test_metrics;
    let name = format!("port {}", wanted.port);
    if listens == Some(wanted) {
        return Check::ok(name, format!("{} of this project, at {wanted}", Service::TestMetrics));
    }
    if try_port(wanted) == Port::Free {
        return Check::ok(name, format!("free for {}, at {wanted}", Service::TestMetrics));
    }
    let owner = process_on(wanted).unwrap_or_else(|| "a program of another user".to_owned());
    machine::taken(name, Service::TestMetrics, &owner)
}

/// The store's file: there, and a database at all. The process that has it open is the one to say more.
fn store(data: &Path) -> Option<Check> {
    let path = data.join("qastack.db");
    let fix = "Restore it from a backup, or begin a new one beside it: qastack up --set-aside-damaged-store.";
    let mut begins = Vec::new();
    match std::fs::File::open(&path).and_then(|file| file.take(STORE_BEGINS.len() as u64).read_to_end(&mut begins)) {
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => None,
        Err(cause) => Some(Check::fail("store", format!("{} cannot be read: {cause}", path.display()), fix)),
        // A new database is empty until the first change is written.
        Ok(_) if begins.is_empty() || begins == STORE_BEGINS => {
            let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            Some(Check::ok("store", format!("{}, {}", path.display(), super::bytes(size))))
        }
        Ok(_) => Some(Check::fail("store", format!("{} is no database any more", path.display()), fix)),
    }
}

async fn answer(engine: &EmbeddedEngine, listen: crate::settings::Published) -> Check {
    let name = Service::TestMetrics.name();
    let asked = async {
        let url = reach::direct(engine.info(), listen).ok()?;
        Some((Figures::ask(&reach::http_client().ok()?, &url).await?, url))
    };
    match asked.await {
        Some((figures, url)) => Check::ok(name, format!("{url} answers: {}", figures.in_words())),
        None => {
            let fix = format!("Its log says why: {}", engine.log().display());
            Check::fail(name, format!("the exporter at {listen} does not answer with figures"), fix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::doctor::Verdict;

    #[test]
    fn a_store_that_is_no_database_is_found() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(store(directory.path()), None, "none yet is no trouble");
        let path = directory.path().join("qastack.db");
        std::fs::write(&path, b"SQLite format 3\0 and more").expect("a file");
        assert_eq!(store(directory.path()).expect("a store").verdict, Verdict::Ok);
        std::fs::write(&path, vec![0; 4096]).expect("a file");
        assert_eq!(store(directory.path()).expect("a store").verdict, Verdict::Fail);
    }
}
