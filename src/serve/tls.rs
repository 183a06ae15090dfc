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
use std::error::Error;
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::authority::{Authority, OWN_NAMES, RENEWED_BEFORE, provider};
use crate::file_lock;

/// The maximum size of a certificate or key file, in bytes.
const MAX_FILE: u64 = 1 << 20;
const AUTHORITY: &str = "ca.pem";
const INTERMEDIATE: &str = "intermediate.pem";
const AUTHORITY_KEY: &str = "ca-key.pem";
/// The file with the names that the authority is constrained to, sorted, one per line.
const NAMES: &str = "names";

/// A server's configuration for HTTPS.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    authority: Option<PathBuf>,
    state: AuthorityState,
}

/// What happened to an authority when a server started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorityState {
    /// It is used as it was, or there was none before.
    Unchanged,
    /// It replaced another one, so that clients need the new certificate.
    Renewed,
    /// It expires soon but could not be replaced, because its folder is read-only.
    Expiring,
}

/// The reason why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A name is not a valid host name.
    #[error("{name:?} is not a host name or IP address")]
    Name {
        /// The name.
        name: String,
    },
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
    /// A given certificate or key is unusable.
    #[error("cannot use {} for HTTPS: {problem}", path.display())]
    Unusable {
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

impl Tls {
    /// Creates a certificate for this machine's own names and `names`, signed by the authority in `folder`. Creates the
    /// authority if it does not exist. Replaces it if it is for other names, damaged, readable by other users, or about
    /// to expire.
    ///
    /// An authority that fits is only read, so the folder may be mounted read-only. If it is, the authority may be for
    /// further names and about to expire.
    ///
    /// # Errors
    /// Fails if a name is not a valid host name, or if the folder cannot be read or written.
    pub fn issue(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let all = all_names(names)?;
        if let Some(tls) = Self::existing(folder, &all) {
            return Ok(tls);
        }
        let locked = match locked(folder) {
            Err(TlsError::Io { source, .. }) if is_unwritable(&source) => return Self::read_only(folder, &all),
            locked => locked?,
        };
        // Another process may have created it meanwhile.
        if let Some(tls) = Self::existing(folder, &all) {
            return Ok(tls);
        }
        let authority = folder.join(AUTHORITY);
        let state = if authority.exists() { AuthorityState::Renewed } else { AuthorityState::Unchanged };
        let pair = Authority::for_names(&all).map_err(certificate)?;
        let config = issued(&pair, &all, RENEWED_BEFORE)?;
        // Write the certificate last: if it does not match the key and the names, the next start creates the authority
        // again.
        let files = [
            (AUTHORITY_KEY, &pair.key, 0o600),
            (INTERMEDIATE, &pair.intermediate, 0o644),
            (NAMES, &lines(&all), 0o644),
            (AUTHORITY, &pair.root, 0o644),
        ];
        for (name, text, mode) in files {
            let path = folder.join(name);
            write(&path, text, mode).map_err(|source| TlsError::Io { action: "write", path, source })?;
        }
        drop(locked);
        Ok(Self { config, authority: Some(authority), state })
    }

    /// Uses the authority in a folder if a writable folder would keep it.
    fn existing(folder: &Path, names: &[String]) -> Option<Self> {
        let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
        (text(NAMES)? == lines(names) && is_private(&folder.join(AUTHORITY_KEY), false)).then_some(())?;
        let pair = Authority { root: text(AUTHORITY)?, intermediate: text(INTERMEDIATE)?, key: text(AUTHORITY_KEY)? };
        let config = issued(&pair, names, RENEWED_BEFORE).ok()?;
        Some(Self { config, authority: Some(folder.join(AUTHORITY)), state: AuthorityState::Unchanged })
    }

    /// Uses the authority in a folder that is not writable.
    fn read_only(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let unusable = |problem| TlsError::ReadOnly { folder: folder.to_owned(), problem };
        let text = |name: &str| {
            let read = fs::read_to_string(folder.join(name));
            read.map_err(|error| unusable(format!("cannot read {name}: {error}")))
        };
        if !folder.join(AUTHORITY).exists() {
            return Err(unusable("there is none".into()));
        }
        let known = text(NAMES)?;
        if let Some(missing) = names.iter().find(|name| !known.lines().any(|known| known == *name)) {
            return Err(unusable(format!("it may not certify {missing}")));
        }
        if !is_private(&folder.join(AUTHORITY_KEY), true) {
            return Err(unusable(format!("other users can read its key, {AUTHORITY_KEY}")));
        }
        let pair = Authority { root: text(AUTHORITY)?, intermediate: text(INTERMEDIATE)?, key: text(AUTHORITY_KEY)? };
        let authority = Some(folder.join(AUTHORITY));
        if let Ok(config) = issued(&pair, names, RENEWED_BEFORE) {
            return Ok(Self { config, authority, state: AuthorityState::Unchanged });
        }
        let config = issued(&pair, names, Duration::ZERO);
        let config = config.map_err(|error| unusable(error.source().map_or(String::new(), ToString::to_string)))?;
        Ok(Self { config, authority, state: AuthorityState::Expiring })
    }

    /// Reads a certificate with its chain, and its key, both as PEM.
    ///
    /// # Errors
    /// Fails if a file cannot be read, or if the two files do not belong together.
    pub fn open(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let read = |path: &Path| {
            let mut text = Vec::new();
            let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
            read.map_err(|source| TlsError::Io { action: "read", path: path.to_owned(), source }).map(|_| text)
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
fn all_names(names: &[String]) -> Result<Vec<String>, TlsError> {
    let mut all: BTreeSet<String> = OWN_NAMES.map(str::to_owned).into();
    for name in names {
        let name = name.to_ascii_lowercase();
        if !is_host(&name) {
            return Err(TlsError::Name { name });
        }
        all.insert(name);
    }
    Ok(Vec::from_iter(all))
}

fn lines(names: &[String]) -> String {
    names.join("\n") + "\n"
}

/// Creates a folder and locks it against other processes until the file is closed.
fn locked(folder: &Path) -> Result<File, TlsError> {
    let io = |action, path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Io { action, path, source }
    };
    fs::create_dir_all(folder).map_err(io("create", folder))?;
    let lock = folder.join("lock");
    let file = file_lock::open(&lock).map_err(io("lock", &lock))?;
    file.lock().map_err(io("lock", &lock))?;
    Ok(file)
}

fn is_unwritable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

/// Returns whether nobody else can read a key. `may_be_shared`: if it belongs to another user, that user decides which
/// group can read it, as with the secrets of a container.
#[cfg(unix)]
fn is_private(path: &Path, may_be_shared: bool) -> bool {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(path).is_ok_and(|metadata| {
        let is_shared = may_be_shared && metadata.uid() != rustix::process::geteuid().as_raw();
        metadata.mode() & if is_shared { 0o007 } else { 0o077 } == 0
    })
}

#[cfg(not(unix))]
fn is_private(_: &Path, _: bool) -> bool {
    true
}

fn certificate(source: impl Into<Box<dyn Error + Send + Sync>>) -> TlsError {
    TlsError::Certificate { source: source.into() }
}

/// Issues a server's certificate, which clients will accept for this time at least, and returns the configuration that
/// uses it.
fn issued(authority: &Authority, names: &[String], valid: Duration) -> Result<Arc<ServerConfig>, TlsError> {
    let (chain, key) = authority.server_certificate(names, valid).map_err(certificate)?;
    server_config(chain, key).map_err(certificate)
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let config = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let mut config = config.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Writes a file atomically, with its mode set from the beginning.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    let mut file = builder.tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Returns whether a certificate can be issued for a name: an IP address, or labels separated by dots, of which the
/// first may be `*`.
fn is_host(name: &str) -> bool {
    let word = |word: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        !word.is_empty()
            && word.len() <= 63
            && word.bytes().all(inner)
            && !word.starts_with('-')
            && !word.ends_with('-')
    };
    let plain = name.strip_prefix("*.").unwrap_or(name);
    name.parse::<IpAddr>().is_ok() || name.len() <= 253 && plain.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(folder: &Path, names: &[&str]) -> (String, bool) {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let tls = Tls::issue(folder, &names).unwrap();
        (fs::read_to_string(tls.authority().unwrap()).unwrap(), tls.state() == AuthorityState::Renewed)
    }

    #[test]
    fn the_authority_is_reused_unless_the_names_differ_or_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let (first, renewed) = authority(&folder, &[]);
        assert!(!renewed);
        assert_eq!(authority(&folder, &["LOCALHOST"]), (first.clone(), false));
        let (other, renewed) = authority(&folder, &["hex.example.org"]);
        assert!(renewed && other != first);
        assert_ne!(authority(&folder, &[]).0, other, "nor does it keep names that are not served any more");
        for file in [AUTHORITY, INTERMEDIATE, AUTHORITY_KEY, NAMES] {
            let before = authority(&folder, &[]).0;
            fs::write(folder.join(file), "damaged").unwrap();
            let (after, renewed) = authority(&folder, &[]);
            assert!(renewed && after != before, "{file}");
        }
        // A key that does not belong to the certificate.
        let before = authority(&folder, &[]).0;
        fs::write(folder.join(AUTHORITY_KEY), Authority::for_names(&[]).unwrap().key).unwrap();
        assert_ne!(authority(&folder, &[]).0, before);
        // Authorities of older versions had no constraints.
        let before = authority(&folder, &[]).0;
        fs::remove_file(folder.join(NAMES)).unwrap();
        assert_ne!(authority(&folder, &[]).0, before);
    }

    #[test]
    fn an_authority_that_cannot_be_replaced_may_be_for_more_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let read_only = |names: &[&str]| {
            let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
            Tls::read_only(folder, &all_names(&names).unwrap())
        };
        let problem = |names: &[&str]| read_only(names).unwrap_err().to_string();
        assert!(problem(&[]).ends_with("there is none"), "{}", problem(&[]));
        let (first, _) = authority(folder, &["a.example", "b.example"]);
        let tls = read_only(&["a.example"]).unwrap();
        assert_eq!(tls.state(), AuthorityState::Unchanged);
        assert!(problem(&["c.example"]).ends_with("it may not certify c.example"), "{}", problem(&["c.example"]));
        assert_eq!(fs::read_to_string(folder.join(AUTHORITY)).unwrap(), first);
        fs::write(folder.join(INTERMEDIATE), Authority::for_names(&[]).unwrap().intermediate).unwrap();
        assert!(problem(&["a.example"]).contains("not writable"), "{}", problem(&["a.example"]));
        fs::remove_file(folder.join(AUTHORITY_KEY)).unwrap();
        assert!(problem(&["a.example"]).contains(AUTHORITY_KEY), "{}", problem(&["a.example"]));
    }

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

    #[test]
    #[cfg(unix)]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let before = authority(folder.path(), &[]).0;
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(AUTHORITY_KEY), 0o600);
        assert_eq!(mode(AUTHORITY) & 0o400, 0o400);
        // Another user may have read the key before.
        fs::set_permissions(folder.path().join(AUTHORITY_KEY), fs::Permissions::from_mode(0o640)).unwrap();
        assert_ne!(authority(folder.path(), &[]).0, before);
        assert_eq!(mode(AUTHORITY_KEY), 0o600);
    }

    #[test]
    fn an_invalid_host_gets_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["github.com", "*.example.org", "10.0.0.1", "::1", "GitHub.com", "a_b"] {
            assert!(Tls::issue(folder.path(), &[name.to_owned()]).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "https://x", "a..b", "-a", "*", "a.*", "a\n", &"a".repeat(64)] {
            assert!(matches!(Tls::issue(folder.path(), &[name.to_owned()]), Err(TlsError::Name { .. })), "{name:?}");
        }
    }
}
