//! Pushes the mirror branch to remotes of the project's own repository, and fetches it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::error_message::MessageKind;
use super::run::Run;
use super::third_party::{ThirdPartySettings, VARIABLES};
use super::unsuccessful::Unsuccessful;
use super::{Git, GitError, GitSettings, Result};
use crate::model::Remote;

/// The project's own repository, for operations with the system's git.
#[derive(Debug, Clone)]
pub struct ProjectGit {
    pub(super) git: Git,
    directory: PathBuf,
    git_dir: PathBuf,
}

/// Where a fetch writes, apart from the repository until the fetched objects are complete.
#[derive(Debug)]
pub struct FetchTarget<'a> {
    /// The object folder, which has the repository's as an alternate.
    pub objects: &'a Path,
    /// A separate git folder, because git writes `FETCH_HEAD` to it.
    pub git_dir: &'a Path,
    /// The git folder with which `git_dir` shares everything else.
    pub common_dir: &'a Path,
    /// A locked file that becomes the standard input of git, so that other processes know that it is running.
    pub alive: &'a File,
}

/// The outcome of fetching a ref.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// The ref was fetched.
    Fetched {
        /// The commit that the ref points to, as hexadecimal digits.
        commit: String,
    },
    /// The remote does not have the ref.
    Absent,
}

/// The outcome of pushing a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushStatus {
    /// The remote has the commit now.
    Pushed,
    /// The remote already had the commit.
    UpToDate,
    /// The remote's ref has moved to a commit that is not an ancestor of the pushed one.
    Moved,
}

/// Allows a push to replace a ref that has the expected value.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// The commit that the ref must point to, in hexadecimal, or `None` if the ref must not exist.
    pub expected: Option<&'a str>,
}

/// The messages of a remote that rejects an update because another push has just moved the ref (`receive-pack` and
/// `refs.c`, several versions).
const LOST_RACE: [&str; 4] =
    ["cannot lock ref", "failed to update ref", "incorrect old value provided", "failed to lock"];

/// The arguments for fetching exactly the named objects, completely, regardless of the user's settings for the remote:
/// no partial clone filter, no configured refspecs (`--refmap=`), no tags, no submodules.
const FETCH: [&str; 9] = [
    "fetch",
    "--quiet",
    "--no-filter",
    "--refmap=",
    "--no-tags",
    "--no-show-forced-updates",
    "--no-write-commit-graph",
    "--no-recurse-submodules",
    "--no-prune",
];

/// The maximum number of fetches that complete a partial clone's history.
const COMPLETING_ROUNDS: usize = 4;

impl ProjectGit {
    /// Finds git for the repository with the git folder `git_dir`. `directory` is git's working directory, to which
    /// remotes' relative paths refer.
    ///
    /// # Errors
    /// Fails if git is not installed or is too old.
    pub fn find(settings: GitSettings, directory: &Path, git_dir: &Path) -> Result<Self> {
        Ok(Self { git: Git::find(settings)?, directory: directory.to_owned(), git_dir: git_dir.to_owned() })
    }

    /// Returns git for servers other than the project's own, with those of the current settings that are allowed there.
    /// `variable` returns the value of an environment variable.
    ///
    /// # Errors
    /// Fails if the settings cannot be read.
    pub fn for_third_parties(&self, settings: GitSettings, variable: impl Fn(&str) -> Option<String>) -> Result<Git> {
        let listing = self.prepare(&["config", "--null", "--show-scope", "--list"]).output("read its settings")?;
        let of = |(name, key, value): &(&str, &'static str, Option<&str>)| {
            Some((*key, variable(name).map(|own| value.map_or(own, str::to_owned))?))
        };
        let variables: Vec<_> = VARIABLES.iter().filter_map(of).collect();
        let third_party = ThirdPartySettings::of(&listing, &variables);
        Ok(self.git.with(GitSettings { third_party, ..settings }))
    }

    /// Fetches one ref of a remote, and nothing else. Does not update any ref of this repository.
    ///
    /// # Errors
    /// Fails if the remote cannot be reached.
    pub fn fetch(&self, remote: &Remote, reference: &str, target: &FetchTarget<'_>) -> Result<FetchOutcome> {
        refuse_option(remote)?;
        let run = writing_to(self.prepare(&[&FETCH[..], &[remote.secret_text(), reference]].concat()), target)?;
        match run.input_file(alive(target)).finish() {
            Ok(_) => fetched_commit(&target.git_dir.join("FETCH_HEAD"), remote)
                .map(|commit| FetchOutcome::Fetched { commit }),
            Err(Unsuccessful::Reported { text, .. }) if text.contains("couldn't find remote ref") => {
                Ok(FetchOutcome::Absent)
            }
            Err(unsuccessful) => Err(self.failed(remote, "fetch", unsuccessful)),
        }
    }

    /// Fetches the objects that a commit's history lacks in a partial clone. Earlier fetches, including the user's own,
    /// may have left out objects, and git does not fetch objects of a commit that it already has.
    ///
    /// # Errors
    /// Fails if the remote cannot be reached or does not have all of the objects.
    pub fn complete(&self, remote: &Remote, commit: &str, target: &FetchTarget<'_>) -> Result<()> {
        refuse_option(remote)?;
        let mut missing = self.missing(commit, target)?;
        // A tree is sent with everything below it, so one round is enough unless the server leaves something out.
        for _ in 0..COMPLETING_ROUNDS {
            if missing.is_empty() {
                return Ok(());
            }
            // Disables negotiation: the server would not send objects of commits that we claim to have, so their blobs
            // would stay missing.
            let plain = ["-c", "fetch.negotiationAlgorithm=noop"];
            let arguments = [&plain[..], &FETCH[..], &["--stdin", remote.secret_text()]].concat();
            let input = missing.iter().map(|id| format!("{id}\n")).collect::<String>().into_bytes();
            writing_to(self.prepare(&arguments), target)?
                .input(input)
                .finish()
                .map_err(|unsuccessful| self.failed(remote, "fetch", unsuccessful))?;
            missing = self.missing(commit, target)?;
        }
        match missing.first() {
            None => Ok(()),
            Some(first) => {
                let message = format!("it did not send {} objects of {commit}, such as {first}", missing.len());
                Err(GitError::Refused { url: remote.to_string(), message })
            }
        }
    }

    /// Returns the ids of the objects that a commit's history lacks in this repository, as far as the history can be
    /// walked.
    fn missing(&self, commit: &str, target: &FetchTarget<'_>) -> Result<Vec<String>> {
        let arguments = ["--no-replace-objects", "rev-list", "--objects", "--missing=print", commit, "--"];
        let listed = writing_to(self.prepare(&arguments), target)?.output("list the objects of the mirror")?;
        Ok(String::from_utf8_lossy(&listed)
            .lines()
            .filter_map(|line| line.strip_prefix('?'))
            .map(str::to_owned)
            .collect())
    }

    /// Pushes a commit to one ref of a remote, and forces the update only with a lease. The user's hooks do not run.
    /// `alive` becomes the standard input of git, so that other processes know that it is running.
    ///
    /// # Errors
    /// Fails if the remote cannot be reached or rejects the update.
    pub fn push(
        &self,
        remote: &Remote,
        commit: &str,
        reference: &str,
        lease: Option<Lease<'_>>,
        alive: Option<File>,
    ) -> Result<PushStatus> {
        refuse_option(remote)?;
        let arguments = push_arguments(remote, commit, reference, lease);
        let run = self.prepare(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        let run = match alive {
            Some(alive) => run.input_file(Ok(alive)),
            None => run,
        };
        let (report, unsuccessful) = match run.finish() {
            Ok(report) => (report, None),
            Err(mut unsuccessful) => (unsuccessful.take_printed(), Some(unsuccessful)),
        };
        let report = String::from_utf8_lossy(&report);
        match (read_report(&report, reference), unsuccessful) {
            (Some(('!', reason)), _) if is_lost_race(reason) => Ok(PushStatus::Moved),
            (Some(('!', reason)), unsuccessful) => {
                let text = unsuccessful.as_ref().and_then(Unsuccessful::reported);
                let message = text.map_or_else(|| reason.to_owned(), |text| format!("{reason}; {text}"));
                Err(GitError::PushRejected { url: remote.to_string(), reference: reference.to_owned(), message })
            }
            (_, Some(unsuccessful)) => Err(self.failed(remote, "push", unsuccessful)),
            (Some(('=', _)), None) => Ok(PushStatus::UpToDate),
            (_, None) => Ok(PushStatus::Pushed),
        }
    }

    /// Returns the best common ancestor of two commits, or `None` if there is none.
    ///
    /// # Errors
    /// Fails if git cannot be run.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>> {
        match self.prepare(&["merge-base", one, other]).finish() {
            Ok(id) => Ok(Some(String::from_utf8_lossy(id.trim_ascii()).into_owned())),
            Err(Unsuccessful::Error(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns whether the index has files in a folder, which is relative to the worktree's root.
    ///
    /// # Errors
    /// Fails if git cannot read the index.
    pub fn tracks(&self, folder: &Path) -> Result<bool> {
        let folder = folder.to_string_lossy();
        let arguments = ["--literal-pathspecs", "ls-files", "-z", "--", &*folder];
        Ok(!self.prepare(&arguments).output("list the tracked files")?.is_empty())
    }

    /// Adds a value to a setting in this repository's own configuration.
    ///
    /// # Errors
    /// Fails if git cannot write the configuration.
    pub fn add_setting(&self, key: &str, value: &str) -> Result<()> {
        self.prepare(&["config", "--local", "--add", key, value]).output("write a setting").map(drop)
    }

    /// Removes all values of an existing setting from this repository's own configuration.
    ///
    /// # Errors
    /// Fails if git cannot write the configuration.
    pub fn remove_setting(&self, key: &str) -> Result<()> {
        self.prepare(&["config", "--local", "--unset-all", key]).output("remove a setting").map(drop)
    }

    pub(super) fn prepare(&self, arguments: &[&str]) -> Run<'_> {
        self.git.run_in_project(&self.directory, &self.git_dir, arguments)
    }

    /// Returns whether git took the name of a configured remote for an address. Git ignores a configuration file that it
    /// cannot read.
    fn did_not_read_settings(&self, remote: &Remote, text: &str) -> bool {
        let name = remote.secret_text();
        text.contains(&format!("'{name}' does not appear to be a git repository"))
            && self.prepare(&["config", "--get-all", &format!("remote.{name}.url")]).finish().is_ok()
    }

    fn failed(&self, remote: &Remote, command: &str, unsuccessful: Unsuccessful) -> GitError {
        let url = remote.to_string();
        match unsuccessful {
            Unsuccessful::Reported { text, .. } if self.did_not_read_settings(remote, &text) => {
                let folder = self.git_dir.clone();
                GitError::Local { command: command.to_owned(), folder, message: "it did not read its settings".into() }
            }
            Unsuccessful::Reported { text, .. } => MessageKind::of(&text).error(url, command, &self.git_dir, text),
            Unsuccessful::Stalled { seconds } => GitError::Stalled { url, seconds },
            Unsuccessful::Error(error) => error,
        }
    }
}

/// Returns the arguments for pushing a commit to exactly one ref.
fn push_arguments(remote: &Remote, commit: &str, reference: &str, lease: Option<Lease<'_>>) -> Vec<String> {
    let name = remote.secret_text();
    // A remote that is configured as a push mirror does not accept single refs. `-c` cannot set a name with `=`.
    let single = (!name.contains('=')).then(|| ["-c".to_owned(), format!("remote.{name}.mirror=false")]);
    // The sparse algorithm does not find deltas between trees that were renamed.
    let fixed = ["-c", "pack.useSparse=false", "-c", "push.followTags=false", "push", "--no-verify", "--porcelain"];
    let lease = lease.map(|lease| format!("--force-with-lease={reference}:{}", lease.expected.unwrap_or_default()));
    let target = ["--recurse-submodules=no".to_owned(), name.to_owned(), format!("{commit}:{reference}")];
    single.into_iter().flatten().chain(fixed.map(str::to_owned)).chain(lease).chain(target).collect()
}

/// Makes a git process write to a target outside the repository.
pub(super) fn writing_to<'a>(run: Run<'a>, target: &FetchTarget<'_>) -> Result<Run<'a>> {
    // The paths must be absolute, because git runs in another folder.
    let absolute = |path: &Path| fs::canonicalize(path).map_err(GitError::io("read", path));
    let run =
        run.variable("GIT_DIR", absolute(target.git_dir)?).variable("GIT_COMMON_DIR", absolute(target.common_dir)?);
    Ok(run.variable("GIT_OBJECT_DIRECTORY", absolute(target.objects)?))
}

fn alive(target: &FetchTarget<'_>) -> Result<File> {
    target.alive.try_clone().map_err(GitError::io("open", target.objects))
}

/// Parses the fetched commit from git's `FETCH_HEAD`, whose line begins with the commit's id.
fn fetched_commit(path: &Path, remote: &Remote) -> Result<String> {
    let text = fs::read_to_string(path).map_err(GitError::io("read", path))?;
    let id = text.split(['\t', '\n']).next().unwrap_or_default();
    if id.len() == 40 {
        return Ok(id.to_owned());
    }
    // Git only prints a warning about this.
    let message = "it is a shallow repository that does not have the whole history of its mirror".to_owned();
    Err(GitError::Refused { url: remote.to_string(), message })
}

/// Returns the flag and the summary of a ref from the output of `git push --porcelain`: `FLAG TAB FROM:TO TAB SUMMARY`
/// (git-push(1), OUTPUT).
fn read_report<'a>(report: &'a str, reference: &str) -> Option<(char, &'a str)> {
    report.lines().find_map(|line| {
        let mut fields = line.splitn(3, '\t');
        let (flag, refs, summary) = (fields.next()?, fields.next()?, fields.next()?);
        let (_, to) = refs.split_once(':')?;
        (to == reference).then_some((flag.chars().next()?, summary))
    })
}

fn is_lost_race(reason: &str) -> bool {
    reason.starts_with("[rejected]") || LOST_RACE.iter().any(|known| reason.contains(known))
}

fn refuse_option(remote: &Remote) -> Result<()> {
    if remote.secret_text().is_empty() || remote.secret_text().starts_with('-') {
        return Err(GitError::RemoteName { remote: remote.clone() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_parsed_by_ref() {
        let report = "To ../remote.git\n!\tabc:refs/heads/hexmirror\t[rejected] (fetch first)\nDone\n";
        assert_eq!(read_report(report, "refs/heads/hexmirror"), Some(('!', "[rejected] (fetch first)")));
        assert_eq!(read_report(report, "refs/heads/main"), None);
        assert_eq!(read_report("=\ta:b\t[up to date]", "b"), Some(('=', "[up to date]")));
        assert_eq!(read_report(" \ta:b\t1..2", "b"), Some((' ', "1..2")));
    }

    #[test]
    fn a_lost_race_is_distinguished_from_a_rejection() {
        for reason in [
            "[rejected] (fetch first)",
            "[rejected] (non-fast-forward)",
            "[remote rejected] (cannot lock ref 'refs/heads/hexmirror': is at a but expected b)",
            "[remote rejected] (failed to update ref)",
            "[remote rejected] (incorrect old value provided)",
        ] {
            assert!(is_lost_race(reason), "{reason}");
        }
        for reason in
            ["[remote rejected] (pre-receive hook declined)", "[remote rejected] (shallow update not allowed)"]
        {
            assert!(!is_lost_race(reason), "{reason}");
        }
    }

    #[test]
    fn options_are_rejected_as_remotes() {
        assert!(matches!(refuse_option(&"--upload-pack=x".into()), Err(GitError::RemoteName { .. })));
        assert!(refuse_option(&"origin".into()).is_ok());
    }
}
