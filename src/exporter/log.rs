//! The exporter's log: one line an event on stderr, `key=value`, with times in UTC and never a secret.

use tracing_subscriber::EnvFilter;

/// The variable that says how much is logged: `info`, `debug`, `qastack::exporter=trace`.
const VARIABLE: &str = "QASTACK_LOG";

/// Sends what is traced to stderr from now on. Where a program around us does so already, its way stays.
pub fn to_stderr() {
    let filter = EnvFilter::try_from_env(VARIABLE).unwrap_or_else(|_| EnvFilter::new("info"));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .try_init();
}
