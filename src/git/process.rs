//! Runs git. All git processes are started here.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::fixed::{FIXED, FIXED_IN_PROJECT, REMOVED};
use super::run::{Input, Run};
use super::third_party::{self, ThirdPartySettings};
use super::{GitError, Result};
use crate::model::Secrets;

/// The minimum version of git. `GIT_CONFIG_GLOBAL` was added in it, and all other features in use are older.
const LEAST_VERSION: (u32, u32, &str) = (2, 32, "2.32");
/// Settings for running git, in addition to the fixed ones.
#[derive(Debug, Clone, Default)]
pub struct GitSettings {
    /// The user's settings that apply outside of the project's repository.
    pub third_party: ThirdPartySettings,
    /// The protocols that the user allows in git (`GIT_ALLOW_PROTOCOL`), separated by `:`.
    pub allowed_protocols: Option<String>,
    /// Whether the user can be asked for a password at a terminal.
    pub may_ask: bool,
    /// Whether the user configured an ssh command (`GIT_SSH_COMMAND`, `GIT_SSH`, `core.sshCommand`).
    pub own_ssh: bool,
    /// The credentials of the addresses that git may use. They are hidden in its messages.
    pub secrets: Secrets,
    /// Whether git syncs what it writes into the project's repository, as with `core.fsync=committed`. Otherwise the
    /// user's settings apply.
    pub sync: bool,
    /// Changes to the environment that git inherits. `None` unsets a variable.
    pub environment: Vec<(String, Option<String>)>,
}

/// The system's git, in a supported version.
#[derive(Debug, Clone)]
pub struct Git {
    program: PathBuf,
    settings: GitSettings,
}

impl Git {
    /// Finds the system's git.
    ///
    /// # Errors
    /// Fails if git is not installed or is too old.
    pub fn find(settings: GitSettings) -> Result<Self> {
        let git = Self::unchecked(settings);
        git.version()?;
        Ok(git)
    }

    /// Returns the version, such as `2.47.3`.
    ///
    /// # Errors
    /// Fails if git is not installed or is too old.
    pub fn version(&self) -> Result<String> {
        let output = self.run([OsStr::new("version")]).output("print its version")?;
        let text = String::from_utf8_lossy(&output);
        let found = text.trim().trim_start_matches("git version ").to_owned();
        let mut numbers = found.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        let (least_major, least_minor, needed) = LEAST_VERSION;
        if (major, minor) < (least_major, least_minor) {
            return Err(GitError::TooOld { found, needed });
        }
        Ok(found)
    }

    /// Returns the same git with other settings.
    pub(super) fn with(&self, settings: GitSettings) -> Self {
        Self { program: self.program.clone(), settings }
    }

    /// Returns the system's git without checking that it exists.
    pub(super) fn unchecked(settings: GitSettings) -> Self {
        Self { program: "git".into(), settings }
    }

    /// Prepares a git process that needs no repository, without this program's settings.
    pub(super) fn run_plain(&self, arguments: &[&str]) -> Run<'_> {
        let mut command = Command::new(&self.program);
        command.env("LC_ALL", "C").env("GIT_DIR", "/dev/null").current_dir("/");
        self.run_of(command, Path::new("/"), arguments)
    }

    /// Prepares a git process that needs no repository.
    pub(super) fn run<'a, A: AsRef<OsStr>>(&'a self, arguments: impl IntoIterator<Item = A>) -> Run<'a> {
        self.prepare(None, arguments)
    }

    /// Prepares a git process in a bare repository.
    pub(super) fn run_in<'a, A: AsRef<OsStr>>(
        &'a self,
        repository: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Run<'a> {
        self.prepare(Some(repository), arguments)
    }

    /// Prepares a git process in the project's own repository. The user's own settings, protocols and trust apply to
    /// fetches and pushes. `directory` is the working directory, to which remotes' relative paths refer.
    pub(super) fn run_in_project<'a>(&'a self, directory: &Path, git_dir: &Path, arguments: &[&str]) -> Run<'a> {
        let mut command = Command::new(&self.program);
        for setting in FIXED_IN_PROJECT {
            command.args(["-c", setting]);
        }
        command.args(self.sync_arguments());
        for name in REMOVED {
            command.env_remove(name);
        }
        inherit(&mut command, &self.settings.environment);
        command.env("LC_ALL", "C").env("GIT_DIR", git_dir).current_dir(directory);
        if !self.settings.may_ask {
            never_ask(&mut command, self.settings.own_ssh);
        }
        self.run_of(command, git_dir, arguments)
    }

    /// Returns the arguments that make git sync what it writes into the project's repository.
    fn sync_arguments(&self) -> &'static [&'static str] {
        if self.settings.sync { &["-c", "core.fsync=committed"] } else { &[] }
    }

    /// Prepares the automatic maintenance of the project's own repository. The user's settings and hooks decide what it
    /// does.
    pub(super) fn maintenance(&self, directory: &Path, git_dir: &Path) -> Command {
        let mut command = Command::new(&self.program);
        for name in REMOVED {
            command.env_remove(name);
        }
        command.args(["maintenance", "run", "--auto", "--quiet"]).env("GIT_DIR", git_dir).current_dir(directory);
        command
    }

    /// Prepares a git process that shows the content of a temporary repository to the user, with the user's pager,
    /// colours and language. It writes nothing and does not use the network. `worktree` is an empty folder to be used
    /// as the worktree. Only git's built-in attributes apply, because attributes that users set for their own files
    /// could hide code here.
    pub(super) fn show(&self, git_dir: &Path, worktree: &Path) -> Command {
        let mut command = Command::new(&self.program);
        command.args(["--no-replace-objects", "-c", "core.attributesFile=/dev/null"]).env("GIT_ATTR_NOSYSTEM", "1");
        for name in REMOVED.iter().filter(|name| !name.starts_with("LANG")) {
            command.env_remove(name);
        }
        command.env("GIT_DIR", git_dir).env("GIT_WORK_TREE", worktree);
        command.env("GIT_OPTIONAL_LOCKS", "0").env("GIT_NO_LAZY_FETCH", "1").env("GIT_ALLOW_PROTOCOL", "none");
        // A nonexistent index cannot contain attributes.
        command.env("GIT_INDEX_FILE", worktree.join("index")).current_dir(worktree);
        command
    }

    fn prepare<A: AsRef<OsStr>>(&self, repository: Option<&Path>, arguments: impl IntoIterator<Item = A>) -> Run<'_> {
        let GitSettings { third_party, allowed_protocols, may_ask, own_ssh, environment, secrets: _, sync: _ } =
            &self.settings;
        let mut command = Command::new(&self.program);
        inherit(&mut command, environment);
        command.arg("--no-replace-objects");
        for setting in FIXED {
            command.args(["-c", setting]);
        }
        let variables = third_party::VARIABLES.iter().map(|(name, ..)| name);
        for name in REMOVED.iter().chain(variables).chain(&["GIT_CONFIG_PARAMETERS"]) {
            command.env_remove(name);
        }
        configure(&mut command, third_party);
        command.env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
        // If the project is a partial clone, its remote does not promise the objects of this repository.
        command.env("GIT_NO_LAZY_FETCH", "1");
        // This variable overrides all settings. A restriction by the user stays in effect.
        let own = allowed_protocols.as_deref().map(|own| own.split(':').collect::<Vec<_>>());
        let allowed = ["https", "http", "ssh", "git"].into_iter();
        let allowed: Vec<&str> = allowed.filter(|name| own.as_ref().is_none_or(|own| own.contains(name))).collect();
        command.env("GIT_ALLOW_PROTOCOL", allowed.join(":"));
        if !may_ask {
            never_ask(&mut command, *own_ssh);
        }
        if let Some(repository) = repository {
            let mut folder = OsString::from("--git-dir=");
            folder.push(repository);
            command.arg(folder).current_dir(repository);
        }
        self.run_of(command, repository.unwrap_or(Path::new(".")), arguments)
    }

    fn run_of<A: AsRef<OsStr>>(
        &self,
        mut command: Command,
        folder: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Run<'_> {
        let before = command.get_args().count();
        command.args(arguments);
        let name = name_of(command.get_args().skip(before));
        let input = Input::Bytes(Vec::new());
        Run {
            program: &self.program,
            secrets: &self.settings.secrets,
            command,
            folder: folder.to_owned(),
            name,
            input,
            on_stderr: None,
            silence: None,
        }
    }
}

/// Returns the git command among the arguments: the first one that is neither `-c` nor a setting.
fn name_of<'a>(arguments: impl Iterator<Item = &'a OsStr>) -> String {
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        if argument != "-c" {
            return argument.to_string_lossy().into_owned();
        }
        arguments.next();
    }
    String::new()
}

/// Applies the given settings instead of the user's configuration files and variables.
fn configure(command: &mut Command, settings: &ThirdPartySettings) {
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("GIT_CONFIG_COUNT", settings.iter().len().to_string());
    for (number, (key, value)) in settings.iter().enumerate() {
        command.env(format!("GIT_CONFIG_KEY_{number}"), key).env(format!("GIT_CONFIG_VALUE_{number}"), value);
    }
}

/// Applies changes to the environment that git inherits.
fn inherit(command: &mut Command, changes: &[(String, Option<String>)]) {
    for (name, value) in changes {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
}

/// Makes git fail instead of asking for a password.
fn never_ask(command: &mut Command, own_ssh: bool) {
    command.args(["-c", "core.askPass=", "-c", "credential.interactive=false"]);
    command.env("GIT_TERMINAL_PROMPT", "0").env_remove("GIT_ASKPASS").env_remove("SSH_ASKPASS");
    command.env("SSH_ASKPASS_REQUIRE", "never").env("GCM_INTERACTIVE", "never");
    if !own_ssh {
        command.env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_found_after_its_settings() {
        let name = |arguments: &[&str]| name_of(arguments.iter().map(OsStr::new));
        assert_eq!(name(&["-c", "a=b", "-c", "c=d", "hash-object", "-w"]), "hash-object");
        assert_eq!(name(&["version"]), "version");
        assert_eq!(name(&[]), "");
    }
}
