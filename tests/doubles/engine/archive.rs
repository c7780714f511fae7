//! Files in the volumes of a fake engine, in and out as the real one does: tar archives, and a look at one file.

use super::model::{Container, File, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use std::io::Read;

/// The volume that a path of a container is in, and the path there.
fn place<'a>(container: &Container, path: &'a str) -> Option<(String, &'a str)> {
    let mounts = container.body["HostConfig"]["Mounts"].as_array()?;
    mounts.iter().find_map(|mount| {
        let below = path.strip_prefix(mount["Target"].as_str()?)?;
        Some((mount["Source"].as_str()?.to_owned(), below.trim_start_matches('/')))
    })
}

/// Unpacks an archive below a path.
pub fn put(state: &mut State, id: &str, path: &str, tar: &[u8]) -> Option<()> {
    let (volume, below) = place(state.container(id)?, path)?;
    let files = &mut state.volumes.get_mut(&volume)?.files;
    for entry in tar::Archive::new(tar).entries().ok()? {
        let mut entry = entry.ok()?;
        if entry.header().entry_type().is_file() {
            let name = entry.path().ok()?.to_string_lossy().into_owned();
            let name = if below.is_empty() { name } else { format!("{below}/{name}") };
            let date = entry.header().mtime().ok()?;
            let mut contents = Vec::new();
            entry.read_to_end(&mut contents).ok()?;
            files.insert(name, File { contents, date });
        }
    }
    Some(())
}

/// The files below a path, as an archive whose names begin with its last component.
pub fn get(state: &State, id: &str, path: &str) -> Option<Vec<u8>> {
    let (volume, below) = place(state.container(id)?, path)?;
    let last = path.rsplit('/').next()?;
    let files = &state.volumes.get(&volume)?.files;
    let prefix = if below.is_empty() { String::new() } else { format!("{below}/") };
    let mut tar = tar::Builder::new(Vec::new());
    let found: Vec<_> = files.iter().filter_map(|(name, file)| Some((name.strip_prefix(&prefix)?, file))).collect();
    if found.is_empty() && !below.is_empty() {
        return None;
    }
    for (name, file) in found {
        let mut header = tar::Header::new_gnu();
        header.set_size(file.contents.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(file.date);
        tar.append_data(&mut header, format!("{last}/{name}"), file.contents.as_slice()).ok()?;
    }
    tar.into_inner().ok()
}

/// How one file looks, as the engine's header has it.
pub fn look(state: &State, id: &str, path: &str) -> Option<String> {
    let (size, date) = match file(state, id, path) {
        Some(file) => (file.contents.len() as u64, file.date),
        None => (services_own(state, id, path)?, 0),
    };
    let date = jiff::Timestamp::from_second(i64::try_from(date).ok()?).ok()?;
    let name = path.rsplit('/').next()?;
    let stat = json!({
        "name": name, "size": size, "mode": 420, "mtime": date.to_string(), "linkTarget": "",
    });
    Some(STANDARD.encode(stat.to_string()))
}

/// One file of a container.
pub fn file<'a>(state: &'a State, id: &str, path: &str) -> Option<&'a File> {
    let (volume, below) = place(state.container(id)?, path)?;
    state.volumes.get(&volume)?.files.get(below)
}

/// The size of a file that the service itself has written.
fn services_own(state: &State, id: &str, path: &str) -> Option<u64> {
    let (volume, below) = place(state.container(id)?, path)?;
    let file = state.volumes.get(&volume)?.directory.path().join(below);
    std::fs::metadata(file).ok().filter(std::fs::Metadata::is_file).map(|file| file.len())
}
