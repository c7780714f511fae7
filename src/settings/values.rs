//! Values that are text in a file and more in the program: periods, amounts of memory, published ports, restart policies.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// A period of whole seconds, written as Prometheus does: `15s`, `5m`, `14d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

impl Period {
    /// A period of so many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A period of so many days of 24 hours.
    pub const fn days(days: u64) -> Self {
        Self(Duration::from_secs(days * 86_400))
    }

    /// As a duration.
    pub const fn as_duration(self) -> Duration {
        self.0
    }

    /// In seconds.
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let (size, unit) = [(86_400, 'd'), (3_600, 'h'), (60, 'm')]
            .into_iter()
            .find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size))
            .unwrap_or((1, 's'));
        write!(f, "{}{unit}", seconds / size)
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || format!("`{text}` is not a time such as 15s, 5m or 14d");
        let duration = humantime::parse_duration(text).map_err(|_| expected())?;
        if duration.as_secs() == 0 || duration.subsec_nanos() != 0 {
            return Err(format!("{}: whole seconds, at least 1s", expected()));
        }
        Ok(Self(duration))
    }
}

/// An amount of memory in bytes, written `512MiB`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memory(u64);

impl Memory {
    /// So many mebibytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// In bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shift, unit) = [(30, "GiB"), (20, "MiB"), (10, "KiB")]
            .into_iter()
            .find(|(shift, _)| self.0 >= 1 << shift && self.0.trailing_zeros() >= *shift)
            .unwrap_or((0, "B"));
        write!(f, "{}{unit}", self.0 >> shift)
    }
}

impl FromStr for Memory {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse::<bytesize::ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| format!("`{text}` is not a size such as 512MiB or 1GiB"))
    }
}

/// A host address and port, written `3000` (on 127.0.0.1) or `ADDRESS:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    /// The address of the engine's host that is bound.
    pub address: IpAddr,
    /// The port, never 0.
    pub port: u16,
}

impl Published {
    /// A port on 127.0.0.1.
    pub const fn loopback(port: u16) -> Self {
        Self { address: IpAddr::V4(Ipv4Addr::LOCALHOST), port }
    }

    /// Whether only programs on the same host can reach it.
    pub fn is_loopback(self) -> bool {
        self.address.is_loopback()
    }

    /// Whether somebody who listens on this port at `address` is in the way.
    pub fn meets(self, address: IpAddr) -> bool {
        self.address == address || self.address.is_unspecified() || address.is_unspecified()
    }
}

impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

impl FromStr for Published {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || format!("`{text}` is not a port from 1 to 65535, or ADDRESS:PORT");
        let published = match text.parse::<SocketAddr>() {
            Ok(socket) => Self { address: socket.ip(), port: socket.port() },
            Err(_) => Self::loopback(text.parse().map_err(|_| expected())?),
        };
        if published.port == 0 { Err(expected()) } else { Ok(published) }
    }
}

/// When the engine starts a service again that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Never.
    No,
    /// After a failure, at most so many times.
    OnFailure(u16),
    /// Whenever it was not stopped by hand; also when the host starts.
    UnlessStopped,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::No => f.write_str("no"),
            Self::OnFailure(times) => write!(f, "on-failure:{times}"),
            Self::UnlessStopped => f.write_str("unless-stopped"),
        }
    }
}

impl FromStr for Restart {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            // YAML 1.1 reads a bare `no` as false.
            "no" | "false" => Ok(Self::No),
            "unless-stopped" => Ok(Self::UnlessStopped),
            "on-failure" => Ok(Self::OnFailure(5)),
            _ => text
                .strip_prefix("on-failure:")
                .and_then(|times| times.parse().ok())
                .filter(|times| *times > 0)
                .map(Self::OnFailure)
                .ok_or_else(|| format!("`{text}` is not one of on-failure:5, unless-stopped, no")),
        }
    }
}

/// All are text in YAML and JSON; a bare number is taken as text, so that its error names the unit.
macro_rules! as_text {
    ($type:ty) => {
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                super::layers::scalar(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

as_text!(Period);
as_text!(Memory);
as_text!(Published);
as_text!(Restart);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_and_write_as_prometheus_does() {
        for (text, seconds, written) in [
            ("15s", 15, "15s"),
            ("90s", 90, "90s"),
            ("5m", 300, "5m"),
            ("24h", 86_400, "1d"),
            ("14d", 1_209_600, "14d"),
        ] {
            let period: Period = text.parse().expect(text);
            assert_eq!((period.as_secs(), period.to_string().as_str()), (seconds, written));
        }
        for text in ["", "15", "0s", "500ms", "-1s", "soon"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn memory_reads_and_writes_binary_units() {
        for (text, bytes, written) in [
            ("512MiB", 512 << 20, "512MiB"),
            ("1GiB", 1 << 30, "1GiB"),
            ("1536MiB", 1536 << 20, "1536MiB"),
            ("1000", 1000, "1000B"),
        ] {
            let memory: Memory = text.parse().expect(text);
            assert_eq!((memory.bytes(), memory.to_string().as_str()), (bytes, written));
        }
        assert!("plenty".parse::<Memory>().is_err());
    }
}
