//! Verifies the pinned index.

use crate::hex::registry::{Names, Package, PublicKey, Signed, Versions, contains_private_key};
use crate::model::{EntryId, IndexFile, ManifestPart, RepositoryName};
use crate::ops::{OpError, Project, Result};
use crate::plan::{IndexLists, IndexPlan, has_imported_index};
use crate::progress::Progress;
use crate::store::{Damage, Snapshot, StoreError, layout};

use super::building::Reader;
use super::unsettled::mentioned;

/// Refuses a mirror whose pinned index contains a private key instead of the public one.
///
/// # Errors
/// Fails if there is such a file.
pub(in crate::ops) fn public_keys(snapshot: &Snapshot) -> Result<()> {
    for repository in snapshot.part(ManifestPart::Index)?.index_signers.keys() {
        let file = IndexFile::PublicKey;
        if snapshot.index_file(repository, &file)?.is_some_and(|text| contains_private_key(&text)) {
            return Err(OpError::PrivateKeyInMirror { path: layout::index_path(repository, &file), commit: None });
        }
    }
    Ok(())
}

/// Returns a file of a repository's pinned index, which the key that the manifest records must have signed. `None` if
/// there is no such file.
///
/// # Errors
/// Fails if the file is damaged or signed with another key, or if it is a private key.
pub(in crate::ops) fn verified_file(
    snapshot: &Snapshot,
    repository: &RepositoryName,
    file: &IndexFile,
) -> Result<Option<Vec<u8>>, StoreError> {
    let damaged = |problem: &str| StoreError::damaged(layout::index_path(repository, file))(problem);
    let pem = snapshot.index_file(repository, &IndexFile::PublicKey)?.unwrap_or_default();
    let key = PublicKey::from_pem(&String::from_utf8_lossy(&pem)).ok();
    let signer = snapshot.part(ManifestPart::Index)?.index_signers.get(repository).copied();
    let Some(key) = key.filter(|key| Some(key.fingerprint()) == signer) else {
        return Err(damaged("the public key is not the one that the manifest records"));
    };
    if *file == IndexFile::PublicKey {
        return Ok(Some(pem));
    }
    let Some(bytes) = snapshot.index_file(repository, file)? else { return Ok(None) };
    if Signed::verified_payload(&bytes, &key).is_ok() {
        Ok(Some(bytes))
    } else {
        Err(damaged("it is not signed with the index's key"))
    }
}

/// The result of verifying the pinned index.
#[derive(Debug, Default)]
pub(in crate::ops) struct IndexCheck {
    /// The number of packages whose entries were verified.
    pub packages: usize,
    /// The number of packages whose entries do not match the stored releases yet.
    pub behind: usize,
    /// The damage found.
    pub damages: Vec<Damage>,
}

/// Verifies every file of the pinned index: its signature, and that its content follows from the stored releases. Of
/// packages whose entries are behind or imported, only the signatures are verified.
///
/// # Errors
/// Fails if the settings of a Hex repository are invalid.
pub(in crate::ops) fn check(project: &Project, snapshot: &Snapshot, progress: &dyn Progress) -> Result<IndexCheck> {
    let manifest = snapshot.manifest()?;
    let mut check = IndexCheck::default();
    if manifest.index_signers.is_empty() {
        return Ok(check);
    }
    let plan = IndexPlan::new(manifest, &mentioned(snapshot, manifest)?, None);
    check.behind = plan.packages();
    let reader = Reader::new(project, manifest.entries.keys().map(|id| &id.repository), progress)?;
    for (repository, signer) in &manifest.index_signers {
        let file = |file: &IndexFile| snapshot.index_file(repository, file).map(Option::unwrap_or_default);
        let pem = file(&IndexFile::PublicKey)?;
        let key = match PublicKey::from_pem(&String::from_utf8_lossy(&pem)) {
            Ok(key) if key.fingerprint() == *signer => key,
            Ok(key) => {
                let problem = format!("its fingerprint is {}, but the manifest says {signer}", key.fingerprint());
                check.damaged(repository, &IndexFile::PublicKey, problem);
                continue;
            }
            Err(error) => {
                check.damaged(repository, &IndexFile::PublicKey, error.to_string());
                continue;
            }
        };
        // What an imported index lists was decided elsewhere.
        let is_imported = has_imported_index(manifest, repository);
        let mut lists = IndexLists::default();
        for id in manifest.index.keys().filter(|id| id.repository == *repository) {
            let is_behind = is_imported || plan.build.contains_key(id) || plan.remove.contains(id);
            check.package(snapshot, &reader, id, &key, (!is_behind).then_some(&mut lists))?;
        }
        let is_current = !is_imported && !plan.build.keys().chain(&plan.remove).any(|id| id.repository == *repository);
        check.lists(repository, &file, &key, is_current.then_some(&lists))?;
    }
    Ok(check)
}

impl IndexCheck {
    fn damaged(&mut self, repository: &RepositoryName, file: &IndexFile, problem: String) {
        self.damages.push(Damage { path: layout::index_path(repository, file), problem });
    }

    /// Verifies a package's entry. Compares its content and adds it to `lists` if it is not behind.
    fn package(
        &mut self,
        snapshot: &Snapshot,
        reader: &Reader,
        id: &EntryId,
        key: &PublicKey,
        lists: Option<&mut IndexLists>,
    ) -> Result<()> {
        self.packages += 1;
        let file = IndexFile::Package(id.package.clone());
        let bytes = snapshot.index_file(&id.repository, &file)?.unwrap_or_default();
        let found = match Package::decode_verified(&bytes, key, &id.repository, &id.package) {
            Ok(package) => package,
            Err(error) => {
                self.damaged(&id.repository, &file, error.to_string());
                return Ok(());
            }
        };
        let Some(lists) = lists else { return Ok(()) };
        lists.put(&found);
        // A release or registry entry that cannot be read is reported by its own check.
        if let Ok(expected) = reader.build(snapshot, id)
            && expected.package != found
        {
            self.damaged(&id.repository, &file, "it differs from what follows from the stored releases".into());
        }
        Ok(())
    }

    fn lists(
        &mut self,
        repository: &RepositoryName,
        read: &dyn Fn(&IndexFile) -> Result<Vec<u8>, StoreError>,
        key: &PublicKey,
        expected: Option<&IndexLists>,
    ) -> Result<()> {
        for file in [IndexFile::Names, IndexFile::Versions] {
            let matches = Signed::verified_payload(&read(&file)?, key).and_then(|payload| match file {
                IndexFile::Names => {
                    Names::decode(&payload, repository).map(|names| expected.is_none_or(|lists| lists.names() == names))
                }
                _ => Versions::decode(&payload, repository)
                    .map(|versions| expected.is_none_or(|lists| lists.versions() == versions)),
            });
            match matches {
                Ok(true) => {}
                Ok(false) => self.damaged(repository, &file, "it differs from the entries of the packages".into()),
                Err(error) => self.damaged(repository, &file, error.to_string()),
            }
        }
        Ok(())
    }
}
