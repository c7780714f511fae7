//! `qastack serve`: the exporter itself, in the foreground.

use super::Context;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::clock::SystemClock;
use crate::exporter::data_dir::{IfDamaged, Surroundings};
use crate::exporter::log;
use crate::exporter::run::{Outside, run as serve};
use crate::exporter::web::Web;
use crate::output::Answer;
use crate::settings::{LoadedServe, Origin, Override, load_serve};
use clap::Args;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Mutex;

/// Run the exporter in the foreground: take reports in, serve /metrics
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// The exporter's settings file; read again on SIGHUP
    #[arg(long, env = "QASTACK_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Where the store lies [default: /data in a container, else the user's data directory]
    #[arg(long, value_name = "DIRECTORY")]
    data_dir: Option<String>,
    /// A file with the administrator's token; without one nothing is taken in
    #[arg(long, value_name = "FILE")]
    admin_token_file: Option<String>,
    /// A file that guards the port with TLS and users, in the format of Prometheus' exporters; read again when it changes
    #[arg(long = "web.config.file", env = "QASTACK_WEB_CONFIG_FILE", value_name = "FILE")]
    web_config_file: Option<PathBuf>,
    /// A file to log to instead of stderr; at 4 MiB it begins anew, and the one before is FILE.1
    #[arg(long, value_name = "FILE")]
    log_file: Option<PathBuf>,
    /// Keep a damaged store under another name and begin with an empty one, instead of not starting
    #[arg(long)]
    set_aside_damaged_store: bool,
}

impl ServeArgs {
    fn load(&self) -> Result<LoadedServe> {
        let flags = [
            ("listen", "--listen", &self.listen),
            ("data_dir", "--data-dir", &self.data_dir),
            ("admin_token_file", "--admin-token-file", &self.admin_token_file),
        ];
        let overrides = flags.into_iter().filter_map(|(path, flag, value)| {
            let value = value.clone()?;
            Some(Override { path: path.to_owned(), value, origin: Origin::Flag(flag) })
        });
        load_serve(self.config.as_deref(), super::environment(), overrides.collect())
    }
}

/// Serves until SIGTERM or Ctrl-C, which end it well.
///
/// # Errors
/// The settings, the address or the store cannot be used.
pub async fn run(arguments: ServeArgs, _context: &Context) -> Result<Answer> {
    match &arguments.log_file {
        None => log::to_stderr(),
        Some(path) => log::to_file(path)
            .map_err(|cause| Error::new(Code::SettingsInvalid, format!("cannot log to {}: {cause}", path.display())))?,
    }
    // Before anything else: as process 1 of a container nothing is ended that does not say how.
    let on =
        |kind| signal(kind).map_err(|cause| Error::new(Code::Unexpected, format!("cannot watch signals: {cause}")));
    let (mut terminate, mut interrupt) = (on(SignalKind::terminate())?, on(SignalKind::interrupt())?);
    let hang_up: Arc<Mutex<Signal>> = Arc::new(Mutex::new(on(SignalKind::hangup())?));
    let loaded = arguments.load()?;
    let web = arguments.web_config_file.as_deref().map(Web::load).transpose()?;
    let listen = loaded.settings.listen;
    let if_damaged = if arguments.set_aside_damaged_store { IfDamaged::SetAside } else { IfDamaged::Refuse };
    let listener = TcpListener::bind(listen).await.map_err(|cause| {
        let code = if cause.kind() == std::io::ErrorKind::AddrInUse { Code::PortBusy } else { Code::SettingsInvalid };
        Error::new(code, format!("cannot listen on {listen}: {cause}")).hint("Name another with --listen ADDRESS:PORT.")
    })?;
    tracing::info!(address = %listener.local_addr().unwrap_or(listen), "listening");
    let outside = Outside {
        listener,
        clock: Arc::new(SystemClock),
        web,
        surroundings: Surroundings { if_damaged, ..surroundings() },
        stop: async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        },
        reload: {
            let arguments = arguments.clone();
            move || {
                let (arguments, hang_up) = (arguments.clone(), Arc::clone(&hang_up));
                async move {
                    hang_up.lock().await.recv().await?;
                    Some(arguments.load())
                }
            }
        },
    };
    serve(loaded, outside).await?;
    Ok(Answer::default())
}

/// Those of this process.
fn surroundings() -> Surroundings {
    let directory = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let is_there = |path: &str| Path::new(path).exists();
    Surroundings {
        container: std::process::id() == 1 || is_there("/.dockerenv") || is_there("/run/.containerenv"),
        data_home: directory("XDG_DATA_HOME"),
        home: directory("HOME"),
        ..Surroundings::default()
    }
}
