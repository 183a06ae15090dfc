//! Checks stored repositories, and copies single revisions or files into other object databases.

use std::fs;
use std::path::{Path, PathBuf};

use super::error_message::is_finding;
use super::{Git, GitError, ProjectGit, Result};
use crate::model::{GitAddress, Revision};

/// Checks a bare repository: the content of every object must match its id, everything reachable from its refs must
/// exist, and the revisions must be commits. Returns a description of the first problem.
///
/// # Errors
/// Fails if git cannot be run.
pub fn check<'r>(git: &Git, folder: &Path, revisions: impl Iterator<Item = &'r Revision>) -> Result<Option<String>> {
    let arguments = ["fsck", "--full", "--no-dangling", "--no-progress"];
    match git.run_in(folder, arguments).output("check a repository") {
        Ok(_) => {}
        Err(GitError::Failed { message, .. }) => return Ok(Some(message)),
        Err(error) => return Err(error),
    }
    for revision in revisions {
        match git.run_in(folder, ["cat-file", "-t", &revision.to_string()]).output("read an object") {
            Ok(kind) if kind.trim_ascii() == b"commit" => {}
            Ok(_) => return Ok(Some(format!("{revision} is no commit"))),
            Err(GitError::Failed { .. }) => return Ok(Some(format!("the commit {revision} is missing"))),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

impl ProjectGit {
    /// Copies a commit of a bare repository with all its files, but without its ancestors, into an object database.
    /// Every object is stored under the id computed from its content, so a forged object is missing afterwards, which
    /// is detected.
    ///
    /// # Errors
    /// Fails if an object is missing or does not match its id.
    pub fn copy_revision(&self, address: &GitAddress, from: &Path, objects: &Path, revision: Revision) -> Result<()> {
        let list = ["rev-list", "--objects", "--no-walk", "--stdin"];
        let commit = || format!("{revision}\n").into_bytes();
        let run = |arguments: &[&str], input| self.git.run_in(from, arguments).input(input);
        let copy = || {
            let listed = run(&list, commit()).output("list the files of a commit")?;
            let pack = run(&["pack-objects", "--quiet", "--stdout"], listed).output("pack the files of a commit")?;
            let in_target = |arguments: &[&str], input| run(arguments, input).variable("GIT_OBJECT_DIRECTORY", objects);
            in_target(&["index-pack", "--stdin"], pack).output("unpack the files of a commit")?;
            in_target(&list, commit()).output("find all files of a commit")
        };
        copy().map(drop).map_err(|error| match error {
            GitError::Failed { message, .. } if is_finding(&message) => {
                GitError::Incomplete { address: address.clone(), message }
            }
            error => error,
        })
    }
}

/// Packs files of any size as blobs without loading them into memory. Returns their ids as hexadecimal digits, in the
/// same order, and the path of the pack. The pack is written to `folder`, which may be empty.
///
/// # Errors
/// Fails if a file cannot be read or the pack cannot be written.
pub fn pack_files(git: &Git, folder: &Path, files: &[PathBuf]) -> Result<(Vec<String>, PathBuf)> {
    let _ = fs::remove_dir_all(folder);
    super::scratch::make_bare(folder)?;
    let mut input = Vec::new();
    for file in files {
        input.extend_from_slice(file.as_os_str().as_encoded_bytes());
        input.push(b'\n');
    }
    // The files are packs, which are already deflated.
    let settings = ["-c", "core.compression=0", "-c", "core.looseCompression=0", "-c", "pack.compression=0"];
    let run = |arguments: &[&str], input| git.run_in(folder, settings.iter().chain(arguments)).input(input);
    let hash = ["hash-object", "-w", "-t", "blob", "--no-filters", "--stdin-paths"];
    let output = run(&hash, input).output("store a pack")?;
    let ids: Vec<String> = String::from_utf8_lossy(&output).lines().map(str::to_owned).collect();
    let wrong = |message: &str| {
        let (folder, message) = (folder.to_owned(), message.to_owned());
        GitError::Failed { action: "store a pack", folder, message }
    };
    if ids.len() != files.len() {
        return Err(wrong("it stored a different number of files"));
    }
    let output = run(&["pack-objects", "--quiet", "pack"], output).output("store a pack")?;
    let name = String::from_utf8_lossy(output.trim_ascii()).into_owned();
    let pack = folder.join(format!("pack-{name}.pack"));
    if pack.is_file() { Ok((ids, pack)) } else { Err(wrong("it created no pack")) }
}
