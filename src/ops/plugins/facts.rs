//! Where the facts about plugins come from: a snapshot of the mirror.

use std::collections::{BTreeSet, HashMap};

use super::config::{BuildConfig, FILES};
use crate::git::Git;
use crate::hex::registry::Package;
use crate::model::{EntryId, ManifestPart, ReleaseId};
use crate::ops::update::git_fetcher::fetching_git;
use crate::ops::update::stored_entry::read_entry;
use crate::ops::{Project, Result};
use crate::plan::{GitPin, GitRef, Pin, RefAnswer};
use crate::store::{Checkout, Snapshot, Temporary};

/// A source of facts. `None` stands for a fact that it does not have.
pub(in crate::ops) trait FactSource {
    /// Returns a registry entry; the inner `None` if upstream has none.
    fn entry(&mut self, id: &EntryId) -> Result<Option<Option<Package>>>;
    /// Returns the releases of a package that the mirror has.
    fn stored(&mut self, id: &EntryId) -> Result<BTreeSet<ReleaseId>>;
    /// Returns the configuration of a release.
    fn release(&mut self, pin: &Pin) -> Result<Option<BuildConfig>>;
    /// Returns what upstream answered about a ref.
    fn reference(&mut self, reference: &GitRef) -> Option<RefAnswer>;
    /// Returns the configuration of the folder that a git dependency uses.
    fn revision(&mut self, pin: &GitPin) -> Result<Option<BuildConfig>>;
    /// Returns whether upstream was just asked for an entry. `None` if it cannot be asked.
    fn was_asked(&self, _id: &EntryId) -> Option<bool> {
        None
    }
    /// Notes what of the configuration of a pinned package could not be read.
    fn note(&mut self, _by: Option<&str>, _config: &BuildConfig) {}
}

/// The facts that a mirror contains.
pub(in crate::ops) struct MirrorFacts<'a> {
    project: &'a Project,
    snapshot: Option<&'a Snapshot>,
    git: Option<Git>,
}

impl<'a> MirrorFacts<'a> {
    /// Reads facts from a snapshot, if there is one.
    pub fn new(project: &'a Project, snapshot: Option<&'a Snapshot>) -> Self {
        Self { project, snapshot, git: None }
    }

    /// Returns the configuration of a git dependency, whose files `read` reads by their names in gitrevisions(7) unless
    /// they were read before. `None` if `read` finds no such revision.
    pub fn configuration(
        &mut self,
        pin: &GitPin,
        read: impl FnOnce(&Git, &[String]) -> Result<Option<Vec<Option<Vec<u8>>>>>,
    ) -> Result<Option<BuildConfig>> {
        let (names, project, git) = (names(pin), self.project, &mut self.git);
        project.configuration(&names[0], || {
            let git = match git {
                Some(git) => git,
                git => git.insert(fetching_git(project, false)?),
            };
            let Some(files) = read(git, &names)? else { return Ok(None) };
            let mut files: HashMap<&str, Option<Vec<u8>>> = FILES.into_iter().zip(files).collect();
            Ok(Some(BuildConfig::of(|name| files.remove(name).flatten())))
        })
    }
}

impl FactSource for MirrorFacts<'_> {
    fn entry(&mut self, id: &EntryId) -> Result<Option<Option<Package>>> {
        let Some(snapshot) = self.snapshot else { return Ok(None) };
        match read_entry(snapshot, id)? {
            Some(entry) => Ok(Some(Some(entry))),
            None => Ok(snapshot.manifest_of(&id.package)?.absent.contains(id).then_some(None)),
        }
    }

    fn stored(&mut self, id: &EntryId) -> Result<BTreeSet<ReleaseId>> {
        let Some(snapshot) = self.snapshot else { return Ok(BTreeSet::new()) };
        let manifest = snapshot.manifest_of(&id.package)?;
        Ok(manifest.releases_of(&id.repository, &id.package).map(|(id, _)| id.clone()).collect())
    }

    fn release(&mut self, pin: &Pin) -> Result<Option<BuildConfig>> {
        let Some(snapshot) = self.snapshot else { return Ok(None) };
        let manifest = snapshot.manifest_of(&pin.id.package)?;
        if !manifest.releases.get(&pin.id).is_some_and(|stored| pin.accepts(stored)) {
            return Ok(None);
        }
        BuildConfig::stored(snapshot, &pin.id).map(Some)
    }

    fn reference(&mut self, _: &GitRef) -> Option<RefAnswer> {
        None
    }

    fn revision(&mut self, pin: &GitPin) -> Result<Option<BuildConfig>> {
        let Some(snapshot) = self.snapshot else { return Ok(None) };
        let address = pin.url.address();
        let manifest = snapshot.part(ManifestPart::Git)?;
        if !manifest.git.get(address).is_some_and(|stored| stored.revisions.contains_key(&pin.revision)) {
            return Ok(None);
        }
        let project = self.project;
        self.configuration(pin, |git, names| {
            let read = |checkout: Checkout| -> Result<_> { Ok(git.files(checkout.folder(), names)?) };
            match snapshot.checkout(address) {
                // A repository that can only be read is served, too.
                Err(error) if error.is_unwritable() => {
                    let Ok(temporary) = Temporary::make(&project.repository) else { return Ok(None) };
                    snapshot.checkout_in(temporary.path(), address)?.map(read).transpose()
                }
                checkout => checkout?.map(read).transpose(),
            }
        })
    }
}

/// Returns the names of the files of a git dependency that count, as in gitrevisions(7).
fn names(pin: &GitPin) -> Vec<String> {
    let folder = pin.subdir.as_ref().map(|folder| format!("{}/", folder.trim_matches('/'))).unwrap_or_default();
    FILES.iter().map(|name| format!("{}:{folder}{name}", pin.revision)).collect()
}
