//! From the file's keys to a TLS server: certificate and key, versions, suites, and the certificates of clients.

use super::config::{ClientAuth, Curve, TlsServerConfig, Version};
use rustls::crypto::{CryptoProvider, SupportedKxGroup, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedCipherSuite};
use std::path::{Path, PathBuf};
use std::sync::Arc;

type Outcome<T> = Result<T, String>;

/// Makes the server's configuration. The files' paths begin at the directory.
///
/// # Errors
/// Says which key cannot be used, and why.
pub(super) fn server_config(config: TlsServerConfig, directory: &Path) -> Outcome<Arc<ServerConfig>> {
    // What is missing is told before what cannot be read.
    if config.key.is_none() && config.key_file.is_none() {
        return Err("tls_server_config.key_file is missing".to_owned());
    }
    let certificate = pem("cert", config.cert.as_deref(), config.cert_file.as_deref(), directory)?;
    let inline = config.key.as_ref().map(|key| key.0.expose());
    let key = pem("key", inline, config.key_file.as_deref(), directory)?;
    let chain = certificates("cert_file", &certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&key)
        .map_err(|cause| format!("tls_server_config.key_file holds no private key: {cause}"))?;
    let provider = Arc::new(provider(&config)?);
    let clients = clients(&config, directory, &provider)?;
    let max = config.max_version.unwrap_or(Version::Tls13);
    if config.min_version > max {
        return Err("tls_server_config.max_version is older than min_version".to_owned());
    }
    let versions: Vec<_> = [(Version::Tls12, &rustls::version::TLS12), (Version::Tls13, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(version, _)| (config.min_version..=max).contains(version))
        .map(|(_, version)| version)
        .collect();
    let wrong = |cause: rustls::Error| format!("tls_server_config: {cause}");
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&versions).map_err(wrong)?;
    let builder = match clients {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(wrong)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    server.ignore_client_order = config.prefer_server_cipher_suites.unwrap_or(true);
    Ok(Arc::new(server))
}

/// What stands in the file itself, or in the file it names.
fn pem(key: &str, inline: Option<&str>, file: Option<&Path>, directory: &Path) -> Outcome<Vec<u8>> {
    match (inline, file) {
        (Some(_), Some(_)) => Err(format!("tls_server_config: {key} and {key}_file: only one of them")),
        (Some(text), None) => Ok(text.as_bytes().to_vec()),
        (None, Some(path)) => {
            let path: PathBuf = directory.join(path);
            std::fs::read(&path)
                .map_err(|cause| format!("tls_server_config.{key}_file: cannot read {}: {cause}", path.display()))
        }
        (None, None) => Err(format!("tls_server_config.{key}_file is missing")),
    }
}

fn certificates(key: &str, pem: &[u8]) -> Outcome<Vec<CertificateDer<'static>>> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|cause| format!("tls_server_config.{key} holds no certificate: {cause}"))?;
    match chain.is_empty() {
        true => Err(format!("tls_server_config.{key} holds no certificate")),
        false => Ok(chain),
    }
}

/// How clients' certificates are checked; nothing where none is asked for.
fn clients(
    config: &TlsServerConfig,
    directory: &Path,
    provider: &Arc<CryptoProvider>,
) -> Outcome<Option<Arc<dyn ClientCertVerifier>>> {
    let has_authority = config.client_ca.is_some() || config.client_ca_file.is_some();
    if config.client_auth_type == ClientAuth::NoClientCert {
        return match has_authority {
            // An authority that nobody is checked against is a guard that is not there.
            true => Err("tls_server_config.client_ca_file is of no use without client_auth_type: \
                         RequireAndVerifyClientCert"
                .to_owned()),
            false => Ok(None),
        };
    }
    let authorities = pem("client_ca", config.client_ca.as_deref(), config.client_ca_file.as_deref(), directory)?;
    let mut roots = RootCertStore::empty();
    for authority in certificates("client_ca_file", &authorities)? {
        roots.add(authority).map_err(|cause| format!("tls_server_config.client_ca_file: {cause}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
    let builder = match config.client_auth_type {
        ClientAuth::VerifyClientCertIfGiven => builder.allow_unauthenticated(),
        _ => builder,
    };
    builder.build().map(Some).map_err(|cause| format!("tls_server_config.client_ca_file: {cause}"))
}

/// The suites and curves that are offered: all that are good, or those that are named.
fn provider(config: &TlsServerConfig) -> Outcome<CryptoProvider> {
    let mut provider = ring::default_provider();
    if !config.cipher_suites.is_empty() {
        for name in &config.cipher_suites {
            if !provider.cipher_suites.iter().any(|suite| is_named(suite, name)) {
                let known: Vec<_> = provider.cipher_suites.iter().map(name_of).collect();
                return Err(format!("tls_server_config.cipher_suites: there is no {name}, but {}", known.join(", ")));
            }
        }
        // The names are about TLS 1.2; the suites of TLS 1.3 are all good, and always there.
        provider
            .cipher_suites
            .retain(|suite| suite.tls13().is_some() || config.cipher_suites.iter().any(|name| is_named(suite, name)));
    }
    if !config.curve_preferences.is_empty() {
        let chosen = |curve: &Curve| -> Option<&'static dyn SupportedKxGroup> {
            let group = match curve {
                Curve::P256 => NamedGroup::secp256r1,
                Curve::P384 => NamedGroup::secp384r1,
                Curve::X25519 => NamedGroup::X25519,
            };
            provider.kx_groups.iter().copied().find(|known| known.name() == group)
        };
        provider.kx_groups = config.curve_preferences.iter().filter_map(chosen).collect();
    }
    Ok(provider)
}

/// A suite's name as Go has it.
fn name_of(suite: &SupportedCipherSuite) -> String {
    suite.suite().as_str().unwrap_or_default().replace("TLS13_", "TLS_")
}

fn is_named(suite: &SupportedCipherSuite, name: &str) -> bool {
    let known = name_of(suite);
    // Go knows two of them under a shorter name, too.
    known == name || known.strip_suffix("_SHA256").is_some_and(|short| short == name && short.ends_with("POLY1305"))
}
