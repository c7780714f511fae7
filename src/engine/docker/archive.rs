//! Files in and out of containers' volumes, as tar archives; no bind mounts, so that remote engines work too.

use super::failure::{Call, status};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{FileSpec, Mount};
use bollard::Docker;
use bollard::query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder};
use futures_util::TryStreamExt;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

/// More than any configuration or secret of ours has; a larger file is not ours.
const LARGEST_FILE: u64 = 4 << 20;

/// Puts files below a mount.
pub async fn put(docker: &Docker, container: &str, mount: &Mount, files: &[FileSpec]) -> Result<()> {
    let tar =
        pack(mount, files).map_err(|cause| Error::new(Code::Unexpected, format!("cannot pack files: {cause}")))?;
    let options = UploadToContainerOptionsBuilder::default().path(mount.path).build();
    docker
        .upload_to_container(container, Some(options), bollard::body_full(tar.into()))
        .await
        .call(|| format!("put files into {} of {container}", mount.path))
}

fn pack(mount: &Mount, files: &[FileSpec]) -> std::io::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut directories = BTreeSet::new();
    for file in files {
        let relative = file.path.strip_prefix(mount.path).unwrap_or(&file.path).trim_start_matches('/');
        if let Some(parent) = Path::new(relative).parent().filter(|parent| !parent.as_os_str().is_empty())
            && directories.insert(parent.to_owned())
        {
            let mut directory = header(0, 0o755);
            directory.set_entry_type(tar::EntryType::Directory);
            directory.set_size(0);
            tar.append_data(&mut directory, format!("{}/", parent.display()), std::io::empty())?;
        }
        let mut header = header(file.owner, file.mode);
        header.set_size(file.contents.len() as u64);
        tar.append_data(&mut header, relative, file.contents.as_slice())?;
    }
    tar.into_inner()
}

/// Dates are left at zero, so that equal files make equal archives.
pub(super) fn header(owner: u32, mode: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(u64::from(owner));
    header.set_gid(u64::from(owner));
    header.set_mode(mode);
    header
}

/// The files below a directory, by absolute path.
pub async fn get(docker: &Docker, container: &str, directory: &str) -> Result<Vec<(String, Vec<u8>)>> {
    let options = DownloadFromContainerOptionsBuilder::default().path(directory).build();
    let chunks = docker.download_from_container(container, Some(options)).try_collect::<Vec<_>>().await;
    let chunks = match chunks {
        // Not there yet: a container that was made and never given its files.
        Err(cause) if status(&cause) == Some(404) => return Ok(Vec::new()),
        other => other.call(|| format!("read {directory} of {container}"))?,
    };
    unpack(directory, &chunks.concat())
        .map_err(|cause| Error::new(Code::EngineFailed, format!("cannot read {directory} of {container}: {cause}")))
}

fn unpack(directory: &str, tar: &[u8]) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    // The archive's paths begin with the directory's own last component.
    let parent = Path::new(directory).parent().unwrap_or(Path::new("/"));
    let mut files = Vec::new();
    for entry in tar::Archive::new(tar).entries()? {
        let entry = entry?;
        if !entry.header().entry_type().is_file() || entry.size() > LARGEST_FILE {
            continue;
        }
        let path = parent.join(entry.path()?).to_string_lossy().into_owned();
        let mut contents = Vec::new();
        entry.take(LARGEST_FILE).read_to_end(&mut contents)?;
        files.push((path, contents));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Begins;

    #[test]
    fn what_is_packed_is_unpacked_with_owners_and_modes() {
        let mount = Mount { part: "p", path: "/etc/x", begins: Begins::Empty };
        let files = [
            FileSpec { path: "/etc/x/a.yml".to_owned(), contents: b"a".to_vec(), owner: 0, mode: 0o644 },
            FileSpec { path: "/etc/x/sub/b".to_owned(), contents: b"bb".to_vec(), owner: 472, mode: 0o400 },
        ];
        let tar = pack(&mount, &files).expect("packed");
        let mut seen = Vec::new();
        for entry in tar::Archive::new(tar.as_slice()).entries().expect("entries") {
            let entry = entry.expect("an entry");
            let header = entry.header();
            seen.push((
                entry.path().expect("a path").display().to_string(),
                header.uid().expect("an owner"),
                header.mode().expect("a mode"),
            ));
        }
        let expected = [("a.yml", 0, 0o644), ("sub/", 0, 0o755), ("sub/b", 472, 0o400)];
        assert_eq!(seen, expected.map(|(path, owner, mode)| (path.to_owned(), owner, mode)));
    }
}
