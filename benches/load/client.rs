//! The exporter as a process, and a client that costs next to nothing: prepared bytes out, a status back.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TOKEN: &str = "the-token-of-the-load-program";

/// A server under test; it ends with its value.
pub struct Server {
    child: Child,
    pub address: String,
}

impl Server {
    /// Starts the exporter on a directory and waits until it is ready.
    pub fn exporter(program: &str, directory: &Path) -> Self {
        std::fs::write(directory.join("token"), TOKEN).unwrap();
        let mut child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--data-dir", "data", "--admin-token-file", "token"])
            .current_dir(directory)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let (mut address, mut line) = (String::new(), String::new());
        while !line.contains(" ready ") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "it ended before it was ready");
            if let Some((_, rest)) = line.split_once("listening address=") {
                address = rest.trim().to_owned();
            }
        }
        // The pipe is read on, or the process would wait for it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Self { child, address }
    }

    /// Starts Python's http.server with the two metrics that the first exporter of this kind served.
    pub fn python() -> Self {
        let mut child = Command::new("python3").args(["-u", "-c", PYTHON]).stdout(Stdio::piped()).spawn().unwrap();
        let mut port = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut port).unwrap();
        Self { child, address: format!("127.0.0.1:{}", port.trim()) }
    }

    /// The memory of the process that is in RAM, in bytes.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// The processor time it has used, in seconds: on a busy machine it says more than the clock.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let ticks: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        (ticks[11].parse::<f64>().unwrap() + ticks[12].parse::<f64>().unwrap()) / 100.0
    }

    /// Ends the exporter as a container's engine would, so that its file is whole.
    pub fn stop(mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const PYTHON: &str = r##"
import http.server
TEXT = b"""# HELP flake_rate Percentage of flaky tests
# TYPE flake_rate gauge
flake_rate 0.08
# HELP defect_leakage Defects escaping to production
# TYPE defect_leakage gauge
defect_leakage 0.03
"""
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(TEXT)
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"##;

/// A connection to a server, opened again where the server closed it.
pub struct Client {
    address: String,
    stream: Option<BufReader<TcpStream>>,
    /// The last answer's body.
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), stream: None, body: Vec::new() }
    }

    /// Sends a request and reads the whole answer. Gives its status and how long it took.
    pub fn ask(&mut self, head: &str, body: &[u8]) -> (u16, Duration) {
        let started = Instant::now();
        self.send(head, body);
        (self.receive(), started.elapsed())
    }

    /// Sends a request.
    pub fn send(&mut self, head: &str, body: &[u8]) {
        let stream = self.stream.get_or_insert_with(|| {
            let stream = TcpStream::connect(&self.address).unwrap();
            stream.set_nodelay(true).unwrap();
            // An answer in one reading.
            BufReader::with_capacity(64 << 10, stream)
        });
        let mut request = Vec::with_capacity(head.len() + body.len());
        request.extend_from_slice(head.as_bytes());
        request.extend_from_slice(body);
        stream.get_mut().write_all(&request).unwrap();
    }

    /// Reads the whole answer to the request that was sent last. Gives its status.
    pub fn receive(&mut self) -> u16 {
        let stream = self.stream.as_mut().unwrap();
        let (mut status, mut length, mut line) = (0, None, String::new());
        loop {
            line.clear();
            stream.read_line(&mut line).unwrap();
            let text = line.trim_end();
            if let Some(rest) = text.strip_prefix("HTTP/1.") {
                status = rest[2..5].parse().unwrap();
            } else if let Some((name, value)) = text.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse::<u64>().unwrap());
            } else if text.is_empty() {
                break;
            }
        }
        self.body.clear();
        match length {
            Some(length) => {
                stream.take(length).read_to_end(&mut self.body).unwrap();
            }
            None => {
                stream.read_to_end(&mut self.body).unwrap();
                self.stream = None;
            }
        }
        status
    }

    pub fn get(&mut self, path: &str) -> Duration {
        let (status, took) = self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"), b"");
        assert_eq!(status, 200, "{path}");
        took
    }

    /// Pushes a report of a run and waits for the acknowledgement.
    pub fn push(&mut self, run: &str, at: Option<u64>, report: &[u8]) -> Duration {
        let at = at.map(|at| format!("&started_at={at}")).unwrap_or_default();
        let head = format!(
            "POST /api/v1/projects/load/reports?run={run}&branch=main&commit=c-{run}{at} HTTP/1.1\r\nHost: localhost\r\n\
             Authorization: Bearer {TOKEN}\r\nContent-Length: {}\r\n\r\n",
            report.len()
        );
        let (status, took) = self.ask(&head, report);
        assert_eq!(status, 201, "run {run}");
        took
    }
}
