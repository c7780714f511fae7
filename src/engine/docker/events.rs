//! The engine's events: which of our containers has ended.

use crate::engine::Death;
use crate::stack::{Names, Service, labels};
use bollard::Docker;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::HashMap;

/// Deaths of a project's containers from now on.
pub fn deaths(docker: Docker, names: &Names) -> BoxStream<'static, Death> {
    let filters = HashMap::from([
        ("type".to_owned(), vec!["container".to_owned()]),
        ("event".to_owned(), vec!["die".to_owned()]),
        ("label".to_owned(), vec![format!("{}={}", labels::PROJECT, names.project())]),
    ]);
    let options = EventsOptionsBuilder::default().filters(&filters).build();
    // The handle is moved into the stream, so that it lives as long as somebody listens.
    async_stream(docker, options).boxed()
}

fn async_stream(
    docker: Docker,
    options: bollard::query_parameters::EventsOptions,
) -> impl futures_util::Stream<Item = Death> {
    let events = docker.events(Some(options)).boxed();
    futures_util::stream::unfold((docker, events), |(docker, mut events)| async move {
        loop {
            match events.next().await {
                Some(Ok(event)) => {
                    if let Some(death) = death(event) {
                        return Some((death, (docker, events)));
                    }
                }
                Some(Err(_)) | None => return None,
            }
        }
    })
}

fn death(event: EventMessage) -> Option<Death> {
    let actor = event.actor?;
    let service = actor.attributes?.get(labels::SERVICE).and_then(|name| Service::from_name(name))?;
    Some(Death { service, container: actor.id? })
}
