//! The engine's own machine, and everything it knows of one container: for somebody who looks for a fault.

use super::failure::Call;
use crate::engine::EngineMachine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use bollard::Docker;
use bollard::query_parameters::InspectContainerOptions;
use futures_util::future::try_join;
use serde_json::Value;

/// What the engine says of itself and its machine.
pub async fn machine(docker: &Docker) -> Result<EngineMachine> {
    let (info, version) = try_join(docker.info(), docker.version()).await.call(|| "ask the engine about itself")?;
    let product = version.components.unwrap_or_default().into_iter().map(|component| component.name).next();
    // "Engine" is what Docker's own calls itself.
    let product = product.filter(|name| name != "Engine").unwrap_or_else(|| "Docker".to_owned());
    Ok(EngineMachine {
        product: product.trim_end_matches(" Engine").to_owned(),
        version: version.version.unwrap_or_default(),
        architecture: version.arch.unwrap_or_default(),
        api_version: version.api_version.unwrap_or_default(),
        system: info.operating_system.unwrap_or_else(|| "a system it does not name".to_owned()),
        root: info.docker_root_dir.unwrap_or_default().into(),
        clock: info.system_time.and_then(|text| text.parse().ok()),
        warnings: info.warnings.unwrap_or_default(),
    })
}

/// A container's whole description.
pub async fn describe(docker: &Docker, container: &str) -> Result<Value> {
    let found = docker
        .inspect_container(container, None::<InspectContainerOptions>)
        .await
        .call(|| format!("look at the container {container}"))?;
    serde_json::to_value(found).map_err(|cause| Error::new(Code::Unexpected, format!("{container}: {cause}")))
}
