//! Checks registry entries and policies against their repositories' signers. [`KnownSigners`] makes the decisions; this module
//! collects its input.

use std::collections::{BTreeMap, BTreeSet};

use crate::hex::registry::{Package, PublicKey, RegistryError, check_policy};
use crate::model::{EntryId, Fingerprint, Manifest, ManifestPart, PolicyId, Remote, RepositoryName};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::{OpError, Project, Result};
use crate::plan::{CheckedEntry, KnownSigners, PolicySignature, Signer, SignerConflict, SignerSource};
use crate::progress::{Event, Progress};
use crate::store::{Snapshot, Transaction};

/// The known signers of some repositories, and their keys.
pub(in crate::ops) struct Signers {
    repositories: BTreeMap<RepositoryName, Known>,
}

struct Known {
    key: Option<PublicKey>,
    /// Whether the key is hex.pm's for lack of another one.
    is_default: bool,
    signers: KnownSigners,
    expected: Option<Signer>,
}

impl Signers {
    /// Determines the signers of the repositories that have entries in the local mirror or in another one, and of
    /// `more`.
    ///
    /// # Errors
    /// Fails if a repository's key does not belong to the expected signer.
    pub fn new<'m>(
        repositories: &HexRepositories<'_>,
        own: Option<&'m Manifest>,
        other: Option<&'m Manifest>,
        more: impl IntoIterator<Item = &'m RepositoryName>,
    ) -> Result<Self> {
        let of_manifest = |manifest: &'m Manifest| {
            manifest.signers.keys().chain(manifest.signed_repositories()).collect::<BTreeSet<_>>()
        };
        let mut names: BTreeSet<&RepositoryName> = own.into_iter().chain(other).flat_map(of_manifest).collect();
        names.extend(more);
        // A record without entries is not this program's.
        let record = |name: &RepositoryName| {
            own.filter(|own| own.has_entries_of(name)).and_then(|own| own.signers.get(name).copied())
        };
        Self::of(repositories, names, record)
    }

    /// Determines the signers of the repositories that have entries in the local mirror, and of `more`. Reads no lines
    /// about packages.
    ///
    /// # Errors
    /// Fails if a repository's key does not belong to the expected signer, or if the mirror cannot be read.
    pub fn on<'m>(
        repositories: &HexRepositories<'_>,
        own: Option<&Snapshot>,
        more: impl IntoIterator<Item = &'m RepositoryName>,
    ) -> Result<Self> {
        let with_entries = own.map(Snapshot::repositories_with_entries).transpose()?.unwrap_or_default();
        let manifest = own.map(|own| own.part(ManifestPart::Signers)).transpose()?.unwrap_or_default();
        let mut names = with_entries.clone();
        names.extend(manifest.signers.keys().cloned());
        names.extend(more.into_iter().cloned());
        // A record without entries is not this program's.
        let record =
            |name: &RepositoryName| with_entries.get(name).and_then(|name| manifest.signers.get(name).copied());
        Self::of(repositories, &names, record)
    }

    /// Determines the signers of repositories. `record` returns the signer that the local mirror records.
    fn of<'m>(
        repositories: &HexRepositories<'_>,
        names: impl IntoIterator<Item = &'m RepositoryName>,
        record: impl Fn(&RepositoryName) -> Option<Fingerprint>,
    ) -> Result<Self> {
        let known = |name: &RepositoryName| Ok((name.clone(), Known::of(repositories, name, record(name))?));
        Ok(Self { repositories: names.into_iter().map(known).collect::<Result<_>>()? })
    }

    /// Checks the signers that a remote's mirror records.
    ///
    /// # Errors
    /// Fails if the mirror records another signer than the expected one.
    pub fn check_record(&self, other: &Manifest, remote: &Remote) -> Result<()> {
        self.compare_record(other.signers.iter(), remote)
    }

    /// As [`Self::check_record`], for a mirror that is about to be merged. If the user's settings name a repository's
    /// signer, another recorded signer is accepted here, and [`Self::verify_unless_replaced`] leaves out the entries of
    /// that signer.
    pub fn check_record_unless_set(&self, other: &Manifest, remote: &Remote) -> Result<()> {
        self.compare_record(other.signers.iter().filter(|(repository, _)| !self.is_set(repository)), remote)
    }

    fn compare_record<'m>(
        &self,
        record: impl Iterator<Item = (&'m RepositoryName, &'m Fingerprint)>,
        remote: &Remote,
    ) -> Result<()> {
        for (repository, found) in record {
            match self.expected(repository) {
                Some(expected) if expected.fingerprint != *found => {
                    let found_in = format!("recorded in {}", mirror_of(remote));
                    let is_default = expected.source == SignerSource::Key
                        && self.repositories.get(repository).is_some_and(|known| known.is_default);
                    return Err(match is_default {
                        true => OpError::SignerUnknown { repository: repository.clone(), signer: *found, found_in },
                        false => conflict(repository, expected, *found, found_in),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the expected signer of a repository, if one is known.
    pub fn expected(&self, repository: &RepositoryName) -> Option<Signer> {
        self.repositories.get(repository)?.expected
    }

    /// Returns whether the user allowed another signer than the one that the local mirror records.
    pub fn is_replaced(&self, repository: &RepositoryName) -> bool {
        self.repositories.get(repository).is_some_and(|known| known.signers.is_replaced())
    }

    /// Returns whether the user's own settings name the signer of a repository.
    fn is_set(&self, repository: &RepositoryName) -> bool {
        self.repositories.get(repository).is_some_and(|known| known.signers.setting.is_some())
    }

    /// Returns whether the key of a repository is known.
    fn has_key(&self, repository: &RepositoryName) -> bool {
        self.repositories.get(repository).is_some_and(|known| known.key.is_some())
    }

    /// Verifies a signed message and returns its contents.
    ///
    /// # Errors
    /// Fails if the message is not this entry or is not signed by its repository, and with [`OpError::NoPublicKey`] if
    /// the repository's key is unknown.
    pub fn verify(&self, id: &EntryId, signed: &[u8]) -> Result<Package> {
        let key = self.repositories.get(&id.repository).and_then(|known| known.key.as_ref());
        let key = key.ok_or_else(|| OpError::NoPublicKey { repository: id.repository.clone() })?;
        verified(id, signed, key)
    }

    /// Verifies an entry of another mirror and returns its contents. `None` if the user's settings name a signer and
    /// another one signed the entry: while a repository replaces its key, mirrors contain entries of both signers.
    ///
    /// # Errors
    /// Fails as [`Self::verify`] does.
    fn verify_unless_replaced(&self, id: &EntryId, signed: &[u8]) -> Result<Option<Package>> {
        match self.verify(id, signed) {
            Err(OpError::Entry { source: RegistryError::BadSignature, .. }) if self.is_set(&id.repository) => Ok(None),
            package => package.map(Some),
        }
    }

    /// Verifies an entry of a mirror that is merged.
    ///
    /// # Errors
    /// Fails as [`Self::verify_unless_replaced`] does, except for an unknown key.
    pub fn check(&self, id: &EntryId, signed: Vec<u8>) -> Result<CheckedEntry> {
        match self.verify_unless_replaced(id, &signed) {
            Ok(Some(package)) => Ok(CheckedEntry::Verified { package, signed }),
            Ok(None) => Ok(CheckedEntry::OtherSigner),
            Err(OpError::NoPublicKey { .. }) => Ok(CheckedEntry::NoKey),
            Err(error) => Err(error),
        }
    }

    /// Verifies a policy, as [`Self::check`] verifies an entry.
    ///
    /// # Errors
    /// Fails if the message is not this policy or is not signed by its repository.
    pub fn check_policy(&self, id: &PolicyId, signed: &[u8]) -> Result<PolicySignature> {
        let key = self.repositories.get(&id.repository).and_then(|known| known.key.as_ref());
        match check_policy(signed, key, id) {
            Ok(()) if key.is_none() => Ok(PolicySignature::NoKey),
            Ok(()) => Ok(PolicySignature::Verified),
            Err(RegistryError::BadSignature) if self.is_set(&id.repository) => Ok(PolicySignature::OtherSigner),
            Err(source) => Err(OpError::Policy { policy: id.clone(), source }),
        }
    }

    /// Verifies the policies of a snapshot that `manifest` lists and `known` does not. Those of a repository whose key is
    /// unknown are accepted: clients verify them, too.
    ///
    /// # Errors
    /// Fails if a policy is not signed by its repository.
    pub fn check_policies(&self, snapshot: &Snapshot, manifest: &Manifest, known: &Manifest) -> Result<()> {
        for (id, _) in manifest.policies.iter().filter(|(id, stored)| known.policies.get(*id) != Some(*stored)) {
            let Some(signed) = snapshot.policy(id)? else { continue };
            if self.check_policy(id, &signed)? == PolicySignature::OtherSigner {
                let source = RegistryError::BadSignature;
                return Err(OpError::Policy { policy: id.clone(), source });
            }
        }
        Ok(())
    }

    /// Returns the policies of the local mirror that must be fetched again, because the user allowed another signer.
    ///
    /// # Errors
    /// Fails if the mirror cannot be read.
    pub fn policies_to_replace(&self, own: &Snapshot) -> Result<BTreeSet<PolicyId>> {
        let stored = own.part(ManifestPart::Policies)?;
        Ok(stored.policies.keys().filter(|id| self.is_replaced(&id.repository)).cloned().collect())
    }

    /// Verifies some entries of a snapshot. Returns the entries of repositories whose key is unknown, on which the caller
    /// decides.
    ///
    /// # Errors
    /// Fails if an entry is not signed by its repository.
    pub fn check_entries<'m>(
        &self,
        snapshot: &Snapshot,
        entries: impl IntoIterator<Item = &'m EntryId>,
    ) -> Result<BTreeSet<EntryId>> {
        let mut unverified = BTreeSet::new();
        for id in entries {
            let Some(signed) = snapshot.entry(id)? else { continue };
            match self.verify(id, &signed) {
                Err(OpError::NoPublicKey { .. }) => drop(unverified.insert(id.clone())),
                package => drop(package?),
            }
        }
        Ok(unverified)
    }

    /// Returns the entries of the local mirror that must be fetched again: all entries of a repository whose new signer
    /// the user allowed, and entries of a repository without a recorded signer that its signer did not sign.
    ///
    /// # Errors
    /// Fails if another signer signed an entry of a repository without a recorded signer, and the user allowed none.
    pub fn to_replace(&self, own: &Snapshot) -> Result<BTreeSet<EntryId>> {
        let recorded = &own.part(ManifestPart::Signers)?.signers;
        let with_entries = own.repositories_with_entries()?;
        let unrecorded = with_entries.iter().filter(|name| !recorded.contains_key(*name) && self.has_key(name));
        let unrecorded: BTreeSet<&RepositoryName> = unrecorded.collect();
        if unrecorded.is_empty() && !with_entries.iter().any(|name| self.is_replaced(name)) {
            return Ok(BTreeSet::new());
        }
        let manifest = own.manifest()?;
        let replaced = manifest.entries.keys().filter(|id| self.is_replaced(&id.repository));
        let mut entries: BTreeSet<EntryId> = replaced.cloned().collect();
        for id in manifest.entries.keys().filter(|id| unrecorded.contains(&id.repository)) {
            if let Some(signed) = own.entry(id)?
                && self.verify_unless_replaced(id, &signed)?.is_none()
            {
                entries.insert(id.clone());
            }
        }
        Ok(entries)
    }

    /// Records the signers of all repositories with entries in a transaction, and returns the newly recorded ones.
    /// Entries of repositories without a record in the base must be verified before this call ([`Self::to_replace`]).
    ///
    /// # Errors
    /// Fails if the base is damaged.
    pub fn record(&self, transaction: &mut Transaction<'_>) -> Result<BTreeMap<RepositoryName, Fingerprint>> {
        let names = transaction.repositories_with_entries()?;
        let mut recorded = BTreeMap::new();
        for name in names {
            let expected = self.expected(&name).map(|signer| signer.fingerprint);
            let recorded_before = transaction.excerpt([])?.signers.get(&name).copied();
            if let Some(fingerprint) = expected.filter(|expected| recorded_before != Some(*expected)) {
                transaction.record_signer(name.clone(), fingerprint);
                recorded.insert(name, fingerprint);
            }
        }
        Ok(recorded)
    }
}

/// Reports the repositories of entries that could not be verified.
pub(in crate::ops) fn report_unverified<'e>(entries: impl IntoIterator<Item = &'e EntryId>, progress: &dyn Progress) {
    let repositories: BTreeSet<&RepositoryName> = entries.into_iter().map(|id| &id.repository).collect();
    for repository in repositories {
        let message =
            format!("did not check the registry entries of {repository}, because no public key is configured for it");
        progress.report(Event::Warning { message });
    }
}

impl Known {
    fn of(repositories: &HexRepositories<'_>, name: &RepositoryName, record: Option<Fingerprint>) -> Result<Self> {
        let key = repositories.known_key(name)?;
        let signers =
            KnownSigners { setting: repositories.signer(name), record, key: key.as_ref().map(PublicKey::fingerprint) };
        let is_default = repositories.has_default_key(name);
        let expected = signers.decide().map_err(|SignerConflict { expected, found }| match is_default {
            true => OpError::SignerUnknown {
                repository: name.clone(),
                signer: expected.fingerprint,
                found_in: described(name, expected.source),
            },
            false => conflict(name, expected, found.fingerprint, "of the public key in use".into()),
        })?;
        Ok(Self { key, is_default, signers, expected })
    }
}

/// Describes a remote's mirror for messages.
pub(super) fn mirror_of(remote: &Remote) -> String {
    format!("the mirror of {remote}")
}

fn described(repository: &RepositoryName, source: SignerSource) -> String {
    match source {
        SignerSource::Setting => format!("set by hexmirror.{repository}.signer"),
        SignerSource::Record => "recorded in the local mirror".to_owned(),
        SignerSource::Key => "of the public key in use".to_owned(),
    }
}

fn conflict(repository: &RepositoryName, expected: Signer, found: Fingerprint, found_in: String) -> OpError {
    let expected_in = described(repository, expected.source);
    OpError::Signer { repository: repository.clone(), expected: expected.fingerprint, expected_in, found, found_in }
}

/// Verifies an entry's signature with a key and decodes it.
pub(in crate::ops) fn verified(id: &EntryId, signed: &[u8], key: &PublicKey) -> Result<Package> {
    let refused = |source| OpError::Entry { entry: id.clone(), source };
    Package::decode_verified(signed, key, &id.repository, &id.package).map_err(refused)
}

/// Determines the signers of a mirror that is only read: the local one, or that of `remote` as last fetched.
///
/// # Errors
/// Fails if the mirror records another signer than the user's settings and keys do, or if its entries name another
/// repository and the settings do not accept that.
pub(in crate::ops) fn of_readable(
    project: &Project,
    snapshot: &Snapshot,
    remote: Option<&Remote>,
    progress: &dyn Progress,
) -> Result<Signers> {
    let repositories = HexRepositories::new(project, progress)?;
    // The names of packages do not matter here, so the rest of the manifest is not read.
    let (manifest, with_entries) = (snapshot.part(ManifestPart::Signers)?, snapshot.repositories_with_entries()?);
    let names: BTreeSet<&RepositoryName> = manifest.signers.keys().chain(&with_entries).collect();
    // The record of a mirror that was never merged here cannot be trusted, but that of the local one can.
    let local = remote.and_then(|_| project.snapshot().ok().flatten());
    let (trusted, recorded) = match (&local, remote) {
        (Some(local), _) => (Some(local.part(ManifestPart::Signers)?), local.repositories_with_entries()?),
        (None, Some(_)) => (None, BTreeSet::new()),
        (None, None) => (Some(manifest.clone()), with_entries.clone()),
    };
    let record = |name: &RepositoryName| {
        let trusted = trusted.as_ref().filter(|_| recorded.contains(name))?;
        trusted.signers.get(name).copied()
    };
    let signers = Signers::of(&repositories, names, record)?;
    if let Some(remote) = remote {
        signers.check_record(&manifest, remote)?;
    }
    check_origin(project, snapshot, &signers)?;
    Ok(signers)
}

/// Checks that the pinned entries are in the names of their repositories. A repository signs all of its entries in the same
/// name, so one entry of each is read. Any other problem of an entry is left to those who read all entries.
fn check_origin(project: &Project, snapshot: &Snapshot, signers: &Signers) -> Result<()> {
    // Without readable locks, nothing is pinned.
    let Ok(pinned) = project.present_locks().and_then(|locks| project.lock_summary(&locks)) else { return Ok(()) };
    for (repository, package) in pinned.repositories {
        let id = EntryId { repository, package };
        if let Ok(Some(signed)) = snapshot.entry(&id)
            && let Err(error @ OpError::Entry { source: RegistryError::OtherRepository { .. }, .. }) =
                signers.verify(&id, &signed)
        {
            return Err(error);
        }
    }
    Ok(())
}
