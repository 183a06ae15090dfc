//! The body of a request to `upload-pack`: what the client wants and has.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{self, Instant};

/// How much is unpacked at a time.
const STEP: usize = 32 * 1024;

/// Why a request's body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request is larger than the {limit} bytes that are taken")]
    TooLarge { limit: u64 },
    #[error("the request took longer than the {} seconds that are waited", limit.as_secs())]
    TooSlow { limit: Duration },
    #[error("the request's body is not valid gzip")]
    Gzip,
    #[error("a request's body is taken plain or as gzip only")]
    Encoding,
    #[error("the client left in the middle of its request")]
    Interrupted,
}

/// How much of a request is taken, and how long it is waited for.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    /// Bytes, packed and unpacked.
    pub(super) bytes: u64,
    /// For the whole body.
    pub(super) time: Duration,
}

/// Moves a body to a process; done when the process has all of it.
pub(super) type Pump = Pin<Box<dyn Future<Output = Result<(), BodyError>> + Send>>;

/// Reads a small body; `None` where it is not, or not for sure.
pub(super) async fn small<B: Body<Data = Bytes> + Unpin>(
    headers: &HeaderMap,
    body: &mut B,
    limit: u64,
    limits: BodyLimits,
) -> Result<Option<Bytes>, BodyError> {
    if headers.contains_key(CONTENT_ENCODING) || body.size_hint().exact().is_none_or(|length| length > limit) {
        return Ok(None);
    }
    let collected = time::timeout(limits.time, body.collect()).await;
    let collected = collected.map_err(|_| BodyError::TooSlow { limit: limits.time })?;
    Ok(Some(collected.map_err(|_| BodyError::Interrupted)?.to_bytes()))
}

/// Returns what moves the body of a request to `to`, unpacked.
pub(super) fn pump(
    headers: &HeaderMap,
    body: impl Body<Data = Bytes, Error: Send> + Send + Unpin + 'static,
    limits: BodyLimits,
    to: impl AsyncWrite + Send + Unpin + 'static,
) -> Result<Pump, BodyError> {
    let packed = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => false,
        Some(value) if value == b"identity" => false,
        Some(value) if value == b"gzip" || value == b"x-gzip" => true,
        Some(_) => return Err(BodyError::Encoding),
    };
    let deadline = Instant::now() + limits.time;
    Ok(Box::pin(async move {
        let moved = move_all(body, packed, limits.bytes, to);
        time::timeout_at(deadline, moved).await.unwrap_or(Err(BodyError::TooSlow { limit: limits.time }))
    }))
}

async fn move_all(
    mut body: impl Body<Data = Bytes> + Unpin,
    packed: bool,
    limit: u64,
    mut to: impl AsyncWrite + Unpin,
) -> Result<(), BodyError> {
    let mut unpacking = packed.then(Unpacking::new);
    let mut taken = Taken { bytes: 0, limit };
    let mut received = Taken { bytes: 0, limit };
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Interrupted)?;
        let Ok(bytes) = frame.into_data() else { continue };
        received.add(bytes.len())?;
        let written = match &mut unpacking {
            None => {
                taken.add(bytes.len())?;
                to.write_all(&bytes).await
            }
            Some(unpacking) => unpacking.unpack(bytes, &mut taken, &mut to).await?,
        };
        // A process that has heard enough, and says why on its output.
        if written.is_err() {
            return Ok(());
        }
    }
    if unpacking.is_some_and(|unpacking| !unpacking.is_done()) {
        return Err(BodyError::Gzip);
    }
    let _ = to.shutdown().await;
    Ok(())
}

/// Counts bytes against a limit.
struct Taken {
    bytes: u64,
    limit: u64,
}

impl Taken {
    fn add(&mut self, bytes: usize) -> Result<(), BodyError> {
        self.bytes += bytes as u64;
        if self.bytes > self.limit { Err(BodyError::TooLarge { limit: self.limit }) } else { Ok(()) }
    }
}

struct Unpacking {
    state: Decompress,
    buffer: Box<[u8]>,
    done: bool,
}

impl Unpacking {
    fn new() -> Self {
        Self { state: Decompress::new_gzip(15), buffer: vec![0; STEP].into_boxed_slice(), done: false }
    }

    fn is_done(&self) -> bool {
        self.done
    }

    /// Writes what `bytes` unpack to, a step at a time, so that no input makes it large in memory.
    async fn unpack(
        &mut self,
        bytes: Bytes,
        taken: &mut Taken,
        to: &mut (impl AsyncWrite + Unpin),
    ) -> Result<std::io::Result<()>, BodyError> {
        let mut rest = &bytes[..];
        loop {
            if self.done {
                return if rest.is_empty() { Ok(Ok(())) } else { Err(BodyError::Gzip) };
            }
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(rest, &mut self.buffer, FlushDecompress::None);
            let status = status.map_err(|_| BodyError::Gzip)?;
            rest = &rest[(self.state.total_in() - before_in) as usize..];
            let unpacked = (self.state.total_out() - before_out) as usize;
            self.done = status == Status::StreamEnd;
            taken.add(unpacked)?;
            if let Err(error) = to.write_all(&self.buffer[..unpacked]).await {
                return Ok(Err(error));
            }
            // A full buffer may mean that more is to come out of what has been read already.
            if rest.is_empty() && unpacked < self.buffer.len() && !self.done {
                return Ok(Ok(()));
            }
        }
    }
}

/// Unpacks a body that arrives in pieces; `None` if that fails or the body ends too early.
pub(in super::super) async fn unpacked(pieces: &[&[u8]], limit: u64) -> Option<Vec<u8>> {
    let (mut unpacking, mut taken, mut to) = (Unpacking::new(), Taken { bytes: 0, limit }, Vec::new());
    for piece in pieces {
        unpacking.unpack(Bytes::copy_from_slice(piece), &mut taken, &mut to).await.ok()?.ok()?;
    }
    unpacking.is_done().then_some(to)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    async fn unpack(parts: &[&[u8]], limit: u64) -> Result<(Vec<u8>, bool), BodyError> {
        let (mut unpacking, mut taken, mut to) = (Unpacking::new(), Taken { bytes: 0, limit }, Vec::new());
        for part in parts {
            unpacking.unpack(Bytes::copy_from_slice(part), &mut taken, &mut to).await?.unwrap();
        }
        Ok((to, unpacking.is_done()))
    }

    #[tokio::test]
    async fn gzip_is_unpacked_however_it_is_cut() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
        let packed = gzip(&text);
        let bytes: Vec<&[u8]> = packed.chunks(1).collect();
        for parts in [vec![&packed[..]], packed.chunks(1000).collect(), bytes] {
            assert!(unpack(&parts, u64::MAX).await.unwrap() == (text.clone(), true));
        }
        assert!(!unpack(&[&packed[..packed.len() - 1]], u64::MAX).await.unwrap().1);
    }

    #[tokio::test]
    async fn what_is_no_gzip_or_goes_on_after_it_is_refused() {
        let mut longer = gzip(b"0000");
        longer.push(b'x');
        for bytes in [&b"0032want"[..], &longer] {
            assert_eq!(unpack(&[bytes], u64::MAX).await.unwrap_err(), BodyError::Gzip);
        }
    }

    #[tokio::test]
    async fn a_small_body_that_unpacks_to_a_large_one_is_cut_off() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        assert_eq!(unpack(&[&bomb], 1 << 20).await.unwrap_err(), BodyError::TooLarge { limit: 1 << 20 });
    }
}
