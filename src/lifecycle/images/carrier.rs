//! One file that carries the stack to a machine without a way to a registry: this program and the images it pulls, with
//! their checksums.
//!
//! It is a plain tar archive: `qastack`, `images.tar.zst` (what the engine itself saves and loads), `manifest.json`. The
//! manifest comes last, since the sums are known only then; nothing is loaded before they are checked.

use crate::engine::{Engine, EngineImage, Transfer};
use crate::error::{Error, Result};
use crate::exit_code::Code;
use crate::hex::hex;
use crate::lifecycle::event::{Event, Observer};
use crate::stack::{ImageSource, StackSpec};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;
use tokio::sync::mpsc;

/// Raised when an older program cannot read the file any more.
const FORMAT: u32 = 1;
const PROGRAM: &str = "qastack";
const IMAGES: &str = "images.tar.zst";
const MANIFEST: &str = "manifest.json";
/// A header and every file's end are filled up to this.
const BLOCK: u64 = 512;
/// What is read at a time.
const CHUNK: usize = 256 << 10;
/// How many chunks may wait between the file and the engine.
const WAITING: usize = 8;

/// What a file carries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Carried {
    format: u32,
    /// The version that wrote it.
    pub qastack: String,
    /// The CPU architecture of the images.
    pub architecture: String,
    /// The images.
    pub images: Vec<CarriedImage>,
    files: Vec<CarriedFile>,
}

/// An image in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedImage {
    /// The reference it is known by.
    pub reference: String,
    /// Its id on the engine that saved it. One that keeps its images in another way gives them other ids.
    pub id: String,
    /// The digests of its layers, which are the same on every engine.
    #[serde(default)]
    pub layers: Vec<String>,
}

impl CarriedImage {
    /// Whether an engine has this one. A file of an older version does not tell the layers: its sums must do, then.
    fn is(&self, found: &EngineImage) -> bool {
        found.id == self.id || self.layers.is_empty() || found.layers == self.layers
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct CarriedFile {
    name: String,
    sha256: String,
    bytes: u64,
}

/// Writes the images that the engine has, and this program, into a file.
///
/// # Errors
/// An image is not there or is named by a digest, or the file cannot be written.
pub async fn save<E: Engine>(
    engine: &E,
    spec: &StackSpec,
    program: &[u8],
    path: &Path,
    observer: &dyn Observer,
) -> Result<(Carried, u64)> {
    let began = Instant::now();
    let images = images_to_save(engine, spec).await?;
    let part = || "images".to_owned();
    observer.observe(Event::Working { part: part(), doing: format!("save into {}", path.display()) });
    let references: Vec<&str> = images.iter().map(|image| image.reference.as_str()).collect();
    let archive = engine.export_images(&references);
    let carried = Carried {
        format: FORMAT,
        qastack: env!("CARGO_PKG_VERSION").to_owned(),
        architecture: engine.machine().await?.architecture,
        images,
        files: Vec::new(),
    };
    // Beside its place first, so that a file of this name is always whole.
    let beside = path.with_extension("partial");
    let trouble = |cause: io::Error| file_trouble("write", path, &cause);
    let written = write(archive, carried, program.to_vec(), &beside).await;
    let finished = match written {
        Ok(carried) => std::fs::rename(&beside, path).map(|()| carried).map_err(trouble),
        Err(Failed::Engine(error)) => Err(error),
        Err(Failed::File(cause)) => Err(trouble(cause)),
    };
    let carried = finished.inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
    let bytes = std::fs::metadata(path).map_err(trouble)?.len();
    observer.observe(Event::Done {
        part: part(),
        result: format!("saved into {}", path.display()),
        took: began.elapsed(),
    });
    Ok((carried, bytes))
}

async fn images_to_save<E: Engine>(engine: &E, spec: &StackSpec) -> Result<Vec<CarriedImage>> {
    let mut images = Vec::new();
    for container in &spec.containers {
        // The image that is built is made again from the program, which needs no registry.
        let ImageSource::Reference(reference) = &container.image else { continue };
        if reference.contains('@') {
            return Err(Error::new(
                Code::ImageUnavailable,
                format!(
                    "{reference} cannot be carried in a file: an engine forgets the digest of an image that it loads"
                ),
            )
            .hint("Name it by a tag under images in qastack.yaml, on both machines."));
        }
        let Some(image) = engine.image(reference).await? else {
            return Err(Error::new(Code::ImageUnavailable, format!("the image {reference} is not on this engine"))
                .hint("Get it first: qastack images pull."));
        };
        images.push(CarriedImage { reference: reference.clone(), id: image.id, layers: image.layers });
    }
    Ok(images)
}

/// What went wrong while a file was written.
enum Failed {
    Engine(Error),
    File(io::Error),
}

impl From<io::Error> for Failed {
    fn from(cause: io::Error) -> Self {
        Self::File(cause)
    }
}

async fn write(
    mut archive: BoxStream<'static, Result<Bytes>>,
    carried: Carried,
    program: Vec<u8>,
    path: &Path,
) -> Result<Carried, Failed> {
    let (sender, receiver) = mpsc::channel::<Bytes>(WAITING);
    let path = path.to_owned();
    let writer = tokio::task::spawn_blocking(move || write_file(receiver, carried, &program, &path));
    let mut engine_failed = None;
    while let Some(part) = archive.next().await {
        let bytes = match part {
            Ok(bytes) => bytes,
            Err(error) => {
                engine_failed = Some(error);
                break;
            }
        };
        // A writer that has ended tells why itself.
        if sender.send(bytes).await.is_err() {
            break;
        }
    }
    drop(sender);
    let written = writer.await.map_err(io::Error::other)?;
    match engine_failed {
        Some(error) => Err(Failed::Engine(error)),
        None => Ok(written?),
    }
}

fn write_file(
    mut archive: mpsc::Receiver<Bytes>,
    mut carried: Carried,
    program: &[u8],
    path: &Path,
) -> io::Result<Carried> {
    let mut file = File::create(path)?;
    append(&mut file, PROGRAM, 0o755, program)?;
    carried.files.push(CarriedFile {
        name: PROGRAM.to_owned(),
        sha256: hex(&Sha256::digest(program)),
        bytes: program.len() as u64,
    });
    // The size is known only at the end: the header is written again then.
    let header_at = file.stream_position()?;
    file.write_all(header(IMAGES, 0o644, 0)?.as_bytes())?;
    let mut sink = Summing { file, sum: Sha256::new(), bytes: 0 };
    let mut packer = zstd::Encoder::new(&mut sink, 0)?;
    while let Some(part) = archive.blocking_recv() {
        packer.write_all(&part)?;
    }
    packer.finish()?;
    let Summing { mut file, sum, bytes } = sink;
    pad(&mut file, bytes)?;
    let end = file.stream_position()?;
    file.seek(SeekFrom::Start(header_at))?;
    file.write_all(header(IMAGES, 0o644, bytes)?.as_bytes())?;
    file.seek(SeekFrom::Start(end))?;
    carried.files.push(CarriedFile { name: IMAGES.to_owned(), sha256: hex(&sum.finalize()), bytes });
    append(&mut file, MANIFEST, 0o644, &serde_json::to_vec_pretty(&carried)?)?;
    // Two empty blocks end an archive.
    file.write_all(&[0; 2 * BLOCK as usize])?;
    file.sync_all()?;
    Ok(carried)
}

/// Counts and sums up what goes by.
struct Summing {
    file: File,
    sum: Sha256,
    bytes: u64,
}

impl Write for Summing {
    fn write(&mut self, part: &[u8]) -> io::Result<usize> {
        let written = self.file.write(part)?;
        self.sum.update(&part[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn append(file: &mut File, name: &str, mode: u32, contents: &[u8]) -> io::Result<()> {
    let bytes = contents.len() as u64;
    file.write_all(header(name, mode, bytes)?.as_bytes())?;
    file.write_all(contents)?;
    pad(file, bytes)
}

fn header(name: &str, mode: u32, bytes: u64) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_mode(mode);
    header.set_size(bytes);
    header.set_cksum();
    Ok(header)
}

fn pad(file: &mut File, bytes: u64) -> io::Result<()> {
    let missing = (BLOCK - bytes % BLOCK) % BLOCK;
    file.write_all(&[0; BLOCK as usize][..missing as usize])
}

/// Checks a file's sums and loads its images; afterwards the engine has exactly what was saved.
///
/// # Errors
/// The file is none of ours, is damaged, is for another architecture, or the engine does not take it.
pub async fn load<E: Engine>(engine: &E, path: &Path, observer: &dyn Observer) -> Result<Carried> {
    let began = Instant::now();
    let part = || "images".to_owned();
    observer.observe(Event::Working { part: part(), doing: format!("check {}", path.display()) });
    let owned = path.to_owned();
    let opened = tokio::task::spawn_blocking(move || open(&owned)).await;
    let (carried, place) = opened
        .map_err(|cause| Error::new(Code::Unexpected, cause.to_string()))?
        .map_err(|cause| file_trouble("read", path, &cause))?;
    let ours = engine.machine().await?.architecture;
    if carried.architecture != ours {
        let message = format!("{} is for {}, and the engine runs {ours}", path.display(), carried.architecture);
        return Err(Error::new(Code::ImageUnavailable, message).hint("Save it on a machine of the same architecture."));
    }
    let doing = format!("load {}", path.display());
    observer.observe(Event::Working { part: part(), doing: doing.clone() });
    engine.load_images(unpacked(path, &place)).await?;
    for image in &carried.images {
        let there = engine.image(&image.reference).await?;
        if !there.as_ref().is_some_and(|found| image.is(found)) {
            let found = there.map_or_else(|| "no image".to_owned(), |found| found.id);
            let message = format!("after the load the engine has {found} as {}, not {}", image.reference, image.id);
            return Err(
                Error::new(Code::ImageUnavailable, message).hint("Run the command again, or save the file anew.")
            );
        }
    }
    let transfer = Transfer { done: place.bytes, total: place.bytes, percent: 100 };
    observer.observe(Event::Progress { part: part(), doing, transfer });
    observer.observe(Event::Done { part: part(), result: "loaded".to_owned(), took: began.elapsed() });
    Ok(carried)
}

/// Where the images are in a file.
struct Place {
    begins: u64,
    bytes: u64,
}

/// Reads the manifest and checks every sum.
fn open(path: &Path) -> io::Result<(Carried, Place)> {
    let not_ours = || io::Error::new(io::ErrorKind::InvalidData, "it was not written by qastack images save");
    let damaged =
        |name: &str| io::Error::new(io::ErrorKind::InvalidData, format!("it is damaged: {name} is not what was saved"));
    let mut found: Vec<CarriedFile> = Vec::new();
    let (mut manifest, mut place) = (None, None);
    let mut archive = tar::Archive::new(File::open(path)?);
    for entry in archive.entries_with_seek()? {
        let mut entry = entry?;
        let name = entry.path()?.to_string_lossy().into_owned();
        if name == MANIFEST {
            let mut text = Vec::new();
            entry.read_to_end(&mut text)?;
            manifest = Some(serde_json::from_slice::<Carried>(&text).map_err(|_| not_ours())?);
            continue;
        }
        let (begins, bytes) = (entry.raw_file_position(), entry.size());
        let mut sum = Sha256::new();
        let mut part = vec![0; CHUNK];
        let mut read = 0;
        loop {
            let count = entry.read(&mut part)?;
            if count == 0 {
                break;
            }
            read += count as u64;
            sum.update(&part[..count]);
        }
        if read != bytes {
            return Err(damaged(&name));
        }
        if name == IMAGES {
            place = Some(Place { begins, bytes });
        }
        found.push(CarriedFile { name, sha256: hex(&sum.finalize()), bytes });
    }
    let (Some(carried), Some(place)) = (manifest, place) else { return Err(not_ours()) };
    if carried.format != FORMAT {
        let newer = format!(
            "it is of format {}, and this program reads {FORMAT}: use the qastack that it holds",
            carried.format
        );
        return Err(io::Error::new(io::ErrorKind::InvalidData, newer));
    }
    match carried.files.iter().find(|file| !found.contains(file)) {
        Some(file) => Err(damaged(&file.name)),
        None => Ok((carried, place)),
    }
}

/// The engine's own archive out of a file, unpacked as it is read.
fn unpacked(path: &Path, place: &Place) -> BoxStream<'static, io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let (path, begins, bytes) = (PathBuf::from(path), place.begins, place.bytes);
    tokio::task::spawn_blocking(move || {
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(begins))?;
            let mut images = zstd::Decoder::new(file.take(bytes))?;
            loop {
                let mut part = vec![0; CHUNK];
                let count = images.read(&mut part)?;
                part.truncate(count);
                // An engine that reads no more says why itself.
                if count == 0 || sender.blocking_send(Ok(Bytes::from(part))).is_err() {
                    return Ok(());
                }
            }
        };
        if let Err(cause) = read() {
            let _ = sender.blocking_send(Err::<Bytes, io::Error>(cause));
        }
    });
    stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) }).boxed()
}

fn file_trouble(doing: &str, path: &Path, cause: &io::Error) -> Error {
    let code = if cause.kind() == io::ErrorKind::InvalidData { Code::ImageUnavailable } else { Code::Usage };
    let error = Error::new(code, format!("cannot {doing} {}: {cause}", path.display()));
    match cause.kind() {
        io::ErrorKind::StorageFull => error.hint("Name a file on a disk with more room."),
        io::ErrorKind::InvalidData => error.hint("Copy or save the file again. Nothing was loaded."),
        _ => error.hint("Name a file that can be read and written."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn written(directory: &Path) -> PathBuf {
        let archive = stream::iter([Ok(Bytes::from_static(b"layers, ")), Ok(Bytes::from_static(b"layers"))]).boxed();
        let carried = Carried {
            format: FORMAT,
            qastack: "1".to_owned(),
            architecture: "amd64".to_owned(),
            images: vec![CarriedImage { reference: "a/b:1".to_owned(), id: "sha256:1".to_owned(), layers: Vec::new() }],
            files: Vec::new(),
        };
        let path = directory.join("stack.tar");
        let done = write(archive, carried, b"the program".to_vec(), &path).await;
        assert!(done.is_ok_and(|carried| carried.files.len() == 2));
        path
    }

    #[test]
    fn an_engine_that_gives_images_other_ids_has_what_was_saved_where_the_layers_are_the_same() {
        let layers = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let saved = |layers| CarriedImage { reference: "a/b:1".to_owned(), id: "sha256:1".to_owned(), layers };
        let found = |id: &str, layers| EngineImage { id: id.to_owned(), layers, ..EngineImage::default() };
        assert!(saved(layers(&["a", "b"])).is(&found("sha256:2", layers(&["a", "b"]))));
        assert!(!saved(layers(&["a", "b"])).is(&found("sha256:2", layers(&["a", "c"]))));
        assert!(saved(layers(&["a"])).is(&found("sha256:1", Vec::new())), "an engine that tells no layers");
        assert!(saved(Vec::new()).is(&found("sha256:2", layers(&["a"]))), "a file of an older version");
    }

    #[tokio::test]
    async fn what_was_saved_is_read_back_and_any_tar_can_unpack_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = written(directory.path()).await;
        let (carried, place) = open(&path).expect("a whole file");
        assert_eq!(carried.images[0].reference, "a/b:1");
        let parts: Vec<Bytes> = unpacked(&path, &place).map(|part| part.expect("bytes")).collect().await;
        assert_eq!(parts.concat(), b"layers, layers");
        let listed = std::process::Command::new("tar").arg("-tf").arg(&path).output().expect("tar");
        assert_eq!(String::from_utf8_lossy(&listed.stdout), "qastack\nimages.tar.zst\nmanifest.json\n");
    }

    #[tokio::test]
    async fn one_flipped_bit_and_a_file_that_was_cut_are_found_before_anything_is_loaded() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = written(directory.path()).await;
        let whole = std::fs::read(&path).expect("bytes");
        let mut flipped = whole.clone();
        let at = usize::try_from(open(&path).expect("whole").1.begins).expect("small");
        flipped[at + 4] ^= 1;
        std::fs::write(&path, flipped).expect("written");
        assert!(open(&path).err().expect("damaged").to_string().contains("images.tar.zst is not what was saved"));
        for length in [0, 100, at, whole.len() / 2] {
            std::fs::write(&path, &whole[..length]).expect("written");
            assert!(open(&path).is_err(), "cut at {length}");
        }
        std::fs::write(&path, b"something else").expect("written");
        assert!(open(&path).is_err());
    }
}
