//! Checks what one mirror is about to receive from another one.

use std::collections::BTreeSet;

use super::signers::{Signers, mirror_of, report_unverified};
use crate::model::{EntryId, Manifest, ManifestPart, Remote, RepositoryName};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::{OpError, Project, Result};
use crate::progress::{Progress, Silent};
use crate::store::{ObjectId, Snapshot, StoreError};

/// Checks what the local mirror receives if it adopts a remote's mirror or is fast-forwarded to it, with the
/// same checks as a merge. `ours` is `None` if there is no local mirror.
///
/// # Errors
/// Fails if the manifest does not match the tree, if there is a private key, if a registry entry or a
/// policy is not signed by its repository, or if an entry
/// would replace a local one and its repository's key is unknown. Other entries with an unknown key are reported.
pub(in crate::ops) fn check_fast_forward(
    project: &Project,
    ours: Option<&Snapshot>,
    theirs: &Snapshot,
    remote: &Remote,
    progress: &dyn Progress,
) -> Result<()> {
    matches_its_tree(theirs, ours)?;
    has_no_private_key(theirs, ours)?;
    let repositories = HexRepositories::new(project, progress)?;
    let (manifest, known) = match ours {
        Some(ours) => theirs.differing(ours)?,
        None => (theirs.manifest()?.clone(), Manifest::default()),
    };
    let signers = Signers::on(&repositories, ours, &with_signers(theirs)?)?;
    signers.check_record(&*theirs.part(ManifestPart::Signers)?, remote)?;
    let unverified = signers.check_entries(theirs, new_entries(&manifest, &known))?;
    signers.check_policies(theirs, &manifest, &known)?;
    let is_local = |id: &&EntryId| known.entries.contains_key(*id);
    if let Some(entry) = unverified.iter().find(is_local) {
        return Err(OpError::Unverifiable { entry: entry.clone(), found_in: mirror_of(remote) });
    }
    report_unverified(&unverified, progress);
    Ok(())
}

/// Checks the signers that another mirror records before it is merged, and its manifest against its tree.
///
/// # Errors
/// Fails if the mirror records another signer than the expected one and the user's settings name none, if its
/// manifest does not match its tree, or if there is a private key.
pub(super) fn check_merge(project: &Project, ours: &Snapshot, theirs: &Snapshot, remote: &Remote) -> Result<()> {
    matches_its_tree(theirs, Some(ours))?;
    has_no_private_key(theirs, Some(ours))?;
    let repositories = HexRepositories::new(project, &Silent)?;
    let signers = Signers::new(&repositories, Some(ours.manifest()?), Some(theirs.manifest()?), [])?;
    signers.check_record_unless_set(theirs.manifest()?, remote)
}

/// Verifies what a push sends to a remote: that its commits contain no private key, that the manifest matches the tree, and the
/// signature of each registry entry and policy that the remote did not have when last fetched.
///
/// # Errors
/// Fails if there is a private key, if the manifest does not match, if an entry is not signed by its repository, if the repository's key is unknown, or if the two mirrors record
/// different signers.
pub(in crate::ops) fn check_outgoing(project: &Project, remote: &Remote, own: &Snapshot) -> Result<()> {
    let theirs = project.repository.remote_tip(remote, &project.branch)?;
    if theirs == Some(own.commit()) {
        return Ok(());
    }
    refuse_private_keys(own, theirs)?;
    // If the remote's mirror cannot be read, verify all entries.
    let theirs = theirs.and_then(|tip| project.snapshot_of(Some(remote), tip).ok());
    matches_its_tree(own, theirs.as_ref())?;
    let compared = theirs.as_ref().and_then(|theirs| Some((theirs, own.differing(theirs).ok()?)));
    let repositories = HexRepositories::new(project, &Silent)?;
    let unverified = match compared {
        Some((theirs, (manifest, known))) => {
            let signers = Signers::on(&repositories, Some(own), &with_signers(theirs)?)?;
            signers.check_record_unless_set(&*theirs.part(ManifestPart::Signers)?, remote)?;
            signers.check_policies(own, &manifest, &known)?;
            signers.check_entries(own, new_entries(&manifest, &known))?
        }
        None => {
            let (signers, manifest) = (Signers::on(&repositories, Some(own), [])?, own.manifest()?);
            signers.check_policies(own, manifest, &Manifest::default())?;
            signers.check_entries(own, manifest.entries.keys())?
        }
    };
    let Some(entry) = unverified.first() else { return Ok(()) };
    let repository = entry.repository.clone();
    let number = unverified.iter().filter(|id| id.repository == repository).count();
    Err(OpError::UnverifiedPush { repository, entry: entry.clone(), number })
}

/// Refuses to send the history of a mirror to others if it contains a private key, except for the history of `known`.
///
/// # Errors
/// Fails if there is a private key.
pub(in crate::ops) fn refuse_private_keys(own: &Snapshot, known: Option<ObjectId>) -> Result<()> {
    match own.private_key_since(known)? {
        Some((commit, path)) => Err(OpError::PrivateKeyInMirror { path, commit: Some(commit) }),
        None => Ok(()),
    }
}

/// Returns the entries of a manifest that another one lacks or has with other contents.
fn new_entries<'m>(manifest: &'m Manifest, known: &'m Manifest) -> impl Iterator<Item = &'m EntryId> {
    let is_known = |id, checksum| known.entries.get(id).is_some_and(|known| known.checksum == checksum);
    manifest.entries.iter().filter(move |(id, stored)| !is_known(*id, stored.checksum)).map(|(id, _)| id)
}

/// Returns the repositories of which a mirror has entries or records a signer.
fn with_signers(theirs: &Snapshot) -> Result<BTreeSet<RepositoryName>> {
    let mut names = theirs.repositories_with_entries()?;
    names.extend(theirs.part(ManifestPart::Signers)?.signers.keys().cloned());
    Ok(names)
}

fn has_no_private_key(theirs: &Snapshot, ours: Option<&Snapshot>) -> Result<()> {
    match theirs.private_key(ours) {
        Some(path) => Err(OpError::PrivateKeyInMirror { path, commit: None }),
        None => Ok(()),
    }
}

fn matches_its_tree(theirs: &Snapshot, ours: Option<&Snapshot>) -> Result<()> {
    match theirs.mismatches(ours)?.into_iter().next() {
        Some(damage) => Err(StoreError::damaged(damage.path)(damage.problem).into()),
        None => Ok(()),
    }
}
