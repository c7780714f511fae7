//! What should run, and how to get there: settings -> [`StackSpec`], (spec, [`Observed`]) -> [`Plan`].
//!
//! Pure: this room does no I/O, reads no clock and knows no engine, so that every decision can be tested as a value.

mod container;
mod difference;
mod embedded;
pub mod labels;
mod names;
mod observed;
mod plan;
mod remembered;
mod service;
mod spec;

pub use container::{Begins, ContainerSpec, FileSpec, FileStat, HealthCheck, ImageSource, Mount, PullPolicy, sha256};
pub use difference::{Difference, differences};
pub use embedded::{
    EmbeddedObserved, EmbeddedRecord, EmbeddedSpec, EmbeddedState, plan_embedded_down, plan_embedded_up,
};
pub use names::Names;
pub use observed::{
    Observed, ObservedContainer, ObservedGrafana, ObservedImage, ObservedNetwork, ObservedVolume, State,
};
pub(crate) use plan::why_not_running;
pub use plan::{Action, KeepOrRemove, Plan, Step, plan_down, plan_up};
pub use remembered::{PickedPort, Remembered};
pub use service::Service;
pub use spec::{DEFAULT_PASSWORD, PROMETHEUS_USER, SecretFile, StackSpec};
