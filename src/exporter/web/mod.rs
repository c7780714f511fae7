//! How the port is guarded: TLS, users with passwords, further headers, from a file in the format of Prometheus'
//! exporter-toolkit (`--web.config.file`).
//!
//! The file, and the certificates it names, are looked at again for each connection and each request, so that a
//! renewed certificate is used at once. A file that has become unusable changes nothing. It must never decide about
//! tokens.

mod config;
mod port;
mod tls;
mod users;

pub use port::{Greeting, greet};

use crate::error::{Error, Result};
use crate::exit_code::Code;
use axum::http::{HeaderName, HeaderValue};
use config::WebConfig;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;
use users::Users;

/// The guard of a port.
#[derive(Debug)]
pub struct Web {
    path: PathBuf,
    in_force: RwLock<Arc<WebInForce>>,
}

/// The guard as the file said it when it was read last.
#[derive(Debug, Clone)]
pub struct WebInForce {
    /// How TLS is spoken; nothing where it is not.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Headers of every answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Who may come in; everybody where there is none.
    pub users: Arc<Users>,
    /// The files it was made from, as they were then.
    files: Vec<(PathBuf, Option<Stamp>)>,
}

/// By what a changed file is known: its date and its size.
type Stamp = (SystemTime, u64);

impl Web {
    /// Reads the file.
    ///
    /// # Errors
    /// The file, or one that it names, cannot be read or used; the message has file and line.
    pub fn load(path: &Path) -> Result<Self> {
        let in_force = RwLock::new(Arc::new(read(path)?));
        Ok(Self { path: path.to_owned(), in_force })
    }

    /// The guard as the file says it now.
    pub fn in_force(&self) -> Arc<WebInForce> {
        let current = Arc::clone(&self.in_force.read().unwrap_or_else(PoisonError::into_inner));
        if current.is_current() {
            return current;
        }
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        if in_force.is_current() {
            // Another request was first.
            return Arc::clone(&in_force);
        }
        match read(&self.path) {
            Ok(next) => {
                tracing::info!(path = %self.path.display(), "the web configuration changed and is in force");
                *in_force = Arc::new(next);
            }
            Err(error) => {
                tracing::error!(%error, "the web configuration cannot be used: the one in force stays");
                // It is tried again when a file changes again, and not for each request.
                let files = in_force.files.iter().map(|(path, _)| (path.clone(), stamp(path))).collect();
                *in_force = Arc::new(WebInForce { files, ..WebInForce::clone(&in_force) });
            }
        }
        Arc::clone(&in_force)
    }
}

impl WebInForce {
    fn is_current(&self) -> bool {
        self.files.iter().all(|(path, then)| stamp(path) == *then)
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}

fn read(path: &Path) -> Result<WebInForce> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // The stamps are older than what is read, so that a change in between is seen.
    let own = (path.to_owned(), stamp(path));
    let wrong = |what: String| Error::new(Code::SettingsInvalid, format!("{}: {what}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|cause| {
        Error::new(Code::SettingsInvalid, format!("cannot read the web configuration {}: {cause}", path.display()))
    })?;
    let config: Option<WebConfig> = serde_yaml::from_str(&text).map_err(|error| {
        let mut what = error.to_string();
        if !what.contains(" line ") {
            // What the reader finds at the very first character it says without a place.
            what.push_str(" at line 1 column 1");
        }
        wrong(what).hint("docs/web-configuration.md shows every key; `promtool check web-config` reads it too.")
    })?;
    // An empty file guards nothing.
    let config = config.unwrap_or_default();
    let named = config.tls_server_config.iter().flat_map(|tls| tls.files(directory));
    let files: Vec<_> = std::iter::once(own).chain(named.map(|path| (path.clone(), stamp(&path)))).collect();
    let tls = config.tls_server_config.map(|tls| tls::server_config(tls, directory).map_err(wrong)).transpose()?;
    let headers = config.http_server_config.headers();
    Ok(WebInForce { tls, headers, users: Arc::new(Users::new(config.basic_auth_users)), files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.yml");
        std::fs::write(&path, text).unwrap();
        let error = Web::load(&path).unwrap_err();
        assert_eq!(error.code().exit(), 10);
        error.message().to_owned()
    }

    #[test]
    fn a_mistake_is_told_with_its_file_and_line() {
        for (text, expected) in [
            ("basic_auth_user: {}\n", "line 1"),
            ("basic_auth_users:\n  ann: secret\n", "line 2"),
            ("http_server_config:\n  headers:\n    X-Powered-By: us\n", "line 3"),
            ("http_server_config:\n  headers:\n    X-Frame-Options: maybe\n", "line 3"),
            ("tls_server_config:\n  cert_file: c\n  key_file: k\n  min_version: TLS10\n", "line 4"),
            ("tls_server_config:\n  cert_file: c\n  key_file: k\n  client_auth_type: Maybe\n", "line 4"),
            ("tls_server_config:\n  cert_file: c\n", "key_file"),
            ("tls_server_config:\n  cert_file: c\n  key_file: k\n", "cert_file"),
            ("a: [", "line 1"),
        ] {
            let said = refusal(text);
            assert!(said.contains("web.yml") && said.contains(expected), "{text}: {said}");
        }
    }

    #[test]
    fn an_empty_file_guards_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("web.yml");
        std::fs::write(&path, "# nothing yet\n").unwrap();
        let in_force = Web::load(&path).unwrap().in_force();
        assert!(in_force.tls.is_none() && in_force.headers.is_empty() && in_force.users.is_empty());
    }
}
