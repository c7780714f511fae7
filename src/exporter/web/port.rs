//! The first words on a connection: TLS where it is spoken, and what is answered to who speaks plainly there.

use super::Web;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long the first words may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What begins a TLS connection: a record of the handshake.
const HANDSHAKE: u8 = 0x16;

/// How a connection goes on.
pub enum Greeting {
    /// In plain words, as the port does.
    Plain(TcpStream),
    /// In plain words, where the port speaks TLS.
    PlainAtTls(TcpStream),
    /// In TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Hears the first words.
///
/// # Errors
/// The connection breaks off, the client is silent, or TLS comes about in no way that the configuration allows.
pub async fn greet(stream: TcpStream, web: Option<&Web>) -> io::Result<Greeting> {
    let Some(tls) = web.and_then(|web| web.in_force().tls.clone()) else { return Ok(Greeting::Plain(stream)) };
    let hear = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != HANDSHAKE {
            return Ok(Greeting::PlainAtTls(stream));
        }
        TlsAcceptor::from(tls).accept(stream).await.map(|stream| Greeting::Tls(Box::new(stream)))
    };
    tokio::time::timeout(PATIENCE, hear).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}
