//! Composes the commit message of an update.

use sha2::{Digest, Sha256};

use super::added::{Added, AddedGit};
use super::outcome::Update;
use crate::model::{ReleaseId, count, hex_digits};
use crate::ops::log::PROJECT_COMMIT;
use crate::ops::project::LockFile;
use crate::ops::{Project, Result};
use crate::store::layout::FORMAT;

/// The maximum number of releases that a commit's subject names.
const MAX_NAMED: usize = 3;

/// Composes the commit message of an update: a subject suitable for a changelog, the details, and the locks that caused
/// the update.
///
/// # Errors
/// Fails if a lock cannot be read.
pub(in crate::ops) fn message(update: &Update, project: &Project, locks: &[LockFile]) -> Result<String> {
    let subject = subject(update);
    let migration = Some(migration()).filter(|migration| update.migrated && *migration != subject);
    let signers = update.signers.iter().map(|(repository, signer)| format!("Signer of {repository}: {signer}"));
    let policies = update.policies.iter().map(|policy| format!("Policy {policy}"));
    let files = update.files.iter().map(|file| format!("File {} ({})", file.address, file.trust.describe()));
    let policies = policies.chain(files);
    let superseded = update.superseded_indexes.iter();
    let superseded = superseded.map(|repository| format!("Remove the imported index of {repository}"));
    let incomplete = "Incomplete: some of what the locks pin could not be fetched".to_owned();
    Ok(paragraphs(&[
        vec![subject],
        migration.into_iter().collect(),
        signers.chain(superseded).collect(),
        changes(&update.added, &update.added_git),
        policies.collect(),
        Vec::from_iter(update.failed.is_some().then_some(incomplete)),
        trailers(project, locks)?,
    ]))
}

/// Joins the lines of paragraphs.
pub(in crate::ops) fn paragraphs(paragraphs: &[Vec<String>]) -> String {
    let paragraphs = paragraphs.iter().filter(|lines| !lines.is_empty()).map(|lines| lines.join("\n"));
    paragraphs.collect::<Vec<_>>().join("\n\n") + "\n"
}

/// Returns one line per lock, and one for the project's commit.
///
/// # Errors
/// Fails if a lock cannot be read.
pub(in crate::ops) fn trailers(project: &Project, locks: &[LockFile]) -> Result<Vec<String>> {
    let mut trailers = Vec::new();
    for lock in locks {
        let digest = Sha256::digest(lock.bytes(&project.repository)?);
        trailers.push(format!("Lock: {} sha256:{}", lock.file, hex_digits(&digest)));
    }
    trailers.extend(project.repository.head()?.map(|head| format!("{PROJECT_COMMIT}{head}")));
    Ok(trailers)
}

/// Names the most important kind of change.
fn subject(update: &Update) -> String {
    let Update { added, added_git, .. } = update;
    let is_new =
        added.iter().all(|release| release.replaced.is_none()) && added_git.iter().all(|git| git.replaced.is_none());
    let verb = if is_new { "Add" } else { "Update" };
    if let (Some(subject), _) = contents_subject(verb, added, added_git) {
        subject
    } else if update.repositories > 0 {
        format!("Change refs in {}", count(update.repositories, "git repository", "git repositories"))
    } else if update.changed_entries > 0 {
        format!("Refresh {}", count(update.changed_entries, "registry entry", "registry entries"))
    } else if let Some(first) = update.policies.first() {
        let more = if update.policies.len() > 1 { ", …" } else { "" };
        format!("Fetch {}: {first}{more}", count(update.policies.len(), "policy", "policies"))
    } else if let Some(first) = update.files.first() {
        let more = if update.files.len() > 1 { ", …" } else { "" };
        format!("Add {}: {}{more}", count(update.files.len(), "file", "files"), first.id.path.name())
    } else if update.migrated {
        migration()
    } else if update.entries > 0 && update.signers.is_empty() {
        "Record a refresh that changed no registry entry".into()
    } else {
        "Record the signers of the registry entries".into()
    }
}

fn migration() -> String {
    format!("Migrate the mirror to format {FORMAT}")
}

/// Names what was added, if anything was. Returns also one line per added release or git revision.
pub(in crate::ops) fn contents_subject(
    verb: &str,
    added: &[Added],
    added_git: &[AddedGit],
) -> (Option<String>, Vec<String>) {
    let changes = changes(added, added_git);
    let more = if changes.len() > MAX_NAMED { ", …" } else { "" };
    let packages = (!added.is_empty()).then(|| count(added.len(), "package", "packages"));
    let revisions = (!added_git.is_empty()).then(|| count(added_git.len(), "git revision", "git revisions"));
    let counts: Vec<_> = packages.into_iter().chain(revisions).collect();
    let named = changes[..changes.len().min(MAX_NAMED)].join(", ");
    let subject = (!counts.is_empty()).then(|| format!("{verb} {}: {named}{more}", counts.join(" and ")));
    (subject, changes)
}

/// Returns one line per added release or git revision.
fn changes(added: &[Added], added_git: &[AddedGit]) -> Vec<String> {
    added.iter().map(change).chain(added_git.iter().map(git_change)).collect()
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
    use crate::model::{InnerChecksum, OuterChecksum, RepositoryName, Storage, StoredRelease};
    use crate::ops::status::{Status, Summary};

    fn unchanged() -> Update {
        let summary = Summary::default();
        let (comparison, extra) = (None, None);
        Update::unchanged(Status {
            locks: Vec::new(),
            remote: None,
            commit: None,
            digest: None,
            summary,
            comparison,
            extra,
        })
    }

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
        let subject = |added: &[Added], added_git: &[AddedGit]| {
            let (added, added_git) = (added.to_vec(), added_git.to_vec());
            subject(&Update { added, added_git, entries: 4, changed_entries: 3, migrated: true, ..unchanged() })
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
        assert_eq!(subject(&Update { migrated: true, ..unchanged() }), migration());
        assert_eq!(subject(&Update { entries: 2, ..unchanged() }), "Record a refresh that changed no registry entry");
        assert_eq!(subject(&unchanged()), "Record the signers of the registry entries");
        assert_eq!(
            subject(&Update { repositories: 2, entries: 1, changed_entries: 1, ..unchanged() }),
            "Change refs in 2 git repositories"
        );
    }
}
