//! Who may be spoken for: refuses requests under a name that is not ours, and requests other sites make.
//!
//! A browser can be made to send requests here by any page it shows. A page of another origin says so in
//! `Origin` and `Sec-Fetch-Site`; a page whose name was re-bound to our address sends its own name as `Host`.
//! Both are refused before a handler runs, but for badges, which are pictures for other sites. This room must never decide about tokens.

use super::problem::Problem;
use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode, Version, header};
use std::net::{IpAddr, SocketAddr};

/// The names under which the exporter answers wherever it runs.
const OWN_NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "test-metrics"];

/// The addresses of a connection, put into each of its requests.
#[derive(Debug, Clone, Copy)]
pub struct Connection {
    /// Our end.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// Whether a request comes from this machine itself.
pub fn is_from_here(request: &Request) -> bool {
    let connection = request.extensions().get::<Connection>();
    connection.is_some_and(|connection| connection.peer.ip().to_canonical().is_loopback())
}

/// Says whether a request may come in. `allowed` are the names a user configured.
///
/// # Errors
/// The problem to answer with: 400 without a usable name, 421 under a foreign one, 403 from another site.
pub fn admit(request: &Request, allowed: &[String]) -> Result<(), Problem> {
    let Some(host) = host_of(request)? else {
        // Only HTTP/1.0 may leave the name out, and only small probes still speak it.
        if request.version() == Version::HTTP_10 && request.uri().path() == "/healthz" {
            return Ok(());
        }
        return Err(Problem::new(StatusCode::BAD_REQUEST, "host_missing", "the request has no Host header")
            .hint("Send the name it was reached under, for example Host: localhost."));
    };
    let own_address = request.extensions().get::<Connection>().map(|connection| connection.local.ip());
    if !is_known(&host.name, own_address, allowed) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host_unknown",
            format!("the exporter is not known as {:?}", clip(&host.name)),
        )
        .hint("Reach it as localhost or 127.0.0.1, or add the name to allowed_hosts in its settings."));
    }
    refuse_other_sites(request, &host)
}

fn refuse_other_sites(request: &Request, host: &Host) -> Result<(), Problem> {
    let foreign = |what: &str| {
        Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_foreign",
            format!("the request was made by another site ({what})"),
        )
        .hint("The API is for programs with a token, not for pages of other sites."))
    };
    let headers = request.headers();
    if headers.get_all(header::ORIGIN).iter().any(|origin| !is_same_origin(origin.as_bytes(), host)) {
        return foreign("Origin");
    }
    let cross_site = headers.get_all("sec-fetch-site").iter().any(|site| site.as_bytes() == b"cross-site");
    if cross_site && !is_badge(request.uri().path()) && !is_followed_link(request.method(), headers) {
        return foreign("Sec-Fetch-Site");
    }
    Ok(())
}

/// Whether the path is a badge's: a picture that is made to stand on pages of other sites.
pub fn is_badge(path: &str) -> bool {
    path.starts_with("/badge/")
}

/// A person followed a link to a page of ours. The site the link stood on cannot read the answer.
fn is_followed_link(method: &Method, headers: &HeaderMap) -> bool {
    let says = |name: &str, value: &str| headers.get(name).is_some_and(|header| header.as_bytes() == value.as_bytes());
    matches!(*method, Method::GET | Method::HEAD)
        && says("sec-fetch-mode", "navigate")
        && says("sec-fetch-dest", "document")
}

/// The name a request came under, and the port if it gave one.
#[derive(Debug, PartialEq, Eq)]
struct Host {
    name: String,
    port: Option<u16>,
}

fn host_of(request: &Request) -> Result<Option<Host>, Problem> {
    let unusable = || Problem::new(StatusCode::BAD_REQUEST, "host_invalid", "the Host header cannot be read");
    let mut headers = request.headers().get_all(header::HOST).iter();
    let from_header = match headers.next() {
        None => None,
        Some(value) => {
            let text = value.to_str().map_err(|_| unusable())?;
            Some(parse_authority(text).ok_or_else(unusable)?)
        }
    };
    if headers.next().is_some() {
        return Err(Problem::new(StatusCode::BAD_REQUEST, "host_invalid", "the request has more than one Host header"));
    }
    // An absolute request target (`GET http://name/path`) names the host as well, and RFC 9112 lets it win.
    // Two different names are an attempt to get past somebody's check.
    let from_target = match request.uri().authority() {
        None => None,
        Some(authority) => Some(parse_authority(authority.as_str()).ok_or_else(unusable)?),
    };
    match (from_header, from_target) {
        (Some(header), Some(target)) if header.name != target.name => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "host_invalid",
            "the request target and the Host header name different hosts",
        )),
        (header, target) => Ok(target.or(header)),
    }
}

fn parse_authority(text: &str) -> Option<Host> {
    if text.contains('@') {
        return None;
    }
    let authority: Authority = text.parse().ok()?;
    let bare = authority.host().trim_start_matches('[').trim_end_matches(']');
    // One trailing dot makes a name absolute and says nothing else.
    let name = bare.strip_suffix('.').unwrap_or(bare).to_ascii_lowercase();
    // What follows the name must be a port, or nothing: `name:` and `name:x` are no authorities.
    let port = match authority.port() {
        Some(port) => Some(port.as_u16()),
        None if text.len() == authority.host().len() => None,
        None => return None,
    };
    (!name.is_empty()).then_some(Host { name, port })
}

fn is_known(name: &str, own_address: Option<IpAddr>, allowed: &[String]) -> bool {
    if OWN_NAMES.contains(&name) || allowed.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return true;
    }
    match (name.parse::<IpAddr>(), own_address) {
        (Ok(named), Some(own)) => named.to_canonical() == own.to_canonical(),
        _ => false,
    }
}

fn is_same_origin(origin: &[u8], host: &Host) -> bool {
    let Ok(text) = std::str::from_utf8(origin) else { return false };
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let default_port = match scheme {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    parse_authority(authority).is_some_and(|origin| {
        origin.name == host.name && origin.port.unwrap_or(default_port) == host.port.unwrap_or(default_port)
    })
}

/// A foreign text that goes into an answer is kept short.
fn clip(text: &str) -> String {
    text.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    fn request(target: &str, headers: &[(&str, &str)]) -> Request {
        let mut builder = Request::builder().uri(target);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        let local = "172.18.0.3:8080".parse().unwrap();
        let peer = "172.18.0.9:41000".parse().unwrap();
        builder.extension(Connection { local, peer }).body(Body::empty()).unwrap()
    }

    fn verdict(target: &str, headers: &[(&str, &str)]) -> &'static str {
        match admit(&request(target, headers), &["qa.example.com".to_owned()]) {
            Ok(()) => "in",
            Err(problem) => problem.code(),
        }
    }

    #[test]
    fn our_own_names_are_known_with_any_port() {
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST:9",
            "localhost.",
            "127.0.0.1:1234",
            "[::1]:8080",
            "[::1]",
            "test-metrics:8080",
            "172.18.0.3:8080",
            "qa.example.com",
            "QA.example.com:443",
        ] {
            assert_eq!(verdict("/metrics", &[("host", host)]), "in", "{host}");
        }
    }

    #[test]
    fn foreign_names_are_refused() {
        for host in [
            "evil.example",
            "evil.localhost",
            "localhost.evil.example",
            "172.18.0.4",
            "127.0.0.1.evil.example",
            "xtest-metrics",
            "[::2]",
        ] {
            assert_eq!(verdict("/metrics", &[("host", host)]), "host_unknown", "{host}");
        }
    }

    #[test]
    fn names_that_cannot_be_read_are_refused() {
        for host in ["", "user@localhost", "localhost:", "localhost:x", "local host", "localhost:99999", "[::1"] {
            let got = verdict("/metrics", &[("host", host)]);
            assert!(["host_invalid", "host_unknown"].contains(&got), "{host}: {got}");
        }
        assert_eq!(verdict("/metrics", &[("host", "localhost"), ("host", "localhost")]), "host_invalid");
    }

    #[test]
    fn an_absolute_target_counts_like_a_host() {
        assert_eq!(verdict("http://evil.example/metrics", &[]), "host_unknown");
        assert_eq!(verdict("http://localhost:8080/metrics", &[("host", "localhost")]), "in");
        assert_eq!(verdict("http://localhost/metrics", &[("host", "test-metrics")]), "host_invalid");
    }

    #[test]
    fn only_a_health_probe_in_http_1_0_may_leave_the_name_out() {
        assert_eq!(verdict("/healthz", &[]), "host_missing");
        let mut probe = request("/healthz", &[]);
        *probe.version_mut() = Version::HTTP_10;
        assert!(admit(&probe, &[]).is_ok());
        let mut scrape = request("/metrics", &[]);
        *scrape.version_mut() = Version::HTTP_10;
        assert_eq!(admit(&scrape, &[]).unwrap_err().code(), "host_missing");
    }

    #[test]
    fn another_origin_is_refused_and_our_own_is_not() {
        let from = |origin| verdict("/metrics", &[("host", "localhost:8080"), ("origin", origin)]);
        assert_eq!(from("http://localhost:8080"), "in");
        for origin in [
            "null",
            "http://localhost:3000",
            "http://localhost",
            "https://evil.example",
            "file://",
            "http://localhost:8080.evil",
        ] {
            assert_eq!(from(origin), "origin_foreign", "{origin}");
        }
        assert_eq!(verdict("/", &[("host", "localhost"), ("origin", "http://localhost:80")]), "in");
    }

    #[test]
    fn a_cross_site_fetch_is_refused_but_a_followed_link_is_not() {
        let host = ("host", "localhost");
        let cross = ("sec-fetch-site", "cross-site");
        assert_eq!(verdict("/metrics", &[host, cross]), "origin_foreign");
        assert_eq!(verdict("/metrics", &[host, ("sec-fetch-site", "same-origin")]), "in");
        let link = [host, cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
        assert_eq!(verdict("/", &link), "in");
        assert_eq!(verdict("/badge/flake_rate.svg", &[host, cross, ("sec-fetch-dest", "image")]), "in");
        assert_eq!(verdict("/badge/x", &[host, cross, ("origin", "https://evil.example")]), "origin_foreign");
        let frame = [host, cross, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert_eq!(verdict("/", &frame), "origin_foreign");
        let mut form = request("/", &link);
        *form.method_mut() = Method::POST;
        assert_eq!(admit(&form, &[]).unwrap_err().code(), "origin_foreign");
    }
}
