//! Grafana over its HTTP API: wait for it, provision it without losing a user's edit, ask it for figures.
//!
//! It knows no engine, prints nothing and keeps no state: what Grafana itself says is the truth. The way in:
//!
//! - [`Client`] speaks the API, [`wait_ready`] waits until it can be configured;
//! - [`GrafanaSpec`] says what should be there, [`observe`] reads what is, [`plan()`] (pure) compares the two,
//!   [`apply`] does what was planned; [`provision`] does all of it and settles a conflict with another writer.

mod apply;
mod client;
mod error;
mod frames;
mod library;
mod observed;
mod plan;
mod query;
mod ready;
mod spec;

pub use apply::{Provisioned, apply, provision};
pub use client::{Client, Login};
pub use error::GrafanaError;
pub use library::{Change, Library, SavedDashboard, SavedFolder, undo};
pub use observed::{Observed, ObservedDashboard, Readable, StoredFormat, observe};
pub use plan::{Action, ApiCall, Object, ProvisionStep, plan};
pub use query::{DataSourceHealth, Point, Sample};
pub use ready::{Ready, check_login, version, wait_ready};
pub use spec::{DASHBOARD_UID, DATA_SOURCE_UID, DashboardSpec, DataSourceSpec, FOLDER_UID, FolderSpec, GrafanaSpec};
