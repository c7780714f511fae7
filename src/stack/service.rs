//! The three services of the stack, and what is fixed about each.

use std::fmt;

/// A service of the stack. The names never change: dashboards, scrape jobs and users' scripts know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// The exporter.
    TestMetrics,
    /// Prometheus.
    Prometheus,
    /// Grafana.
    Grafana,
}

impl Service {
    /// All of them, in the order people read them.
    pub const ALL: [Self; 3] = [Self::TestMetrics, Self::Prometheus, Self::Grafana];

    /// The name: of the service, of its host name in the network, and the end of the container's name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TestMetrics => "test-metrics",
            Self::Prometheus => "prometheus",
            Self::Grafana => "grafana",
        }
    }

    /// The service of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|service| service.name() == name)
    }

    /// The port it listens on inside its container.
    pub const fn container_port(self) -> u16 {
        match self {
            Self::TestMetrics => 8080,
            Self::Prometheus => 9090,
            Self::Grafana => 3000,
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
