//! What locks pin, in short. It is remembered for large locks, so that `run` and `serve` need not parse them.

use std::collections::BTreeMap;
use std::fs;

use sha2::{Digest, Sha256};

use super::lock_file::LockFile;
use crate::model::{PackageName, RepositoryName, hex_digits};
use crate::ops::{Project, Result, own_file};
use crate::plan::Wanted;

/// The name of the file beside the repository. It has one line: the digest of the locks, `git` or `-`, and `REPOSITORY/PACKAGE`
/// for each repository.
const FILE: &str = "lock-summary";
/// The number of entries from which on the summary is remembered. Parsing fewer costs less than writing the file.
const MANY: usize = 500;

/// What valid locks pin, in short.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::ops) struct LockSummary {
    /// The Hex repositories of the pinned releases, with one pinned package of each.
    pub repositories: BTreeMap<RepositoryName, PackageName>,
    /// Whether the locks pin git dependencies, which may be of a kind that cannot be mirrored.
    pub has_git: bool,
}

impl Project {
    /// Returns the summary of locks. Parses them unless it is remembered.
    ///
    /// # Errors
    /// Fails if a lock is invalid, or if two locks disagree.
    pub(in crate::ops) fn lock_summary(&self, locks: &[LockFile]) -> Result<LockSummary> {
        let key = key(locks);
        let saved = fs::read_to_string(self.repository.own_dir().join(FILE)).unwrap_or_default();
        if let Some(known) = saved.strip_prefix(&key).and_then(LockSummary::parse) {
            return Ok(known);
        }
        let wanted = self.wanted(locks)?;
        let summary = LockSummary::of(&wanted);
        // The locks of a monorepo pin much the same releases.
        if wanted.releases.len() * locks.len() >= MANY {
            own_file::write(&self.repository, FILE, &format!("{key}{}", summary.text()));
        }
        Ok(summary)
    }
}

impl LockSummary {
    fn of(wanted: &Wanted) -> Self {
        let pinned = wanted.releases.keys().rev();
        let repositories = pinned.map(|release| (release.repository.clone(), release.package.clone())).collect();
        Self { repositories, has_git: !wanted.git.is_empty() || !wanted.unmirrored.is_empty() }
    }

    fn text(&self) -> String {
        let entries: String = self.repositories.iter().map(|(name, package)| format!(" {name}/{package}")).collect();
        format!(" {}{entries}\n", if self.has_git { "git" } else { "-" })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.strip_suffix('\n')?.strip_prefix(' ')?.split(' ');
        let has_git = match words.next()? {
            "git" => true,
            "-" => false,
            _ => return None,
        };
        let entry = |word: &str| {
            let (name, package) = word.split_once('/')?;
            Some((name.parse().ok()?, package.parse().ok()?))
        };
        Some(Self { has_git, repositories: words.map(entry).collect::<Option<_>>()? })
    }
}

/// Returns the digest of everything that a summary depends on.
fn key(locks: &[LockFile]) -> String {
    let mut digest = Sha256::new_with_prefix(concat!(env!("CARGO_PKG_VERSION"), "\0"));
    for lock in locks {
        digest.update((lock.file.len() as u64).to_le_bytes());
        digest.update(&lock.file);
        digest.update(lock.blob.as_bytes());
    }
    hex_digits(&digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_back_and_anything_else_is_ignored() {
        for (has_git, names) in [(true, &[("hexpm", "a"), ("hexpm:acme", "b")][..]), (false, &[]), (true, &[])] {
            let parsed = |(name, package): &(&str, &str)| (name.parse().unwrap(), package.parse().unwrap());
            let repositories = names.iter().map(parsed).collect();
            let summary = LockSummary { repositories, has_git };
            assert_eq!(LockSummary::parse(&summary.text()), Some(summary));
        }
        for text in ["", "\n", " -", "-\n", " x\n", " - ../x\n", " -  \n", " - hexpm\n", " - hexpm/\n"] {
            assert_eq!(LockSummary::parse(text), None, "{text:?}");
        }
    }
}
