//! The exporter's image, built from the running executable through the engine's build API.

use super::archive::header;
use super::failure::{Call, words};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{Names, labels};
use bollard::Docker;
use bollard::errors::Error as Cause;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder};
use bytes::Bytes;
use futures_util::StreamExt;
use std::collections::HashMap;

/// The recipe: the same that builds the image from the repository.
const RECIPE: &str = include_str!("../../../templates/exporter.Dockerfile");

/// Builds the image, from nothing but the executable.
pub async fn build(docker: &Docker, names: &Names, reference: &str, executable: &[u8]) -> Result<()> {
    let version = docker.version().await.call(|| "ask the engine for its version")?;
    check_executable(executable, &version.arch.unwrap_or_default())?;
    let context = context(executable)
        .map_err(|cause| Error::new(Code::Unexpected, format!("cannot pack the build context: {cause}")))?;
    let labels: HashMap<String, String> = labels::common(names).into_iter().collect();
    let options = BuildImageOptionsBuilder::default().t(reference).rm(true).forcerm(true).labels(&labels);
    let context = Bytes::from(context);
    match attempt(docker, options.clone().build(), context.clone()).await {
        // A layer of the cache was another project's, which has just removed it.
        Err(Cause::DockerStreamError { error }) if error.contains("unknown parent image") => {
            attempt(docker, options.nocache(true).build(), context).await
        }
        outcome => outcome,
    }
    .or_else(|cause| match cause {
        Cause::DockerStreamError { error } => {
            Err(Error::new(Code::ImageUnavailable, format!("cannot build {reference}: {}", words(&error))))
        }
        cause => Err(cause).call(|| format!("build the image {reference}")),
    })
}

async fn attempt(docker: &Docker, options: BuildImageOptions, context: Bytes) -> Result<(), Cause> {
    let mut stream = docker.build_image(options, None, Some(bollard::body_full(context)));
    while let Some(message) = stream.next().await {
        message?;
    }
    Ok(())
}

fn context(executable: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::with_capacity(executable.len() + 4096));
    let mut recipe = header(0, 0o644, 0);
    recipe.set_size(RECIPE.len() as u64);
    tar.append_data(&mut recipe, "Dockerfile", RECIPE.as_bytes())?;
    let mut program = header(0, 0o755, 0);
    program.set_size(executable.len() as u64);
    tar.append_data(&mut program, "qastack", executable)?;
    let mut data = header(0, 0o755, 0);
    data.set_entry_type(tar::EntryType::Directory);
    data.set_size(0);
    tar.append_data(&mut data, "data/", std::io::empty())?;
    tar.into_inner()
}

/// Whether this executable can be the only file of a Linux image on an engine of that architecture, in Go's words.
fn check_executable(executable: &[u8], engine: &str) -> Result<()> {
    let cannot = |why: String| {
        Err(Error::new(Code::ImageUnavailable, format!("cannot make the exporter's image from this executable: {why}"))
            .hint(
                "Build the image where that is possible: docker build -t test-metrics . in qastack's repository; \
             then name it: images: { test-metrics: test-metrics } in qastack.yaml.",
            ))
    };
    match Program::read(executable) {
        None => cannot("it is not a Linux program".to_owned()),
        Some(program) if program.is_dynamic => {
            cannot("it is dynamically linked, and the image holds no libraries".to_owned())
        }
        Some(program) if program.architecture != engine => {
            cannot(format!("it is for {}, and the engine runs {engine}", program.architecture))
        }
        Some(_) => Ok(()),
    }
}

/// What an ELF header tells of a program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    architecture: &'static str,
    is_dynamic: bool,
}

impl Program {
    /// Reads a 64-bit little-endian ELF file; anything else is none.
    fn read(bytes: &[u8]) -> Option<Self> {
        const INTERPRETER: u32 = 3;
        if bytes.get(..6)? != [0x7f, b'E', b'L', b'F', 2, 1] {
            return None;
        }
        let half = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let architecture = match half(18)? {
            0x3e => "amd64",
            0xb7 => "arm64",
            0xf3 => "riscv64",
            _ => return None,
        };
        let headers = usize::try_from(u64::from_le_bytes(bytes.get(32..40)?.try_into().ok()?)).ok()?;
        let (size, count) = (usize::from(half(54)?), usize::from(half(56)?));
        let is_dynamic = (0..count).any(|index| word(headers + index * size) == Some(INTERPRETER));
        Some(Self { architecture, is_dynamic })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_running_test_is_static_and_the_shell_is_not() {
        let own = std::fs::read(std::env::current_exe().expect("a path")).expect("bytes");
        assert!(!Program::read(&own).expect("ELF").is_dynamic);
        let shell = std::fs::read("/bin/sh").expect("bytes");
        assert!(Program::read(&shell).expect("ELF").is_dynamic);
        assert_eq!(Program::read(b"#!/bin/sh\n"), None);
        assert_eq!(Program::read(&own[..40]), None);
    }
}
