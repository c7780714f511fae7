//! How the commands that speak to the exporter get to it: its address and the administrator's token, from the engine.

use super::{reach, secrets};
use crate::engine::Engine;
use crate::error::Result;
use crate::secret::Secret;
use crate::stack::{Names, SecretFile, Service};
use url::Url;

/// Where the exporter is, and the token that `up` made for it.
#[derive(Debug, Clone)]
pub struct Access {
    /// Where it is published.
    pub url: Url,
    /// The administrator's token; none where its volume has none.
    pub token: Option<Secret>,
}

/// Asks the engine; none where the project has no exporter there.
pub async fn access<E: Engine>(engine: &E, names: &Names) -> Result<Option<Access>> {
    let Some(container) = engine.inspect(&names.container(Service::TestMetrics)).await? else { return Ok(None) };
    let Some(published) = container.published().filter(|_| container.is_ours(names.project())) else { return Ok(None) };
    let token = secrets::read(engine, &container.id, Service::TestMetrics).await?.remove(&SecretFile::AdminToken);
    Ok(Some(Access { url: reach::url(engine, names, Service::TestMetrics, published)?, token }))
}
