//! The calls of the Docker Engine API that qastack makes, answered from the books.

use super::model::{Container, Model, State};
use super::{archive, services};
use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode, request::Parts};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::JoinHandle;

/// An answer of the engine's, with its words.
pub fn message(status: u16, words: &str) -> Response<Body> {
    json_of(status, json!({ "message": words }))
}

fn json_of(status: u16, body: Value) -> Response<Body> {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response.headers_mut().insert("content-type", "application/json".parse().unwrap());
    response
}

fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Answers one call.
pub async fn answer(model: &Arc<Model>, head: &Parts, body: Bytes) -> Response<Body> {
    let path = percent_decoded(head.uri.path());
    // `/v1.41/…` and `/…` are the same.
    let mut words: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if words.first().is_some_and(|first| first.starts_with("v1.")) {
        words.remove(0);
    }
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes()).into_owned().collect();
    let text = |key: &str| query.get(key).map(String::as_str).unwrap_or_default();
    let sent: Value = serde_json::from_slice(&body).unwrap_or_default();
    match (&head.method, words.as_slice()) {
        (&Method::GET | &Method::HEAD, ["_ping"]) => Response::new(Body::from("OK")),
        (_, ["version"]) => json_of(200, version()),
        (_, ["events"]) => events(model),
        (_, ["containers", "json"]) => json_of(200, list_containers(&model.state(), &query)),
        (_, ["containers", "create"]) => create_container(&mut model.state(), text("name"), sent),
        (&Method::GET, ["containers", id, "json"]) => with(&model.state(), id, |c| json_of(200, inspect(c))),
        (_, ["containers", id, "start"]) => start(model, id).await,
        (_, ["containers", id, "stop"]) => ended(end(model, id, 0)).await,
        (_, ["containers", id, "kill"]) if text("signal") == "SIGHUP" => reload(model, id),
        (_, ["containers", id, "kill"]) => ended(end(model, id, 137)).await,
        (_, ["containers", id, "logs"]) => with(&model.state(), id, |_| Response::new(Body::from(log_line()))),
        (&Method::HEAD, ["containers", id, "archive"]) => look(&model.state(), id, text("path")),
        (&Method::GET, ["containers", id, "archive"]) => match archive::get(&model.state(), id, text("path")) {
            Some(tar) => Response::new(Body::from(tar)),
            None => message(404, "Could not find the file in container"),
        },
        (_, ["containers", id, "archive"]) => match archive::put(&mut model.state(), id, text("path"), &body) {
            Some(()) => empty(200),
            None => message(404, "No such container:path"),
        },
        (&Method::DELETE, ["containers", id]) => remove_container(model, id, text("force") == "true").await,
        (&Method::GET, ["networks"]) => json_of(200, list_networks(&model.state())),
        (_, ["networks", "create"]) => {
            let name = sent["Name"].as_str().unwrap_or_default();
            let id = model.state().add_network(name, sent["Labels"].clone());
            json_of(201, json!({ "Id": id, "Warning": "" }))
        }
        (&Method::DELETE, ["networks", id]) => remove_network(&mut model.state(), id),
        (&Method::GET, ["volumes"]) => {
            let state = model.state();
            let volumes: Vec<Value> = state.volumes.iter().map(|(name, volume)| shown(name, &volume.labels)).collect();
            json_of(200, json!({ "Volumes": volumes, "Warnings": [] }))
        }
        (_, ["volumes", "create"]) => {
            let name = sent["Name"].as_str().unwrap_or_default();
            let labels = model.state().add_volume(name, sent["Labels"].clone()).labels.clone();
            json_of(201, shown(name, &labels))
        }
        (&Method::DELETE, ["volumes", name]) => remove_volume(&mut model.state(), name),
        (_, ["images", "json"]) => json_of(200, list_images(&model.state(), &query)),
        (_, ["images", "create"]) => {
            let reference = format!("{}:{}", text("fromImage"), text("tag"));
            model.state().add_image(&reference, json!({}));
            let id = json!({ "status": "Pull complete", "progressDetail": {}, "id": "0123456789ab" });
            let done = json!({ "status": format!("Status: Downloaded newer image for {reference}") });
            Response::new(Body::from(format!("{id}\r\n{done}\r\n")))
        }
        (_, ["build"]) if model.state().cache_is_broken && text("nocache") != "true" => {
            let words = "unknown parent image ID sha256:0123456789ab";
            let error = json!({ "errorDetail": { "message": words }, "error": words });
            Response::new(Body::from(format!("{error}\r\n")))
        }
        (_, ["build"]) => {
            model.state().add_image(text("t"), serde_json::from_str(text("labels")).unwrap_or_default());
            Response::new(Body::from(format!("{}\r\n", json!({ "stream": "Successfully built 0123456789ab\n" }))))
        }
        (&Method::GET, ["images", name @ .., "json"]) => match model.state().image(&name.join("/")) {
            Some(image) => json_of(
                200,
                json!({ "Id": image.id, "RepoTags": [image.reference], "Config": { "Labels": image.labels } }),
            ),
            None => message(404, "No such image"),
        },
        (&Method::DELETE, ["images", name @ ..]) => {
            let name = name.join("/");
            model.state().images.retain(|image| image.reference != name && image.id != name);
            json_of(200, json!([{ "Untagged": name }]))
        }
        _ => message(404, "page not found"),
    }
}

fn percent_decoded(path: &str) -> String {
    let encoded = format!("x={}", path.replace('+', "%2B"));
    url::form_urlencoded::parse(encoded.as_bytes()).next().map(|(_, path)| path.into_owned()).unwrap_or_default()
}

fn version() -> Value {
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    json!({ "Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux", "Arch": architecture })
}

/// Events from now on, one a line; the stream ends only with the connection.
fn events(model: &Model) -> Response<Body> {
    let receiver = model.events.subscribe();
    let lines = futures_util::stream::unfold(receiver, |mut receiver| async move {
        let line = receiver.recv().await.ok()?;
        Some((Ok::<_, std::io::Error>(line), receiver))
    });
    Response::new(Body::from_stream(lines))
}

fn log_line() -> Vec<u8> {
    let line = b"a line of the log\n";
    let mut frame = vec![1, 0, 0, 0];
    frame.extend((line.len() as u32).to_be_bytes());
    frame.extend(line);
    frame
}

fn with(state: &State, id: &str, then: impl FnOnce(&Container) -> Response<Body>) -> Response<Body> {
    state.container(id).map_or_else(|| message(404, &format!("No such container: {id}")), then)
}

/// The labels a listing is filtered by: `KEY=VALUE` each.
fn wanted(query: &HashMap<String, String>) -> Vec<(String, String)> {
    let filters: Value = query.get("filters").and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let labels = filters["label"].as_array().cloned().unwrap_or_default();
    let pair = |text: &Value| text.as_str()?.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    labels.iter().filter_map(pair).collect()
}

fn list_containers(state: &State, query: &HashMap<String, String>) -> Value {
    let wanted = wanted(query);
    let all = query.get("all").is_some_and(|all| all == "true");
    let listed = state.containers.iter().filter(|container| all || container.word == "running");
    let listed = listed.filter(|container| wanted.iter().all(|(key, value)| container.label(key) == value));
    let row = |c: &Container| {
        json!({
            "Id": c.id, "Names": [format!("/{}", c.name)], "Image": c.body["Image"], "ImageID": c.image_id,
            "Labels": c.body["Labels"], "State": c.word, "Status": c.word, "Ports": [],
        })
    };
    listed.map(row).collect()
}

fn inspect(container: &Container) -> Value {
    let started = container.started_at.map_or_else(|| "0001-01-01T00:00:00Z".to_owned(), |at| at.to_string());
    let networks = container.body["NetworkingConfig"]["EndpointsConfig"].as_object().cloned().unwrap_or_default();
    let networks: serde_json::Map<String, Value> =
        networks.into_iter().map(|(name, _)| (name, json!({ "NetworkID": container.network_id }))).collect();
    let mounts = container.body["HostConfig"]["Mounts"].as_array().cloned().unwrap_or_default();
    let mount = |mount: &Value| json!({ "Type": "volume", "Name": mount["Source"], "Destination": mount["Target"], "RW": true });
    json!({
        "Id": container.id, "Name": format!("/{}", container.name), "Image": container.image_id, "RestartCount": 0,
        "State": {
            "Status": container.word, "Running": container.word == "running", "Paused": false, "Restarting": false,
            "OOMKilled": container.out_of_memory, "Dead": false, "ExitCode": container.exit_code, "Error": "", "StartedAt": started,
        },
        "Config": { "Image": container.body["Image"], "Labels": container.body["Labels"] },
        "NetworkSettings": { "Networks": networks },
        "Mounts": mounts.iter().map(mount).collect::<Vec<_>>(),
    })
}

fn create_container(state: &mut State, name: &str, body: Value) -> Response<Body> {
    let not_given_back = state.names_not_given_back.iter().any(|known| known == name).then(|| "f".repeat(64));
    if let Some(by) = state.container(name).map(|taken| taken.id.clone()).or(not_given_back) {
        return message(409, &format!("Conflict. The container name \"/{name}\" is already in use by \"{by}\""));
    }
    let image = body["Image"].as_str().unwrap_or_default();
    if state.image(image).is_none() {
        return message(404, &format!("No such image: {image}"));
    }
    let asked = body["HostConfig"]["NanoCpus"].as_f64().unwrap_or(0.0) / 1e9;
    match state.cpus {
        Some(0.0) if asked > 0.0 => {
            let words = "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted";
            return message(400, words);
        }
        Some(cpus) if asked > cpus => {
            // As engines of today write it; older ones begin with a capital.
            let words = format!("range of CPUs is from 0.01 to {cpus:.2}, as there are only {cpus:.0} CPUs available");
            return message(400, &words);
        }
        _ => {}
    }
    // Volumes that are not there are made, with no label of ours, as the real one does.
    for mount in body["HostConfig"]["Mounts"].as_array().cloned().unwrap_or_default() {
        state.add_volume(mount["Source"].as_str().unwrap_or_default(), json!({}));
    }
    let id = state.add_container(name, body);
    json_of(201, json!({ "Id": id, "Warnings": [] }))
}

async fn start(model: &Arc<Model>, id: &str) -> Response<Body> {
    {
        let mut state = model.state();
        let Some(container) = state.container(id) else { return message(404, "No such container") };
        if container.word == "running" {
            return empty(304);
        }
        let wanted = container.body["HostConfig"]["NetworkMode"].as_str().unwrap_or_default().to_owned();
        let same: Vec<String> = state.networks.iter().filter(|n| n.name == wanted).map(|n| n.id.clone()).collect();
        let known = container.network_id.clone();
        let network = match same.as_slice() {
            [] => return message(404, &format!("network {wanted} not found")),
            [one] if known.is_empty() || *one == known => one.clone(),
            [_] => return message(404, &format!("network {known} not found")),
            _ => return message(400, &format!("network {wanted} is ambiguous ({} matches found on name)", same.len())),
        };
        state.container_mut(id).unwrap().network_id = network;
    }
    match services::start(model, id).await {
        Err(words) => message(500, &words),
        Ok(tasks) => {
            let loaded = services::configuration(model, id);
            let mut state = model.state();
            let Some(container) = state.container_mut(id) else { return message(404, "No such container") };
            container.tasks = tasks;
            container.loaded = loaded;
            container.word = "running";
            container.started_at = Some(Timestamp::now());
            empty(204)
        }
    }
}

/// Ends a container; what it served has given back its ports once the tasks are done.
pub fn end(model: &Model, id: &str, exit_code: i64) -> (Response<Body>, Vec<JoinHandle<()>>) {
    let mut state = model.state();
    let Some(container) = state.container_mut(id) else { return (message(404, "No such container"), Vec::new()) };
    if container.word != "running" {
        return (empty(304), Vec::new());
    }
    let tasks = container.end(exit_code);
    let actor = json!({ "ID": container.id, "Attributes": container.body["Labels"] });
    let event = json!({ "Type": "container", "Action": "die", "Actor": actor });
    // Nobody may be listening.
    let _ = model.events.send(format!("{event}\n"));
    (empty(204), tasks)
}

async fn ended((answer, tasks): (Response<Body>, Vec<JoinHandle<()>>)) -> Response<Body> {
    for task in tasks {
        let _ = task.await;
    }
    answer
}

fn reload(model: &Model, id: &str) -> Response<Body> {
    let loaded = services::configuration(model, id);
    let mut state = model.state();
    match state.container_mut(id) {
        Some(container) if container.word == "running" => {
            container.loaded = loaded;
            empty(204)
        }
        Some(_) => message(409, "container is not running"),
        None => message(404, "No such container"),
    }
}

async fn remove_container(model: &Model, id: &str, force: bool) -> Response<Body> {
    let is_running = model.state().container(id).is_some_and(|container| container.word == "running");
    if is_running && !force {
        return message(409, "You cannot remove a running container");
    }
    ended(end(model, id, 137)).await;
    let mut state = model.state();
    let before = state.containers.len();
    state.containers.retain(|container| container.id != id && container.name != id);
    if state.containers.len() == before { message(404, "No such container") } else { empty(204) }
}

fn look(state: &State, id: &str, path: &str) -> Response<Body> {
    match archive::look(state, id, path) {
        None => empty(404),
        Some(stat) => {
            let mut response = empty(200);
            response.headers_mut().insert("x-docker-container-path-stat", stat.parse().unwrap());
            response
        }
    }
}

fn list_networks(state: &State) -> Value {
    let row = |network: &super::model::Network| {
        json!({
            "Id": network.id, "Name": network.name, "Labels": network.labels, "Created": network.created.to_string(),
            "Driver": "bridge", "Scope": "local",
        })
    };
    state.networks.iter().map(row).collect()
}

fn remove_network(state: &mut State, id: &str) -> Response<Body> {
    if state.containers.iter().any(|container| container.word == "running" && container.network_id == id) {
        return message(403, "error while removing network: it has active endpoints");
    }
    let before = state.networks.len();
    state.networks.retain(|network| network.id != id);
    if state.networks.len() == before { message(404, "No such network") } else { empty(204) }
}

fn shown(name: &str, labels: &Value) -> Value {
    json!({
        "Name": name, "Labels": labels, "Driver": "local", "Mountpoint": "/", "Scope": "local", "Options": {},
    })
}

fn remove_volume(state: &mut State, name: &str) -> Response<Body> {
    let uses = |mount: &Value| mount["Source"] == name;
    let is_used =
        |c: &Container| c.body["HostConfig"]["Mounts"].as_array().is_some_and(|mounts| mounts.iter().any(uses));
    if state.containers.iter().any(is_used) {
        return message(409, "remove: volume is in use");
    }
    if state.volumes.remove(name).is_some() { empty(204) } else { message(404, "no such volume") }
}

fn list_images(state: &State, query: &HashMap<String, String>) -> Value {
    let wanted = wanted(query);
    let listed = state.images.iter().filter(|image| wanted.iter().all(|(key, value)| image.labels[key] == *value));
    let row = |image: &super::model::Image| {
        json!({
            "Id": image.id, "ParentId": "", "RepoTags": [image.reference], "RepoDigests": [], "Created": 0, "Size": 0,
            "SharedSize": 0, "Labels": image.labels, "Containers": 0,
        })
    };
    listed.map(row).collect()
}
