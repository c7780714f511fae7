//! Images: pulled with progress, looked at again when the stream has ended, carried in and out as archives, removed when
//! nobody needs them.

use super::credentials::{self, Login};
use super::failure::{Call, or_gone, status, words};
use crate::engine::{EngineImage, Transfer};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use bollard::Docker;
use bollard::errors::Error as Cause;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::{CreateImageOptionsBuilder, ImportImageOptionsBuilder, RemoveImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::HashMap;
use std::time::Duration;

/// The engine packs and unpacks whole images before it says its first word.
const PACKING_TIME_OUT: Duration = Duration::from_secs(60 * 60);

/// Pulls an image with the credentials that `docker login` left, and makes sure that the engine has it.
pub async fn pull(docker: &Docker, reference: &str, progress: &(dyn Fn(Transfer) + Send + Sync)) -> Result<()> {
    let (image, tag) = split(reference);
    let options = CreateImageOptionsBuilder::default().from_image(image).tag(tag).build();
    let Login { credentials, trouble } = credentials::login(reference).await;
    let mut stream = docker.create_image(Some(options), None, credentials);
    let mut layers = Layers::default();
    while let Some(message) = stream.next().await {
        let message = match message {
            Err(cause @ (Cause::DockerResponseServerError { .. } | Cause::DockerStreamError { .. })) => {
                return Err(unavailable(reference, &cause, trouble.as_deref()));
            }
            other => other.call(|| format!("pull {reference}"))?,
        };
        if let Some(transfer) = layers.take(&message) {
            progress(transfer);
        }
    }
    // A stream that was cut off ends like one that is done.
    match image_of(docker, reference).await? {
        Some(_) => Ok(()),
        None => Err(Error::new(Code::ImageUnavailable, format!("the pull of {reference} ended without the image"))
            .hint("The connection to the registry broke off. Run the command again.")
            .retryable()),
    }
}

/// What the engine knows of an image; none where it has none of this reference.
pub async fn image_of(docker: &Docker, reference: &str) -> Result<Option<EngineImage>> {
    let inspect = match docker.inspect_image(reference).await {
        Err(cause) if status(&cause) == Some(404) => return Ok(None),
        other => other.call(|| format!("look for the image {reference}"))?,
    };
    Ok(Some(EngineImage {
        id: inspect.id.unwrap_or_default(),
        layers: inspect.root_fs.and_then(|files| files.layers).unwrap_or_default(),
        bytes: inspect.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
        digests: inspect.repo_digests.unwrap_or_default(),
    }))
}

/// Images as one archive, in the form that `load` takes.
pub fn export(docker: &Docker, references: &[&str]) -> BoxStream<'static, Result<Bytes>> {
    let docker = docker.clone().with_timeout(PACKING_TIME_OUT);
    let named: Vec<String> = references.iter().map(|&reference| reference.to_owned()).collect();
    let names: Vec<&str> = named.iter().map(String::as_str).collect();
    let stream = docker.export_images(&names);
    let doing = format!("save {}", references.join(", "));
    stream.map(move |part| part.call(|| doing.clone())).boxed()
}

/// Takes in the images of an archive.
pub async fn load(docker: &Docker, archive: BoxStream<'static, std::io::Result<Bytes>>) -> Result<()> {
    let docker = docker.clone().with_timeout(PACKING_TIME_OUT);
    let mut stream =
        docker.import_image_stream(ImportImageOptionsBuilder::default().quiet(true).build(), archive, None);
    while let Some(message) = stream.next().await {
        match message {
            Ok(_) => {}
            Err(Cause::DockerStreamError { error }) => {
                return Err(Error::new(Code::ImageUnavailable, format!("cannot load the images: {}", words(&error))));
            }
            Err(cause) => return Err(cause).call(|| "load the images"),
        }
    }
    Ok(())
}

fn unavailable(reference: &str, cause: &Cause, login_trouble: Option<&str>) -> Error {
    let text = match cause {
        Cause::DockerResponseServerError { message, .. } => words(message),
        other => words(&other.to_string()),
    };
    let is_refused =
        ["unauthorized", "denied", "authentication", "no basic auth"].iter().any(|word| text.contains(word));
    let hint = match login_trouble {
        Some(trouble) if is_refused => format!("No login was sent, since {trouble}. Mend it, or log in with docker login."),
        None if is_refused => {
            format!("Log in with docker login where {reference} is private, or see whether the name is right.")
        }
        _ if ["toomanyrequests", "rate limit"].iter().any(|word| text.contains(word)) => {
            "The registry gives this address no more for now: docker login raises the limit, a mirror (images.mirror in \
             qastack.yaml) has none, and later it gives again."
                .to_owned()
        }
        _ if text.contains("not found") || text.contains("manifest unknown") => {
            format!("See whether {reference} is the right name and tag, or name another image under images in qastack.yaml.")
        }
        _ => "Without a way to the registry, name a mirror (images.mirror in qastack.yaml), or bring the images in a file: \
              qastack images save FILE on a machine that has them, qastack images load FILE here."
            .to_owned(),
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
    /// The highest share so far: a size that is told late makes the whole larger, and must not take it back either.
    percent: u8,
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
        let (done, total) =
            self.bytes.values().fold((0, 0), |(done, total), layer| (done + layer.done, total + layer.total));
        self.percent = self.percent.max(Transfer::share(done, total));
        Some(Transfer { done, total, percent: self.percent })
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
    fn progress_never_goes_back() {
        let message = |id: &str, status: &str, current, total| CreateImageInfo {
            id: Some(id.to_owned()),
            status: Some(status.to_owned()),
            progress_detail: Some(ProgressDetail { current, total }),
            ..CreateImageInfo::default()
        };
        let mut layers = Layers::default();
        let mut last = Transfer::default();
        for (id, status, current, total) in [
            ("a", "Downloading", Some(10), Some(100)),
            ("b", "Downloading", Some(50), None),
            ("a", "Downloading", Some(90), Some(100)),
            ("a", "Downloading", Some(5), Some(100)),
            ("b", "Download complete", None, None),
            ("c", "Downloading", Some(1), Some(900)),
            ("c", "Download complete", None, None),
            ("a", "Pull complete", None, None),
        ] {
            let transfer = layers.take(&message(id, status, current, total)).expect("bytes");
            assert!(transfer.done >= last.done && transfer.done <= transfer.total, "{transfer:?}");
            assert!(transfer.percent >= last.percent, "{transfer:?} after {last:?}");
            last = transfer;
        }
        assert_eq!((last.done, last.percent), (1050, 100));
        assert!(layers.take(&message("a", "Extracting", Some(1), Some(2))).is_none());
    }
}
