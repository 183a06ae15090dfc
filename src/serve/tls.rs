//! HTTPS with a local certificate authority, which is created on first use, stored in a folder, and trusted only by
//! clients that are configured to trust it.
//!
//! Clients receive the root certificate, `ca.pem`. Its key signs one intermediate certificate, `intermediate.pem`, and is
//! never written to disk. The intermediate is necessary because some clients (Erlang's) ignore the name constraints of a
//! trusted root, but all clients check those of the certificates below it. Only the owner can read the intermediate's
//! key, `ca-key.pem`. If this key leaks, the damage is limited: both certificates are constrained to the server's names
//! (RFC 5280, 4.2.1.10) and expire after a year. For other names, new ones are created. The server's own certificate is
//! created at each start and never written to disk.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::OWN_NAMES;
use super::authority_folder::{AUTHORITY, AuthorityFolder};
use super::certificate::{AuthorityState, TlsError, server_config};
use super::host_name::HostName;

/// The maximum size of a certificate or key file, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// A server's configuration for HTTPS.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    authority: Option<PathBuf>,
    state: AuthorityState,
}

impl Tls {
    /// Creates a certificate for this machine's own names and `names`, signed by the authority in `folder`. Creates the
    /// authority if it does not exist. Replaces it if it is for other names, about to expire, or if other users could read
    /// its key.
    ///
    /// An authority that fits is only read, so the folder may be mounted read-only. If it is, the authority may be for
    /// further names and about to expire.
    ///
    /// # Errors
    /// Fails if the authority is damaged, or if the folder cannot be read or written.
    pub fn issue(folder: &Path, names: &[HostName]) -> Result<Self, TlsError> {
        let (config, state) = AuthorityFolder { folder, names: &all_names(names) }.issue()?;
        Ok(Self { config, authority: Some(folder.join(AUTHORITY)), state })
    }

    /// Reads a certificate with its chain, and its key, both as PEM.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or if the two files do not belong together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            let mut text = Vec::new();
            let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
            read.map_err(|source| TlsError::Unreadable { path: path.to_owned(), source }).map(|_| text)
        };
        let unusable = |path: &Path, problem: &dyn Display| TlsError::Unusable {
            path: path.to_owned(),
            problem: problem.to_string(),
        };
        let text = read(certificate)?;
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let chain = chain.map_err(|error| unusable(certificate, &error))?;
        if chain.is_empty() {
            return Err(unusable(certificate, &"it has no certificate in PEM form"));
        }
        let private = PrivateKeyDer::from_pem_slice(&read(key)?).map_err(|error| unusable(key, &error))?;
        let config = server_config(chain, private).map_err(|error| unusable(certificate, &error))?;
        Ok(Self { config, authority: None, state: AuthorityState::Unchanged })
    }

    /// Returns the file with the authority's certificate, which clients must trust. `None` if the user provided the
    /// certificate.
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Returns what happened to the authority.
    pub fn state(&self) -> AuthorityState {
        self.state
    }

    /// Returns the path of the authority's certificate in the folder that [`Tls::issue`] uses.
    pub fn authority_in(folder: &Path) -> PathBuf {
        folder.join(AUTHORITY)
    }
}

/// Returns a server's names, sorted: its own and the given ones.
fn all_names(names: &[HostName]) -> Vec<HostName> {
    let own = OWN_NAMES.map(|name| name.parse().expect("it is a name or an address"));
    BTreeSet::from_iter(own.into_iter().chain(names.iter().cloned())).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::authority::Authority;
    use super::*;

    #[test]
    fn a_given_certificate_must_match_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (own, other) = (Authority::for_names(&[]).unwrap(), Authority::for_names(&[]).unwrap());
        let certificate = file("cert.pem", &own.intermediate);
        assert!(Tls::open(&certificate, &file("key.pem", &own.key)).unwrap().authority().is_none());
        let empty = file("empty.pem", "");
        for (certificate, key, named) in [
            (&certificate, &file("other.pem", &other.key), &certificate),
            (&empty, &folder.path().join("key.pem"), &empty),
            (&certificate, &empty, &empty),
            (&certificate, &folder.path().join("absent"), &folder.path().join("absent")),
        ] {
            let error = Tls::open(certificate, key).unwrap_err().to_string();
            assert!(error.contains(named.to_str().unwrap()), "{error}");
        }
    }
}
