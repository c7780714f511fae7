//! (what should run, what is there) -> the steps from one to the other, each with its reason.
//!
//! An empty plan means that nothing has to change. The order of the steps is the order they are shown in; the
//! lifecycle runs steps of different services side by side.

use super::observed::is_ours;
use super::{
    ContainerSpec, DEFAULT_PASSWORD, FileSpec, ImageSource, Observed, ObservedContainer, ObservedNetwork, PullPolicy,
    Remembered, SecretFile, Service, StackSpec, State, differences, labels,
};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::secret::Secret;
use serde::Serialize;
use std::collections::BTreeMap;

/// Why a warm-up ends.
const SETTLE: &str = "from the warm-up to the configured scrape interval";

/// One small thing to do, in terms every engine understands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Make the network.
    CreateNetwork,
    /// Make the volume of this part.
    CreateVolume(&'static str),
    /// Build the exporter's image from the running executable.
    BuildImage,
    /// Pull a service's image.
    PullImage(Service),
    /// Stop and remove a container; its volumes stay.
    RemoveContainer(String),
    /// Make a service's container.
    CreateContainer(Service),
    /// Put a service's configuration into its volumes.
    PutFiles(Service, Vec<FileSpec>),
    /// Make the secrets a service reads, where they are missing.
    EnsureSecrets(Service),
    /// Start a service.
    Start(Service),
    /// Stop a service that is no container.
    Stop(Service),
    /// Make a running service read its configuration again, and see that it did.
    Reload(Service),
    /// Once Prometheus has its first figures, go from the warm-up configuration to the one that stays.
    Settle,
    /// Create or update an object in Grafana.
    Provision,
    /// Remove an image that no release needs any more, by its reference.
    RemoveImage(String),
    /// Remove a network by its id.
    RemoveNetwork(String),
    /// Remove a volume and the data in it.
    RemoveVolume(String),
}

impl Action {
    /// The word for scripts.
    pub const fn word(&self) -> &'static str {
        match self {
            Self::CreateNetwork => "create_network",
            Self::CreateVolume(_) => "create_volume",
            Self::BuildImage => "build_image",
            Self::PullImage(_) => "pull_image",
            Self::RemoveContainer(_) => "remove_container",
            Self::CreateContainer(_) => "create_container",
            Self::PutFiles(..) => "put_files",
            Self::EnsureSecrets(_) => "ensure_secrets",
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Reload(_) => "reload",
            Self::Settle => "settle",
            Self::Provision => "provision",
            Self::RemoveImage(_) => "remove_image",
            Self::RemoveNetwork(_) => "remove_network",
            Self::RemoveVolume(_) => "remove_volume",
        }
    }

    /// The words for people.
    pub fn phrase(&self) -> String {
        self.word().replace('_', " ")
    }
}

/// A step: what, on what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What to do.
    pub action: Action,
    /// The object it is done to, by its name.
    pub object: String,
    /// Why.
    pub reason: String,
    /// The service it is for, where it is for one.
    pub service: Option<Service>,
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = [("action", self.action.word()), ("object", &self.object), ("reason", &self.reason)];
        BTreeMap::from(fields).serialize(serializer)
    }
}

/// The steps from what is there to what should be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order they are shown in.
    pub steps: Vec<Step>,
}

impl Plan {
    /// Whether nothing has to change.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// The steps of one service, in order.
    pub fn of(&self, service: Service) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.service == Some(service))
    }

    /// Whether a step starts this service.
    pub fn starts(&self, service: Service) -> bool {
        self.steps.iter().any(|step| step.action == Action::Start(service))
    }

    /// The ids of the containers that it removes.
    pub fn removed_containers(&self) -> Vec<String> {
        let removed = self.steps.iter().filter_map(|step| match &step.action {
            Action::RemoveContainer(id) => Some(id.clone()),
            _ => None,
        });
        removed.collect()
    }

    pub(super) fn add(
        &mut self,
        action: Action,
        object: impl Into<String>,
        reason: impl Into<String>,
        service: Option<Service>,
    ) {
        self.steps.push(Step { action, object: object.into(), reason: reason.into(), service });
    }
}

/// The steps to a stack that runs as it should. An object of a needed name that is not ours is an error.
pub fn plan_up(spec: &StackSpec, observed: &Observed) -> Result<Plan> {
    refuse_foreign(spec, observed)?;
    let mut plan = Plan::default();
    let project = spec.names.project();
    for stray in strays(spec, observed) {
        let reason = "left over: no service of this stack runs in it";
        plan.add(Action::RemoveContainer(stray.id.clone()), &stray.name, reason, None);
    }
    let network = spec.names.network();
    // The engine lets a name be given twice when two ask at once, and then connects nothing to either.
    for spare in spare_networks(spec, observed) {
        let reason = "a second network of this name";
        plan.add(Action::RemoveNetwork(spare.id.clone()), &network, reason, None);
    }
    if !observed.networks.iter().any(|known| known.name == network) {
        plan.add(Action::CreateNetwork, network, "missing", None);
    }
    for part in spec.volume_parts() {
        let name = spec.names.volume(part);
        if !observed.volumes.iter().any(|known| known.name == name) {
            plan.add(Action::CreateVolume(part), name, "missing", None);
        }
    }
    plan_remembered(&mut plan, spec, observed);
    for container in &spec.containers {
        plan_image(&mut plan, spec, container, observed)?;
        plan_container(&mut plan, spec, container, observed);
    }
    if !plan.starts(Service::Grafana) {
        for (object, reason) in observed.grafana.iter().flat_map(|grafana| &grafana.lacking) {
            plan.add(Action::Provision, object, reason, Some(Service::Grafana));
        }
    }
    let needed = spec.container(Service::TestMetrics).image.reference();
    for image in &observed.images {
        let superseded = is_ours(&image.labels, project) && !image.references.iter().any(|known| known == needed);
        if superseded {
            let name = image.references.first().unwrap_or(&image.id);
            plan.add(Action::RemoveImage(name.clone()), name, "superseded exporter image", None);
        }
    }
    Ok(plan)
}

/// The steps to nothing: containers and network, and with `volumes` the data and the exporter's images too.
pub fn plan_down(project: &str, observed: &Observed, volumes: KeepOrRemove) -> Plan {
    let mut plan = Plan::default();
    for container in observed.containers.iter().filter(|container| container.is_ours(project)) {
        let reason = if container.state == State::Running { "runs" } else { container.state.word() };
        let service = container.service();
        plan.add(Action::RemoveContainer(container.id.clone()), &container.name, reason, service);
    }
    for network in observed.networks.iter().filter(|network| is_ours(&network.labels, project)) {
        plan.add(Action::RemoveNetwork(network.id.clone()), &network.name, "made by this stack", None);
    }
    if volumes == KeepOrRemove::Remove {
        for volume in observed.volumes.iter().filter(|volume| is_ours(&volume.labels, project)) {
            plan.add(Action::RemoveVolume(volume.name.clone()), &volume.name, "its data was asked to go too", None);
        }
        for image in observed.images.iter().filter(|image| is_ours(&image.labels, project)) {
            let name = image.references.first().unwrap_or(&image.id);
            plan.add(Action::RemoveImage(name.clone()), name, "built for this stack", None);
        }
    }
    plan
}

/// What `down` does with the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepOrRemove {
    /// Volumes stay.
    Keep,
    /// Volumes go too.
    Remove,
}

/// Names we need that are taken by something that is not ours.
fn refuse_foreign(spec: &StackSpec, observed: &Observed) -> Result<()> {
    let project = spec.names.project();
    let foreign = |kind: &str, name: &str, labels: &labels::Labels| {
        let whose = match (labels.get(labels::PROJECT), labels.get("com.docker.compose.project")) {
            (Some(other), _) => format!("belongs to the qastack project {other}"),
            (None, Some(owner)) => format!("was not made by qastack (it belongs to the compose project {owner})"),
            (None, None) => "was not made by qastack".to_owned(),
        };
        Err(Error::new(Code::NotOurs, format!("the {kind} {name} is there and {whose}"))
            .hint(format!("Rename or remove it, or choose another name for the stack: --project NAME. Nothing was touched; the label {} tells what is ours.", labels::PROJECT)))
    };
    for service in Service::ALL {
        let name = spec.names.container(service);
        if let Some(taken) = observed.containers.iter().find(|c| c.name == name && !c.is_ours(project)) {
            return foreign("container", &name, &taken.labels);
        }
    }
    for part in spec.volume_parts().into_iter().chain([Remembered::PART]) {
        let name = spec.names.volume(part);
        if let Some(taken) = observed.volumes.iter().find(|v| v.name == name && !is_ours(&v.labels, project)) {
            return foreign("volume", &name, &taken.labels);
        }
    }
    let name = spec.names.network();
    if let Some(taken) = observed.networks.iter().find(|n| n.name == name && !is_ours(&n.labels, project)) {
        return foreign("network", &name, &taken.labels);
    }
    Ok(())
}

/// Containers with our label that are not the one of their service, or are in a network that goes.
fn strays<'a>(spec: &StackSpec, observed: &'a Observed) -> Vec<&'a ObservedContainer> {
    let (project, network) = (spec.names.project(), spec.names.network());
    let spare = spare_networks(spec, observed);
    let is_in_spare = |container: &ObservedContainer| {
        container.networks.get(&network).is_some_and(|id| spare.iter().any(|spare| spare.id == *id))
    };
    let has_no_service = |container: &ObservedContainer| {
        container.service().is_none_or(|service| container.name != spec.names.container(service))
    };
    let ours = observed.containers.iter().filter(|container| container.is_ours(project));
    ours.filter(|container| has_no_service(container) || is_in_spare(container)).collect()
}

/// Networks of our name beside the one that most of our containers are in.
fn spare_networks<'a>(spec: &StackSpec, observed: &'a Observed) -> Vec<&'a ObservedNetwork> {
    let name = spec.names.network();
    let mut same: Vec<&ObservedNetwork> = observed.networks.iter().filter(|network| network.name == name).collect();
    let members = |network: &ObservedNetwork| {
        observed.containers.iter().filter(|container| container.networks.get(&name) == Some(&network.id)).count()
    };
    // Of two that are alike every run chooses the same one.
    same.sort_by_key(|network| (std::cmp::Reverse(members(network)), network.id.clone()));
    same.into_iter().skip(1).collect()
}

/// The volume whose labels are what `up` has to know again. It holds no data, and labels cannot be changed.
fn plan_remembered(plan: &mut Plan, spec: &StackSpec, observed: &Observed) {
    let name = spec.names.volume(Remembered::PART);
    let there = observed.volumes.iter().find(|volume| volume.name == name);
    let known = there.map(|volume| Remembered::from_labels(&volume.labels)).unwrap_or_default();
    let wanted = &spec.remembered;
    if known == *wanted {
        return;
    }
    if there.is_some() {
        let reason = format!("not so any more: {}", known.in_words());
        plan.add(Action::RemoveVolume(name.clone()), &name, reason, None);
    }
    if !wanted.is_empty() {
        plan.add(Action::CreateVolume(Remembered::PART), name, format!("remember: {}", wanted.in_words()), None);
    }
}

fn plan_image(plan: &mut Plan, spec: &StackSpec, container: &ContainerSpec, observed: &Observed) -> Result<()> {
    let reference = container.image.reference();
    let is_pulled = matches!(container.image, ImageSource::Reference(_));
    if observed.image(reference).is_some() {
        if is_pulled && spec.pull == PullPolicy::Always {
            plan.add(Action::PullImage(container.service), reference, "asked for each time", Some(container.service));
        }
        return Ok(());
    }
    if spec.pull == PullPolicy::Never && is_pulled {
        return Err(Error::new(Code::ImageUnavailable, format!("the image {reference} is not on this engine, and nothing is to be pulled"))
            .hint("Bring it with qastack images pull, or from a file with qastack images load; or leave --pull never out. Nothing was touched."));
    }
    let (action, reason) = match &container.image {
        ImageSource::Build(_) => (Action::BuildImage, "no image of this executable yet"),
        ImageSource::Reference(_) => (Action::PullImage(container.service), "not on this engine yet"),
    };
    plan.add(action, reference, reason, Some(container.service));
    Ok(())
}

fn plan_container(plan: &mut Plan, spec: &StackSpec, wanted: &ContainerSpec, observed: &Observed) {
    let service = wanted.service;
    let name = spec.names.container(service);
    let strays = strays(spec, observed);
    let there = observed.containers.iter().find(|container| {
        container.is_ours(spec.names.project())
            && container.name == name
            && container.service() == Some(service)
            && !strays.iter().any(|stray| stray.id == container.id)
    });
    let Some(there) = there else {
        plan.add(Action::CreateContainer(service), &name, "missing", Some(service));
        return plan_start(plan, spec, wanted, &name, "just made");
    };
    if let Some(reason) = misfit(spec, wanted, there, observed) {
        let reason = format!("{reason}: {service} is recreated, its volumes stay");
        plan.add(Action::RemoveContainer(there.id.clone()), &name, reason, Some(service));
        plan.add(Action::CreateContainer(service), &name, "in the place of the one that goes", Some(service));
        return plan_start(plan, spec, wanted, &name, "made anew");
    }
    if there.state != State::Running {
        return plan_start(plan, spec, wanted, &name, &why_not_running(there));
    }
    let changed: Vec<&FileSpec> = wanted
        .files
        .iter()
        .filter(|file| observed.files.get(&(service, file.path.clone())) != Some(&file.contents))
        .collect();
    let scrapes_anew = !changed.is_empty() || plan.starts(Service::TestMetrics);
    if service == Service::Prometheus && scrapes_anew && spec.is_scraped_seldom() {
        let why = "warm-up configuration, since the next scrape is far away";
        plan.add(Action::PutFiles(service, spec.prometheus_warm_up.clone()), &name, why, Some(service));
        plan.add(Action::Reload(service), &name, "its configuration changed", Some(service));
        plan.add(Action::Settle, &name, SETTLE, Some(service));
    } else if !changed.is_empty() {
        let paths: Vec<&str> = changed.iter().map(|file| file.path.as_str()).collect();
        let reason = format!("changed: {}", paths.join(", "));
        plan.add(Action::PutFiles(service, wanted.files.clone()), &name, &reason, Some(service));
        plan.add(Action::Reload(service), &name, "its configuration changed", Some(service));
    } else if let Some(reason) = observed.stale.get(&service) {
        plan.add(Action::Reload(service), &name, reason, Some(service));
    }
    let is_guessable = |password: &Secret| password.expose() == DEFAULT_PASSWORD;
    if missing_secrets(service, observed) {
        plan.add(Action::EnsureSecrets(service), &name, "a secret is missing", Some(service));
    } else if service == Service::Grafana
        && spec.generates_password
        && observed.kept_password.as_ref().is_some_and(is_guessable)
    {
        let reason = "a password of its own in the place of the default one";
        plan.add(Action::EnsureSecrets(service), &name, reason, Some(service));
    }
}

fn missing_secrets(service: Service, observed: &Observed) -> bool {
    SecretFile::ALL
        .into_iter()
        .filter(|secret| secret.service() == service)
        .any(|secret| !observed.secrets.contains(&secret))
}

/// The steps from a container that is there to a service that runs.
fn plan_start(plan: &mut Plan, spec: &StackSpec, wanted: &ContainerSpec, name: &str, reason: &str) {
    let service = wanted.service;
    let warm_up = service == Service::Prometheus && spec.prometheus_warm_up != wanted.files;
    let files = if warm_up { &spec.prometheus_warm_up } else { &wanted.files };
    let why = if warm_up { "warm-up configuration, for the first figures within seconds" } else { "its configuration" };
    if !files.is_empty() {
        plan.add(Action::PutFiles(service, files.clone()), name, why, Some(service));
    }
    if SecretFile::ALL.into_iter().any(|secret| secret.service() == service) {
        plan.add(Action::EnsureSecrets(service), name, "made where they are missing", Some(service));
    }
    plan.add(Action::Start(service), name, reason, Some(service));
    if warm_up {
        plan.add(Action::Settle, name, SETTLE, Some(service));
    }
}

/// Why a container that is there cannot stay, key by key.
fn misfit(spec: &StackSpec, wanted: &ContainerSpec, there: &ObservedContainer, observed: &Observed) -> Option<String> {
    let mut reasons: Vec<String> = match there.spec() {
        Some(was) => differences(&was, &wanted.canonical()).iter().map(ToString::to_string).collect(),
        None => vec!["its label says nothing of what it was made from".to_owned()],
    };
    let reference = wanted.image.reference();
    if reasons.is_empty() && observed.image(reference).is_some_and(|image| image.id != there.image_id) {
        reasons.push(format!("{reference} is another image now"));
    }
    let is_gone = |id: &String| !id.is_empty() && !observed.networks.iter().any(|network| network.id == *id);
    match there.networks.get(&spec.names.network()) {
        None => reasons.push("it is not in the stack's network".to_owned()),
        // The engine holds it to the network's id, and cannot start it in another one of the same name.
        Some(id) if is_gone(id) => reasons.push("the network it was made in is gone".to_owned()),
        Some(_) => {}
    }
    if matches!(there.state, State::Dead | State::Paused | State::Removing | State::Restarting) {
        reasons.push(format!("it is {}", there.state.word()));
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// Why a container that should run does not, from what the engine remembers.
pub(crate) fn why_not_running(there: &ObservedContainer) -> String {
    if there.state == State::Created {
        return if there.error.is_empty() {
            "never started".to_owned()
        } else {
            format!("could not start: {}", there.error)
        };
    }
    let code = there.exit_code.map_or_else(String::new, |code| format!(" with exit code {code}"));
    let memory = if there.out_of_memory { ", out of memory" } else { "" };
    let error = if there.error.is_empty() { String::new() } else { format!(": {}", there.error) };
    format!("{}{code}{memory}{error}", there.state.word())
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
