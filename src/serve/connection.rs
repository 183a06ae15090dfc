//! Accepts connections, limits their number and duration, and closes them.

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::thread;
use std::time::Duration;

use http_body_util::{Either, Full};
use hyper::Response;
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time;
use tokio_rustls::TlsAcceptor;

use super::connection_limits::{Admission, ConnectionLimits, Slot};
use super::limits::Limits;
use super::listener::{Arrival, Listener};
use super::service::Service;
use super::stall_guard::StallGuard;

/// The maximum number of header fields per request. Clients send fewer than ten.
const MAX_FIELDS: usize = 64;

/// The maximum number of threads per runtime that may block on the contents.
const MAX_BLOCKING: usize = 16;

/// The maximum number of bytes of a streamed response to buffer for its client.
const MAX_UNSENT: usize = 128 * 1024;

/// The pause after a failure to accept a connection, usually because file descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long an idle blocking thread is kept: practically forever.
const BLOCKING_KEPT: Duration = Duration::from_secs(u32::MAX as u64);

/// Creates a single-threaded runtime with one additional thread for blocking calls.
///
/// tokio panics if it cannot start its first blocking thread on demand. With one such thread running, it works even if
/// the system provides no further threads.
pub(super) fn runtime() -> io::Result<Runtime> {
    let mut builder = runtime::Builder::new_current_thread();
    let builder = builder.max_blocking_threads(MAX_BLOCKING).thread_keep_alive(BLOCKING_KEPT);
    let runtime = crate::runtime::build(builder)?;
    // If one thread can be started and ends, another can be started.
    drop(thread::Builder::new().spawn(|| ())?.join());
    let started = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.spawn_blocking(|| ())));
    // The operating system's own message.
    let none = |_| io::Error::new(io::ErrorKind::WouldBlock, "Resource temporarily unavailable");
    started.map(|_| runtime).map_err(none)
}

/// All connections of a server, distributed over one worker per core. A connection stays with its worker, so that no
/// response has to wait for another thread to wake up. With tokio's work-stealing runtime, small responses cost a fifth
/// more.
pub(super) struct Connections {
    workers: Vec<Worker>,
    next: usize,
    limits: Arc<ConnectionLimits>,
}

struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    done: oneshot::Receiver<()>,
}

struct Accepted {
    stream: std::net::TcpStream,
    arrival: Arrival,
    tls: Option<TlsAcceptor>,
    admission: Admission,
}

impl Connections {
    pub(super) fn start(limits: &Limits, service: Service) -> io::Result<Self> {
        let handler = Arc::new(Handler::new(limits, service));
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        let workers = (0..cores).map(|_| Worker::start(handler.clone())).collect::<io::Result<_>>()?;
        let connections = limits.connections.min(descriptors() / 2);
        Ok(Self { workers, next: 0, limits: ConnectionLimits::new(connections, limits.connections_per_peer) })
    }

    /// Accepts a connection and passes it to a worker. `sockets` are those of the listeners.
    pub(super) async fn accept(&mut self, listeners: &[Listener], sockets: &[TcpListener]) {
        let (at, accepted) = any_accepted(sockets, self.next).await;
        match accepted {
            Ok((stream, peer)) => {
                let admission = self.limits.admit(peer.ip()).await;
                // The stream is registered with the worker's runtime instead. If any of this fails, the connection is
                // closed.
                let Ok(stream) = stream.into_std() else { return };
                let arrival = listeners[at].arrival(peer);
                let tls = listeners[at].tls.as_ref().map(|tls| TlsAcceptor::from(tls.config.clone()));
                let _ = self.workers[self.next].accepted.send(Accepted { stream, arrival, tls, admission });
                self.next = (self.next + 1) % self.workers.len();
            }
            // The client disconnected before its connection was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                self.limits.close_some_idle(|_| true);
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Lets active requests finish within [`Limits::drain_time`], then closes the remaining connections.
    pub(super) async fn drain(self) {
        let (accepted, done): (Vec<_>, Vec<_>) =
            self.workers.into_iter().map(|worker| (worker.accepted, worker.done)).unzip();
        drop(accepted);
        self.limits.close_all();
        for done in done {
            // A worker that panicked has finished too.
            let _ = done.await;
        }
    }
}

/// Accepts the next connection of any socket, and returns the number of the socket. `first` is the one to ask first: it
/// must vary, or else a busy address could keep connections to the others waiting.
async fn any_accepted(sockets: &[TcpListener], first: usize) -> (usize, io::Result<(TcpStream, SocketAddr)>) {
    poll_fn(|context| {
        for at in (first..first + sockets.len()).map(|number| number % sockets.len()) {
            if let Poll::Ready(accepted) = sockets[at].poll_accept(context) {
                return Poll::Ready((at, accepted));
            }
        }
        Poll::Pending
    })
    .await
}

impl Worker {
    fn start(handler: Arc<Handler>) -> io::Result<Self> {
        let runtime = runtime()?;
        let (accepted, queue) = mpsc::unbounded_channel();
        let (finished, done) = oneshot::channel();
        thread::Builder::new().name("serve-worker".into()).spawn(move || {
            runtime.block_on(work(handler, queue));
            runtime.shutdown_background();
            let _ = finished.send(());
        })?;
        Ok(Self { accepted, done })
    }
}

/// Returns the maximum number of files that this process may open.
fn descriptors() -> usize {
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        return usize::try_from(limit).unwrap_or(usize::MAX);
    }
    usize::MAX
}

/// Serves connections from the queue until it is closed, and then lets them finish.
async fn work(handler: Arc<Handler>, mut queue: mpsc::UnboundedReceiver<Accepted>) {
    let mut tasks = JoinSet::new();
    while let Some(accepted) = queue.recv().await {
        while tasks.try_join_next().is_some() {}
        tasks.spawn(handler.clone().handle(accepted));
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    let _ = time::timeout(handler.drain_time, ended).await;
    tasks.shutdown().await;
}

/// Handles single connections.
struct Handler {
    http: http1::Builder,
    service: Arc<Service>,
    header_time: Duration,
    write_time: Duration,
    drain_time: Duration,
}

impl Handler {
    fn new(limits: &Limits, service: Service) -> Self {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.header_time)
            .max_buf_size(MAX_UNSENT.max(limits.header_bytes))
            .max_header_size(limits.header_bytes)
            .max_headers(MAX_FIELDS);
        Self {
            http,
            service: Arc::new(service),
            header_time: limits.header_time,
            write_time: limits.write_time,
            drain_time: limits.drain_time,
        }
    }

    /// Waits until the connection's peer may have another one, establishes TLS, and serves the requests.
    async fn handle(self: Arc<Self>, accepted: Accepted) {
        let Accepted { stream, arrival, tls, admission } = accepted;
        let slot = &admission.slot;
        let Ok(stream) = TcpStream::from_std(stream) else { return };
        // Without this, a small response may wait for the client's delayed acknowledgement. If the call fails, the
        // client has disconnected.
        let _ = stream.set_nodelay(true);
        let stream = StallGuard::new(stream, self.write_time, slot.clone());
        let _permit = tokio::select! {
            permit = slot.peer_permit() => permit,
            () = slot.must_close() => return,
        };
        let Some(tls) = tls else { return self.serve(stream, arrival, slot).await };
        let handshake = tokio::select! {
            handshake = time::timeout(self.header_time, tls.accept(stream)) => handshake,
            () = slot.must_close() => return,
        };
        if let Ok(Ok(stream)) = handshake {
            self.serve(stream, arrival, slot).await;
        }
    }

    /// Serves the requests of one connection, and of a tunnel in it, until it ends or must make room for another one.
    async fn serve(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        arrival: Arrival,
        slot: &Arc<Slot>,
    ) {
        let tunnel = self.serve_http(TokioIo::new(stream), arrival, slot).await;
        // Within a tunnel to this server, another one makes no sense.
        if let Some(tunnel) = tunnel
            && let Ok(stream) = tunnel.await
        {
            self.serve_http(stream, arrival, slot).await;
        }
    }

    /// Serves requests, and returns the stream that remains if the last one asked for a tunnel.
    async fn serve_http(
        &self,
        stream: impl Read + Write + Unpin + Send + 'static,
        arrival: Arrival,
        slot: &Arc<Slot>,
    ) -> Option<OnUpgrade> {
        let tunnel = Mutex::new(None);
        let answer = service_fn(|mut request| {
            let (service, busy) = (self.service.clone(), slot.busy());
            let accepts = service.proxy.is_some_and(|proxy| proxy.accepts_tunnel(&request));
            if accepts {
                *tunnel.lock().unwrap_or_else(PoisonError::into_inner) = Some(hyper::upgrade::on(&mut request));
            }
            async move {
                if accepts {
                    return Ok(Response::new(Either::Left(Full::default())));
                }
                let mut answer = service.answer(arrival, request).await;
                if let Either::Right(streamed) = answer.body_mut() {
                    streamed.hold(Box::new(busy));
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let mut connection = pin!(self.http.serve_connection(stream, answer).with_upgrades());
        // An error here is the client's fault: it disconnected, was too slow, or did not send HTTP.
        tokio::select! {
            _ = connection.as_mut() => return tunnel.into_inner().unwrap_or_else(PoisonError::into_inner),
            () = slot.must_close() => {}
        }
        // Close the connection now, because hyper would wait for its first request.
        if slot.is_idle() && !slot.was_served() {
            return None;
        }
        connection.as_mut().graceful_shutdown();
        if !slot.is_idle() {
            slot.stays_open();
        }
        let _ = connection.await;
        None
    }
}
