//! Carries out the plan of a merge as one commit.

use std::fmt::Write;

use crate::model::count;
use crate::ops::today::today;
use crate::ops::{Project, Result};
use crate::plan::{
    EntryStep, FileStep, MergePlan, PolicyStep, ReleaseStep, RepositoryStep, better_indexes, merged_day,
};
use crate::store::{ObjectId, REPLACES, Snapshot, Transaction};

/// The commit of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MergeCommit {
    /// How the commit relates to the other mirror's history.
    pub kind: CommitKind,
    /// The branch's tip, if the commit replaces it instead of building on it.
    pub replaced: Option<ObjectId>,
    /// The beginning of the commit message, such as `Merge the mirror of origin`.
    pub title: String,
}

/// How the commit of a merge relates to the history of the mirror that was merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CommitKind {
    /// The other mirror's tip becomes a second parent.
    Merge,
    /// The commit has one parent and declares that it replaces the other mirror's history, so that a later comparison
    /// finds that nothing is missing.
    Replacement,
    /// The commit has one parent.
    Ordinary,
}

/// Applies a plan on top of `ours` and publishes it. Returns the branch's new tip.
///
/// # Errors
/// Fails if `theirs` is damaged, if the repository cannot be written, or with [`crate::store::StoreError::Moved`] if
/// another process moved the branch meanwhile.
pub(super) fn apply(
    project: &Project,
    plan: &MergePlan,
    [ours, theirs]: [&Snapshot; 2],
    commit: &MergeCommit,
) -> Result<ObjectId> {
    let mut transaction = Transaction::begin(&project.repository, &project.branch, Some(ours))?;
    match commit.kind {
        CommitKind::Merge => transaction.merge(theirs),
        CommitKind::Replacement => transaction.allow_empty(),
        CommitKind::Ordinary => {}
    }
    if let Some(replaced) = commit.replaced {
        transaction.replace(replaced);
    }
    transaction.record_refresh(merged_day(ours.refreshed(), theirs.refreshed(), today()));
    apply_steps(plan, theirs, &mut transaction)?;
    for repository in better_indexes([ours.manifest()?, theirs.manifest()?], transaction.manifest()?) {
        transaction.copy_index(theirs, &repository)?;
    }
    let mut message = message(&commit.title, plan);
    if commit.kind == CommitKind::Replacement {
        let _ = writeln!(message, "\n{REPLACES}{}", theirs.commit());
    }
    Ok(transaction.publish(&message)?.commit)
}

fn apply_steps(plan: &MergePlan, theirs: &Snapshot, transaction: &mut Transaction<'_>) -> Result<()> {
    for (id, step) in &plan.releases {
        match step {
            ReleaseStep::Copy => transaction.copy_release(theirs, id)?,
            ReleaseStep::Remove => transaction.remove_release(id)?,
        }
    }
    for (id, step) in &plan.entries {
        match step {
            EntryStep::Copy => {
                if let Some(signed) = theirs.entry(id)? {
                    transaction.put_entry(id.clone(), &signed)?;
                }
            }
            EntryStep::Remove => transaction.remove_entry(id)?,
            EntryStep::RecordAbsent => {
                transaction.remove_entry(id)?;
                transaction.record_absent(id.clone())?;
            }
        }
    }
    for (id, step) in &plan.policies {
        match step {
            PolicyStep::Copy => {
                if let Some(signed) = theirs.policy(id)? {
                    transaction.put_policy(id.clone(), &signed)?;
                }
            }
            PolicyStep::Remove => transaction.remove_policy(id),
        }
    }
    for (id, step) in &plan.files {
        match step {
            FileStep::Copy => transaction.copy_file(theirs, id)?,
            FileStep::Remove => transaction.remove_file(id),
        }
    }
    for (address, step) in &plan.repositories {
        match step {
            RepositoryStep::Copy(stored) => transaction.copy_git(theirs, address, stored.clone())?,
            RepositoryStep::Remove => transaction.remove_git(address),
        }
    }
    plan.signers.iter().for_each(|(repository, signer)| transaction.record_signer(repository.clone(), *signer));
    Ok(())
}

fn message(title: &str, plan: &MergePlan) -> String {
    let statistics = &plan.statistics;
    let parts = [
        (statistics.releases, count(statistics.releases, "package", "packages")),
        (statistics.entries, count(statistics.entries, "registry entry", "registry entries")),
        (statistics.policies, count(statistics.policies, "policy", "policies")),
        (statistics.files, count(statistics.files, "file", "files")),
        (statistics.revisions, count(statistics.revisions, "git revision", "git revisions")),
        (statistics.pruned, format!("{} dropped", count(statistics.pruned, "package", "packages"))),
    ];
    let parts: Vec<String> = parts.into_iter().filter(|(number, _)| *number > 0).map(|(_, text)| text).collect();
    let what = if parts.is_empty() { "nothing new".to_owned() } else { parts.join(", ") };
    let mut message = format!("{title}: {what}\n\n");
    for (id, step) in &plan.releases {
        let without = if *step == ReleaseStep::Remove { "without " } else { "" };
        let _ = writeln!(message, "{without}{id}");
    }
    message
}
