//! Where the exporter is and which token opens it, for every command that speaks to it.

use super::Context;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::settings::load_stack;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use url::Url;

/// Where the exporter is, and the token.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Exporter")]
pub struct ExporterArgs {
    /// The exporter's address [default: where the settings publish it, http://127.0.0.1:8080]
    #[arg(long, env = "QASTACK_URL", value_name = "URL")]
    url: Option<Url>,
    /// A file with the token; without it QASTACK_TOKEN is the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl ExporterArgs {
    /// A client for it.
    ///
    /// # Errors
    /// The address or the token file cannot be used.
    pub fn client(&self, context: &Context) -> Result<Client> {
        let url = match &self.url {
            Some(url) => url.clone(),
            None => published(context)?,
        };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return Err(Error::new(Code::Usage, format!("{url} is not an address such as http://127.0.0.1:8080")));
        }
        Client::new(url, self.token()?.as_deref())
    }

    fn token(&self) -> Result<Option<String>> {
        let text = match &self.token_file {
            Some(path) => Some(std::fs::read_to_string(path).map_err(|cause| {
                Error::new(Code::Usage, format!("cannot read the token file {}: {cause}", path.display()))
            })?),
            None => std::env::var("QASTACK_TOKEN").ok(),
        };
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()))
    }
}

/// Where the stack's settings publish the exporter.
fn published(context: &Context) -> Result<Url> {
    let settings = load_stack(context.globals.file.as_deref(), std::env::vars(), Vec::new())?.settings;
    let published = settings.ports.test_metrics;
    let address = match published.address {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    format!("http://{}", SocketAddr::new(address, published.port))
        .parse()
        .map_err(|cause| Error::new(Code::Unexpected, format!("the exporter's address cannot be made: {cause}")))
}
