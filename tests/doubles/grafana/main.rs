//! The program of the Grafana double. One file under several names, as in Grafana's own image:
//!
//! - `run.sh` (and any other name): the server. It listens on `GF_SERVER_HTTP_ADDR`:`GF_SERVER_HTTP_PORT`
//!   (all interfaces, 3000), keeps its state in `GF_PATHS_DATA` (`/var/lib/grafana`), and ends on SIGTERM;
//! - `grafana cli … admin reset-admin-password NEW`, or with `--password-from-stdin` in place of NEW: sets the
//!   password in that state, also while it runs;
//! - `curl … URL`: enough of curl for a health check: exit 0 on a status below 400, 22 above, 7 unreachable.
//!
//! `cargo build --example grafana-double` builds it, statically linked, so that it runs
//! `FROM scratch` as user 472 on a read-only root with a volume for its state. Settings are read by
//! `settings.rs`, where the `DOUBLE_…` variables for faults stand too.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program of its own, beside the product")]

#[path = "mod.rs"]
mod grafana_double;

use grafana_double::{Double, Settings, serve};
use std::process::ExitCode;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args();
    let program = arguments.next().unwrap_or_default();
    let arguments: Vec<String> = arguments.collect();
    let outcome = match program.rsplit('/').next() {
        Some("curl") => return curl(&arguments).await,
        Some("grafana") if arguments.first().is_some_and(|first| first == "cli") => command_line(&arguments),
        _ => run().await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), String> {
    let settings = Settings::from_environment(&|name| std::env::var(name).ok())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    let stopped = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let started = async {
        // Like the real one it does not listen before its database is ready.
        tokio::time::sleep(settings.boot_delay()).await;
        let address = settings.address;
        let double = Double::open(settings)?;
        let listener =
            TcpListener::bind(address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
        println!("HTTP Server Listen address={address}");
        serve(listener, double).await;
        Ok(())
    };
    tokio::select! { () = stopped => Ok(()), outcome = started => outcome }
}

fn command_line(arguments: &[String]) -> Result<(), String> {
    let words: Vec<&String> = arguments.iter().skip_while(|word| *word != "reset-admin-password").skip(1).collect();
    let password = if words.iter().any(|word| *word == "--password-from-stdin") {
        // Like the real one it takes the first line, and needs no end of the input.
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).map_err(|error| format!("can't read password from stdin: {error}"))?;
        line.trim_end_matches(['\n', '\r']).to_owned()
    } else {
        let new = words.into_iter().find(|word| !word.starts_with('-'));
        new.ok_or("usage: grafana cli admin reset-admin-password NEW")?.clone()
    };
    if password.len() < 4 {
        return Err("Error: ✗ new password is too short".to_owned());
    }
    Settings::from_environment(&|name| std::env::var(name).ok())?.write_password(&password)?;
    println!("INFO[01-01|00:00:00] Connecting to DB\n\nAdmin password changed successfully ✔");
    Ok(())
}

async fn curl(arguments: &[String]) -> ExitCode {
    let Some(url) = arguments.iter().find(|word| word.starts_with("http://")) else {
        eprintln!("curl: no URL specified");
        return ExitCode::from(2);
    };
    match grafana_double::http_client().get(url).send().await {
        Ok(answer) if answer.status().as_u16() < 400 => ExitCode::SUCCESS,
        Ok(answer) => {
            eprintln!("curl: (22) The requested URL returned error: {}", answer.status().as_u16());
            ExitCode::from(22)
        }
        Err(error) => {
            eprintln!("curl: (7) Failed to connect: {error}");
            ExitCode::from(7)
        }
    }
}
