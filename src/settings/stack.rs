//! What should run: the keys of `qastack.yaml`, their defaults and their rules.

use super::image_reference::{is_image_reference, names_a_registry};
use super::mistake::Problem;
use super::{
    EngineChoice, FiguresSettings, GateSettings, HistorySettings, ImportSettings, Memory, MetricsSettings, Period,
    Published, Restart,
};
use crate::exporter::defect_list::FieldMap;
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// `images.test-metrics` when the image is made from the running executable.
pub const BUILD: &str = "build";

/// The longest `scrape_interval`. Prometheus calls a sample its newest for five minutes: with this one a scrape may be
/// lost, and the figures are there all the same.
const LONGEST_SCRAPE_INTERVAL: Period = Period::seconds(120);

/// What should run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StackSettings {
    /// Name of the stack; everything it makes on the engine carries it.
    pub project: String,
    /// What runs it.
    pub engine: EngineChoice,
    /// Where the services are published on the engine's host.
    pub ports: Ports,
    /// What the services run.
    pub images: Images,
    /// How often Prometheus asks the exporter.
    pub scrape_interval: Period,
    /// How long Prometheus keeps samples.
    pub retention: Period,
    /// When the engine starts a service again that ended.
    pub restart: Restart,
    /// Grafana's login.
    pub grafana: GrafanaSettings,
    /// How the figures are computed.
    pub figures: FiguresSettings,
    /// What `qastack gate` demands.
    pub gate: GateSettings,
    /// What `qastack import` makes of a list.
    pub import: ImportSettings,
    /// Whether sample reports show until the first real input.
    pub sample_data: bool,
    /// How long the exporter keeps what was uploaded.
    pub history: HistorySettings,
    /// What the exporter's metrics show on demand.
    pub metrics: MetricsSettings,
    /// What each service may use.
    pub limits: Limits,
}

impl Default for StackSettings {
    fn default() -> Self {
        Self {
            project: "qastack".to_owned(),
            engine: EngineChoice::Auto,
            ports: Ports::default(),
            images: Images::default(),
            scrape_interval: Period::seconds(15),
            retention: Period::days(15),
            restart: Restart::OnFailure(5),
            grafana: GrafanaSettings::default(),
            figures: FiguresSettings::default(),
            gate: GateSettings::default(),
            import: ImportSettings::default(),
            sample_data: true,
            history: HistorySettings::default(),
            metrics: MetricsSettings::default(),
            limits: Limits::default(),
        }
    }
}

/// Where the services are published.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ports {
    /// The exporter.
    pub test_metrics: Published,
    /// Prometheus.
    pub prometheus: Published,
    /// Grafana.
    pub grafana: Published,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            test_metrics: Published::loopback(8080),
            prometheus: Published::loopback(9090),
            grafana: Published::loopback(3000),
        }
    }
}

/// What the services run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Images {
    /// `build`, or an image reference.
    pub test_metrics: String,
    /// An image reference.
    pub prometheus: String,
    /// An image reference.
    pub grafana: String,
    /// Where images that name no registry of their own are pulled from, instead of Docker Hub.
    pub mirror: Option<String>,
}

impl Images {
    /// The reference that an engine is asked for: behind the mirror, where the image names no registry of its own.
    pub fn resolved(&self, image: &str) -> String {
        match &self.mirror {
            Some(mirror) if image != BUILD && !names_a_registry(image) => {
                // Docker Hub's own images have a name there that is left out everywhere else.
                let official = if image.contains('/') { "" } else { "library/" };
                format!("{}/{official}{image}", mirror.trim_end_matches('/'))
            }
            _ => image.to_owned(),
        }
    }
}

impl Default for Images {
    fn default() -> Self {
        Self {
            test_metrics: BUILD.to_owned(),
            prometheus: "prom/prometheus:v3.5.3".to_owned(),
            grafana: "grafana/grafana:12.4.0".to_owned(),
            mirror: None,
        }
    }
}

/// Grafana's login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GrafanaSettings {
    /// The administrator's name.
    pub admin_user: String,
    /// A file with the administrator's password; without one it is `admin`, on loopback only.
    pub admin_password_file: Option<PathBuf>,
}

impl Default for GrafanaSettings {
    fn default() -> Self {
        Self { admin_user: "admin".to_owned(), admin_password_file: None }
    }
}

/// What each service may use.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Limits {
    /// The exporter.
    #[serde(deserialize_with = "Limits::test_metrics")]
    pub test_metrics: ServiceLimits,
    /// Prometheus.
    #[serde(deserialize_with = "Limits::prometheus")]
    pub prometheus: ServiceLimits,
    /// Grafana.
    #[serde(deserialize_with = "Limits::grafana")]
    pub grafana: ServiceLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            test_metrics: ServiceLimits { memory: Memory::mebibytes(256), cpus: 1.0, pids: 100 },
            prometheus: ServiceLimits { memory: Memory::mebibytes(1024), cpus: 2.0, pids: 200 },
            grafana: ServiceLimits { memory: Memory::mebibytes(512), cpus: 2.0, pids: 300 },
        }
    }
}

impl Limits {
    fn test_metrics<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServiceLimits, D::Error> {
        Ok(PartialLimits::deserialize(deserializer)?.over(Self::default().test_metrics))
    }

    fn prometheus<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServiceLimits, D::Error> {
        Ok(PartialLimits::deserialize(deserializer)?.over(Self::default().prometheus))
    }

    fn grafana<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ServiceLimits, D::Error> {
        Ok(PartialLimits::deserialize(deserializer)?.over(Self::default().grafana))
    }
}

/// What a service may use.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ServiceLimits {
    /// Memory; over it the kernel ends the service.
    pub memory: Memory,
    /// CPUs' worth of time.
    pub cpus: f64,
    /// Processes and threads.
    pub pids: u32,
}

/// Limits as typed: what is not there keeps the service's own default.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PartialLimits {
    memory: Option<Memory>,
    cpus: Option<f64>,
    pids: Option<u32>,
}

impl PartialLimits {
    fn over(self, default: ServiceLimits) -> ServiceLimits {
        ServiceLimits {
            memory: self.memory.unwrap_or(default.memory),
            cpus: self.cpus.unwrap_or(default.cpus),
            pids: self.pids.unwrap_or(default.pids),
        }
    }
}

impl StackSettings {
    /// Holds the rules that no single value's type can hold.
    pub(super) fn check(&self) -> Result<(), Problem> {
        if !is_project_name(&self.project) {
            return Err(Problem::new("project", format!("`{}` is not a name the engine takes", self.project)).hint(
                "Use lower-case letters, digits, dashes and underscores, beginning with a letter or digit, at most 50.",
            ));
        }
        self.figures.rules().map_err(|(path, message)| Problem::new(path, message))?;
        self.figures.check_names().map_err(|(path, message)| Problem::new(path, message))?;
        self.gate.check().map_err(|(path, message)| Problem::new(path, message))?;
        let columns = self.import.columns.iter().map(|(field, column)| (field.as_str(), column.as_str()));
        FieldMap::new(columns).map_err(|message| Problem::new("import.columns", message))?;
        self.metrics.check().map_err(|(path, message)| Problem::new(path, message))?;
        self.history.check()?;
        if self.scrape_interval > LONGEST_SCRAPE_INTERVAL {
            let message = format!("{} is longer than {LONGEST_SCRAPE_INTERVAL}", self.scrape_interval);
            return Err(Problem::new("scrape_interval", message).hint(
                "Write 2m or less: Prometheus shows no sample that is older than five minutes, so that figures which are \
                 scraped less often would come and go.",
            ));
        }
        self.check_ports()?;
        self.check_images()?;
        self.check_limits()?;
        self.check_grafana()
    }

    fn check_ports(&self) -> Result<(), Problem> {
        let ports = [
            ("ports.test-metrics", self.ports.test_metrics),
            ("ports.prometheus", self.ports.prometheus),
            ("ports.grafana", self.ports.grafana),
        ];
        let mut taken: BTreeMap<u16, &str> = BTreeMap::new();
        for (path, published) in ports {
            if let Some(other) = taken.insert(published.port, path) {
                return Err(Problem::new(
                    path,
                    format!("port {} is given to two services, see {other}", published.port),
                ));
            }
        }
        Ok(())
    }

    fn check_images(&self) -> Result<(), Problem> {
        let images = [
            ("images.test-metrics", &self.images.test_metrics),
            ("images.prometheus", &self.images.prometheus),
            ("images.grafana", &self.images.grafana),
        ];
        if let Some(mirror) = &self.images.mirror
            && !(is_image_reference(&format!("{}/a", mirror.trim_end_matches('/')))
                && names_a_registry(&format!("{mirror}/")))
        {
            return Err(Problem::new("images.mirror", format!("`{mirror}` is not the address of a registry"))
                .hint("Write HOST, HOST:PORT or HOST/PATH, without http:// in front."));
        }
        for (path, image) in images {
            if image != BUILD && !is_image_reference(image) || image == BUILD && path != "images.test-metrics" {
                return Err(Problem::new(path, format!("`{image}` is not an image reference")).hint(
                    "Write NAME:TAG or NAME@sha256:DIGEST, with the registry in front where it is not Docker Hub.",
                ));
            }
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Problem> {
        let limits = [
            ("limits.test-metrics", self.limits.test_metrics),
            ("limits.prometheus", self.limits.prometheus),
            ("limits.grafana", self.limits.grafana),
        ];
        for (path, limits) in limits {
            // The engine itself refuses less than 6 MiB, with words of its own, after everything else is made.
            if limits.memory < Memory::mebibytes(16) {
                return Err(Problem::new(format!("{path}.memory"), format!("{} is less than 16MiB", limits.memory)));
            }
            if !(0.01..=1024.0).contains(&limits.cpus) {
                return Err(Problem::new(
                    format!("{path}.cpus"),
                    format!("{} is not between 0.01 and 1024", limits.cpus),
                ));
            }
            if limits.pids < 10 {
                return Err(Problem::new(format!("{path}.pids"), format!("{} is less than 10", limits.pids)));
            }
        }
        Ok(())
    }

    fn check_grafana(&self) -> Result<(), Problem> {
        if self.grafana.admin_user.is_empty() || self.grafana.admin_user.contains(':') {
            return Err(Problem::new("grafana.admin_user", "a user name is not empty and has no colon"));
        }
        Ok(())
    }
}

/// What the engine takes as part of a container's, a volume's and a network's name, and compose as a project's.
fn is_project_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    name.len() <= 50
        && name.chars().all(allowed)
        && name.chars().next().is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mirror_stands_before_images_of_docker_hub_and_no_others() {
        let mut settings = StackSettings::default();
        settings.images.mirror = Some("mirror.example:5000/hub/".to_owned());
        assert!(settings.check().is_ok());
        for (image, expected) in [
            ("prom/prometheus:v3", "mirror.example:5000/hub/prom/prometheus:v3"),
            ("redis:7", "mirror.example:5000/hub/library/redis:7"),
            ("ghcr.io/x/y:1", "ghcr.io/x/y:1"),
            ("localhost:5000/x", "localhost:5000/x"),
            ("build", "build"),
        ] {
            assert_eq!(settings.images.resolved(image), expected);
        }
        for wrong in ["http://mirror.example", "no registry", "Upper/Case", "mirror"] {
            settings.images.mirror = Some(wrong.to_owned());
            assert_eq!(settings.check().expect_err(wrong).path, "images.mirror");
        }
    }

    #[test]
    fn an_address_for_one_service_leaves_the_others_on_loopback() {
        let settings: StackSettings = serde_yaml::from_str("ports: { grafana: '0.0.0.0:3000' }").expect("settings");
        assert!(!settings.ports.grafana.is_loopback());
        assert!(settings.ports.prometheus.is_loopback() && settings.ports.test_metrics.is_loopback());
    }

    #[test]
    fn one_limit_leaves_the_others_at_the_services_own_default() {
        let settings: StackSettings = serde_yaml::from_str("limits: { grafana: { memory: 1GiB } }").expect("settings");
        assert_eq!(settings.limits.grafana, ServiceLimits { memory: Memory::mebibytes(1024), cpus: 2.0, pids: 300 });
        assert_eq!(settings.limits.prometheus, Limits::default().prometheus);
    }
}
