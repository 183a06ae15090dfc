//! Detects content that a commit depends on but that is not mirrored with it.

use super::Result;
use super::scratch::Scratch;
use crate::model::Revision;

/// Content that a commit depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caveat {
    /// Files stored in Git LFS.
    LargeFiles,
    /// Submodules.
    Submodules,
}

impl Scratch<'_> {
    /// Returns the caveats of a commit in this repository.
    ///
    /// # Errors
    /// Fails if git cannot be run.
    pub fn caveats(&self, revision: Revision) -> Result<Vec<Caveat>> {
        let revision = revision.to_string();
        let listing =
            self.run(["ls-tree", "-r", "-z", "--full-tree", &revision]).output("list the files of a commit")?;
        let files = Files::of(&listing);
        let mut caveats = Vec::new();
        // `git grep` exits with 1 if it finds nothing.
        let filtered = ["grep", "--quiet", "-e", "filter=lfs", &revision, "--", ":(glob)**/.gitattributes"];
        if files.has_attributes && self.run(filtered).finish().is_ok() {
            caveats.push(Caveat::LargeFiles);
        }
        if files.has_addresses && files.has_gitlinks {
            caveats.push(Caveat::Submodules);
        }
        Ok(caveats)
    }
}

/// What the files of a commit say about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Files {
    /// Whether there is a `.gitattributes` in any folder.
    has_attributes: bool,
    /// Whether there is a `.gitmodules`, which has the addresses of submodules.
    has_addresses: bool,
    /// Whether there are commits of other repositories.
    has_gitlinks: bool,
}

impl Files {
    /// Parses the output of `git ls-tree -r -z --full-tree`.
    fn of(listing: &[u8]) -> Self {
        let mut files = Self::default();
        for entry in listing.split(|byte| *byte == 0) {
            let path = entry.iter().position(|byte| *byte == b'\t').map_or(&b""[..], |tab| &entry[tab + 1..]);
            files.has_attributes |= path.rsplit(|byte| *byte == b'/').next() == Some(b".gitattributes");
            files.has_addresses |= path == b".gitmodules";
            files.has_gitlinks |= entry.starts_with(b"160000 ");
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_count_in_any_folder_and_addresses_at_the_top() {
        let id = "1".repeat(40);
        let of = |entries: &[&str]| {
            let listing: String = entries.iter().map(|entry| entry.replace("ID", &id) + "\0").collect();
            let Files { has_attributes, has_addresses, has_gitlinks } = Files::of(listing.as_bytes());
            (has_attributes, has_addresses, has_gitlinks)
        };
        assert_eq!(of(&[]), (false, false, false));
        assert_eq!(of(&["100644 blob ID\ta", "100644 blob ID\tx.gitattributes"]), (false, false, false));
        assert_eq!(of(&["100644 blob ID\t.gitattributes"]), (true, false, false));
        assert_eq!(of(&["100644 blob ID\ta/b/.gitattributes", "100644 blob ID\ta/.gitmodules"]), (true, false, false));
        assert_eq!(of(&["100644 blob ID\t.gitmodules", "160000 commit ID\t.gitattributes/x"]), (false, true, true));
    }
}
