//! Faults of this machine: no room, no files, no processes, a failing disk.
//!
//! They are told apart from faults of a server or of the network, since what to do about them is different: nobody else can
//! help, and trying another server does not.

use std::error::Error;
use std::io;

/// How a line begins that is not about this machine, or about no failure.
const REMOTE: &[&str] = &["remote: ", "remote error: ", "remote unpack failed: ", "! [remote ", "warning: ", "hint: "];

/// What the system, git and the libraries that git uses print when this machine is at fault (with `LC_ALL=C`).
const WORDS: &[&str] = &[
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
    // Of the repository that this program names by GIT_DIR; a server says "does not appear to be a git repository".
    "not a git repository: '/",
    ".lock': File exists",
];

/// What git begins a line with that is about a file of this machine, if the line ends with `Permission denied`.
const ABOUT_FILES: &[&str] = &[
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

/// Returns whether the system refused something for want of room, files, memory or processes, or because a disk fails.
///
/// A missing permission is not among these: whether that is this machine's depends on what was asked for.
pub fn is_local(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull, WouldBlock};
    let kinds = [OutOfMemory, QuotaExceeded, ReadOnlyFilesystem, ResourceBusy, StorageFull, WouldBlock];
    kinds.contains(&error.kind()) || has_local_number(error)
}

/// Those that have no [`io::ErrorKind`], or one that this program uses as well: a lock may be too large.
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

/// Finds the fault of this machine among an error and its causes.
pub fn local_cause<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e io::Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        let io = error.downcast_ref::<io::Error>();
        if let Some(io) = io.filter(|io| is_local(io)) {
            return Some(io);
        }
        // `io::Error` does not show the error that it wraps as its source.
        let wrapped = io.and_then(io::Error::get_ref).map(|wrapped| -> &(dyn Error + 'static) { wrapped });
        next = wrapped.or_else(|| error.source());
    }
    None
}

/// Returns whether what a program printed blames this machine. What it only passes on from a server does not count.
pub fn is_local_complaint(text: &str) -> bool {
    text.split(['\n', '\r']).flat_map(|line| line.split("; ")).any(|line| {
        let line = line.trim_start();
        let line = ["fatal: ", "error: "].iter().find_map(|begin| line.strip_prefix(begin)).unwrap_or(line);
        let is_remote = REMOTE.iter().any(|begin| line.starts_with(begin)) || line.contains("(unable to ");
        let is_file = line.ends_with("Permission denied") && ABOUT_FILES.iter().any(|begin| line.starts_with(begin));
        !is_remote && (is_file || WORDS.iter().any(|words| line.contains(words)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn numbers_of_this_machine_are_told_from_others() {
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
    fn a_local_cause_is_found_however_deep_it_is() {
        let full = || io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
        let wrapped = io::Error::other(io::Error::new(io::ErrorKind::ConnectionRefused, full()));
        assert!(local_cause(&wrapped).is_some());
        assert!(local_cause(&io::Error::other("no cause")).is_none());
        assert!(local_cause(&io::Error::from(io::ErrorKind::ConnectionReset)).is_none());
    }

    #[test]
    fn complaints_about_this_machine_are_told_from_others() {
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
            assert!(is_local_complaint(text), "{text}");
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
            assert!(!is_local_complaint(text), "{text}");
        }
    }
}
