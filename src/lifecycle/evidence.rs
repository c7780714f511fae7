//! What is kept of a failure before it is cleaned up: states and last log lines, without secrets.

use crate::engine::Engine;
use crate::error::Error;
use crate::stack::{Names, Observed, why_not_running};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Enough to see what a service did before it ended.
const LAST_LINES: usize = 200;

/// What became of the evidence of a failure.
pub enum Evidence {
    /// There was nothing to look at.
    None,
    /// It is in this file.
    Saved(PathBuf),
    /// It could not be written, and why.
    Lost(String),
}

/// Writes `last-failure/PROJECT.txt`; a failure to write must not hide the one it is about.
pub async fn save<E: Engine>(
    engine: &E,
    names: &Names,
    now: &Observed,
    state_directory: &Path,
    error: &Error,
) -> Evidence {
    let ours: Vec<_> = now.containers.iter().filter(|container| container.is_ours(names.project())).collect();
    if ours.is_empty() {
        return Evidence::None;
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
    match write(&directory, &path, &text) {
        Ok(()) => Evidence::Saved(path),
        Err(cause) => Evidence::Lost(format!("{}: {cause}", path.display())),
    }
}

/// Writes the file beside its place first, so that what is there is whole; only its owner may read what services wrote.
fn write(directory: &Path, path: &Path, text: &str) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let beside = path.with_extension("new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
    written.and_then(|()| std::fs::rename(&beside, path)).inspect_err(|_| {
        let _ = std::fs::remove_file(&beside);
    })
}
