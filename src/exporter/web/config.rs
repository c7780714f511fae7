//! The file's keys, as exporter-toolkit has them. What is not possible here is refused where it stands.

use crate::secret::Secret;
use axum::http::{HeaderName, HeaderValue};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The whole file.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct WebConfig {
    pub(super) tls_server_config: Option<TlsServerConfig>,
    pub(super) http_server_config: HttpServerConfig,
    /// The bcrypt hash of each user's password.
    pub(super) basic_auth_users: BTreeMap<String, PasswordHash>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct TlsServerConfig {
    pub(super) cert: Option<String>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key: Option<InlineKey>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) client_auth_type: ClientAuth,
    pub(super) client_ca: Option<String>,
    pub(super) client_ca_file: Option<PathBuf>,
    pub(super) client_allowed_sans: Nothing,
    pub(super) min_version: Version,
    pub(super) max_version: Option<Version>,
    pub(super) cipher_suites: Vec<String>,
    pub(super) curve_preferences: Vec<Curve>,
    pub(super) prefer_server_cipher_suites: Option<bool>,
}

impl TlsServerConfig {
    /// The files it names.
    pub(super) fn files(&self, directory: &Path) -> Vec<PathBuf> {
        let named = [&self.cert_file, &self.key_file, &self.client_ca_file];
        named.into_iter().flatten().map(|path| directory.join(path)).collect()
    }
}

/// Whether clients show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub(super) enum ClientAuth {
    #[default]
    #[serde(alias = "")]
    NoClientCert,
    VerifyClientCertIfGiven,
    RequireAndVerifyClientCert,
}

/// The versions of TLS that are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Deserialize)]
pub(super) enum Version {
    #[default]
    #[serde(rename = "TLS12")]
    Tls12,
    #[serde(rename = "TLS13")]
    Tls13,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(super) enum Curve {
    #[serde(rename = "CurveP256")]
    P256,
    #[serde(rename = "CurveP384")]
    P384,
    X25519,
}

/// A key that stands in the file itself.
pub(super) struct InlineKey(pub(super) Secret);

impl<'de> Deserialize<'de> for InlineKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

/// A list that has to be empty: what it would ask for is not possible here, and must not be ignored.
#[derive(Default)]
pub(super) struct Nothing;

impl<'de> Deserialize<'de> for Nothing {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Vec::<String>::deserialize(deserializer)?.is_empty() {
            true => Ok(Self),
            false => Err(D::Error::custom(
                "client_allowed_sans is not possible here: let client_ca_file name an authority of your own",
            )),
        }
    }
}

/// The bcrypt hash of a password.
#[derive(Clone)]
pub(super) struct PasswordHash(pub(super) String);

impl<'de> Deserialize<'de> for PasswordHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse::<bcrypt::HashParts>() {
            Ok(_) => Ok(Self(text)),
            Err(_) => {
                Err(D::Error::custom("a password stands here as its bcrypt hash, which `htpasswd -nBC 10 NAME` makes"))
            }
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct HttpServerConfig {
    /// Read and without meaning: HTTP/1.1 is what is spoken.
    #[serde(rename = "http2")]
    _http2: Option<bool>,
    headers: Headers,
}

impl HttpServerConfig {
    pub(super) fn headers(self) -> Vec<(HeaderName, HeaderValue)> {
        self.headers.0
    }
}

#[derive(Default)]
struct Headers(Vec<(HeaderName, HeaderValue)>);

/// The headers that may be set, each with the only values it may have; none where any may be.
const ALLOWED: [(&str, &[&str]); 5] = [
    ("content-security-policy", &[]),
    ("strict-transport-security", &[]),
    ("x-content-type-options", &["nosniff"]),
    ("x-frame-options", &["deny", "sameorigin"]),
    ("x-xss-protection", &[]),
];

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // One pair at a time, so that a mistake is told with its own line.
        struct Pairs;
        impl<'de> serde::de::Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("headers and their values")
            }

            fn visit_unit<E>(self) -> Result<Headers, E> {
                Ok(Headers::default())
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(Name(name, values)) = map.next_key()? {
                    let value: Value = map.next_value_seed(Values(values))?;
                    headers.push((name, value));
                }
                Ok(Headers(headers))
            }
        }
        deserializer.deserialize_map(Pairs)
    }
}

/// The name of a header that may be set, and its possible values.
struct Name(HeaderName, &'static [&'static str]);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        let known = ALLOWED.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
        known.map(|(name, values)| Self(HeaderName::from_static(name), values)).ok_or_else(|| {
            let names: Vec<_> = ALLOWED.iter().map(|(name, _)| *name).collect();
            D::Error::custom(format!("the header {name:?} cannot be set; these can: {}", names.join(", ")))
        })
    }
}

type Value = HeaderValue;

/// Reads a value that is one of these, or any where there is none.
struct Values(&'static [&'static str]);

impl<'de> serde::de::DeserializeSeed<'de> for Values {
    type Value = HeaderValue;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<HeaderValue, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !self.0.is_empty() && !self.0.iter().any(|value| text.eq_ignore_ascii_case(value)) {
            return Err(D::Error::custom(format!("{text:?} is not one of {}", self.0.join(", "))));
        }
        text.parse().map_err(|_| D::Error::custom(format!("{text:?} cannot stand in a header")))
    }
}
