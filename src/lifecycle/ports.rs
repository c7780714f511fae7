//! All host ports, checked before anything is pulled or made.

use crate::engine::{Engine, ports};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::settings::Published;
use crate::stack::{Observed, Plan, Service, StackSpec, State};

/// Refuses to go on when a port that a service is about to need is taken; every taken port is named.
pub async fn check<E: Engine>(engine: &E, spec: &StackSpec, plan: &Plan, observed: &Observed) -> Result<()> {
    // Ports of another machine cannot be tried from here; its engine says so when the service starts.
    if !engine.info().is_local {
        return Ok(());
    }
    let ours = published_by_us(spec, observed);
    let mut taken = Vec::new();
    for service in Service::ALL.into_iter().filter(|service| plan.starts(*service)) {
        let published = spec.container(service).published;
        if ours.contains(&published.port) || ports::is_free(published) {
            continue;
        }
        let owner = match engine.port_owner(published.port).await {
            Some(container) => Some(container),
            None => ports::process_on(published.port),
        };
        taken.push((service, published, owner));
    }
    refuse(&taken)
}

/// Refuses to go on where services' ports are taken, each by its owner as far as that is known.
pub fn refuse(taken: &[(Service, Published, Option<String>)]) -> Result<()> {
    let Some((service, published, _)) = taken.first() else { return Ok(()) };
    let words = taken.iter().map(|(service, published, owner)| {
        let by = owner.as_deref().unwrap_or("another program");
        format!("port {} for {service} is taken by {by}", published.port)
    });
    // The last port has none after it.
    let other = published.port.checked_add(1).unwrap_or(published.port - 1);
    let hint = format!(
        "End what has it, or give the service another port: ports: {{ {service}: {other} }} in qastack.yaml. Nothing was touched."
    );
    Err(Error::new(Code::PortBusy, words.collect::<Vec<_>>().join("; ")).hint(hint).retryable())
}

/// Ports that our own running containers hold: they are freed before they are needed, or stay where they are.
fn published_by_us(spec: &StackSpec, observed: &Observed) -> Vec<u16> {
    let ours = observed.containers.iter().filter(|container| container.is_ours(spec.names.project()));
    ours.filter(|container| container.state == State::Running)
        .filter_map(|container| Some(container.published()?.port))
        .collect()
}
