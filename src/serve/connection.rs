//! Connections: how many, how long, and their end.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{self, Instant, Sleep};
use tokio_rustls::TlsAcceptor;

use super::server::Limits;
use super::service::Service;
use super::tls::Tls;

/// The most header fields of a request. Clients send fewer than ten.
const MAX_FIELDS: usize = 64;

/// The most threads of one runtime that may wait for the contents.
const MAX_BLOCKING: usize = 16;

/// How long to wait after the system could not give a connection, for want of file descriptors mostly.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Returns a runtime for one thread.
pub(super) fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().max_blocking_threads(MAX_BLOCKING).build()
}

/// All connections of a server, dealt out to one worker a core. A connection stays with its worker, so that no answer ever
/// waits for another thread to wake up: with tokio's work-stealing runtime small answers cost a fifth more.
pub(super) struct Connections {
    workers: Vec<Worker>,
    next: usize,
    free: Arc<Semaphore>,
}

struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    done: oneshot::Receiver<()>,
}

struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    /// One of the connections that are allowed at a time; given back when this is dropped.
    permit: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn start(limits: &Limits, tls: Option<&Tls>, service: Service) -> io::Result<Self> {
        let service = Arc::new(service);
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config.clone()));
        let workers = (0..cores).map(|_| Worker::start(limits.clone(), acceptor.clone(), service.clone()));
        let workers = workers.collect::<io::Result<_>>()?;
        Ok(Self { workers, next: 0, free: Arc::new(Semaphore::new(limits.connections.max(1))) })
    }

    /// Takes one connection in and gives it to a worker. May be dropped at any await without losing one.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        let permit = self.free.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                // It is registered with the worker's runtime instead. Where any of this fails, the connection is closed.
                let Ok(stream) = stream.into_std() else { return };
                let _ = self.workers[self.next].accepted.send(Accepted { stream, peer, permit });
                self.next = (self.next + 1) % self.workers.len();
            }
            // The client went away before it was its turn.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => time::sleep(ACCEPT_PAUSE).await,
        }
    }

    /// Lets running requests end within [`Limits::drain_time`], then drops what is left.
    pub(super) async fn drain(self) {
        let (accepted, done): (Vec<_>, Vec<_>) =
            self.workers.into_iter().map(|worker| (worker.accepted, worker.done)).unzip();
        drop(accepted);
        for done in done {
            // A worker that panicked is done as well.
            let _ = done.await;
        }
    }
}

impl Worker {
    fn start(limits: Limits, tls: Option<TlsAcceptor>, service: Arc<Service>) -> io::Result<Self> {
        let runtime = runtime()?;
        let (accepted, queue) = mpsc::unbounded_channel();
        let (finished, done) = oneshot::channel();
        thread::Builder::new().name("serve-worker".into()).spawn(move || {
            runtime.block_on(work(&limits, tls, service, queue));
            runtime.shutdown_background();
            let _ = finished.send(());
        })?;
        Ok(Self { accepted, done })
    }
}

/// Answers what comes through the queue until that is closed, and then lets it end.
async fn work(
    limits: &Limits,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    mut queue: mpsc::UnboundedReceiver<Accepted>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_header_size(limits.header_bytes)
        .max_headers(MAX_FIELDS);
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    while let Some(Accepted { stream, peer, permit }) = queue.recv().await {
        while tasks.try_join_next().is_some() {}
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        // Else a small answer may wait for the client's delayed acknowledgement; where it fails, the client is gone.
        let _ = stream.set_nodelay(true);
        let service = service.clone();
        let answer = service_fn(move |request| {
            let service = service.clone();
            async move { Ok::<_, Infallible>(service.answer(peer, request).await) }
        });
        let stream = Guarded::new(stream, limits.write_time);
        let watcher = graceful.watcher();
        // What can fail in these is the client's doing: it left, was too slow, or sent something that is not HTTP.
        match &tls {
            None => {
                let connection = watcher.watch(http.serve_connection(TokioIo::new(stream), answer));
                tasks.spawn(async move {
                    let _ = connection.await;
                    drop(permit);
                });
            }
            Some(tls) => {
                let handshake = time::timeout(limits.header_time, tls.accept(stream));
                let http = http.clone();
                tasks.spawn(async move {
                    if let Ok(Ok(stream)) = handshake.await {
                        let _ = watcher.watch(http.serve_connection(TokioIo::new(stream), answer)).await;
                    }
                    drop(permit);
                });
            }
        }
    }
    let _ = time::timeout(limits.drain_time, graceful.shutdown()).await;
    tasks.shutdown().await;
}

/// A stream whose writing fails once the other side takes nothing for too long. Reading is bounded by hyper.
struct Guarded {
    stream: TcpStream,
    limit: Duration,
    deadline: Pin<Box<Sleep>>,
    stalled: bool,
}

impl Guarded {
    fn new(stream: TcpStream, limit: Duration) -> Self {
        Self { stream, limit, deadline: Box::pin(time::sleep(limit)), stalled: false }
    }

    fn guard<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = false;
            return written;
        }
        if !self.stalled {
            self.stalled = true;
            self.deadline.as_mut().reset(Instant::now() + self.limit);
        }
        ready!(self.deadline.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
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
