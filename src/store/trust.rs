//! Whose repository it is. What another user left there, such as settings that name commands, is not run by accident.

use std::fs;
use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice;
use gix::sec::Trust;

use super::{Result, StoreError};

/// Fails where a repository belongs to another user and is not in git's `safe.directory`, as git does (git-config(1)).
///
/// gix has looked at the owners and at the settings of the system and the user. What it does not count are settings of the
/// command (`GIT_CONFIG_COUNT`), which the repository cannot set either.
pub(super) fn refuse_dubious(git: &gix::Repository) -> Result<()> {
    let directory = git.workdir().unwrap_or(git.git_dir());
    if git.git_dir_trust() == Trust::Full || is_safe_by_command(git, directory) {
        return Ok(());
    }
    Err(StoreError::DubiousOwnership { directory: whole(directory) })
}

fn is_safe_by_command(git: &gix::Repository, directory: &Path) -> bool {
    let of_the_command =
        |section: &gix::config::file::Metadata| section.source.kind() == gix::config::source::Kind::Override;
    let snapshot = git.config_snapshot();
    let values = snapshot.plumbing().strings_filter("safe.directory", of_the_command).unwrap_or_default();
    let directory = whole(directory);
    let is_it = |value: &str| match value.strip_suffix("/*") {
        Some(above) => directory.starts_with(whole(Path::new(above))),
        None => value == "*" || whole(Path::new(value)) == directory,
    };
    // An empty value takes back what was said before.
    values
        .iter()
        .map(|value| value.to_str_lossy())
        .fold(false, |safe, value| !value.is_empty() && (safe || is_it(&value)))
}

fn whole(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}
