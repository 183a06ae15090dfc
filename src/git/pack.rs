//! Packs the wanted revisions of a scratch repository for the mirror: all objects that they need and no others,
//! verified to be complete.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{fs, io};

use super::error_message::is_finding;
use super::scratch::{Scratch, link, link_packs, make_bare, write};
use super::{GitError, Result};
use crate::model::Revision;

/// The maximum number of packs that an update leaves in a repository. Merging two mirrors can exceed it until the next
/// update.
///
/// Every update with new objects adds a pack. Each pack slows down object lookups by another index, and costs clients
/// of the dumb protocol another download, so packs must not become many. Merging packs writes their content again, and
/// the branch's history keeps the old packs, so it must not happen often. When the limit is exceeded, packs are merged
/// if together they are less than half as large as the next larger one. Over time, a byte is written again about once
/// each time its repository doubles in size.
pub const MAX_PACKS: usize = 10;

/// A pack and its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPack {
    /// The id in the pack's file name.
    pub name: Revision,
    /// The path of the pack.
    pub pack: PathBuf,
    /// The path of the index.
    pub index: PathBuf,
    /// The pack's size in bytes.
    pub bytes: u64,
}

/// The packs and shallow commits that the mirror is to store for a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The existing packs that stay.
    pub kept: BTreeSet<Revision>,
    /// The pack with the objects that `kept` lacks, or `None` if it lacks none.
    pub new: Option<NewPack>,
    /// The shallow commits.
    pub shallow: BTreeSet<Revision>,
}

impl Scratch<'_> {
    /// Packs the objects that `wanted` needs and that are not in `packs`, the packs of the mirror, and verifies that
    /// all packs together are complete. The bytes of the pack are not reproducible, because they depend on git's
    /// version and on what the server sent. The set of objects only depends on the sequence of wanted revisions.
    ///
    /// # Errors
    /// Fails if an object is missing.
    pub fn pack(&self, wanted: &BTreeSet<Revision>, packs: &BTreeMap<Revision, u64>) -> Result<Packed> {
        self.or_forget(self.packed(wanted, packs))
    }

    fn packed(&self, wanted: &BTreeSet<Revision>, packs: &BTreeMap<Revision, u64>) -> Result<Packed> {
        let mut packed = Packed { kept: kept(packs, MAX_PACKS), ..Packed::default() };
        let folder = self.folder.join("new");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).map_err(GitError::io("create", &folder))?;
        let switches = ["pack-objects", "--revs", "--quiet", "--delta-base-offset", "--non-empty"];
        let mut arguments: Vec<String> = switches.map(str::to_owned).to_vec();
        arguments.extend(packed.kept.iter().map(|name| format!("--keep-pack=pack-{name}.pack")));
        // Relative to the scratch repository, where git runs.
        arguments.push("new/pack".to_owned());
        let run = self.run_with(arguments, &revision_lines(wanted));
        let output = run.output("pack a repository").map_err(|error| self.incomplete(error))?;
        let name = String::from_utf8_lossy(&output);
        if let Ok(name) = name.trim().parse::<Revision>() {
            let path = |extension: &str| folder.join(format!("pack-{name}.{extension}"));
            let pack = path("pack");
            let bytes = fs::metadata(&pack).map_err(GitError::io("read", &pack))?.len();
            // The new pack may equal an existing one.
            if packs.contains_key(&name) {
                packed.kept.insert(name);
            } else {
                packed.new = Some(NewPack { name, pack, index: path("idx"), bytes });
            }
        }
        packed.shallow = self.shallow(wanted)?;
        self.prove(wanted, &packed)?;
        Ok(packed)
    }

    /// Returns the shallow commits reachable from the wanted revisions.
    fn shallow(&self, wanted: &BTreeSet<Revision>) -> Result<BTreeSet<Revision>> {
        let path = self.folder.join("shallow");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            text => text.map_err(GitError::io("read", &path))?,
        };
        let shallow: BTreeSet<Revision> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if shallow.is_empty() {
            return Ok(shallow);
        }
        let run = self.run_with(["rev-list", "--stdin"], &revision_lines(wanted));
        let output = run.output("list the history of a revision").map_err(|error| self.incomplete(error))?;
        let commits = String::from_utf8_lossy(&output);
        Ok(commits.lines().filter_map(|line| line.parse().ok()).filter(|commit| shallow.contains(commit)).collect())
    }

    /// Verifies that the packs contain every object that the revisions need, without using the scratch repository.
    fn prove(&self, wanted: &BTreeSet<Revision>, packed: &Packed) -> Result<()> {
        let folder = self.folder.join("proof");
        let _ = fs::remove_dir_all(&folder);
        make_bare(&folder)?;
        link_packs(&self.folder, packed.kept.iter(), &folder)?;
        if let Some(NewPack { pack, index, .. }) = &packed.new {
            for file in [pack, index] {
                link(file, &folder.join("objects/pack").join(file.file_name().unwrap_or_default()))?;
            }
        }
        for revision in wanted {
            write(&folder.join("refs/hexmirror").join(revision.to_string()), &format!("{revision}\n"))?;
        }
        if !packed.shallow.is_empty() {
            write(&folder.join("shallow"), &super::scratch::lines(packed.shallow.iter()))?;
        }
        let arguments = ["fsck", "--connectivity-only", "--no-dangling", "--no-progress"];
        let proven = self.run_in(&folder, arguments, &[]).output("check a repository");
        proven.map(drop).map_err(|error| self.incomplete(error))
    }

    fn incomplete(&self, error: GitError) -> GitError {
        match error {
            GitError::Failed { message, .. } if is_finding(&message) => {
                GitError::Incomplete { address: self.address.clone(), message }
            }
            error => error,
        }
    }
}

fn revision_lines(revisions: &BTreeSet<Revision>) -> Vec<u8> {
    super::scratch::lines(revisions.iter()).into_bytes()
}

/// Returns the packs that stay when another one is added, so that there are at most `limit` of them.
pub(super) fn kept(packs: &BTreeMap<Revision, u64>, limit: usize) -> BTreeSet<Revision> {
    let mut by_size: Vec<(u64, Revision)> = packs.iter().map(|(name, bytes)| (*bytes, *name)).collect();
    by_size.sort_unstable();
    let mut merged = 0;
    if packs.len() >= limit {
        let mut sum = 0;
        for (index, (bytes, _)) in by_size.iter().enumerate() {
            if sum > bytes / 2 {
                merged = index + 1;
            }
            sum += bytes;
        }
        merged = merged.max(packs.len() + 2 - limit);
    }
    by_size.into_iter().skip(merged).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packs(sizes: &[u64]) -> BTreeMap<Revision, u64> {
        let name = |number: usize| format!("{number:040x}").parse().unwrap();
        sizes.iter().enumerate().map(|(number, bytes)| (name(number), *bytes)).collect()
    }

    fn kept_sizes(sizes: &[u64]) -> Vec<u64> {
        let packs = packs(sizes);
        kept(&packs, MAX_PACKS).iter().map(|name| packs[name]).collect()
    }

    #[test]
    fn the_number_of_packs_is_bounded() {
        assert_eq!(kept_sizes(&[1; 9]), [1; 9]);
        assert_eq!(kept_sizes(&[1; 10]), [0; 0]);
        let small_on_large = [1_000_000, 2, 1, 3, 1, 2, 2, 1, 1, 2];
        assert_eq!(kept_sizes(&small_on_large), [1_000_000]);
        let growing: Vec<u64> = (0..10).map(|power| 4_u64.pow(power)).collect();
        assert_eq!(kept_sizes(&growing).len(), 8, "two are merged at least");
        // For example the union of two mirrors.
        let growing: Vec<u64> = (0..25).map(|power| 4_u64.pow(power)).collect();
        assert_eq!(kept_sizes(&growing), growing[17..]);
    }

    #[test]
    fn many_updates_rewrite_little_data() {
        // A repository of 10 MB that grows by 3 KB in each of 1,000 updates.
        let (mut sizes, mut written) = (vec![10_000_000_u64], 0);
        for _ in 0..1000 {
            let all: u64 = sizes.iter().sum();
            sizes = kept_sizes(&sizes);
            let new = all - sizes.iter().sum::<u64>() + 3000;
            sizes.push(new);
            written += new;
            assert!(sizes.len() <= MAX_PACKS);
        }
        assert!(written < 10 * 3_000_000, "{written}");
    }
}
