//! The stack without a container engine: this program's exporter as one process of this machine.
//!
//! Everything of a project lies in one directory. The process holds a lock on its run file for its life, through its
//! standard input: the kernel drops the lock with the process, however it ends, so that a number that another process
//! has meanwhile is never mistaken for ours. This room never plans and never waits for the exporter to answer.

mod files;
mod log;

use super::EngineInfo;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::data_dir::IfDamaged;
use crate::secret::Secret;
use crate::stack::labels::Labels;
use crate::stack::{EmbeddedObserved, EmbeddedRecord, EmbeddedSpec, EmbeddedState};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

pub use log::LogReader;

/// How often it is looked whether a process that was told to stop has ended.
const POLL: Duration = Duration::from_millis(5);

/// How many of the last lines of the log an error shows.
const LAST_LINES: usize = 20;

/// What the process keeps of the environment it was started from: how much it logs. Its settings are in its file, and
/// secrets of a shell or a job are none of its business.
const KEPT_VARIABLE: &str = "QASTACK_LOG";

/// The process of one project.
#[derive(Debug, Clone)]
pub struct EmbeddedEngine {
    directory: PathBuf,
    info: EngineInfo,
}

impl EmbeddedEngine {
    /// Its word, as in `--engine`.
    pub const KIND: &'static str = "embedded";

    /// The one of a project, below the state directory.
    pub fn new(state_directory: &Path, project: &str) -> Self {
        let info = EngineInfo {
            kind: Self::KIND,
            address: Self::KIND.to_owned(),
            host: "127.0.0.1".to_owned(),
            is_local: true,
            found_by: "the state directory".to_owned(),
        };
        Self { directory: state_directory.join("embedded").join(project), info }
    }

    /// What is known of it, in the words of every engine.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Where the data lies.
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// Where the exporter's settings are.
    pub fn config(&self) -> PathBuf {
        self.directory.join("serve.yaml")
    }

    /// Where the administrator's token is.
    pub fn admin_token(&self) -> PathBuf {
        self.directory.join("admin-token")
    }

    /// Where the exporter logs.
    pub fn log(&self) -> PathBuf {
        self.directory.join("log")
    }

    /// A reader of the log.
    pub fn log_reader(&self) -> LogReader {
        LogReader::new(self.log())
    }

    fn run_file(&self) -> PathBuf {
        self.directory.join("run.json")
    }

    /// Whether the project was brought up here and not taken down since.
    pub fn is_remembered(&self) -> bool {
        self.run_file().exists()
    }

    /// What is there; the settings in force are for the exporter to say.
    ///
    /// # Errors
    /// The directory cannot be read.
    pub fn observe(&self) -> Result<EmbeddedObserved> {
        let observed = || {
            let record = files::read(&self.run_file())?;
            let state = match &record {
                None => EmbeddedState::Missing,
                Some(_) if self.is_running()? => EmbeddedState::Running,
                Some(_) => EmbeddedState::Exited(self.why_it_ended()),
            };
            Ok(EmbeddedObserved {
                state,
                record: record.and_then(|text| serde_json::from_slice(&text).ok()),
                config: files::read(&self.config())?,
                config_in_force: None,
                has_token: files::read(&self.admin_token())?.is_some_and(|token| !token.is_empty()),
                data: self.data().exists().then(|| self.data().display().to_string()),
            })
        };
        observed().map_err(|cause| self.trouble(&cause))
    }

    /// Whether somebody holds the lock on the run file, which is what running means.
    fn is_running(&self) -> io::Result<bool> {
        // Shared, so that two who look at once do not take each other for the process.
        match File::open(self.run_file())?.try_lock_shared() {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(cause)) => Err(cause),
        }
    }

    fn why_it_ended(&self) -> String {
        let last = files::last_lines(&self.log(), 0, 1);
        last.first().map_or_else(
            || "it ended and left no word in its log".to_owned(),
            |line| format!("it ended by itself; the last line of its log: {line}"),
        )
    }

    /// Writes the exporter's settings.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn put_config(&self, contents: &[u8]) -> Result<()> {
        files::write(&self.config(), contents).map_err(|cause| self.trouble(&cause))
    }

    /// Writes the administrator's token.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn put_admin_token(&self, token: &str) -> Result<()> {
        files::write(&self.admin_token(), token.as_bytes()).map_err(|cause| self.trouble(&cause))
    }

    /// The administrator's token; none where none was made.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read_admin_token(&self) -> Result<Option<Secret>> {
        let bytes = files::read(&self.admin_token()).map_err(|cause| self.trouble(&cause))?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        Ok(text.filter(|text| !text.is_empty()).map(Secret::new))
    }

    /// What `up` chose by itself, as labels; empty where it chose nothing.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn remembered(&self) -> Result<Labels> {
        let bytes = files::read(&self.remembered_file()).map_err(|cause| self.trouble(&cause))?;
        Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default())
    }

    /// Writes down what `up` chose by itself, where it is not written so already.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn remember(&self, labels: &Labels) -> Result<()> {
        if self.remembered()? == *labels {
            return Ok(());
        }
        let text = serde_json::to_vec(labels).unwrap_or_default();
        files::write(&self.remembered_file(), &text).map_err(|cause| self.trouble(&cause))
    }

    fn remembered_file(&self) -> PathBuf {
        self.directory.join("remembered.json")
    }

    /// Starts the exporter, detached: it outlives this process and the terminal.
    ///
    /// # Errors
    /// The directory cannot be written to, or this program cannot be started.
    pub fn start(&self, spec: &EmbeddedSpec, if_damaged: IfDamaged) -> Result<Started> {
        self.spawn(spec, if_damaged).map_err(|cause| self.trouble(&cause))
    }

    fn spawn(&self, spec: &EmbeddedSpec, if_damaged: IfDamaged) -> io::Result<Started> {
        files::make_directory(&self.directory)?;
        let run_file = files::open_private(&self.run_file(), OpenOptions::new().read(true).write(true))?;
        // Whoever holds it now only looks whether it is held.
        run_file.lock()?;
        // No record may outlive the process it is about.
        run_file.set_len(0)?;
        let log = files::open_private(&self.log(), OpenOptions::new().append(true))?;
        let log_begins = log.metadata()?.len();
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--config"]).arg(self.config()).arg("--log-file").arg(self.log());
        command.args((if_damaged == IfDamaged::SetAside).then_some("--set-aside-damaged-store"));
        command.env_clear().envs(std::env::var_os(KEPT_VARIABLE).map(|value| (KEPT_VARIABLE, value)));
        // Its standard input is the run file, and with it the lock. Ctrl-C is for the terminal's own process group; a
        // terminal that ends sends SIGHUP, which for the exporter means to read its settings again.
        command.stdin(Stdio::from(run_file)).stdout(Stdio::null()).stderr(Stdio::from(log));
        command.current_dir(&self.directory).process_group(0);
        let child = command.spawn()?;
        let record = EmbeddedRecord {
            pid: child.id(),
            started_at: Timestamp::now(),
            executable: spec.executable.clone(),
            listen: spec.listen,
        };
        // In place: the lock is on this file and not on its name.
        fs::write(self.run_file(), serde_json::to_vec(&record)?)?;
        Ok(Started { child, log: self.log(), log_begins })
    }

    /// Makes the exporter read its settings again.
    ///
    /// # Errors
    /// It does not run.
    pub fn reload(&self) -> Result<()> {
        self.signal(Signal::HUP)
    }

    /// Stops the process, by force after `patience`, and waits until it has ended. None that runs is no error.
    ///
    /// # Errors
    /// It does not end.
    pub async fn stop(&self, patience: Duration) -> Result<()> {
        for (signal, patience) in [(Signal::TERM, patience), (Signal::KILL, Duration::from_secs(5))] {
            if !self.runs()? {
                return Ok(());
            }
            self.signal(signal)?;
            let ended = async {
                while self.runs()? {
                    tokio::time::sleep(POLL).await;
                }
                Ok::<_, Error>(())
            };
            if let Ok(ended) = tokio::time::timeout(patience, ended).await {
                return ended;
            }
        }
        let pid = self.pid().map_or_else(|| "?".to_owned(), |pid| pid.to_string());
        Err(Error::new(Code::EngineFailed, format!("the exporter's process {pid} does not end, even when killed")))
    }

    fn runs(&self) -> Result<bool> {
        if !self.is_remembered() {
            return Ok(false);
        }
        self.is_running().map_err(|cause| self.trouble(&cause))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let unknown = || {
            let path = self.run_file();
            Error::new(Code::EngineFailed, format!("a process holds {} and none can be found", path.display()))
                .hint("Find it with fuser, end it, and run the command again.")
        };
        let pid = self.pid().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)).ok_or_else(unknown)?;
        match kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(cause) => {
                let message = format!("cannot signal the exporter's process {pid:?}: {cause}");
                Err(Error::new(Code::EngineFailed, message))
            }
        }
    }

    /// The number of the process that holds the run file: as it is written down, or, where the one who started it
    /// ended before writing, as the system tells.
    fn pid(&self) -> Option<u32> {
        let written = files::read(&self.run_file()).ok().flatten();
        let record = written.and_then(|text| serde_json::from_slice::<EmbeddedRecord>(&text).ok());
        record.map(|record| record.pid).or_else(|| files::process_with_stdin(&self.run_file()))
    }

    /// The last lines of the exporter's log; none where there is no log.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        files::last_lines(&self.log(), 0, count)
    }

    /// Forgets that the project was brought up here.
    ///
    /// # Errors
    /// The directory cannot be written to.
    pub fn forget(&self) -> Result<()> {
        files::or_gone(fs::remove_file(self.run_file())).map_err(|cause| self.trouble(&cause))
    }

    /// Removes everything of the project: data, token, settings, log.
    ///
    /// # Errors
    /// The directory cannot be removed.
    pub fn remove(&self) -> Result<()> {
        files::or_gone(fs::remove_dir_all(&self.directory)).map_err(|cause| self.trouble(&cause))
    }

    fn trouble(&self, cause: &io::Error) -> Error {
        let directory = self.directory.display();
        Error::new(Code::StoreDamaged, format!("the embedded engine cannot use {directory}: {cause}"))
            .hint("Mend the directory's owner and permissions, or name another one with XDG_STATE_HOME.")
    }
}

/// A process that this one has started.
#[derive(Debug)]
pub struct Started {
    child: Child,
    log: PathBuf,
    log_begins: u64,
}

impl Started {
    /// How it ended, where it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The last lines it logged.
    pub fn last_lines(&self) -> Vec<String> {
        files::last_lines(&self.log, self.log_begins, LAST_LINES)
    }
}
