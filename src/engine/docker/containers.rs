//! Containers: made hardened, started, signalled, stopped, removed.

use super::failure::{Call, or_gone, status, words};
use super::lenient::Source;
use super::observe;
use crate::engine::{Creation, Ending};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::settings::Restart;
use crate::stack::labels::{self, RunId};
use crate::stack::{Begins, ContainerSpec, Names};
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::errors::Error as Cause;
use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig, PortBinding, ResourcesUlimits, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, LogsOptionsBuilder, RemoveContainerOptionsBuilder,
};
use futures_util::StreamExt;
use std::collections::HashMap;
use std::time::{Duration, Instant};

const SECOND: i64 = 1_000_000_000;
/// Open files. Plenty for these services, and below what any engine has itself: not every host lets it be raised.
const NOFILE: i64 = 4096;
/// How often a start is tried whose network's name has two meanings.
const AMBIGUOUS: u32 = 10;
/// How long a removal that is under way may take.
const REMOVAL: Duration = Duration::from_secs(30);

/// Makes a container, unless something has its name.
pub async fn create(docker: &Docker, run: &RunId, names: &Names, spec: &ContainerSpec) -> Result<Creation> {
    let name = names.container(spec.service);
    let options = CreateContainerOptionsBuilder::default().name(&name).build();
    let mut body = body(run, names, spec);
    loop {
        let outcome = docker.create_container(Some(options.clone()), body.clone()).await;
        let Some(limits) = body.host_config.as_mut() else { return made(outcome, &name, Creation::Made) };
        match (&outcome, limits.nano_cpus) {
            (Err(Cause::DockerResponseServerError { message, .. }), Some(asked)) => match possible_cpus(message, asked)
            {
                Some(possible) => limits.nano_cpus = possible,
                None => return made(outcome, &name, Creation::Made),
            },
            (_, Some(_)) => return made(outcome, &name, Creation::Made),
            (_, None) => return made(outcome, &name, Creation::MadeWithoutCpuLimit),
        }
    }
}

fn made<T>(outcome: Result<T, Cause>, name: &str, made: Creation) -> Result<Creation> {
    match outcome {
        Err(cause) if status(&cause) == Some(409) => Ok(Creation::NameTaken),
        other => other.call(|| format!("create the container {name}")).map(|_| made),
    }
}

/// What of a limit on CPU time an engine can hold that has refused it: as many as the machine has, or none where its
/// kernel or its user may set none. Nothing where it refused something else.
fn possible_cpus(refusal: &str, asked: i64) -> Option<Option<i64>> {
    if refusal.contains("NanoCPUs can not be set") {
        return Some(None);
    }
    // Newer engines begin with a small letter.
    let (_, range) = refusal.split_once("ange of CPUs is from 0.01 to ")?;
    let most: f64 = range.split(',').next()?.trim().parse().ok()?;
    let most = (most * SECOND as f64) as i64;
    (0 < most && most < asked).then_some(Some(most))
}

fn body(run: &RunId, names: &Names, spec: &ContainerSpec) -> ContainerCreateBody {
    let port = format!("{}/tcp", spec.service.container_port());
    let endpoint =
        EndpointSettings { aliases: Some(vec![spec.service.name().to_owned()]), ..EndpointSettings::default() };
    ContainerCreateBody {
        image: Some(spec.image.reference().to_owned()),
        cmd: (!spec.command.is_empty()).then(|| spec.command.clone()),
        env: Some(spec.environment.iter().map(|(name, value)| format!("{name}={value}")).collect()),
        user: Some(format!("{}:{}", spec.user.0, spec.user.1)),
        exposed_ports: Some(vec![port.clone()]),
        healthcheck: Some(HealthConfig {
            test: Some(std::iter::once("CMD".to_owned()).chain(spec.health.command.iter().cloned()).collect()),
            interval: Some(spec.health.interval_seconds as i64 * SECOND),
            timeout: Some(5 * SECOND),
            retries: Some(3),
            start_period: Some(30 * SECOND),
            ..HealthConfig::default()
        }),
        labels: Some(labels::container(run, names, spec).into_iter().collect()),
        stop_timeout: Some(spec.stop_timeout_seconds as i64),
        host_config: Some(host_config(names, spec, &port)),
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(names.network(), endpoint)])),
        }),
        ..ContainerCreateBody::default()
    }
}

/// Everything a service does not need is taken away from it.
fn host_config(names: &Names, spec: &ContainerSpec, port: &str) -> HostConfig {
    let memory = spec.limits.memory.bytes() as i64;
    let binding = PortBinding {
        host_ip: Some(spec.published.address.to_string()),
        host_port: Some(spec.published.port.to_string()),
    };
    let log_options = [("max-size", "10m"), ("max-file", "3")].map(|(name, value)| (name.to_owned(), value.to_owned()));
    let tmp = format!("rw,noexec,nosuid,nodev,size={}m,mode=1777", spec.tmp_mebibytes);
    HostConfig {
        network_mode: Some(names.network()),
        port_bindings: Some(HashMap::from([(port.to_owned(), Some(vec![binding]))])),
        mounts: Some(spec.mounts.iter().map(|mount| volume(names, mount)).collect()),
        tmpfs: Some(HashMap::from([("/tmp".to_owned(), tmp)])),
        readonly_rootfs: Some(true),
        cap_drop: Some(vec!["ALL".to_owned()]),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        privileged: Some(false),
        memory: Some(memory),
        // No swap on top: a limit that is met is seen, and not hidden behind a slow disk.
        memory_swap: Some(memory),
        nano_cpus: Some((spec.limits.cpus * SECOND as f64) as i64),
        pids_limit: Some(i64::from(spec.limits.pids)),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("nofile".to_owned()),
            soft: Some(NOFILE),
            hard: Some(NOFILE),
        }]),
        restart_policy: Some(restart_policy(spec.restart)),
        log_config: Some(HostConfigLogConfig {
            typ: Some("json-file".to_owned()),
            config: Some(log_options.into_iter().collect()),
        }),
        ..HostConfig::default()
    }
}

fn volume(names: &Names, mount: &crate::stack::Mount) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(names.volume(mount.part)),
        target: Some(mount.path.to_owned()),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(mount.begins == Begins::Empty),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

fn restart_policy(restart: Restart) -> RestartPolicy {
    let (name, times) = match restart {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(times))),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: times }
}

/// Starts a container; a busy host port has an error of its own.
pub async fn start(docker: &Docker, container: &str) -> Result<()> {
    let options = None::<bollard::query_parameters::StartContainerOptions>;
    let mut outcome = docker.start_container(container, options.clone()).await;
    // Two runs that make the network at the same time have two of them, until one gives way.
    for _ in 0..AMBIGUOUS {
        match &outcome {
            Err(Cause::DockerResponseServerError { message, .. }) if message.contains("is ambiguous") => {}
            _ => break,
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        outcome = docker.start_container(container, options.clone()).await;
    }
    match outcome {
        Err(Cause::DockerResponseServerError { message, .. }) if is_port_conflict(&message) => Err(Error::new(
            Code::PortBusy,
            format!("a host port was taken while the stack started: {}", words(&message)),
        )
        .hint("End the program that has it, or give the service another one under ports in qastack.yaml.")
        .retryable()),
        other => other.call(|| format!("start the container {container}")),
    }
}

/// Another container's port, a process' port, and Docker Desktop's words for both.
fn is_port_conflict(message: &str) -> bool {
    ["port is already allocated", "address already in use", "Ports are not available", "ports are not available"]
        .iter()
        .any(|text| message.contains(text))
}

/// Sends a signal to the first process.
pub async fn signal(docker: &Docker, container: &str, signal: &str) -> Result<()> {
    let options = KillContainerOptionsBuilder::default().signal(signal).build();
    docker.kill_container(container, Some(options)).await.call(|| format!("send {signal} to {container}"))
}

/// Stops in the container's own time-out.
pub async fn stop(docker: &Docker, container: &str) -> Result<()> {
    let options = None::<bollard::query_parameters::StopContainerOptions>;
    docker.stop_container(container, options).await.call(|| format!("stop the container {container}"))
}

/// Ends a container and removes it with its anonymous volumes.
pub async fn remove(docker: &Docker, container: &str, ending: Ending) -> Result<()> {
    if ending == Ending::Orderly {
        let stopped = docker.stop_container(container, None::<bollard::query_parameters::StopContainerOptions>).await;
        // A container that cannot be stopped any more, as one that is being removed, is removed all the same.
        match stopped {
            Err(cause) if status(&cause) == Some(404) => return Ok(()),
            Err(cause) if status(&cause).is_none() => {
                return Err(cause).call(|| format!("stop the container {container}"));
            }
            _ => {}
        }
    }
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    match docker.remove_container(container, Some(options)).await {
        Err(cause) if status(&cause) == Some(409) => gone(docker, container).await,
        other => or_gone(other).call(|| format!("remove the container {container}")),
    }
}

/// Waits until a container is gone that somebody else is removing already: what it holds can go only then.
async fn gone(docker: &Docker, container: &str) -> Result<()> {
    let deadline = Instant::now() + REMOVAL;
    while observe::container(Source::strict(docker), container).await?.is_some() {
        if Instant::now() > deadline {
            let message = format!("the container {container} is being removed since {} s", REMOVAL.as_secs());
            return Err(Error::new(Code::EngineFailed, message)
                .hint("Restart the engine where it stays so; then run the command again.")
                .retryable());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// The last lines on stdout and stderr together.
pub async fn last_lines(docker: &Docker, container: &str, count: usize) -> Result<Vec<String>> {
    let options = LogsOptionsBuilder::default().stdout(true).stderr(true).tail(&count.to_string()).build();
    let mut stream = docker.logs(container, Some(options));
    let mut text = String::new();
    while let Some(output) = stream.next().await {
        let output: LogOutput = output.call(|| format!("read the log of {container}"))?;
        text.push_str(&String::from_utf8_lossy(&output.into_bytes()));
    }
    Ok(text.lines().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_texts_of_a_busy_port_are_understood() {
        for text in [
            "driver failed programming external connectivity on endpoint x: Bind for 127.0.0.1:38080 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 127.0.0.1:38081: bind: address already in use",
            "Ports are not available: exposing port TCP 127.0.0.1:3000 -> 0.0.0.0:0: listen tcp 127.0.0.1:3000",
        ] {
            assert!(is_port_conflict(text), "{text}");
        }
        assert!(!is_port_conflict("OCI runtime create failed"));
    }

    #[test]
    fn what_an_engine_can_hold_of_a_limit_is_read_from_its_refusal_old_and_new() {
        let range = "ange of CPUs is from 0.01 to 1.00, as there are only 1 CPUs available";
        for text in [format!("R{range}"), format!("r{range}"), format!("invalid argument: r{range}")] {
            assert_eq!(possible_cpus(&text, 2 * SECOND), Some(Some(SECOND)), "{text}");
            assert_eq!(possible_cpus(&text, SECOND), None, "what was asked is within it: {text}");
        }
        let none =
            "NanoCPUs can not be set, as your kernel does not support CPU CFS scheduler or the cgroup is not mounted";
        assert_eq!(possible_cpus(none, SECOND), Some(None));
        assert_eq!(possible_cpus("no such image", SECOND), None);
    }
}
