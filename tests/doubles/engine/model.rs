//! The books of a fake engine: what there is of containers, networks, volumes and images.

use crate::grafana_double::Fault;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard};
use tempfile::TempDir;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;

/// A fake engine's state, and who listens to its events.
pub struct Model {
    state: Mutex<State>,
    pub events: broadcast::Sender<String>,
    /// Where its containers find each other: an address of the loopback network that no other fake has.
    pub inside: Ipv4Addr,
    /// What goes wrong in each Grafana that is started.
    pub grafana_faults: Mutex<Vec<Fault>>,
}

#[derive(Default)]
pub struct State {
    pub containers: Vec<Container>,
    pub networks: Vec<Network>,
    pub volumes: BTreeMap<String, Volume>,
    pub images: Vec<Image>,
    /// What it says to a limit on CPU time above its CPUs, of which it may have none to give.
    pub cpus: Option<f64>,
    /// Whether what its containers publish is on another machine.
    pub is_elsewhere: bool,
    /// A cached layer is of an image that somebody has just removed.
    pub cache_is_broken: bool,
    /// Names it takes for taken, by containers that it does not have.
    pub names_not_given_back: Vec<String>,
    next: u64,
}

pub struct Container {
    pub id: String,
    pub name: String,
    /// What it was made with.
    pub body: Value,
    pub image_id: String,
    /// `created`, `running` or `exited`.
    pub word: &'static str,
    pub started_at: Option<Timestamp>,
    pub exit_code: i64,
    pub out_of_memory: bool,
    pub network_id: String,
    /// The answers it serves while it runs.
    pub tasks: Vec<JoinHandle<()>>,
    /// What it has read of its configuration: at its start, and at each SIGHUP.
    pub loaded: Vec<u8>,
}

pub struct Network {
    pub id: String,
    pub name: String,
    pub labels: Value,
    pub created: Timestamp,
}

pub struct Volume {
    pub labels: Value,
    pub files: BTreeMap<String, File>,
    /// What a service keeps in it that is no file of ours.
    pub directory: TempDir,
}

pub struct File {
    pub contents: Vec<u8>,
    pub date: u64,
}

pub struct Image {
    pub id: String,
    pub reference: String,
    pub labels: Value,
}

impl Model {
    pub fn new() -> Self {
        static NEXT: AtomicU8 = AtomicU8::new(1);
        let inside = Ipv4Addr::new(127, 77, (std::process::id() % 251) as u8, NEXT.fetch_add(1, Ordering::Relaxed));
        Self { state: Mutex::default(), events: broadcast::channel(64).0, inside, grafana_faults: Mutex::default() }
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Everything that carries a project's label: `kind NAME` each.
    pub fn objects_of(&self, project: &str) -> Vec<String> {
        let all = self.state().everything();
        let ours = all.into_iter().filter(|(_, labels)| labels["dev.qastack.project"] == project);
        ours.map(|(name, _)| name).collect()
    }

    /// Everything that does not: `kind NAME` each.
    pub fn others(&self, project: &str) -> Vec<String> {
        let all = self.state().everything();
        let others = all.into_iter().filter(|(_, labels)| labels["dev.qastack.project"] != project);
        others.map(|(name, _)| name).collect()
    }

    /// Ends a container as the kernel would, for want of memory or by somebody's hand.
    pub fn kill(&self, name: &str, out_of_memory: bool) {
        if let Some(container) = self.state().container_mut(name) {
            container.out_of_memory = out_of_memory;
        }
        done(&super::answers::end(self, name, 137).1);
    }

    /// Ends everything, and tells nobody, as a machine that goes down.
    pub fn reboot(&self) {
        let mut state = self.state();
        let running = state.containers.iter_mut().filter(|container| container.word == "running");
        let ended: Vec<_> = running.flat_map(|container| container.end(255)).collect();
        drop(state);
        done(&ended);
    }

    /// The secrets in a project's volume, by their path there.
    pub fn secrets(&self, project: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.state();
        let volume = state.volumes.get(&format!("{project}-secrets"));
        let files = volume.iter().flat_map(|volume| &volume.files);
        files.map(|(path, file)| (path.clone(), file.contents.clone())).collect()
    }

    /// Puts things there that are not ours but look like it: compose calls them by the project's name.
    pub fn add_strangers(&self, project: &str) {
        let labels = json!({ "com.docker.compose.project": project });
        let mut state = self.state();
        let network = state.add_network("their-network", labels.clone());
        state.add_volume("their-data", labels.clone());
        let body = json!({ "Image": "their/image:1", "Labels": labels, "HostConfig": {} });
        let id = state.add_container("their-container", body);
        state.container_mut(&id).unwrap().network_id = network;
    }
}

/// Waits, outside the runtime, until tasks that were ended have given back what they had.
fn done(tasks: &[JoinHandle<()>]) {
    while !tasks.iter().all(JoinHandle::is_finished) {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

impl State {
    pub fn id(&mut self) -> String {
        self.next += 1;
        format!("{:064x}", self.next)
    }

    fn everything(&self) -> Vec<(String, Value)> {
        let containers = self.containers.iter().map(|c| (format!("container {}", c.name), c.body["Labels"].clone()));
        let networks = self.networks.iter().map(|n| (format!("network {}", n.name), n.labels.clone()));
        let volumes = self.volumes.iter().map(|(name, v)| (format!("volume {name}"), v.labels.clone()));
        containers.chain(networks).chain(volumes).collect()
    }

    /// By id or name.
    pub fn container(&self, id: &str) -> Option<&Container> {
        self.containers.iter().find(|container| container.id == id || container.name == id)
    }

    pub fn container_mut(&mut self, id: &str) -> Option<&mut Container> {
        self.containers.iter_mut().find(|container| container.id == id || container.name == id)
    }

    pub fn add_container(&mut self, name: &str, body: Value) -> String {
        let id = self.id();
        let image = body["Image"].as_str().unwrap_or_default();
        let image_id = self.image(image).map(|image| image.id.clone()).unwrap_or_default();
        self.containers.push(Container {
            id: id.clone(),
            name: name.to_owned(),
            body,
            image_id,
            word: "created",
            started_at: None,
            exit_code: 0,
            out_of_memory: false,
            network_id: String::new(),
            tasks: Vec::new(),
            loaded: Vec::new(),
        });
        id
    }

    pub fn add_network(&mut self, name: &str, labels: Value) -> String {
        let id = self.id();
        self.networks.push(Network { id: id.clone(), name: name.to_owned(), labels, created: Timestamp::now() });
        id
    }

    /// One that is there stays as it is.
    pub fn add_volume(&mut self, name: &str, labels: Value) -> &Volume {
        let fresh = || Volume { labels, files: BTreeMap::new(), directory: tempfile::tempdir().unwrap() };
        self.volumes.entry(name.to_owned()).or_insert_with(fresh)
    }

    pub fn add_image(&mut self, reference: &str, labels: Value) {
        if self.image(reference).is_none() {
            let id = format!("sha256:{}", self.id());
            self.images.push(Image { id, reference: reference.to_owned(), labels });
        }
    }

    /// By reference or id.
    pub fn image(&self, reference: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.reference == reference || image.id == reference)
    }
}

impl Container {
    pub fn label(&self, key: &str) -> &str {
        self.body["Labels"][key].as_str().unwrap_or_default()
    }

    /// Ends what it serves; its ports are free once what it gives back is done.
    #[must_use]
    pub fn end(&mut self, exit_code: i64) -> Vec<JoinHandle<()>> {
        self.word = "exited";
        self.exit_code = exit_code;
        self.tasks.iter().for_each(JoinHandle::abort);
        std::mem::take(&mut self.tasks)
    }
}
