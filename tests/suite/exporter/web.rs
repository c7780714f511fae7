//! The guard of the port: users, TLS, certificates of clients, further headers; and how it changes while it runs.

use super::running::{Running, TOKEN, json, passed, report};
use crate::http;
use base64::Engine;
use qastack::exporter::web::Web;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tempfile::TempDir;

const REPORTS: &str = "/api/v1/projects/web/reports";

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut parameters = CertificateParams::new(Vec::new()).unwrap();
    parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    parameters.distinguished_name.push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap()
}

/// Writes a certificate of the authority and its key, as `NAME.crt` and `NAME.key`.
fn issue(authority: &Authority, name: &str, directory: &Path) {
    let key = KeyPair::generate().unwrap();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, authority).unwrap();
    std::fs::write(directory.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    std::fs::write(directory.join(format!("{name}.crt")), certificate.pem()).unwrap();
}

fn bcrypt(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

fn guarded(directory: TempDir, web: &str) -> Running {
    std::fs::write(directory.path().join("web.yml"), web).unwrap();
    let exporter = Running::starting(Arc::new(directory), "");
    // The health check of this machine needs neither a certificate nor a password.
    exporter.until("it lives", || exporter.get("/healthz").status == 200);
    exporter
}

fn ask(exporter: &Running, method: &str, path: &str, authorization: &str, body: &str) -> http::Answer {
    let headers = [("Host", exporter.address.as_str()), ("Authorization", authorization)];
    http::send(&exporter.address, method, path, &headers, body)
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

#[test]
fn users_come_in_with_their_passwords_and_programs_with_their_tokens() {
    let web = format!("basic_auth_users:\n  ann: {}\n", bcrypt("correct horse"));
    let exporter = guarded(tempfile::tempdir().unwrap(), &web);
    let ann = basic("ann", "correct horse");
    exporter.until("it is ready", || ask(&exporter, "GET", "/readyz", &ann, "").status == 200);
    for path in ["/metrics", "/readyz", "/api/v1/projects", "/api/v1/figures", "/nowhere"] {
        let refused = exporter.get(path);
        assert_eq!((refused.status, json(&refused)["code"].as_str()), (401, Some("user_needed")), "{path}");
        assert!(refused.headers["www-authenticate"].starts_with("Basic realm="));
        assert_eq!(refused.headers["content-type"], "application/problem+json");
        let status = ask(&exporter, "GET", path, &ann, "").status;
        assert_eq!(status, if path == "/nowhere" { 404 } else { 200 }, "{path}");
        for wrong in [basic("ann", "wrong"), basic("eve", "correct horse"), "Bearer wrong".into(), "Basic !".into()] {
            assert_eq!(ask(&exporter, "GET", path, &wrong, "").status, 401, "{path} {wrong}");
        }
    }
    let bearer = format!("Bearer {TOKEN}");
    let body = report(&[&passed("adds")]);
    assert_eq!(ask(&exporter, "POST", REPORTS, &bearer, &body).status, 201);
    assert_eq!(ask(&exporter, "GET", "/metrics", &bearer, "").status, 200);
    assert_eq!(ask(&exporter, "POST", REPORTS, &ann, &body).status, 401, "a user's password brings nothing in");
}

#[test]
fn users_that_change_are_known_at_once_and_a_mistake_changes_nothing() {
    let exporter = guarded(tempfile::tempdir().unwrap(), &format!("basic_auth_users: {{ ann: {} }}\n", bcrypt("one")));
    let write = |web: &str| std::fs::write(exporter.directory.path().join("web.yml"), web).unwrap();
    let may = |user: &str, password: &str| ask(&exporter, "GET", "/readyz", &basic(user, password), "").status == 200;
    exporter.until("ann comes in", || may("ann", "one"));
    write(&format!("basic_auth_users: {{ ann: {}, bob: {} }}\n", bcrypt("two"), bcrypt("three")));
    assert!(!may("ann", "one") && may("ann", "two") && may("bob", "three"));
    write("basic_auth_users: { ann: secret }\n");
    assert!(may("ann", "two") && !may("ann", "secret"));
    write("# Nobody has to say who they are any more.\n");
    assert_eq!(exporter.get("/metrics").status, 200);
}

#[test]
fn further_headers_are_in_every_answer() {
    let web = "http_server_config:\n  headers:\n    X-Frame-Options: SAMEORIGIN\n    \
               Strict-Transport-Security: max-age=31536000\n";
    let exporter = guarded(tempfile::tempdir().unwrap(), web);
    for path in ["/metrics", "/nowhere"] {
        let answer = exporter.get(path);
        assert_eq!(answer.headers["x-frame-options"], "SAMEORIGIN", "{path}");
        assert_eq!(answer.headers["strict-transport-security"], "max-age=31536000", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
    }
}

/// A client that trusts an authority, and shows the certificate with this name, if any.
fn client(authority: &Authority, shows: Option<&str>, directory: &Path) -> reqwest::Client {
    // A second installation is refused, and the first one is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let trusted = reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap();
    let mut builder = reqwest::Client::builder().tls_certs_only([trusted]).no_proxy();
    if let Some(name) = shows {
        let file = |ending: &str| std::fs::read(directory.join(format!("{name}.{ending}"))).unwrap();
        let both = [file("crt"), file("key")].concat();
        builder = builder.identity(reqwest::Identity::from_pem(&both).unwrap());
    }
    builder.build().unwrap()
}

async fn status(client: &reqwest::Client, exporter: &Running, path: &str) -> Option<u16> {
    let answer = client.get(format!("https://{}{path}", exporter.address)).send().await;
    answer.ok().map(|answer| answer.status().as_u16())
}

const TLS: &str = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n";

#[tokio::test]
async fn tls_is_spoken_and_plain_words_are_told_so_but_for_the_health_check() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, other) = (authority("ours"), authority("other"));
    issue(&ours, "server", directory.path());
    let exporter = guarded(directory, TLS);
    let trusting = client(&ours, None, exporter.directory.path());
    while status(&trusting, &exporter, "/readyz").await != Some(200) {}
    assert_eq!(status(&trusting, &exporter, "/metrics").await, Some(200));
    assert_eq!(status(&client(&other, None, exporter.directory.path()), &exporter, "/metrics").await, None);
    for path in ["/metrics", REPORTS] {
        let answer = exporter.get(path);
        assert_eq!((answer.status, json(&answer)["code"].as_str()), (400, Some("https_needed")), "{path}");
    }
    let check = Command::new(assert_cmd::cargo::cargo_bin!("qastack"))
        .args(["healthcheck", "--listen", &exporter.address])
        .output()
        .unwrap();
    assert!(check.status.success(), "{check:?}");
}

#[tokio::test]
async fn a_renewed_certificate_is_used_for_the_next_connection_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (old, new) = (authority("old"), authority("new"));
    issue(&old, "server", directory.path());
    let exporter = guarded(directory, TLS);
    let directory = exporter.directory.path();
    let reaches = async |authority: &Authority| {
        status(&client(authority, None, directory), &exporter, "/healthz").await == Some(200)
    };
    assert!(reaches(&old).await && !reaches(&new).await);
    // Longer ones, so that they differ in size even where the file system's dates are coarse.
    issue(&new, "server", directory);
    std::fs::write(directory.join("web.yml"), format!("{TLS}  min_version: TLS13\n")).unwrap();
    assert!(reaches(&new).await && !reaches(&old).await);
    std::fs::write(directory.join("server.crt"), "no certificate").unwrap();
    assert!(reaches(&new).await, "the one in force stays");
}

#[tokio::test]
async fn where_certificates_of_clients_are_demanded_nobody_comes_in_without_one() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, other) = (authority("ours"), authority("other"));
    for name in ["server", "client"] {
        issue(&ours, name, directory.path());
    }
    issue(&other, "stranger", directory.path());
    std::fs::write(directory.path().join("ca.crt"), ours.pem()).unwrap();
    let demanding = |kind: &str| format!("{TLS}  client_ca_file: ca.crt\n  client_auth_type: {kind}\n");
    let exporter = guarded(directory, &demanding("RequireAndVerifyClientCert"));
    let directory = exporter.directory.path();
    let shown = async |name: Option<&str>| status(&client(&ours, name, directory), &exporter, "/healthz").await;
    assert_eq!(shown(Some("client")).await, Some(200));
    assert_eq!(shown(None).await, None);
    assert_eq!(shown(Some("stranger")).await, None);
    assert_eq!(exporter.get("/healthz").status, 200, "the health check of this machine");
    std::fs::write(directory.join("web.yml"), demanding("VerifyClientCertIfGiven")).unwrap();
    assert_eq!(shown(None).await, Some(200));
    assert_eq!(shown(Some("stranger")).await, None);
}

#[test]
fn what_the_documentation_shows_is_read_here_and_by_promtool() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/web-configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks: Vec<&str> = page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(blocks.len() >= 3, "{page}");
    let directory = tempfile::tempdir().unwrap();
    let authority = authority("ours");
    issue(&authority, "server", directory.path());
    std::fs::write(directory.path().join("ca.crt"), authority.pem()).unwrap();
    let path = directory.path().join("web.yml");
    for block in blocks {
        std::fs::write(&path, block).unwrap();
        Web::load(&path).unwrap_or_else(|error| panic!("{error}\n{block}"));
        let promtool = std::env::var_os("QASTACK_PROMTOOL").expect("QASTACK_PROMTOOL names promtool; ./test sets it");
        let said = Command::new(promtool).args(["check", "web-config"]).arg(&path).output().unwrap();
        assert!(said.status.success(), "{}\n{block}", String::from_utf8_lossy(&said.stderr));
    }
}
