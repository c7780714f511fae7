//! Which engine: flags, environment, context, known sockets; each that is tried is named when none answers.

use super::DockerEngine;
use super::contexts::{self, Endpoint};
use super::credentials::in_the_engines_alphabet;
use super::relay::Relays;
use super::ssh::Tunnel;
use crate::engine::EngineInfo;
use crate::error::{Error, Result, chain};
use crate::exit_code::Code;
use bollard::errors::Error as Cause;
use bollard::{API_DEFAULT_VERSION, Docker};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// An engine that has not answered a ping by then hangs.
const PING_TIME_OUT: Duration = Duration::from_secs(5);
/// One behind ssh has a login before that; still less than ten seconds.
const SSH_TIME_OUT: Duration = Duration::from_secs(9);
/// Calls that do long work answer in a stream; a single answer that takes longer than this never comes.
const CALL_TIME_OUT: Duration = Duration::from_secs(120);

/// What the user said about the engine.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// `--host`.
    pub host: Option<String>,
    /// `--context`.
    pub context: Option<String>,
}

/// An endpoint and who named it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Candidate {
    endpoint: Endpoint,
    /// Nothing where it is one of the known sockets.
    named_by: Option<String>,
}

impl Candidate {
    fn found_by(&self) -> String {
        self.named_by.clone().unwrap_or_else(|| "known socket".to_owned())
    }
}

/// Why an engine cannot be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Trouble {
    NotThere,
    Refused,
    NoPermission,
    NoAnswer,
    Other(String),
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("not there"),
            Self::Refused => f.write_str("refused: nothing listens on it"),
            Self::NoPermission => f.write_str("no permission"),
            Self::NoAnswer => write!(f, "no answer within {} s", PING_TIME_OUT.as_secs()),
            Self::Other(words) => f.write_str(words),
        }
    }
}

/// No engine was connected to.
#[derive(Debug)]
pub struct NoEngine {
    /// What to tell the user.
    pub error: Error,
    /// Whether there is simply none: nobody named one, and no known socket is there or answers. One that hangs or may
    /// not be used is an engine all the same.
    pub is_absent: bool,
}

impl From<Error> for NoEngine {
    fn from(error: Error) -> Self {
        Self { error, is_absent: false }
    }
}

/// Connects to the chosen engine, or to the first known socket that answers.
///
/// # Errors
/// None of those that were tried answers.
pub async fn connect(choice: &Choice) -> Result<DockerEngine, NoEngine> {
    let environment = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let candidates = candidates(choice, environment)?;
    let mut tried = Vec::new();
    for candidate in &candidates {
        match attempt(candidate).await {
            Ok(engine) => return Ok(engine),
            Err(trouble) => tried.push((candidate, trouble)),
        }
    }
    Err(NoEngine { is_absent: is_absent(&tried), error: unreachable(&tried) })
}

fn is_absent(tried: &[(&Candidate, Trouble)]) -> bool {
    tried.iter().all(|(candidate, trouble)| {
        candidate.named_by.is_none() && matches!(trouble, Trouble::NotThere | Trouble::Refused)
    })
}

/// Where an engine may be: exactly what was named, else all known sockets in order.
fn candidates(choice: &Choice, environment: impl Fn(&str) -> Option<String>) -> Result<Vec<Candidate>> {
    let one =
        |endpoint: Endpoint, named_by: &str| Ok(vec![Candidate { endpoint, named_by: Some(named_by.to_owned()) }]);
    let of_context = |name: &str, named_by: &str| contexts::endpoint(name, named_by, &environment);
    if let Some(host) = &choice.host {
        return one(Endpoint::named(host, &environment), "--host");
    }
    if let Some(context) = &choice.context {
        return one(of_context(context, "--context")?, &format!("--context {context}"));
    }
    if let Some(host) = environment("DOCKER_HOST") {
        return one(Endpoint::named(&host, &environment), "DOCKER_HOST");
    }
    if let Some(context) = environment("DOCKER_CONTEXT") {
        return one(of_context(&context, "DOCKER_CONTEXT")?, &format!("DOCKER_CONTEXT {context}"));
    }
    if let Some(context) = contexts::current(&environment) {
        return one(of_context(&context, "the current context")?, &format!("the context {context}"));
    }
    Ok(known_sockets(&environment))
}

/// Docker's own, rootless, Docker Desktop's, Colima's, OrbStack's, Rancher Desktop's and Lima's sockets, then Podman's.
fn known_sockets(environment: &impl Fn(&str) -> Option<String>) -> Vec<Candidate> {
    let runtime = environment("XDG_RUNTIME_DIR")
        .map_or_else(|| Path::new("/run/user").join(rustix::process::getuid().as_raw().to_string()), PathBuf::from);
    let mut paths = vec![PathBuf::from("/var/run/docker.sock"), runtime.join("docker.sock")];
    let home = environment("HOME").map(PathBuf::from);
    if let Some(home) = &home {
        let below_home = [
            ".docker/run/docker.sock",
            ".docker/desktop/docker.sock",
            ".colima/default/docker.sock",
            ".colima/docker.sock",
            ".config/colima/default/docker.sock",
            ".orbstack/run/docker.sock",
            ".rd/docker.sock",
            ".lima/docker/sock/docker.sock",
        ];
        paths.extend(below_home.iter().map(|path| home.join(path)));
    }
    paths.push(runtime.join("podman/podman.sock"));
    paths.push(PathBuf::from("/run/podman/podman.sock"));
    paths.extend(home.map(|home| home.join(".local/share/containers/podman/machine/podman.sock")));
    let known = |path: PathBuf| Candidate {
        endpoint: Endpoint { address: format!("unix://{}", path.display()), tls: None },
        named_by: None,
    };
    paths.into_iter().map(known).collect()
}

async fn attempt(candidate: &Candidate) -> Result<DockerEngine, Trouble> {
    let address = candidate.endpoint.address.as_str();
    let (mut docker, tunnel) = client(&candidate.endpoint)?;
    docker.set_timeout(if tunnel.is_some() { SSH_TIME_OUT } else { PING_TIME_OUT });
    // The client's requests carry no API version, so that every engine answers them in its own; asking for the version
    // would cost more than all else that `status` asks.
    docker.ping().await.map_err(|cause| match tunnel.as_ref().and_then(Tunnel::said) {
        Some(said) => Trouble::Other(said),
        None => reason(&cause),
    })?;
    let host = address.split_once("://").map_or("", |(_, rest)| rest);
    let is_local = address.starts_with("unix://") || address.starts_with("npipe://");
    let info = EngineInfo {
        kind: "docker",
        address: address.to_owned(),
        host: if is_local { "127.0.0.1".to_owned() } else { host_of(host) },
        is_local: is_local || is_loopback(&host_of(host)),
        found_by: candidate.found_by(),
    };
    let docker = docker.with_timeout(CALL_TIME_OUT).with_request_modifier(in_the_engines_alphabet);
    Ok(DockerEngine { docker, info, relays: Relays::default(), meter: Arc::default(), _tunnel: tunnel })
}

/// A client for an endpoint, and what has to live as long as it.
fn client(endpoint: &Endpoint) -> Result<(Docker, Option<Tunnel>), Trouble> {
    let (address, seconds) = (endpoint.address.as_str(), PING_TIME_OUT.as_secs());
    if address.starts_with("ssh://") {
        let tunnel = Tunnel::open(address).map_err(|cause| Trouble::Other(cause.to_string()))?;
        let socket = tunnel.socket();
        let docker = Docker::connect_with_unix(&socket.to_string_lossy(), seconds, API_DEFAULT_VERSION);
        return Ok((docker.map_err(|cause| reason(&cause))?, Some(tunnel)));
    }
    let docker = match &endpoint.tls {
        Some(directory) => {
            let [key, certificate, authority] = ["key.pem", "cert.pem", "ca.pem"].map(|name| directory.join(name));
            if let Some(missing) = [&key, &certificate, &authority].into_iter().find(|path| !path.is_file()) {
                return Err(Trouble::Other(format!("{} is missing, which TLS needs", missing.display())));
            }
            Docker::connect_with_ssl(address, &key, &certificate, &authority, seconds, API_DEFAULT_VERSION)
        }
        None if address.starts_with("tcp://") || address.starts_with("http://") => {
            Docker::connect_with_http(address, seconds, API_DEFAULT_VERSION)
        }
        None => Docker::connect_with_host(address),
    };
    Ok((docker.map_err(|cause| reason(&cause))?, None))
}

fn host_of(authority: &str) -> String {
    let authority = authority.split('/').next().unwrap_or_default();
    let authority = authority.rsplit('@').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.chars().all(|c| c.is_ascii_digit()) => host.to_owned(),
        _ => authority.to_owned(),
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// What a failed call says about an engine.
fn reason(cause: &Cause) -> Trouble {
    let mut source: Option<&dyn std::error::Error> = Some(cause);
    while let Some(error) = source {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            match io.kind() {
                std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => return Trouble::NotThere,
                std::io::ErrorKind::PermissionDenied => return Trouble::NoPermission,
                std::io::ErrorKind::ConnectionRefused => return Trouble::Refused,
                _ => {}
            }
        }
        source = error.source();
    }
    match cause {
        Cause::SocketNotFoundError(_) => Trouble::NotThere,
        Cause::RequestTimeoutError => Trouble::NoAnswer,
        Cause::UnsupportedURISchemeError { uri } => {
            Trouble::Other(format!("`{uri}` is not unix://PATH, tcp://HOST:PORT or ssh://HOST"))
        }
        other => Trouble::Other(chain(other)),
    }
}

fn unreachable(tried: &[(&Candidate, Trouble)]) -> Error {
    let list: Vec<String> = tried
        .iter()
        .map(|(candidate, trouble)| format!("\n  {} ({}): {trouble}", candidate.endpoint.address, candidate.found_by()))
        .collect();
    let any = |wanted: &Trouble| tried.iter().any(|(_, trouble)| trouble == wanted);
    let hint = if any(&Trouble::NoPermission) {
        "Add yourself to the group that owns the socket (sudo usermod -aG docker $USER, then log in again), or run a rootless engine."
    } else if any(&Trouble::NoAnswer) {
        "The engine hangs: restart it (sudo systemctl restart docker), then run the command again."
    } else if any(&Trouble::Refused) {
        "The engine is installed and does not run: start it (sudo systemctl start docker), or start Docker Desktop."
    } else {
        "Install and start an engine: Docker Engine (https://docs.docker.com/engine/install), Docker Desktop, Colima or Podman; \
         or name one with --host or DOCKER_HOST."
    };
    Error::new(Code::EngineUnreachable, format!("no container engine answers; tried:{}", list.concat()))
        .hint(hint)
        .retryable()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn with(pairs: &[(&str, &str)], choice: &Choice) -> Result<Vec<Candidate>> {
        let environment: HashMap<String, String> =
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        candidates(choice, |name| environment.get(name).cloned())
    }

    #[test]
    fn what_is_named_first_is_the_only_one_tried() {
        let host = Choice { host: Some("/tmp/a.sock".to_owned()), context: Some("x".to_owned()) };
        let found = with(&[("DOCKER_HOST", "tcp://b:1")], &host).expect("candidates");
        assert_eq!(found.len(), 1);
        assert_eq!(
            (found[0].endpoint.address.as_str(), found[0].named_by.as_deref()),
            ("unix:///tmp/a.sock", Some("--host"))
        );
        let found =
            with(&[("DOCKER_HOST", "tcp://b:1"), ("DOCKER_CONTEXT", "x")], &Choice::default()).expect("candidates");
        assert_eq!(
            (found[0].endpoint.address.as_str(), found[0].named_by.as_deref()),
            ("tcp://b:1", Some("DOCKER_HOST"))
        );
    }

    #[test]
    fn contexts_come_from_the_clients_own_files() {
        let home = tempfile::tempdir().expect("a directory");
        let meta = home.path().join(".docker/contexts/meta/abc");
        std::fs::create_dir_all(&meta).expect("a directory");
        std::fs::write(meta.join("meta.json"), r#"{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2375"}}}"#)
            .expect("a file");
        std::fs::write(home.path().join(".docker/config.json"), r#"{"currentContext":"far"}"#).expect("a file");
        let path = home.path().to_str().expect("text");
        let found = with(&[("HOME", path)], &Choice::default()).expect("candidates");
        assert_eq!(found[0].endpoint.address, "tcp://far:2375");
        let missing = Choice { context: Some("near".to_owned()), ..Choice::default() };
        let error = with(&[("HOME", path)], &missing).expect_err("no such context");
        assert_eq!(error.code(), Code::EngineUnreachable);
        assert!(error.message().contains("near"), "{error}");
    }

    #[test]
    fn without_a_choice_every_known_socket_is_tried() {
        let found =
            with(&[("HOME", "/nowhere"), ("XDG_RUNTIME_DIR", "/run/user/7")], &Choice::default()).expect("candidates");
        let addresses: Vec<&str> = found.iter().map(|candidate| candidate.endpoint.address.as_str()).collect();
        assert_eq!(addresses[0], "unix:///var/run/docker.sock");
        assert!(addresses.contains(&"unix:///nowhere/.colima/default/docker.sock"));
        assert!(addresses.contains(&"unix:///run/user/7/podman/podman.sock"));
    }

    #[test]
    fn an_engine_is_absent_only_where_nobody_named_one_and_no_socket_answers() {
        let endpoint = Endpoint { address: "unix:///a".to_owned(), tls: None };
        let known = Candidate { endpoint: endpoint.clone(), named_by: None };
        let named = Candidate { endpoint, named_by: Some("DOCKER_HOST".to_owned()) };
        assert!(is_absent(&[(&known, Trouble::NotThere), (&known, Trouble::Refused)]));
        assert!(!is_absent(&[(&named, Trouble::NotThere)]));
        for trouble in [Trouble::NoPermission, Trouble::NoAnswer, Trouble::Other("it speaks French".to_owned())] {
            assert!(!is_absent(&[(&known, Trouble::NotThere), (&known, trouble)]));
        }
    }

    #[tokio::test]
    async fn what_keeps_a_socket_from_answering_is_told_apart() {
        let directory = tempfile::tempdir().expect("a directory");
        let at = |name: &str| Candidate {
            endpoint: Endpoint { address: format!("unix://{}", directory.path().join(name).display()), tls: None },
            named_by: None,
        };
        assert_eq!(attempt(&at("nowhere.sock")).await.err(), Some(Trouble::NotThere));
        drop(std::os::unix::net::UnixListener::bind(directory.path().join("left.sock")).expect("a socket"));
        assert_eq!(attempt(&at("left.sock")).await.err(), Some(Trouble::Refused));
        let file = directory.path().join("file");
        std::fs::write(&file, b"").expect("a file");
        assert_eq!(attempt(&at("file/below.sock")).await.err(), Some(Trouble::NotThere));
    }

    #[test]
    fn the_host_of_an_address_is_where_its_ports_are() {
        assert_eq!(host_of("far:2375"), "far");
        assert_eq!(host_of("me@far:22/x"), "far");
        assert_eq!(host_of("[::1]:2375"), "[::1]");
        assert!(is_loopback("[::1]") && is_loopback("127.0.0.1") && !is_loopback("far"));
    }
}
