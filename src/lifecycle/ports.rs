//! All host ports, checked before anything is pulled or made; ports picked in the place of those that are taken.

use crate::engine::ports::{Port, process_on, try_port};
use crate::engine::{Engine, PortOwner};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::settings::{Ports, Published};
use crate::stack::{Names, Observed, PickedPort, Plan, Remembered, Service, StackSpec};

/// How many ports above a taken one are tried.
const CANDIDATES: u16 = 200;

/// A port that a service cannot have.
#[derive(Debug)]
pub struct Trouble {
    service: Service,
    published: Published,
    why: Why,
}

#[derive(Debug)]
enum Why {
    /// A container has it.
    Container(PortOwner),
    /// A process has it, as far as the system tells which.
    Process(Option<String>),
    /// The machine has no such address.
    NoSuchAddress,
}

impl Trouble {
    /// A process of this machine has the port.
    pub fn process(service: Service, published: Published) -> Self {
        Self { service, published, why: Why::Process(process_on(published)) }
    }

    /// The machine has no such address.
    pub const fn no_such_address(service: Service, published: Published) -> Self {
        Self { service, published, why: Why::NoSuchAddress }
    }

    /// What is in the way, in words.
    pub fn in_words(&self) -> String {
        let (service, port) = (self.service, self.published.port);
        match &self.why {
            Why::Container(owner) => format!("port {port} for {service} is taken by {owner}"),
            Why::Process(Some(process)) => format!("port {port} for {service} is taken by {process}"),
            Why::Process(None) => format!("port {port} for {service} is taken by another program"),
            Why::NoSuchAddress => {
                format!("{} for {service}: this machine has no address {}", self.published, self.published.address)
            }
        }
    }
}

/// Which services that a plan starts cannot have their ports.
pub async fn troubles<E: Engine>(engine: &E, spec: &StackSpec, plan: &Plan, observed: &Observed) -> Vec<Trouble> {
    let mut troubles = Vec::new();
    for service in Service::ALL.into_iter().filter(|service| plan.starts(*service)) {
        let published = spec.container(service).published;
        troubles.extend(trouble(engine, &spec.names, service, published, observed).await);
    }
    troubles
}

/// Refuses to go on where services cannot have their ports; each is named, with what has it.
pub fn refuse(troubles: &[Trouble]) -> Result<()> {
    let Some(first) = troubles.first() else { return Ok(()) };
    let words = troubles.iter().map(Trouble::in_words).collect::<Vec<_>>().join("; ");
    if troubles.iter().any(|trouble| matches!(trouble.why, Why::NoSuchAddress)) {
        let hint = format!("Write an address of this machine under ports.{} in qastack.yaml.", first.service);
        return Err(Error::new(Code::SettingsInvalid, words).hint(hint + " Nothing was touched."));
    }
    Err(Error::new(Code::PortBusy, words).hint(ways_out(first) + " Nothing was touched.").retryable())
}

/// The engine could not bind a port that was free when it was checked: somebody else was quicker.
pub async fn lost<E: Engine>(engine: &E, service: Service, published: Published, told: Error) -> Error {
    let why = match engine.port_owner(published).await {
        Some(owner) => Why::Container(owner),
        None if engine.info().is_local && try_port(published) == Port::NoSuchAddress => Why::NoSuchAddress,
        None => Why::Process(engine.info().is_local.then(|| process_on(published)).flatten()),
    };
    let trouble = Trouble { service, published, why };
    let message = format!("{}, since a moment ago: {}", trouble.in_words(), told.message());
    Error::new(Code::PortBusy, message).hint(ways_out(&trouble)).retryable()
}

fn ways_out(trouble: &Trouble) -> String {
    let end = match &trouble.why {
        Why::Container(PortOwner { project: Some(project), is_ours: true, .. }) => {
            format!("End it with qastack down --project {project}")
        }
        Why::Container(owner) => format!("End it with docker stop {}", owner.container),
        Why::Process(_) | Why::NoSuchAddress => "End what has it".to_owned(),
    };
    let service = trouble.service;
    // The last port has none after it.
    let other = trouble.published.port.checked_add(1).unwrap_or(trouble.published.port - 1);
    format!("{end}, take another port with qastack up --port {service}={other}, or a free one with --auto-port.")
}

async fn trouble<E: Engine>(
    engine: &E,
    names: &Names,
    service: Service,
    published: Published,
    observed: &Observed,
) -> Option<Trouble> {
    // Our own containers free their ports before these are needed again, or stay where they are.
    let mut ours = observed.containers.iter().filter(|container| container.is_ours(names.project()));
    if ours.any(|container| container.holds_ports() && container.ports.iter().any(|port| port.port == published.port)) {
        return None;
    }
    // Ports of another machine cannot be tried from here; only its containers are known.
    let found = if engine.info().is_local { try_port(published) } else { Port::Taken };
    let why = match found {
        Port::Free => return None,
        Port::NoSuchAddress => Why::NoSuchAddress,
        Port::Taken => match engine.port_owner(published).await {
            Some(owner) => Why::Container(owner),
            None if !engine.info().is_local => return None,
            None => Why::Process(process_on(published)),
        },
    };
    Some(Trouble { service, published, why })
}

/// What the user says about ports beside the settings.
#[derive(Debug, Clone, Default)]
pub struct PortWishes {
    /// Services whose port a flag names.
    pub named: Vec<Service>,
    /// Whether free ports are to be picked in the place of taken ones.
    pub auto: bool,
}

/// Where the services are published in the end.
#[derive(Debug)]
pub struct ChosenPorts {
    /// The ports.
    pub ports: Ports,
    /// What has to be known again at the next `up`.
    pub remembered: Remembered,
    /// What was picked now and why, in words.
    pub notes: Vec<String>,
}

/// The ports that settings and memory ask for, and free ones in the place of taken ones where that is wished.
pub async fn choose<E: Engine>(engine: &E, names: &Names, asked: &Ports, wishes: &PortWishes) -> Result<ChosenPorts> {
    let labels = engine.volume_labels(&names.volume(Remembered::PART)).await?.unwrap_or_default();
    let mut chosen =
        ChosenPorts { ports: asked.clone(), remembered: Remembered::from_labels(&labels), notes: Vec::new() };
    chosen.remembered.apply_to(&mut chosen.ports, &wishes.named);
    if !wishes.auto {
        return Ok(chosen);
    }
    let observed = engine.observe(names, &[]).await?;
    for service in Service::ALL {
        let wanted = chosen.ports.of(service);
        let Some(trouble) = trouble(engine, names, service, wanted, &observed).await else { continue };
        if matches!(trouble.why, Why::NoSuchAddress) {
            continue;
        }
        // Where it runs already it stays, even if nobody remembers why it runs there.
        let current = observed.container(names.project(), service).filter(|container| container.holds_ports());
        let current = current.and_then(|container| container.ports.first().copied());
        let picked = match current.filter(|port| port.address == wanted.address) {
            Some(current) => current,
            None => pick(engine, names, service, &chosen.ports, &observed).await?,
        };
        chosen.notes.push(format!("{}; {service} is on {} from now on", trouble.in_words(), picked.port));
        *chosen.ports.of_mut(service) = picked;
        chosen.remembered.ports.insert(service, PickedPort { asked: asked.of(service), picked });
    }
    Ok(chosen)
}

/// The first port above the wanted one that is free and that no other service asks for.
async fn pick<E: Engine>(
    engine: &E,
    names: &Names,
    service: Service,
    ports: &Ports,
    observed: &Observed,
) -> Result<Published> {
    let wanted = ports.of(service);
    for port in candidates(wanted.port) {
        let candidate = Published { port, ..wanted };
        let is_spoken_for = Service::ALL.into_iter().any(|other| ports.of(other).port == port);
        let ours = observed.containers.iter().any(|c| c.holds_ports() && c.ports.iter().any(|held| held.port == port));
        if !is_spoken_for && !ours && trouble(engine, names, service, candidate, observed).await.is_none() {
            return Ok(candidate);
        }
    }
    let message = format!("no port from {} on is free for {service}", wanted.port);
    Err(Error::new(Code::PortBusy, message).hint(format!("Name one: qastack up --port {service}=PORT.")))
}

/// Ports above one, in order.
pub fn candidates(port: u16) -> impl Iterator<Item = u16> {
    (1..=CANDIDATES).filter_map(move |step| port.checked_add(step))
}
