//! Creates a `HEX_HOME` for clients of the mirror, if the locks in force pin releases, or their projects name policies,
//! that `HEX_MIRROR` does not lead Hex to. The user's own configuration is read and never written.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

use super::redirected::redirecting_locks;
use crate::model::{RepositoryName, hex_digits};
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
    Ok(Some(folder))
}

/// Creates a `HEX_HOME` beside the repository for a server at an address. The same configuration always has the same
/// folder. `None` if Hex needs none.
///
/// # Errors
/// Fails if a lock or the user's Hex configuration cannot be read, or if the folder cannot be written.
pub fn hex_home(project: &Project, base_url: &str) -> Result<Option<PathBuf>> {
    let Some(config) = config(project, base_url)? else { return Ok(None) };
    let own = project.repository.make_own_dir()?;
    let name = hex_digits(&Sha256::digest(&config)[..8]);
    let folder = own.join("hex-home").join(name);
    let write = || -> io::Result<()> {
        fs::create_dir_all(&folder)?;
        // Temporary files have the mode 0600.
        let mut file = NamedTempFile::new_in(&own)?;
        file.write_all(&config)?;
        file.persist(folder.join(HEX_CONFIG)).map(drop).map_err(|error| error.error)
    };
    write().map_err(OpError::machine("write the configuration of Hex to", &folder))?;
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
/// the policies of their projects.
fn config(project: &Project, base_url: &str) -> Result<Option<Vec<u8>>> {
    let Some(locks) = redirecting_locks(project)? else { return Ok(None) };
    let hexpm = RepositoryName::hexpm();
    let mut named = project.lock_summary(&locks)?.repositories;
    named.extend(project.policies(&locks)?.into_iter().map(|policy| policy.repository));
    let known = HexRepositories::new(project, &Silent)?;
    if named.iter().all(|name| *name == hexpm) && !known.accepts_any_origin() {
        return Ok(None);
    }
    let sources =
        named.iter().filter(|name| name.organization().is_some()).filter_map(|name| name.source().parse().ok());
    let all: BTreeSet<RepositoryName> = sources.chain([hexpm]).chain(named.iter().cloned()).collect();
    // Hex describes what to do about a repository that it does not know, so one without a key is left out.
    let keys: BTreeMap<_, _> =
        known.known_keys_of(all.iter())?.into_iter().map(|(name, key)| (name, key.to_pem())).collect();
    // The first of several terms counts.
    let origin = if known.accepts_any_origin() { &b"{no_verify_repo_origin,true}.\n"[..] } else { b"" };
    Ok(Some(hex_config(base_url, &keys, &[origin, known.client_options()].concat())))
}
