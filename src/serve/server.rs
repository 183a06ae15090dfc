//! Listens on an address and runs the server.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::net::TcpListener as AsyncListener;
use tokio::sync::oneshot;

use super::connection::{self, Connections};
use super::content_cache::ContentCache;
use super::contents::{Contents, Registry};
use super::git::{Git, GitRepositories};
use super::host::Names;
use super::limits::Limits;
use super::proxy::Proxy;
use super::request_log::Log;
use super::service::Service;
use super::tls::Tls;

/// The length of the system's queue of new connections, as far as the system permits (`somaxconn`, listen(2)).
#[cfg(unix)]
const BACKLOG: i32 = 4096;

/// The options of a server.
#[derive(Clone)]
pub struct Options {
    /// The maximum memory use of cached items, in bytes.
    pub cache_bytes: u64,
    /// The limits.
    pub limits: Limits,
    /// Receives each answered request, if set.
    pub log: Option<Log>,
    /// The git program that answers git clients.
    pub git: Git,
    /// The certificate for HTTPS. `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// The registry at paths that name none. The other one is at `/signed` or `/pinned`.
    pub registry: Registry,
    /// Additional names by which clients reach a server that listens on a loopback address.
    pub names: Vec<String>,
    /// Whether the server is also an HTTP proxy. It then refuses requests for everything that is not mirrored, and the
    /// log receives their hosts.
    pub is_proxy: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 * 1024 * 1024,
            limits: Limits::default(),
            log: None,
            git: Git::default(),
            tls: None,
            registry: Registry::default(),
            names: Vec::new(),
            is_proxy: false,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options").field("cache_bytes", &self.cache_bytes).field("limits", &self.limits).finish()
    }
}

/// The reason why a server cannot run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address is invalid.
    #[error("{address} is not a valid address to listen on; use HOST:PORT, such as 127.0.0.1:4040")]
    Address {
        /// The address as given.
        address: String,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// Another program listens on the address.
    #[error("{address} is already in use; choose another port, or 0 for a free one")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The user lacks the permission to listen on the address.
    #[error("permission denied to listen on {address}; choose a port above 1023, or 0 for a free one")]
    Permission {
        /// The address.
        address: SocketAddr,
    },
    /// Listening failed for another reason.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// The server's threads cannot be started.
    #[error("cannot start the threads for the server on {address}")]
    Threads {
        /// The address that the server listens on.
        address: SocketAddr,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
}

/// A server that listens but does not answer requests yet.
pub struct Server {
    listener: TcpListener,
    local_addr: SocketAddr,
    contents: Arc<dyn Contents>,
    options: Options,
}

impl Server {
    /// Listens on `address` (`HOST:PORT` or a [`SocketAddr`]; port 0 selects a free port).
    ///
    /// # Errors
    /// Returns a [`ServeError`] if the server cannot listen on the address.
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

    /// Returns the address that the server listens on, with the actual port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the server's base URL for clients on this machine, such as `http://127.0.0.1:4040` or
    /// `https://localhost:4040`.
    pub fn base_url(&self) -> String {
        base_url(self.local_addr, &self.options)
    }

    /// Answers requests on separate threads until `shutdown` completes. Active requests then get [`Limits::drain_time`]
    /// to finish. Blocks the calling thread, which must not belong to a tokio runtime. `shutdown` is polled in a tokio
    /// runtime with I/O and time enabled.
    ///
    /// # Errors
    /// Returns [`ServeError::Threads`] or [`ServeError::Listen`] if the system lacks resources.
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let base_url = self.base_url();
        let Self { listener, local_addr, contents, options } = self;
        let threads = |source| ServeError::Threads { address: local_addr, source };
        let runtime = connection::runtime().map_err(threads)?;
        let repositories =
            GitRepositories::new(contents.clone(), options.git, &options.limits, runtime.handle().clone());
        let cache = ContentCache::new(contents, options.cache_bytes, runtime.handle().clone());
        let names = local_addr.ip().is_loopback().then(|| Names::new(options.names));
        let proxy = options.is_proxy.then_some(Proxy { address: local_addr });
        let service =
            Service { cache, repositories, log: options.log, base_url, names, registry: options.registry, proxy };
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
        // Calls that still block in the contents must not delay the program's exit.
        runtime.shutdown_background();
        result
    }

    /// Runs the server in the background, as [`Server::run`] does, until the handle stops it.
    ///
    /// # Errors
    /// Returns [`ServeError::Threads`] if the thread cannot be started.
    pub fn start(self) -> Result<Handle, ServeError> {
        let (local_addr, base_url) = (self.local_addr, self.base_url());
        let (stop, stopped) = oneshot::channel::<()>();
        // Dropping the sender has the same effect as sending.
        let body = move || self.run(async { drop(stopped.await) });
        let thread = thread::Builder::new().name("serve".into()).spawn(body);
        let thread = thread.map_err(|source| ServeError::Threads { address: local_addr, source })?;
        Ok(Handle { local_addr, base_url, stop: Some(stop), thread: Some(thread) })
    }
}

fn listen(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    // The standard library's queue of 128 is too short for bursts: the system drops further connections, and their
    // clients only retry after a second.
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

/// Returns the base URL for an address.
///
/// The unspecified address is replaced with the loopback address, because clients cannot connect to the former. With
/// TLS, the loopback address is replaced with `localhost`, because Erlang's clients do not compare IP addresses with a
/// certificate's (`public_key`'s `pkix_verify_hostname/2`, whose default for `https` only knows names). This does not
/// apply to a certificate that the user provides, which has names of its own.
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

/// A server that runs on separate threads. Dropping it stops the server.
pub struct Handle {
    local_addr: SocketAddr,
    base_url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Handle {
    /// Returns the address that the server listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the server's base URL for clients on this machine, such as `http://127.0.0.1:4040`.
    pub fn base_url(&self) -> String {
        self.base_url.clone()
    }

    /// Stops accepting connections and waits until active requests finish, at most for [`Limits::drain_time`].
    ///
    /// # Errors
    /// Returns the error that ended the server before, if any.
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
            // A drop cannot report errors.
            let _ = thread.join();
        }
    }
}
