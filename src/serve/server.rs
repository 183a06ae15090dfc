//! Listening, and the life of the server.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::contents::Contents;

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
    /// The length of the answer's body in bytes.
    pub bytes: u64,
    /// From the end of the request's header to the start of the answer.
    pub elapsed: Duration,
    /// What the body says, where the status is an error.
    pub error: Option<String>,
}

/// What bounds one client's use of the server.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at one time; more wait in the system's queue.
    pub connections: usize,
    /// Time for a whole request header, counted from the end of the last request: so also how long an idle connection
    /// is kept.
    pub header_time: Duration,
    /// Time in which a client has to take at least some bytes of an answer.
    pub write_time: Duration,
    /// Size of a request header in bytes; at least 8192.
    pub header_bytes: usize,
    /// Time that running requests get when the server stops.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_time: Duration::from_secs(30),
            write_time: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            drain_time: Duration::from_secs(5),
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
}

impl Default for Options {
    fn default() -> Self {
        Self { cache_bytes: 64 * 1024 * 1024, limits: Limits::default(), log: None }
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
    #[error("cannot start the server's threads")]
    Threads {
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
        let _ = (address, contents, options);
        todo!()
    }

    /// Returns the address it listens on, with the real port.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Returns the address as clients on this machine write it, such as `http://127.0.0.1:4040`.
    pub fn base_url(&self) -> String {
        todo!()
    }

    /// Answers requests on the current tokio runtime until `shutdown` completes; then lets running requests end, at
    /// most for [`Limits::drain_time`].
    ///
    /// # Errors
    /// [`ServeError::Listen`] where the runtime cannot take the listener over.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ServeError> {
        let _ = (shutdown, &self.listener, &self.contents, &self.options);
        todo!()
    }

    /// Answers requests on threads of its own until the handle stops it.
    ///
    /// # Errors
    /// [`ServeError::Threads`].
    pub fn start(self) -> Result<Handle, ServeError> {
        todo!()
    }
}

/// A server that runs on threads of its own. Stops when dropped.
pub struct Handle {
    local_addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), ServeError>>>,
}

impl Handle {
    /// Returns the address it listens on.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Stops accepting, lets running requests end within [`Limits::drain_time`], and waits for that.
    ///
    /// # Errors
    /// What ended the server before.
    pub fn stop(self) -> Result<(), ServeError> {
        let _ = (&self.stop, &self.thread);
        todo!()
    }
}
