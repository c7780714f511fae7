//! The project's network, and volumes: made once, also where two make them at the same time.

use super::failure::{Call, or_gone, status};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::Names;
use crate::stack::labels::{self, Labels, RunId};
use bollard::Docker;
use bollard::models::{Network, NetworkCreateRequest, VolumeCreateRequest};
use bollard::query_parameters::{ListNetworksOptions, RemoveVolumeOptionsBuilder};
use jiff::Timestamp;

/// Makes the network; one of ours that somebody else has made meanwhile is as good.
pub async fn create(docker: &Docker, run: &RunId, names: &Names) -> Result<()> {
    let name = names.network();
    let request = NetworkCreateRequest {
        name: name.clone(),
        driver: Some("bridge".to_owned()),
        labels: Some(labels::network(run, names).into_iter().collect()),
        ..NetworkCreateRequest::default()
    };
    match docker.create_network(request).await {
        // Newer engines refuse a second network of one name.
        Err(cause) if status(&cause) == Some(409) => {}
        other => drop(other.call(|| format!("create the network {name}"))?),
    }
    // Older ones make it, and then connect nothing to either. Whoever came later sees both and gives way.
    let all = docker.list_networks(None::<ListNetworksOptions>).await.call(|| "list the networks")?;
    let mut same: Vec<Network> = all.into_iter().filter(|network| network.name.as_ref() == Some(&name)).collect();
    same.sort_by_cached_key(|network| {
        let created: Option<Timestamp> = network.created.as_ref().and_then(|text| text.parse().ok());
        (created, network.id.clone())
    });
    let labels = |network: &Network| network.labels.clone().unwrap_or_default().into_iter().collect::<Labels>();
    if same.iter().any(|network| !is_ours(&labels(network), names)) {
        return Err(not_ours("network", &name));
    }
    let later = same.iter().skip(1).filter(|network| run.made(&labels(network)));
    for id in later.filter_map(|network| network.id.as_ref()) {
        remove(docker, id).await?;
    }
    Ok(())
}

/// Makes a volume; the engine answers with the one that is there, where there is one.
pub async fn create_volume(docker: &Docker, run: &RunId, names: &Names, part: &str, more: &Labels) -> Result<()> {
    let name = names.volume(part);
    let mut all = labels::volume(run, names, part);
    all.extend(more.clone());
    let request = VolumeCreateRequest {
        name: Some(name.clone()),
        labels: Some(all.into_iter().collect()),
        ..VolumeCreateRequest::default()
    };
    let there = docker.create_volume(request).await.call(|| format!("create the volume {name}"))?;
    match is_ours(&there.labels.into_iter().collect(), names) {
        true => Ok(()),
        false => Err(not_ours("volume", &name)),
    }
}

/// Removes the network; one that is gone already is no error.
pub async fn remove(docker: &Docker, id: &str) -> Result<()> {
    or_gone(docker.remove_network(id).await).call(|| format!("remove the network {id}"))
}

/// Removes a volume and its data; one that is gone already is no error.
pub async fn remove_volume(docker: &Docker, name: &str) -> Result<()> {
    let options = RemoveVolumeOptionsBuilder::default().build();
    or_gone(docker.remove_volume(name, Some(options)).await).call(|| format!("remove the volume {name}"))
}

fn is_ours(labels: &Labels, names: &Names) -> bool {
    labels.get(labels::PROJECT).is_some_and(|project| project == names.project())
}

fn not_ours(kind: &str, name: &str) -> Error {
    Error::new(Code::NotOurs, format!("the {kind} {name} was made meanwhile, and not by qastack"))
        .hint("Rename or remove it, or choose another name for the stack: --project NAME.")
}
