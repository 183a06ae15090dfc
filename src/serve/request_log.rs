//! The log of answered requests.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::contents::Resource;
use crate::model::GitAddress;

/// Receives each entry of the request log. Must not block.
pub type Log = Arc<dyn Fn(&RequestLog) + Send + Sync>;

/// An answered request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestLog {
    /// The client's address.
    pub peer: SocketAddr,
    /// The method as sent.
    pub method: String,
    /// The path and query as sent. They are percent-encoded and therefore contain no control characters.
    pub path: String,
    /// The status of the response.
    pub status: u16,
    /// The length of the response's body in bytes. For a streamed response, the number of bytes sent.
    pub bytes: u64,
    /// The time from the end of the request's header to the start of the response.
    pub elapsed: Duration,
    /// For an error status, the response's text and its local cause. Otherwise, an error that occurred while the
    /// response was being sent.
    pub error: Option<String>,
    /// What the request asked for in vain.
    pub unanswered: Option<Unanswered>,
}

impl RequestLog {
    /// Returns whether the request is one that a monitor sends every few seconds, and succeeded.
    pub fn is_quiet(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        self.status == 200 && matches!(path.trim_start_matches('/'), "health" | "metrics")
    }
}

/// What a request asked for in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// An item that the mirror could contain but does not.
    Resource(Resource),
    /// A git repository that is not in the mirror, or that no lock pins.
    GitRepository(GitAddress),
    /// Something that no mirror contains.
    NotServed {
        /// The path, percent-encoded and shortened.
        path: String,
        /// The reason, and what to do instead.
        reason: String,
    },
    /// A host that is not mirrored, through the proxy of a command that must not leave the mirror.
    Elsewhere {
        /// The host, shortened.
        host: String,
        /// The port.
        port: u16,
    },
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resource(resource) => resource.fmt(f),
            Self::GitRepository(address) => write!(f, "the git repository {address}"),
            Self::Elsewhere { host, port } => write!(f, "{host}:{port}"),
            Self::NotServed { path, reason } => write!(f, "{path} ({reason})"),
        }
    }
}
