//! Receives the body of a request to `upload-pack`: what the client wants and has.

use std::fs::File;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use http_body_util::BodyExt;
use hyper::body::Body;
use hyper::header::{CONTENT_ENCODING, HeaderMap};
use tokio::io::{AsyncSeekExt, AsyncWriteExt};
use tokio::time;

/// The number of bytes to decompress at a time.
const STEP: usize = 32 * 1024;
/// The maximum size of a body that is kept in memory, in bytes.
const IN_MEMORY: usize = 64 * 1024;

/// The reason why a request's body is rejected.
#[derive(Debug, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request is larger than the limit of {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("the request took longer than the limit of {} seconds", limit.as_secs())]
    TooSlow { limit: Duration },
    #[error("the request's body is not valid gzip")]
    Gzip,
    #[error("the request's body must be uncompressed or gzip")]
    Encoding,
    #[error("the client disconnected in the middle of its request")]
    Interrupted,
    #[error("cannot store the request in a temporary file")]
    NotKept(#[from] io::Error),
}

/// The limits on the size of a request's body and on the time to receive it.
#[derive(Debug, Clone, Copy)]
pub(super) struct BodyLimits {
    /// The maximum number of bytes, both compressed and decompressed.
    pub(super) bytes: u64,
    /// The maximum time for the whole body.
    pub(super) time: Duration,
}

/// A complete, decompressed request body. A process is only started after the whole body has arrived, so a slow client
/// does not occupy a process.
#[derive(Debug)]
pub(super) enum Received {
    /// A small body, as most are.
    Memory(Bytes),
    /// A body larger than [`IN_MEMORY`], in an anonymous file positioned at its beginning.
    File(File),
}

/// Receives the body of a request.
pub(super) async fn receive(
    headers: &HeaderMap,
    body: impl Body<Data = Bytes> + Unpin,
    limits: BodyLimits,
) -> Result<Received, BodyError> {
    let packed = match headers.get(CONTENT_ENCODING).map(|value| value.as_bytes().to_ascii_lowercase()) {
        None => false,
        Some(value) if value == b"identity" => false,
        Some(value) if value == b"gzip" || value == b"x-gzip" => true,
        Some(_) => return Err(BodyError::Encoding),
    };
    let received = time::timeout(limits.time, receive_all(body, packed, limits.bytes)).await;
    received.unwrap_or(Err(BodyError::TooSlow { limit: limits.time }))
}

async fn receive_all(
    mut body: impl Body<Data = Bytes> + Unpin,
    packed: bool,
    limit: u64,
) -> Result<Received, BodyError> {
    let mut unpacking = packed.then(Unpacking::new);
    let mut taken = ByteCount { bytes: 0, limit };
    let mut received = ByteCount { bytes: 0, limit };
    let mut to = BodyBuffer::default();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| BodyError::Interrupted)?;
        let Ok(bytes) = frame.into_data() else { continue };
        received.add(bytes.len())?;
        match &mut unpacking {
            None => {
                taken.add(bytes.len())?;
                to.add(&bytes).await?;
            }
            Some(unpacking) => unpacking.unpack(bytes, &mut taken, &mut to).await?,
        }
    }
    if unpacking.is_some_and(|unpacking| !unpacking.is_done()) {
        return Err(BodyError::Gzip);
    }
    Ok(to.finish().await?)
}

/// The received part of a body.
#[derive(Default)]
struct BodyBuffer {
    memory: Vec<u8>,
    file: Option<tokio::fs::File>,
}

impl BodyBuffer {
    async fn add(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.file.is_none() && self.memory.len() + bytes.len() <= IN_MEMORY {
            self.memory.extend_from_slice(bytes);
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let file = self.file.insert(tokio::fs::File::from_std(tempfile::tempfile()?));
                file.write_all(&std::mem::take(&mut self.memory)).await?;
                file
            }
        };
        file.write_all(bytes).await
    }

    async fn finish(self) -> io::Result<Received> {
        let Some(mut file) = self.file else { return Ok(Received::Memory(self.memory.into())) };
        file.flush().await?;
        file.rewind().await?;
        Ok(Received::File(file.into_std().await))
    }
}

/// Counts bytes against a limit.
struct ByteCount {
    bytes: u64,
    limit: u64,
}

impl ByteCount {
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

    /// Decompresses `bytes` into `to` in small steps, so that no input can exhaust the memory.
    async fn unpack(&mut self, bytes: Bytes, taken: &mut ByteCount, to: &mut BodyBuffer) -> Result<(), BodyError> {
        let mut rest = &bytes[..];
        loop {
            if self.done {
                return if rest.is_empty() { Ok(()) } else { Err(BodyError::Gzip) };
            }
            let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
            let status = self.state.decompress(rest, &mut self.buffer, FlushDecompress::None);
            let status = status.map_err(|_| BodyError::Gzip)?;
            rest = &rest[(self.state.total_in() - before_in) as usize..];
            let unpacked = (self.state.total_out() - before_out) as usize;
            self.done = status == Status::StreamEnd;
            taken.add(unpacked)?;
            to.add(&self.buffer[..unpacked]).await?;
            // If the buffer is full, the decompressor may have more output for the input that it has already read.
            if rest.is_empty() && unpacked < self.buffer.len() && !self.done {
                return Ok(());
            }
        }
    }
}

/// Decompresses a body that arrives in pieces. `None` if decompression fails or the body ends prematurely.
pub(in super::super) async fn unpacked(pieces: &[&[u8]], limit: u64) -> Option<Vec<u8>> {
    let (mut unpacking, mut taken, mut to) = (Unpacking::new(), ByteCount { bytes: 0, limit }, BodyBuffer::default());
    for piece in pieces {
        unpacking.unpack(Bytes::copy_from_slice(piece), &mut taken, &mut to).await.ok()?;
    }
    if !unpacking.is_done() {
        return None;
    }
    match to.finish().await.ok()? {
        Received::Memory(bytes) => Some(bytes.into()),
        Received::File(mut file) => {
            let mut bytes = Vec::new();
            io::copy(&mut file, &mut bytes).ok().map(|_| bytes)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::convert::Infallible;
    use std::io::{Read, Write};
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use flate2::Compression;
    use flate2::write::GzEncoder;
    use hyper::body::Frame;
    use hyper::header::HeaderValue;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// A body that arrives in these parts.
    struct Parts(VecDeque<Bytes>);

    impl Body for Parts {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|bytes| Ok(Frame::data(bytes))))
        }
    }

    async fn received(parts: &[&[u8]], encoding: Option<&'static str>, limit: u64) -> Result<Vec<u8>, BodyError> {
        let mut headers = HeaderMap::new();
        headers.extend(encoding.map(|value| (CONTENT_ENCODING, HeaderValue::from_static(value))));
        let parts = Parts(parts.iter().map(|part| Bytes::copy_from_slice(part)).collect());
        match receive(&headers, parts, BodyLimits { bytes: limit, time: Duration::from_secs(60) }).await? {
            Received::Memory(bytes) => Ok(bytes.into()),
            Received::File(mut file) => {
                let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
                assert!(bytes.len() > IN_MEMORY);
                file.read_exact(&mut bytes).unwrap();
                Ok(bytes)
            }
        }
    }

    async fn unpack(parts: &[&[u8]], limit: u64) -> Result<Vec<u8>, BodyError> {
        received(parts, Some("gzip"), limit).await
    }

    #[tokio::test]
    async fn uncompressed_bodies_are_accepted_unchanged() {
        for length in [0, 1, IN_MEMORY, IN_MEMORY + 1, 300_000] {
            let text: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let parts: Vec<&[u8]> = text.chunks(10_007).collect();
            assert!(received(&parts, None, 300_000).await.unwrap() == text, "{length}");
        }
        assert!(matches!(received(&[b"12345"], None, 4).await, Err(BodyError::TooLarge { limit: 4 })));
        assert!(matches!(received(&[b"1"], Some("br"), 4).await, Err(BodyError::Encoding)));
    }

    #[tokio::test]
    async fn gzip_is_unpacked_however_it_is_cut() {
        let text: Vec<u8> = (0..200_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
        let packed = gzip(&text);
        let bytes: Vec<&[u8]> = packed.chunks(1).collect();
        for parts in [vec![&packed[..]], packed.chunks(1000).collect(), bytes] {
            assert!(unpack(&parts, u64::MAX).await.unwrap() == text);
        }
        assert!(matches!(unpack(&[&packed[..packed.len() - 1]], u64::MAX).await, Err(BodyError::Gzip)));
    }

    #[tokio::test]
    async fn invalid_gzip_and_trailing_data_are_refused() {
        let mut longer = gzip(b"0000");
        longer.push(b'x');
        for bytes in [&b"0032want"[..], &longer] {
            assert!(matches!(unpack(&[bytes], u64::MAX).await, Err(BodyError::Gzip)));
        }
    }

    #[tokio::test]
    async fn a_small_body_that_unpacks_to_a_large_one_is_cut_off() {
        let bomb = gzip(&vec![0; 10 << 20]);
        assert!(bomb.len() < 20_000);
        let cut = unpack(&[&bomb], 1 << 20).await;
        assert!(matches!(cut, Err(BodyError::TooLarge { limit }) if limit == 1 << 20));
    }
}
