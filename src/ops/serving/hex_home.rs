//! Creates a `HEX_HOME` for clients of the mirror, if the locks in force pin releases, or their projects name policies,
//! that `HEX_MIRROR` does not lead Hex to, or if Hex does not know hexpm's key by itself. The user's own configuration is
//! read and never written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::kept_folder::kept_folder;
use super::redirected::redirecting_locks;
use crate::model::{RepositoryName, hex_digits};
use crate::ops::project::can_name_files;
use crate::ops::project::hex_client::hex_docs;
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::{OpError, Project, Result};
use crate::progress::Silent;
use crate::serve::environment::{HEX_CONFIG, hex_config};
use crate::store::Temporary;

/// Creates a `HEX_HOME` that is removed when the value is dropped, for a server at an address. `None` if Hex needs
/// none.
///
/// # Errors
/// Fails if a lock or the user's Hex configuration cannot be read, or if no folder can be written.
pub(in crate::ops) fn temporary_hex_home(project: &Project, base_url: &str) -> Result<Option<Temporary>> {
    let Some(config) = config(project, base_url)? else { return Ok(None) };
    let folder = Temporary::make(&project.repository)?;
    let path = folder.path().join(HEX_CONFIG);
    create(&path, &config).map_err(OpError::machine("write", &path))?;
    link_docs(project, folder.path())?;
    Ok(Some(folder))
}

/// Leads `mix hex.docs` to the user's own documentation: Hex looks for it beside its configuration, and what it fetched would be
/// removed with a temporary folder. If this fails, documentation is fetched again next time.
fn link_docs(project: &Project, folder: &Path) -> Result<()> {
    let Some(locks) = redirecting_locks(project)? else { return Ok(()) };
    if !can_name_files(&locks) || project.wanted(&locks)?.docs_files().next().is_none() {
        return Ok(());
    }
    let Some(docs) = hex_docs(&project.environment) else { return Ok(()) };
    if let Ok(docs) = fs::create_dir_all(&docs).and_then(|()| fs::canonicalize(&docs)) {
        #[cfg(unix)]
        let _ = std::os::unix::fs::symlink(docs, folder.join("docs"));
        #[cfg(windows)]
        let _ = std::os::windows::fs::symlink_dir(docs, folder.join("docs"));
    }
    Ok(())
}

/// Creates a `HEX_HOME` that is kept, for a server at an address. The same configuration always has the same folder, if
/// the repository can be written. `None` if Hex needs none.
///
/// # Errors
/// Fails if a lock or the user's Hex configuration cannot be read, or if no folder can be written.
pub fn hex_home(project: &Project, base_url: &str) -> Result<Option<PathBuf>> {
    let Some(config) = config(project, base_url)? else { return Ok(None) };
    let name = hex_digits(&Sha256::digest(&config)[..8]);
    let write = |folder: &Path| -> io::Result<()> {
        fs::create_dir_all(folder)?;
        // Temporary files have the mode 0600.
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(&config)?;
        file.persist(folder.join(HEX_CONFIG)).map(drop).map_err(|error| error.error)
    };
    let write = |folder: &Path| write(folder).map_err(OpError::machine("write the configuration of Hex to", folder));
    let folder = kept_folder(project, &Path::new("hex-home").join(name), write)?;
    link_docs(project, &folder)?;
    Ok(Some(folder))
}

/// Writes a new file that only its owner can read.
fn create(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.write_all(bytes)
}

/// Returns the content of `hex.config`, or `None` if `HEX_MIRROR` leads Hex to everything that the locks in force pin, and to
/// the policies of their projects, and Hex verifies it with the same key by itself.
fn config(project: &Project, base_url: &str) -> Result<Option<Vec<u8>>> {
    let Some(locks) = redirecting_locks(project)? else { return Ok(None) };
    let hexpm = RepositoryName::hexpm();
    let mut named: BTreeSet<RepositoryName> = project.lock_summary(&locks)?.repositories.into_keys().collect();
    named.extend(project.policies(&locks)?.into_iter().map(|policy| policy.repository));
    let known = HexRepositories::new(project, &Silent)?;
    if named.iter().all(|name| *name == hexpm) && known.client_has_key(&hexpm)? {
        return Ok(None);
    }
    let sources =
        named.iter().filter(|name| name.organization().is_some()).filter_map(|name| name.source().parse().ok());
    let all: BTreeSet<RepositoryName> = sources.chain([hexpm]).chain(named.iter().cloned()).collect();
    // Hex describes what to do about a repository that it does not know, so one without a key is left out.
    let keys: BTreeMap<_, _> =
        known.known_keys_of(all.iter())?.into_iter().map(|(name, key)| (name, key.to_pem())).collect();
    Ok(Some(hex_config(base_url, &keys, known.client_options())))
}
