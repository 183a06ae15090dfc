//! Classifies the error messages that git prints.

use std::path::Path;

use super::GitError;
use crate::model::{is_local_message, redacted};

/// The kind of an error message about a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MessageKind {
    AccessRefused,
    NoRepository,
    /// The server does not serve a commit by its id, or does not have it.
    NotOurRef,
    Broken,
    Network,
    /// The message is not known to be about a server, so the cause is on this machine.
    Local,
}

/// The phrases that identify git's messages (with `LC_ALL=C`). The first match wins.
const WORDS: &[(MessageKind, &[&str])] = &[
    (
        MessageKind::AccessRefused,
        &[
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "terminal prompts disabled",
            "Permission denied (",
            "Permission denied, please",
            "remote: Permission",
            "Host key verification failed",
            "returned error: 401",
            "returned error: 403",
            "returned error: 407",
        ],
    ),
    (
        MessageKind::NoRepository,
        &[
            "epository not found",
            "' not found",
            "Not Found",
            "remote: The project you were looking for could not be found",
            "returned error: 404",
            "returned error: 410",
            "does not appear to be a git repository",
            "repository not exported",
            "no such repository",
        ],
    ),
    (
        MessageKind::NotOurRef,
        &[
            "unadvertised object",
            "not our ref",
            "not a valid",
            "is not valid",
            "not valid:",
            "no such ref",
            "remote ref",
        ],
    ),
    (MessageKind::Broken, &["remote: bad object", "remote: fatal: bad object"]),
    // The check of received objects could not read what a ref of this repository points to (`.alternate`, because the
    // objects are received in a folder apart). What was received has no such names.
    (MessageKind::Local, &["bad object .alternate", "bad object refs/"]),
    // A child process of git could not open the repository that git itself had opened.
    (MessageKind::Local, &["--stdin requires a git repository"]),
    // A truncated transfer may also look corrupt, so these phrases are checked first.
    (MessageKind::Network, &["early EOF", "transfer closed with outstanding read data"]),
    (MessageKind::Broken, BROKEN),
    (
        MessageKind::Network,
        &[
            "ould not resolve",
            "unable to look up",
            "onnection refused",
            "onnection reset",
            "onnection closed",
            "onnection timed out",
            "onnection was",
            "peration timed out",
            "timed out",
            "is unreachable",
            "No route to host",
            "unable to access 'http",
            "unable to connect",
            "ailed to connect",
            "ouldn't connect",
            "ould not connect",
            "returned error:",
            "RPC failed",
            "curl ",
            "SSL",
            "TLS",
            "certificate",
            "roxy",
            "ould not read from remote",
            "hung up",
            "packet write failed",
            "Broken pipe",
            "unexpected disconnect",
            "mpty reply",
            "invalid server response",
            "expected flush",
            "unexpected flush",
            "remote error",
            "remote: ",
            "ssh: ",
            "kex_",
            "transport '",
            "name resolution",
            "redirect",
            "invalid index-pack output",
        ],
    ),
];

/// Phrases that mean that received or stored data is corrupt.
const BROKEN: &[&str] = &[
    "fsck error",
    "bad pack",
    "bad object",
    "bad tree",
    "bad sha1",
    "SHA1",
    "sha1 mismatch",
    "hash mismatch",
    "inconsistent",
    "unresolved delta",
    "corrupt",
    "inflate",
    "did not send all necessary objects",
    "pack signature mismatch",
    "pack has",
    "pack version",
    "packfile",
    "truncated",
    "garbage at end",
    "bad line length",
    "protocol error",
    "unsupported pack",
    "disallowed",
    "is not a commit",
];

/// Phrases that mean that a repository lacks something or that an object is malformed.
const INCOMPLETE: &[&str] = &[
    "missing ",
    "broken link",
    "error in ",
    "unable to parse object",
    "unable to read ",
    "Could not read ",
    "Failed to traverse",
    "revision walk setup failed",
    "not a tree",
    "not a blob",
];

/// Returns whether git found that a repository is incomplete or has a malformed object. All other messages are about
/// git's own work on this machine.
pub(super) fn is_finding(text: &str) -> bool {
    BROKEN.iter().chain(INCOMPLETE).any(|words| text.contains(words))
}

impl MessageKind {
    /// Classifies an error message.
    pub fn of(text: &str) -> Self {
        let said = |words: &&(Self, &[&str])| words.1.iter().any(|word| text.contains(word));
        WORDS.iter().find(said).map_or(Self::Local, |(kind, _)| *kind)
    }

    /// Builds the error for a command that ran in a folder.
    pub fn error(self, url: String, command: &str, folder: &Path, message: String) -> GitError {
        match self {
            Self::Local => GitError::Local { command: command.to_owned(), folder: folder.to_owned(), message },
            Self::AccessRefused => GitError::AccessRefused { url, message },
            Self::NoRepository => GitError::NoRepository { url, message },
            Self::Broken => GitError::Refused { url, message },
            Self::NotOurRef | Self::Network => GitError::Unreachable { url, message },
        }
    }
}

/// The whole output of `git fetch` if a signal, usually due to a resource limit, ended the process that writes the
/// pack. If the network were the cause, that process would have reported an early end of its input.
const ENDED_SILENTLY: &str = "fetch-pack: invalid index-pack output";

/// Returns a description of the local fault if this machine is to blame for a failure of git. `said` is what git
/// printed on standard error. `own` are the folders that git was told to use. `ending` describes the signal that ended
/// git, if there was one.
pub(super) fn local_fault(said: &[u8], own: &[&str], ending: Option<String>) -> Option<String> {
    let blames = is_local_message(&String::from_utf8_lossy(said), own) || readable(said) == ENDED_SILENTLY;
    match ending {
        Some(ending) if said.trim_ascii().is_empty() => Some(ending),
        Some(ending) => Some(format!("{ending}; {}", readable(said))),
        None => blames.then(|| readable(said)),
    }
}

/// The number of lines at the end of git's output that are kept.
const LAST: usize = 4;

/// Converts git's standard error to one line for an error message, without progress output and passwords. Keeps the
/// last lines, and the first line that git marks as an error, because the lines after it are often only advice.
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
    let shown: String = redacted(&told).chars().take(600).collect();
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
    fn messages_are_classified() {
        for (text, expected) in [
            ("fatal: unable to access 'https://h/': Could not resolve host: h", MessageKind::Network),
            ("fatal: unable to access '/home/u/.config/git/config': Unknown", MessageKind::Local),
            ("fatal: not a git repository: '/p/.git'", MessageKind::Local),
            ("fatal: unable to parse command-line config", MessageKind::Local),
            ("fatal: something that nobody thought of", MessageKind::Local),
            ("error: object 29b1 not found", MessageKind::Local),
            ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", MessageKind::NoRepository),
            ("fatal: unable to connect to h:\nh[0: 127.0.0.1]: errno=Connection refused", MessageKind::Network),
            ("fatal: early EOF\nfatal: fetch-pack: invalid index-pack output", MessageKind::Network),
            ("fatal: could not read Username for 'https://h': terminal prompts disabled", MessageKind::AccessRefused),
            ("git@h: Permission denied (publickey).\nfatal: Could not read from remote", MessageKind::AccessRefused),
            ("fatal: repository 'http://h/x/' not found", MessageKind::NoRepository),
            ("fatal: remote error: access denied or repository not exported: /x", MessageKind::NoRepository),
            ("error: Server does not allow request for unadvertised object 12", MessageKind::NotOurRef),
            ("fatal: remote error: upload-pack: not our ref 12", MessageKind::NotOurRef),
            ("error: object 12: gitmodulesUrl: x\nfatal: fsck error in packed object", MessageKind::Broken),
            ("fatal: pack has 3 unresolved deltas", MessageKind::Broken),
            ("fatal: bad object 29b1\nerror: h did not send all necessary objects", MessageKind::Broken),
            ("remote: fatal: bad object .alternate", MessageKind::Broken),
            ("fatal: bad object .alternate\nerror: h did not send all necessary objects", MessageKind::Local),
            ("fatal: bad object refs/heads/x\nerror: h did not send all necessary objects", MessageKind::Local),
            ("fatal: offset beyond end of packfile (truncated pack?)", MessageKind::Broken),
            (
                "fatal: --stdin requires a git repository\nfatal: fetch-pack: invalid index-pack output",
                MessageKind::Local,
            ),
            ("send-pack: packet write failed: Broken pipe", MessageKind::Network),
            ("error: inflate: data stream error\nfatal: early EOF", MessageKind::Network),
        ] {
            assert_eq!(MessageKind::of(text), expected, "{text}");
        }
    }

    #[test]
    fn a_writer_that_ended_silently_is_this_machines_fault() {
        let progress = b"remote: Counting objects: 3, done.\nReceiving objects: 10%\r";
        let after_progress = |text: &[u8]| local_fault(&[&progress[..], text].concat(), &[], None);
        assert!(after_progress(b"fatal: fetch-pack: invalid index-pack output\n").is_some());
        assert_eq!(after_progress(b"fatal: early EOF\nfatal: fetch-pack: invalid index-pack output\n"), None);
        let ended = local_fault(b"fatal: x\n", &[], Some("it was ended by SIGKILL".into()));
        assert_eq!(ended.as_deref(), Some("it was ended by SIGKILL; x"));
    }

    #[test]
    fn git_output_becomes_one_line() {
        let said =
            b"remote: Counting objects: 3, done.\rReceiving objects: 10%\rfatal: no 'https://u:p@h/'\x1b[31m\n\n";
        assert_eq!(readable(said), "no 'https://***@h/'\x1b[31m");
        assert_eq!(readable(b"\n"), "git did not say why");
        let advised = b"fatal: 'x' is not a repository\nfatal: Could not read\na\nb\nc\nd\n";
        assert_eq!(readable(advised), "'x' is not a repository; a; b; c; d");
    }
}
