//! The plan of a merge: what to copy from theirs into ours and what to remove from ours.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Add;

use crate::model::{
    EntryId, FileId, Fingerprint, GitAddress, Manifest, OuterChecksum, PolicyId, ReleaseId, RepositoryName, StoredGit,
};
use crate::plan::LostFact;

/// One of the two mirrors of a merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The mirror that the result is based on.
    Ours,
    /// The mirror that is merged into it.
    Theirs,
}

/// The plan of a merge. What has no step stays as it is in ours. Its display form has one line per step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MergePlan {
    /// The steps for releases.
    pub releases: BTreeMap<ReleaseId, ReleaseStep>,
    /// The steps for registry entries.
    pub entries: BTreeMap<EntryId, EntryStep>,
    /// The steps for policies.
    pub policies: BTreeMap<PolicyId, PolicyStep>,
    /// The steps for files.
    pub files: BTreeMap<FileId, FileStep>,
    /// The steps for git repositories.
    pub repositories: BTreeMap<GitAddress, RepositoryStep>,
    /// The signers to record.
    pub signers: BTreeMap<RepositoryName, Fingerprint>,
    /// The releases for which nothing decides between two tarballs. A plan with conflicts must not be applied.
    pub conflicts: Vec<ReleaseConflict>,
    /// What the user should know.
    pub warnings: Vec<MergeWarning>,
    /// What the merge adds to ours and removes from it.
    pub statistics: MergeStatistics,
}

/// What happens to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReleaseStep {
    /// It is copied from theirs.
    Copy,
    /// It is removed.
    Remove,
}

/// What happens to a registry entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryStep {
    /// It is copied from theirs.
    Copy,
    /// It is removed, or the record that upstream has none.
    Remove,
    /// It is recorded that upstream has none.
    RecordAbsent,
}

/// What happens to a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyStep {
    /// It is copied from theirs.
    Copy,
    /// It is removed.
    Remove,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileStep {
    /// It is copied from theirs.
    Copy,
    /// It is removed.
    Remove,
}

/// What happens to a git repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RepositoryStep {
    /// The packs that ours lacks are copied from theirs, and this becomes its record.
    Copy(StoredGit),
    /// It is removed.
    Remove,
}

/// Two tarballs of one release, neither of which is known to be the published one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseConflict {
    /// The release.
    pub release: ReleaseId,
    /// The checksum of our tarball.
    pub ours: OuterChecksum,
    /// The checksum of their tarball.
    pub theirs: OuterChecksum,
}

/// What the user should know about a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeWarning {
    /// Each of two entries lacks a fact of the other one. The local one is kept.
    EntryConflict {
        /// The entry.
        entry: EntryId,
        /// The facts that the entry of the other mirror lacks.
        lost: Vec<LostFact>,
    },
    /// These entries were not verified, because their repositories' keys are unknown.
    Unverified {
        /// The entries.
        entries: BTreeSet<EntryId>,
    },
    /// Entries and policies were left out, because another signer signed them than the one that the user's settings
    /// name.
    OtherSigner {
        /// The number of entries and policies on both sides.
        entries: usize,
    },
    /// A git repository is stored with different depths, so theirs was left out.
    DepthConflict {
        /// The repository's address.
        address: GitAddress,
    },
}

/// What a mirror received from another mirror.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MergeStatistics {
    /// The number of added releases.
    pub releases: usize,
    /// The number of added or replaced registry entries.
    pub entries: usize,
    /// The number of added or replaced policies.
    pub policies: usize,
    /// The number of added files.
    pub files: usize,
    /// The number of added revisions of git repositories.
    pub revisions: usize,
    /// The number of removed releases, because they were pruned from the other mirror.
    pub pruned: usize,
}

impl MergePlan {
    /// Returns the releases of the result.
    pub fn releases_after<'a>(&'a self, ours: &'a Manifest) -> impl Iterator<Item = &'a ReleaseId> {
        let kept = ours.releases.keys().filter(|id| !self.releases.contains_key(*id));
        let copied = self.releases.iter().filter(|(_, step)| **step == ReleaseStep::Copy);
        kept.chain(copied.map(|(id, _)| id))
    }

    /// Returns the policies of the result.
    pub fn policies_after<'a>(&'a self, ours: &'a Manifest) -> impl Iterator<Item = &'a PolicyId> {
        let kept = ours.policies.keys().filter(|id| !self.policies.contains_key(*id));
        let copied = self.policies.iter().filter(|(_, step)| **step == PolicyStep::Copy);
        kept.chain(copied.map(|(id, _)| id))
    }

    /// Returns the registry entries of the result.
    pub fn entries_after<'a>(&'a self, ours: &'a Manifest) -> impl Iterator<Item = &'a EntryId> {
        let kept = ours.entries.keys().filter(|id| !self.entries.contains_key(*id));
        let copied = self.entries.iter().filter(|(_, step)| **step == EntryStep::Copy);
        kept.chain(copied.map(|(id, _)| id))
    }
}

impl fmt::Display for MergePlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (id, step) in &self.releases {
            let step = match step {
                ReleaseStep::Copy => "copy",
                ReleaseStep::Remove => "remove",
            };
            writeln!(f, "{step} release {id}")?;
        }
        for (id, step) in &self.entries {
            let step = match step {
                EntryStep::Copy => "copy",
                EntryStep::Remove => "remove",
                EntryStep::RecordAbsent => "record absent",
            };
            writeln!(f, "{step} entry {id}")?;
        }
        for (id, step) in &self.policies {
            let step = match step {
                PolicyStep::Copy => "copy",
                PolicyStep::Remove => "remove",
            };
            writeln!(f, "{step} policy {id}")?;
        }
        for (id, step) in &self.files {
            let step = match step {
                FileStep::Copy => "copy",
                FileStep::Remove => "remove",
            };
            writeln!(f, "{step} file {id}")?;
        }
        for (address, step) in &self.repositories {
            match step {
                RepositoryStep::Copy(stored) => {
                    let revisions: Vec<String> = stored.revisions.keys().map(ToString::to_string).collect();
                    writeln!(f, "copy repository {address} with {}", revisions.join(", "))?;
                }
                RepositoryStep::Remove => writeln!(f, "remove repository {address}")?,
            }
        }
        self.signers.iter().try_for_each(|(name, signer)| writeln!(f, "record signer {name} {signer}"))?;
        self.conflicts.iter().try_for_each(|conflict| writeln!(f, "conflict: two tarballs of {}", conflict.release))?;
        self.warnings.iter().try_for_each(|warning| writeln!(f, "warning: {warning}"))
    }
}

impl fmt::Display for MergeWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let listed = |facts: &[LostFact]| facts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Self::EntryConflict { entry, lost } => write!(f, "the other entry {entry} lacks {}", listed(lost)),
            Self::Unverified { entries } => {
                let names: Vec<String> = entries.iter().map(ToString::to_string).collect();
                write!(f, "no key for {}", names.join(", "))
            }
            Self::OtherSigner { entries } => write!(f, "left out {entries} entries of another signer"),
            Self::DepthConflict { address } => write!(f, "different depths of {address}"),
        }
    }
}

impl Add for MergeStatistics {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            releases: self.releases + more.releases,
            entries: self.entries + more.entries,
            policies: self.policies + more.policies,
            files: self.files + more.files,
            revisions: self.revisions + more.revisions,
            pruned: self.pruned + more.pruned,
        }
    }
}
