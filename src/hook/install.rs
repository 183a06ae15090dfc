//! Installs hooks into a folder, alongside existing hooks.
//!
//! An existing hook is moved to the sibling folder `FOLDER.before-hexmirror` and becomes a chained hook: this program's
//! hook runs it first, with the same arguments and standard input ([`super::run_chained`]). The chained hook keeps its
//! name, because some hooks derive from it which hook they are. The sibling folder has the same depth, so relative links
//! stay valid.

use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::Hook;

/// A line prefix that every version of this program writes into its hooks.
const MARKER: &str = "# git-hexmirror hook ";
/// The file name prefix of a hook while it is written.
const TEMPORARY_PREFIX: &str = ".hexmirror-";
/// The maximum number of bytes of a hook that are read.
const MAX_HOOK: u64 = 1 << 20;
/// The option of hooks that do nothing in a repository without a mirror, followed by a blank.
const IF_MIRRORED: &str = "--if-mirrored ";
/// The suffix that turns the name of the hooks folder into that of the chained hooks' folder.
const CHAINED_SUFFIX: &str = ".before-hexmirror";

/// Why hooks cannot be installed or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// The attempted action, as a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        source: io::Error,
    },
    /// There is both another program's hook and a chained hook.
    #[error("both {} and {} exist, and only one of them can be kept", hook.display(), before.display())]
    Both {
        /// The hook.
        hook: PathBuf,
        /// The chained hook.
        before: PathBuf,
    },
}

/// The state of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// There is no hook.
    Absent,
    /// There is only another program's hook.
    Foreign,
    /// This program's hook is installed, without a chained hook.
    Installed,
    /// This program's hook is installed, and it runs a chained hook.
    Chained,
    /// This program's hook comes from git's template. It does nothing in a repository without a mirror.
    FromTemplate,
    /// Another version of this program wrote the hook, or the hook refers to another path of the program.
    Outdated,
}

impl State {
    /// Returns whether the hook calls this program as it should.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Installed | Self::Chained | Self::FromTemplate)
    }
}

/// The folder from which git runs hooks.
#[derive(Debug, Clone)]
pub struct HooksDir {
    folder: PathBuf,
    binary: String,
    /// The options of the hooks' calls, each followed by a blank.
    options: &'static str,
}

impl HooksDir {
    /// Takes the folder and the path of the program, which hooks use if the program is not on the `PATH`.
    pub fn new(folder: impl Into<PathBuf>, binary: &Path) -> Self {
        // The shell of Git for Windows understands forward slashes only.
        let binary = binary.to_string_lossy().replace('\\', "/");
        Self { folder: folder.into(), binary: format!("'{}'", binary.replace('\'', r"'\''")), options: "" }
    }

    /// Makes the hooks do nothing in a repository without a mirror. For the hooks of git's template, which are copied to
    /// every new clone.
    #[must_use]
    pub fn in_template(self) -> Self {
        Self { options: IF_MIRRORED, ..self }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the state of a hook.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read.
    pub fn state(&self, hook: Hook) -> Result<State, InstallError> {
        let Some(content) = read(&self.path(hook))? else { return Ok(State::Absent) };
        if !is_ours(&content) {
            return Ok(State::Foreign);
        }
        if content != self.content(hook).as_bytes() {
            let template = self.clone().in_template().content(hook);
            return Ok(if content == template.as_bytes() { State::FromTemplate } else { State::Outdated });
        }
        Ok(if is_there(&chained_path(&self.path(hook))) { State::Chained } else { State::Installed })
    }

    /// Installs a hook, unless it is installed already. Returns whether anything changed.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written. The existing hook then stays in place.
    pub fn install(&self, hook: Hook) -> Result<bool, InstallError> {
        let (path, state) = (self.path(hook), self.state(hook)?);
        match state {
            State::Installed | State::Chained => return Ok(false),
            // Another program installed its hook again. If it equals the chained hook, one of them is enough.
            State::Foreign if is_there(&chained_path(&path)) && !is_same(&path, &chained_path(&path))? => {
                return Err(InstallError::Both { before: chained_path(&path), hook: path });
            }
            _ => {}
        }
        fs::create_dir_all(&self.folder).map_err(failed("create", &self.folder))?;
        remove_temporary(&self.folder);
        let file = tempfile::Builder::new().prefix(TEMPORARY_PREFIX).tempfile_in(&self.folder);
        let mut file = file.map_err(failed("write to", &self.folder))?;
        file.write_all(self.content(hook).as_bytes()).map_err(failed("write", &path))?;
        #[cfg(unix)]
        file.as_file()
            .set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .map_err(failed("write", &path))?;
        let chained = chained_path(&path);
        if state == State::Foreign {
            let folder = chained.parent().unwrap_or(&self.folder);
            fs::create_dir_all(folder).map_err(failed("create", folder))?;
            // The existing hook stays in place until this program's hook replaces it, so that a hook exists at every
            // moment.
            match fs::hard_link(&path, &chained) {
                // The existing file has the same content.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(_) => fs::rename(&path, &chained).map_err(failed("rename", &path))?,
                Ok(()) => {}
            }
        }
        file.persist(&path).map_err(|error| {
            if state == State::Foreign {
                // The existing hook stays in use. If it cannot be moved back, it is still in the folder of chained
                // hooks.
                let _ = if is_there(&path) { fs::remove_file(&chained) } else { fs::rename(&chained, &path) };
            }
            failed("write", &path)(error.error)
        })?;
        Ok(true)
    }

    /// Removes a hook and restores the chained hook. Returns whether anything changed.
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn uninstall(&self, hook: Hook) -> Result<bool, InstallError> {
        let path = self.path(hook);
        if matches!(self.state(hook)?, State::Absent | State::Foreign) {
            return Ok(false);
        }
        let chained = chained_path(&path);
        match fs::rename(&chained, &path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                fs::remove_file(&path).map_err(failed("remove", &path))?;
            }
            renamed => {
                renamed.map_err(failed("rename", &path))?;
                if let Some(folder) = chained.parent() {
                    // Removes the folder after its last hook; fails while the folder is not empty.
                    let _ = fs::remove_dir(folder);
                }
            }
        }
        Ok(true)
    }

    fn path(&self, hook: Hook) -> PathBuf {
        self.folder.join(hook.name())
    }

    fn content(&self, hook: Hook) -> String {
        hook.template().replace("@BINARY@", &self.binary).replace("@OPTIONS@", self.options)
    }
}

/// Returns the path of the hook that is chained to the hook at `path`.
pub fn chained_path(path: &Path) -> PathBuf {
    let (folder, name) = (path.parent().unwrap_or(Path::new(".")), path.file_name().unwrap_or_default());
    let mut chained = folder.components().as_path().as_os_str().to_owned();
    chained.push(CHAINED_SUFFIX);
    Path::new(&chained).join(name)
}

/// Removes temporary files of interrupted installations. A file that cannot be removed is harmless.
fn remove_temporary(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(TEMPORARY_PREFIX.as_bytes()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Returns whether there is a file or a symbolic link, even one with a missing target.
fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Returns whether this program wrote a hook.
pub fn is_ours(content: &[u8]) -> bool {
    content.split(|byte| *byte == b'\n').take(5).any(|line| line.starts_with(MARKER.as_bytes()))
}

/// Reads the beginning of a hook. Returns no bytes if the path is not a regular file: git does not run it, and reading a
/// pipe would block.
fn read(path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
    let start = || -> io::Result<Vec<u8>> {
        let mut content = Vec::new();
        if path.metadata()?.is_file() {
            fs::File::open(path)?.take(MAX_HOOK).read_to_end(&mut content)?;
        }
        Ok(content)
    };
    match start() {
        Ok(content) => Ok(Some(content)),
        // A symbolic link with a missing target still belongs to another program.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(is_there(path).then(Vec::new)),
        Err(error) => Err(failed("read", path)(error)),
    }
}

/// Returns whether two hooks are the same file or have the same content.
fn is_same(one: &Path, other: &Path) -> Result<bool, InstallError> {
    let (Ok(first), Ok(second)) = (one.metadata(), other.metadata()) else { return Ok(false) };
    #[cfg(unix)]
    if std::os::unix::fs::MetadataExt::ino(&first) == std::os::unix::fs::MetadataExt::ino(&second)
        && std::os::unix::fs::MetadataExt::dev(&first) == std::os::unix::fs::MetadataExt::dev(&second)
    {
        return Ok(true);
    }
    // Only the beginning of larger hooks is read.
    let are_files = first.is_file() && second.is_file() && first.len() < MAX_HOOK;
    Ok(are_files && read(one)? == read(other)?)
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> InstallError {
    move |source| InstallError::Io { action, path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hooks(folder: &Path) -> HooksDir {
        HooksDir::new(folder.join("hooks"), Path::new("/opt/it's here/git-hexmirror"))
    }

    #[test]
    fn installing_twice_changes_nothing_and_uninstalling_restores() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path());
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Absent);
        assert!(hooks.install(Hook::PrePush).unwrap());
        assert!(!hooks.install(Hook::PrePush).unwrap());
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Installed);
        assert!(hooks.uninstall(Hook::PrePush).unwrap());
        assert_eq!(hooks.folder().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn a_hook_that_was_there_is_put_aside_and_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path());
        let path = hooks.folder().join("post-merge");
        fs::create_dir(hooks.folder()).unwrap();
        fs::write(&path, "#!/usr/bin/env ruby\nputs 1\n").unwrap();
        assert_eq!(hooks.state(Hook::PostMerge).unwrap(), State::Foreign);
        hooks.install(Hook::PostMerge).unwrap();
        assert_eq!(hooks.state(Hook::PostMerge).unwrap(), State::Chained);
        assert!(fs::read_to_string(&path).unwrap().contains(r"'/opt/it'\''s here/git-hexmirror'"));
        hooks.uninstall(Hook::PostMerge).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/usr/bin/env ruby\nputs 1\n");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn a_hook_is_there_at_every_moment_of_an_installation() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path());
        let path = hooks.folder().join("pre-push");
        fs::create_dir(hooks.folder()).unwrap();
        fs::write(&path, "#!/bin/sh\nthis\n").unwrap();
        // The state after an installation was killed before its last step.
        fs::create_dir(chained_path(&path).parent().unwrap()).unwrap();
        fs::hard_link(&path, chained_path(&path)).unwrap();
        fs::write(hooks.folder().join(".hexmirror-abc"), "").unwrap();
        assert!(hooks.install(Hook::PrePush).unwrap());
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Chained);
        assert_eq!(hooks.folder().read_dir().unwrap().count(), 1);
    }

    #[test]
    fn an_older_one_is_replaced_and_two_foreign_ones_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path());
        let path = hooks.folder().join("pre-push");
        fs::create_dir(hooks.folder()).unwrap();
        fs::write(&path, "#!/bin/sh\n# git-hexmirror hook 0: x\n").unwrap();
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Outdated);
        assert!(hooks.install(Hook::PrePush).unwrap());
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Installed);
        fs::write(&path, "#!/bin/sh\nthis\n").unwrap();
        fs::create_dir(chained_path(&path).parent().unwrap()).unwrap();
        fs::write(chained_path(&path), "#!/bin/sh\nthat\n").unwrap();
        assert!(matches!(hooks.install(Hook::PrePush), Err(InstallError::Both { .. })));
        assert_eq!(fs::read_to_string(&path).unwrap(), "#!/bin/sh\nthis\n");
        assert_eq!(fs::read_to_string(chained_path(&path)).unwrap(), "#!/bin/sh\nthat\n");
        fs::write(chained_path(&path), "#!/bin/sh\nthis\n").unwrap();
        assert!(hooks.install(Hook::PrePush).unwrap());
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Chained);
    }

    #[cfg(unix)]
    #[test]
    fn a_pipe_in_place_of_a_hook_is_put_aside_without_waiting_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path());
        let path = hooks.folder().join("pre-push");
        fs::create_dir(hooks.folder()).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Foreign);
        assert!(hooks.install(Hook::PrePush).unwrap());
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Chained);
        assert!(!chained_path(&path).metadata().unwrap().is_file());
        hooks.uninstall(Hook::PrePush).unwrap();
        assert_eq!(hooks.state(Hook::PrePush).unwrap(), State::Foreign);
    }

    #[test]
    fn two_large_hooks_are_not_taken_for_the_same_by_their_start() {
        let folder = tempfile::tempdir().unwrap();
        let hooks = hooks(folder.path());
        let path = hooks.folder().join("pre-push");
        fs::create_dir(hooks.folder()).unwrap();
        fs::create_dir(chained_path(&path).parent().unwrap()).unwrap();
        let start = "#\n".repeat(MAX_HOOK as usize / 2);
        fs::write(&path, format!("{start}this\n")).unwrap();
        fs::write(chained_path(&path), format!("{start}that\n")).unwrap();
        assert!(matches!(hooks.install(Hook::PrePush), Err(InstallError::Both { .. })));
    }
}
