//! Images: pulled with progress, looked at again when the stream has ended, removed when nobody needs them.

use super::failure::{Call, or_gone, status, words};
use super::observe;
use crate::engine::Transfer;
use crate::error::{Error, Result};
use crate::exit_code::Code;
use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::errors::Error as Cause;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder};
use docker_credential::DockerCredential;
use futures_util::StreamExt;
use std::collections::HashMap;

/// Pulls an image with the credentials that `docker login` left, and makes sure that the engine has it.
pub async fn pull(docker: &Docker, reference: &str, progress: &(dyn Fn(Transfer) + Send + Sync)) -> Result<()> {
    let (image, tag) = split(reference);
    let options = CreateImageOptionsBuilder::default().from_image(image).tag(tag).build();
    let mut stream = docker.create_image(Some(options), None, credentials(reference).await);
    let mut layers = Layers::default();
    while let Some(message) = stream.next().await {
        let message = match message {
            Err(cause @ (Cause::DockerResponseServerError { .. } | Cause::DockerStreamError { .. })) => {
                return Err(unavailable(reference, &cause));
            }
            other => other.call(|| format!("pull {reference}"))?,
        };
        if let Some(transfer) = layers.take(&message) {
            progress(transfer);
        }
    }
    // A stream that was cut off ends like one that is done.
    match observe::image(docker, reference).await? {
        Some(_) => Ok(()),
        None => Err(Error::new(Code::ImageUnavailable, format!("the pull of {reference} ended without the image"))
            .hint("The connection to the registry broke off. Run the command again.")
            .retryable()),
    }
}

fn unavailable(reference: &str, cause: &Cause) -> Error {
    let text = match cause {
        Cause::DockerResponseServerError { message, .. } => words(message),
        other => words(&other.to_string()),
    };
    let hint = if text.contains("unauthorized") || text.contains("denied") || text.contains("authentication") {
        format!("Log in with docker login where {reference} is private, or see whether the name is right.")
    } else if text.contains("not found") || text.contains("manifest unknown") {
        format!(
            "See whether {reference} is the right name and tag, or name another image under images in qastack.yaml."
        )
    } else {
        format!(
            "Without a way to the registry, bring the image onto this engine by hand (docker save {reference} elsewhere, \
             docker load here), or name one that is there under images in qastack.yaml."
        )
    };
    Error::new(Code::ImageUnavailable, format!("cannot pull {reference}: {text}")).hint(hint).retryable()
}

/// The name and the tag or digest; without a tag the engine would pull every one.
fn split(reference: &str) -> (&str, &str) {
    if let Some((name, digest)) = reference.split_once('@') {
        return (name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(name, _)| name), digest);
    }
    match reference.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (reference, "latest"),
    }
}

/// Bytes of all layers; a layer that starts anew, or one whose size is told late, never takes the sum back.
#[derive(Debug, Default)]
struct Layers {
    bytes: HashMap<String, Transfer>,
}

impl Layers {
    fn take(&mut self, message: &CreateImageInfo) -> Option<Transfer> {
        let id = message.id.as_ref()?;
        let status = message.status.as_deref().unwrap_or_default();
        let layer = self.bytes.entry(id.clone()).or_default();
        let detail = message.progress_detail.as_ref();
        let told = |amount: Option<i64>| amount.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or_default();
        match status {
            "Downloading" => {
                layer.done = layer.done.max(told(detail.and_then(|detail| detail.current)));
                layer.total = layer.total.max(told(detail.and_then(|detail| detail.total))).max(layer.done);
            }
            "Download complete" | "Pull complete" => layer.done = layer.total,
            _ => return None,
        }
        let sum = self.bytes.values().fold(Transfer::default(), |sum, layer| Transfer {
            done: sum.done + layer.done,
            total: sum.total + layer.total,
        });
        Some(sum)
    }
}

/// What `docker login` left for the registry; looking it up may start a program, so it has a thread of its own.
async fn credentials(reference: &str) -> Option<DockerCredentials> {
    let registry = registry(reference).to_owned();
    let found = tokio::task::spawn_blocking(move || docker_credential::get_credential(&registry)).await.ok()?;
    match found.ok()? {
        DockerCredential::UsernamePassword(username, password) => Some(DockerCredentials {
            username: Some(username),
            password: Some(password),
            ..DockerCredentials::default()
        }),
        DockerCredential::IdentityToken(token) => {
            Some(DockerCredentials { identitytoken: Some(token), ..DockerCredentials::default() })
        }
    }
}

/// The key under which a registry's login is kept.
fn registry(reference: &str) -> &str {
    match reference.split_once('/') {
        Some((first, _)) if first.contains(['.', ':']) || first == "localhost" => first,
        _ => "https://index.docker.io/v1/",
    }
}

/// Removes an image; one that is gone, or that a container of whatever project was made from, is left.
pub async fn remove(docker: &Docker, id: &str) -> Result<()> {
    let options = RemoveImageOptionsBuilder::default().force(false).build();
    match docker.remove_image(id, Some(options), None).await {
        Err(cause) if status(&cause) == Some(409) => Ok(()),
        other => or_gone(other).map(|_| ()).call(|| format!("remove the image {id}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ProgressDetail;

    #[test]
    fn a_reference_is_split_into_name_and_tag() {
        assert_eq!(split("grafana/grafana:12.4.0"), ("grafana/grafana", "12.4.0"));
        assert_eq!(split("localhost:5000/a/b"), ("localhost:5000/a/b", "latest"));
        assert_eq!(split("localhost:5000/a:1"), ("localhost:5000/a", "1"));
        assert_eq!(split("a/b:1@sha256:00"), ("a/b", "sha256:00"));
    }

    #[test]
    fn a_login_is_looked_up_by_registry() {
        assert_eq!(registry("prom/prometheus:v3"), "https://index.docker.io/v1/");
        assert_eq!(registry("ghcr.io/x/y"), "ghcr.io");
        assert_eq!(registry("localhost:5000/x"), "localhost:5000");
    }

    #[test]
    fn progress_never_goes_back() {
        let message = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(ProgressDetail { current, total }),
            ..CreateImageInfo::default()
        };
        let mut layers = Layers::default();
        let mut last = 0;
        for (id, status, current, total) in [
            ("a", "Downloading", Some(10), Some(100)),
            ("b", "Downloading", Some(50), None),
            ("a", "Downloading", Some(90), Some(100)),
            ("a", "Downloading", Some(5), Some(100)),
            ("b", "Download complete", None, None),
            ("a", "Pull complete", None, None),
        ] {
            let transfer = layers.take(&message(id, status, current, total)).expect("bytes");
            assert!(transfer.done >= last && transfer.done <= transfer.total, "{transfer:?}");
            last = transfer.done;
        }
        assert_eq!(last, 150);
        assert!(layers.take(&message("a", "Extracting", Some(1), Some(2))).is_none());
    }
}
