//! What an `up` did and found, or would do.

use super::{Figures, ServiceStatus};
use crate::stack::{Plan, Step};
use serde::Serialize;
use url::Url;

/// A step that was carried out, or with a dry run one that would be.
#[derive(Debug, Clone, Serialize)]
pub struct DoneStep {
    /// What was done.
    #[serde(flatten)]
    pub step: Step,
    /// How long it took.
    pub seconds: f64,
}

/// What an `up` did and found.
#[derive(Debug)]
pub struct UpReport {
    /// What was done; empty where nothing had to change.
    pub steps: Vec<DoneStep>,
    /// Seconds to *ready*; none after a dry run.
    pub ready: Option<f64>,
    /// Seconds to *proven*; none where that was not waited for.
    pub proven: Option<f64>,
    /// Seconds of our own part in the whole: all but the engine's calls, Grafana's start and the first scrape.
    pub own_part: Option<f64>,
    /// The services.
    pub services: Vec<ServiceStatus>,
    /// The current figures.
    pub figures: Option<Figures>,
    /// The dashboard that people look at first.
    pub dashboard: Option<Url>,
    /// Whether Grafana's login is the default one.
    pub default_login: bool,
    /// What should be known, such as a dashboard that was kept as its users edited it.
    pub warnings: Vec<String>,
}

/// A plan that is only shown, with what would keep it from being carried out.
pub fn planned(plan: Plan, warnings: Vec<String>) -> UpReport {
    UpReport {
        steps: plan.steps.into_iter().map(|step| DoneStep { step, seconds: 0.0 }).collect(),
        ready: None,
        proven: None,
        own_part: None,
        services: Vec::new(),
        figures: None,
        dashboard: None,
        default_login: false,
        warnings,
    }
}
