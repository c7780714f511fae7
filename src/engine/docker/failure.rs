//! bollard's errors, told as what was being done to what.

use crate::error::{Error, Result, chain};
use crate::exit_code::Code;
use bollard::errors::Error as Cause;
use std::fmt::Display;

/// Names what was being done when a call to the engine failed.
pub trait Call<T> {
    /// `doing` completes "cannot …": `create the network qastack-network`.
    fn call<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T>;
}

impl<T> Call<T> for Result<T, Cause> {
    fn call<D: Display>(self, doing: impl FnOnce() -> D) -> Result<T> {
        self.map_err(|cause| failure(&cause, &doing()))
    }
}

fn failure(cause: &Cause, doing: &dyn Display) -> Error {
    match cause {
        Cause::DockerResponseServerError { message, .. } => {
            Error::new(Code::EngineFailed, format!("cannot {doing}: {}", words(message)))
        }
        Cause::RequestTimeoutError => {
            Error::new(Code::EngineUnreachable, format!("cannot {doing}: the container engine did not answer in time"))
                .hint("See whether it hangs: docker info. Restart it, then run the command again.")
                .retryable()
        }
        Cause::HttpClientError { .. }
        | Cause::HyperResponseError { .. }
        | Cause::HyperLegacyError { .. }
        | Cause::IOError { .. } => Error::new(
            Code::EngineUnreachable,
            format!("cannot {doing}: the container engine went away: {}", chain(cause)),
        )
        .hint("See whether it runs: docker info. Then run the command again.")
        .retryable(),
        other => Error::new(Code::EngineFailed, format!("cannot {doing}: {}", chain(other))),
    }
}

/// The engine's text in one line.
pub fn words(message: &str) -> String {
    message.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The status an engine answered with.
pub fn status(cause: &Cause) -> Option<u16> {
    match cause {
        Cause::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Takes "there is no such object" as done.
pub fn or_gone<T: Default>(result: Result<T, Cause>) -> Result<T, Cause> {
    match result {
        Err(cause) if status(&cause) == Some(404) => Ok(T::default()),
        other => other,
    }
}
