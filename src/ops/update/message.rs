//! Composes the commit message of an update.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::fetching::Fetched;
use crate::model::{Fingerprint, ReleaseId, RepositoryName, count, hex_digits};
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
        let signers = self.signers.iter().map(|(repository, signer)| format!("Signer of {repository}: {signer}"));
        let incomplete = "Incomplete: some of what the locks pin could not be fetched".to_owned();
        let mut trailers = Vec::new();
        for lock in locks {
            let digest = Sha256::digest(lock.bytes(&project.repository)?);
            trailers.push(format!("Lock: {} sha256:{}", lock.file, hex_digits(&digest)));
        }
        trailers.extend(project.repository.head().map(|head| format!("Project-Commit: {head}")));
        let subject = self.subject();
        let migration = Some(migration()).filter(|migration| self.migrated && *migration != subject);
        let paragraphs = [
            vec![subject],
            migration.into_iter().collect(),
            signers.collect(),
            self.lines(),
            self.fetched.failed.iter().map(|_| incomplete.clone()).collect(),
            trailers,
        ];
        let paragraphs = paragraphs.iter().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n"));
        Ok(paragraphs.collect::<Vec<_>>().join("\n\n") + "\n")
    }

    /// Names the most important kind of change.
    fn subject(&self) -> String {
        let Self { added, added_git, fetched, migrated, .. } = *self;
        let lines = self.lines();
        if !lines.is_empty() {
            contents_subject(added, added_git, &lines)
        } else if !fetched.git.is_empty() {
            format!("Rename in {}", count(fetched.git.len(), "git repository", "git repositories"))
        } else if fetched.entries > 0 {
            format!("Refresh {}", count(fetched.entries, "registry entry", "registry entries"))
        } else if migrated {
            migration()
        } else {
            "Record the signers of the registry entries".into()
        }
    }

    /// Returns one line per added release or git revision.
    fn lines(&self) -> Vec<String> {
        self.added.iter().map(change).chain(self.added_git.iter().map(git_change)).collect()
    }
}

fn migration() -> String {
    format!("Migrate the mirror to format {FORMAT}")
}

fn contents_subject(added: &[Added], added_git: &[AddedGit], lines: &[String]) -> String {
    let new =
        added.iter().all(|release| release.replaced.is_none()) && added_git.iter().all(|git| git.replaced.is_none());
    let verb = if new { "Add" } else { "Update" };
    let more = if lines.len() > MAX_NAMED { ", …" } else { "" };
    let packages = (!added.is_empty()).then(|| count(added.len(), "package", "packages"));
    let revisions = (!added_git.is_empty()).then(|| count(added_git.len(), "git revision", "git revisions"));
    let counts: Vec<_> = packages.into_iter().chain(revisions).collect();
    format!("{verb} {}: {}{more}", counts.join(" and "), lines[..lines.len().min(MAX_NAMED)].join(", "))
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
        let fetched = Fetched { entries: 3, ..Fetched::default() };
        let signers = BTreeMap::new();
        let subject = |added: &[Added], added_git: &[AddedGit]| {
            Changes { added, added_git, fetched: &fetched, signers: &signers, migrated: true }.subject()
        };
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

    #[test]
    fn an_update_without_contents_is_named_after_what_it_did() {
        let (fetched, signers) = (Fetched::default(), BTreeMap::new());
        for (migrated, subject) in
            [(true, migration()), (false, "Record the signers of the registry entries".to_owned())]
        {
            let changes = Changes { added: &[], added_git: &[], fetched: &fetched, signers: &signers, migrated };
            assert_eq!(changes.subject(), subject);
        }
    }
}
