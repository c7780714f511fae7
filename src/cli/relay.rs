//! `qastack relay`: passes bytes between its own input and output and a service. The command that the engine runs in the
//! exporter's container where the services are on another machine's loopback; not meant for people.

use super::Context;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::output::Answer;
use clap::Args;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

/// Pass bytes between standard input and output and a service
#[derive(Debug, Args)]
pub struct RelayArgs {
    /// The service, as this machine knows it
    #[arg(value_name = "HOST:PORT")]
    target: String,
}

/// How long a service may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Passes bytes until the service has closed its end.
pub async fn run(arguments: RelayArgs, _context: &Context) -> Result<Answer> {
    let target = arguments.target;
    let trouble = |cause: io::Error| Error::new(Code::NotReady, format!("{target} is not reached: {cause}"));
    // Whole files and not the buffered handles: nothing may be held back.
    let from_here = File::from(io::stdin().as_fd().try_clone_to_owned().map_err(trouble)?);
    let to_here = File::from(io::stdout().as_fd().try_clone_to_owned().map_err(trouble)?);
    let service = connect(&target).map_err(trouble)?;
    let passed = tokio::task::spawn_blocking(move || pass(from_here, to_here, service)).await;
    passed.map_err(io::Error::other).and_then(|passed| passed).map_err(trouble)?;
    Ok(Answer::default())
}

fn connect(target: &str) -> io::Result<TcpStream> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "it has no address");
    for address in target.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, PATIENCE) {
            Ok(stream) => return Ok(stream),
            Err(cause) => refused = cause,
        }
    }
    Err(refused)
}

fn pass(mut from_here: File, mut to_here: File, service: TcpStream) -> io::Result<()> {
    service.set_nodelay(true)?;
    let (mut to_service, mut from_service) = (service.try_clone()?, service);
    std::thread::spawn(move || {
        let _ = copy(&mut from_here, &mut to_service);
        // The service sees the end too, and ends the conversation itself.
        let _ = to_service.shutdown(Shutdown::Write);
    });
    copy(&mut from_service, &mut to_here)
}

/// Passes on whatever is there at once. `io::copy` moves pages from a pipe to a socket inside the kernel, which may wait
/// for more to come before it sends what it has: the other side waits too, for the answer.
fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut part = vec![0; 64 << 10];
    loop {
        match from.read(&mut part)? {
            0 => return Ok(()),
            count => to.write_all(&part[..count])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_question_is_answered_while_both_ends_stay_open() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let service = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut question = [0; 8];
            stream.read_exact(&mut question).unwrap();
            stream.write_all(b"answer").unwrap();
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).unwrap();
            (question, rest)
        });
        let (from_here, mut to_relay) = io::pipe().unwrap();
        let (mut from_relay, to_here) = io::pipe().unwrap();
        let file = |end: std::os::fd::OwnedFd| File::from(end);
        let connection = connect(&target).unwrap();
        let relay = std::thread::spawn(move || pass(file(from_here.into()), file(to_here.into()), connection));
        to_relay.write_all(b"question").unwrap();
        let mut answer = [0; 6];
        from_relay.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"answer");
        to_relay.write_all(b"more").unwrap();
        drop(to_relay);
        assert_eq!(service.join().unwrap(), (*b"question", b"more".to_vec()));
        relay.join().unwrap().unwrap();
    }
}
