//! What the double reads from its environment: Grafana's own variables, and those for faults.
//!
//! - `DOUBLE_VERSION`: the version it behaves like (12.4.0);
//! - `DOUBLE_BOOT_MS`, `DOUBLE_BOOT_KEPT_MS`: how long it takes to listen, on a fresh and on a kept volume;
//! - `DOUBLE_FAIL`: faults, separated by `;`, each `PATH KIND [TIMES]`, where the kind is a status, `html`,
//!   `half` (JSON that breaks off), `denied` (403 with an accessErrorId), `lost` (done, and its answer lost), or
//!   `slow-MILLISECONDS`; without TIMES it stays.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What the double runs with.
#[derive(Debug, Clone)]
pub struct Settings {
    pub address: SocketAddr,
    /// Where the state is kept; nowhere in a test's own process.
    pub data: Option<PathBuf>,
    pub user: String,
    /// The password of a fresh state.
    pub password: String,
    pub version: String,
    pub boot: Duration,
    pub boot_kept: Duration,
    pub faults: Vec<Fault>,
    /// Whether a data source and a dashboard are there that came from files.
    pub provisioned: bool,
    /// Where the host `prometheus` is; none where the system's resolver knows.
    pub prometheus: Option<SocketAddr>,
}

/// A fault on one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub path: String,
    pub kind: FaultKind,
    /// How often; none for always.
    pub times: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    Status(u16),
    Html,
    Half,
    Denied,
    /// A query that fails behind Grafana.
    Query,
    Slow(Duration),
    /// The call is carried out, and its answer does not arrive.
    Lost,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            data: None,
            user: "admin".to_owned(),
            password: "admin".to_owned(),
            version: "12.4.0".to_owned(),
            boot: Duration::ZERO,
            boot_kept: Duration::ZERO,
            faults: Vec::new(),
            provisioned: false,
            prometheus: None,
        }
    }
}

impl Settings {
    /// Reads the environment.
    pub fn from_environment(variable: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let secret = |name: &str| match (variable(name), variable(&format!("{name}__FILE"))) {
            (Some(_), Some(_)) => Err(format!("error: both {name} and {name}__FILE are set (but are exclusive)")),
            (Some(text), None) => Ok(Some(text)),
            (None, Some(file)) => match std::fs::read_to_string(&file) {
                Ok(text) => Ok(Some(text.trim_end_matches(['\n', '\r']).to_owned())),
                Err(error) => Err(format!("{file}: {error}")),
            },
            (None, None) => Ok(None),
        };
        let milliseconds = |name: &str| match variable(name) {
            Some(text) => text.parse().map(Duration::from_millis).map_err(|error| format!("{name}: {error}")),
            None => Ok(Duration::ZERO),
        };
        let host =
            variable("GF_SERVER_HTTP_ADDR").filter(|host| !host.is_empty()).unwrap_or_else(|| "0.0.0.0".to_owned());
        let port = variable("GF_SERVER_HTTP_PORT").unwrap_or_else(|| "3000".to_owned());
        let address = format!("{host}:{port}");
        Ok(Self {
            address: address.parse().map_err(|_| format!("{address} is no address"))?,
            data: Some(variable("GF_PATHS_DATA").unwrap_or_else(|| "/var/lib/grafana".to_owned()).into()),
            user: secret("GF_SECURITY_ADMIN_USER")?.unwrap_or_else(|| "admin".to_owned()),
            password: secret("GF_SECURITY_ADMIN_PASSWORD")?.unwrap_or_else(|| "admin".to_owned()),
            version: variable("DOUBLE_VERSION").unwrap_or_else(|| "12.4.0".to_owned()),
            boot: milliseconds("DOUBLE_BOOT_MS")?,
            boot_kept: milliseconds("DOUBLE_BOOT_KEPT_MS")?,
            faults: variable("DOUBLE_FAIL").map_or_else(|| Ok(Vec::new()), |text| Fault::parse_all(&text))?,
            provisioned: variable("DOUBLE_PROVISIONED").is_some(),
            prometheus: None,
        })
    }

    /// How long it takes to listen: with a state that is kept, it has no database to make.
    pub fn boot_delay(&self) -> Duration {
        if self.state_file().is_some_and(|file| file.exists()) { self.boot_kept } else { self.boot }
    }

    /// The version's first two numbers.
    pub fn version_numbers(&self) -> (u32, u32) {
        let mut numbers = self.version.split('.').map(|number| number.parse().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
    }

    /// Where the state is, under the name that Grafana's own database has.
    pub fn state_file(&self) -> Option<PathBuf> {
        self.data.as_ref().map(|data| data.join("grafana.db"))
    }

    /// Where the password is: by itself, so that the command line can change it while the server runs.
    pub fn password_file(&self) -> Option<PathBuf> {
        self.data.as_ref().map(|data| data.join("admin-password"))
    }

    /// Sets the password in the kept state.
    pub fn write_password(&self, password: &str) -> Result<(), String> {
        let Some(file) = self.password_file() else { return Ok(()) };
        std::fs::write(&file, password).map_err(|error| {
            format!("GF_PATHS_DATA='{}' is not writable: {error}", file.parent().unwrap_or(&file).display())
        })
    }
}

impl Fault {
    fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        text.split(';').map(str::trim).filter(|fault| !fault.is_empty()).map(Self::parse).collect()
    }

    fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("DOUBLE_FAIL: {text:?} is not PATH KIND [TIMES]");
        let words: Vec<&str> = text.split_whitespace().collect();
        let (path, kind, times) = match words.as_slice() {
            [path, kind] => (path, kind, None),
            [path, kind, times] => (path, kind, Some(times.parse().map_err(|_| wrong())?)),
            _ => return Err(wrong()),
        };
        let kind = match *kind {
            "html" => FaultKind::Html,
            "half" => FaultKind::Half,
            "denied" => FaultKind::Denied,
            "query" => FaultKind::Query,
            "lost" => FaultKind::Lost,
            other => match other.strip_prefix("slow-") {
                Some(delay) => FaultKind::Slow(Duration::from_millis(delay.parse().map_err(|_| wrong())?)),
                None => FaultKind::Status(other.parse().map_err(|_| wrong())?),
            },
        };
        Ok(Self { path: (*path).to_owned(), kind, times })
    }
}
