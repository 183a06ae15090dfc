//! From a scratch repository into packs for the mirror: what the wanted revisions need and nothing else, proven complete.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::{fs, io};

use super::complaint::is_finding;
use super::scratch::{Scratch, link, link_packs, make_bare, write};
use super::{GitError, Result};
use crate::model::Revision;

/// The most packs that an update leaves of a repository. Two mirrors that were merged may have more together, until the next
/// one.
///
/// Every update that needs one adds one. Each costs whoever looks an object up another index (and clients of the dumb
/// protocol another download), so they must not become many; merging them writes again what is merged, and the branch's
/// history keeps the old ones, so it must not be often. When there would be more, those are merged that together are less
/// than half as large as the next: over time a byte is written again once for each time its repository doubles or so.
pub const MAX_PACKS: usize = 10;

/// A pack with its index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPack {
    /// The id in its name.
    pub name: Revision,
    /// The pack.
    pub pack: PathBuf,
    /// Its index.
    pub index: PathBuf,
    /// The pack's size in bytes.
    pub bytes: u64,
}

/// What the mirror is to hold of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Packed {
    /// The packs that stay.
    pub kept: BTreeSet<Revision>,
    /// The pack with what they do not have; `None` where they have everything.
    pub new: Option<NewPack>,
    /// The commits without parents here.
    pub shallow: BTreeSet<Revision>,
}

impl Scratch<'_> {
    /// Packs what `wanted` needs and the packs of the mirror, `packs`, do not have, and proves that all of it together is
    /// complete. The same contents need not give the same bytes: how git packs depends on its version and on what the
    /// server sent; the set of objects in the packs depends only on what was wanted when.
    ///
    /// # Errors
    /// Fails where anything is missing.
    pub fn pack(&self, wanted: &BTreeSet<Revision>, packs: &BTreeMap<Revision, u64>) -> Result<Packed> {
        self.or_forget(self.packed(wanted, packs))
    }

    fn packed(&self, wanted: &BTreeSet<Revision>, packs: &BTreeMap<Revision, u64>) -> Result<Packed> {
        let mut packed = Packed { kept: kept(packs), ..Packed::default() };
        let folder = self.folder.join("new");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).map_err(GitError::io("create", &folder))?;
        let switches = ["pack-objects", "--revs", "--quiet", "--delta-base-offset", "--non-empty"];
        let mut arguments: Vec<String> = switches.map(str::to_owned).to_vec();
        arguments.extend(packed.kept.iter().map(|name| format!("--keep-pack=pack-{name}.pack")));
        // It runs in the scratch repository's folder.
        arguments.push("new/pack".to_owned());
        let run = self.run_with(arguments, &revision_lines(wanted));
        let output = run.output("pack a repository").map_err(|error| self.incomplete(error))?;
        let name = String::from_utf8_lossy(&output);
        if let Ok(name) = name.trim().parse::<Revision>() {
            let path = |extension: &str| folder.join(format!("pack-{name}.{extension}"));
            let pack = path("pack");
            let bytes = fs::metadata(&pack).map_err(GitError::io("read", &pack))?.len();
            // What is new may turn out to be what is there.
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

    /// Returns the commits without parents that the wanted revisions lead to.
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
        let output = run.output("list an ancestry").map_err(|error| self.incomplete(error))?;
        let commits = String::from_utf8_lossy(&output);
        Ok(commits.lines().filter_map(|line| line.parse().ok()).filter(|commit| shallow.contains(commit)).collect())
    }

    /// Proves that the packs have every object that the revisions need, and nothing of the scratch repository is relied on.
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

/// Returns the packs that stay when another one comes.
fn kept(packs: &BTreeMap<Revision, u64>) -> BTreeSet<Revision> {
    let mut by_size: Vec<(u64, Revision)> = packs.iter().map(|(name, bytes)| (*bytes, *name)).collect();
    by_size.sort_unstable();
    let mut merged = 0;
    if packs.len() >= MAX_PACKS {
        let mut sum = 0;
        for (index, (bytes, _)) in by_size.iter().enumerate() {
            if sum > bytes / 2 {
                merged = index + 1;
            }
            sum += bytes;
        }
        merged = merged.max(packs.len() + 2 - MAX_PACKS);
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
        kept(&packs).iter().map(|name| packs[name]).collect()
    }

    #[test]
    fn packs_are_merged_before_they_become_many() {
        assert_eq!(kept_sizes(&[1; 9]), [1; 9]);
        assert_eq!(kept_sizes(&[1; 10]), [0; 0]);
        let small_on_large = [1_000_000, 2, 1, 3, 1, 2, 2, 1, 1, 2];
        assert_eq!(kept_sizes(&small_on_large), [1_000_000]);
        let growing: Vec<u64> = (0..10).map(|power| 4_u64.pow(power)).collect();
        assert_eq!(kept_sizes(&growing).len(), 8, "two are merged at least");
        // As the union of two mirrors may be.
        let growing: Vec<u64> = (0..25).map(|power| 4_u64.pow(power)).collect();
        assert_eq!(kept_sizes(&growing), growing[17..]);
    }

    #[test]
    fn many_updates_write_little_again() {
        // A repository of 10 MB that gets 3 KB with each of 1,000 updates.
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
