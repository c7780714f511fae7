//! Commands run in containers that run: what goes in, what comes out, how they ended.

use super::failure::Call;
use crate::engine::Executed;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as Cause;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use std::pin::Pin;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How often the engine is asked for the exit code of a command whose output has ended.
const POLL: Duration = Duration::from_millis(5);
/// How long it may take until it has one.
const PATIENCE: Duration = Duration::from_secs(5);

/// A command that runs, with both ends of its conversation.
pub struct Attached {
    /// The engine's id of it.
    pub id: String,
    /// Its standard input; shut down, it ends for the command too.
    pub input: Pin<Box<dyn AsyncWrite + Send>>,
    /// What it writes, stdout and stderr told apart, until it has closed both.
    pub output: BoxStream<'static, Result<LogOutput, Cause>>,
}

/// Starts a command in a container and stays connected to it. No shell is involved: images may have none.
pub async fn attach(docker: &Docker, container: &str, command: &[&str]) -> Result<Attached> {
    let doing = || format!("run {} in {container}", command.first().copied().unwrap_or_default());
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
        ..ExecConfig::default()
    };
    let id = docker.create_exec(container, config).await.call(doing)?.id;
    match docker.start_exec(&id, None::<StartExecOptions>).await.call(doing)? {
        StartExecResults::Attached { output, input } => Ok(Attached { id, input, output }),
        StartExecResults::Detached => Err(Error::new(Code::EngineFailed, format!("cannot {}: not attached", doing()))),
    }
}

/// Runs a command to its end.
pub async fn run(docker: &Docker, container: &str, command: &[&str], input: &[u8]) -> Result<Executed> {
    let Attached { id, input: mut stdin, mut output } = attach(docker, container, command).await?;
    // A command that ends without reading everything closes its end first, which is no trouble of ours.
    let write = async {
        let _ = stdin.write_all(input).await;
        let _ = stdin.shutdown().await;
    };
    let read = async {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some(part) = output.try_next().await? {
            match part {
                LogOutput::StdErr { message } => stderr.extend_from_slice(&message),
                LogOutput::StdOut { message } | LogOutput::Console { message } => stdout.extend_from_slice(&message),
                LogOutput::StdIn { .. } => {}
            }
        }
        Ok::<_, Cause>((stdout, stderr))
    };
    let ((), read) = tokio::join!(write, read);
    let (stdout, stderr) = read.call(|| format!("read what a command in {container} writes"))?;
    let exit_code = exit_code(docker, container, &id).await?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Executed { exit_code, stdout: text(stdout), stderr: text(stderr) })
}

/// The exit code of a command whose output has ended. The engine may need a moment to know it.
async fn exit_code(docker: &Docker, container: &str, id: &str) -> Result<i64> {
    let ended = async {
        loop {
            let known = docker.inspect_exec(id).await.call(|| format!("look at a command in {container}"))?;
            if let (Some(false), Some(code)) = (known.running, known.exit_code) {
                return Ok(code);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.unwrap_or_else(|_| {
        Err(Error::new(Code::EngineFailed, format!("a command in {container} closed its output and does not end")))
    })
}
