//! HTTPS with a local certificate authority: made on first use, kept in a folder, trusted only by who is told to.
//!
//! `ca.pem` is what clients are given; `ca-key.pem` is for the owner alone. The server's own certificate is made anew at
//! each start, for the names that are asked for then, and never written down.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// How long the authority is trusted. A new one has to be given to all clients.
const AUTHORITY_TIME: Duration = DAY.saturating_mul(3650);
/// How long a server's certificate lasts; some clients refuse more than 398 days.
const SERVER_TIME: Duration = DAY.saturating_mul(397);
/// The names that every certificate has.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca-key.pem";

/// What a server needs to speak HTTPS.
#[derive(Debug, Clone)]
pub struct Tls {
    pub(super) config: Arc<ServerConfig>,
    authority: PathBuf,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A name is not one of a host.
    #[error("{name:?} is not the name or the address of a host")]
    Name {
        /// The name.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be made.
    #[error("cannot make a certificate")]
    Certificate {
        /// Why not.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Tls {
    /// Makes a certificate for this machine's own names and `names`, signed by the authority that `folder` keeps. That is
    /// made where there is none, or where it is damaged or about to end.
    ///
    /// # Errors
    /// Fails where a name is not one of a host, and where the folder cannot be read or written.
    pub fn issue(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let mut all: Vec<String> = OWN_NAMES.map(str::to_owned).to_vec();
        for name in names {
            let name = name.to_ascii_lowercase();
            if !is_host(&name) {
                return Err(TlsError::Name { name });
            }
            if !all.contains(&name) {
                all.push(name);
            }
        }
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Io { action, path, source }
        };
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let lock = folder.join("lock");
        let locked = File::options().create(true).truncate(false).write(true).open(&lock);
        let locked = locked.and_then(|file| file.lock().map(|()| file)).map_err(io("lock", &lock))?;
        let (authority, provider) = (folder.join(AUTHORITY), Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
        if let Some(config) = read(folder).and_then(|pair| chain(&pair, &all, &provider).ok()) {
            return Ok(Self { config, authority });
        }
        let pair = make_authority().map_err(certificate)?;
        let config = chain(&pair, &all, &provider)?;
        // The key first: where the certificate is missing, both are made again.
        write(&folder.join(AUTHORITY_KEY), &pair.key, 0o600).map_err(io("write", &folder.join(AUTHORITY_KEY)))?;
        write(&authority, &pair.certificate, 0o644).map_err(io("write", &authority))?;
        drop(locked);
        Ok(Self { config, authority })
    }

    /// Returns the file with the authority's certificate: what clients are to trust.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// Returns where [`Tls::issue`] keeps that file in a folder.
    pub fn authority_in(folder: &Path) -> PathBuf {
        folder.join(AUTHORITY)
    }
}

/// A certificate and its key, both as PEM.
struct Pair {
    certificate: String,
    key: String,
}

fn read(folder: &Path) -> Option<Pair> {
    let certificate = fs::read_to_string(folder.join(AUTHORITY)).ok()?;
    Some(Pair { certificate, key: fs::read_to_string(folder.join(AUTHORITY_KEY)).ok()? })
}

fn certificate(source: impl Into<Box<dyn Error + Send + Sync>>) -> TlsError {
    TlsError::Certificate { source: source.into() }
}

/// Describes the authority. Its key tells one from another.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "git-hexmirror on this machine");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    last(&mut params, AUTHORITY_TIME);
    params
}

/// Lets a certificate begin a day ago, since clocks differ, and last so long.
fn last(params: &mut CertificateParams, time: Duration) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + now + time;
}

fn make_authority() -> Result<Pair, rcgen::Error> {
    let key = KeyPair::generate()?;
    Ok(Pair { certificate: authority_params().self_signed(&key)?.pem(), key: key.serialize_pem() })
}

/// Issues a server's certificate, and checks it the way that clients will in thirty days.
fn chain(authority: &Pair, names: &[String], provider: &Arc<CryptoProvider>) -> Result<Arc<ServerConfig>, TlsError> {
    let issuer = Issuer::new(authority_params(), KeyPair::from_pem(&authority.key).map_err(certificate)?);
    let key = KeyPair::generate().map_err(certificate)?;
    let mut params = CertificateParams::new(names).map_err(certificate)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "git-hexmirror");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    last(&mut params, SERVER_TIME);
    let own = params.signed_by(&key, &issuer).map_err(certificate)?.der().clone();
    let root = CertificateDer::from_pem_slice(authority.certificate.as_bytes())
        .map_err(|error| certificate(error.to_string()))?;

    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).map_err(certificate)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier.build().map_err(certificate)?;
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + DAY * 30;
    let localhost = ServerName::try_from(OWN_NAMES[0]).map_err(certificate)?;
    verifier.verify_server_cert(&own, &[], &localhost, &[], UnixTime::since_unix_epoch(soon)).map_err(certificate)?;

    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(certificate)?;
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions();
    let config = config.map_err(certificate)?.with_no_client_auth();
    let mut config = config.with_single_cert(vec![own, root], key).map_err(certificate)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Writes a file all or nothing, with a mode from its first moment on.
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

/// Tells whether a certificate can be made out to a name: an address, or words between dots, the first of them perhaps `*`.
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
    name.parse::<std::net::IpAddr>().is_ok() || name.len() <= 253 && plain.split('.').all(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authority(folder: &Path) -> String {
        let tls = Tls::issue(folder, &[]).unwrap();
        fs::read_to_string(tls.authority()).unwrap()
    }

    #[test]
    fn the_authority_is_made_once_and_again_only_where_it_is_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let first = authority(&folder);
        assert_eq!(authority(&folder), first);
        for file in [AUTHORITY, AUTHORITY_KEY] {
            let before = authority(&folder);
            fs::write(folder.join(file), "damaged").unwrap();
            assert_ne!(authority(&folder), before, "{file}");
        }
        // A key that does not belong to the certificate.
        let before = authority(&folder);
        fs::write(folder.join(AUTHORITY_KEY), make_authority().unwrap().key).unwrap();
        assert_ne!(authority(&folder), before);
    }

    #[test]
    #[cfg(unix)]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        authority(folder.path());
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(AUTHORITY_KEY), 0o600);
        assert_eq!(mode(AUTHORITY) & 0o400, 0o400);
    }

    #[test]
    fn what_is_no_host_gets_no_certificate() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["github.com", "*.example.org", "10.0.0.1", "::1", "GitHub.com", "a_b"] {
            assert!(Tls::issue(folder.path(), &[name.to_owned()]).is_ok(), "{name}");
        }
        for name in ["", "a b", "a/b", "https://x", "a..b", "-a", "*", "a.*", "a\n", &"a".repeat(64)] {
            assert!(matches!(Tls::issue(folder.path(), &[name.to_owned()]), Err(TlsError::Name { .. })), "{name:?}");
        }
    }
}
