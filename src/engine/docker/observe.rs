//! What is there: containers, networks, volumes and images of a project, all asked for at once.

use super::failure::{Call, status};
use super::lenient::Source;
use crate::engine::PortOwner;
use crate::error::Result;
use crate::settings::Published;
use crate::stack::labels::Labels;
use crate::stack::{
    Names, Observed, ObservedContainer, ObservedImage, ObservedNetwork, ObservedVolume, Service, State, labels,
};
use bollard::Docker;
use bollard::errors::Error as Cause;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, PortBinding, PortSummary};
use bollard::query_parameters::{
    InspectContainerOptions, ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptions,
    ListVolumesOptions,
};
use futures_util::future::{try_join, try_join_all, try_join4};
use std::collections::{BTreeMap, HashMap};

/// Everything with the project's label, and everything that has a name the project needs.
pub async fn observe(source: Source<'_>, names: &Names, references: &[&str]) -> Result<Observed> {
    let docker = source.docker;
    let (containers, networks, volumes, (built, asked)) = try_join4(
        containers(source, names),
        networks(docker, names),
        volumes(docker, names),
        try_join(built_images(docker, names), images(docker, references)),
    )
    .await?;
    let mut all_images: Vec<ObservedImage> = asked;
    for image in built {
        match all_images.iter_mut().find(|known| known.id == image.id) {
            Some(known) => known.references.extend(image.references),
            None => all_images.push(image),
        }
    }
    Ok(Observed { containers, networks, volumes, images: all_images, ..Observed::default() })
}

/// The containers of the services, and those with the project's label.
pub async fn containers(source: Source<'_>, names: &Names) -> Result<Vec<ObservedContainer>> {
    let by_name = Service::ALL.map(|service| names.container(service));
    let (labelled, named) =
        try_join(labelled_containers(source, names), try_join_all(by_name.iter().map(|name| container(source, name))))
            .await?;
    let mut found: Vec<ObservedContainer> = named.into_iter().flatten().collect();
    let others: Vec<String> =
        labelled.into_iter().filter(|id| !found.iter().any(|container| container.id == *id)).collect();
    found.extend(try_join_all(others.iter().map(|id| container(source, id))).await?.into_iter().flatten());
    Ok(found)
}

/// The ids of all containers with the project's label.
async fn labelled_containers(source: Source<'_>, names: &Names) -> Result<Vec<String>> {
    let filters = label_filter(names);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filters).build();
    let listed = match source.docker.list_containers(Some(options)).await {
        Err(Cause::JsonDataError { .. }) => source.list(&filters).await?,
        other => other.call(|| "list the containers")?,
    };
    Ok(listed.into_iter().filter_map(|container| container.id).collect())
}

/// One container, by name or id.
pub async fn container(source: Source<'_>, name: &str) -> Result<Option<ObservedContainer>> {
    match source.docker.inspect_container(name, None::<InspectContainerOptions>).await {
        Err(cause) if status(&cause) == Some(404) => Ok(None),
        Err(Cause::JsonDataError { .. }) => Ok(source.inspect(name).await?.map(observed_container)),
        other => Ok(Some(observed_container(other.call(|| format!("look at the container {name}"))?))),
    }
}

fn observed_container(inspect: ContainerInspectResponse) -> ObservedContainer {
    let state = inspect.state.unwrap_or_default();
    let config = inspect.config.unwrap_or_default();
    let started_at = state.started_at.filter(|text| !text.starts_with("0001-"));
    let word = state.status.unwrap_or(ContainerStateStatusEnum::EMPTY);
    let running = state.running.unwrap_or_default();
    let bindings = inspect.host_config.and_then(|host| host.port_bindings).unwrap_or_default();
    ObservedContainer {
        id: inspect.id.unwrap_or_default(),
        name: inspect.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        labels: config.labels.unwrap_or_default().into_iter().collect(),
        state: state_of(word, running),
        image_id: inspect.image.unwrap_or_default(),
        image: config.image.unwrap_or_default(),
        health: state.health.and_then(|health| health.status).and_then(health_word).map(str::to_owned),
        exit_code: state.exit_code.filter(|_| !running && started_at.is_some()),
        started_at,
        out_of_memory: state.oom_killed.unwrap_or_default(),
        error: state.error.unwrap_or_default(),
        restarts: inspect.restart_count.unwrap_or_default(),
        networks: inspect
            .network_settings
            .and_then(|settings| settings.networks)
            .unwrap_or_default()
            .into_iter()
            .map(|(name, endpoint)| {
                // Podman says the name here and knows its networks by it: one that was made anew is the same to it.
                let id = endpoint.network_id.filter(|id| *id != name);
                (name, id.unwrap_or_default())
            })
            .collect(),
        volumes: inspect.mounts.unwrap_or_default().into_iter().filter_map(|mount| mount.name).collect(),
        ports: bindings.into_values().flatten().flatten().filter_map(published).collect(),
    }
}

/// Where a port is bound on the host; without an address it is bound on all of them.
fn published(binding: PortBinding) -> Option<Published> {
    let address = binding.host_ip.filter(|address| !address.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
    Some(Published { address: address.parse().ok()?, port: binding.host_port?.parse().ok()? })
}

fn state_of(word: ContainerStateStatusEnum, running: bool) -> State {
    match word {
        ContainerStateStatusEnum::CREATED => State::Created,
        ContainerStateStatusEnum::RUNNING => State::Running,
        ContainerStateStatusEnum::PAUSED => State::Paused,
        ContainerStateStatusEnum::RESTARTING => State::Restarting,
        ContainerStateStatusEnum::REMOVING => State::Removing,
        ContainerStateStatusEnum::DEAD => State::Dead,
        ContainerStateStatusEnum::EMPTY if running => State::Running,
        ContainerStateStatusEnum::EXITED | ContainerStateStatusEnum::STOPPING | ContainerStateStatusEnum::EMPTY => {
            State::Exited
        }
    }
}

fn health_word(health: HealthStatusEnum) -> Option<&'static str> {
    match health {
        HealthStatusEnum::STARTING => Some("starting"),
        HealthStatusEnum::HEALTHY => Some("healthy"),
        HealthStatusEnum::UNHEALTHY => Some("unhealthy"),
        HealthStatusEnum::NONE | HealthStatusEnum::EMPTY => None,
    }
}

async fn networks(docker: &Docker, names: &Names) -> Result<Vec<ObservedNetwork>> {
    // The engine's name filter takes parts of names, so that it is no use for finding exactly one.
    let all = docker.list_networks(None::<ListNetworksOptions>).await.call(|| "list the networks")?;
    let wanted = names.network();
    Ok(all
        .into_iter()
        .map(|network| ObservedNetwork {
            id: network.id.unwrap_or_default(),
            name: network.name.unwrap_or_default(),
            labels: sorted(network.labels.unwrap_or_default()),
        })
        .filter(|network| network.name == wanted || is_labelled(&network.labels, names))
        .collect())
}

async fn volumes(docker: &Docker, names: &Names) -> Result<Vec<ObservedVolume>> {
    let all = docker.list_volumes(None::<ListVolumesOptions>).await.call(|| "list the volumes")?;
    let ours = names.volume("");
    Ok(all
        .volumes
        .unwrap_or_default()
        .into_iter()
        .map(|volume| ObservedVolume { name: volume.name, labels: sorted(volume.labels) })
        .filter(|volume| volume.name.starts_with(&ours) || is_labelled(&volume.labels, names))
        .collect())
}

/// The images built for the project, by their label.
async fn built_images(docker: &Docker, names: &Names) -> Result<Vec<ObservedImage>> {
    let filters = label_filter(names);
    let options = ListImagesOptionsBuilder::default().filters(&filters).build();
    let listed = docker.list_images(Some(options)).await.call(|| "list the images")?;
    Ok(listed
        .into_iter()
        .map(|image| {
            // Older engines write an image that lost its name to another in this way; it has none.
            let references = image.repo_tags.into_iter().filter(|name| name != "<none>:<none>").collect();
            ObservedImage { id: image.id, references, labels: sorted(image.labels) }
        })
        .collect())
}

/// The images that are asked about, as far as they are there.
async fn images(docker: &Docker, references: &[&str]) -> Result<Vec<ObservedImage>> {
    let found = try_join_all(references.iter().map(|reference| image(docker, reference))).await?;
    Ok(found.into_iter().flatten().collect())
}

/// One image, if the engine has it.
pub async fn image(docker: &Docker, reference: &str) -> Result<Option<ObservedImage>> {
    let inspect = match docker.inspect_image(reference).await {
        Err(cause) if status(&cause) == Some(404) => return Ok(None),
        other => other.call(|| format!("look for the image {reference}"))?,
    };
    Ok(Some(ObservedImage {
        id: inspect.id.unwrap_or_default(),
        references: vec![reference.to_owned()],
        labels: sorted(inspect.config.and_then(|config| config.labels).unwrap_or_default()),
    }))
}

/// The labels of a volume, if the engine has it.
pub async fn volume_labels(docker: &Docker, name: &str) -> Result<Option<Labels>> {
    match docker.inspect_volume(name).await {
        Err(cause) if status(&cause) == Some(404) => Ok(None),
        other => Ok(Some(sorted(other.call(|| format!("look at the volume {name}"))?.labels))),
    }
}

/// The container that is in the way of publishing something, with its project.
pub async fn port_owner(docker: &Docker, wanted: Published) -> Option<PortOwner> {
    let listed: Result<_, Cause> =
        docker.list_containers(None::<bollard::query_parameters::ListContainersOptions>).await;
    let is_in_the_way = |port: &PortSummary| {
        let address = port.ip.as_deref().and_then(|ip| ip.parse().ok());
        port.public_port == Some(wanted.port) && address.is_none_or(|address| wanted.meets(address))
    };
    let owner = listed.ok()?.into_iter().find(|container| container.ports.iter().flatten().any(is_in_the_way))?;
    let container = owner.names.unwrap_or_default().into_iter().next()?.trim_start_matches('/').to_owned();
    let labels = owner.labels.unwrap_or_default();
    let ours = labels.get(labels::PROJECT);
    let project = ours.or_else(|| labels.get("com.docker.compose.project")).cloned();
    Some(PortOwner { container, project, is_ours: ours.is_some() })
}

fn label_filter(names: &Names) -> HashMap<String, Vec<String>> {
    HashMap::from([("label".to_owned(), vec![format!("{}={}", labels::PROJECT, names.project())])])
}

fn is_labelled(labels: &BTreeMap<String, String>, names: &Names) -> bool {
    labels.get(labels::PROJECT).is_some_and(|project| project == names.project())
}

fn sorted(labels: HashMap<String, String>) -> BTreeMap<String, String> {
    labels.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_network_that_is_told_by_its_name_has_no_id() {
        let networks = json!({ "a": { "NetworkID": "a" }, "b": { "NetworkID": "0123" } });
        let inspect = json!({ "Id": "c", "NetworkSettings": { "Networks": networks } });
        let container = observed_container(serde_json::from_value(inspect).expect("a container"));
        assert_eq!(container.networks["a"], "", "Podman's word for it");
        assert_eq!(container.networks["b"], "0123");
    }
}
