//! Host ports of this machine: whether they can be had, and which process has one that cannot.

use crate::settings::Published;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener};
use std::path::Path;

/// Whether a port can be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// As far as can be told from here. Only the engine's own bind is final: another program may come in between.
    Free,
    /// Somebody listens there.
    Taken,
    /// This machine has no such address.
    NoSuchAddress,
}

/// Tries to listen there for a moment.
pub fn try_port(published: Published) -> Port {
    // The standard library sets SO_REUSEADDR, so that connections that are ending do not count as busy.
    match TcpListener::bind((published.address, published.port)) {
        Err(cause) if cause.kind() == ErrorKind::AddrInUse => Port::Taken,
        Err(cause) if cause.kind() == ErrorKind::AddrNotAvailable => Port::NoSuchAddress,
        // Whatever else keeps this program from it, such as a port below 1024, need not keep the engine.
        Ok(_) | Err(_) => Port::Free,
    }
}

/// The process that listens where something is to be published, as `NAME (pid PID)`, where the system tells.
pub fn process_on(wanted: Published) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].into_iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let inode = tables.into_iter().find_map(|table| listening_inode(&table, wanted))?;
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

/// The socket that is in the way, from the kernel's table: `sl local_address rem_address st … inode`.
fn listening_inode(table: &str, wanted: Published) -> Option<String> {
    const LISTENING: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (address, port) = fields.get(1)?.split_once(':')?;
        let is_in_the_way =
            u16::from_str_radix(port, 16).ok()? == wanted.port && wanted.meets(kernel_address(address)?);
        let listens = *fields.get(3)? == LISTENING;
        (is_in_the_way && listens).then(|| fields.get(9).map(|inode| (*inode).to_owned()))?
    })
}

/// An address as the kernel writes it: words of 32 bits, each with its bytes in the machine's own order.
fn kernel_address(hex: &str) -> Option<IpAddr> {
    let word = |index: usize| u32::from_str_radix(hex.get(index * 8..index * 8 + 8)?, 16).ok().map(u32::to_ne_bytes);
    match hex.len() {
        8 => Some(Ipv4Addr::from(word(0)?).into()),
        32 => {
            let mut bytes = [0_u8; 16];
            for (index, chunk) in bytes.chunks_exact_mut(4).enumerate() {
                chunk.copy_from_slice(&word(index)?);
            }
            let address = Ipv6Addr::from(bytes);
            Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_this_test_holds_is_busy_and_this_process_has_it() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let published: Published = port.to_string().parse().expect("a port");
        assert_eq!(try_port(published), Port::Taken);
        let owner = process_on(published).expect("an owner");
        assert!(owner.ends_with(&format!("(pid {})", std::process::id())), "{owner}");
        let everywhere = Published { address: Ipv4Addr::UNSPECIFIED.into(), port };
        assert_eq!(process_on(everywhere), Some(owner));
        let elsewhere = Published { address: Ipv4Addr::new(127, 0, 0, 2).into(), port };
        assert_eq!((try_port(elsewhere), process_on(elsewhere)), (Port::Free, None));
        drop(listener);
        assert_eq!(try_port(published), Port::Free);
    }

    #[test]
    fn an_address_of_another_machine_is_told_apart_from_a_port_that_is_taken() {
        // 192.0.2.0/24 is for documentation: no machine has it.
        assert_eq!(try_port("192.0.2.7:3000".parse().expect("a port")), Port::NoSuchAddress);
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn the_kernels_addresses_are_read_as_they_are_meant() {
        for (hex, address) in [
            ("0100007F", "127.0.0.1"),
            ("00000000000000000000000001000000", "::1"),
            ("0000000000000000FFFF00000100007F", "127.0.0.1"),
            ("00000000000000000000000000000000", "::"),
        ] {
            assert_eq!(kernel_address(hex), address.parse().ok(), "{hex}");
        }
        assert_eq!(kernel_address("0100"), None);
    }
}
