//! What is kept of a failure before it is cleaned up: states and last log lines, without secrets.

use crate::engine::Engine;
use crate::error::Error;
use crate::stack::{Names, Observed, why_not_running};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Enough to see what a service did before it ended.
const LAST_LINES: usize = 200;

/// Writes `last-failure/PROJECT.txt` and returns its path; a failure to write must not hide the one it is about.
pub async fn save<E: Engine>(
    engine: &E,
    names: &Names,
    now: &Observed,
    state_directory: &Path,
    error: &Error,
) -> Option<PathBuf> {
    let ours: Vec<_> = now.containers.iter().filter(|container| container.is_ours(names.project())).collect();
    if ours.is_empty() {
        return None;
    }
    let mut text = format!("{}: {}\n", error.code().word(), error.message());
    for container in ours {
        let state = if container.exit_code.is_some() || !container.error.is_empty() {
            why_not_running(container)
        } else {
            container.state.word().to_owned()
        };
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n== {} ({})\nstate: {state}\nhealth: {}\nrestarts: {}\nimage: {}\n",
            container.name,
            container.id,
            container.health.as_deref().unwrap_or("none"),
            container.restarts,
            container.image,
        );
        for line in engine.last_lines(&container.id, LAST_LINES).await.unwrap_or_default() {
            let _ = writeln!(text, "  {line}");
        }
    }
    let directory = state_directory.join("last-failure");
    let path = directory.join(format!("{}.txt", names.project()));
    std::fs::create_dir_all(&directory).ok()?;
    std::fs::write(&path, text).ok()?;
    Some(path)
}
