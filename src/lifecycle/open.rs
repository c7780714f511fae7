//! `open`: the addresses of what people look at, from whichever engine runs it.

use super::logs::{not_running, not_there, without_containers};
use super::reach;
use crate::engine::Engine;
use crate::engine::embedded::EmbeddedEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::grafana::DASHBOARD_UID;
use crate::stack::{EmbeddedState, Names, Service, State, why_not_running};
use url::Url;

/// Something to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The service.
    pub service: Service,
    /// Its address for people.
    pub url: Url,
}

/// The address of a service that runs in a container; Grafana's where none is named.
///
/// # Errors
/// It does not run.
pub async fn open<E: Engine>(engine: &E, names: &Names, service: Option<Service>) -> Result<Opened> {
    let service = service.unwrap_or(Service::Grafana);
    let observed = engine.observe(names, &[]).await?;
    let there = |service| observed.container(names.project(), service);
    let Some(container) = there(service) else {
        let nothing = Service::ALL.into_iter().all(|service| there(service).is_none());
        return Err(if nothing { not_running() } else { not_there(service) });
    };
    if container.state != State::Running {
        let message = format!("{service} is not running: {}", why_not_running(container));
        return Err(Error::new(Code::NotRunning, message).hint("Start it with qastack up."));
    }
    let published = container.published().ok_or_else(|| not_there(service))?;
    Ok(Opened { service, url: for_people(service, reach::direct(engine.info(), published)?) })
}

/// The address of the page of the exporter that runs without containers.
///
/// # Errors
/// It does not run, or another service was named.
pub fn embedded_open(engine: &EmbeddedEngine, service: Option<Service>) -> Result<Opened> {
    let service = service.unwrap_or(Service::TestMetrics);
    if service != Service::TestMetrics {
        return Err(without_containers(service));
    }
    let observed = engine.observe()?;
    match (observed.state, observed.record) {
        (EmbeddedState::Running, Some(record)) => {
            Ok(Opened { service, url: for_people(service, reach::direct(engine.info(), record.listen)?) })
        }
        (EmbeddedState::Exited(why), _) => {
            let message = format!("{service} is not running: {why}");
            Err(Error::new(Code::NotRunning, message).hint("Start it with qastack up."))
        }
        _ => Err(not_running()),
    }
}

/// People open Grafana for its dashboard.
fn for_people(service: Service, mut url: Url) -> Url {
    if service == Service::Grafana {
        url.set_path(&format!("/d/{DASHBOARD_UID}"));
    }
    url
}
