//! Listening, and the life of the server.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::num::NonZero;
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tokio::net::TcpListener as AsyncListener;
use tokio::sync::oneshot;

use super::connection::{self, Connections};
use super::contents::Contents;
use super::git::{Git, Repositories};
use super::host::Names;
use super::service::Service;
use super::shelf::Shelf;
use super::tls::Tls;

/// How many new connections wait in the system's queue, as far as that allows (`somaxconn`, listen(2)).
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// Takes one line of the request log. Must not block.
pub type Log = Arc<dyn Fn(&RequestLog) + Send + Sync>;

/// One request, as it was answered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestLog {
    /// Who asked.
    pub peer: SocketAddr,
    /// The method, as sent.
    pub method: String,
    /// Path and query, as sent (still percent-encoded, so it holds no control characters).
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// The length of the answer's body in bytes; of one that is sent as it is made, what was sent of it.
    pub bytes: u64,
    /// From the end of the request's header to the start of the answer.
    pub elapsed: Duration,
    /// If the status is an error, what the body says and its cause on this machine; else what went wrong later.
    pub error: Option<String>,
    /// What was asked for, as a person would call it, where the mirror could have it and does not.
    pub lacking: Option<String>,
}

/// What bounds one client's use of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time, and at most half of the files that the process may have open. Whoever comes then gets the
    /// place of the connection that has been idle for longest; while none is, it waits.
    pub connections: usize,
    /// Connections of one peer that are served at one time, unless it is this machine; with IPv6, of one /64 network.
    pub connections_per_peer: usize,
    /// Time for a whole request header, counted from the end of the last request: so also how long an idle connection
    /// is kept.
    pub header_time: Duration,
    /// Time in which a client has to take at least 16 KiB of an answer.
    pub write_time: Duration,
    /// Size of a request header in bytes; at least 8192.
    pub header_bytes: usize,
    /// Time that running requests get when the server stops.
    pub drain_time: Duration,
    /// Size of the body of a git client's request in bytes, packed and unpacked.
    pub body_bytes: u64,
    /// Time for the whole body of a git client's request.
    pub body_time: Duration,
    /// How many git processes answer at one time, of one peer at most half of them, unless it is this machine; further
    /// requests wait for their turn.
    pub git_processes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            connections_per_peer: 128,
            header_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            drain_time: Duration::from_secs(5),
            // A client sends 50 bytes for each commit that it has, at most some thousands of them.
            body_bytes: 16 * 1024 * 1024,
            body_time: Duration::from_secs(60),
            git_processes: 2 * thread::available_parallelism().map_or(2, NonZero::get),
        }
    }
}

/// How a server runs.
#[derive(Clone)]
pub struct Options {
    /// Bytes that loaded items may take in memory.
    pub cache_bytes: u64,
    /// What bounds one client.
    pub limits: Limits,
    /// Takes each answered request, where set.
    pub log: Option<Log>,
    /// Which git answers git clients.
    pub git: Git,
    /// What it needs to speak HTTPS, where it is to speak that.
    pub tls: Option<Tls>,
    /// Further names under which clients reach a server that listens on a loopback address.
    pub names: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 * 1024 * 1024,
            limits: Limits::default(),
            log: None,
            git: Git::default(),
            tls: None,
            names: Vec::new(),
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("cache_bytes", &self.cache_bytes).field("limits", &self.limits).finish()
    }
}

/// Why a server could not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is not one.
    #[error("{address} is not an address to listen on; give HOST:PORT, such as 127.0.0.1:4040")]
    Address {
        /// The address as it was given.
        address: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another program listens there.
    #[error("{address} is in use by another program; choose another port, or 0 for a free one")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The user may not listen there.
    #[error("no permission to listen on {address}; ports below 1024 need it, choose a higher one or 0 for a free one")]
    Permission {
        /// The address.
        address: SocketAddr,
    },
    /// Listening failed otherwise.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The threads of the server could not be started.
    #[error("cannot start the threads of the server at {address}")]
    Threads {
        /// The address that it listens on.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// A server that listens, though nobody is answered before it runs.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    contents: Arc<dyn Contents>,
    options: Options,
}

impl Server {
    /// Listens on `address` (`HOST:PORT` or a [`SocketAddr`]; port 0 takes a free one).
    ///
    /// # Errors
    /// A [`ServeError`] that says why the address cannot be had.
    pub fn bind(
        address: impl ToSocketAddrs + fmt::Display,
        contents: Arc<dyn Contents>,
        options: Options,
    ) -> Result<Self, ServeError> {
        let unusable = |source| ServeError::Address { address: address.to_string(), source };
        let mut error = None;
        for address in address.to_socket_addrs().map_err(unusable)? {
            match listen(address) {
                Ok((listener, local_addr)) => return Ok(Self { listener, local_addr, contents, options }),
                Err(source) => error = Some(cannot_listen(address, source)),
            }
        }
        Err(error.unwrap_or_else(|| unusable(io::Error::from(io::ErrorKind::NotFound))))
    }

    /// Returns the address it listens on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the address as clients on this machine write it, such as `http://127.0.0.1:4040` or `https://localhost:4040`.
    pub fn base_url(&self) -> String {
        base_url(self.local_addr, &self.options)
    }

    /// Answers requests, on threads of its own, until `shutdown` completes; then lets running requests end, at most for
    /// [`Limits::drain_time`]. Blocks the calling thread, which must not be one of a tokio runtime; `shutdown` is
    /// polled in a tokio runtime with I/O and time enabled.
    ///
    /// # Errors
    /// [`ServeError::Threads`] or [`ServeError::Listen`] where the system does not give what is needed.
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let base_url = self.base_url();
        let Self { listener, local_addr, contents, options } = self;
        let threads = |source| ServeError::Threads { address: local_addr, source };
        let runtime = connection::runtime().map_err(threads)?;
        let repositories = Repositories::new(contents.clone(), options.git, &options.limits, runtime.handle().clone());
        let shelf = Shelf::new(contents, options.cache_bytes, runtime.handle().clone());
        let names = local_addr.ip().is_loopback().then(|| Names::new(options.names));
        let service = Service { shelf, repositories, log: options.log, base_url, names };
        let mut connections = Connections::start(&options.limits, options.tls.as_ref(), service).map_err(threads)?;
        let result = runtime.block_on(async {
            let listener = AsyncListener::from_std(listener)
                .map_err(|source| ServeError::Listen { address: local_addr, source })?;
            let mut shutdown = pin!(shutdown);
            loop {
                tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    () = connections.accept(&listener) => {}
                }
            }
            drop(listener);
            connections.drain().await;
            Ok(())
        });
        // What still blocks in the contents must not hold the program up.
        runtime.shutdown_background();
        result
    }

    /// Does what [`Server::run`] does in the background, until the handle stops it.
    ///
    /// # Errors
    /// [`ServeError::Threads`].
    pub fn start(self) -> Result<Handle, ServeError> {
        let (local_addr, base_url) = (self.local_addr, self.base_url());
        let (stop, stopped) = oneshot::channel::<()>();
        // A dropped sender means the same as a sent one.
        let body = move || self.run(async { drop(stopped.await) });
        let thread = thread::Builder::new().name("serve".into()).spawn(body);
        let thread = thread.map_err(|source| ServeError::Threads { address: local_addr, source })?;
        Ok(Handle { local_addr, base_url, stop: Some(stop), thread: Some(thread) })
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    // The system drops what comes in a burst beyond the standard library's 128, and the client tries again a second later.
    #[cfg(unix)]
    rustix::net::listen(&listener, BACKLOG)?;
    listener.set_nonblocking(true)?;
    let local_addr = listener.local_addr()?;
    Ok((listener, local_addr))
}

fn cannot_listen(address: SocketAddr, source: io::Error) -> ServeError {
    match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::InUse { address },
        io::ErrorKind::PermissionDenied => ServeError::Permission { address },
        _ => ServeError::Listen { address, source },
    }
}

/// An address that stands for all of the machine's is replaced by the loopback one: nobody can connect to the former. With TLS
/// that is named: Erlang's clients do not compare a number with the addresses in a certificate (`public_key`'s
/// `pkix_verify_hostname/2`, whose default knows only names for `https`). A certificate of the user's own is for a name of theirs.
fn base_url(mut address: SocketAddr, options: &Options) -> String {
    let port = address.port();
    match &options.tls {
        Some(tls) if tls.authority().is_none() && !options.names.is_empty() => {
            return format!("https://{}:{port}", options.names[0]);
        }
        Some(_) if address.ip().is_unspecified() || address.ip().is_loopback() => {
            return format!("https://localhost:{port}");
        }
        Some(_) => return format!("https://{address}"),
        None => {}
    }
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    format!("http://{address}")
}

/// A server that runs on threads of its own. Stops when dropped.
pub struct Handle {
    local_addr: SocketAddr,
    base_url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Handle {
    /// Returns the address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the address as clients on this machine write it, such as `http://127.0.0.1:4040`.
    pub fn base_url(&self) -> String {
        self.base_url.clone()
    }

    /// Stops accepting, lets running requests end within [`Limits::drain_time`], and waits for that.
    ///
    /// # Errors
    /// What ended the server before.
    pub fn stop(mut self) -> Result<(), ServeError> {
        self.end()
    }

    fn end(&mut self) -> Result<(), ServeError> {
        drop(self.stop.take());
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Nobody is left to tell.
            let _ = thread.join();
        }
    }
}
