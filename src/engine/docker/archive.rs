//! Files in and out of containers' volumes, as tar archives; no bind mounts, so that remote engines work too.

use super::failure::{Call, status};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::stack::{FileSpec, FileStat, Mount};
use bollard::Docker;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::BytesMut;
use futures_util::{TryStreamExt, stream};
use jiff::Timestamp;
use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

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
            let mut directory = header(0, 0o755, 0);
            directory.set_entry_type(tar::EntryType::Directory);
            directory.set_size(0);
            tar.append_data(&mut directory, format!("{}/", parent.display()), std::io::empty())?;
        }
        let mut header = header(file.owner, file.mode, file.date);
        header.set_size(file.contents.len() as u64);
        tar.append_data(&mut header, relative, file.contents.as_slice())?;
    }
    tar.into_inner()
}

/// Dates do not come from a clock, so that equal files make equal archives.
pub(super) fn header(owner: u32, mode: u32, date: u32) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_uid(u64::from(owner));
    header.set_gid(u64::from(owner));
    header.set_mode(mode);
    header.set_mtime(u64::from(date));
    header
}

/// How one file looks, without reading it.
pub async fn stat(docker: &Docker, container: &str, path: &str) -> Result<Option<FileStat>> {
    let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
    let seen = match docker.get_container_archive_info(container, Some(options)).await {
        Err(cause) if status(&cause) == Some(404) => return Ok(None),
        other => other.call(|| format!("look at {path} of {container}"))?,
    };
    let date = seen.modification_time.and_then(|text| text.parse::<Timestamp>().ok());
    Ok(Some(FileStat { size: seen.size.unsigned_abs(), date: date.map_or(0, Timestamp::as_second) }))
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

/// Writes what is in a directory into a file, as a tar whose paths begin at the directory.
pub async fn save(docker: &Docker, container: &str, directory: &str, into: &Path) -> Result<()> {
    let options = DownloadFromContainerOptionsBuilder::default().path(&format!("{directory}/.")).build();
    let mut chunks = docker.download_from_container(container, Some(options));
    let trouble = |cause: std::io::Error| {
        Error::new(Code::Usage, format!("cannot write {}: {cause}", into.display())).hint("Is there room on its disk?")
    };
    let mut file = tokio::fs::File::create(into).await.map_err(trouble)?;
    while let Some(chunk) = chunks.try_next().await.call(|| format!("read {directory} of {container}"))? {
        file.write_all(&chunk).await.map_err(trouble)?;
    }
    file.flush().await.map_err(trouble)
}

/// Unpacks a tar into a directory. Owners and modes are those in the tar.
pub async fn load(docker: &Docker, container: &str, directory: &str, from: &Path) -> Result<()> {
    let file = tokio::fs::File::open(from)
        .await
        .map_err(|cause| Error::new(Code::Usage, format!("cannot read {}: {cause}", from.display())))?;
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut chunk = BytesMut::with_capacity(128 << 10);
        let count = file.read_buf(&mut chunk).await?;
        Ok::<_, std::io::Error>((count > 0).then(|| (chunk.freeze(), file)))
    });
    let options = UploadToContainerOptionsBuilder::default().path(directory).build();
    docker
        .upload_to_container(container, Some(options), bollard::body_try_stream(chunks))
        .await
        .call(|| format!("put files into {directory} of {container}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::Begins;

    #[test]
    fn what_is_packed_is_unpacked_with_owners_and_modes() {
        let mount = Mount { part: "p", path: "/etc/x", begins: Begins::Empty };
        let files = [
            FileSpec::configuration("/etc/x/a.yml", b"a".to_vec()),
            FileSpec { owner: 472, mode: 0o400, date: 7, ..FileSpec::configuration("/etc/x/sub/b", b"bb".to_vec()) },
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
                header.mtime().expect("a date"),
            ));
        }
        let telltale = u64::from(FileSpec::telltale_date(b"a"));
        let expected = [("a.yml", 0, 0o644, telltale), ("sub/", 0, 0o755, 0), ("sub/b", 472, 0o400, 7)];
        assert_eq!(seen, expected.map(|(path, owner, mode, date)| (path.to_owned(), owner, mode, date)));
    }
}
