//! Accepts connections, limits their number and duration, and closes them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use http_body_util::Either;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time;
use tokio_rustls::TlsAcceptor;

use super::guarded::Guarded;
use super::seats::{Place, Seats};
use super::server::Limits;
use super::service::Service;
use super::tls::Tls;

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
    seats: Arc<Seats>,
}

struct Worker {
    accepted: mpsc::UnboundedSender<Accepted>,
    done: oneshot::Receiver<()>,
}

struct Accepted {
    stream: std::net::TcpStream,
    peer: SocketAddr,
    place: Place,
}

impl Connections {
    pub(super) fn start(limits: &Limits, tls: Option<&Tls>, service: Service) -> io::Result<Self> {
        let service = Arc::new(service);
        let cores = thread::available_parallelism().map_or(2, NonZero::get);
        let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config.clone()));
        let workers = (0..cores).map(|_| Worker::start(limits.clone(), acceptor.clone(), service.clone()));
        let workers = workers.collect::<io::Result<_>>()?;
        let seats = limits.connections.min(descriptors() / 2);
        Ok(Self { workers, next: 0, seats: Seats::new(seats, limits.connections_per_peer) })
    }

    /// Accepts a connection and passes it to a worker.
    pub(super) async fn accept(&mut self, listener: &TcpListener) {
        match listener.accept().await {
            Ok((stream, peer)) => {
                let place = self.seats.take(peer.ip()).await;
                // The stream is registered with the worker's runtime instead. If any of this fails, the connection is
                // closed.
                let Ok(stream) = stream.into_std() else { return };
                let _ = self.workers[self.next].accepted.send(Accepted { stream, peer, place });
                self.next = (self.next + 1) % self.workers.len();
            }
            // The client disconnected before its connection was accepted.
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(_) => {
                self.seats.ask_some_to_leave(|_| true);
                time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }

    /// Lets active requests finish within [`Limits::drain_time`], then closes the remaining connections.
    pub(super) async fn drain(self) {
        let (accepted, done): (Vec<_>, Vec<_>) =
            self.workers.into_iter().map(|worker| (worker.accepted, worker.done)).unzip();
        drop(accepted);
        self.seats.ask_all_to_leave();
        for done in done {
            // A worker that panicked has finished too.
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

/// Returns the maximum number of files that this process may open.
fn descriptors() -> usize {
    #[cfg(unix)]
    if let Some(limit) = rustix::process::getrlimit(rustix::process::Resource::Nofile).current {
        return usize::try_from(limit).unwrap_or(usize::MAX);
    }
    usize::MAX
}

/// Serves connections from the queue until it is closed, and then lets them finish.
async fn work(
    limits: &Limits,
    tls: Option<TlsAcceptor>,
    service: Arc<Service>,
    mut queue: mpsc::UnboundedReceiver<Accepted>,
) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(MAX_UNSENT.max(limits.header_bytes))
        .max_header_size(limits.header_bytes)
        .max_headers(MAX_FIELDS);
    let mut tasks = JoinSet::new();
    while let Some(Accepted { stream, peer, place }) = queue.recv().await {
        while tasks.try_join_next().is_some() {}
        let Ok(stream) = TcpStream::from_std(stream) else { continue };
        // Without this, a small response may wait for the client's delayed acknowledgement. If the call fails, the
        // client has disconnected.
        let _ = stream.set_nodelay(true);
        let stream = Guarded::new(stream, limits.write_time, place.seat.clone());
        let (http, service, tls, header_time) = (http.clone(), service.clone(), tls.clone(), limits.header_time);
        tasks.spawn(async move {
            let seat = place.seat.clone();
            let share = tokio::select! {
                share = seat.share() => share,
                () = seat.is_to_leave() => return,
            };
            match tls {
                None => serve(&http, stream, service, peer, &place).await,
                Some(tls) => {
                    let stream = tokio::select! {
                        stream = time::timeout(header_time, tls.accept(stream)) => stream,
                        () = seat.is_to_leave() => return,
                    };
                    if let Ok(Ok(stream)) = stream {
                        serve(&http, stream, service, peer, &place).await;
                    }
                }
            }
            drop(share);
        });
    }
    let ended = async { while tasks.join_next().await.is_some() {} };
    let _ = time::timeout(limits.drain_time, ended).await;
    tasks.shutdown().await;
}

/// Serves the requests of one connection until it ends or must make room for another one.
async fn serve(
    http: &http1::Builder,
    stream: impl AsyncRead + AsyncWrite + Unpin,
    service: Arc<Service>,
    peer: SocketAddr,
    place: &Place,
) {
    let seat = &place.seat;
    let answer = service_fn(|request| {
        let (service, busy) = (service.clone(), seat.busy());
        async move {
            let mut answer = service.answer(peer, request).await;
            if let Either::Right(streamed) = answer.body_mut() {
                streamed.hold(Box::new(busy));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let mut connection = pin!(http.serve_connection(TokioIo::new(stream), answer));
    // An error here is the client's fault: it disconnected, was too slow, or did not send HTTP.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = seat.is_to_leave() => {}
    }
    // Close the connection now, because hyper would wait for its first request.
    if seat.is_idle() && !seat.was_served() {
        return;
    }
    connection.as_mut().graceful_shutdown();
    if !seat.is_idle() {
        seat.stays();
    }
    let _ = connection.await;
}
