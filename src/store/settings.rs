//! Where git settings are defined, and whether all configuration files were read.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::PathBuf;

use gix::bstr::ByteSlice;
use gix::config::Source;

use super::{Repository, Result, StoreError};

/// The origin of a value in git's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingOrigin {
    /// The scope, as printed by `git config --show-scope`: `system`, `global`, `local`, `worktree` or `command`.
    pub scope: &'static str,
    /// The file, or `None` for the command line and the environment.
    pub file: Option<PathBuf>,
}

impl SettingOrigin {
    fn of(section: &gix::config::file::Metadata) -> Self {
        let scope = match section.source {
            Source::GitInstallation | Source::System => "system",
            Source::Git | Source::User => "global",
            Source::Local => "local",
            Source::Worktree => "worktree",
            Source::Env | Source::Cli | Source::Api | Source::EnvOverride => "command",
        };
        Self { scope, file: section.path.clone() }
    }
}

impl Repository {
    /// Returns the names of all settings in a section, each with its subsection.
    pub fn setting_names(&self, section: &str) -> Vec<(Option<String>, String)> {
        let snapshot = self.git.config_snapshot();
        let sections = snapshot.plumbing().sections_by_name(section).into_iter().flatten();
        let names = sections.flat_map(|section| {
            let subsection = section.header().subsection_name().map(|name| name.to_str_lossy().into_owned());
            let names: Vec<String> = section.value_names().collect();
            names.into_iter().map(move |name| (subsection.clone(), name))
        });
        names.collect()
    }

    /// Returns the origins of a setting's values, in the order in which git reads them. The setting is named like
    /// `hexmirror.branch` or `hexmirror.acme.url`.
    pub fn setting_origins(&self, key: &str) -> Vec<SettingOrigin> {
        let Some((section, rest)) = key.split_once('.') else { return Vec::new() };
        let (subsection, name) =
            rest.rsplit_once('.').map_or((None, rest), |(subsection, name)| (Some(subsection), name));
        let snapshot = self.git.config_snapshot();
        let sections = snapshot.plumbing().sections_by_name(section).into_iter().flatten();
        let origins = sections.flat_map(|section| {
            let is_it = section.header().subsection_name().map(|name| name.to_str_lossy()).as_deref() == subsection;
            let values = if is_it { section.values(name).len() } else { 0 };
            vec![SettingOrigin::of(section.meta()); values]
        });
        origins.collect()
    }
}

/// Fails if a configuration file exists but was not read. gix treats an unreadable file as empty, so the command would
/// run without the user's addresses, keys and remotes.
pub(super) fn refuse_unread(git: &gix::Repository) -> Result<()> {
    check(git, Source::Local, git.common_dir().join("config"))?;
    for source in [Source::Git, Source::User] {
        if let Some(path) = source.storage_location(&mut gix::path::env::var) {
            check(git, source, path)?;
        }
    }
    Ok(())
}

fn check(git: &gix::Repository, source: Source, path: PathBuf) -> Result<()> {
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if is_no_fault(source, &error) => return Ok(()),
        Err(error) => return Err(StoreError::io("read", path)(error)),
    };
    let snapshot = git.config_snapshot();
    // GIT_CONFIG_GLOBAL is the path of both of the user's files, and is read once.
    let is_read = || {
        let mut read = snapshot.plumbing().sections().map(|section| section.meta());
        read.any(|meta| meta.source == source || meta.path.as_ref() == Some(&path))
    };
    let has_settings = text.split(|byte| *byte == b'\n').any(|line| line.trim_ascii_start().starts_with(b"["));
    if has_settings && !is_read() {
        return Err(StoreError::io("read", path)(io::Error::other("its settings could not be read at first")));
    }
    Ok(())
}

/// Returns whether git ignores this error too: the file does not exist, or it is a user-level file that may not be read
/// (`access_or_die` with `ACCESS_EACCES_OK` in git's `config.c`).
fn is_no_fault(source: Source, error: &io::Error) -> bool {
    let absent = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::IsADirectory);
    absent || (error.kind() == ErrorKind::PermissionDenied && source != Source::Local)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unreadable_settings_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        gix::init(folder.path()).unwrap();
        let config = folder.path().join(".git/config");
        let text = fs::read(&config).unwrap();
        // This is what gix sees after a failed read.
        fs::write(&config, "").unwrap();
        let git = gix::open_opts(folder.path(), gix::open::Options::isolated()).unwrap();
        assert!(check(&git, Source::Local, config.clone()).is_ok());
        fs::write(&config, text).unwrap();
        let error = check(&git, Source::Local, config.clone()).unwrap_err();
        assert!(error.to_string().ends_with(".git/config"), "{error}");
        let git = gix::open_opts(folder.path(), gix::open::Options::isolated()).unwrap();
        assert!(check(&git, Source::Local, config.clone()).is_ok());
    }
}
