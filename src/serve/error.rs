//! Why a server cannot run.

use std::io;
use std::net::SocketAddr;

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
