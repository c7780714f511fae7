//! The docker command's own contexts: where an engine is, and what proves to it who we are.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::sha256;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Where an engine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: String,
    /// The directory with `ca.pem`, `cert.pem` and `key.pem`, where it is reached by TLS.
    pub tls: Option<PathBuf>,
}

impl Endpoint {
    /// An address that was named by itself; a bare path is a socket. It is reached by TLS where the variables that the
    /// docker command has for it say so.
    pub fn named(host: &str, environment: &impl Fn(&str) -> Option<String>) -> Self {
        let address = with_scheme(host);
        let is_network = address.starts_with("tcp://") || address.starts_with("https://");
        let wanted = is_network && (environment("DOCKER_TLS_VERIFY").is_some() || address.starts_with("https://"));
        let directory = || environment("DOCKER_CERT_PATH").map(PathBuf::from).or_else(|| config_directory(environment));
        Self { tls: wanted.then(directory).flatten(), address }
    }
}

fn with_scheme(host: &str) -> String {
    if host.starts_with('/') { format!("unix://{host}") } else { host.to_owned() }
}

/// Where the docker command keeps its configuration.
fn config_directory(environment: &impl Fn(&str) -> Option<String>) -> Option<PathBuf> {
    environment("DOCKER_CONFIG").map(PathBuf::from).or_else(|| Some(Path::new(&environment("HOME")?).join(".docker")))
}

/// The context that is used where nothing else is said; none where that is the default one.
pub fn current(environment: &impl Fn(&str) -> Option<String>) -> Option<String> {
    let text = std::fs::read(config_directory(environment)?.join("config.json")).ok()?;
    let config: Value = serde_json::from_slice(&text).ok()?;
    config["currentContext"].as_str().filter(|name| !name.is_empty() && *name != "default").map(str::to_owned)
}

/// A context's engine, from the docker command's own files.
///
/// # Errors
/// There is no such context.
pub fn endpoint(name: &str, named_by: &str, environment: &impl Fn(&str) -> Option<String>) -> Result<Endpoint> {
    if name == "default" {
        return Ok(Endpoint { address: "unix:///var/run/docker.sock".to_owned(), tls: None });
    }
    let directory = config_directory(environment).map(|directory| directory.join("contexts"));
    let metas = directory.iter().filter_map(|directory| std::fs::read_dir(directory.join("meta")).ok());
    for entry in metas.flatten().flatten() {
        let Ok(text) = std::fs::read(entry.path().join("meta.json")) else { continue };
        let Ok(meta) = serde_json::from_slice::<Value>(&text) else { continue };
        if meta["Name"] == name
            && let Some(address) = meta["Endpoints"]["docker"]["Host"].as_str()
        {
            // The material lies under the hash of the context's name.
            let tls =
                directory.as_ref().map(|directory| directory.join("tls").join(sha256(name.as_bytes())).join("docker"));
            return Ok(Endpoint { address: with_scheme(address), tls: tls.filter(|tls| tls.is_dir()) });
        }
    }
    Err(Error::new(Code::EngineUnreachable, format!("there is no Docker context {name}, named by {named_by}"))
        .hint("docker context ls shows those there are."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &'static [(&'static str, &'static str)]) -> impl Fn(&str) -> Option<String> {
        move |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn tls_is_spoken_where_the_variables_say_so_and_only_over_the_network() {
        let verify = environment(&[("DOCKER_TLS_VERIFY", "1"), ("DOCKER_CERT_PATH", "/certs"), ("HOME", "/home/ann")]);
        assert_eq!(Endpoint::named("tcp://far:2376", &verify).tls, Some("/certs".into()));
        assert_eq!(Endpoint::named("unix:///run/docker.sock", &verify).tls, None);
        assert_eq!(Endpoint::named("/run/docker.sock", &verify).address, "unix:///run/docker.sock");
        let plain = environment(&[("HOME", "/home/ann")]);
        assert_eq!(Endpoint::named("tcp://far:2375", &plain).tls, None);
        assert_eq!(Endpoint::named("https://far:2376", &plain).tls, Some("/home/ann/.docker".into()));
    }
}
