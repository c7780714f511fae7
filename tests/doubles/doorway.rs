//! The way to a server, which a test can bar: it lets requests through, closes the connection, answers itself, or lets
//! a request through and loses the answer.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What becomes of a request.
#[derive(Debug, Clone)]
pub enum Passage {
    /// It reaches the server, and the answer comes back.
    Open,
    /// The connection ends without an answer.
    Closed,
    /// It reaches the server, and the answer is lost.
    OneWay,
    /// The doorway itself answers, with this status and these header lines.
    Answer(u16, &'static str),
}

/// A doorway on a port of its own.
#[derive(Debug, Clone)]
pub struct Doorway {
    /// Where it is.
    pub address: String,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    upstream: String,
    next: VecDeque<Passage>,
    then: Passage,
    seen: Vec<String>,
}

impl Doorway {
    /// A doorway to a server.
    pub fn to(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let state =
            State { upstream: upstream.to_owned(), next: VecDeque::new(), then: Passage::Open, seen: Vec::new() };
        let doorway = Self { address, state: Arc::new(Mutex::new(state)) };
        let served = doorway.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let doorway = served.clone();
                // A connection that breaks is what some of the tests are for.
                std::thread::spawn(move || doorway.serve(stream).ok());
            }
        });
        doorway
    }

    /// What becomes of every request from now on.
    pub fn set(&self, then: Passage) {
        self.state.lock().expect("the state").then = then;
    }

    /// What becomes of the next requests, one by one.
    pub fn next(&self, passages: impl IntoIterator<Item = Passage>) {
        self.state.lock().expect("the state").next.extend(passages);
    }

    /// The first lines of the requests that came, let through or not.
    pub fn seen(&self) -> Vec<String> {
        self.state.lock().expect("the state").seen.clone()
    }

    fn serve(&self, mut client: TcpStream) -> std::io::Result<()> {
        let request = read_request(&mut client)?;
        let (passage, upstream) = {
            let mut state = self.state.lock().expect("the state");
            let line = String::from_utf8_lossy(&request).lines().next().unwrap_or_default().to_owned();
            state.seen.push(line);
            let then = state.then.clone();
            (state.next.pop_front().unwrap_or(then), state.upstream.clone())
        };
        match passage {
            Passage::Closed => {}
            Passage::Answer(status, headers) => {
                write!(client, "HTTP/1.1 {status} By Order\r\n{headers}Content-Length: 0\r\nConnection: close\r\n\r\n")?
            }
            Passage::Open => client.write_all(&ask(&upstream, &request)?)?,
            Passage::OneWay => drop(ask(&upstream, &request)?),
        }
        client.shutdown(Shutdown::Both)
    }
}

/// One request on one connection, so that the end of the answer is the end of the connection.
fn ask(upstream: &str, request: &[u8]) -> std::io::Result<Vec<u8>> {
    let end_of_line = request.windows(2).position(|two| two == b"\r\n").map_or(request.len(), |at| at + 2);
    let mut server = TcpStream::connect(upstream)?;
    server.write_all(&request[..end_of_line])?;
    server.write_all(b"Connection: close\r\n")?;
    server.write_all(&request[end_of_line..])?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let (mut request, mut part) = (Vec::new(), [0; 16 << 10]);
    loop {
        if let Some(head) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
            let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
            if request.len() >= head + 4 + length.unwrap_or(0) {
                return Ok(request);
            }
        }
        match client.read(&mut part)? {
            0 => return Err(std::io::Error::other("the client went away")),
            count => request.extend_from_slice(&part[..count]),
        }
    }
}
