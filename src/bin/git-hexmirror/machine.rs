//! What to do about this machine's faults: its disk, its limits, its permissions.

/// What the system or git says, with what to do about it; the first that fits counts.
const HINTS: &[(&[&str], &str)] = &[
    (
        &["No space left on device", "Out of diskspace"],
        "make room on that disk and run it again; what was fetched is kept",
    ),
    (&["Disk quota exceeded"], "make room within your quota and run it again; what was fetched is kept"),
    (
        &["File too large", "ulimit -f", "died of signal 25"],
        "raise the limit on the size of files (ulimit -f) and run it again; what was fetched is kept",
    ),
    (&["Input/output error"], "the disk may be failing: see the system's log (dmesg); what was fetched is kept"),
    (
        &["Too many open files"],
        "raise the limit on open files (ulimit -n), or use less at once (--jobs 2), and run it again",
    ),
    (
        &["Resource temporarily unavailable", "thread failed to start", "unable to create thread", "annot fork"],
        "the limit on processes and threads is reached (ulimit -u): raise it or end some, and run it again",
    ),
    (&["Cannot allocate memory", "ut of memory"], "free some memory or raise its limit (ulimit -v), and run it again"),
    (&["Read-only file system"], "that file system is mounted read-only; make it writable and run it again"),
    (
        &[".lock': File exists"],
        "another git process may be at work there; if none is, one was killed: remove that file and run it again",
    ),
    (
        &["invalid index-pack output", "died of signal", "ended by"],
        "a process of git was ended: see what limits this machine sets (ulimit -a), and its log; what was fetched is kept",
    ),
    (&["Permission denied", "insufficient permission"], "you need permission to read and write there"),
];

/// Returns what to do about what an error says, if this machine is to blame for it.
pub fn hint(text: &str) -> Option<&'static str> {
    let fits = |(words, _): &&(&[&str], &str)| words.iter().any(|words| text.contains(words));
    HINTS.iter().find(fits).map(|(_, hint)| *hint)
}
