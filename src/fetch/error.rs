//! What can go wrong while fetching.

use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

use super::endpoint::{WebUrl, WebUrlError, Withheld};
use super::retry::Class;
use crate::model::{OuterChecksum, RepositoryName};

/// Why something could not be fetched. Addresses are shown without passwords and queries.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// No address was configured for a repository.
    #[error("no address is known for the Hex repository {repository}")]
    NoEndpoint {
        /// The repository.
        repository: RepositoryName,
    },
    /// A key cannot be sent in a header.
    #[error("the key for {url} has characters that no HTTP header may have")]
    InvalidKey {
        /// The repository's address.
        url: WebUrl,
    },
    /// A proxy's address cannot be used.
    #[error("the proxy {proxy} cannot be used")]
    Proxy {
        /// Its address.
        proxy: WebUrl,
        /// What is wrong with it.
        #[source]
        source: reqwest::Error,
    },
    /// The file with certificate authorities cannot be used.
    #[error("cannot take certificate authorities from {}", path.display())]
    CaCertificates {
        /// The file, as `HEX_CACERTS_PATH` gives it.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Cause,
    },
    /// The HTTP client could not be made: the platform has no certificate authorities, for example.
    #[error(
        "cannot prepare connections; if this system has no certificate authorities, set HEX_CACERTS_PATH to a PEM file"
    )]
    Client {
        /// Why.
        #[source]
        source: reqwest::Error,
    },
    /// Nobody answers: the name is unknown, or the connection refused.
    #[error("cannot connect to {url}{}", through(proxy.as_ref()))]
    Unreachable {
        /// What was asked for.
        url: WebUrl,
        /// Through which proxy, if through any.
        proxy: Option<WebUrl>,
        /// Why.
        #[source]
        source: Cause,
    },
    /// No connection was made, or no byte arrived, for too long.
    #[error("{url} did not answer for {} seconds", after.as_secs_f32())]
    TimedOut {
        /// What was asked for.
        url: WebUrl,
        /// How long was waited.
        after: Duration,
    },
    /// The other side could not prove who it is, or does not speak TLS.
    #[error(
        "no trusted TLS connection to {url}; if a proxy or a private certificate authority is in between, \
         set HEX_CACERTS_PATH to a PEM file with its certificate"
    )]
    Tls {
        /// What was asked for.
        url: WebUrl,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The connection broke, or what arrived was not HTTP.
    #[error("the connection to {url} broke")]
    Interrupted {
        /// What was asked for.
        url: WebUrl,
        /// Why.
        #[source]
        source: Cause,
    },
    /// The body ended early.
    #[error("{url} sent {got} of {expected} bytes")]
    Truncated {
        /// What was asked for.
        url: WebUrl,
        /// How long the answer said it was, in bytes.
        expected: u64,
        /// How much of it arrived, in bytes.
        got: u64,
    },
    /// There is no such thing.
    #[error("{url} was not found (HTTP {status})")]
    NotFound {
        /// What was asked for.
        url: WebUrl,
        /// 404 or 410.
        status: u16,
    },
    /// Access was refused.
    #[error("{url} refused access (HTTP {status})")]
    Unauthorized {
        /// What was asked for.
        url: WebUrl,
        /// 401, 403 or 407.
        status: u16,
        /// Why a key or token that the user has was not sent.
        withheld: Option<Withheld>,
    },
    /// Any other answer that is not the thing asked for.
    #[error("{url} answered HTTP {status}")]
    Status {
        /// What was asked for.
        url: WebUrl,
        /// The status.
        status: u16,
        /// How long the server asked to wait.
        retry_after: Option<Duration>,
    },
    /// The answer is a page for a browser, which no Hex repository sends.
    #[error("{url} answered with a web page (text/html), not with what was asked for")]
    WebPage {
        /// What was asked for.
        url: WebUrl,
    },
    /// The answer makes no sense.
    #[error("{url} answered nonsense: {reason}")]
    Protocol {
        /// What was asked for.
        url: WebUrl,
        /// What does not fit.
        reason: String,
    },
    /// A redirect was not followed.
    #[error("{url} redirects where this does not follow: {reason}")]
    Redirect {
        /// What was asked for.
        url: WebUrl,
        /// The rule that the redirect breaks.
        reason: RedirectRefusal,
    },
    /// More was sent than is accepted.
    #[error("{url} is larger than {limit} bytes")]
    TooLarge {
        /// What was asked for.
        url: WebUrl,
        /// The limit, in bytes.
        limit: u64,
    },
    /// This machine failed before anybody could be asked: it has no file descriptors, no threads, no memory left.
    #[error("cannot fetch {url}")]
    Machine {
        /// What was to be asked for.
        url: WebUrl,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The bytes are not those that were pinned. They were not kept.
    #[error("{file} has the wrong checksum: expected {expected}, got {got} from {from}")]
    ChecksumMismatch {
        /// The tarball's name.
        file: String,
        /// What was pinned.
        expected: OuterChecksum,
        /// What the bytes have.
        got: OuterChecksum,
        /// Where they came from: an address or a file.
        from: String,
    },
    /// The disk failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write`, …
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The local Hex client's configuration cannot be read.
    #[error("cannot understand {} of the local Hex client", path.display())]
    HexConfig {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Cause,
    },
}

/// A cause whose type says nothing to a caller.
pub type Cause = Box<dyn Error + Send + Sync>;

/// Why a redirect was not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RedirectRefusal {
    /// More redirects than are followed.
    TooMany,
    /// No `Location` header that is text.
    NoLocation,
    /// From https to http, where anybody could answer.
    Downgrade {
        /// The target.
        to: WebUrl,
    },
    /// The target is no address.
    Invalid(WebUrlError),
}

impl fmt::Display for RedirectRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany => f.write_str("there are too many redirects"),
            Self::NoLocation => f.write_str("it does not say where to"),
            Self::Downgrade { to } => write!(f, "{to} is not https any more"),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

fn through(proxy: Option<&WebUrl>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

impl FetchError {
    /// Tells whether bytes were wrong: a checksum does not match.
    pub fn is_integrity(&self) -> bool {
        matches!(self, Self::ChecksumMismatch { .. })
    }

    /// Tells whether upstream, or the way to it, is at fault.
    pub fn is_network(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Tls { .. }
            | Self::Interrupted { .. }
            | Self::Truncated { .. }
            | Self::NotFound { .. }
            | Self::Unauthorized { .. }
            | Self::Status { .. }
            | Self::WebPage { .. }
            | Self::Protocol { .. }
            | Self::Redirect { .. }
            | Self::TooLarge { .. }
            | Self::Client { .. } => true,
            Self::NoEndpoint { .. }
            | Self::InvalidKey { .. }
            | Self::Proxy { .. }
            | Self::CaCertificates { .. }
            | Self::ChecksumMismatch { .. }
            | Self::Machine { .. }
            | Self::Io { .. }
            | Self::HexConfig { .. } => false,
        }
    }

    /// Tells whether a setting, of this program or of the Hex client, cannot be used.
    pub fn is_usage(&self) -> bool {
        use FetchError::{CaCertificates, HexConfig, InvalidKey, NoEndpoint, Proxy};
        let client = matches!(self, CaCertificates { .. } | HexConfig { .. });
        client || matches!(self, InvalidKey { .. } | NoEndpoint { .. } | Proxy { .. })
    }

    /// Tells whether the thing does not exist upstream.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }

    /// Returns whether this machine is to blame, so that other requests fail like this one.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Machine { .. } | Self::Io { .. })
    }

    /// Returns whether other requests to the same repository fail like this one, for sure: nobody answers, or somebody else
    /// does.
    pub fn is_total(&self) -> bool {
        use FetchError::{Client, Tls, Unauthorized, Unreachable, WebPage};
        let unreachable = matches!(self, Unreachable { .. } | Tls { .. } | Client { .. });
        unreachable || matches!(self, WebPage { .. } | Unauthorized { status: 407, .. })
    }

    /// Returns how this bears on another attempt.
    pub(super) fn class(&self) -> Class {
        match self {
            // Of a machine's files and threads, some may be free again soon.
            Self::Unreachable { .. } | Self::Machine { .. } => Class::Unreachable,
            Self::TimedOut { .. } | Self::Interrupted { .. } | Self::Truncated { .. } | Self::Protocol { .. } => {
                Class::Passing
            }
            Self::Status { status: 408 | 429 | 500..=599, .. } => Class::Passing,
            _ => Class::Lasting,
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
