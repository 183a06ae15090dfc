//! Listens on one or more addresses and runs the server.

use std::fmt;
use std::future::Future;
use std::net::{SocketAddr, ToSocketAddrs};
use std::pin::pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::connection::{self, Connections};
use super::content_cache::ContentCache;
use super::contents::{Contents, Registry};
use super::error::ServeError;
use super::git::{Git, GitRepositories};
use super::host::Names;
use super::host_name::HostName;
use super::limits::Limits;
use super::listener::Listener;
use super::metrics::Metrics;
use super::pages::Pages;
use super::proxy::Proxy;
use super::request_log::Log;
use super::service::Service;
use super::tls::Tls;

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
    /// The certificate for HTTPS on the first address. `None` for plain HTTP.
    pub tls: Option<Tls>,
    /// The registry at paths that name none. The other one is at `/signed` or `/pinned`.
    pub registry: Registry,
    /// The names by which clients reach the server, in addition to those of this machine. The server answers to no other
    /// names if there are any here, and on a loopback address.
    pub names: Vec<HostName>,
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

/// A server that listens but does not answer requests yet.
pub struct Server {
    /// Never empty.
    listeners: Vec<Listener>,
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
        let listeners = vec![Listener::bind(address, options.tls.clone())?];
        Ok(Self { listeners, contents, options })
    }

    /// Listens on a further address: with HTTPS if there is a certificate, else with plain HTTP.
    ///
    /// # Errors
    /// Returns a [`ServeError`] if the server cannot listen on the address.
    pub fn bind_also(
        mut self,
        address: impl ToSocketAddrs + fmt::Display,
        tls: Option<Tls>,
    ) -> Result<Self, ServeError> {
        self.listeners.push(Listener::bind(address, tls)?);
        Ok(self)
    }

    /// Returns the addresses that the server listens on, with their actual ports.
    pub fn local_addrs(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// Returns the server's base URLs for clients on this machine, one for each address, such as
    /// `http://127.0.0.1:4040` or `https://localhost:4040`.
    pub fn base_urls(&self) -> impl Iterator<Item = String> {
        self.listeners.iter().map(|listener| listener.base_url(&self.options.names))
    }

    fn first(&self) -> (SocketAddr, String) {
        let first = &self.listeners[0];
        (first.address, first.base_url(&self.options.names))
    }

    /// Answers requests on separate threads until `shutdown` completes. Active requests then get [`Limits::drain_time`]
    /// to finish. Blocks the calling thread, which must not belong to a tokio runtime. `shutdown` is polled in a tokio
    /// runtime with I/O and time enabled.
    ///
    /// # Errors
    /// Returns [`ServeError::Threads`] or [`ServeError::Listen`] if the system lacks resources.
    pub fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let (local_addr, base_url) = self.first();
        let Self { listeners, contents, options } = self;
        let threads = |source| ServeError::Threads { address: local_addr, source };
        let runtime = connection::runtime().map_err(threads)?;
        let repositories =
            GitRepositories::new(contents.clone(), options.git, &options.limits, runtime.handle().clone());
        let pages = Pages::new(contents.clone(), &options.limits);
        let cache = ContentCache::new(contents, options.cache_bytes, runtime.handle().clone());
        let names = Names::new(options.names);
        let proxy = options.is_proxy.then_some(Proxy { address: local_addr });
        let (log, registry, metrics) = (options.log, options.registry, Arc::<Metrics>::default());
        let service = Service { cache, repositories, pages, log, metrics, base_url, names, registry, proxy };
        let mut connections = Connections::start(&options.limits, service).map_err(threads)?;
        let result = runtime.block_on(async {
            let sockets = listeners.iter().map(Listener::in_runtime).collect::<Result<Vec<_>, _>>()?;
            let mut shutdown = pin!(shutdown);
            loop {
                tokio::select! {
                    biased;
                    () = &mut shutdown => break,
                    () = connections.accept(&listeners, &sockets) => {}
                }
            }
            drop((sockets, listeners));
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
        let (local_addr, base_url) = self.first();
        let (stop, stopped) = oneshot::channel::<()>();
        // Dropping the sender has the same effect as sending.
        let body = move || self.run(async { drop(stopped.await) });
        let thread = thread::Builder::new().name("serve".into()).spawn(body);
        let thread = thread.map_err(|source| ServeError::Threads { address: local_addr, source })?;
        Ok(Handle { local_addr, base_url, stop: Some(stop), thread: Some(thread) })
    }
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
