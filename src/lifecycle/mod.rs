//! Drives a plan: lock, apply in parallel, wait, prove, roll back. It tells what happens as events and never prints.

mod access;
mod adopt;
mod apply;
mod backup;
mod cancel;
pub mod doctor;
mod down;
pub mod embedded;
pub mod event;
mod evidence;
mod figures;
pub mod images;
mod lock;
mod logs;
mod look;
mod moving;
mod open;
mod ports;
mod prove;
mod reach;
mod ready;
mod refusals;
mod report;
mod reset_password;
mod restore;
mod rollback;
mod secrets;
mod status;
mod up;
mod wait;

pub use access::{Access, access};
pub use backup::{BackupReport, Besides, Home, backup};
pub use cancel::{Cancel, Words};
pub use down::{DownReport, down, plan as plan_down};
pub use figures::Figures;
pub use lock::Lock;
pub use logs::{Entries, LogEntry, embedded_logs, logs};
pub use moving::Containers;
pub use open::{Opened, embedded_open, open};
pub use ports::{ChosenPorts, PortWishes, choose as choose_ports};
pub use report::{DoneStep, UpReport};
pub use reset_password::{Source as PasswordSource, reset_password};
pub use restore::{Restore, RestoreReport, restore};
pub use secrets::{Credentials, Shown, shown};
pub use status::{DataSourceStatus, ServiceStatus, StatusReport, status};
pub use up::{Up, UpOptions, WaitFor, up};

use std::path::PathBuf;
use std::time::Duration;

/// How often something that is about to be ready is asked.
const POLL: Duration = Duration::from_millis(25);

/// Where locks, spools and evidence are kept: `$XDG_STATE_HOME/qastack`.
///
/// The engine holds the truth; losing this directory loses nothing.
pub fn state_directory() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_STATE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".local/state")))
        .unwrap_or_else(std::env::temp_dir)
        .join("qastack")
}
