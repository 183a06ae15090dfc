//! Bundles of the mirror branch (git-bundle(1)).

use std::fs;
use std::path::{Path, PathBuf};

use super::scratch::{make_bare, write};
use super::{GitError, ProjectGit, Result};

/// The branch of a bundle. `git clone --bundle-uri` only uses refs below `refs/heads/`, wherever the mirror is here.
const BRANCH: &str = "refs/heads/hexmirror";

/// What a bundle has.
#[derive(Debug, Clone)]
pub struct BundleSource {
    /// The object folder with the commit and its history.
    pub objects: PathBuf,
    /// The commit, as hexadecimal digits.
    pub commit: String,
}

impl BundleSource {
    /// Returns how the bundle begins (gitformat-bundle(5)).
    pub fn header(&self) -> String {
        format!("# v2 git bundle\n{} {BRANCH}\n\n", self.commit)
    }
}

impl ProjectGit {
    /// Writes a bundle with a commit and its whole history to a file that does not exist. `folder` is an empty folder for
    /// what git needs meanwhile.
    ///
    /// # Errors
    /// Fails if the history is incomplete or the file cannot be written.
    pub fn bundle(&self, source: &BundleSource, folder: &Path, file: &Path) -> Result<()> {
        // A repository in which the branch has the wanted name, and does not move meanwhile.
        make_bare(folder)?;
        let objects = fs::canonicalize(&source.objects).map_err(GitError::io("read", &source.objects))?;
        write(&folder.join("objects/info/alternates"), &format!("{}\n", objects.display()))?;
        fs::create_dir_all(folder.join("refs/heads")).map_err(GitError::io("create", folder))?;
        write(&folder.join(BRANCH), &format!("{}\n", source.commit))?;
        let file = file.to_string_lossy();
        let arguments = ["bundle", "create", "--quiet", &*file, BRANCH];
        let git = self.git.run_in_project(folder, folder, &arguments);
        git.output("make a bundle of the mirror").map(drop)
    }
}
