//! Where the exporter is and which token opens it, for every command that speaks to it.

use super::stack::ChosenEngine;
use super::{Context, stack};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::exporter::client::Client;
use crate::lifecycle::{self, Access};
use crate::stack::Names;
use clap::Args;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use url::Url;

/// Where the exporter is, and the token.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Exporter")]
pub struct ExporterArgs {
    /// The exporter's address [default: where the settings publish it, http://127.0.0.1:8080]
    #[arg(long, env = "QASTACK_URL", value_name = "URL", value_parser = address)]
    url: Option<Url>,
    /// A file with the token; without it QASTACK_TOKEN is the token
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

impl ExporterArgs {
    /// A client for it. What is not given is asked of the engine that the stack runs on: its address, and the token
    /// that `up` made.
    ///
    /// # Errors
    /// The address or the token file cannot be used.
    pub async fn client(&self, context: &Context) -> Result<Client> {
        let (url, token) = self.reach(context).await?;
        Client::new(url, token.as_deref())
    }

    /// Whether an exporter was named that need not be this project's.
    pub fn names_another(&self) -> bool {
        self.url.is_some()
    }

    /// Its address, and the token.
    ///
    /// # Errors
    /// The address or the token file cannot be used.
    pub async fn reach(&self, context: &Context) -> Result<(Url, Option<String>)> {
        let token = self.token()?;
        let (url, token) = match (&self.url, token) {
            (Some(url), token) => (url.clone(), token),
            (None, Some(token)) => (published(context)?, Some(token)),
            (None, None) => match on_the_engine(context).await {
                Some(access) => (access.url, access.token.map(|token| token.expose().to_owned())),
                None => (published(context)?, None),
            },
        };
        Ok((url, token))
    }

    /// The token that was given, by a file or by the environment.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn token(&self) -> Result<Option<String>> {
        let Some(path) = &self.token_file else {
            let text = std::env::var("QASTACK_TOKEN").ok();
            return Ok(text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()));
        };
        let text = std::fs::read_to_string(path).map_err(|cause| {
            Error::new(Code::Usage, format!("cannot read the token file {}: {cause}", path.display()))
        })?;
        match text.trim() {
            // Whoever names a token must not be let in by another one.
            "" => Err(Error::new(Code::Usage, format!("the token file {} is empty", path.display()))
                .hint("Write the token into it; qastack token create makes one.")),
            token => Ok(Some(token.to_owned())),
        }
    }
}

/// An address that can be spoken to.
fn address(text: &str) -> std::result::Result<Url, String> {
    let url: Option<Url> = text.parse().ok();
    url.filter(|url| matches!(url.scheme(), "http" | "https") && url.host().is_some())
        .ok_or_else(|| "it is not an address such as http://127.0.0.1:8080".to_owned())
}

/// The exporter of this project on the engine, where there is one. An exporter may well run without any engine, so that
/// none that answers is no error here.
async fn on_the_engine(context: &Context) -> Option<Access> {
    let settings = stack::load_settings(context).ok()?.settings;
    match stack::engine(context, &settings).await.ok()? {
        ChosenEngine::Docker(engine) => lifecycle::access(&engine, &Names::new(&settings.project)).await.ok()?,
        ChosenEngine::Embedded(engine, _) => lifecycle::embedded::access(&engine).ok()?,
    }
}

/// Where the stack's settings publish the exporter, as this machine reaches it.
///
/// # Errors
/// The settings cannot be used.
pub fn published_at(context: &Context) -> Result<SocketAddr> {
    let settings = stack::load_settings(context)?.settings;
    let published = settings.ports.test_metrics;
    Ok(on_this_machine(SocketAddr::new(published.address, published.port)))
}

/// An address to listen at, as this machine reaches it.
pub fn on_this_machine(listen: SocketAddr) -> SocketAddr {
    let address = match listen.ip() {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    };
    SocketAddr::new(address, listen.port())
}

fn published(context: &Context) -> Result<Url> {
    format!("http://{}", published_at(context)?)
        .parse()
        .map_err(|cause| Error::new(Code::Unexpected, format!("the exporter's address cannot be made: {cause}")))
}
