//! `qastack open`: the address of what people look at, and a browser that shows it.

use super::stack::ChosenEngine;
use super::{Context, stack};
use crate::error::Result;
use crate::lifecycle;
use crate::output::Answer;
use crate::stack::{Names, Service};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::ffi::OsStr;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Open Grafana, Prometheus or the exporter's page in a browser, and print the address
#[derive(Debug, Args)]
pub struct OpenArgs {
    /// What to open [default: grafana; without containers, page]
    #[arg(value_name = "WHAT")]
    what: Option<What>,
    /// Only print the address
    #[arg(long)]
    print: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// The dashboard in Grafana
    Grafana,
    /// Prometheus
    Prometheus,
    /// The exporter's own page
    Page,
}

impl What {
    fn service(self) -> Service {
        match self {
            Self::Grafana => Service::Grafana,
            Self::Prometheus => Service::Prometheus,
            Self::Page => Service::TestMetrics,
        }
    }
}

/// Prints the address; opens it where somebody sits at a terminal and there is a browser.
pub async fn run(arguments: OpenArgs, context: &Context) -> Result<Answer> {
    let settings = stack::load_settings(context)?.settings;
    let service = arguments.what.map(What::service);
    let opened = match stack::engine(context, &settings).await? {
        ChosenEngine::Docker(engine) => lifecycle::open(&engine, &Names::new(&settings.project), service).await?,
        ChosenEngine::Embedded(engine, _) => lifecycle::embedded_open(&engine, service)?,
    };
    let url = opened.url.to_string();
    let only_print = arguments.print || context.globals.json || !std::io::stdout().is_terminal();
    let browser = if only_print { None } else { opener() };
    let (shown, warnings) = match browser {
        None => (false, Vec::new()),
        Some(program) => match show(&program, &url) {
            Ok(()) => (true, Vec::new()),
            Err(why) => (false, vec![format!("no browser was opened: {} {why}", program.display())]),
        },
    };
    let data = json!({ "service": opened.service.name(), "url": url, "opened": shown });
    Ok(Answer { data, text: url, warnings, verdict: None })
}

/// The program of this system that opens an address, where there is a screen to show it on.
fn opener() -> Option<PathBuf> {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let name = if cfg!(target_os = "macos") {
        "open"
    } else if ["DISPLAY", "WAYLAND_DISPLAY", "WSL_DISTRO_NAME"].into_iter().any(is_set) {
        "xdg-open"
    } else {
        return None;
    };
    find(name, &std::env::var_os("PATH")?)
}

fn find(name: &str, path: &OsStr) -> Option<PathBuf> {
    std::env::split_paths(path).map(|directory| directory.join(name)).find(|program| program.is_file())
}

/// How long the opener may take to fail; one that still runs then shows the page.
const PATIENCE: Duration = Duration::from_secs(2);

/// Starts the opener away from this terminal; the browser outlives this process.
fn show(program: &PathBuf, url: &str) -> std::result::Result<(), String> {
    let mut command = Command::new(program);
    command.arg(url).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().map_err(|cause| format!("cannot be started: {cause}"))?;
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(ended)) if ended.success() => return Ok(()),
            Ok(Some(ended)) => return Err(format!("ended with {ended}")),
            _ => std::thread::sleep(Duration::from_millis(10)),
        }
    }
    Ok(())
}
