//! Takes the mirror branch to remotes of the project's own repository, and brings it from there.

use std::path::{Path, PathBuf};

use super::complaint::Complaint;
use super::process::{Run, Unsuccessful};
use super::{Git, GitError, GitSettings, Result};
use crate::model::redacted;

/// The project's own repository, for the system git.
#[derive(Debug, Clone)]
pub struct ProjectGit {
    pub(super) git: Git,
    directory: PathBuf,
    git_dir: PathBuf,
}

/// What bringing a ref comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Brought {
    /// The ref is here now.
    Here,
    /// The remote does not have it.
    Absent,
}

/// What taking a commit to a remote comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// The remote has the commit now.
    Done,
    /// The remote had it already.
    UpToDate,
    /// The remote's ref has moved, and what it has is not in what was pushed.
    Moved,
}

/// That a push may replace what a ref stands on.
#[derive(Debug, Clone, Copy)]
pub struct Lease<'a> {
    /// What the ref must stand on for that, in hexadecimal; `None` where it must not be there.
    pub expected: Option<&'a str>,
}

/// Why a remote turns a ref away that somebody else has just moved (`receive-pack` and `refs.c`, several versions).
const LOST_RACE: [&str; 4] =
    ["cannot lock ref", "failed to update ref", "incorrect old value provided", "failed to lock"];

/// A fetch of what is named and nothing else, completely, whatever the user's settings say of the remote: no filter of a
/// partial clone, no refs of theirs (`--refmap=`), no tags, no submodules.
const FETCH: [&str; 9] = [
    "fetch",
    "--quiet",
    "--no-filter",
    "--refmap=",
    "--no-tags",
    "--no-show-forced-updates",
    "--no-write-fetch-head",
    "--no-recurse-submodules",
    "--no-prune",
];

/// How often is asked for what a partial clone lacks.
const COMPLETING_ROUNDS: usize = 4;

impl ProjectGit {
    /// Finds git for the repository of `git_dir`; `directory` is where it runs, from which the addresses of remotes that are
    /// paths are seen.
    ///
    /// # Errors
    /// Fails where there is no git, or it is too old.
    pub fn find(settings: GitSettings, directory: &Path, git_dir: &Path) -> Result<Self> {
        Ok(Self { git: Git::find(settings)?, directory: directory.to_owned(), git_dir: git_dir.to_owned() })
    }

    /// Fetches one ref of a remote, and nothing else, into one of this repository's, wherever that stands.
    ///
    /// # Errors
    /// Fails where the remote cannot be reached.
    pub fn bring(&self, remote: &str, reference: &str, into: &str) -> Result<Brought> {
        refuse_option(remote)?;
        let refspec = format!("+{reference}:{into}");
        match self.run(&[&FETCH[..], &[remote, &refspec]].concat()) {
            Ok(_) => Ok(Brought::Here),
            Err(Unsuccessful::Complaint { text, .. }) if text.contains("couldn't find remote ref") => {
                Ok(Brought::Absent)
            }
            Err(unsuccessful) => Err(self.failed(remote, "fetch", unsuccessful)),
        }
    }

    /// Fetches what the history of a commit lacks here, in a partial clone: earlier fetches, also the user's own, left objects
    /// out, and git does not fetch them again with a commit that is there.
    ///
    /// # Errors
    /// Fails if the remote cannot be reached, or does not have all of it.
    pub fn complete(&self, remote: &str, commit: &str) -> Result<()> {
        refuse_option(remote)?;
        let mut missing = self.missing(commit)?;
        // A tree arrives with everything below it, so one round does, unless the server leaves something out.
        for _ in 0..COMPLETING_ROUNDS {
            if missing.is_empty() {
                return Ok(());
            }
            // Without negotiation: what is said to be here would not be sent, and its blobs would stay away.
            let plain = ["-c", "fetch.negotiationAlgorithm=noop"];
            let arguments = [&plain[..], &FETCH[..], &["--stdin", remote]].concat();
            let input = missing.iter().map(|id| format!("{id}\n")).collect::<String>().into_bytes();
            self.prepare(&arguments)
                .input(input)
                .finish()
                .map_err(|unsuccessful| self.failed(remote, "fetch", unsuccessful))?;
            missing = self.missing(commit)?;
        }
        match missing.first() {
            None => Ok(()),
            Some(first) => {
                let message = format!("it does not send {} objects of {commit}, such as {first}", missing.len());
                Err(GitError::Refused { url: redacted(remote), message })
            }
        }
    }

    /// Returns the ids of the objects that the history of a commit lacks here, as far as it can be walked.
    fn missing(&self, commit: &str) -> Result<Vec<String>> {
        let arguments = ["--no-replace-objects", "rev-list", "--objects", "--missing=print", commit, "--"];
        let listed = self.prepare(&arguments).output("list the objects of the mirror")?;
        Ok(String::from_utf8_lossy(&listed)
            .lines()
            .filter_map(|line| line.strip_prefix('?'))
            .map(str::to_owned)
            .collect())
    }

    /// Pushes a commit to one ref of a remote; by force only with a lease. The user's hooks do not run.
    ///
    /// # Errors
    /// Fails where the remote cannot be reached or does not take it.
    pub fn take(&self, remote: &str, commit: &str, reference: &str, lease: Option<Lease<'_>>) -> Result<Taken> {
        refuse_option(remote)?;
        let lease = lease.map(|lease| format!("--force-with-lease={reference}:{}", lease.expected.unwrap_or_default()));
        let refspec = format!("{commit}:{reference}");
        // Without the sparse way, the deltas of trees that were renamed are found.
        let fixed = ["-c", "pack.useSparse=false", "-c", "push.followTags=false", "push", "--no-verify", "--porcelain"];
        // A remote that `git push` mirrors everything to takes no single ref.
        let single = format!("remote.{remote}.mirror=false");
        let single: &[&str] = if remote.contains('=') { &[] } else { &["-c", &single] };
        let forced: Vec<&str> = lease.iter().map(String::as_str).collect();
        let run = self.run(&[single, &fixed, &forced, &["--recurse-submodules=no", remote, &refspec]].concat());
        let (report, unsuccessful) = match run {
            Ok(report) => (report, None),
            Err(Unsuccessful::Complaint { text, printed }) => {
                (printed.clone(), Some(Unsuccessful::Complaint { text, printed }))
            }
            Err(unsuccessful) => (Vec::new(), Some(unsuccessful)),
        };
        let report = String::from_utf8_lossy(&report);
        match (read_report(&report, reference), unsuccessful) {
            (Some(('!', reason)), _) if is_lost_race(reason) => Ok(Taken::Moved),
            (Some(('!', reason)), unsuccessful) => {
                let told = match unsuccessful {
                    Some(Unsuccessful::Complaint { text, .. }) => format!("; {text}"),
                    _ => String::new(),
                };
                let message = format!("{reason}{told}");
                Err(GitError::NotTaken { url: redacted(remote), reference: reference.to_owned(), message })
            }
            (_, Some(unsuccessful)) => Err(self.failed(remote, "push", unsuccessful)),
            (Some(('=', _)), None) => Ok(Taken::UpToDate),
            (_, None) => Ok(Taken::Done),
        }
    }

    /// Returns the best common ancestor of two commits, or `None` where there is none.
    ///
    /// # Errors
    /// Fails where git cannot be run.
    pub fn merge_base(&self, one: &str, other: &str) -> Result<Option<String>> {
        match self.run(&["merge-base", one, other]) {
            Ok(id) => Ok(Some(String::from_utf8_lossy(id.trim_ascii()).into_owned())),
            Err(Unsuccessful::Error(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn run(&self, arguments: &[&str]) -> Result<Vec<u8>, Unsuccessful> {
        self.prepare(arguments).finish()
    }

    fn prepare(&self, arguments: &[&str]) -> Run<'_> {
        self.git.run_in_project(&self.directory, &self.git_dir, arguments)
    }

    fn failed(&self, remote: &str, command: &str, unsuccessful: Unsuccessful) -> GitError {
        let url = redacted(remote);
        match unsuccessful {
            Unsuccessful::Complaint { text, .. } => Complaint::of(&text).error(url, command, &self.git_dir, text),
            Unsuccessful::Stalled { seconds } => GitError::Stalled { url, seconds },
            Unsuccessful::Error(error) => error,
        }
    }
}

/// Returns the flag and the summary of a ref in what `git push --porcelain` prints: `FLAG TAB FROM:TO TAB SUMMARY`
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

fn refuse_option(remote: &str) -> Result<()> {
    if remote.is_empty() || remote.starts_with('-') {
        return Err(GitError::RemoteName { remote: remote.to_owned() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read_by_ref() {
        let report = "To ../remote.git\n!\tabc:refs/heads/hexmirror\t[rejected] (fetch first)\nDone\n";
        assert_eq!(read_report(report, "refs/heads/hexmirror"), Some(('!', "[rejected] (fetch first)")));
        assert_eq!(read_report(report, "refs/heads/main"), None);
        assert_eq!(read_report("=\ta:b\t[up to date]", "b"), Some(('=', "[up to date]")));
        assert_eq!(read_report(" \ta:b\t1..2", "b"), Some((' ', "1..2")));
    }

    #[test]
    fn a_lost_race_is_told_from_a_refusal() {
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
    fn options_are_no_remotes() {
        assert!(matches!(refuse_option("--upload-pack=x"), Err(GitError::RemoteName { .. })));
        assert!(refuse_option("origin").is_ok());
    }
}
