//! The log of answered requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
    /// A description of the requested item, if the mirror could contain it but does not.
    pub lacking: Option<String>,
}
