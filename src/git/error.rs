//! What can go wrong with git as a process, and how that is told from what it prints.

use std::io;
use std::path::{Path, PathBuf};

use crate::model::{GitAddress, GitAddressError, Revision, is_local_complaint, redacted};

/// What went wrong with git. No text of it holds a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GitError {
    /// There is no git, or it may not be run.
    #[error("cannot run {}", program.display())]
    NotRun {
        /// The program.
        program: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Git is too old.
    #[error("git {found} is too old: {needed} is needed")]
    TooOld {
        /// Its version.
        found: String,
        /// The least version that does.
        needed: &'static str,
    },
    /// The server cannot be reached, or the connection broke.
    #[error("{url} cannot be reached: {message}")]
    Unreachable {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// The server refuses the user, or git has no credentials for it.
    #[error("{url} refuses access: {message}")]
    AccessRefused {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// The server has no such repository, or does not show it.
    #[error("there is no repository at {url}: {message}")]
    NoRepository {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// Nothing came for a long time.
    #[error("{url} sent nothing for {seconds} seconds")]
    Stalled {
        /// The repository's address, without a password.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// The repository does not have the commit.
    #[error("{url} does not have the commit {revision}; {refs}")]
    NoRevision {
        /// The repository's address, without a password.
        url: String,
        /// The commit.
        revision: Revision,
        /// What it has.
        refs: Refs,
    },
    /// What the server sent is damaged or hostile.
    #[error("{url} sent what git refuses: {message}")]
    Refused {
        /// The repository's address, without a password.
        url: String,
        /// What git says.
        message: String,
    },
    /// What is to be stored does not have everything that it needs, or not the content that it should.
    #[error("the repository {address} is refused: {message}")]
    Incomplete {
        /// The repository.
        address: GitAddress,
        /// What git says.
        message: String,
    },
    /// A submodule's address cannot be mirrored.
    #[error("the submodule {path:?} of {address} at {revision} cannot be mirrored: its address is {url:?}")]
    Submodule {
        /// The repository that has the submodule.
        address: GitAddress,
        /// The commit of that repository.
        revision: Revision,
        /// Where the submodule is in it.
        path: String,
        /// The submodule's address, without a password.
        url: String,
        /// What is wrong with it.
        #[source]
        source: GitAddressError,
    },
    /// Submodules are nested too deeply, or too many.
    #[error("the submodules of {address} are nested too deeply or too many")]
    TooManySubmodules {
        /// The repository at which this was found.
        address: GitAddress,
    },
    /// The name of a remote would be taken for something else.
    #[error("{remote:?} is not the name or the address of a remote")]
    RemoteName {
        /// The name as given.
        remote: String,
    },
    /// A remote does not take a ref.
    #[error("{url} does not take {reference}: {message}")]
    NotTaken {
        /// The remote's name, or its address without a password.
        url: String,
        /// The ref.
        reference: String,
        /// What it says.
        message: String,
    },
    /// Git failed at something that involves no server.
    #[error("git cannot {action}{}: {message}", within(folder))]
    Failed {
        /// What was attempted, as a verb phrase.
        action: &'static str,
        /// The repository that it ran in.
        folder: PathBuf,
        /// What git says.
        message: String,
    },
    /// Git failed because of this machine: its disk, its limits, its permissions.
    #[error("git {command} failed{}: {message}", within(folder))]
    Local {
        /// Git's command, such as `fetch`.
        command: String,
        /// The repository that it ran in.
        folder: PathBuf,
        /// What git says, or how it ended.
        message: String,
    },
    /// A process of git could not be started or listened to.
    #[error("cannot run git {command}{}", within(folder))]
    Process {
        /// Git's command, such as `fetch`.
        command: String,
        /// The folder that it was to run in.
        folder: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Reading or writing a file failed.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

/// Says in which repository git ran, if it was in one.
fn within(folder: &Path) -> String {
    if folder == Path::new(".") { String::new() } else { format!(" in {}", folder.display()) }
}

/// The refs of a repository, as many as a person reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refs {
    /// The names, without `refs/`.
    pub names: Vec<String>,
    /// How many more there are.
    pub more: usize,
}

impl std::fmt::Display for Refs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.names.is_empty() {
            return f.write_str("it has no refs");
        }
        write!(f, "it has {}", self.names.join(", "))?;
        if self.more > 0 { write!(f, " and {} more", self.more) } else { Ok(()) }
    }
}

impl GitError {
    /// Wraps what the system says of a file, for `map_err`.
    pub(super) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.into(), source }
    }

    /// Tells whether upstream or the network is to blame, and another try may do.
    pub fn is_network(&self) -> bool {
        use GitError::{AccessRefused, NoRepository, NoRevision, NotTaken, Stalled, Unreachable};
        let lasting = matches!(self, AccessRefused { .. } | NoRepository { .. } | NoRevision { .. } | NotTaken { .. });
        lasting || matches!(self, Unreachable { .. } | Stalled { .. })
    }

    /// Returns whether this machine is to blame: what was fetched is then as good as before.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Local { .. } | Self::Process { .. } | Self::Io { .. })
    }

    /// Tells whether what was sent is not what it should be.
    pub fn is_integrity(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Incomplete { .. })
    }

    /// Tells whether the project's own choice of dependencies, or this machine's setup, is to blame.
    pub fn is_usage(&self) -> bool {
        use GitError::{NotRun, RemoteName, Submodule, TooManySubmodules, TooOld};
        let submodule = matches!(self, Submodule { .. } | TooManySubmodules { .. });
        submodule || matches!(self, NotRun { .. } | TooOld { .. } | RemoteName { .. })
    }
}

/// What git's complaint about a server amounts to. One about this machine never gets here: it is a [`GitError::Local`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Complaint {
    AccessRefused,
    NoRepository,
    /// The server does not give a commit by its id alone, or does not have it.
    NotOurRef,
    Broken,
    Network,
}

/// The words by which git's complaints are told apart (with `LC_ALL=C`), the first that fits counting.
const WORDS: &[(Complaint, &[&str])] = &[
    (
        Complaint::AccessRefused,
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "terminal prompts disabled",
            "Permission denied",
            "Host key verification failed",
            "returned error: 401",
            "returned error: 403",
            "returned error: 407",
        ],
    ),
    (
        Complaint::NoRepository,
        &[
            "not found",
            "Not Found",
            "returned error: 404",
            "returned error: 410",
            "does not appear to be a git repository",
            "repository not exported",
            "no such repository",
        ],
    ),
    (Complaint::NotOurRef, &["unadvertised object", "not our ref", "not valid", "no such ref", "remote ref"]),
    // What arrived only in part may look broken as well.
    (Complaint::Network, &["early EOF", "transfer closed with outstanding read data"]),
    (
        Complaint::Broken,
        &[
            "fsck error",
            "bad pack",
            "bad object",
            "SHA1",
            "sha1 mismatch",
            "inconsistent",
            "unresolved delta",
            "corrupt",
            "inflate",
            "did not send all necessary objects",
            "pack signature mismatch",
            "pack has",
            "pack version",
            "garbage at end",
            "bad line length",
            "protocol error",
            "unsupported pack",
            "disallowed",
            "is not a commit",
        ],
    ),
];

impl Complaint {
    /// Finds out what a complaint amounts to.
    pub fn of(text: &str) -> Self {
        let said = |words: &&(Self, &[&str])| words.1.iter().any(|word| text.contains(word));
        WORDS.iter().find(said).map_or(Self::Network, |(complaint, _)| *complaint)
    }

    /// Makes the error that it is.
    pub fn error(self, url: String, message: String) -> GitError {
        match self {
            Self::AccessRefused => GitError::AccessRefused { url, message },
            Self::NoRepository => GitError::NoRepository { url, message },
            Self::Broken => GitError::Refused { url, message },
            Self::NotOurRef | Self::Network => GitError::Unreachable { url, message },
        }
    }
}

/// All that `git fetch` has to say if the process that writes the pack was ended by a signal, mostly that of a limit. If the
/// network were to blame, that process would have said that what it read ended early.
const ENDED_SILENTLY: &str = "fetch-pack: invalid index-pack output";

/// Returns what is wrong with this machine, if it is to blame for a failure of git. `said` is what git printed for people,
/// `ending` says which signal ended it, if one did.
pub(super) fn local_fault(said: &[u8], ending: Option<String>) -> Option<String> {
    let blames = is_local_complaint(&String::from_utf8_lossy(said)) || readable(said) == ENDED_SILENTLY;
    match ending {
        Some(ending) if said.trim_ascii().is_empty() => Some(ending),
        Some(ending) => Some(format!("{ending}; {}", readable(said))),
        None => blames.then(|| readable(said)),
    }
}

/// How many of the last lines that git prints count.
const LAST: usize = 4;

/// Makes what git printed fit for one line of a message: what is progress is left out, and passwords and control
/// characters with it. Its last lines count, and the first one that it calls an error: what follows is often only advice.
pub(super) fn readable(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let said = |line: &&str| {
        let line = line.trim_start_matches("remote: ");
        let progress =
            ["Enumerating", "Counting", "Compressing", "Total", "Receiving", "Resolving", "warning:", "hint:"];
        !line.trim().is_empty() && !progress.iter().any(|begin| line.starts_with(begin))
    };
    let lines: Vec<&str> = text.split(['\n', '\r']).filter(said).collect();
    let last = lines.len().saturating_sub(LAST);
    let is_error = |line: &&&str| line.starts_with("fatal: ") || line.starts_with("error: ");
    let first = lines[..last].iter().find(is_error);
    let told = first.into_iter().chain(&lines[last..]).copied().collect::<Vec<_>>().join("; ");
    let shown: String = redacted(&told).chars().filter(|c| !c.is_control()).take(600).collect();
    if shown.is_empty() {
        "git did not say why".to_owned()
    } else {
        shown.replace("fatal: ", "").replace("error: ", "")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn complaints_are_told_apart() {
        for (text, expected) in [
            ("fatal: unable to access 'https://h/': Could not resolve host: h", Complaint::Network),
            ("fatal: unable to connect to h:\nh[0: 127.0.0.1]: errno=Connection refused", Complaint::Network),
            ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", Complaint::Network),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", Complaint::AccessRefused),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote", Complaint::AccessRefused),
            ("fatal: repository 'http://h/x/' not found", Complaint::NoRepository),
            ("fatal: remote error: access denied or repository not exported: /x", Complaint::NoRepository),
            ("error: Server does not allow request for unadvertised object 12", Complaint::NotOurRef),
            ("fatal: remote error: upload-pack: not our ref 12", Complaint::NotOurRef),
            ("error: object 12: gitmodulesUrl: x\nfatal: fsck error in packed object", Complaint::Broken),
            ("fatal: pack has 3 unresolved deltas", Complaint::Broken),
            ("error: inflate: data stream error\nfatal: early EOF", Complaint::Network),
        ] {
            assert_eq!(Complaint::of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_writer_that_ended_silently_is_this_machines_fault() {
        let progress = b"remote: Counting objects: 3, done.\nReceiving objects: 10%\r";
        let after_progress = |text: &[u8]| local_fault(&[&progress[..], text].concat(), None);
        assert!(after_progress(b"fatal: fetch-pack: invalid index-pack output\n").is_some());
        assert_eq!(after_progress(b"fatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n"), None);
        let ended = local_fault(b"fatal: x\n", Some("it was ended by SIGKILL".into()));
        assert_eq!(ended.as_deref(), Some("it was ended by SIGKILL; x"));
    }

    #[test]
    fn what_git_says_becomes_one_harmless_line() {
        let said =
            b"remote: Counting objects: 3, done.\rReceiving objects: 10%\rfatal: no 'https://u:p@h/'\x1b[31m\n\n";
        assert_eq!(readable(said), "no 'https://***@h/'[31m");
        assert_eq!(readable(b"\n"), "git did not say why");
        let advised = b"fatal: 'x' is not a repository\nfatal: Could not read\na\nb\nc\nd\n";
        assert_eq!(readable(advised), "'x' is not a repository; a; b; c; d");
    }
}
