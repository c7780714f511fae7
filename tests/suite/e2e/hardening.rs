//! What the engine says each container may do: as little as its service needs, whatever the image would allow.

use super::docker::{docker, files, inspect};
use super::stack::{SERVICES, Stack};
use crate::http;
use serde_json::{Value, json};

#[test]
fn every_container_may_do_as_little_as_its_service_needs() {
    let stack = Stack::new();
    stack.up();
    for service in SERVICES {
        let container = stack.inspect(service);
        let (config, host) = (&container["Config"], &container["HostConfig"]);
        let set = |name: &str| host[name].as_i64().is_some_and(|value| value > 0);
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();

        let user = config["User"].as_str().unwrap_or_default();
        let uid: u32 = user.split(':').next().and_then(|uid| uid.parse().ok()).unwrap_or(0);
        assert_ne!(uid, 0, "{service} runs as {user:?}, which is root or not a number");
        assert!(!config["Healthcheck"]["Test"].is_null(), "{service} has no health check");

        assert_eq!(host["CapDrop"], json!(["ALL"]), "{service}");
        assert!(list(&host["CapAdd"]).is_empty(), "{service}");
        assert_eq!(host["Privileged"], false, "{service}");
        assert!(list(&host["Devices"]).is_empty(), "{service}");
        assert_eq!(host["ReadonlyRootfs"], true, "{service}");
        let options = list(&host["SecurityOpt"]);
        assert!(options.iter().any(|option| option.as_str().is_some_and(|o| o.starts_with("no-new-privileges"))));
        assert!(!options.iter().any(|option| option.to_string().contains("unconfined")), "{service}: {options:?}");

        assert_eq!(host["MemorySwap"], host["Memory"], "{service} may swap");
        assert!(list(&config["Env"]).iter().all(|variable| !variable.to_string().contains("DOCKER_HOST")), "{service}");
        assert_ne!(container["AppArmorProfile"], "unconfined", "{service}");
        let tmp = host["Tmpfs"]["/tmp"].as_str().unwrap_or_default();
        assert!(["noexec", "nosuid", "nodev", "size="].iter().all(|option| tmp.contains(option)), "{service}: {tmp}");
        assert!(set("Memory") && set("NanoCpus") && set("PidsLimit"), "{service} has no limits: {host:#}");
        assert!(!list(&host["Ulimits"]).is_empty(), "{service} has no limit of open files");
        let restarts = host["RestartPolicy"]["MaximumRetryCount"].as_i64().unwrap_or_default();
        assert_eq!(host["RestartPolicy"]["Name"], "on-failure", "{service}");
        assert!((1..=5).contains(&restarts), "{service} starts again {restarts} times");

        for mode in ["NetworkMode", "PidMode", "IpcMode", "UTSMode", "UsernsMode"] {
            assert_ne!(host[mode], "host", "{service}: {mode}");
        }
        assert_ne!(host["NetworkMode"], "default", "{service} is on the engine's shared bridge");
        assert_eq!(host["PublishAllPorts"], false, "{service}");
        let published = host["PortBindings"].as_object().expect("published ports");
        assert_eq!(published.len(), 1, "{service} needs one port: {published:?}");
        for binding in published.values().flat_map(list) {
            // Neither "" nor "::", which mean every address as well.
            assert_eq!(binding["HostIp"], "127.0.0.1", "{service} is published on {binding}");
            let port: u16 = binding["HostPort"].as_str().and_then(|port| port.parse().ok()).unwrap_or(0);
            assert!(port >= 1024, "{service} has a port for root: {binding}");
        }
        assert!(container["State"]["Health"]["Status"].is_string(), "{service} is never looked after");
        let networks = container["NetworkSettings"]["Networks"].as_object().expect("networks");
        assert_eq!(networks.keys().collect::<Vec<_>>(), [&format!("{}-network", stack.project)], "{service}");

        assert!(list(&host["Binds"]).iter().all(|bind| !bind.to_string().contains("\"/")), "{service}: {host:#}");
        for mount in list(&container["Mounts"]) {
            assert_eq!(mount["Type"], "volume", "{service} sees the host's files: {mount}");
            assert!(
                ["", "private", "rprivate"].contains(&mount["Propagation"].as_str().unwrap_or_default()),
                "{mount}"
            );
            assert!(!mount.to_string().contains("docker.sock"), "{service} sees the engine");
        }
        for variable in list(&config["Env"]) {
            let variable = variable.to_string().to_lowercase();
            let (name, value) = variable.trim_matches('"').split_once('=').unwrap_or_default();
            let secret = ["password", "secret", "token"].iter().any(|word| name.contains(word));
            assert!(!secret || name.ends_with("__file") || value.is_empty(), "{service} has a secret in {name}");
        }
    }
}

#[test]
fn the_exporter_is_small_at_rest_and_so_is_its_image() {
    const MEBIBYTE: u64 = 1024 * 1024;
    let stack = Stack::new();
    stack.up();
    let container = stack.inspect("test-metrics");
    let status = std::fs::read_to_string(format!("/proc/{}/status", container["State"]["Pid"])).expect("its process");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its resident memory");
    let kibibytes: u64 = resident.trim().trim_end_matches(" kB").parse().expect("a number of kB");
    assert!(kibibytes * 1024 <= 20 * MEBIBYTE, "{kibibytes} kB are resident");

    let image = inspect(container["Image"].as_str().expect("an image"));
    let size = image["Size"].as_u64().expect("a size");
    // 15 MiB are wanted; docs/benchmarks.md tells how far it is from there.
    assert!(size <= 15 * MEBIBYTE, "the image has {size} bytes");
}

#[test]
fn the_exporters_image_serves_by_itself_with_no_volume_and_no_arguments() {
    let stack = Stack::new();
    stack.up();
    let image = stack.inspect("test-metrics")["Image"].as_str().expect("an image").to_owned();
    let label = format!("dev.qastack.project={}", stack.project);
    let published = format!("127.0.0.1:{}:8080", super::stack::free_port());
    let alone = docker(&["run", "--detach", "--label", &label, "--publish", &published, &image]);
    let address = published.trim_end_matches(":8080");
    let answer = http::get_until(address, "/metrics", |answer| answer.body.contains("\nflake_rate 0.08\n"));
    assert!(answer.body.contains("\ndefect_leakage 0.03\n"), "{}: {}", alone.trim(), answer.body);
}

#[test]
fn logs_are_bounded_and_every_service_has_its_time_to_stop() {
    let stack = Stack::new();
    stack.up();
    for (service, seconds) in [("test-metrics", 10), ("prometheus", 60), ("grafana", 35)] {
        let container = stack.inspect(service);
        let log = &container["HostConfig"]["LogConfig"];
        assert_eq!(*log, json!({ "Type": "json-file", "Config": { "max-file": "3", "max-size": "10m" } }), "{service}");
        assert_eq!(container["Config"]["StopTimeout"], seconds, "{service}");
    }
}

#[test]
fn the_restart_policy_is_that_of_the_settings() {
    let stack = Stack::new();
    stack.settings("restart: unless-stopped");
    stack.up();
    for service in SERVICES {
        assert_eq!(stack.inspect(service)["HostConfig"]["RestartPolicy"]["Name"], "unless-stopped", "{service}");
    }
}

#[test]
fn files_are_roots_and_readable_and_nothing_more() {
    let stack = Stack::new();
    stack.up();
    let seen = |service: &str, path: &str| {
        let mut files = files(&stack.container(service), path);
        files.sort_by(|a, b| a.name.cmp(&b.name));
        files.into_iter().map(|file| (file.name, file.mode, file.owner)).collect::<Vec<_>>()
    };
    let expected = |files: &[(&str, u32, u64)]| {
        files.iter().map(|(name, mode, owner)| ((*name).to_owned(), *mode, *owner)).collect::<Vec<_>>()
    };
    // The program cannot be written by the user it runs as, and neither can the configuration.
    assert_eq!(seen("test-metrics", "/qastack"), expected(&[("qastack", 0o755, 0)]));
    assert_eq!(seen("test-metrics", "/etc/qastack"), expected(&[("serve.yaml", 0o644, 0)]));
    let prometheus = seen("prometheus", "/etc/prometheus");
    assert!(
        prometheus.len() >= 2 && prometheus.iter().all(|(_, mode, owner)| (*mode, *owner) == (0o644, 0)),
        "{prometheus:?}"
    );
    assert_eq!(seen("test-metrics", "/run/qastack/test-metrics"), expected(&[("admin-token", 0o400, 65532)]));
    let secrets = [("admin-password", 0o400, 472), ("secret-key", 0o400, 472)];
    assert_eq!(seen("grafana", "/run/qastack/grafana"), expected(&secrets));
}
