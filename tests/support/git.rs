//! Real git repositories in temporary folders, isolated from the user's configuration.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A temporary folder with its own home folder. Programs in it see neither the user's settings nor variables.
pub struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        std::fs::create_dir(folder.path().join("home")).expect("a folder can be made");
        Self { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A command with a cleared environment, which runs in `directory` below the sandbox.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.path().join(directory))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .env("LC_ALL", "C.UTF-8")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0");
        command
    }

    /// Runs git in `directory` and returns its output without the trailing line break. Panics if git fails.
    pub fn git(&self, directory: impl AsRef<Path>, arguments: &[&str]) -> String {
        let output = self.try_git(directory, arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "git {arguments:?}: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs git in `directory` and returns its result.
    pub fn try_git(&self, directory: impl AsRef<Path>, arguments: &[&str]) -> Output {
        let mut command = self.command("git", directory.as_ref());
        command.args(["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "init.defaultBranch=main"]);
        command.args(arguments).output().expect("git can be run")
    }

    /// Commits a change of one file to a branch that is not checked out, as a user with git would.
    pub fn edit_branch(&self, directory: impl AsRef<Path>, branch: &str, file: &str, text: &str) {
        let edit = self.path().join("edit");
        self.git(&directory, &["worktree", "add", "--quiet", edit.to_str().expect("UTF-8"), branch]);
        std::fs::write(edit.join(file), text).expect("a writable folder");
        self.git("edit", &["commit", "--quiet", "--all", "--message=Edit"]);
        self.git(&directory, &["worktree", "remove", edit.to_str().expect("UTF-8")]);
    }

    /// Creates a repository with one commit and returns its folder.
    pub fn repository(&self, name: &str) -> PathBuf {
        self.git("", &["init", "--quiet", name]);
        self.git(name, &["commit", "--quiet", "--allow-empty", "--message=Begin"]);
        self.path().join(name)
    }
}
