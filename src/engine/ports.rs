//! Host ports of this machine: whether they are free, and which process has one that is not.

use crate::settings::Published;
use std::net::TcpListener;
use std::path::Path;

/// Whether nothing listens there. Only the engine's own bind is final: another program may come in between.
pub fn is_free(published: Published) -> bool {
    // The standard library sets SO_REUSEADDR, so that connections that are ending do not count as busy.
    TcpListener::bind((published.address, published.port)).is_ok()
}

/// The process that listens on a port, as `NAME (pid PID)`, where the system tells.
pub fn process_on(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().find_map(|table| listening_inode(table, port))?;
    let socket = format!("socket:[{inode}]");
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let name = process.file_name();
        let Some(pid) = name.to_str().filter(|name| name.chars().all(|c| c.is_ascii_digit())) else { continue };
        if has_open(&process.path().join("fd"), &socket) {
            let command = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(format!("{} (pid {pid})", command.trim()));
        }
    }
    None
}

/// Processes of other users do not show their files; they are passed over.
fn has_open(descriptors: &Path, target: &str) -> bool {
    let Ok(entries) = std::fs::read_dir(descriptors) else { return false };
    entries.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|link| link.as_os_str() == target))
}

/// The socket that listens on a port, from the kernel's table: `sl local_address rem_address st … inode`.
fn listening_inode(table: &str, port: u16) -> Option<String> {
    const LISTENING: &str = "0A";
    let suffix = format!(":{port:04X}");
    std::fs::read_to_string(table).ok()?.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let matches = fields.get(1)?.ends_with(&suffix) && *fields.get(3)? == LISTENING;
        matches.then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_test_holds_is_busy_and_this_process_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let published: Published = port.to_string().parse().expect("a port");
        assert!(!is_free(published));
        let owner = process_on(port).expect("an owner");
        assert!(owner.ends_with(&format!("(pid {})", std::process::id())), "{owner}");
        drop(listener);
        assert!(is_free(published));
    }
}
