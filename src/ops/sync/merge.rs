//! Merges two snapshots of the mirror: collects what the plan has to know, reports its warnings and applies it.

use super::apply::{MergeCommit, apply};
use super::merge_facts::SnapshotFacts;
use super::signers::{Signers, report_unverified};
use crate::model::count;
use crate::ops::error::listed;
use crate::ops::index::refresh::{RefreshCommit, refresh};
use crate::ops::project::hex_repositories::HexRepositories;
use crate::ops::{OpError, Project, Result};
use crate::plan::{self, MergeInput, MergePlan, MergeWarning, ReleaseConflict, Side};
use crate::progress::{Event, Progress};
use crate::store::{ObjectId, Snapshot};

/// Two mirrors to be merged.
pub(super) struct Merge<'a> {
    /// The snapshot that the result is based on.
    pub ours: &'a Snapshot,
    /// The snapshot that is merged into `ours`.
    pub theirs: &'a Snapshot,
    /// Which of the two is the local mirror. It is theirs if local contents are added on top of a remote's mirror.
    pub local: Side,
    /// The snapshots of the merge bases. Empty if unknown.
    pub bases: &'a [Snapshot],
    /// The commit to make.
    pub commit: MergeCommit,
}

/// Merges another snapshot into the branch and returns the new tip. Derived files are generated again.
///
/// # Errors
/// Fails if a registry entry of the other mirror is not signed by its repository, if both mirrors have a release with
/// different checksums and no registry entry says which one is right, and with [`crate::store::StoreError::Moved`] if
/// another process moved the branch meanwhile.
pub(super) fn merge(project: &Project, merge: &Merge<'_>, progress: &dyn Progress) -> Result<ObjectId> {
    let plan = plan_of(project, merge, progress)?;
    plan.warnings.iter().for_each(|warning| report(warning, progress));
    if let Some(ReleaseConflict { release, ours, theirs }) = plan.conflicts.first() {
        return Err(OpError::TwoTarballs { release: release.clone(), one: *ours, other: *theirs });
    }
    let commit = apply(project, &plan, [merge.ours, merge.theirs], &merge.commit)?;
    let refreshed = refresh(project, commit, RefreshCommit::Amended, progress);
    Ok(refreshed.map_or(commit, |refreshed| refreshed.commit))
}

fn plan_of(project: &Project, merge: &Merge<'_>, progress: &dyn Progress) -> Result<MergePlan> {
    let Merge { ours, theirs, local, .. } = *merge;
    let bases = merge.bases.iter().map(Snapshot::manifest).collect::<Result<Vec<_>, _>>()?;
    let input = MergeInput { ours: ours.manifest()?, theirs: theirs.manifest()?, bases: &bases, local };
    let repositories = HexRepositories::new(project, progress)?;
    let signers = &Signers::new(&repositories, Some(input.ours), Some(input.theirs), [])?;
    plan::merge(input, &SnapshotFacts { project, ours, theirs, signers, progress })
}

fn report(warning: &MergeWarning, progress: &dyn Progress) {
    let message = match warning {
        MergeWarning::Unverified { entries } => return report_unverified(entries, progress),
        MergeWarning::EntryConflict { entry, lost } => format!(
            "the registry entry of {entry} in the other mirror lacks {}, and the local one lacks something that it has; the local one is kept until `git hexmirror update --refresh` fetches the current one",
            listed(lost)
        ),
        MergeWarning::OtherSigner { entries } => format!(
            "skipped {} signed by a key other than the configured signer; run `git hexmirror update` to fetch what is missing",
            count(*entries, "registry entry", "registry entries")
        ),
        MergeWarning::DepthConflict { address } => format!(
            "the other mirror has {address} with another depth, so only the local packs are kept; run `git hexmirror update` to fetch what a lock needs"
        ),
    };
    progress.report(Event::Warning { message });
}
