//! The way to a service that only the engine's own machine reaches: a port of ours, and for each connection to it a
//! command in a container of the stack's network that passes the bytes on.
//!
//! That command is this program itself, as it lies in the exporter's image, so that nothing has to be installed there.

use super::exec::{Attached, attach};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use bollard::Docker;
use bollard::container::LogOutput;
use futures_util::StreamExt;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Where the program is in the exporter's image.
const PROGRAM: &str = "/qastack";
/// How long the engine may take to start the command.
const PATIENCE: Duration = Duration::from_secs(8);

/// The ports of ours that are open, by container and target.
#[derive(Debug, Clone, Default)]
pub struct Relays {
    open: Arc<Mutex<HashMap<(String, String), SocketAddr>>>,
}

impl Relays {
    /// Where a target, `HOST:PORT` as the container knows it, is reached from here. It stays open as long as this process.
    pub fn to(&self, docker: &Docker, container: &str, target: &str) -> Result<SocketAddr> {
        let trouble = |cause: std::io::Error| {
            Error::new(Code::Unexpected, format!("cannot open a port of this machine to reach {target}: {cause}"))
        };
        let key = (container.to_owned(), target.to_owned());
        let mut open = self.open.lock().map_err(|_| trouble(std::io::Error::other("a relay failed")))?;
        if let Some(address) = open.get(&key) {
            return Ok(*address);
        }
        let listener = std::net::TcpListener::bind("127.0.0.1:0").map_err(trouble)?;
        listener.set_nonblocking(true).map_err(trouble)?;
        let address = listener.local_addr().map_err(trouble)?;
        let listener = TcpListener::from_std(listener).map_err(trouble)?;
        tokio::spawn(serve(listener, docker.clone(), key.clone()));
        open.insert(key, address);
        Ok(address)
    }
}

async fn serve(listener: TcpListener, docker: Docker, (container, target): (String, String)) {
    while let Ok((client, _)) = listener.accept().await {
        let (docker, container, target) = (docker.clone(), container.clone(), target.clone());
        tokio::spawn(async move { pass(&docker, &container, &target, client).await });
    }
}

/// Passes one connection on, both ways, until the far end closes it. Where the command cannot be started the
/// connection just ends: whoever made it tries again or tells what it was for.
async fn pass(docker: &Docker, container: &str, target: &str, client: TcpStream) {
    let started = tokio::time::timeout(PATIENCE, attach(docker, container, &[PROGRAM, "relay", target])).await;
    let Ok(Ok(Attached { mut input, mut output, .. })) = started else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut input).await;
        let _ = input.shutdown().await;
        // The answer may still come.
        std::future::pending::<()>().await;
    };
    let back = async {
        while let Some(Ok(part)) = output.next().await {
            match part {
                LogOutput::StdOut { message } | LogOutput::Console { message } => {
                    if to_client.write_all(&message).await.is_err() {
                        return;
                    }
                }
                LogOutput::StdErr { .. } | LogOutput::StdIn { .. } => {}
            }
        }
        let _ = to_client.shutdown().await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}
