//! `qastack healthcheck`: is the exporter in this container alive? The image's health check, so small and quick.

use super::Context;
use super::exporter::{on_this_machine, published_at};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use clap::Args;
use serde_json::json;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Ask the exporter on this machine whether it is alive
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Where it listens; 0.0.0.0 and [::] are asked on loopback [default: where the settings publish it, 127.0.0.1:8080]
    #[arg(long, env = "QASTACK_LISTEN", value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

/// How long each step of the conversation may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks once.
///
/// # Errors
/// It does not answer, or not with 200.
pub async fn run(arguments: HealthcheckArgs, context: &Context) -> Result<Answer> {
    let address = match arguments.listen {
        Some(listen) => on_this_machine(listen),
        None => published_at(context)?,
    };
    let begun = Instant::now();
    let status = ask(address).map_err(|cause| {
        Error::new(Code::ExporterUnreachable, format!("the exporter at {address} does not answer: {cause}"))
    })?;
    if status != 200 {
        let message = format!("the exporter at {address} answers with status {status}");
        return Err(Error::new(Code::ExporterUnreachable, message));
    }
    let data = json!({ "address": address.to_string(), "status": status, "seconds": begun.elapsed().as_secs_f64() });
    Ok(Answer { data, text: format!("{address} is alive"), ..Answer::default() })
}

fn ask(address: SocketAddr) -> io::Result<u16> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut head = Vec::with_capacity(64);
    // The status line is all that counts: `HTTP/1.1 200 OK`.
    stream.take(64).read_to_end(&mut head)?;
    let text = String::from_utf8_lossy(&head);
    text.strip_prefix("HTTP/1.")
        .and_then(|rest| rest.split(' ').nth(1)?.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn verdict(answer: &'static str) -> Result<u16, String> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 256];
            let _ = stream.read(&mut request).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let verdict = ask(address).map_err(|error| error.to_string());
        server.join().unwrap();
        verdict
    }

    #[test]
    fn the_status_is_read_from_the_first_line() {
        assert_eq!(verdict("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), Ok(200));
        assert_eq!(verdict("HTTP/1.0 503 Service Unavailable\r\n\r\n"), Ok(503));
        assert!(verdict("SSH-2.0-OpenSSH\r\n").is_err());
        assert!(verdict("").is_err());
    }

    #[test]
    fn an_address_for_all_is_asked_on_loopback() {
        assert_eq!(on_this_machine("0.0.0.0:8080".parse().unwrap()).to_string(), "127.0.0.1:8080");
        assert_eq!(on_this_machine("[::]:1".parse().unwrap()).to_string(), "[::1]:1");
        assert_eq!(on_this_machine("10.0.0.1:9".parse().unwrap()).to_string(), "10.0.0.1:9");
    }
}
