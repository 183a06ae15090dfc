//! Merges two mirrors into their union, so that nothing is lost from either.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::ops::Add;

use super::signers::{Signers, report_unverified};
use crate::hex::registry::Package;
use crate::model::{EntryId, GitAddress, ReleaseId, Revision, StoredGit, StoredRelease};
use crate::ops::error::listed;
use crate::ops::index::check::public_keys;
use crate::ops::index::refresh::{RefreshCommit, refresh};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::project::needed::{LockScope, LockedNeeds, needed};
use crate::ops::update::message::count;
use crate::ops::update::stored_entry::read_entry;
use crate::ops::{OpError, Project, Result};
use crate::plan::{Needed, Pruning, Relation, better_indexes, lost_facts, needed_entries, relation};
use crate::progress::{Event, Progress, Silent};
use crate::store::{ObjectId, REPLACES, Snapshot, StoreError, Transaction};

/// Statistics of a merge: what the local mirror received from another mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeStatistics {
    /// The number of added releases.
    pub releases: usize,
    /// The number of added or replaced registry entries.
    pub entries: usize,
    /// The number of added revisions of git repositories.
    pub revisions: usize,
    /// The number of removed releases, because they were pruned from the other mirror.
    pub pruned: usize,
}

impl Add for MergeStatistics {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            releases: self.releases + more.releases,
            entries: self.entries + more.entries,
            revisions: self.revisions + more.revisions,
            pruned: self.pruned + more.pruned,
        }
    }
}

/// Two mirrors to be merged.
pub(in crate::ops) struct Merge<'a> {
    /// The snapshot that the result is based on.
    pub ours: &'a Snapshot,
    /// The snapshot that is merged into `ours`.
    pub theirs: &'a Snapshot,
    /// The local mirror's snapshot among the two.
    pub local: Local,
    /// The snapshots of the merge bases. Empty if unknown.
    pub shared: Vec<Snapshot>,
    /// What happens to the other mirror's history.
    pub history: History,
    /// The branch's tip, if it is not `ours`.
    pub replaced: Option<ObjectId>,
    /// The subject of the commit message, such as `Merge the mirror of origin`.
    pub title: String,
}

/// Which of two snapshots is the local mirror's. It differs if the local contents are added to a remote's mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Local {
    /// [`Merge::ours`].
    Ours,
    /// [`Merge::theirs`].
    Theirs,
}

/// What happens to the history of a mirror when it is merged into another mirror.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum History {
    /// It becomes part of the result's history, as a second parent.
    Joined,
    /// It is left behind. The commit message records this, so that a later comparison finds that nothing is missing.
    Replaced,
    /// It is left behind without a record.
    Dropped,
}

/// Merges another snapshot into the branch and returns the new tip.
///
/// The result has the releases and revisions of both sides, except those that one side pruned and the other left
/// unchanged. Of each registry entry, it keeps the newer one, and the local one if neither is newer. Derived files are generated again. The
/// new commit replaces the superseded merge, if there is one.
///
/// # Errors
/// Fails if a registry entry of the other mirror is not signed by its repository, if both mirrors have a release with
/// different checksums and no registry entry says which one is right, and with [`crate::store::StoreError::Moved`] if
/// another process moved the branch meanwhile.
pub(in crate::ops) fn merge(
    project: &Project,
    merge: Merge<'_>,
    progress: &dyn Progress,
) -> Result<(ObjectId, MergeStatistics)> {
    let Merge { ours, theirs, local, shared, history, replaced, title } = merge;
    let union = Union::new(project, [ours, theirs], local, &shared, progress)?;
    let mut transaction = Transaction::begin(&project.repository, &project.branch, Some(ours))?;
    match history {
        History::Joined => transaction.merge(theirs),
        History::Replaced => transaction.allow_empty(),
        History::Dropped => {}
    }
    if let Some(replaced) = replaced {
        transaction.replace(replaced);
    }
    let (packages, mut entries) = union.entries(&mut transaction, progress)?;
    union.signers.record(&mut transaction);
    for (repository, signer) in &theirs.manifest()?.signers {
        if !transaction.manifest().signers.contains_key(repository) {
            transaction.record_signer(repository.clone(), *signer);
        }
    }
    let releases = union.releases(&packages)?;
    for id in &releases {
        transaction.copy_release(theirs, id)?;
    }
    union.gone_there.releases.keys().for_each(|id| transaction.remove_release(id));
    let revisions = union.repositories(&mut transaction, progress)?;
    for id in theirs.manifest()?.absent.iter().filter(|id| !union.gone_here.entries.contains_key(*id)) {
        transaction.note_absent(id.clone());
    }
    entries += union.dropped_entries(&mut transaction, &packages)?;
    let statistics =
        MergeStatistics { releases: releases.len(), entries, revisions, pruned: union.gone_there.releases.len() };
    let mut message = message(&title, &releases, &statistics, &union.gone_there);
    if history == History::Replaced {
        let _ = writeln!(message, "\n{REPLACES}{}", theirs.commit());
    }
    for repository in better_indexes([ours.manifest()?, theirs.manifest()?], transaction.manifest()) {
        transaction.copy_index(theirs, &repository)?;
    }
    let published = transaction.publish(&message)?.commit;
    let refreshed = refresh(project, published, RefreshCommit::Amended, progress);
    Ok((refreshed.map_or(published, |refreshed| refreshed.commit), statistics))
}

/// Checks and counts what a fast-forward adds, with the same checks as a merge. `whose` describes the other mirror.
///
/// # Errors
/// Fails if the manifest does not match the tree, if a registry entry is not signed by its repository, or if an entry
/// would replace a local one and its repository's key is unknown. Other entries with an unknown key are reported.
pub(in crate::ops) fn check(
    project: &Project,
    ours: Option<&Snapshot>,
    theirs: &Snapshot,
    whose: &str,
    progress: &dyn Progress,
) -> Result<MergeStatistics> {
    matches_its_tree(theirs, ours)?;
    public_keys(theirs)?;
    let repositories = HexRepositories::new(project, progress)?;
    let ours = ours.map(Snapshot::manifest).transpose()?;
    let manifest = theirs.manifest()?;
    let signers = Signers::new(&repositories, ours, Some(manifest), [])?;
    signers.check_record(manifest, whose)?;
    let known = |id: &EntryId, checksum| {
        ours.and_then(|ours| ours.entries.get(id)).is_some_and(|known| known.checksum == checksum)
    };
    let checked = signers.check_entries(theirs, known)?;
    let is_local = |id: &&EntryId| ours.is_some_and(|ours| ours.entries.contains_key(*id));
    if let Some(entry) = checked.unverified.iter().find(is_local) {
        return Err(OpError::Unverifiable { entry: entry.clone(), found_in: whose.to_owned() });
    }
    report_unverified(&checked.unverified, progress);
    let mut statistics = MergeStatistics { entries: checked.entries, ..MergeStatistics::default() };
    let is_new = |id: &&ReleaseId| ours.is_none_or(|ours| !ours.releases.contains_key(id));
    statistics.releases = manifest.releases.keys().filter(is_new).count();
    let known = |address: &GitAddress, revision: &Revision| {
        ours.and_then(|ours| ours.git.get(address)).is_some_and(|stored| stored.revisions.contains_key(revision))
    };
    let revisions = manifest.git.iter().flat_map(|(address, git)| git.revisions.keys().map(move |r| (address, r)));
    statistics.revisions = revisions.filter(|(address, revision)| !known(address, revision)).count();
    Ok(statistics)
}

/// Checks the signers that another mirror records before it is merged, and its manifest against its tree.
///
/// # Errors
/// Fails if the mirror records another signer than the expected one and the user's settings name none, or if its
/// manifest does not match its tree.
pub(in crate::ops) fn check_signers(project: &Project, ours: &Snapshot, theirs: &Snapshot, whose: &str) -> Result<()> {
    matches_its_tree(theirs, Some(ours))?;
    public_keys(theirs)?;
    let (our_manifest, their_manifest) = (ours.manifest()?, theirs.manifest()?);
    let repositories = HexRepositories::new(project, &Silent)?;
    Signers::new(&repositories, Some(our_manifest), Some(their_manifest), [])?
        .check_record_unless_set(their_manifest, whose)
}

fn matches_its_tree(theirs: &Snapshot, ours: Option<&Snapshot>) -> Result<()> {
    match theirs.mismatches(ours)?.into_iter().next() {
        Some(damage) => Err(StoreError::damaged(damage.path)(damage.problem).into()),
        None => Ok(()),
    }
}

fn message(title: &str, releases: &[ReleaseId], statistics: &MergeStatistics, gone: &Pruning) -> String {
    let parts = [
        (statistics.releases, count(statistics.releases, "package", "packages")),
        (statistics.entries, count(statistics.entries, "registry entry", "registry entries")),
        (statistics.revisions, count(statistics.revisions, "git revision", "git revisions")),
        (statistics.pruned, format!("{} dropped", count(statistics.pruned, "package", "packages"))),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
    let what = if parts.is_empty() { "nothing new".to_owned() } else { parts.join(", ") };
    let mut message = format!("{title}: {what}\n\n");
    for id in releases {
        let _ = writeln!(message, "{id}");
    }
    for id in gone.releases.keys() {
        let _ = writeln!(message, "without {id}");
    }
    message
}

struct Union<'a> {
    ours: &'a Snapshot,
    theirs: &'a Snapshot,
    local: Local,
    signers: Signers,
    /// What the local mirror pruned and the other mirror still has.
    gone_here: Pruning,
    /// What the other mirror pruned and the local mirror still has.
    gone_there: Pruning,
    /// What the local locks need. Computed only if one side pruned anything.
    needed: Needed,
}

impl<'a> Union<'a> {
    fn new(
        project: &'a Project,
        [ours, theirs]: [&'a Snapshot; 2],
        local: Local,
        shared: &[Snapshot],
        progress: &dyn Progress,
    ) -> Result<Self> {
        let repositories = HexRepositories::new(project, progress)?;
        let shared = shared.iter().map(Snapshot::manifest).collect::<Result<Vec<_>, _>>()?;
        let (our_manifest, their_manifest) = (ours.manifest()?, theirs.manifest()?);
        let (mut gone_here, mut gone_there) = (
            Pruning::since(&shared, our_manifest, their_manifest),
            Pruning::since(&shared, their_manifest, our_manifest),
        );
        let mut needed_here = Needed::default();
        if !(gone_here.is_empty() && gone_there.is_empty()) {
            // Whoever pruned the other mirror did not know which branches are live here.
            let scope = LockScope { tags: project.config.keep_tags.clone(), since: i64::MAX, strict: false };
            let LockedNeeds { needed, .. } = needed(project, &scope, progress)?;
            gone_here.keep(&needed);
            gone_there.keep(&needed);
            needed_here = needed;
        }
        Pruning::keep_submodules([&mut gone_here, &mut gone_there], [our_manifest, their_manifest]);
        let signers = Signers::new(&repositories, Some(our_manifest), Some(their_manifest), [])?;
        Ok(Self { ours, theirs, local, signers, gone_here, gone_there, needed: needed_here })
    }

    /// Adds the other mirror's registry entries that have more information. Returns all kept entries of those in which
    /// the two mirrors differ, and the number of added or replaced entries.
    fn entries(
        &self,
        transaction: &mut Transaction<'_>,
        progress: &dyn Progress,
    ) -> Result<(BTreeMap<EntryId, Package>, usize)> {
        let (ours, theirs) = (self.ours.manifest()?, self.theirs.manifest()?);
        let (mut kept, mut taken, mut left_out) = (BTreeMap::new(), 0, 0);
        let mut unverified = BTreeSet::new();
        // The local entries that were signed by a signer who has been replaced.
        for id in self.signers.to_replace(self.ours)? {
            transaction.remove_entry(&id);
            left_out += 1;
        }
        for (id, stored) in &theirs.entries {
            if ours.entries.get(id) == Some(stored) || self.gone_here.entries.contains_key(id) {
                continue;
            }
            let Some(signed) = self.theirs.entry(id)? else { continue };
            // Entries from another mirror are verified again before they are added.
            let other = match self.signers.verify_unless_replaced(id, &signed) {
                Err(OpError::NoPublicKey { .. }) => {
                    unverified.insert(id);
                    // Without the key, nothing replaces an entry of the local mirror.
                    if self.local == Local::Theirs || !ours.entries.contains_key(id) {
                        transaction.put_entry(id.clone(), &signed)?;
                        taken += 1;
                    }
                    continue;
                }
                other => other?,
            };
            let Some(other) = other else {
                left_out += 1;
                continue;
            };
            let own = self.ours.entry(id)?.map(|own| {
                Ok::<_, OpError>(self.signers.verify_unless_replaced(id, &own)?.map(|package| (package, own)))
            });
            match own.transpose()?.flatten() {
                Some((own, bytes)) if !self.replaces((&other, &signed), (&own, &bytes), id, progress) => {
                    drop(kept.insert(id.clone(), own))
                }
                _ => {
                    transaction.put_entry(id.clone(), &signed)?;
                    kept.insert(id.clone(), other);
                    taken += 1;
                }
            }
        }
        report_unverified(unverified, progress);
        if left_out > 0 {
            let entries = count(left_out, "registry entry", "registry entries");
            let message = format!(
                "skipped {entries} signed by a key other than the configured signer; run `git hexmirror update` to fetch what is missing"
            );
            progress.report(Event::Warning { message });
        }
        Ok((kept, taken))
    }

    /// Returns whether the entry of `theirs` replaces that of `ours`. If neither is newer, the local one is kept, with a
    /// warning.
    fn replaces(
        &self,
        other: (&Package, &[u8]),
        own: (&Package, &[u8]),
        id: &EntryId,
        progress: &dyn Progress,
    ) -> bool {
        let lost = match relation(other, own) {
            Relation::Newer => return true,
            Relation::NotNewer => return false,
            Relation::Conflict { lost } if self.local == Local::Ours => lost,
            Relation::Conflict { .. } => lost_facts(other.0, own.0),
        };
        let message = format!(
            "the registry entry of {id} in the other mirror lacks {}, and the local one lacks something that it has; the local one is kept until `git hexmirror update --refresh` fetches the current one",
            listed(&lost)
        );
        progress.report(Event::Warning { message });
        self.local == Local::Theirs
    }

    /// Decides on the registry entries that one side pruned: an entry that a release needs is kept or restored. Returns
    /// the number of restored entries.
    fn dropped_entries(
        &self,
        transaction: &mut Transaction<'_>,
        packages: &BTreeMap<EntryId, Package>,
    ) -> Result<usize> {
        if self.gone_here.entries.is_empty() && self.gone_there.entries.is_empty() {
            return Ok(0);
        }
        let read = |id: &EntryId| match packages.get(id) {
            Some(package) => Ok::<_, OpError>(Some(package.clone())),
            None => Ok(read_entry(self.ours, id)?.or(read_entry(self.theirs, id)?)),
        };
        let needed = needed_entries(transaction.manifest().releases.keys(), read)?;
        let mut taken = 0;
        for id in self.gone_here.entries.keys().filter(|id| needed.contains(*id)) {
            match self.theirs.entry(id)? {
                Some(signed) => {
                    match self.signers.verify(id, &signed) {
                        // The merge base has the same entry.
                        Ok(_) | Err(OpError::NoPublicKey { .. }) => {}
                        Err(error) => return Err(error),
                    }
                    transaction.put_entry(id.clone(), &signed)?;
                    taken += 1;
                }
                None => transaction.note_absent(id.clone()),
            }
        }
        self.gone_there.entries.keys().filter(|id| !needed.contains(*id)).for_each(|id| transaction.remove_entry(id));
        Ok(taken)
    }

    /// Adds the other mirror's git repositories and revisions. Returns the number of added revisions.
    fn repositories(&self, transaction: &mut Transaction<'_>, progress: &dyn Progress) -> Result<usize> {
        let (ours, theirs) = (self.ours.manifest()?, self.theirs.manifest()?);
        let nothing = StoredGit::default();
        let mut taken = 0;
        for address in ours.git.keys().chain(theirs.git.keys()).collect::<BTreeSet<_>>() {
            let (own, other) = (ours.git.get(address), theirs.git.get(address).unwrap_or(&nothing));
            if own == Some(other) {
                continue;
            }
            let (kept, rest) = (
                self.without_pruned(&self.gone_there, address, own),
                self.without_pruned(&self.gone_here, address, Some(other)),
            );
            let union = match (kept.revisions.is_empty(), rest.revisions.is_empty()) {
                (true, true) => {
                    transaction.remove_git(address);
                    continue;
                }
                (false, true) => Some(kept),
                (true, false) => Some(rest),
                (false, false) if kept.has_all_of(&rest) && self.gone_here.revisions.contains_key(address) => {
                    Some(kept)
                }
                (false, false) if rest.has_all_of(&kept) && self.gone_there.revisions.contains_key(address) => {
                    Some(rest)
                }
                (false, false) => kept.union(&rest),
            };
            let named = |mut union: StoredGit| {
                self.needed.name(address, &mut union);
                union
            };
            match union.map(named) {
                Some(union) if own == Some(&union) => {}
                Some(union) => {
                    let known = |revision: &&Revision| own.is_some_and(|own| own.revisions.contains_key(*revision));
                    taken += union.revisions.keys().filter(|revision| !known(revision)).count();
                    transaction.copy_git(self.theirs, address, union)?;
                }
                None => progress.report(Event::Warning {
                    message: format!(
                        "the other mirror has {address} with another depth, so only the local packs are kept; run `git hexmirror update` to fetch what a lock needs"
                    ),
                }),
            }
        }
        Ok(taken)
    }

    /// Returns a repository without the revisions that the other side pruned.
    fn without_pruned(&self, gone: &Pruning, address: &GitAddress, stored: Option<&StoredGit>) -> StoredGit {
        let mut left = stored.cloned().unwrap_or_default();
        left.revisions.retain(|revision, _| !gone.drops(address, *revision));
        left
    }

    /// Returns the releases to add: those that only the other mirror has.
    fn releases(&self, packages: &BTreeMap<EntryId, Package>) -> Result<Vec<ReleaseId>> {
        let (ours, theirs) = (self.ours.manifest()?, self.theirs.manifest()?);
        let mut taken = Vec::new();
        for (id, stored) in &theirs.releases {
            let take = match ours.releases.get(id) {
                None => !self.gone_here.releases.contains_key(id),
                Some(own) if own.outer == stored.outer => false,
                Some(own) => self.other_is_right(id, own, stored, packages)?,
            };
            if take {
                taken.push(id.clone());
            }
        }
        Ok(taken)
    }

    /// Decides between two tarballs of one version. The signed registry entry says which one was published.
    fn other_is_right(
        &self,
        id: &ReleaseId,
        own: &StoredRelease,
        other: &StoredRelease,
        packages: &BTreeMap<EntryId, Package>,
    ) -> Result<bool> {
        let entry = id.entry();
        let stored = match packages.get(&entry) {
            Some(_) => None,
            None => match self.ours.entry(&entry)?.map(|own| self.signers.verify(&entry, &own)).transpose() {
                Err(OpError::NoPublicKey { .. }) => None,
                package => package?,
            },
        };
        let package = packages.get(&entry).or(stored.as_ref());
        let listed = package.and_then(|package| package.release(&id.version)?.outer_checksum);
        match listed {
            Some(listed) if listed == own.outer => Ok(false),
            Some(listed) if listed == other.outer => Ok(true),
            _ => Err(OpError::TwoTarballs { release: id.clone(), one: own.outer, other: other.outer }),
        }
    }
}
