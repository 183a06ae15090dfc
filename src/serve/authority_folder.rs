//! The folder with a local authority.
//!
//! An authority that is there is only read, so that its folder may be mounted read-only. It is replaced if it is for other
//! names, about to expire, or if other users could read its key. A damaged one is an error: clients trust it, so only the
//! user can decide to replace it.

use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rcgen::KeyPair;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ServerConfig};

use super::authority::{Authority, OWN_NAMES, RENEWED_BEFORE};
use super::certificate::{AuthorityState, Renewal, TlsError, certificate, server_config};
use super::host_name::{HostName, HostNameError};
use crate::file_lock;

pub(super) const AUTHORITY: &str = "ca.pem";
const INTERMEDIATE: &str = "intermediate.pem";
const AUTHORITY_KEY: &str = "ca-key.pem";
/// The file with the names that the authority is constrained to, sorted, one per line.
const NAMES: &str = "names";
/// The file that exists while an authority is created or replaced.
const INCOMPLETE: &str = "incomplete";

/// The folder with a local authority, and the names that a server has.
pub(super) struct AuthorityFolder<'a> {
    pub folder: &'a Path,
    /// Sorted.
    pub names: &'a [HostName],
}

/// A configuration for HTTPS, and what happened to the authority.
pub(super) type Issued = (Arc<ServerConfig>, AuthorityState);

/// What a folder has.
enum Found {
    /// The authority fits.
    Fits(Arc<ServerConfig>),
    /// There is no complete authority. `true` if there was one, or an attempt to create one.
    Absent(bool),
    /// An authority that should be replaced.
    Unfit(Renewal, Usable),
}

/// What an authority can be used for if it cannot be replaced.
enum Usable {
    /// It certifies the server's names until it expires, perhaps soon.
    Yes(Arc<ServerConfig>, AuthorityState),
    /// It cannot be used. The reason is a sentence.
    No(String),
}

impl AuthorityFolder<'_> {
    /// Uses the folder's authority, and creates or replaces it if necessary.
    ///
    /// # Errors
    /// Fails if the authority is damaged, or if it would have to be replaced and the folder is not writable.
    pub fn issue(&self) -> Result<Issued, TlsError> {
        if let Found::Fits(config) = self.found()? {
            return Ok((config, AuthorityState::Unchanged));
        }
        let lock = self.lock();
        // Another process may have created it meanwhile.
        let found = self.found()?;
        let state = match &found {
            Found::Fits(config) => return Ok((config.clone(), AuthorityState::Unchanged)),
            Found::Absent(false) => AuthorityState::Unchanged,
            Found::Absent(true) => AuthorityState::Renewed(Renewal::Interrupted),
            Found::Unfit(renewal, _) => AuthorityState::Renewed(*renewal),
        };
        let created = self.create();
        drop(lock);
        match created {
            Ok(config) => Ok((config, state)),
            Err(TlsError::Io { source, .. }) if is_unwritable(&source) => self.unchanged(found),
            Err(error) => Err(error),
        }
    }

    /// Uses an authority that cannot be replaced.
    fn unchanged(&self, found: Found) -> Result<Issued, TlsError> {
        let problem = match found {
            Found::Fits(config) => return Ok((config, AuthorityState::Unchanged)),
            Found::Unfit(_, Usable::Yes(config, state)) => return Ok((config, state)),
            Found::Unfit(_, Usable::No(problem)) => problem,
            Found::Absent(_) => "there is none".into(),
        };
        Err(TlsError::ReadOnly { folder: self.folder.to_owned(), problem })
    }

    fn found(&self) -> Result<Found, TlsError> {
        let exists = |name| self.folder.join(name).exists();
        if exists(INCOMPLETE) {
            return Ok(Found::Absent(true));
        }
        if ![AUTHORITY, INTERMEDIATE, AUTHORITY_KEY, NAMES].iter().any(|name| exists(name)) {
            return Ok(Found::Absent(false));
        }
        let authority = self.read()?;
        let known = self.known_names()?;
        let lasting = self.issued(&authority, &known, RENEWED_BEFORE)?;
        let usable = |is_lasting: bool| {
            if let Some(missing) = self.names.iter().find(|name| !known.contains(name)) {
                return Ok(Usable::No(format!("it may not certify {missing}")));
            }
            let (valid, state) = match is_lasting {
                true => (RENEWED_BEFORE, AuthorityState::Unchanged),
                false => (Duration::ZERO, AuthorityState::Expiring),
            };
            let config = self.issued(&authority, self.names, valid)?;
            Ok(config.map_or_else(|| Usable::No("it has expired".into()), |config| Usable::Yes(config, state)))
        };
        Ok(match lasting {
            _ if !is_private(&self.folder.join(AUTHORITY_KEY)) => {
                Found::Unfit(Renewal::Exposed, Usable::No(format!("other users can read its key, {AUTHORITY_KEY}")))
            }
            lasting if known != self.names => Found::Unfit(Renewal::Names, usable(lasting.is_some())?),
            None => Found::Unfit(Renewal::Expiring, usable(false)?),
            Some(config) => Found::Fits(config),
        })
    }

    /// Reads the authority, and checks that each file can be used.
    fn read(&self) -> Result<Authority, TlsError> {
        let text = |name: &str| self.text(name);
        let authority =
            Authority { root: text(AUTHORITY)?, intermediate: text(INTERMEDIATE)?, key: text(AUTHORITY_KEY)? };
        for (name, text) in [(AUTHORITY, &authority.root), (INTERMEDIATE, &authority.intermediate)] {
            CertificateDer::from_pem_slice(text.as_bytes()).map_err(|error| self.damaged(name, error.to_string()))?;
        }
        KeyPair::from_pem(&authority.key).map_err(|error| self.damaged(AUTHORITY_KEY, error.to_string()))?;
        Ok(authority)
    }

    fn known_names(&self) -> Result<Vec<HostName>, TlsError> {
        let names = self.text(NAMES)?.lines().map(str::parse).collect::<Result<_, _>>();
        let names: Vec<HostName> = names.map_err(|error: HostNameError| self.damaged(NAMES, error.to_string()))?;
        match OWN_NAMES.iter().find(|own| !names.iter().any(|name| name.as_str() == **own)) {
            Some(own) => Err(self.damaged(NAMES, format!("it lacks {own}"))),
            None => Ok(names),
        }
    }

    /// Issues a server's certificate, which clients will accept for this time at least. `None` if the authority expires
    /// before.
    fn issued(
        &self,
        authority: &Authority,
        names: &[HostName],
        valid: Duration,
    ) -> Result<Option<Arc<ServerConfig>>, TlsError> {
        match authority.server_certificate(names, valid) {
            Ok((chain, key)) => server_config(chain, key).map(Some).map_err(certificate),
            Err(error) if is_expired(error.as_ref()) => Ok(None),
            Err(error) => Err(self.damaged(AUTHORITY, format!("it does not match the other files ({error})"))),
        }
    }

    fn text(&self, name: &str) -> Result<String, TlsError> {
        let path = self.folder.join(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(self.damaged(name, "it is missing".into())),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.damaged(name, "it is not text".into()))
            }
            Err(source) => Err(TlsError::Io { action: "read", path, source }),
        }
    }

    fn damaged(&self, name: &str, problem: String) -> TlsError {
        TlsError::Damaged { path: self.folder.join(name), problem }
    }

    /// Creates an authority in place of the one that may be there.
    fn create(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let (folder, names) = (self.folder, self.names);
        let authority = Authority::for_names(names).map_err(certificate)?;
        let (chain, key) = authority.server_certificate(names, RENEWED_BEFORE).map_err(certificate)?;
        let config = server_config(chain, key).map_err(certificate)?;
        fs::create_dir_all(folder).map_err(io_error("create", folder))?;
        // While this file exists, the others need not match each other.
        let incomplete = folder.join(INCOMPLETE);
        write(&incomplete, "", 0o644).map_err(io_error("write", &incomplete))?;
        let lines: String = names.iter().map(|name| format!("{name}\n")).collect();
        let files = [
            (AUTHORITY_KEY, &authority.key, 0o600),
            (INTERMEDIATE, &authority.intermediate, 0o644),
            (NAMES, &lines, 0o644),
            (AUTHORITY, &authority.root, 0o644),
        ];
        for (name, text, mode) in files {
            let path = folder.join(name);
            write(&path, text, mode).map_err(io_error("write", &path))?;
        }
        fs::remove_file(&incomplete).map_err(io_error("remove", &incomplete))?;
        Ok(config)
    }

    /// Locks the folder against other processes, until the file is closed. `None` if that is not possible: whether the
    /// folder is writable shows when a file is written.
    fn lock(&self) -> Option<File> {
        fs::create_dir_all(self.folder).ok()?;
        let path = self.folder.join("lock");
        // The lock may belong to another user.
        let file = file_lock::open(&path).or_else(|_| File::open(&path)).ok()?;
        file.lock().ok().map(|()| file)
    }
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> TlsError + use<> {
    let path: PathBuf = path.to_owned();
    move |source| TlsError::Io { action, path, source }
}

fn is_unwritable(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn is_expired(error: &(dyn Error + 'static)) -> bool {
    matches!(
        error.downcast_ref(),
        Some(rustls::Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }))
    )
}

/// Returns whether nobody else can read a key. If it belongs to another user, that user decides which group can read it,
/// as with the secrets of a container.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;

    fs::metadata(path).is_ok_and(|metadata| {
        let is_own = metadata.uid() == rustix::process::geteuid().as_raw();
        metadata.mode() & if is_own { 0o077 } else { 0o007 } == 0
    })
}

#[cfg(not(unix))]
fn is_private(_: &Path) -> bool {
    true
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

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<HostName> {
        let mut names: Vec<HostName> = OWN_NAMES.iter().chain(names).map(|name| name.parse().unwrap()).collect();
        names.sort();
        names.dedup();
        names
    }

    fn issue(folder: &Path, given: &[&str]) -> Result<(String, AuthorityState), TlsError> {
        let (_, state) = AuthorityFolder { folder, names: &names(given) }.issue()?;
        Ok((fs::read_to_string(folder.join(AUTHORITY)).unwrap(), state))
    }

    fn other() -> Authority {
        Authority::for_names(&names(&[])).unwrap()
    }

    #[test]
    fn the_authority_is_kept_unless_the_names_differ() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("tls");
        let (first, state) = issue(&folder, &[]).unwrap();
        assert_eq!(state, AuthorityState::Unchanged);
        assert_eq!(issue(&folder, &["LOCALHOST"]).unwrap(), (first.clone(), state));
        let renewed = AuthorityState::Renewed(Renewal::Names);
        let (second, state) = issue(&folder, &["hex.example.org"]).unwrap();
        assert!(state == renewed && second != first);
        let (third, state) = issue(&folder, &[]).unwrap();
        assert!(state == renewed && third != second, "nor does it keep names that are not served any more");
        // Its creation was interrupted.
        fs::write(folder.join(INCOMPLETE), "").unwrap();
        fs::remove_file(folder.join(NAMES)).unwrap();
        let (fourth, state) = issue(&folder, &[]).unwrap();
        assert!(state == AuthorityState::Renewed(Renewal::Interrupted) && fourth != third);
    }

    #[test]
    fn a_damaged_authority_is_named_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        issue(folder, &[]).unwrap();
        let good = |name: &str| fs::read(folder.join(name)).unwrap();
        let (key, intermediate) = (other().key, other().intermediate);
        for (file, content, named) in [
            (AUTHORITY, Some("damaged"), AUTHORITY),
            (INTERMEDIATE, Some("damaged"), INTERMEDIATE),
            (AUTHORITY_KEY, Some("damaged"), AUTHORITY_KEY),
            (NAMES, Some("a b"), NAMES),
            (NAMES, Some(""), NAMES),
            (NAMES, Some("a.example\n"), NAMES),
            (AUTHORITY, None, AUTHORITY),
            (NAMES, None, NAMES),
            (INTERMEDIATE, None, INTERMEDIATE),
            (AUTHORITY_KEY, None, AUTHORITY_KEY),
            // Files that do not belong to the others.
            (AUTHORITY_KEY, Some(&*key), AUTHORITY),
            (INTERMEDIATE, Some(&*intermediate), AUTHORITY),
            (NAMES, Some("127.0.0.1\n::1\nhex.pm\nlocalhost\n"), AUTHORITY),
        ] {
            let before = [AUTHORITY, INTERMEDIATE, AUTHORITY_KEY, NAMES].map(|name| (name, good(name)));
            match content {
                Some(content) => fs::write(folder.join(file), content).unwrap(),
                None => fs::remove_file(folder.join(file)).unwrap(),
            }
            for given in [&[][..], &["hex.pm"]] {
                let error = issue(folder, given).unwrap_err();
                let is_named = matches!(&error, TlsError::Damaged { path, .. } if *path == folder.join(named));
                assert!(is_named, "{file} {content:?}: {error}");
            }
            for (name, bytes) in before {
                assert!(name == file || good(name) == bytes, "{name} was changed");
                fs::write(folder.join(name), bytes).unwrap();
            }
        }
        issue(folder, &[]).unwrap();
    }

    #[test]
    fn an_authority_that_cannot_be_replaced_may_be_for_more_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let unchanged = |given: &[&str]| {
            let names = names(given);
            let folder = AuthorityFolder { folder, names: &names };
            folder.found().and_then(|found| folder.unchanged(found))
        };
        let problem = |given: &[&str]| unchanged(given).unwrap_err().to_string();
        assert!(problem(&[]).ends_with("there is none"), "{}", problem(&[]));
        issue(folder, &["a.example", "b.example"]).unwrap();
        assert_eq!(unchanged(&["a.example"]).unwrap().1, AuthorityState::Unchanged);
        assert!(problem(&["c.example"]).ends_with("it may not certify c.example"), "{}", problem(&["c.example"]));
    }

    #[test]
    #[cfg(unix)]
    fn the_key_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let before = issue(folder.path(), &[]).unwrap().0;
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(AUTHORITY_KEY), 0o600);
        assert_eq!(mode(AUTHORITY) & 0o400, 0o400);
        // Another user may have read the key before.
        fs::set_permissions(folder.path().join(AUTHORITY_KEY), fs::Permissions::from_mode(0o640)).unwrap();
        let (after, state) = issue(folder.path(), &[]).unwrap();
        assert!(after != before && state == AuthorityState::Renewed(Renewal::Exposed));
        assert_eq!(mode(AUTHORITY_KEY), 0o600);
    }
}
