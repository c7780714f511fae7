//! The engine: how it was reached, its version, room, clock, and what of the project's is on it.

use super::{Check, bytes, machine};
use crate::engine::{Engine, EngineInfo, EngineMachine};
use crate::settings::{BUILD, StackSettings};
use crate::stack::{Names, Observed, Service, State, labels};
use crate::words;
use futures_util::future::join;
use jiff::Timestamp;
use std::cmp::Ordering;
use std::time::Duration;

/// The oldest API that everything we ask for is in.
const OLDEST_API: &str = "1.41";
/// With less room than this Prometheus and Grafana lose data soon.
const FULL: u64 = 512 << 20;
/// The images take about 1.5 GiB, unpacked, and samples and dashboards want room as well.
const TIGHT: u64 = 3 << 30;
/// Clocks that differ by less are as good as equal: the answer itself takes a while.
const SKEW: Duration = Duration::from_secs(5);
/// Clocks that differ by more keep Grafana's queries up to "now" from finding anything.
const FAR_SKEW: Duration = Duration::from_secs(60);

/// The engine, its machine, and the project's images, volumes and names on it.
pub async fn examine<E: Engine>(
    engine: &E,
    settings: &StackSettings,
    names: &Names,
    observed: &Observed,
) -> Vec<Check> {
    let asked_at = Timestamp::now();
    let (described, images) = join(engine.machine(), async { images(settings, observed) }).await;
    let mut checks = Vec::new();
    match described {
        Err(error) => checks.push(Check::error("engine", &error)),
        Ok(machine) => {
            checks.push(version(engine.info(), &machine));
            checks.extend(room(engine.info(), &machine));
            checks.extend(machine.clock.map(|clock| skew(clock, asked_at, Timestamp::now())));
        }
    }
    checks.extend(images);
    checks.push(objects(names, observed));
    checks
}

fn version(info: &EngineInfo, machine: &EngineMachine) -> Check {
    let message = format!(
        "{} {} (API {}) on {}, reached at {} ({})",
        machine.product, machine.version, machine.api_version, machine.system, info.address, info.found_by
    );
    if compare_versions(&machine.api_version, OLDEST_API) == Ordering::Less {
        return Check::fail(
            "engine",
            message,
            format!("Update the engine: API {OLDEST_API} (Docker 20.10) is the oldest that works."),
        );
    }
    match machine.warnings.first() {
        Some(warning) if warning.contains("No memory limit") => Check::warn(
            "engine",
            format!("{message}; {warning}"),
            "The services' memory limits do not hold there: enable the memory cgroup controller.",
        ),
        _ => Check::ok("engine", message),
    }
}

fn room(info: &EngineInfo, machine: &EngineMachine) -> Option<Check> {
    let root = machine.root.display();
    // Docker Desktop's root lies in a virtual machine of its own, and another machine's is not here either.
    let here = info.is_local && machine.root.is_dir();
    let (free, all) = here.then(|| machine::free_room(&machine.root)).flatten()?;
    let message = format!("{} free of {} in {root}", bytes(free), bytes(all));
    let fix = "Make room: docker system df shows what takes it.";
    Some(match free {
        free if free < FULL => Check::fail("engine disk", message, fix),
        free if free < TIGHT => Check::warn("engine disk", message, fix),
        _ => Check::ok("engine disk", message),
    })
}

/// The engine's clock against ours. The answer was written between the two times, so that a slow one is no skew.
fn skew(engine: Timestamp, asked_at: Timestamp, answered_at: Timestamp) -> Check {
    let difference = if engine < asked_at {
        asked_at.duration_since(engine)
    } else if engine > answered_at {
        engine.duration_since(answered_at)
    } else {
        jiff::SignedDuration::ZERO
    };
    let away = difference.unsigned_abs();
    let direction = if engine < asked_at { "behind" } else { "ahead of" };
    let message = format!("the engine's clock is {:.1} s {direction} this machine's", away.as_secs_f64());
    let fix = "Set both machines' clocks by NTP (timedatectl set-ntp true); restart a virtual machine that slept.";
    match away {
        away if away < SKEW => Check::ok("clock", "the engine's clock and this machine's agree"),
        away if away < FAR_SKEW => Check::warn("clock", message, fix),
        _ => Check::fail("clock", message, fix),
    }
}

fn images(settings: &StackSettings, observed: &Observed) -> Vec<Check> {
    let images = &settings.images;
    let all = [
        (Service::TestMetrics, &images.test_metrics),
        (Service::Prometheus, &images.prometheus),
        (Service::Grafana, &images.grafana),
    ];
    let check = |(service, image): (Service, &String)| {
        let name = format!("image {service}");
        let reference = &images.resolved(image);
        if reference == BUILD {
            let built = observed.container(&settings.project, service).map(|container| container.image.as_str());
            return Check::ok(
                name,
                built.map_or_else(
                    || "up builds it from this program".to_owned(),
                    |image| format!("{image}, built from this program"),
                ),
            );
        }
        if let Some((found, fix)) = trap(reference) {
            return Check::warn(name, format!("{reference}: {found}"), fix);
        }
        match observed.image(reference) {
            Some(_) => Check::ok(name, format!("{reference} is on the engine")),
            None => Check::ok(name, format!("{reference} is not on the engine yet; up pulls it")),
        }
    };
    all.into_iter().map(check).collect()
}

/// What is known to go wrong with a reference.
fn trap(reference: &str) -> Option<(&'static str, &'static str)> {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if last.starts_with("grafana-oss") {
        let found = "this name gets no new versions any more";
        return Some((found, "Name grafana/grafana and a version under images.grafana in qastack.yaml."));
    }
    if reference.contains("@sha256:") || last.split_once(':').is_some_and(|(_, tag)| tag != "latest") {
        return None;
    }
    let found = "it names no version, so that each pull may bring another one, and Grafana's data cannot go back";
    Some((found, "Name a version, such as grafana/grafana:12.4.0, or a digest, under images in qastack.yaml."))
}

/// What of the project's is there, and what of another's has a name that it needs.
fn objects(names: &Names, observed: &Observed) -> Check {
    let project = names.project();
    let is_ours = |object: &std::collections::BTreeMap<String, String>| {
        object.get(labels::PROJECT).is_some_and(|label| label == project)
    };
    let needed_containers = Service::ALL.map(|service| names.container(service));
    let needed_volumes =
        ["test-metrics-data", "test-metrics-config", "prometheus-data", "prometheus-config", "grafana-data", "secrets"]
            .map(|part| names.volume(part));
    let mut foreign: Vec<String> = Vec::new();
    let containers = observed.containers.iter().filter(|c| !c.is_ours(project) && needed_containers.contains(&c.name));
    foreign.extend(containers.map(|container| format!("the container {}", container.name)));
    let volumes = observed.volumes.iter().filter(|v| !is_ours(&v.labels) && needed_volumes.contains(&v.name));
    foreign.extend(volumes.map(|volume| format!("the volume {}", volume.name)));
    let networks = observed.networks.iter().filter(|n| !is_ours(&n.labels) && n.name == names.network());
    foreign.extend(networks.map(|network| format!("the network {}", network.name)));
    if !foreign.is_empty() {
        return Check::fail(
            "volumes",
            format!("not made by qastack, and of a name that {project} needs: {}", foreign.join(", ")),
            "Rename or remove it, or give the stack another name: --project NAME.",
        );
    }
    let ours = observed.volumes.iter().filter(|volume| is_ours(&volume.labels)).count();
    let running = observed.containers.iter().filter(|c| c.is_ours(project) && c.state == State::Running).count();
    let message = match (ours, running) {
        (0, 0) => format!("nothing of {project} is on the engine, and nobody else has its names"),
        _ => {
            let volumes = words::plain(&words::counted(ours as u64, "volume", "volumes"));
            format!("{volumes} of {project}, {running} of 3 services running; nobody else has its names")
        }
    };
    Check::ok("volumes", message)
}

/// Compares versions such as `1.41` number by number.
fn compare_versions(left: &str, right: &str) -> Ordering {
    let numbers = |text: &str| text.split('.').map(|part| part.parse::<u32>().unwrap_or(0)).collect::<Vec<_>>();
    numbers(left).cmp(&numbers(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::doctor::Verdict;

    #[test]
    fn clocks_are_judged_by_how_far_they_are_apart() {
        let now: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let later = |seconds| now.checked_add(jiff::SignedDuration::from_secs(seconds)).expect("a time");
        let verdict = |engine| skew(engine, now, later(2)).verdict;
        assert_eq!(verdict(later(1)), Verdict::Ok);
        assert_eq!(verdict(later(-4)), Verdict::Ok);
        assert_eq!(verdict(later(-30)), Verdict::Warn);
        assert_eq!(verdict(later(3_600)), Verdict::Fail);
        assert!(
            skew(later(3_602), now, later(2)).message.contains("3600.0 s ahead of"),
            "the answer's time is no skew"
        );
        assert!(skew(later(-100), now, later(2)).message.contains("100.0 s behind"));
    }

    #[test]
    fn references_with_known_traps_are_told() {
        assert_eq!(trap("grafana/grafana:12.4.0"), None);
        assert_eq!(trap("localhost:5000/grafana@sha256:00"), None);
        assert!(trap("grafana/grafana-oss:11.0.0").is_some_and(|(found, _)| found.contains("no new versions")));
        for unpinned in ["grafana/grafana", "localhost:5000/grafana", "prom/prometheus:latest"] {
            assert!(trap(unpinned).is_some_and(|(found, _)| found.contains("no version")), "{unpinned}");
        }
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert_eq!(compare_versions("1.41", "1.41"), Ordering::Equal);
        assert_eq!(compare_versions("1.5", "1.41"), Ordering::Less);
        assert_eq!(compare_versions("1.100", "1.41"), Ordering::Greater);
    }
}
