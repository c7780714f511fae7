//! What `backup` and `restore` have in common: the way to the exporter and to the rest of the stack.

use super::exporter::ExporterArgs;
use super::stack::ChosenEngine;
use super::{Context, stack, up};
use crate::engine::docker::DockerEngine;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::exporter::client::store::SILENCE;
use crate::grafana::GrafanaSpec;
use crate::lifecycle::{self, Besides, Cancel, Containers, Credentials};
use crate::output::Output;
use crate::settings::StackSettings;
use crate::stack::{Names, StackSpec};
use clap::Args;

/// What is wanted besides store, dashboards and settings.
#[derive(Debug, Clone, Copy, Args)]
pub struct BesidesArgs {
    /// Grafana's and Prometheus' data too; both are stopped for that
    #[arg(long)]
    with_volumes: bool,
    /// Secrets too: the exporter's token, Grafana's password and key
    #[arg(long)]
    with_secrets: bool,
}

impl BesidesArgs {
    /// What was typed.
    pub fn meant(self) -> Besides {
        Besides { volumes: self.with_volumes, secrets: self.with_secrets }
    }
}

/// A client for the project's exporter, which has to run. A token that was given goes before the engine's.
pub async fn client(engine: &ChosenEngine, settings: &StackSettings, exporter: &ExporterArgs) -> Result<Client> {
    let access = match engine {
        ChosenEngine::Docker(engine) => lifecycle::access(engine, &Names::new(&settings.project)).await?,
        ChosenEngine::Embedded(engine, _) => lifecycle::embedded::access(engine)?,
    };
    let access = access.ok_or_else(|| {
        Error::new(Code::NotRunning, "the stack is not running").hint("Start it with qastack up, then try again.")
    })?;
    let given = exporter.token()?;
    let token = given.or_else(|| access.token.map(|token| token.expose().to_owned()));
    Client::with_silence(access.url, token.as_deref(), SILENCE)
}

/// What a stack in containers is worked on with.
pub struct Parts {
    spec: StackSpec,
    grafana: GrafanaSpec,
    credentials: Credentials,
}

impl Parts {
    /// As the settings say.
    pub fn new(context: &Context, settings: &StackSettings) -> Result<Self> {
        Ok(Self {
            // The exporter's own image is none of what is worked on.
            spec: StackSpec::new(settings, ""),
            grafana: up::grafana_spec(settings)?,
            credentials: stack::credentials(settings, context.globals.file.as_deref())?,
        })
    }

    /// The stack on an engine.
    pub fn containers<'a>(
        &'a self,
        engine: &'a DockerEngine,
        observer: &'a Output,
        cancel: &'a Cancel,
    ) -> Containers<'a, DockerEngine> {
        let Self { spec, grafana, credentials } = self;
        Containers { engine, spec, grafana, credentials, observer, cancel }
    }
}

/// A thread that reads a file ended without a result.
pub fn broke_off() -> Error {
    Error::new(Code::Unexpected, "reading the backup broke off")
}
