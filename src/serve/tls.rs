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
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints,
};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{RootCertStore, ServerConfig};

use crate::file_lock;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// The validity period of the authority and of a server's certificate.
const VALID: Duration = DAY.saturating_mul(365);
/// An authority with a shorter remaining validity is replaced, so that a server can run at least this long.
const RENEWED_BEFORE: Duration = DAY.saturating_mul(90);
/// The maximum size of a certificate or key file, in bytes.
const MAX_FILE: u64 = 1 << 20;
/// The names in every certificate.
const OWN_NAMES: [&str; 3] = ["localhost", "127.0.0.1", "::1"];
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
    is_renewed: bool,
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
    /// # Errors
    /// Fails if a name is not a valid host name, or if the folder cannot be read or written.
    pub fn issue(folder: &Path, names: &[String]) -> Result<Self, TlsError> {
        let mut all: BTreeSet<String> = OWN_NAMES.map(str::to_owned).into();
        for name in names {
            let name = name.to_ascii_lowercase();
            if !is_host(&name) {
                return Err(TlsError::Name { name });
            }
            all.insert(name);
        }
        let all = Vec::from_iter(all);
        let io = |action, path: &Path| {
            let path = path.to_owned();
            move |source| TlsError::Io { action, path, source }
        };
        fs::create_dir_all(folder).map_err(io("create", folder))?;
        let lock = folder.join("lock");
        let locked = file_lock::open(&lock).map_err(io("lock", &lock))?;
        locked.lock().map_err(io("lock", &lock))?;
        let (authority, provider) = (folder.join(AUTHORITY), provider());
        let constrained_to = all.join("\n") + "\n";
        if let Some(config) = read(folder, &constrained_to).and_then(|pair| chain(&pair, &all, &provider).ok()) {
            return Ok(Self { config, authority: Some(authority), is_renewed: false });
        }
        let is_renewed = authority.exists();
        let pair = make_authority(&all).map_err(certificate)?;
        let config = chain(&pair, &all, &provider)?;
        // Write the certificate last: if it does not match the key and the names, the next start creates the authority
        // again.
        let files = [
            (AUTHORITY_KEY, &pair.key, 0o600),
            (INTERMEDIATE, &pair.intermediate, 0o644),
            (NAMES, &constrained_to, 0o644),
            (AUTHORITY, &pair.root, 0o644),
        ];
        for (name, text, mode) in files {
            let path = folder.join(name);
            write(&path, text, mode).map_err(io("write", &path))?;
        }
        drop(locked);
        Ok(Self { config, authority: Some(authority), is_renewed })
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
        let config = server_config(chain, private, &provider()).map_err(|error| unusable(certificate, &error))?;
        Ok(Self { config, authority: None, is_renewed: false })
    }

    /// Returns the file with the authority's certificate, which clients must trust. `None` if the user provided the
    /// certificate.
    pub fn authority(&self) -> Option<&Path> {
        self.authority.as_deref()
    }

    /// Returns whether the authority replaced a previous one, so that clients need the new certificate.
    pub fn is_renewed(&self) -> bool {
        self.is_renewed
    }

    /// Returns the path of the authority's certificate in the folder that [`Tls::issue`] uses.
    pub fn authority_in(folder: &Path) -> PathBuf {
        folder.join(AUTHORITY)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// The certificates of an authority and the key of the intermediate one, all as PEM.
struct Authority {
    root: String,
    intermediate: String,
    key: String,
}

/// Reads the authority in a folder, if it is constrained to these names and no other user can read its key.
fn read(folder: &Path, names: &str) -> Option<Authority> {
    let text = |name: &str| fs::read_to_string(folder.join(name)).ok();
    let key = folder.join(AUTHORITY_KEY);
    (text(NAMES)? == names && is_private(&key)).then_some(())?;
    Some(Authority { root: text(AUTHORITY)?, intermediate: text(INTERMEDIATE)?, key: text(AUTHORITY_KEY)? })
}

#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;

    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
}

fn certificate(source: impl Into<Box<dyn Error + Send + Sync>>) -> TlsError {
    TlsError::Certificate { source: source.into() }
}

/// Returns the parameters of an authority that permits `below` further authorities in a chain below it.
fn authority_params(below: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = if below == 0 { "git-hexmirror server authority" } else { "git-hexmirror on this machine" };
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(below));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    set_validity(&mut params);
    params
}

/// Returns the name constraint for a name.
fn subtree(name: &str) -> GeneralSubtree {
    match name.parse::<IpAddr>() {
        Ok(address) => {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(address, bits))
        }
        Err(_) => GeneralSubtree::DnsName(name.strip_prefix("*.").unwrap_or(name).to_owned()),
    }
}

/// Sets the validity period. The period begins one day ago, because clocks differ.
fn set_validity(params: &mut CertificateParams) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now.saturating_sub(DAY);
    params.not_after = epoch + (now + VALID).saturating_sub(DAY);
}

/// Creates an authority that is constrained to these names. They must include both names and IP addresses: a kind
/// without any constraint would be permitted without limits.
fn make_authority(names: &[String]) -> Result<Authority, rcgen::Error> {
    let constrained = |below| {
        let mut params = authority_params(below);
        let subtrees = names.iter().map(|name| subtree(name));
        // Erlang fails at a certificate with addresses below a constraint on addresses (`match_name` in its `pubkey_cert.erl`
        // knows no such names). The root's constrain everybody else.
        let fits = |subtree: &GeneralSubtree| below > 0 || matches!(subtree, GeneralSubtree::DnsName(_));
        let permitted_subtrees = subtrees.filter(fits).collect();
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        params.use_authority_key_identifier_extension = below == 0;
        params
    };
    let (root_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let root = constrained(1).self_signed(&root_key)?.pem();
    let intermediate = constrained(0).signed_by(&key, &Issuer::new(authority_params(1), root_key))?.pem();
    Ok(Authority { root, intermediate, key: key.serialize_pem() })
}

/// Issues a server's certificate and verifies it as clients will.
fn chain(
    authority: &Authority,
    names: &[String],
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, TlsError> {
    let issuer = Issuer::new(authority_params(0), KeyPair::from_pem(&authority.key).map_err(certificate)?);
    let key = KeyPair::generate().map_err(certificate)?;
    let mut params = CertificateParams::new(names).map_err(certificate)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "git-hexmirror");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    set_validity(&mut params);
    let own = params.signed_by(&key, &issuer).map_err(certificate)?.der().clone();
    let read =
        |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| certificate(error.to_string()));
    let (root, intermediate) = (read(&authority.root)?, read(&authority.intermediate)?);

    let mut roots = RootCertStore::empty();
    roots.add(root).map_err(certificate)?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let verifier = verifier.build().map_err(certificate)?;
    let soon = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default() + RENEWED_BEFORE;
    let localhost = ServerName::try_from(OWN_NAMES[0]).map_err(certificate)?;
    let below = [intermediate.clone()];
    verifier
        .verify_server_cert(&own, &below, &localhost, &[], UnixTime::since_unix_epoch(soon))
        .map_err(certificate)?;

    let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(certificate)?;
    server_config(vec![own, intermediate], key, provider).map_err(certificate)
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let config = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
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
        (fs::read_to_string(tls.authority().unwrap()).unwrap(), tls.is_renewed())
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
        fs::write(folder.join(AUTHORITY_KEY), make_authority(&[]).unwrap().key).unwrap();
        assert_ne!(authority(&folder, &[]).0, before);
        // Authorities of older versions had no constraints.
        let before = authority(&folder, &[]).0;
        fs::remove_file(folder.join(NAMES)).unwrap();
        assert_ne!(authority(&folder, &[]).0, before);
    }

    /// Issues a certificate for a name with the key of an authority that is constrained to other names, and returns
    /// whether it passes verification.
    fn is_trusted(authority: &Authority, name: &str) -> bool {
        let provider = provider();
        let issuer = Issuer::new(authority_params(0), KeyPair::from_pem(&authority.key).unwrap());
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().clone();
        let mut roots = RootCertStore::empty();
        let read = |text: &str| CertificateDer::from_pem_slice(text.as_bytes()).unwrap();
        roots.add(read(&authority.root)).unwrap();
        let below = [read(&authority.intermediate)];
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        verifier.verify_server_cert(&own, &below, &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn the_authority_certifies_no_other_name() {
        let names = ["localhost", "127.0.0.1", "::1", "github.com", "*.example.org", "10.0.0.1"].map(str::to_owned);
        let authority = make_authority(&names).unwrap();
        for name in ["localhost", "127.0.0.1", "::1", "github.com", "hex.example.org", "10.0.0.1"] {
            assert!(is_trusted(&authority, name), "{name}");
        }
        for name in ["repo.hex.pm", "example.com", "notgithub.com", "10.0.0.2", "127.0.0.2", "::2", "org"] {
            assert!(!is_trusted(&authority, name), "{name}");
        }
    }

    #[test]
    fn a_given_certificate_must_match_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            path
        };
        let (own, other) = (make_authority(&[]).unwrap(), make_authority(&[]).unwrap());
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
