//! Streams that require clients to keep reading.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{self, Instant, Sleep};

use super::connection_limits::{Busy, Slot};

/// The minimum number of bytes that a client must read per time limit. The system's buffers are larger, so a client
/// that is merely slow is not affected.
const MIN_BYTES: usize = 16 * 1024;

/// A stream whose writes fail if the peer reads too little for too long. hyper limits the time for reads. The
/// connection's slot counts as busy while a write is blocked.
pub(super) struct StallGuard<S> {
    stream: S,
    slot: Arc<Slot>,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
    stalled: Option<Stalled>,
}

/// A write that is blocked or was blocked recently.
struct Stalled {
    /// The number of bytes that the peer has read since the deadline was set.
    taken: usize,
    busy: Option<Busy>,
}

impl<S> StallGuard<S> {
    pub(super) fn new(stream: S, limit: Duration, slot: Arc<Slot>) -> Self {
        Self { stream, slot, limit, deadline: Box::pin(time::sleep(limit)), stalled: None }
    }

    fn guard(&mut self, context: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            if let Some(stalled) = &mut self.stalled {
                stalled.busy = None;
                stalled.taken += bytes;
            }
            self.stalled.take_if(|stalled| stalled.taken >= MIN_BYTES);
        }
        if written.is_ready() {
            return written;
        }
        let (slot, deadline, limit) = (&self.slot, &mut self.deadline, self.limit);
        let stalled = self.stalled.get_or_insert_with(|| {
            deadline.as_mut().reset(Instant::now() + limit);
            Stalled { taken: 0, busy: None }
        });
        stalled.busy.get_or_insert_with(|| slot.busy());
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StallGuard<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for StallGuard<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.guard(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.guard(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::super::connection_limits::ConnectionLimits;
    use super::*;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn a_client_that_reads_a_byte_now_and_then_is_cut_off_too() {
        let admission = ConnectionLimits::new(1, 1).admit(HERE).await;
        let (server, mut client) = tokio::io::duplex(64);
        let mut guarded = StallGuard::new(server, Duration::from_millis(200), admission.slot.clone());
        let writing = tokio::spawn(async move { guarded.write_all(&vec![0; 1 << 20]).await });
        while !writing.is_finished() {
            // Read slowly, so that the deadline passes before the reads are done.
            time::sleep(Duration::from_millis(2)).await;
            let _ = client.read_u8().await;
        }
        assert_eq!(writing.await.unwrap().unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(admission.slot.is_idle());
    }

    #[tokio::test]
    async fn a_seat_is_busy_while_its_client_reads_nothing() {
        let admission = ConnectionLimits::new(1, 1).admit(HERE).await;
        let (server, mut client) = tokio::io::duplex(64);
        let mut guarded = StallGuard::new(server, Duration::from_secs(60), admission.slot.clone());
        let writing = tokio::spawn(async move {
            guarded.write_all(&[0; 100]).await.unwrap();
            guarded
        });
        client.read_u8().await.unwrap();
        assert!(!admission.slot.is_idle());
        client.read_exact(&mut [0; 99]).await.unwrap();
        let _guarded = writing.await.unwrap();
        assert!(admission.slot.is_idle());
    }
}
