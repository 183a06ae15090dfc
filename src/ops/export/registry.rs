//! Chooses the registry of an export, and checks that clients can install from it.

use std::collections::BTreeSet;

use super::error::ExportError;
use crate::model::{EntryId, IndexFile, ReleaseId, RepositoryName, StaticPath};
use crate::ops::{Project, Result};
use crate::plan::{FileList, has_imported_index};
use crate::progress::{Event, Progress};
use crate::serve::Registry;
use crate::store::Snapshot;

/// How many packages a message names.
const NAMED: usize = 3;

/// Chooses the registry for a destination: the given one, otherwise the one that the destination has, so that its clients
/// keep the key that they verify with. Warns if the destination's registry changes, and if packages have no entry in it.
///
/// # Errors
/// Fails if clients could install no package with the registry, or if the mirror cannot be read.
pub(in crate::ops) fn choose_registry(
    project: &Project,
    snapshot: &Snapshot,
    given: Option<Registry>,
    (destination, list): (&str, &FileList),
    progress: &dyn Progress,
) -> Result<Registry> {
    let present = present(list);
    let registry = given.or(present).unwrap_or(Registry::Signed);
    check_registry(project, snapshot, registry)?;
    let lacking = without_entry(snapshot, registry)?;
    let warn = |message| progress.report(Event::Warning { message });
    if !lacking.is_empty() && lacking.len() == packages(snapshot)?.len() {
        let has_index = !snapshot.manifest()?.index_signers.is_empty();
        return Err(ExportError::NoEntries { branch: project.branch.to_string(), registry, has_index }.into());
    } else if !lacking.is_empty() {
        warn(no_entries(snapshot, registry, &lacking)?);
    }
    if present.is_some_and(|present| present != registry) {
        let to = match registry {
            Registry::Signed => "from the pinned index to the registry that upstream signed",
            Registry::Pinned => "from the registry that upstream signed to the pinned index",
        };
        warn(format!("{destination} changes {to}; its clients need the key in the new public_key"));
    }
    if let Some(repository) = changed_key(snapshot, registry, list)? {
        warn(format!(
            "{destination} changes the key of the pinned index of {repository}; its clients need the key in the new public_key"
        ));
    }
    Ok(registry)
}

/// Returns a repository whose pinned index is at the destination and has another key in the mirror.
fn changed_key(snapshot: &Snapshot, registry: Registry, list: &FileList) -> Result<Option<RepositoryName>> {
    if registry != Registry::Pinned {
        return Ok(None);
    }
    for repository in snapshot.manifest()?.index_signers.keys() {
        let path = StaticPath::registry(repository, &IndexFile::PublicKey);
        let written = list.key(&path);
        let key = snapshot.index_file_id(repository, &IndexFile::PublicKey)?.map(|blob| blob.to_string());
        if written.is_some() && list.has_lists() && written != key.as_deref() {
            return Ok(Some(repository.clone()));
        }
    }
    Ok(None)
}

/// Refuses the pinned index if the mirror has none.
///
/// # Errors
/// Fails if the mirror does not have the registry or cannot be read.
pub fn check_registry(project: &Project, snapshot: &Snapshot, registry: Registry) -> Result<()> {
    let has_index = !snapshot.manifest()?.index_signers.is_empty();
    match registry {
        Registry::Pinned if !has_index => Err(ExportError::NoIndex { branch: project.branch.to_string() }.into()),
        _ => Ok(()),
    }
}

/// Describes the stored packages that clients cannot install because a registry has no entry of them. `None` if there are
/// no such packages.
///
/// # Errors
/// Fails if the mirror cannot be read.
pub fn lacking_entries(snapshot: &Snapshot, registry: Registry) -> Result<Option<String>> {
    let lacking = without_entry(snapshot, registry)?;
    (!lacking.is_empty()).then(|| no_entries(snapshot, registry, &lacking)).transpose()
}

/// Describes packages without an entry, and what adds the entries.
fn no_entries(snapshot: &Snapshot, registry: Registry, lacking: &BTreeSet<EntryId>) -> Result<String> {
    let named = lacking.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let more = lacking.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let manifest = snapshot.manifest()?;
    let index = &manifest.index;
    let (name, remedy) = match registry {
        Registry::Signed if lacking.iter().all(|id| index.contains_key(id)) => (
            "registry that upstream signed",
            "`git hexmirror update` adds entries; without a network, pass --registry pinned: the pinned index has them",
        ),
        Registry::Signed => (
            "registry that upstream signed",
            "`git hexmirror update` adds entries; without a network, create a pinned index with `git hexmirror index --init` and \
             pass --registry pinned",
        ),
        Registry::Pinned if lacking.iter().any(|id| has_imported_index(manifest, &id.repository)) => (
            "imported registry",
            "it stays as it is; with a network, `git hexmirror update` fetches the registry that upstream signed, which clients \
             then use instead; `git hexmirror index --init` replaces it by an index of your own",
        ),
        Registry::Pinned => ("pinned index", "`git hexmirror index` adds entries"),
    };
    Ok(format!("the {name} has no entry of {named}{more}, which clients cannot install; {remedy}"))
}

/// Returns the packages of which releases are stored, but no entry.
fn without_entry(snapshot: &Snapshot, registry: Registry) -> Result<BTreeSet<EntryId>> {
    let manifest = snapshot.manifest()?;
    let has_entry = |id: &EntryId| match registry {
        Registry::Signed => manifest.entries.contains_key(id),
        Registry::Pinned => manifest.index.contains_key(id),
    };
    Ok(packages(snapshot)?.into_iter().filter(|id| !has_entry(id)).collect())
}

fn packages(snapshot: &Snapshot) -> Result<BTreeSet<EntryId>> {
    Ok(snapshot.manifest()?.releases.keys().map(ReleaseId::entry).collect())
}

/// Returns the registry whose files a destination has. Only the pinned index has lists.
fn present(list: &FileList) -> Option<Registry> {
    match (list.has_entries(), list.has_lists()) {
        (false, _) => None,
        (true, false) => Some(Registry::Signed),
        (true, true) => Some(Registry::Pinned),
    }
}
