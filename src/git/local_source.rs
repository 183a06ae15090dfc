//! Gives access to the objects of git repositories on this machine, to fetch from them as from a server.
//!
//! Git refuses to fetch from many such repositories directly: their owner is another user, or `refs`, an empty folder, was lost
//! when someone committed the repository's files. And it would obey their configuration. So this program makes an empty
//! repository that borrows their objects and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use super::scratch::{lines, make_bare, write};
use super::{Git, GitError, Result};
use crate::model::Revision;

/// The largest `shallow` file that is read, in bytes.
const MAX_SHALLOW: u64 = 4 << 20;
/// Commits may be requested by their ids, whatever refs there are.
const SERVING: &str = "[uploadpack]\n\tallowAnySHA1InWant = true\n\tallowFilter = false\n";

/// A repository that borrows the objects of others.
#[derive(Debug)]
pub struct LocalSource {
    folder: PathBuf,
    /// The commits whose parents none of the repositories has.
    shallow: BTreeSet<Revision>,
}

/// Which revisions the repositories have.
#[derive(Debug, Default)]
pub struct Available {
    /// Those that can be fetched.
    pub complete: BTreeSet<Revision>,
    /// Those of whose ancestry a part is missing, because the repositories are shallow.
    pub cut_off: BTreeSet<Revision>,
}

impl LocalSource {
    /// Creates the repository in a folder that does not exist yet. `repositories` are bare repositories, or the `.git` folders
    /// of clones.
    ///
    /// # Errors
    /// Fails if the folder cannot be written.
    pub fn make(git: &Git, folder: &Path, repositories: &[PathBuf]) -> Result<Self> {
        make_bare(folder)?;
        let config = folder.join("config");
        let text = fs::read_to_string(&config).map_err(GitError::io("read", &config))?;
        write(&config, &format!("{text}{SERVING}"))?;
        // A path with a line break cannot be written there.
        let objects = repositories.iter().map(|repository| repository.join("objects"));
        let alternates: Vec<String> = objects.filter_map(|path| path.to_str().map(str::to_owned)).collect();
        let alternates = alternates.iter().filter(|path| !path.contains('\n')).map(|path| format!("{path}\n"));
        write(&folder.join("objects/info/alternates"), &alternates.collect::<String>())?;
        let mut source = Self { folder: folder.to_owned(), shallow: BTreeSet::new() };
        source.shallow = source.cut_off(git, &repositories.iter().flat_map(|path| shallow(path)).collect())?;
        if !source.shallow.is_empty() {
            write(&folder.join("shallow"), &lines(source.shallow.iter()))?;
        }
        Ok(source)
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns which of the revisions can be fetched with the given depth, or with their complete ancestry.
    ///
    /// # Errors
    /// Fails if git cannot be run.
    pub fn available(&self, git: &Git, wanted: &BTreeMap<Revision, Option<NonZeroU32>>) -> Result<Available> {
        let complete = self.present(git, &wanted.keys().copied().collect())?;
        let mut available = Available { complete, cut_off: BTreeSet::new() };
        if self.shallow.is_empty() {
            return Ok(available);
        }
        for (revision, _) in wanted.iter().filter(|(_, depth)| depth.is_none()) {
            let ancestry = ["rev-list", "--end-of-options", &revision.to_string()];
            if available.complete.contains(revision) {
                let listed = git.run_in(&self.folder, ancestry).output("list the ancestry of a commit")?;
                let listed = String::from_utf8_lossy(&listed);
                if listed.lines().filter_map(|line| line.parse().ok()).any(|id: Revision| self.shallow.contains(&id)) {
                    available.complete.remove(revision);
                    available.cut_off.insert(*revision);
                }
            }
        }
        Ok(available)
    }

    /// Returns those of the revisions that are commits of one of the repositories.
    fn present(&self, git: &Git, revisions: &BTreeSet<Revision>) -> Result<BTreeSet<Revision>> {
        let input = lines(revisions.iter()).into_bytes();
        let run = git.run_in(&self.folder, ["cat-file", "--batch-check=%(objecttype)"]).input(input);
        let kinds = run.output("look for commits")?;
        let kinds = String::from_utf8_lossy(&kinds);
        Ok(revisions.iter().zip(kinds.lines()).filter(|(_, kind)| *kind == "commit").map(|(id, _)| *id).collect())
    }

    /// Returns those of the commits of which a parent is missing. What is cut off in one repository may be complete in
    /// another.
    fn cut_off(&self, git: &Git, commits: &BTreeSet<Revision>) -> Result<BTreeSet<Revision>> {
        if commits.is_empty() {
            return Ok(BTreeSet::new());
        }
        let present: Vec<Revision> = self.present(git, commits)?.into_iter().collect();
        let names: Vec<String> = present.iter().map(ToString::to_string).collect();
        let printed = git.objects(std::slice::from_ref(&self.folder), &names)?;
        let parents: Vec<BTreeSet<Revision>> = printed.iter().map(|commit| parents(&commit.bytes)).collect();
        let found = self.present(git, &parents.iter().flatten().copied().collect())?;
        let is_cut = |(_, parents): &(&Revision, &BTreeSet<Revision>)| !parents.is_subset(&found);
        Ok(present.iter().zip(&parents).filter(is_cut).map(|(commit, _)| *commit).collect())
    }
}

/// Reads which commits a repository has without their parents.
fn shallow(repository: &Path) -> Vec<Revision> {
    let mut text = String::new();
    let read = File::open(repository.join("shallow")).and_then(|file| file.take(MAX_SHALLOW).read_to_string(&mut text));
    // Without this file, the ancestry merely seems to be incomplete.
    if read.is_err() {
        return Vec::new();
    }
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

/// Returns the parents in the header of a commit.
fn parents(commit: &[u8]) -> BTreeSet<Revision> {
    let text = String::from_utf8_lossy(commit);
    let header = text.lines().take_while(|line| !line.is_empty());
    header.filter_map(|line| line.strip_prefix("parent ")?.parse().ok()).collect()
}
