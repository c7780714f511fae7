//! Settings -> what should run: services, network, volumes, files, secrets.

use super::labels::Labels;
use super::{
    Begins, ContainerSpec, FileSpec, HealthCheck, ImageSource, Mount, Names, PullPolicy, Remembered, Service, sha256,
};
use crate::prometheus::{self, PrometheusSpec};
use crate::settings::{BUILD, Period, Published, Reading, StackSettings};
use std::collections::BTreeMap;
use std::time::Duration;

/// Where the secrets volume is mounted, in the services that need one.
const SECRETS: &str = "/run/qastack";
/// The part of the secrets volume.
const SECRETS_PART: &str = "secrets";

/// The exporter's user and group; the image says the same.
const EXPORTER_USER: (u32, u32) = (65532, 65532);
/// `nobody`, as in Prometheus' own image.
pub const PROMETHEUS_USER: (u32, u32) = (65534, 65534);
/// Grafana's own user; its image gives group 0 the right to read its program.
const GRAFANA_USER: (u32, u32) = (472, 0);

/// What Grafana's administrator has when nobody chose a password; for loopback only.
pub const DEFAULT_PASSWORD: &str = "admin";

/// A secret that is made once and kept in the secrets volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SecretFile {
    /// The token that `up` makes for administration of the exporter.
    AdminToken,
    /// The password of Grafana's administrator.
    GrafanaPassword,
    /// The key that Grafana encrypts data source secrets with; another one makes them unreadable.
    GrafanaSecretKey,
}

impl SecretFile {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::AdminToken, Self::GrafanaPassword, Self::GrafanaSecretKey];

    /// The service that reads it.
    pub const fn service(self) -> Service {
        match self {
            Self::AdminToken => Service::TestMetrics,
            Self::GrafanaPassword | Self::GrafanaSecretKey => Service::Grafana,
        }
    }

    /// Its name in the directory of its service.
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::AdminToken => "admin-token",
            Self::GrafanaPassword => "admin-password",
            Self::GrafanaSecretKey => "secret-key",
        }
    }

    /// Its path in the service's container.
    pub fn path(self) -> String {
        format!("{SECRETS}/{}/{}", self.service(), self.file_name())
    }

    /// The only user that may read it.
    pub const fn owner(self) -> (u32, u32) {
        match self.service() {
            Service::TestMetrics => EXPORTER_USER,
            Service::Prometheus => PROMETHEUS_USER,
            Service::Grafana => GRAFANA_USER,
        }
    }
}

/// What should run.
#[derive(Debug, Clone, PartialEq)]
pub struct StackSpec {
    /// The names of everything.
    pub names: Names,
    /// The services' containers, in the order of [`Service::ALL`].
    pub containers: Vec<ContainerSpec>,
    /// What Prometheus runs with in the first seconds, so that the first figures are there after 6 s instead of 20.
    pub prometheus_warm_up: Vec<FileSpec>,
    /// What Prometheus runs with from then on.
    pub prometheus: PrometheusSpec,
    /// When an image is pulled.
    pub pull: PullPolicy,
    /// What `up` chose by itself and has to know again.
    pub remembered: Remembered,
    /// Whether a password for Grafana is made in the place of the default one.
    pub generates_password: bool,
}

impl StackSpec {
    /// The stack that the settings ask for. `exporter_tag` is the tag of the image built from this executable, its hash.
    pub fn new(settings: &StackSettings, exporter_tag: &str) -> Self {
        let prometheus = PrometheusSpec {
            scrape_interval: settings.scrape_interval.as_duration(),
            target: format!("{}:{}", Service::TestMetrics, Service::TestMetrics.container_port()),
            retention: settings.retention.as_duration(),
        };
        Self {
            names: Names::new(&settings.project),
            containers: vec![
                exporter(settings, exporter_tag),
                prometheus_container(settings, &prometheus),
                grafana(settings),
            ],
            prometheus_warm_up: prometheus_files(prometheus::render_warm_up(&prometheus)),
            prometheus,
            pull: PullPolicy::Missing,
            remembered: Remembered::default(),
            generates_password: false,
        }
    }

    /// Labels of a volume beyond those of every volume.
    pub fn volume_labels(&self, part: &str) -> Labels {
        if part == Remembered::PART { self.remembered.labels() } else { Labels::new() }
    }

    /// A service's container.
    pub fn container(&self, service: Service) -> &ContainerSpec {
        &self.containers[service as usize]
    }

    /// Whether the next scrape may be longer away than `up` should wait for its proof.
    pub fn is_scraped_seldom(&self) -> bool {
        self.prometheus.scrape_interval > Duration::from_secs(30)
    }

    /// The hash by which the exporter shows that its settings file is in force.
    pub fn exporter_settings_hash(&self) -> String {
        let files = &self.container(Service::TestMetrics).files;
        files.first().map(|file| sha256(&file.contents)).unwrap_or_default()
    }

    /// The parts of all volumes, each once.
    pub fn volume_parts(&self) -> Vec<&'static str> {
        let mut parts: Vec<_> = self.containers.iter().flat_map(|c| &c.mounts).map(|mount| mount.part).collect();
        parts.sort_unstable();
        parts.dedup();
        parts
    }
}

fn exporter(settings: &StackSettings, tag: &str) -> ContainerSpec {
    let image = if settings.images.test_metrics == BUILD {
        // Each project has an image of its own, as with compose: none is in another's way when it goes.
        let repository = Names::new(&settings.project).container(Service::TestMetrics);
        ImageSource::Build(format!("{repository}:{tag}"))
    } else {
        ImageSource::Reference(settings.images.resolved(&settings.images.test_metrics))
    };
    ContainerSpec {
        service: Service::TestMetrics,
        image,
        command: ["serve", "--config", exporter_config_path()].map(str::to_owned).to_vec(),
        environment: BTreeMap::new(),
        user: EXPORTER_USER,
        published: settings.ports.test_metrics,
        mounts: vec![
            data("test-metrics-data", "/data"),
            configuration("test-metrics-config", "/etc/qastack"),
            secrets(),
        ],
        health: health(&["/qastack", "healthcheck"]),
        limits: settings.limits.test_metrics,
        restart: settings.restart,
        stop_timeout_seconds: 10,
        tmp_mebibytes: 16,
        files: vec![FileSpec::configuration(exporter_config_path(), container_config(settings).into_bytes())],
    }
}

/// Where the exporter's settings are in its container.
const fn exporter_config_path() -> &'static str {
    "/etc/qastack/serve.yaml"
}

/// The exporter's settings in its container.
fn container_config(settings: &StackSettings) -> String {
    exporter_config(settings, None, "/data", SecretFile::AdminToken.path())
}

/// The exporter's settings: the keys of the stack's that are about it, where it listens if that is not its default,
/// where its store lies and its token is.
pub(super) fn exporter_config(
    settings: &StackSettings,
    listen: Option<Published>,
    data_dir: &str,
    admin_token_file: String,
) -> String {
    #[derive(serde::Serialize)]
    struct ExporterConfig<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        listen: Option<Published>,
        data_dir: &'a str,
        figures: &'a crate::settings::FiguresSettings,
        sample_data: bool,
        history: &'a crate::settings::HistorySettings,
        metrics: &'a crate::settings::MetricsSettings,
        admin_token_file: String,
        allowed_hosts: Vec<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        reading: Option<Reading>,
    }
    let published = settings.ports.test_metrics;
    let mut allowed_hosts =
        vec![Service::TestMetrics.name().to_owned(), Names::new(&settings.project).container(Service::TestMetrics)];
    if !published.address.is_unspecified() && !published.is_loopback() {
        allowed_hosts.push(published.address.to_string());
    }
    let config = ExporterConfig {
        listen,
        data_dir,
        figures: &settings.figures,
        sample_data: settings.sample_data,
        history: &settings.history,
        metrics: &settings.metrics,
        admin_token_file,
        allowed_hosts,
        // What others can reach is read with a token alone. A process sees by itself who asks from this machine; in a
        // container nobody seems to.
        reading: match listen {
            None => (!published.is_loopback()).then_some(Reading::Token),
            // Said outright, since the machine may be a container itself, where it would be open by default.
            Some(_) => Some(Reading::Loopback),
        },
    };
    // Plain maps, lists and text always serialise.
    serde_yaml::to_string(&config).unwrap_or_default()
}

fn prometheus_container(settings: &StackSettings, prometheus: &PrometheusSpec) -> ContainerSpec {
    ContainerSpec {
        service: Service::Prometheus,
        image: ImageSource::Reference(settings.images.resolved(&settings.images.prometheus)),
        command: prometheus::flags(prometheus),
        environment: BTreeMap::new(),
        user: PROMETHEUS_USER,
        published: settings.ports.prometheus,
        mounts: vec![data("prometheus-data", "/prometheus"), configuration("prometheus-config", "/etc/prometheus")],
        health: health(&["/bin/promtool", "check", "healthy", "--url=http://127.0.0.1:9090"]),
        limits: settings.limits.prometheus,
        restart: settings.restart,
        // It writes its head block to disk before it ends.
        stop_timeout_seconds: 60,
        tmp_mebibytes: 16,
        files: prometheus_files(prometheus::render(prometheus)),
    }
}

/// Its configuration and the rules it names.
fn prometheus_files(configuration: String) -> Vec<FileSpec> {
    vec![
        FileSpec::configuration("/etc/prometheus/prometheus.yml", configuration.into_bytes()),
        FileSpec::configuration(&format!("/etc/prometheus/{}", prometheus::rules_file()), prometheus::rules().into()),
    ]
}

fn grafana(settings: &StackSettings) -> ContainerSpec {
    let root_url = root_url(settings.ports.grafana);
    let password = SecretFile::GrafanaPassword.path();
    let secret_key = SecretFile::GrafanaSecretKey.path();
    // Unknown variables are ignored by versions that do not have them, so one set serves 10 to 13.
    let environment = [
        ("GF_SECURITY_ADMIN_USER", settings.grafana.admin_user.as_str()),
        ("GF_SECURITY_ADMIN_PASSWORD__FILE", &password),
        ("GF_SECURITY_SECRET_KEY__FILE", &secret_key),
        ("GF_SECURITY_DISABLE_GRAVATAR", "true"),
        ("GF_USERS_DEFAULT_THEME", "system"),
        ("GF_SERVER_ROOT_URL", &root_url),
        // One transaction a migration with an fsync each is what makes the first start slow.
        ("GF_DATABASE_WAL", "true"),
        ("GF_LOG_MODE", "console"),
        ("GF_LOG_LEVEL", "warn"),
        // Nothing is fetched from the internet: the stack starts offline, and a read-only root stays whole.
        ("GF_ANALYTICS_REPORTING_ENABLED", "false"),
        ("GF_ANALYTICS_CHECK_FOR_UPDATES", "false"),
        ("GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES", "false"),
        ("GF_NEWS_NEWS_FEED_ENABLED", "false"),
        ("GF_PLUGINS_PREINSTALL_DISABLED", "true"),
        ("GF_PLUGINS_PREINSTALL_AUTO_UPDATE", "false"),
        ("GF_PLUGINS_PUBLIC_KEY_RETRIEVAL_DISABLED", "true"),
        ("GF_SNAPSHOTS_EXTERNAL_ENABLED", "false"),
    ];
    ContainerSpec {
        service: Service::Grafana,
        image: ImageSource::Reference(settings.images.resolved(&settings.images.grafana)),
        command: Vec::new(),
        environment: environment.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        user: GRAFANA_USER,
        published: settings.ports.grafana,
        mounts: vec![data("grafana-data", "/var/lib/grafana"), secrets()],
        health: health(&["curl", "-fsS", "-o", "/dev/null", "http://127.0.0.1:3000/api/health"]),
        limits: settings.limits.grafana,
        restart: settings.restart,
        // Grafana gives its own parts 30 s.
        stop_timeout_seconds: 35,
        tmp_mebibytes: 64,
        files: Vec::new(),
    }
}

/// What Grafana writes into links: the address it was given a name by. What is published everywhere has many names, of
/// which only this machine's own is known.
fn root_url(published: Published) -> String {
    let is_named = !published.is_loopback() && !published.address.is_unspecified();
    if is_named { format!("http://{published}/") } else { format!("http://localhost:{}/", published.port) }
}

fn data(part: &'static str, path: &'static str) -> Mount {
    Mount { part, path, begins: Begins::AsInTheImage }
}

fn configuration(part: &'static str, path: &'static str) -> Mount {
    Mount { part, path, begins: Begins::Empty }
}

fn secrets() -> Mount {
    Mount { part: SECRETS_PART, path: SECRETS, begins: Begins::Empty }
}

fn health(command: &[&str]) -> HealthCheck {
    HealthCheck {
        command: command.iter().map(|&word| word.to_owned()).collect(),
        interval_seconds: Period::seconds(10).as_secs(),
    }
}
