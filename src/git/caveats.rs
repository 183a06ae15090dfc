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
        let mut caveats = Vec::new();
        // `git grep` exits with 1 if it finds nothing.
        let filtered = ["grep", "--quiet", "-e", "filter=lfs", &revision, "--", ":(glob)**/.gitattributes"];
        if self.run(filtered).finish().is_ok() {
            caveats.push(Caveat::LargeFiles);
        }
        let has_addresses = self.run(["cat-file", "-e", &format!("{revision}:.gitmodules")]).finish().is_ok();
        if has_addresses {
            let files =
                self.run(["ls-tree", "-r", "-z", "--full-tree", &revision]).output("list the files of a commit")?;
            if files.split(|byte| *byte == 0).any(|entry| entry.starts_with(b"160000 ")) {
                caveats.push(Caveat::Submodules);
            }
        }
        Ok(caveats)
    }
}
