//! What becomes of a certificate: a configuration for HTTPS, or an error.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::cryptography::provider;

/// What happened to an authority when a server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityState {
    /// It is used as it was, or there was none before.
    Unchanged,
    /// It replaced another one, so that clients need the new certificate.
    Renewed(Renewal),
    /// It expires soon but could not be replaced, because its folder is read-only.
    Expiring,
}

/// Why an authority was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It was for other names.
    Names,
    /// It was about to expire.
    Expiring,
    /// Other users could read its key.
    Exposed,
    /// Its creation was interrupted.
    Interrupted,
}

/// The reason why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A given certificate or key cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The operating system's error.
        #[source]
        source: io::Error,
    },
    /// A given certificate or key is unusable.
    #[error("cannot use {} for HTTPS: {problem}", path.display())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// A file of the authority is damaged or missing.
    #[error("cannot use the authority in {}: {}: {problem}", path.parent().unwrap_or(path).display(), path.file_name().unwrap_or_default().display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The problem.
        problem: String,
    },
    /// The authority in a folder that is not writable does not fit.
    #[error("cannot use the authority in {}, which is not writable: {problem}", folder.display())]
    ReadOnly {
        /// The folder.
        folder: PathBuf,
        /// The problem, as a sentence.
        problem: String,
    },
    /// A certificate cannot be created.
    #[error("cannot create a certificate")]
    Certificate {
        /// The reason.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

pub(super) fn certificate(source: impl Into<Box<dyn Error + Send + Sync>>) -> TlsError {
    TlsError::Certificate { source: source.into() }
}

/// Returns the configuration that uses a certificate.
pub(super) fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
