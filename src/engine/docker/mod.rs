//! The Docker Engine through its API: the only place that knows bollard.

mod archive;
mod connect;
mod containers;
mod contexts;
mod credentials;
mod events;
mod exec;
mod failure;
mod image_build;
mod images;
mod lenient;
mod logs;
mod machine;
mod networks;
mod observe;
mod patience;
mod relay;
mod ssh;

pub use connect::{Choice, connect};

use super::{
    Creation, Death, Ending, Engine, EngineImage, EngineInfo, EngineMachine, Executed, LogLine, LogsWanted, Meter,
    PortOwner, Transfer,
};
use crate::error::Result;
use crate::settings::Published;
use crate::stack::labels::{Labels, RunId};
use crate::stack::{ContainerSpec, FileSpec, FileStat, Mount, Names, Observed, ObservedContainer};
use bollard::Docker;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use lenient::Source;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

/// A Docker engine, or one that speaks its API.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    docker: Docker,
    info: EngineInfo,
    meter: Arc<Meter>,
    relays: relay::Relays,
    /// What leads to an engine behind ssh.
    _tunnel: Option<ssh::Tunnel>,
}

impl DockerEngine {
    fn source(&self) -> Source<'_> {
        Source { docker: &self.docker, address: &self.info.address }
    }
}

impl Engine for DockerEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn relay(&self, container: &str, target: &str) -> Result<SocketAddr> {
        self.relays.to(&self.docker, container, target)
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    async fn machine(&self) -> Result<EngineMachine> {
        self.ask(|| machine::machine(&self.docker)).await
    }

    async fn describe(&self, container: &str) -> Result<Value> {
        self.ask(|| machine::describe(&self.docker, container)).await
    }

    async fn observe(&self, names: &Names, references: &[&str]) -> Result<Observed> {
        self.ask(|| observe::observe(self.source(), names, references)).await
    }

    async fn observe_containers(&self, names: &Names) -> Result<Observed> {
        let containers = self.ask(|| observe::containers(self.source(), names)).await?;
        Ok(Observed { containers, ..Observed::default() })
    }

    async fn inspect(&self, id: &str) -> Result<Option<ObservedContainer>> {
        self.ask(|| observe::container(self.source(), id)).await
    }

    async fn port_owner(&self, published: Published) -> Option<PortOwner> {
        self.ask(|| async { Ok(observe::port_owner(&self.docker, published).await) }).await.ok()?
    }

    async fn volume_labels(&self, name: &str) -> Result<Option<Labels>> {
        self.ask(|| observe::volume_labels(&self.docker, name)).await
    }

    async fn build_image(&self, names: &Names, reference: &str, executable: &[u8]) -> Result<()> {
        self.have(|| image_build::build(&self.docker, names, reference, executable)).await
    }

    async fn pull_image(&self, reference: &str, progress: &(dyn Fn(Transfer) + Send + Sync)) -> Result<()> {
        self.have(|| images::pull(&self.docker, reference, progress)).await
    }

    async fn image(&self, reference: &str) -> Result<Option<EngineImage>> {
        images::image_of(&self.docker, reference).await
    }

    fn export_images(&self, references: &[&str]) -> BoxStream<'static, Result<Bytes>> {
        images::export(&self.docker, references)
    }

    async fn load_images(&self, archive: BoxStream<'static, std::io::Result<Bytes>>) -> Result<()> {
        images::load(&self.docker, archive).await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        self.have(|| images::remove(&self.docker, reference)).await
    }

    async fn create_network(&self, run: &RunId, names: &Names) -> Result<()> {
        self.have(|| networks::create(&self.docker, run, names)).await
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        self.have(|| networks::remove(&self.docker, id)).await
    }

    async fn create_volume(&self, run: &RunId, names: &Names, part: &str, labels: &Labels) -> Result<()> {
        self.have(|| networks::create_volume(&self.docker, run, names, part, labels)).await
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        self.have(|| networks::remove_volume(&self.docker, name)).await
    }

    async fn create_container(&self, run: &RunId, names: &Names, spec: &ContainerSpec) -> Result<Creation> {
        self.have(|| containers::create(&self.docker, run, names, spec)).await
    }

    async fn start(&self, container: &str) -> Result<()> {
        self.have(|| containers::start(&self.docker, container)).await
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<()> {
        self.have(|| containers::signal(&self.docker, container, signal)).await
    }

    async fn stop(&self, container: &str) -> Result<()> {
        containers::stop(&self.docker, container).await
    }

    async fn save_directory(&self, container: &str, directory: &str, into: &Path) -> Result<()> {
        archive::save(&self.docker, container, directory, into).await
    }

    async fn load_directory(&self, container: &str, directory: &str, from: &Path) -> Result<()> {
        archive::load(&self.docker, container, directory, from).await
    }

    async fn remove_container(&self, container: &str, ending: Ending) -> Result<()> {
        self.have(|| containers::remove(&self.docker, container, ending)).await
    }

    async fn put_files(&self, container: &str, mount: &Mount, files: &[FileSpec]) -> Result<()> {
        self.have(|| archive::put(&self.docker, container, mount, files)).await
    }

    async fn get_files(&self, container: &str, directory: &str) -> Result<Vec<(String, Vec<u8>)>> {
        self.ask(|| archive::get(&self.docker, container, directory)).await
    }

    async fn exec(&self, container: &str, command: &[&str], input: &[u8]) -> Result<Executed> {
        exec::run(&self.docker, container, command, input).await
    }

    async fn stat_file(&self, container: &str, path: &str) -> Result<Option<FileStat>> {
        self.ask(|| archive::stat(&self.docker, container, path)).await
    }

    async fn last_lines(&self, container: &str, count: usize) -> Result<Vec<String>> {
        self.ask(|| containers::last_lines(&self.docker, container, count)).await
    }

    fn logs(&self, container: &str, wanted: LogsWanted) -> BoxStream<'static, Result<LogLine>> {
        logs::lines(&self.docker, container, wanted)
    }

    fn deaths(&self, names: &Names) -> BoxStream<'static, Death> {
        events::deaths(self.docker.clone(), names)
    }
}
