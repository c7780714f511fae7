//! An engine behind ssh, as the docker command reaches it: `ssh HOST docker system dial-stdio` for each connection, all
//! over one login.
//!
//! The connections come in by a socket of ours in a directory that only this user can enter.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{ChildStderr, Command};

/// How long the one login is kept after the last connection.
const KEPT_SECONDS: u32 = 20;
/// How long ssh may take to connect; less than an engine has to answer.
const CONNECT_SECONDS: u32 = 6;

/// How long what ssh said last is waited for, once it has ended without an answer.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// `ssh://[USER@]HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    user: Option<String>,
    host: String,
    port: Option<String>,
}

impl Target {
    fn parse(address: &str) -> Option<Self> {
        let url = url::Url::parse(address).ok()?;
        let host = url.host_str().filter(|host| !host.is_empty())?.trim_matches(['[', ']']).to_owned();
        // A name that begins like a flag would be one to ssh.
        if url.scheme() != "ssh" || host.starts_with('-') || url.username().starts_with('-') {
            return None;
        }
        let user = Some(url.username().to_owned()).filter(|user| !user.is_empty());
        Some(Self { user, host, port: url.port().map(|port| port.to_string()) })
    }

    /// What ssh is started with.
    fn arguments(&self, control: &Path) -> Vec<String> {
        let mut arguments = vec!["-T".to_owned()];
        let options = [
            // Nobody could answer a question while progress is shown.
            "BatchMode=yes".to_owned(),
            format!("ConnectTimeout={CONNECT_SECONDS}"),
            "ControlMaster=auto".to_owned(),
            format!("ControlPath={}", control.display()),
            format!("ControlPersist={KEPT_SECONDS}"),
        ];
        arguments.extend(options.into_iter().flat_map(|option| ["-o".to_owned(), option]));
        for (flag, value) in [("-l", &self.user), ("-p", &self.port)] {
            if let Some(value) = value {
                arguments.extend([flag.to_owned(), value.clone()]);
            }
        }
        arguments.extend(["--", &self.host, "docker", "system", "dial-stdio"].map(str::to_owned));
        arguments
    }
}

/// A socket of ours that leads to the engine behind ssh, for as long as this lives.
#[derive(Debug, Clone)]
pub struct Tunnel {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    directory: PathBuf,
    task: tokio::task::JoinHandle<()>,
    /// What ssh said last.
    said: Arc<Mutex<String>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.task.abort();
        // What is left behind is empty and in a directory for what does not stay.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Tunnel {
    /// Opens the socket; ssh is started with the first connection.
    ///
    /// # Errors
    /// The address is none, or no socket can be made.
    pub fn open(address: &str) -> io::Result<Self> {
        let target = Target::parse(address).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("`{address}` is not ssh://[USER@]HOST[:PORT]"))
        })?;
        let directory = make_directory()?;
        let listener = UnixListener::bind(directory.join("engine.sock"))?;
        let said = Arc::new(Mutex::new(String::new()));
        let arguments = target.arguments(&directory.join("login"));
        let task = tokio::spawn(serve(listener, arguments, Arc::clone(&said)));
        Ok(Self { inner: Arc::new(Inner { directory, task, said }) })
    }

    /// The socket.
    pub fn socket(&self) -> PathBuf {
        self.inner.directory.join("engine.sock")
    }

    /// What ssh said last, such as that it was refused.
    pub fn said(&self) -> Option<String> {
        self.inner.said.lock().ok().map(|said| said.clone()).filter(|said| !said.is_empty())
    }
}

/// A short path: a socket's has to fit into 108 bytes, and ssh makes its own longer.
fn make_directory() -> io::Result<PathBuf> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("qastack-ssh-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let directory = std::env::temp_dir().join(name);
    DirBuilder::new().mode(0o700).create(&directory)?;
    Ok(directory)
}

async fn serve(listener: UnixListener, arguments: Vec<String>, said: Arc<Mutex<String>>) {
    while let Ok((client, _)) = listener.accept().await {
        let (arguments, said) = (arguments.clone(), Arc::clone(&said));
        tokio::spawn(async move {
            if let Err(cause) = pass(client, &arguments, &said).await
                && let Ok(mut said) = said.lock()
            {
                *said = format!("ssh: {cause}");
            }
        });
    }
}

/// Passes one connection on to an ssh of its own, both ways.
async fn pass(client: UnixStream, arguments: &[String], said: &Arc<Mutex<String>>) -> io::Result<()> {
    let mut ssh = Command::new("ssh")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C in the terminal is ours to deal with: the engine is still needed to clean up.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let pipes = (ssh.stdin.take(), ssh.stdout.take(), ssh.stderr.take());
    let (Some(mut to_engine), Some(mut from_engine), Some(errors)) = pipes else { return Ok(()) };
    let listening = tokio::spawn(listen(errors, Arc::clone(said)));
    let (mut from_client, mut to_client) = client.into_split();
    let there = async {
        let _ = tokio::io::copy(&mut from_client, &mut to_engine).await;
        let _ = to_engine.shutdown().await;
        drop(to_engine);
        // The answer may still come.
        std::future::pending::<u64>().await
    };
    let back = async { tokio::io::copy(&mut from_engine, &mut to_client).await.unwrap_or_default() };
    let answered = tokio::select! {
        bytes = there => bytes,
        bytes = back => bytes,
    };
    if answered == 0 {
        // It was refused: why is told before the one who waits sees the end.
        let _ = tokio::time::timeout(LAST_WORDS, listening).await;
    }
    let _ = to_client.shutdown().await;
    Ok(())
}

/// Keeps what ssh said last. The one that holds the login keeps this open, so that it may never end.
async fn listen(errors: ChildStderr, said: Arc<Mutex<String>>) {
    let mut lines = BufReader::new(errors).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(mut said) = said.lock()
            && !line.trim().is_empty()
        {
            line.trim().clone_into(&mut said);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_becomes_what_ssh_is_started_with() {
        let target = Target::parse("ssh://ann@far.example:2222").expect("a target");
        let arguments = target.arguments(Path::new("/tmp/x/login")).join(" ");
        assert!(arguments.contains("-o BatchMode=yes"), "{arguments}");
        assert!(arguments.ends_with("-l ann -p 2222 -- far.example docker system dial-stdio"), "{arguments}");
        let target = Target::parse("ssh://far").expect("a target");
        assert!(!target.arguments(Path::new("/x")).iter().any(|word| word == "-l" || word == "-p"));
        for wrong in ["ssh://", "tcp://far", "ssh://-oProxyCommand=x", "far"] {
            assert_eq!(Target::parse(wrong), None, "{wrong}");
        }
    }
}
