//! Errors of fetching.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use super::endpoint::{WebUrl, WebUrlError, Withheld};
use super::inside::InsideReason;
use super::retry::RetryClass;
use crate::model::{FileAddress, OuterChecksum, RepositoryName};

/// Why something could not be fetched. Addresses are shown without passwords and queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No address is configured for a repository.
    #[error("no URL is configured for the Hex repository {repository}")]
    NoEndpoint {
        /// The repository.
        repository: RepositoryName,
    },
    /// A key contains characters that are not allowed in a header.
    #[error("the key for {url} contains characters that are not allowed in an HTTP header")]
    InvalidKey {
        /// The repository's address.
        url: WebUrl,
    },
    /// The address of a file is not one that can be requested.
    #[error("cannot request {address}")]
    Address {
        /// The address.
        address: FileAddress,
        /// What is wrong with it.
        #[source]
        source: WebUrlError,
    },
    /// A proxy's address cannot be used.
    #[error("cannot use the proxy {proxy}")]
    Proxy {
        /// The proxy's address.
        proxy: WebUrl,
        /// What is wrong with the address.
        #[source]
        source: reqwest::Error,
    },
    /// The file of certificate authorities cannot be used.
    #[error("cannot load certificate authorities from {}", path.display())]
    CaCertificates {
        /// The file, from `HEX_CACERTS_PATH`.
        path: PathBuf,
        /// What is wrong with the file.
        #[source]
        source: Cause,
    },
    /// The HTTP client could not be created, for example because the platform has no certificate authorities.
    #[error(
        "cannot create the HTTP client; if this system has no certificate authorities, set HEX_CACERTS_PATH to a PEM file"
    )]
    Client {
        /// The error from reqwest.
        #[source]
        source: reqwest::Error,
    },
    /// No server answers: the host name is unknown, or the connection was refused.
    #[error("cannot connect to {url}{}", through(proxy.as_ref()))]
    Unreachable {
        /// The requested address.
        url: WebUrl,
        /// The proxy that was used, if any.
        proxy: Option<WebUrl>,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// No connection was established, or no data arrived, within the timeout.
    #[error("{url} did not answer for {} seconds", after.as_secs_f32())]
    TimedOut {
        /// The requested address.
        url: WebUrl,
        /// The timeout.
        after: Duration,
    },
    /// The server's certificate is not trusted, or the server does not speak TLS.
    #[error(
        "cannot establish a trusted TLS connection to {url}; if a proxy or a private certificate authority is in use, \
         set HEX_CACERTS_PATH to a PEM file with its certificate"
    )]
    Tls {
        /// The requested address.
        url: WebUrl,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The connection was lost, or the response was not HTTP.
    #[error("the connection to {url} was interrupted")]
    Interrupted {
        /// The requested address.
        url: WebUrl,
        /// The cause.
        #[source]
        source: Cause,
    },
    /// The server speaks TLS, but was asked without it.
    #[error("the server expects HTTPS at {url}")]
    PlainText {
        /// The requested address, with `http`.
        url: WebUrl,
    },
    /// The body ended early.
    #[error("{url} sent only {got} of {expected} bytes")]
    Truncated {
        /// The requested address.
        url: WebUrl,
        /// The declared length, in bytes.
        expected: u64,
        /// The received length, in bytes.
        got: u64,
    },
    /// The requested resource does not exist.
    #[error("{url} was not found (HTTP {status})")]
    NotFound {
        /// The requested address.
        url: WebUrl,
        /// 404 or 410.
        status: u16,
    },
    /// Access was denied.
    #[error("{url} refused access (HTTP {status})")]
    Unauthorized {
        /// The requested address.
        url: WebUrl,
        /// 401, 403 or 407.
        status: u16,
        /// Why the user's key or token was not sent.
        withheld: Option<Withheld>,
    },
    /// Any other unsuccessful response.
    #[error("{url} responded with HTTP {status}")]
    Status {
        /// The requested address.
        url: WebUrl,
        /// The HTTP status.
        status: u16,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// The response is a web page, which no Hex repository sends.
    #[error("{url} responded with a web page instead of the requested file")]
    WebPage {
        /// The requested address.
        url: WebUrl,
    },
    /// The response is malformed.
    #[error("{url} sent an invalid response: {reason}")]
    Protocol {
        /// The requested address.
        url: WebUrl,
        /// What is wrong with the response.
        reason: String,
    },
    /// A redirect was not followed.
    #[error("did not follow the redirect from {url}: {reason}")]
    Redirect {
        /// The requested address.
        url: WebUrl,
        /// The rule that the redirect violates.
        reason: RedirectRefusal,
    },
    /// An address that a tracked file chose, or one that it redirects to, is not fetched.
    #[error("{url} is not fetched: {reason}; if it is meant, add its host to the setting internal_hosts")]
    Inside {
        /// The address.
        url: WebUrl,
        /// The rule that it violates.
        reason: InsideReason,
    },
    /// The response exceeds the size limit.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// The requested address.
        url: WebUrl,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The request failed on this machine before it was sent, because there were no file descriptors, threads or memory
    /// left.
    #[error("cannot fetch {url}")]
    Machine {
        /// The address to be requested.
        url: WebUrl,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The tarball does not have the pinned checksum. It was discarded.
    #[error("{file} has the wrong checksum: expected {expected}, got {got} from {from}")]
    ChecksumMismatch {
        /// The tarball's file name.
        file: String,
        /// The pinned checksum.
        expected: OuterChecksum,
        /// The actual checksum.
        got: OuterChecksum,
        /// The address or file that the tarball came from.
        from: String,
    },
    /// A repository in a folder does not have the requested file.
    #[error("{} does not exist", path.display())]
    NoFile {
        /// The file.
        path: PathBuf,
    },
    /// A repository in a folder, or a file in it, cannot be used.
    #[error("cannot use {}: {reason}", path.display())]
    BadFile {
        /// The file or folder.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb: `read`, `write`, …
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// The local Hex client's configuration cannot be read.
    #[error("cannot parse the Hex client's configuration {}", path.display())]
    HexConfig {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: Cause,
    },
}

/// A cause whose type does not matter to callers.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a redirect was not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// There were too many redirects.
    TooMany,
    /// The `Location` header is missing or not text.
    NoLocation,
    /// The redirect leads from https to http, where anyone could answer.
    Downgrade {
        /// The target.
        to: WebUrl,
    },
    /// The target is not a valid address.
    Invalid(WebUrlError),
}

impl fmt::Display for RedirectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => f.write_str("there are too many redirects"),
            Self::NoLocation => f.write_str("it has no location"),
            Self::Downgrade { to } => write!(f, "it leads from https to {to}"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

fn through(proxy: Option<&WebUrl>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

impl FetchError {
    /// Returns whether a checksum does not match.
    pub fn is_integrity(&self) -> bool {
        matches!(self, Self::ChecksumMismatch { .. })
    }

    /// Returns whether upstream or the connection to it is at fault.
    pub fn is_network(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::Interrupted { .. }
            | Self::PlainText { .. }
            | Self::Truncated { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Status { .. }
            | Self::WebPage { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::NoFile { .. }
            | Self::BadFile { .. }
            | Self::Client { .. } => true,
            Self::NoEndpoint { .. }
            | Self::InvalidKey { .. }
            | Self::Address { .. }
            | Self::Inside { .. }
            | Self::Proxy { .. }
            | Self::CaCertificates { .. }
            | Self::ChecksumMismatch { .. }
            | Self::Machine { .. }
            | Self::Io { .. }
            | Self::HexConfig { .. } => false,
        }
    }

    /// Returns whether the server speaks TLS, but its certificate is not trusted.
    pub fn is_untrusted_certificate(&self) -> bool {
        // rustls describes everything else that a server may send as a corrupt message.
        matches!(self, Self::Tls { source, .. } if !source.to_string().contains("corrupt message"))
    }

    /// Returns whether the requested resource does not exist upstream.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. } | Self::NoFile { .. })
    }

    /// Returns whether this machine is to blame, so that other requests would fail too.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Machine { .. } | Self::Io { .. })
    }

    /// Returns whether all other requests to the same repository are certain to fail too, because no server answers or
    /// the wrong one does.
    pub fn is_total(&self) -> bool {
        use FetchError::{Client, Tls, Unauthorized, Unreachable, WebPage};
        let unreachable = matches!(self, Unreachable { .. } | Tls { .. } | Client { .. });
        unreachable || matches!(self, WebPage { .. } | Unauthorized { status: 407, .. })
    }

    /// Returns whether a retry may help.
    pub(super) fn class(&self) -> RetryClass {
        match self {
            // File descriptors and threads of this machine may become available again soon.
            Self::Unreachable { .. } | Self::Machine { .. } => RetryClass::Unreachable,
            Self::TimedOut { .. } | Self::Interrupted { .. } | Self::Truncated { .. } | Self::Protocol { .. } => {
                RetryClass::Passing
            }
            Self::Status { status: 408 | 429 | 500..=599, .. } => RetryClass::Passing,
            _ => RetryClass::Lasting,
        }
    }

    /// Returns how long the server asked to wait.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
