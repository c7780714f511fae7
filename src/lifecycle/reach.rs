//! The way an HTTP client gets to a service: where it is published, as seen from here.

use crate::engine::EngineInfo;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::settings::Published;
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// The address of a published service for this machine's programs.
///
/// On a remote engine a port that is published on loopback has no such address; the host's own is the best guess.
pub fn url(engine: &EngineInfo, published: Published) -> Result<Url> {
    let host = match published.address {
        address if address.is_loopback() || address.is_unspecified() => engine.host.clone(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    let text = format!("http://{host}:{}", published.port);
    Url::parse(&text).map_err(|cause| Error::new(Code::Unexpected, format!("`{text}` is no address: {cause}")))
}

/// A client for services on this machine or the engine's: no proxy, no TLS, so that it starts in no time and needs no
/// certificates.
pub fn http_client() -> Result<reqwest::Client> {
    // The builder wants a provider although nothing here speaks TLS; a second installation is no error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([])
        .connect_timeout(Duration::from_secs(3))
        .user_agent(concat!("qastack/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|cause| Error::new(Code::Unexpected, format!("cannot make an HTTP client: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_and_any_are_reached_through_the_engines_host() {
        let engine = |host: &str| EngineInfo {
            kind: "docker",
            address: String::new(),
            host: host.to_owned(),
            is_local: true,
            found_by: String::new(),
        };
        for (host, published, expected) in [
            ("127.0.0.1", "3000", "http://127.0.0.1:3000/"),
            ("127.0.0.1", "0.0.0.0:3000", "http://127.0.0.1:3000/"),
            ("far", "0.0.0.0:3000", "http://far:3000/"),
            ("127.0.0.1", "192.0.2.7:3000", "http://192.0.2.7:3000/"),
            ("127.0.0.1", "[2001:db8::1]:3000", "http://[2001:db8::1]:3000/"),
        ] {
            let url = url(&engine(host), published.parse().expect("a port")).expect("an address");
            assert_eq!(url.as_str(), expected);
        }
        http_client().expect("a client");
    }
}
