//! Failures of this machine: a full disk, too many open files or processes, a failing disk.
//!
//! They are distinguished from failures of a server or of the network because they need another remedy: retrying or
//! trying another server does not help.

use std::error::Error;
use std::io;

/// Prefixes of lines that report on another machine, or that do not report a failure.
const REMOTE_PREFIXES: &[&str] =
    &["remote: ", "remote error: ", "remote unpack failed: ", "! [remote ", "warning: ", "hint: "];

/// Messages that the system, git and git's libraries print when this machine is at fault (with `LC_ALL=C`).
const LOCAL_MESSAGES: &[&str] = &[
    "No space left on device",
    "Out of diskspace",
    "Disk quota exceeded",
    "File too large",
    "Input/output error",
    "Read-only file system",
    "Too many open files",
    "Resource temporarily unavailable",
    "Cannot allocate memory",
    "Out of memory",
    "out of memory",
    "unable to create",
    "unable to write",
    "unable to fork",
    "cannot fork",
    "Cannot fork",
    "fork failed",
    "cannot create async thread",
    "thread failed to start",
    "insufficient permission for adding an object",
    "could not create work tree dir",
    "died of signal",
    "error while loading shared libraries",
    "unable to get current working directory",
    "cannot fstat",
    "command-line config",
    "reading the configuration files",
    "bad object refs/",
    "killed by signal",
    // Refers to the repository that this program passes in GIT_DIR. A server says "does not appear to be a git
    // repository".
    "not a git repository: '/",
    ".lock': File exists",
];

/// The system's messages that may be about a file of this machine or about a connection.
const REFUSALS: &[&str] = &["Permission denied", "Operation not permitted", "Interrupted system call"];

/// Prefixes of git's messages about a local file. They count only if the line ends with one of [`REFUSALS`].
const FILE_PREFIXES: &[&str] = &[
    "cannot open",
    "could not open",
    "cannot create",
    "could not create",
    "cannot mkdir",
    "failed to",
    "unable to open",
    "unable to access '/",
    "Invalid path '",
];

/// Returns whether the system refused an operation for lack of disk space, files, memory or processes, or because a disk
/// fails.
///
/// A missing permission does not count, because whether this machine is at fault then depends on the operation.
pub fn is_local(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull, WouldBlock};
    let kinds = [OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull, WouldBlock];
    kinds.contains(&error.kind()) || has_local_number(error)
}

/// Checks the error numbers that have no [`io::ErrorKind`] of their own, or that share one with errors of this program
/// (such as a lock file that is too large).
#[cfg(unix)]
fn has_local_number(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let numbers = [Errno::FBIG, Errno::IO, Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOLCK, Errno::NXIO];
    Errno::from_io_error(error).is_some_and(|number| numbers.contains(&number))
}

#[cfg(not(unix))]
fn has_local_number(_: &io::Error) -> bool {
    false
}

/// Returns the first failure of this machine among an error and its causes.
pub fn local_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if let Some(io) = io.filter(|io| is_local(io)) {
            return Some(io);
        }
        // `io::Error::source` skips the error that it wraps and returns that error's source.
        let wrapped = io.and_then(io::Error::get_ref).map(|wrapped| -> &(dyn Error + 'static) { wrapped });
        next = wrapped.or_else(|| error.source());
    }
    None
}

/// Returns whether the output of a program blames this machine. Messages that the program relays from a server do not
/// count. `own` are folders of this machine that the program was told to use: if the system refuses access to a file
/// there, this machine is at fault, whatever the program's words for it are.
pub fn is_local_message(text: &str, own: &[&str]) -> bool {
    text.split(['\n', '\r']).flat_map(|line| line.split("; ")).any(|line| {
        let line = line.trim_start();
        let line = ["fatal: ", "error: "].iter().find_map(|begin| line.strip_prefix(begin)).unwrap_or(line);
        let is_remote = REMOTE_PREFIXES.iter().any(|begin| line.starts_with(begin)) || line.contains("(unable to ");
        let is_file = || {
            FILE_PREFIXES.iter().any(|begin| line.starts_with(begin)) || own.iter().any(|folder| line.contains(folder))
        };
        let is_refused = REFUSALS.iter().any(|end| line.ends_with(end)) && is_file();
        !is_remote && (is_refused || LOCAL_MESSAGES.iter().any(|words| line.contains(words)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn error_numbers_of_this_machine_are_recognised() {
        use rustix::io::Errno;
        let of = |number: Errno| is_local(&io::Error::from_raw_os_error(number.raw_os_error()));
        let local = [
            Errno::NOSPC,
            Errno::DQUOT,
            Errno::FBIG,
            Errno::IO,
            Errno::ROFS,
            Errno::MFILE,
            Errno::NFILE,
            Errno::NOMEM,
            Errno::AGAIN,
            Errno::NOBUFS,
        ];
        for number in local {
            assert!(of(number), "{number}");
        }
        let others = [
            Errno::CONNREFUSED,
            Errno::CONNRESET,
            Errno::TIMEDOUT,
            Errno::HOSTUNREACH,
            Errno::NETUNREACH,
            Errno::PIPE,
            Errno::NOENT,
            Errno::ACCESS,
            Errno::PERM,
            Errno::ADDRINUSE,
        ];
        for number in others {
            assert!(!of(number), "{number}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn nested_local_causes_are_found() {
        let full = || io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::ConnectionRefused, full()));
        assert!(local_cause(&wrapped).is_some());
        assert!(local_cause(&io::Error::other("no cause")).is_none());
        assert!(local_cause(&io::Error::from(io::ErrorKind::ConnectionReset)).is_none());
    }

    #[test]
    fn messages_about_this_machine_are_recognised() {
        for text in [
            "fatal: write error: No space left on device\nfatal: index-pack failed",
            "fatal: write error: Out of diskspace",
            "error: unable to create temporary file: Permission denied",
            "fatal: unable to create thread: Resource temporarily unavailable",
            "error: cannot create async thread: Resource temporarily unavailable",
            "error: cannot fork to run index-pack: Resource temporarily unavailable",
            "error: index-pack died of signal 25\nfatal: fetch-pack: invalid index-pack output",
            "fatal: unable to access 'https://h/': getaddrinfo() thread failed to start",
            "fatal: Unable to create '/x/.git/refs/heads/hexmirror.lock': File exists.",
            "error: cannot open '.git/FETCH_HEAD': Permission denied",
            "error: insufficient permission for adding an object to repository database /x/.git/objects",
            "fatal: failed to read object 12: Input/output error",
            "git-receive-pack '../remote.git': 1: Cannot fork",
            "fatal: not a git repository: '/x/.git'\nremote unpack failed: eof before pack header was fully read",
            "could not fetch; out of memory, malloc failed",
        ] {
            assert!(is_local_message(text, &[]), "{text}");
        }
        for text in [
            "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "remote: fatal: write error: No space left on device\nfatal: the remote end hung up unexpectedly",
            "fatal: remote error: upload-pack: Resource temporarily unavailable",
            "error: remote unpack failed: unable to create temporary object directory",
            " ! [remote rejected] a -> b (unable to write)\nerror: failed to push some refs to 'h'",
            "fatal: unable to access 'https://h/': Could not resolve host: h",
            "fatal: early EOF\nfatal: fetch-pack: invalid index-pack output",
            "warning: unable to access '/root/.config/git/attributes': Permission denied\nfatal: early EOF",
        ] {
            assert!(!is_local_message(text, &[]), "{text}");
        }
    }

    #[test]
    fn a_refused_file_in_an_own_folder_is_a_local_error() {
        let text = "error: couldn't read /p/.git/objects/incoming/git/packed-refs: Permission denied\n\
                    error: ../remote.git did not send all necessary objects";
        assert!(is_local_message(text, &["/home/u", "/p/.git/objects/incoming"]));
        assert!(!is_local_message(text, &["/home/u"]));
        assert!(!is_local_message(&format!("remote: {text}"), &["/p/.git"]));
        assert!(!is_local_message("ssh: /p/.git: it went away", &["/p/.git"]));
    }
}
