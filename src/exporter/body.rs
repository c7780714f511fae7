//! Reads the body of an upload: bounded in size, in time and in what all uploads together may hold.
//!
//! Nothing is buffered that would not be accepted: a body that says it is too large is refused before it is
//! read, one that does not say so when it passes the limit. What was compressed is inflated under a limit of its
//! own. It must never know what the bytes mean.

use super::problem::Problem;
use crate::packed::{self, Packed};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

/// The unit in which the shared memory for bodies is counted.
const UNIT: usize = 16 * 1024;

/// How long the sender may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// How long an upload waits for memory that other uploads hold, before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(5);

/// The slowest sender that is waited for, in bytes a second, after a first grace.
const SLOWEST: u64 = 8 * 1024;

/// The time every upload has, however small.
const GRACE: Duration = Duration::from_secs(15);

/// How large a body may be. How well it is packed says nothing: a log that repeats one line packs a thousandfold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyLimits {
    /// Bytes as sent.
    pub sent: u64,
    /// Bytes once inflated.
    pub inflated: u64,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self { sent: 32 << 20, inflated: 256 << 20 }
    }
}

/// How a body is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// gzip, RFC 1952; several members in a row are one body.
    Gzip,
    /// Zstandard, RFC 8878.
    Zstd,
}

impl Packing {
    /// What the headers say, `Content-Encoding` first; a media type that is itself a packing counts as well.
    ///
    /// # Errors
    /// 415 for an encoding that is not known.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name| headers.get(name).map(|value: &header::HeaderValue| value.to_str().unwrap_or("?").trim());
        match text(header::CONTENT_ENCODING) {
            None | Some("" | "identity") => {}
            Some(encoding) if ["gzip", "x-gzip"].iter().any(|name| encoding.eq_ignore_ascii_case(name)) => {
                return Ok(Self::Gzip);
            }
            Some(encoding) if encoding.eq_ignore_ascii_case("zstd") => return Ok(Self::Zstd),
            Some(_) => {
                return Err(Problem::new(
                    StatusCode::UNSUPPORTED_MEDIA_TYPE,
                    "encoding_unknown",
                    "the body's Content-Encoding is not known",
                )
                .header(header::ACCEPT_ENCODING, header::HeaderValue::from_static("gzip, zstd, identity"))
                .hint("Send gzip, zstd or no Content-Encoding."));
            }
        }
        Ok(match text(header::CONTENT_TYPE) {
            Some(media) if media.starts_with("application/gzip") || media.starts_with("application/x-gzip") => {
                Self::Gzip
            }
            Some(media) if media.starts_with("application/zstd") => Self::Zstd,
            _ => Self::Plain,
        })
    }

    /// What the bytes themselves say.
    pub fn sniff(bytes: &[u8]) -> Self {
        match packed::by(bytes) {
            Some(Packed::Gzip) => Self::Gzip,
            Some(Packed::Zstd) => Self::Zstd,
            None => Self::Plain,
        }
    }
}

/// The memory that all bodies together may hold while they are read and worked on.
#[derive(Debug, Clone)]
pub struct Memory {
    units: Arc<Semaphore>,
    all: u32,
}

/// A part of the memory, given back when it is dropped.
#[derive(Debug)]
pub struct Share(OwnedSemaphorePermit);

impl Memory {
    /// Memory of this many bytes.
    pub fn of(bytes: u64) -> Self {
        let all = u32::try_from(bytes.div_ceil(UNIT as u64)).unwrap_or(u32::MAX).min(Semaphore::MAX_PERMITS as u32);
        Self { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    /// Takes room for this many bytes, waiting a moment for others to end. No upload is refused for being larger
    /// than everything: it waits until it is alone.
    ///
    /// # Errors
    /// 503 with `Retry-After` where others hold it for longer.
    pub async fn take(&self, bytes: u64) -> Result<Share, Problem> {
        let units = u32::try_from(bytes.div_ceil(UNIT as u64)).unwrap_or(u32::MAX).clamp(1, self.all.max(1));
        match timeout(PATIENCE, Arc::clone(&self.units).acquire_many_owned(units)).await {
            Ok(Ok(permit)) => Ok(Share(permit)),
            _ => Err(busy()),
        }
    }

    /// Takes room for more of a body that is being read. It does not wait: two half-read bodies would wait for each
    /// other.
    fn grow(&self, share: &mut Share, bytes: usize) -> Result<(), Problem> {
        let have = share.0.num_permits();
        let need = bytes.div_ceil(UNIT).min(self.all as usize);
        if need > have {
            let more = u32::try_from(need - have).unwrap_or(u32::MAX);
            share.0.merge(Arc::clone(&self.units).try_acquire_many_owned(more).map_err(|_| busy())?);
        }
        Ok(())
    }
}

fn busy() -> Problem {
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many uploads are being read at once").retry_after(2)
}

/// A body as it was sent, with the memory it occupies.
#[derive(Debug)]
pub struct Sent {
    /// The bytes.
    pub bytes: Bytes,
    share: Share,
    /// Bytes that were unpacked from it so far.
    unpacked: u64,
}

/// Reads a body as it is sent.
///
/// # Errors
/// 413 over the limit, 408 from a sender that stalls, 503 without memory, 400 where the connection breaks off.
pub async fn read(headers: &HeaderMap, mut body: Body, limit: u64, memory: &Memory) -> Result<Sent, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large("the body", limit));
    }
    let mut share = memory.take(announced.unwrap_or(UNIT as u64)).await?;
    let mut bytes = Vec::with_capacity(announced.and_then(|length| usize::try_from(length).ok()).unwrap_or(0));
    let arrival = Arrival::begin();
    while let Some(data) = arrival.next(&mut body, bytes.len() as u64).await? {
        if bytes.len() as u64 + data.len() as u64 > limit {
            return Err(too_large("the body", limit));
        }
        memory.grow(&mut share, bytes.len() + data.len())?;
        bytes.extend_from_slice(&data);
    }
    Ok(Sent { bytes: bytes.into(), share, unpacked: 0 })
}

/// How fast a body has to come.
#[derive(Debug, Clone, Copy)]
pub struct Arrival(Instant);

impl Arrival {
    /// A body is read from now on.
    pub fn begin() -> Self {
        Self(Instant::now())
    }

    /// The next part of a body of which so many bytes are there; none at its end.
    ///
    /// # Errors
    /// 408 from a sender that stalls, 400 where the connection breaks off.
    pub async fn next(self, body: &mut Body, bytes: u64) -> Result<Option<Bytes>, Problem> {
        loop {
            let deadline = self.0 + GRACE + Duration::from_millis(bytes * 1000 / SLOWEST);
            let frame = timeout_at(deadline.min(Instant::now() + SILENCE), body.frame()).await.map_err(|_| {
                Problem::new(StatusCode::REQUEST_TIMEOUT, "body_stalled", "the body came too slowly, or stopped coming")
            })?;
            match frame {
                None => return Ok(None),
                Some(Err(_)) => {
                    let detail = "the body broke off before its end";
                    return Err(Problem::new(StatusCode::BAD_REQUEST, "body_broken", detail));
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }
}

impl Sent {
    /// Unpacks it. This works for as long as the inflated size takes: call it where blocking is allowed.
    ///
    /// # Errors
    /// 413 for what inflates over a limit, 400 for what is no such packing, 503 without memory.
    pub fn unpack(mut self, packing: Packing, limits: &BodyLimits, memory: &Memory) -> Result<Sent, Problem> {
        if packing == Packing::Plain {
            return Ok(self);
        }
        let sent = self.bytes.clone();
        self.bytes = self.unpack_beside(sent, 0, packing, limits, memory)?;
        self.unpacked = 0;
        Ok(self)
    }

    /// Unpacks a part of it, as [`Sent::unpack`] does; all of them together are held to the limit. What that takes is
    /// added to what the body holds: a part with a share of its own would wait for the memory of its own body.
    ///
    /// # Errors
    /// As [`Sent::unpack`].
    pub fn unpack_part(
        &mut self,
        part: Bytes,
        packing: Packing,
        limits: &BodyLimits,
        memory: &Memory,
    ) -> Result<Bytes, Problem> {
        self.unpack_beside(part, self.bytes.len(), packing, limits, memory)
    }

    /// Unpacks bytes beside which so many others are held.
    fn unpack_beside(
        &mut self,
        bytes: Bytes,
        held: usize,
        packing: Packing,
        limits: &BodyLimits,
        memory: &Memory,
    ) -> Result<Bytes, Problem> {
        let held = if packing == Packing::Plain { held } else { held + bytes.len() };
        let before = self.unpacked;
        let mut grow = |inflated: usize| {
            self.unpacked = before + inflated as u64;
            if self.unpacked > limits.inflated {
                return Err(too_large("the inflated body", limits.inflated));
            }
            memory.grow(&mut self.share, held + inflated)
        };
        match packing {
            Packing::Plain => grow(bytes.len()).map(|()| bytes),
            Packing::Gzip => inflate(MultiGzDecoder::new(&bytes[..]), grow),
            Packing::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&bytes[..]).and_then(|mut decoder| {
                    // A frame may ask for a window of gigabytes; 8 MiB is what the format bids every reader to take.
                    decoder.window_log_max(23)?;
                    Ok(decoder)
                });
                inflate(decoder.map_err(|_| unpackable())?, grow)
            }
        }
    }
}

/// Inflates all there is; `grow` is told how many bytes it will be, before they are kept, and may refuse them.
fn inflate(mut from: impl Read, mut grow: impl FnMut(usize) -> Result<(), Problem>) -> Result<Bytes, Problem> {
    let mut inflated = Vec::new();
    let mut chunk = vec![0; 64 * 1024];
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => return Ok(inflated.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Err(unpackable()),
        };
        grow(inflated.len() + count)?;
        inflated.extend_from_slice(&chunk[..count]);
    }
}

fn unpackable() -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "body_unpackable", "the body cannot be unpacked: it is damaged or cut off")
}

fn too_large(what: &str, limit: u64) -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", format!("{what} is over the limit of {limit} bytes"))
        .with("limit_bytes", limit)
        .hint("Send the reports one by one, compressed, or raise limits in the exporter's settings.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LIMITS: BodyLimits = BodyLimits { sent: 1000, inflated: 64 << 20 };

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap()))
            .collect()
    }

    async fn sent(bytes: Vec<u8>, memory: &Memory) -> Sent {
        read(&HeaderMap::new(), Body::from(bytes), 64 << 20, memory).await.unwrap()
    }

    #[tokio::test]
    async fn a_body_that_announces_too_much_is_refused_before_it_is_read() {
        let memory = Memory::of(1 << 20);
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
        let problem = read(&headers(&[("content-length", "1001")]), never, 1000, &memory).await.unwrap_err();
        assert_eq!(problem.code(), "body_too_large");
    }

    #[tokio::test]
    async fn a_body_that_says_nothing_is_refused_when_it_passes_the_limit() {
        let endless = futures_util::stream::repeat_with(|| Ok::<_, io::Error>(Bytes::from_static(&[0; 300])));
        let problem =
            read(&HeaderMap::new(), Body::from_stream(endless), 1000, &Memory::of(1 << 20)).await.unwrap_err();
        assert_eq!(problem.code(), "body_too_large");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_stalls_is_not_waited_for() {
        let memory = Memory::of(1 << 20);
        let never = Body::from_stream(futures_util::stream::pending::<Result<Bytes, io::Error>>());
        assert_eq!(read(&HeaderMap::new(), never, 1000, &memory).await.unwrap_err().code(), "body_stalled");
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_that_drips_is_not_waited_for() {
        let drip = futures_util::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok::<_, io::Error>(Bytes::from_static(b"x")), ()))
        });
        let begun = Instant::now();
        let problem = read(&HeaderMap::new(), Body::from_stream(drip), 1000, &Memory::of(1 << 20)).await.unwrap_err();
        assert_eq!(problem.code(), "body_stalled");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }

    #[tokio::test(start_paused = true)]
    async fn uploads_share_the_memory_and_give_it_back() {
        let memory = Memory::of(64 * 1024);
        let held = memory.take(64 * 1024).await.unwrap();
        let announced = headers(&[("content-length", "5")]);
        let problem = read(&announced, Body::from("hello"), 1000, &memory).await.unwrap_err();
        assert_eq!(problem.code(), "busy");
        drop(held);
        let read = read(&announced, Body::from("hello"), 1000, &memory).await.unwrap();
        assert_eq!(&read.bytes[..], b"hello");
        drop(read);
        assert_eq!(memory.units.available_permits(), 4);
    }

    #[tokio::test]
    async fn packed_bodies_unpack_to_what_was_packed() {
        let memory = Memory::of(64 << 20);
        let text = b"<testsuite/>".repeat(1000);
        for (packing, bytes) in [
            (Packing::Plain, text.clone()),
            (Packing::Gzip, gzip(&text)),
            (Packing::Zstd, zstd::encode_all(&text[..], 3).unwrap()),
        ] {
            assert_eq!(Packing::sniff(&bytes), packing);
            let unpacked = sent(bytes, &memory).await.unpack(packing, &LIMITS, &memory).unwrap();
            assert!(unpacked.bytes == text, "{packing:?}");
        }
    }

    #[tokio::test]
    async fn bombs_are_refused_by_their_size_and_what_packs_well_is_not() {
        let memory = Memory::of(256 << 20);
        let zeros = vec![0; 80 << 20];
        for (packing, bytes) in
            [(Packing::Gzip, gzip(&zeros)), (Packing::Zstd, zstd::encode_all(&zeros[..], 3).unwrap())]
        {
            let refused = sent(bytes, &memory).await.unpack(packing, &LIMITS, &memory).unwrap_err();
            assert_eq!(refused.code(), "body_too_large", "{packing:?}");
        }
        let log = "<system-out>the same line again\n".repeat(45 << 15);
        let packed = zstd::encode_all(log.as_bytes(), 3).unwrap();
        assert!(packed.len() * 1000 < log.len(), "{} of {}", packed.len(), log.len());
        let unpacked = sent(packed, &memory).await.unpack(Packing::Zstd, &LIMITS, &memory).unwrap();
        assert!(unpacked.bytes == log.as_bytes());
    }

    #[tokio::test]
    async fn a_part_grows_the_share_of_its_body_and_may_take_all_the_memory() {
        let memory = Memory::of(1 << 20);
        let part = gzip(&vec![b'x'; 4 << 20]);
        let mut body = sent(part.clone(), &memory).await;
        let unpacked = body.unpack_part(part.into(), Packing::Gzip, &LIMITS, &memory).unwrap();
        assert_eq!((unpacked.len(), memory.units.available_permits()), (4 << 20, 0));
        let plain = Bytes::from_static(b"more than is left");
        let limits = BodyLimits { inflated: (4 << 20) + 5, ..LIMITS };
        let refused = body.unpack_part(plain, Packing::Plain, &limits, &memory).unwrap_err();
        assert_eq!(refused.code(), "body_too_large");
        drop(body);
        assert_eq!(memory.units.available_permits(), 64);
    }

    #[tokio::test]
    async fn a_damaged_packing_is_said_to_be_damaged() {
        let memory = Memory::of(1 << 20);
        let mut cut = gzip(&b"<testsuite/>".repeat(1000));
        cut.truncate(cut.len() / 2);
        for packing in [Packing::Gzip, Packing::Zstd] {
            let refused = sent(cut.clone(), &memory).await.unpack(packing, &LIMITS, &memory).unwrap_err();
            assert_eq!(refused.code(), "body_unpackable", "{packing:?}");
        }
    }

    #[test]
    fn the_packing_is_read_from_the_headers() {
        let packing = |pairs| Packing::of(&headers(pairs));
        assert_eq!(packing(&[]).unwrap(), Packing::Plain);
        assert_eq!(packing(&[("content-encoding", "GZIP")]).unwrap(), Packing::Gzip);
        assert_eq!(packing(&[("content-encoding", "zstd"), ("content-type", "text/xml")]).unwrap(), Packing::Zstd);
        assert_eq!(packing(&[("content-type", "application/gzip")]).unwrap(), Packing::Gzip);
        assert_eq!(packing(&[("content-encoding", "br")]).unwrap_err().code(), "encoding_unknown");
    }
}
