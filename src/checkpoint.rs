//! Named places of a run at which a test can hold it, to end it there as a crash would.
//!
//! With `QASTACK_CHECKPOINT=NAME` a run that comes to the place of that name writes the file that
//! `QASTACK_CHECKPOINT_MARKER` names and goes no further while that file is there; it still hears signals. Without the
//! variables, which nobody has by chance, a place is one comparison. They are in the release build, since that is the
//! one that is tested.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

struct Wanted {
    name: String,
    marker: PathBuf,
    /// A run may come to a place again, and is held once.
    was_held: AtomicBool,
}

static WANTED: OnceLock<Option<Wanted>> = OnceLock::new();

/// Comes to a place: goes on, unless a test wants the run held here.
pub async fn reached(name: &str) {
    let wanted = WANTED.get_or_init(|| {
        let marker = std::env::var_os("QASTACK_CHECKPOINT_MARKER")?;
        let name = std::env::var("QASTACK_CHECKPOINT").ok()?;
        Some(Wanted { name, marker: marker.into(), was_held: AtomicBool::new(false) })
    });
    let Some(wanted) = wanted.as_ref().filter(|wanted| wanted.name == name) else { return };
    if !wanted.was_held.swap(true, Ordering::Relaxed) && std::fs::write(&wanted.marker, name).is_ok() {
        while wanted.marker.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// The same, for where a run is waited for as work that can fail.
pub async fn passed(name: &str) -> crate::error::Result<()> {
    reached(name).await;
    Ok(())
}
