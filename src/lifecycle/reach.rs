//! The way an HTTP client gets to a service: where it is published, or through a relay where that is the loopback of
//! another machine.

use crate::engine::{Engine, EngineInfo};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::settings::Published;
use crate::stack::{Names, Service};
use std::net::IpAddr;
use std::time::Duration;
use url::Url;

/// The address under which this process reaches a published service, now and as long as it lives.
pub fn url<E: Engine>(engine: &E, names: &Names, service: Service, published: Published) -> Result<Url> {
    let info = engine.info();
    if !is_hidden(info, published) {
        return direct(info, published);
    }
    // The exporter is asked in its own container, which knows the others by name.
    let host = if service == Service::TestMetrics { "127.0.0.1" } else { service.name() };
    let target = format!("{host}:{}", service.container_port());
    let address = engine.relay(&names.container(Service::TestMetrics), &target)?;
    parsed(&format!("http://{address}"))
}

/// Whether a published service is on the loopback of another machine, where no program of this one gets to by itself.
pub fn is_hidden(engine: &EngineInfo, published: Published) -> bool {
    published.is_loopback() && !engine.is_local
}

/// What somebody should know whose services are hidden, and how to see them all the same.
pub fn notice(engine: &EngineInfo, published: &[Published]) -> Option<String> {
    let hidden: Vec<String> = published
        .iter()
        .filter(|published| is_hidden(engine, **published))
        .map(|published| format!("-L {0}:127.0.0.1:{0}", published.port))
        .collect();
    (!hidden.is_empty()).then(|| {
        format!(
            "the services are on the loopback of {0}: ssh {1} {0} brings them to the same ports here; or publish them on an \
             address of {0} under ports in qastack.yaml",
            engine.host,
            hidden.join(" ")
        )
    })
}

/// The address of a published service, as the machine that reaches it has it: this one, or where it is hidden the
/// engine's own.
pub fn direct(engine: &EngineInfo, published: Published) -> Result<Url> {
    let host = match published.address {
        _ if is_hidden(engine, published) => "127.0.0.1".to_owned(),
        address if address.is_unspecified() => engine.host.clone(),
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    };
    parsed(&format!("http://{host}:{}", published.port))
}

fn parsed(text: &str) -> Result<Url> {
    Url::parse(text).map_err(|cause| Error::new(Code::Unexpected, format!("`{text}` is no address: {cause}")))
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
            is_local: host == "127.0.0.1",
            found_by: String::new(),
        };
        for (host, published, expected, hidden) in [
            ("127.0.0.1", "3000", "http://127.0.0.1:3000/", false),
            ("127.0.0.1", "0.0.0.0:3000", "http://127.0.0.1:3000/", false),
            ("far", "0.0.0.0:3000", "http://far:3000/", false),
            ("far", "3000", "http://127.0.0.1:3000/", true),
            ("127.0.0.1", "192.0.2.7:3000", "http://192.0.2.7:3000/", false),
            ("127.0.0.1", "[2001:db8::1]:3000", "http://[2001:db8::1]:3000/", false),
            ("127.0.0.1", "127.0.0.2:3000", "http://127.0.0.2:3000/", false),
        ] {
            let published: Published = published.parse().expect("a port");
            let url = direct(&engine(host), published).expect("an address");
            assert_eq!((url.as_str(), is_hidden(&engine(host), published)), (expected, hidden));
        }
        let ports = ["3000", "0.0.0.0:9090"].map(|text| text.parse().expect("a port"));
        let words = notice(&engine("far"), &ports).expect("a notice");
        assert!(words.contains("ssh -L 3000:127.0.0.1:3000 far") && !words.contains("9090"), "{words}");
        assert_eq!(notice(&engine("127.0.0.1"), &ports), None);
        http_client().expect("a client");
    }
}
