//! Reads the registries that were found. Entries that their repository's known key signed are as good as upstream's.
//! Others, which the key beside them signed, are only trusted by clients that were given that key.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::error::ImportError;
use crate::hex::gzip::gunzip;
use crate::hex::registry::{MAX_PAYLOAD, Package, PublicKey, RegistryError, Signed, contains_private_key};
use crate::model::{EntryId, PackageName, RepositoryName};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::regular_file::read_regular;
use crate::ops::project::worktree::MAX_KEY;
use crate::ops::{OpError, Result};
use crate::plan::{Relation, Wanted, relation};
use crate::progress::{Event, Progress};

/// The registries that were found.
#[derive(Debug, Default)]
pub(super) struct Registries {
    /// The entries that their repositories signed: the signed message and its contents.
    pub verified: BTreeMap<EntryId, (Vec<u8>, Package)>,
    /// The registries that another key signed, by repository.
    pub others: BTreeMap<RepositoryName, OtherRegistry>,
    /// The repository of each folder.
    repositories: BTreeMap<PathBuf, RepositoryName>,
}

/// A registry that is signed with another key than its repository's.
#[derive(Debug)]
pub(super) struct OtherRegistry {
    /// The folder.
    pub folder: PathBuf,
    /// The key beside it.
    pub key: PublicKey,
    /// The key's file as it is.
    pub pem: Vec<u8>,
    /// The signed lists of names and versions. Without them, clients cannot use the registry as an index.
    pub lists: Option<[Vec<u8>; 2]>,
    /// The entries: the signed message and its contents.
    pub entries: BTreeMap<PackageName, (Vec<u8>, Package)>,
}

impl Registries {
    /// Reads and verifies all files of the registries.
    ///
    /// # Errors
    /// Fails if a file is damaged, or is signed neither with its repository's key nor with the key beside it.
    pub fn read(
        folders: &[PathBuf],
        wanted: &Wanted,
        repositories: &HexRepositories<'_>,
        progress: &dyn Progress,
    ) -> Result<Self> {
        let (mut registries, mut errors) = (Self::default(), Vec::new());
        for folder in folders {
            if let Err(error) = registries.add(folder, wanted, repositories, progress) {
                errors.push(error);
            }
        }
        OpError::several(errors).map_or(Ok(registries), Err)
    }

    /// Returns the repository of a registry's folder, if its entries say which one it is of.
    pub fn repository(&self, folder: &Path) -> Option<RepositoryName> {
        self.repositories.get(folder).cloned()
    }

    fn add(
        &mut self,
        folder: &Path,
        wanted: &Wanted,
        repositories: &HexRepositories<'_>,
        progress: &dyn Progress,
    ) -> Result<()> {
        let files = entry_files(&folder.join("packages"))?;
        let Some((name, _, signed)) = files.first() else { return Ok(()) };
        let repository = repository_of(folder, name, signed, wanted)?;
        self.repositories.insert(folder.to_owned(), repository.clone());
        let known = repositories.known_key(&repository)?;
        let (pem, own) = key_beside(folder)?.unzip();
        let mut others = BTreeMap::new();
        for (package, file, signed) in files {
            let id = EntryId { repository: repository.clone(), package };
            let refused =
                |error: RegistryError| ImportError::Registry { file: file.clone(), problem: error.to_string() };
            let decode = |key: &PublicKey| Package::decode_verified(&signed, key, &id.repository, &id.package);
            match known.as_ref().map(decode) {
                Some(Ok(found)) => {
                    self.add_verified(id, signed, found);
                    continue;
                }
                Some(Err(RegistryError::BadSignature)) | None => {}
                Some(Err(error)) => return Err(refused(error).into()),
            }
            match own.as_ref().map(decode) {
                Some(Ok(found)) => drop(others.insert(id.package.clone(), (signed, found))),
                Some(Err(RegistryError::BadSignature)) => {
                    let key = folder.join("public_key");
                    return Err(ImportError::Signature { file, entry: id, key }.into());
                }
                Some(Err(error)) => return Err(refused(error).into()),
                None => {
                    let message = format!(
                        "left out the registry entries in {}: there is no public_key beside them, and {repository} did not sign them",
                        folder.display()
                    );
                    progress.report(Event::Warning { message });
                    break;
                }
            }
        }
        let Some((key, pem)) = own.zip(pem).filter(|_| !others.is_empty()) else { return Ok(()) };
        let lists = lists(folder, &key)?;
        let other = OtherRegistry { folder: folder.to_owned(), key, pem, lists, entries: others };
        match self.others.get_mut(&repository) {
            None => drop(self.others.insert(repository, other)),
            Some(known) if known.key.fingerprint() == other.key.fingerprint() => {
                // Two copies of one registry; the lists fit the one with more packages.
                if other.entries.len() > known.entries.len() {
                    *known = other;
                }
            }
            Some(known) => {
                let (one, other) = (known.folder.clone(), other.folder);
                return Err(ImportError::TwoRegistries { repository, one, other }.into());
            }
        }
        Ok(())
    }

    /// Adds an entry, unless a newer one of the package was found before.
    fn add_verified(&mut self, id: EntryId, signed: Vec<u8>, package: Package) {
        let is_newer = self
            .verified
            .get(&id)
            .is_none_or(|(known, of)| relation((&package, &signed), (of, known)) == Relation::Newer);
        if is_newer {
            self.verified.insert(id, (signed, package));
        }
    }
}

/// Reads the signed messages in a folder: package, file, message.
fn entry_files(folder: &Path) -> Result<Vec<(PackageName, PathBuf, Vec<u8>)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(OpError::machine("read", folder))? {
        let entry = entry.map_err(OpError::machine("read", folder))?;
        let is_file = entry.file_type().is_ok_and(|found| found.is_file());
        // A folder of a web server may have other files, too.
        let name = entry.file_name().to_str().and_then(|name| name.parse().ok());
        if let Some(name) = name.filter(|_| is_file) {
            files.push((name, entry.path()));
        }
    }
    files.sort();
    let read = |(name, file): (PackageName, PathBuf)| signed_file(&file).map(|signed| (name, file, signed));
    files.into_iter().map(read).collect()
}

/// Reads a signed message, which is compressed.
fn signed_file(file: &Path) -> Result<Vec<u8>> {
    let damaged = |problem: String| ImportError::Registry { file: file.to_owned(), problem };
    let bytes = read_regular(file, MAX_PAYLOAD as u64).map_err(OpError::machine("read", file))?;
    let bytes = bytes.map_err(|reason| OpError::Refused { file: file.display().to_string(), reason })?;
    Ok(gunzip(&bytes, MAX_PAYLOAD).map_err(|error| damaged(error.to_string()))?)
}

/// Returns the repository that an entry is of. The entry only has a part of an organisation's name, so the locks decide
/// between an organisation and a self-hosted repository of the same name.
fn repository_of(folder: &Path, name: &PackageName, signed: &[u8], wanted: &Wanted) -> Result<RepositoryName> {
    let hexpm = RepositoryName::hexpm();
    let damaged =
        |problem: String| ImportError::Registry { file: folder.join("packages").join(name.as_str()), problem };
    let payload = Signed::decode(signed).map_err(|error| damaged(error.to_string()))?;
    let found = match Package::decode(payload.unverified_payload(), &hexpm, name) {
        Ok(_) => return Ok(hexpm),
        Err(RegistryError::OtherRepository { found, .. }) => found,
        Err(error) => return Err(damaged(error.to_string()).into()),
    };
    let locked = wanted.releases.keys().map(|id| &id.repository).find(|name| name.registry_name() == found);
    match locked {
        Some(repository) => Ok(repository.clone()),
        None => Ok(found.parse().map_err(|error: crate::model::NameError| damaged(error.to_string()))?),
    }
}

/// Reads the public key of a registry, as text and as key. `None` if there is none.
fn key_beside(folder: &Path) -> Result<Option<(Vec<u8>, PublicKey)>> {
    let file = folder.join("public_key");
    if !file.exists() {
        return Ok(None);
    }
    let pem = read_regular(&file, MAX_KEY).map_err(OpError::machine("read", &file))?;
    let pem = pem.map_err(|reason| OpError::Refused { file: file.display().to_string(), reason })?;
    if contains_private_key(&pem) {
        return Err(ImportError::PrivateKey { file }.into());
    }
    match PublicKey::from_pem(&String::from_utf8_lossy(&pem)) {
        Ok(key) => Ok(Some((pem, key))),
        Err(error) => Err(ImportError::Registry { file, problem: error.to_string() }.into()),
    }
}

/// Reads the lists of names and versions. `None` if one of them is missing.
fn lists(folder: &Path, key: &PublicKey) -> Result<Option<[Vec<u8>; 2]>> {
    let list = |name: &str| {
        let file = folder.join(name);
        if !file.exists() {
            return Ok(None);
        }
        let signed = signed_file(&file)?;
        match Signed::verified_payload(&signed, key) {
            Ok(_) => Ok(Some(signed)),
            Err(error) => Err(OpError::from(ImportError::Registry { file, problem: error.to_string() })),
        }
    };
    let (names, versions) = (list("names")?, list("versions")?);
    Ok(names.zip(versions).map(|(names, versions)| [names, versions]))
}
