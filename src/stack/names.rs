//! The names of everything a stack makes on an engine.

use super::Service;

/// Names made from the project's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    project: String,
}

impl Names {
    /// The names of this project.
    pub fn new(project: impl Into<String>) -> Self {
        Self { project: project.into() }
    }

    /// The project.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// A service's container.
    pub fn container(&self, service: Service) -> String {
        format!("{}-{service}", self.project)
    }

    /// The one network.
    ///
    /// Compose joins with an underscore where we join with a dash, so that a compose project of the same name has
    /// networks and volumes of other names.
    pub fn network(&self) -> String {
        format!("{}-network", self.project)
    }

    /// A volume, by its part: `grafana-data`.
    pub fn volume(&self, part: &str) -> String {
        format!("{}-{part}", self.project)
    }
}
