//! What `docker login` left for a registry: in the client's own file, in a helper program, or in Podman's file.

use bollard::BollardRequest;
use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError as Trouble, DockerCredential};

/// A login, and why none was found where one should be.
#[derive(Debug, Default)]
pub struct Login {
    /// What the engine is given; nothing for a pull by anybody.
    pub credentials: Option<DockerCredentials>,
    /// What went wrong with looking it up, in words for a pull that is then refused.
    pub trouble: Option<String>,
}

/// The login for the registry of an image. Looking it up may start a program, so it has a thread of its own.
pub async fn login(reference: &str) -> Login {
    let servers = servers(reference);
    let looked = tokio::task::spawn_blocking(move || look_up(&servers)).await;
    looked.unwrap_or_else(|cause| Login { credentials: None, trouble: Some(cause.to_string()) })
}

fn look_up(servers: &[String]) -> Login {
    let mut trouble = None;
    for server in servers {
        for found in [docker_credential::get_credential(server), docker_credential::get_podman_credential(server)] {
            match found {
                Ok(found) => return Login { credentials: Some(credentials(found, server)), trouble: None },
                Err(cause) => trouble = trouble.or_else(|| in_words(&cause)),
            }
        }
    }
    Login { credentials: None, trouble }
}

fn credentials(found: DockerCredential, server: &str) -> DockerCredentials {
    let serveraddress = Some(server.to_owned());
    match found {
        DockerCredential::UsernamePassword(username, password) => DockerCredentials {
            username: Some(username),
            password: Some(password),
            serveraddress,
            ..DockerCredentials::default()
        },
        DockerCredential::IdentityToken(token) => {
            DockerCredentials { identitytoken: Some(token), serveraddress, ..DockerCredentials::default() }
        }
    }
}

/// Trouble that a user should know; having no login is none.
fn in_words(cause: &Trouble) -> Option<String> {
    match cause {
        Trouble::NoCredentialConfigured | Trouble::ConfigNotFound | Trouble::ConfigReadError => None,
        // What every helper says of a registry nobody has logged in to.
        Trouble::HelperFailure { stdout, stderr, .. } if (stdout.clone() + stderr).contains("not found") => None,
        Trouble::HelperFailure { helper, stdout, stderr } => {
            let said = if stderr.trim().is_empty() { stdout } else { stderr };
            Some(format!("{helper} failed: {}", said.trim()))
        }
        // The crate does not tell the two apart.
        Trouble::HelperCommunicationError => Some(
            "the credential helper that Docker's config.json names cannot be started, or ended before it read what it \
             was asked"
                .to_owned(),
        ),
        other => Some(format!("the login kept for it cannot be read: {other}")),
    }
}

/// The names under which Docker Hub is asked; its login is kept under one of [`servers`]' own.
const HUB: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The keys under which a registry's login may be kept.
fn servers(reference: &str) -> Vec<String> {
    match reference.split_once('/') {
        Some((first, _)) if (first.contains(['.', ':']) || first == "localhost") && !HUB.contains(&first) => {
            vec![first.to_owned()]
        }
        _ => ["https://index.docker.io/v1/", "docker.io"].map(str::to_owned).to_vec(),
    }
}

/// Writes the login the way engines read it.
///
/// They want base64 for addresses, and bollard 0.21 writes the common one: a login in which the two differ would be
/// passed over without a word.
pub fn in_the_engines_alphabet(mut request: BollardRequest) -> BollardRequest {
    for name in ["x-registry-auth", "x-registry-config"] {
        if let Some(value) = request.headers_mut().get_mut(name)
            && let Ok(text) = value.to_str()
            && let Ok(written) = text.replace('+', "-").replace('/', "_").parse()
        {
            *value = written;
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_is_looked_up_by_registry() {
        for hub in ["prom/prometheus:v3", "docker.io/prom/prometheus:v3", "registry-1.docker.io/library/redis"] {
            assert_eq!(servers(hub), ["https://index.docker.io/v1/", "docker.io"], "{hub}");
        }
        assert_eq!(servers("ghcr.io/x/y"), ["ghcr.io"]);
        assert_eq!(servers("localhost:5000/x"), ["localhost:5000"]);
    }

    #[test]
    fn having_no_login_is_no_trouble_and_a_broken_helper_is() {
        let said = |text: &str| Trouble::HelperFailure {
            helper: "docker-credential-x".to_owned(),
            stdout: String::new(),
            stderr: text.to_owned(),
        };
        assert_eq!(in_words(&Trouble::NoCredentialConfigured), None);
        assert_eq!(in_words(&said("credentials not found in native keychain")), None);
        assert_eq!(in_words(&said("locked\n")).as_deref(), Some("docker-credential-x failed: locked"));
        assert!(in_words(&Trouble::HelperCommunicationError).is_some());
    }
}
