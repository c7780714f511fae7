//! Containers as an engine tells of them, where that is not in Docker's own words: Podman has a state `stopped`, between a
//! stop and the end of its own cleaning up, that bollard's types do not know.
//!
//! Asked only after the strict way has failed: the answer is read as plain JSON, and the word is put into Docker's.

use crate::error::{Error, Result};
use crate::exit_code::Code;
use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerSummary};
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::collections::HashMap;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// Where containers are asked about.
#[derive(Debug, Clone, Copy)]
pub struct Source<'a> {
    /// The strict way.
    pub docker: &'a Docker,
    /// The engine's address, for the lenient one; empty where there is none.
    pub address: &'a str,
}

impl<'a> Source<'a> {
    /// The strict way alone.
    pub fn strict(docker: &'a Docker) -> Self {
        Self { docker, address: "" }
    }

    /// All containers that the filters let through.
    pub async fn list(self, filters: &HashMap<String, Vec<String>>) -> Result<Vec<ContainerSummary>> {
        let filters = serde_json::to_string(filters).unwrap_or_default();
        let encoded: String = url::form_urlencoded::byte_serialize(filters.as_bytes()).collect();
        let answer = self.get(&format!("/containers/json?all=true&filters={encoded}")).await?;
        read(answer.unwrap_or_else(|| Value::Array(Vec::new())), "the list of containers")
    }

    /// One container; none where there is none of this name.
    pub async fn inspect(self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        let answer = self.get(&format!("/containers/{name}/json")).await?;
        answer.map(|answer| read(answer, name)).transpose()
    }

    /// The JSON behind a path; none where the engine says that there is nothing.
    async fn get(self, path: &str) -> Result<Option<Value>> {
        let failed =
            |cause: String| Error::new(Code::EngineFailed, format!("cannot ask {} for {path}: {cause}", self.address));
        let (scheme, place) = self.address.split_once("://").unwrap_or_default();
        let answered = match scheme {
            "unix" => ask(UnixStream::connect(place).await, path).await,
            "tcp" | "http" => ask(TcpStream::connect(place.trim_end_matches('/')).await, path).await,
            _ => return Err(failed("it speaks of containers in words that are not Docker's".to_owned())),
        };
        let (status, body) = answered.map_err(|cause| failed(cause.to_string()))?;
        if status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        let mut answer = serde_json::from_slice(&body).map_err(|cause| failed(cause.to_string()))?;
        in_dockers_words(&mut answer);
        Ok(Some(answer))
    }
}

async fn ask<S>(
    stream: std::io::Result<S>,
    path: &str,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream?)).await?;
    let connection = tokio::spawn(connection);
    let request = Request::get(path).header("host", "engine").body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    connection.abort();
    Ok((status, body))
}

/// What is stopped has exited, as Docker says it; the rest of the answer stays.
fn in_dockers_words(answer: &mut Value) {
    match answer {
        Value::Array(containers) => containers.iter_mut().for_each(in_dockers_words),
        Value::Object(fields) => {
            for key in ["State", "Status"] {
                match fields.get_mut(key) {
                    Some(Value::String(word)) if word == "stopped" => "exited".clone_into(word),
                    Some(nested @ Value::Object(_)) => in_dockers_words(nested),
                    _ => {}
                }
            }
        }
        _ => {}
    }
}

fn read<T: serde::de::DeserializeOwned>(answer: Value, what: &str) -> Result<T> {
    serde_json::from_value(answer)
        .map_err(|cause| Error::new(Code::EngineFailed, format!("cannot read what the engine says of {what}: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::ContainerStateStatusEnum;
    use serde_json::json;

    #[test]
    fn podmans_word_becomes_dockers_and_names_are_left_alone() {
        let mut list = json!([{"Id": "a", "State": "stopped", "Names": ["/stopped"]}, {"Id": "b", "State": "running"}]);
        in_dockers_words(&mut list);
        assert_eq!(
            list,
            json!([{"Id": "a", "State": "exited", "Names": ["/stopped"]}, {"Id": "b", "State": "running"}])
        );
        let mut one = json!({"Id": "a", "Name": "stopped", "State": {"Status": "stopped", "ExitCode": 0}});
        in_dockers_words(&mut one);
        let read: ContainerInspectResponse = read(one, "a").expect("a container");
        assert_eq!(read.state.and_then(|state| state.status), Some(ContainerStateStatusEnum::EXITED));
    }
}
