//! Composes the commit message of an update.

use std::collections::BTreeMap;
use std::fmt::Write;

use sha2::{Digest, Sha256};

use super::fetching::Fetched;
use crate::model::{Fingerprint, ReleaseId, RepositoryName, count};
use crate::ops::project::LockFile;
use crate::ops::{Added, AddedGit, Project, Result};
use crate::store::layout::FORMAT;

/// The maximum number of releases that a commit's subject names.
const MAX_NAMED: usize = 3;

/// The changes that an update made.
#[derive(Clone, Copy)]
pub(in crate::ops) struct Changes<'a> {
    pub added: &'a [Added],
    pub added_git: &'a [AddedGit],
    pub fetched: &'a Fetched,
    /// The signers that are newly recorded or replaced.
    pub signers: &'a BTreeMap<RepositoryName, Fingerprint>,
    /// Whether the mirror had an older format.
    pub migrated: bool,
}

impl Changes<'_> {
    /// Composes the commit message: a subject suitable for a changelog, the details, and the locks that caused the
    /// update.
    ///
    /// # Errors
    /// Fails if a lock cannot be read.
    pub fn message(&self, project: &Project, locks: &[LockFile]) -> Result<String> {
        let Self { added, added_git, fetched, signers, migrated } = *self;
        let is_only_migrated =
            added.is_empty() && added_git.is_empty() && fetched.git.is_empty() && fetched.entries == 0;
        let migration = format!("Migrate the mirror to format {FORMAT}");
        let mut message =
            if migrated && is_only_migrated { migration.clone() } else { subject(added, added_git, fetched) };
        message += "\n\n";
        if migrated && !is_only_migrated {
            let _ = writeln!(message, "{migration}\n");
        }
        for (repository, fingerprint) in signers {
            let _ = writeln!(message, "Signer of {repository}: {fingerprint}");
        }
        if !signers.is_empty() {
            message.push('\n');
        }
        for change in added.iter().map(change).chain(added_git.iter().map(git_change)) {
            let _ = writeln!(message, "{change}");
        }
        if !(added.is_empty() && added_git.is_empty()) {
            message.push('\n');
        }
        if fetched.failed.is_some() {
            message += "Incomplete: some of what the locks pin could not be fetched\n\n";
        }
        for lock in locks {
            let file = &lock.file;
            let digest = Sha256::digest(lock.bytes(&project.repository)?)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<String>();
            let _ = writeln!(message, "Lock: {file} sha256:{digest}");
        }
        if let Some(head) = project.repository.head() {
            let _ = writeln!(message, "Project-Commit: {head}");
        }
        Ok(message)
    }
}

/// Formats a change as `phoenix 1.6.0 → 1.6.1`, or as `phoenix 1.6.1` if the package is new.
fn change(release: &Added) -> String {
    match &release.replaced {
        Some(version) if *version != release.id.version => {
            let shown = ReleaseId { version: version.clone(), ..release.id.clone() };
            format!("{shown} → {}", release.id.version)
        }
        _ => release.id.to_string(),
    }
}

/// Formats a change as `github.com/a/b 0123456789 → abcdef0123`.
fn git_change(added: &AddedGit) -> String {
    let replaced = added.replaced.map_or_else(String::new, |replaced| format!("{} → ", replaced.short()));
    format!("{} {replaced}{}", added.address, added.revision.short())
}

fn subject(added: &[Added], added_git: &[AddedGit], fetched: &Fetched) -> String {
    let changes: Vec<String> = added.iter().map(change).chain(added_git.iter().map(git_change)).collect();
    if changes.is_empty() && !fetched.git.is_empty() {
        return format!("Rename in {}", count(fetched.git.len(), "git repository", "git repositories"));
    }
    if changes.is_empty() && fetched.entries == 0 {
        return "Record the signers of the registry entries".into();
    }
    if changes.is_empty() {
        return format!("Refresh {}", count(fetched.entries, "registry entry", "registry entries"));
    }
    let new =
        added.iter().all(|release| release.replaced.is_none()) && added_git.iter().all(|git| git.replaced.is_none());
    let verb = if new { "Add" } else { "Update" };
    let more = if changes.len() > MAX_NAMED { ", …" } else { "" };
    let mut counts = Vec::new();
    if !added.is_empty() {
        counts.push(count(added.len(), "package", "packages"));
    }
    if !added_git.is_empty() {
        counts.push(count(added_git.len(), "git revision", "git revisions"));
    }
    format!("{verb} {}: {}{more}", counts.join(" and "), changes[..changes.len().min(MAX_NAMED)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{InnerChecksum, OuterChecksum, ReleaseId, Storage, StoredRelease};

    fn release(package: &str, version: &str, replaced: Option<&str>) -> Added {
        let (outer, inner) = (OuterChecksum::from_bytes([0; 32]), InnerChecksum::from_bytes([0; 32]));
        Added {
            id: ReleaseId {
                repository: RepositoryName::hexpm(),
                package: package.parse().unwrap(),
                version: version.parse().unwrap(),
            },
            stored: StoredRelease { outer, inner, storage: Storage::Unpacked, bytes: 1 },
            fallback: None,
            replaced: replaced.map(|version| version.parse().unwrap()),
        }
    }

    #[test]
    fn subjects_read_as_a_changelog() {
        let (new, moved) = (release("plug", "1.0.0", None), release("jason", "1.3.0", Some("1.2.2")));
        let none = Fetched { entries: 3, ..Fetched::default() };
        let subject_of = subject;
        let subject = |added: &[Added], git: &[AddedGit]| subject_of(added, git, &none);
        assert_eq!(subject(std::slice::from_ref(&new), &[]), "Add 1 package: plug 1.0.0");
        assert_eq!(subject(&[moved.clone(), new.clone()], &[]), "Update 2 packages: jason 1.2.2 → 1.3.0, plug 1.0.0");
        let many = vec![new.clone(), new.clone(), new.clone(), new.clone()];
        assert_eq!(subject(&many, &[]), "Add 4 packages: plug 1.0.0, plug 1.0.0, plug 1.0.0, …");
        assert_eq!(subject(&[], &[]), "Refresh 3 registry entries");
        let [one, two] = ["1", "2"].map(|digit| digit.repeat(40).parse().unwrap());
        let git = AddedGit { address: "h/a".parse().unwrap(), revision: two, replaced: Some(one) };
        let both = subject(&[new], std::slice::from_ref(&git));
        assert_eq!(both, "Update 1 package and 1 git revision: plug 1.0.0, h/a 1111111111 → 2222222222");
    }
}
