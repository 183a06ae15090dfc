//! Hints for faults of this machine: its disk, its limits, its permissions.

/// Parts of messages of the system or git, each with a hint. The first match counts.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["No space left on device", "Out of diskspace"],
        "free some space on that disk and run the command again; nothing that was complete is lost",
    ),
    (
        &["Disk quota exceeded"],
        "free some space within your quota and run the command again; nothing that was complete is lost",
    ),
    (
        &["File too large", "ulimit -f", "died of signal 25"],
        "raise the limit on file sizes (ulimit -f) and run the command again; nothing that was complete is lost",
    ),
    (
        &["Input/output error"],
        "the disk may be failing: check the system log (dmesg); nothing that was complete is lost",
    ),
    (
        &["Too many open files"],
        "raise the limit on open files (ulimit -n), or reduce the number of parallel requests (--jobs 2), and run the command again",
    ),
    (
        &["Resource temporarily unavailable", "thread failed to start", "unable to create thread", "annot fork"],
        "the limit on processes and threads (ulimit -u) is reached: raise it or end some processes, and run the command again",
    ),
    (
        &["Cannot allocate memory", "ut of memory"],
        "free some memory or raise its limit (ulimit -v), and run the command again",
    ),
    (&["Read-only file system"], "that file system is mounted read-only: make it writable and run the command again"),
    (
        &[".lock': File exists"],
        "another git process may be running in this repository; if none is, an earlier one was killed: remove that file and run the command again",
    ),
    (
        &["File exists", "Is a directory", "Not a directory"],
        "something else is in the way there: move it away, and run the command again",
    ),
    (
        &["invalid index-pack output", "died of signal", "ended by"],
        "a git process was killed: check this machine's limits (ulimit -a) and its system log; nothing that was complete is lost",
    ),
    (
        &["/.git\nPermission denied"],
        "the repository belongs to another user: run the command as that user, or let this one read it; in a container, run it with the owner's id (docker run --user UID:GID)",
    ),
    (&["Permission denied", "insufficient permission"], "check that you may read and write that file or folder"),
];

/// Returns a hint for an error's text if this machine caused the error.
pub fn hint(text: &str) -> Option<&'static str> {
    let fits = |(words, _): &&(&[&str], &str)| words.iter().any(|words| text.contains(words));
    HINTS.iter().find(fits).map(|(_, hint)| *hint)
}
