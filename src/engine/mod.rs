//! Who runs the stack. One trait; `docker` is the only place that knows bollard; `embedded`
//! is no container engine and has its own, smaller way to do the same.
//!
//! An engine does single small things and says what is there. It never plans and never waits for a service.

pub mod docker;
pub mod embedded;
mod meter;
pub mod ports;

pub use meter::Meter;

use crate::error::Result;
use crate::settings::Published;
use crate::stack::labels::{Labels, RunId};
use crate::stack::{ContainerSpec, FileSpec, FileStat, Mount, Names, Observed, ObservedContainer, Service, StackSpec};
use bytes::Bytes;
use futures_util::stream::BoxStream;
use jiff::Timestamp;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What is known of an engine once it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// `docker` or `embedded`.
    pub kind: &'static str,
    /// How it is reached, such as `unix:///var/run/docker.sock`.
    pub address: String,
    /// The host under which its published ports are reached.
    pub host: String,
    /// Whether it shares this machine's network, so that ports can be checked here.
    pub is_local: bool,
    /// Who named it: a flag, a variable, a context, or that it is one of the known sockets.
    pub found_by: String,
}

/// The machine an engine runs on, in its own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineMachine {
    /// `Docker`, or what else speaks its API.
    pub product: String,
    /// Its version.
    pub version: String,
    /// The newest API it speaks, such as `1.41`.
    pub api_version: String,
    /// The CPU architecture it runs containers on, in Go's words: `amd64`, `arm64`.
    pub architecture: String,
    /// Its operating system.
    pub system: String,
    /// Where it keeps images, containers and volumes, on its own machine.
    pub root: PathBuf,
    /// What time it is there; none where it does not tell.
    pub clock: Option<Timestamp>,
    /// What it warns of itself.
    pub warnings: Vec<String>,
}

/// A container has ended by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The service it ran.
    pub service: Service,
    /// The engine's id of the container.
    pub container: String,
}

/// How far a pull or a build is; bytes never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Transfer {
    /// Bytes so far.
    pub done: u64,
    /// Bytes in all, as far as known; may grow.
    pub total: u64,
    /// The share that is there, 0 to 100. It never goes back, even where the whole turns out to be larger.
    pub percent: u8,
}

impl Transfer {
    /// The share of `done` in `total`, 0 to 100.
    pub fn share(done: u64, total: u64) -> u8 {
        let percent = (u128::from(done) * 100).checked_div(u128::from(total)).unwrap_or(0);
        u8::try_from(percent.min(100)).unwrap_or(100)
    }
}

/// An image as the engine has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineImage {
    /// The engine's id: the digest of its configuration, or of its manifest where containerd keeps the images.
    pub id: String,
    /// The digests of its layers, unpacked, which are the same on every engine.
    pub layers: Vec<String>,
    /// Its size, unpacked.
    pub bytes: u64,
    /// The digests under which registries know it, `NAME@sha256:…`.
    pub digests: Vec<String>,
}

/// The container that has a host port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOwner {
    /// Its name.
    pub container: String,
    /// The project it belongs to, ours or compose's.
    pub project: Option<String>,
    /// Whether that is a project of ours.
    pub is_ours: bool,
}

impl fmt::Display for PortOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the container {}", self.container)?;
        match &self.project {
            Some(project) => write!(f, " of the project {project}"),
            None => Ok(()),
        }
    }
}

/// How a command in a container ended, and what it wrote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code; 126 and 127 are the engine's, for a command that could not be started.
    pub exit_code: i64,
    /// What it wrote on stdout.
    pub stdout: String,
    /// What it wrote on stderr.
    pub stderr: String,
}

/// Which lines of a log are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogsWanted {
    /// Only so many of the last lines of what is there; all where none is said.
    pub tail: Option<usize>,
    /// Whether lines are given as they are written, until nobody writes any more.
    pub follow: bool,
    /// Only lines that are not older than this, to the second.
    pub since: Option<Timestamp>,
}

/// One line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// When it was written, as far as the engine or the line itself tells.
    pub at: Option<Timestamp>,
    /// The line, without its end.
    pub text: String,
}

/// What became of a container that was to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is there now.
    Made,
    /// It is there now, without a limit on its CPU time, which this engine cannot set.
    MadeWithoutCpuLimit,
    /// Something of its name was there already, whoever made it.
    NameTaken,
}

/// How a container is ended before it is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It is asked to end, and has its own time-out for that.
    Orderly,
    /// It is killed: somebody waits.
    AtOnce,
}

/// One engine, connected.
pub trait Engine: Send + Sync {
    /// What is known of it.
    fn info(&self) -> &EngineInfo;

    /// A port of this machine that leads to a target, `HOST:PORT` as a container of the stack knows it: the way to what is
    /// published on the loopback of another machine. It stays open as long as this process.
    fn relay(&self, container: &str, target: &str) -> Result<SocketAddr>;

    /// The time its calls take, to which the one who waits for services adds theirs.
    fn meter(&self) -> &Meter;

    /// The machine it runs on.
    fn machine(&self) -> impl Future<Output = Result<EngineMachine>> + Send;

    /// Everything the engine knows of a container, in its own form, for somebody who looks for a fault.
    fn describe(&self, container: &str) -> impl Future<Output = Result<Value>> + Send;

    /// What is there of a project: containers, networks, volumes, images. `references` are the images asked about.
    fn observe(&self, names: &Names, references: &[&str]) -> impl Future<Output = Result<Observed>> + Send;

    /// What is there of a project's containers alone: enough to tell how it is, and sooner.
    fn observe_containers(&self, names: &Names) -> impl Future<Output = Result<Observed>> + Send;

    /// One container as it is now; none where it is gone.
    fn inspect(&self, id: &str) -> impl Future<Output = Result<Option<ObservedContainer>>> + Send;

    /// The container, of whatever project, that is in the way of publishing something there.
    fn port_owner(&self, published: Published) -> impl Future<Output = Option<PortOwner>> + Send;

    /// The labels of a volume; none where there is none of this name.
    fn volume_labels(&self, name: &str) -> impl Future<Output = Result<Option<Labels>>> + Send;

    /// Makes the exporter's image from an executable, under a reference.
    fn build_image(&self, names: &Names, reference: &str, executable: &[u8])
    -> impl Future<Output = Result<()>> + Send;

    /// Pulls an image; returns when the engine has it.
    fn pull_image(
        &self,
        reference: &str,
        progress: &(dyn Fn(Transfer) + Send + Sync),
    ) -> impl Future<Output = Result<()>> + Send;

    /// An image as the engine has it; none where it has none of this reference.
    fn image(&self, reference: &str) -> impl Future<Output = Result<Option<EngineImage>>> + Send;

    /// Images as one archive.
    fn export_images(&self, references: &[&str]) -> BoxStream<'static, Result<Bytes>>;

    /// Takes in the images of an archive.
    fn load_images(
        &self,
        archive: BoxStream<'static, std::io::Result<Bytes>>,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes an image by its reference; one that a container was made from stays.
    fn remove_image(&self, reference: &str) -> impl Future<Output = Result<()>> + Send;

    /// Makes the project's network, for a run. One that somebody else has made for the project meanwhile is as good.
    fn create_network(&self, run: &RunId, names: &Names) -> impl Future<Output = Result<()>> + Send;

    /// Removes a network by its id; one that is gone already is no error.
    fn remove_network(&self, id: &str) -> impl Future<Output = Result<()>> + Send;

    /// Makes a volume, for a run, with these labels beside those that every volume has. One that somebody else has made
    /// for the project meanwhile is as good.
    fn create_volume(
        &self,
        run: &RunId,
        names: &Names,
        part: &str,
        labels: &Labels,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Removes a volume and its data; one that is gone already is no error.
    fn remove_volume(&self, name: &str) -> impl Future<Output = Result<()>> + Send;

    /// Makes a container, for a run, without starting it.
    fn create_container(
        &self,
        run: &RunId,
        names: &Names,
        spec: &ContainerSpec,
    ) -> impl Future<Output = Result<Creation>> + Send;

    /// Starts a container.
    fn start(&self, container: &str) -> impl Future<Output = Result<()>> + Send;

    /// Sends a signal to the first process of a container.
    fn signal(&self, container: &str, signal: &str) -> impl Future<Output = Result<()>> + Send;

    /// Stops a container, in its own time-out. One that does not run is no error.
    fn stop(&self, container: &str) -> impl Future<Output = Result<()>> + Send;

    /// Writes what is in a directory of a container into a file, as a tar, whether it runs or not.
    fn save_directory(&self, container: &str, directory: &str, into: &Path) -> impl Future<Output = Result<()>> + Send;

    /// Unpacks a tar of [`Engine::save_directory`] into a directory of a container.
    fn load_directory(&self, container: &str, directory: &str, from: &Path) -> impl Future<Output = Result<()>> + Send;

    /// Ends a container and removes it; returns when it is gone. One that is gone already is no error.
    fn remove_container(&self, container: &str, ending: Ending) -> impl Future<Output = Result<()>> + Send;

    /// Puts files below a mounted volume of a container, whether it runs or not.
    fn put_files(&self, container: &str, mount: &Mount, files: &[FileSpec]) -> impl Future<Output = Result<()>> + Send;

    /// The files below a directory of a container, by absolute path, whether it runs or not; empty where there is no
    /// such directory.
    fn get_files(
        &self,
        container: &str,
        directory: &str,
    ) -> impl Future<Output = Result<Vec<(String, Vec<u8>)>>> + Send;

    /// Runs a command in a container that runs, gives it `input` to read, and waits for its end.
    fn exec(&self, container: &str, command: &[&str], input: &[u8]) -> impl Future<Output = Result<Executed>> + Send;

    /// How one file of a container looks, whether it runs or not; none where it is not there.
    fn stat_file(&self, container: &str, path: &str) -> impl Future<Output = Result<Option<FileStat>>> + Send;

    /// The last lines a container wrote.
    fn last_lines(&self, container: &str, count: usize) -> impl Future<Output = Result<Vec<String>>> + Send;

    /// The lines a container wrote on stdout and stderr.
    fn logs(&self, container: &str, wanted: LogsWanted) -> BoxStream<'static, Result<LogLine>>;

    /// Deaths of a project's containers from now on. The stream ends when the engine goes away.
    fn deaths(&self, names: &Names) -> BoxStream<'static, Death>;
}

/// The mount that holds a path.
pub fn mount_of<'a>(spec: &'a StackSpec, service: Service, path: &str) -> Option<&'a Mount> {
    spec.container(service).mounts.iter().find(|mount| path.starts_with(&format!("{}/", mount.path)))
}
