//! This machine: room on the disks, the state directory, ports, and who else could guess the login.

use super::{Check, bytes, published};
use crate::engine::{Engine, EngineInfo, ports as host_ports};
use crate::lifecycle::Lock;
use crate::settings::StackSettings;
use crate::stack::{Observed, Service, State};
use std::io::Write;
use std::path::Path;

/// Less free room than this keeps a lock or the evidence of a failure from being written.
const STATE_NEEDS: u64 = 10 << 20;

/// The state directory: whether it can be written to, how much room there is, and who works on the project.
pub fn state_directory(directory: &Path, project: &str) -> Vec<Check> {
    let fix = "Make it writable for you, or name another directory with XDG_STATE_HOME.";
    let shown = directory.display();
    let place = match probe(directory) {
        Err(cause) => Check::fail("state directory", format!("{shown} cannot be written to: {cause}"), fix),
        Ok(()) => match free_room(directory) {
            Some((free, _)) if free < STATE_NEEDS => Check::fail(
                "state directory",
                format!("{shown} has {} left", bytes(free)),
                "Make room on its disk, or name another directory with XDG_STATE_HOME.",
            ),
            Some((free, _)) => Check::ok("state directory", format!("{shown}, {} free", bytes(free))),
            None => Check::ok("state directory", shown.to_string()),
        },
    };
    let lock = match Lock::holder(directory, project) {
        Ok(None) => Check::ok("lock", format!("nobody works on the project {project}")),
        Ok(Some(holder)) => Check::warn(
            "lock",
            format!("the project {project} is being worked on by {holder}"),
            "Wait until it is done, or end it.",
        ),
        Err(cause) => Check::fail("lock", format!("the lock of {project} cannot be read: {cause}"), fix),
    };
    vec![place, lock]
}

/// Writes a file and removes it: permissions alone do not tell of a full or read-only disk.
fn probe(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let path = directory.join(format!(".doctor-{}", std::process::id()));
    let written =
        std::fs::File::create(&path).and_then(|mut file| file.write_all(b"doctor").and_then(|()| file.sync_all()));
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// The bytes that are free on the disk of a path, and all of them; none where the system does not tell.
pub fn free_room(path: &Path) -> Option<(u64, u64)> {
    let disk = rustix::fs::statvfs(path).ok()?;
    Some((disk.f_bavail * disk.f_frsize, disk.f_blocks * disk.f_frsize))
}

/// The three host ports: ours, free, or taken by somebody.
pub async fn ports<E: Engine>(engine: &E, settings: &StackSettings, observed: &Observed) -> Vec<Check> {
    let mut checks = Vec::new();
    for service in Service::ALL {
        let wanted = published(settings, service);
        let name = format!("port {}", wanted.port);
        let ours = observed.container(&settings.project, service).filter(|container| container.state == State::Running);
        let published = ours.and_then(|container| container.published());
        if published == Some(wanted) {
            checks.push(Check::ok(name, format!("{service} of this stack, at {wanted}")));
        } else if let Some(elsewhere) = published {
            // It was picked, or named by a flag; or the settings are newer than the stack.
            let message = format!("{service} of this stack is at {elsewhere}; the settings ask for {wanted}");
            checks.push(Check::ok(name, message));
        } else if !engine.info().is_local {
            checks.push(Check::ok(
                name,
                format!("{service}; ports of the engine's machine are its own to tell when it starts"),
            ));
        } else if host_ports::try_port(wanted) == host_ports::Port::Free {
            checks.push(Check::ok(name, format!("free for {service}, at {wanted}")));
        } else {
            let owner = match engine.port_owner(wanted).await {
                Some(container) => Some(container.to_string()),
                None => host_ports::process_on(wanted),
            };
            let owner = owner.unwrap_or_else(|| "a program of another user".to_owned());
            checks.push(taken(name, service, &owner));
        }
    }
    checks
}

/// A port that somebody else has.
pub fn taken(name: String, service: Service, owner: &str) -> Check {
    let fix = format!("End it, or give {service} another port under ports in qastack.yaml.");
    Check::fail(name, format!("{service} cannot have it: taken by {owner}"), fix)
}

/// A login that everybody knows, on a machine that others use too.
pub fn login(engine: &EngineInfo, settings: &StackSettings, is_default: bool) -> Option<Check> {
    if !is_default {
        return Some(Check::ok("password", "Grafana has a password of its own"));
    }
    let user = &settings.grafana.admin_user;
    let others = other_users(&std::fs::read_to_string("/etc/passwd").ok()?, rustix::process::getuid().as_raw());
    if engine.is_local && others.is_empty() {
        return Some(Check::ok(
            "password",
            format!("Grafana's login is {user}/admin, and nobody else has an account here"),
        ));
    }
    let who = if engine.is_local {
        format!("{} can log in to this machine too ({})", count(others.len(), "other user"), some(&others))
    } else {
        "the engine's machine may have other users".to_owned()
    };
    Some(Check::warn(
        "password",
        format!("Grafana's login is {user}/admin, and {who}"),
        "Let one be made: qastack up --generate-password. Or set grafana.admin_password_file in qastack.yaml.",
    ))
}

/// People with an account: those who can log in, apart from the one who asks and root.
fn other_users(passwd: &str, own: u32) -> Vec<String> {
    const PEOPLE: std::ops::Range<u32> = 1000..60_000;
    let person = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let (name, uid, shell) = (fields.first()?, fields.get(2)?.parse::<u32>().ok()?, fields.get(6)?);
        let cannot_log_in = ["nologin", "false", "sync", "shutdown", "halt"].iter().any(|end| shell.ends_with(end));
        (PEOPLE.contains(&uid) && uid != own && !cannot_log_in).then(|| (*name).to_owned())
    };
    passwd.lines().filter_map(person).collect()
}

fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", "))
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::doctor::Verdict;

    #[test]
    fn people_who_can_log_in_are_told_from_services() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nme:x:1000:1000::/home/me:/bin/bash\n\
                      ann:x:1001:1001::/home/ann:/bin/zsh\nbob:x:1002:1002::/home/bob:/usr/sbin/nologin\n\
                      nobody:x:65534:65534:nobody:/:/bin/sh\nbroken line\n";
        assert_eq!(other_users(passwd, 1000), ["ann"]);
        assert_eq!(other_users(passwd, 1001), ["me"]);
    }

    #[test]
    fn a_state_directory_that_cannot_be_used_fails_with_its_fix() {
        let directory = tempfile::tempdir().expect("a directory");
        let checks = state_directory(&directory.path().join("new"), "a");
        assert!(checks.iter().all(|check| check.verdict == Verdict::Ok), "{checks:#?}");
        let checks = state_directory(Path::new("/proc/nowhere"), "a");
        assert_eq!(checks[0].verdict, Verdict::Fail);
        assert!(checks[0].message.contains("/proc/nowhere"), "{checks:#?}");
        assert!(checks[0].fix.as_deref().is_some_and(|fix| fix.contains("XDG_STATE_HOME")), "{checks:#?}");
    }

    #[test]
    fn somebody_who_works_on_the_project_is_named() {
        let directory = tempfile::tempdir().expect("a directory");
        let _held = Lock::acquire(directory.path(), "a", "up").expect("free");
        let checks = state_directory(directory.path(), "a");
        assert_eq!(checks[1].verdict, Verdict::Warn);
        assert!(checks[1].message.contains("qastack up"), "{checks:#?}");
    }
}
