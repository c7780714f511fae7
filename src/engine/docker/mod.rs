//! The Docker Engine through its API: the only place that knows bollard.

mod archive;
mod connect;
mod containers;
mod events;
mod exec;
mod failure;
mod image_build;
mod images;
mod logs;
mod machine;
mod observe;

pub use connect::{Choice, connect};

use super::{Death, Engine, EngineInfo, EngineMachine, Executed, LogLine, LogsWanted, Transfer};
use crate::error::Result;
use crate::stack::{ContainerSpec, FileSpec, FileStat, Mount, Names, Observed, ObservedContainer, labels};
use bollard::Docker;
use bollard::models::{NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::RemoveVolumeOptionsBuilder;
use failure::{Call, or_gone};
use futures_util::stream::BoxStream;
use serde_json::Value;

/// A Docker engine, or one that speaks its API.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    docker: Docker,
    info: EngineInfo,
}

impl Engine for DockerEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    async fn machine(&self) -> Result<EngineMachine> {
        machine::machine(&self.docker).await
    }

    async fn describe(&self, container: &str) -> Result<Value> {
        machine::describe(&self.docker, container).await
    }

    async fn observe(&self, names: &Names, references: &[&str]) -> Result<Observed> {
        observe::observe(&self.docker, names, references).await
    }

    async fn observe_containers(&self, names: &Names) -> Result<Observed> {
        let containers = observe::containers(&self.docker, names).await?;
        Ok(Observed { containers, ..Observed::default() })
    }

    async fn inspect(&self, id: &str) -> Result<Option<ObservedContainer>> {
        observe::container(&self.docker, id).await
    }

    async fn port_owner(&self, port: u16) -> Option<String> {
        observe::port_owner(&self.docker, port).await
    }

    async fn build_image(&self, names: &Names, reference: &str, executable: &[u8]) -> Result<()> {
        image_build::build(&self.docker, names, reference, executable).await
    }

    async fn pull_image(&self, reference: &str, progress: &(dyn Fn(Transfer) + Send + Sync)) -> Result<()> {
        images::pull(&self.docker, reference, progress).await
    }

    async fn remove_image(&self, reference: &str) -> Result<()> {
        images::remove(&self.docker, reference).await
    }

    async fn create_network(&self, names: &Names) -> Result<()> {
        let name = names.network();
        let request = NetworkCreateRequest {
            name: name.clone(),
            driver: Some("bridge".to_owned()),
            labels: Some(labels::network(names).into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        self.docker.create_network(request).await.call(|| format!("create the network {name}"))?;
        Ok(())
    }

    async fn remove_network(&self, id: &str) -> Result<()> {
        or_gone(self.docker.remove_network(id).await).call(|| format!("remove the network {id}"))
    }

    async fn create_volume(&self, names: &Names, part: &str) -> Result<()> {
        let name = names.volume(part);
        let request = VolumeCreateRequest {
            name: Some(name.clone()),
            labels: Some(labels::volume(names, part).into_iter().collect()),
            ..VolumeCreateRequest::default()
        };
        self.docker.create_volume(request).await.call(|| format!("create the volume {name}"))?;
        Ok(())
    }

    async fn remove_volume(&self, name: &str) -> Result<()> {
        let options = RemoveVolumeOptionsBuilder::default().build();
        or_gone(self.docker.remove_volume(name, Some(options)).await).call(|| format!("remove the volume {name}"))
    }

    async fn create_container(&self, names: &Names, spec: &ContainerSpec) -> Result<String> {
        containers::create(&self.docker, names, spec).await
    }

    async fn start(&self, container: &str) -> Result<()> {
        containers::start(&self.docker, container).await
    }

    async fn signal(&self, container: &str, signal: &str) -> Result<()> {
        containers::signal(&self.docker, container, signal).await
    }

    async fn remove_container(&self, container: &str) -> Result<()> {
        containers::remove(&self.docker, container).await
    }

    async fn put_files(&self, container: &str, mount: &Mount, files: &[FileSpec]) -> Result<()> {
        archive::put(&self.docker, container, mount, files).await
    }

    async fn get_files(&self, container: &str, directory: &str) -> Result<Vec<(String, Vec<u8>)>> {
        archive::get(&self.docker, container, directory).await
    }

    async fn exec(&self, container: &str, command: &[&str], input: &[u8]) -> Result<Executed> {
        exec::run(&self.docker, container, command, input).await
    }

    async fn stat_file(&self, container: &str, path: &str) -> Result<Option<FileStat>> {
        archive::stat(&self.docker, container, path).await
    }

    async fn last_lines(&self, container: &str, count: usize) -> Result<Vec<String>> {
        containers::last_lines(&self.docker, container, count).await
    }

    fn logs(&self, container: &str, wanted: LogsWanted) -> BoxStream<'static, Result<LogLine>> {
        logs::lines(&self.docker, container, wanted)
    }

    fn deaths(&self, names: &Names) -> BoxStream<'static, Death> {
        events::deaths(self.docker.clone(), names)
    }
}
