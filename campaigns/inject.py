"""Makes system calls fail. Nothing may be lost, exit code and message must be right, and the next run must complete."""

import errno
import multiprocessing
import os
import random
import re

import tracer
import world
from findings import Clock, Findings, figures
from trial import Scene, Trial

TITLES = (
    "command",
    "calls",
    "errors",
    "not reached",
    "harmless",
    "lost",
    "stuck",
    "panics",
    "code",
    "path",
    "misleading",
    "left",
)
WRONG = TITLES[5:]
# The errors of each call. Calls for memory (mmap, brk) are omitted, because a program without memory cannot report it.
ERRORS = {
    "create": "ENOSPC EDQUOT EACCES EROFS EMFILE EIO",
    "openat": "EACCES EMFILE EIO ENFILE",
    "write": "ENOSPC EIO EDQUOT EINTR",
    "pwrite64": "ENOSPC EIO EDQUOT",
    "writev": "ENOSPC EIO",
    "read": "EIO EINTR",
    "pread64": "EIO",
    "close": "EIO",
    "fsync": "EIO ENOSPC",
    "fdatasync": "EIO ENOSPC",
    "ftruncate": "EIO",
    "fallocate": "EOPNOTSUPP ENOSPC",
    "copy_file_range": "EXDEV ENOSPC",
    "sendfile": "EIO",
    "mkdir": "ENOSPC EACCES EROFS EDQUOT",
    "rename": "ENOSPC EACCES EROFS EIO",
    "renameat": "ENOSPC EACCES EROFS EIO",
    "renameat2": "ENOSPC EACCES EROFS EIO",
    "link": "EPERM EMLINK ENOSPC",
    "linkat": "EPERM EMLINK ENOSPC EXDEV",
    "unlink": "EACCES EROFS EIO",
    "unlinkat": "EACCES EROFS EIO",
    "rmdir": "EACCES EROFS",
    "fchmod": "EPERM",
    "chmod": "EPERM",
    "utimensat": "EPERM",
    "clone": "EAGAIN ENOMEM",
    "clone3": "EAGAIN ENOMEM",
    "vfork": "EAGAIN ENOMEM",
    "execve": "ENOMEM EACCES E2BIG",
    "socket": "EMFILE ENOBUFS",
    "connect": "ECONNREFUSED ENETUNREACH ETIMEDOUT",
    "sendto": "ECONNRESET",
    "recvfrom": "ECONNRESET EINTR",
    "dup": "EMFILE",
    "lock": "ENOLCK",
    "flock": "ENOLCK EINTR",
    "statx": "EACCES EIO",
    "newfstatat": "EACCES EIO",
    "getdents64": "EIO",
    "readlink": "EIO EACCES",
    "pipe2": "EMFILE",
    "dup3": "EMFILE",
    "eventfd2": "EMFILE",
    "epoll_create1": "EMFILE",
    "chdir": "EACCES",
    "getcwd": "ENOMEM",
}
# The calls that also fail if the cause persists, such as a full disk.
WRITING = ("create", "mkdir", "rename", "renameat", "renameat2", "link", "linkat", "symlink")
LASTING = {
    "ENOSPC": ("write", "pwrite64", "writev", "ftruncate", "fallocate", *WRITING),
    "EDQUOT": ("write", "pwrite64", "writev", *WRITING),
    "EROFS": ("unlink", "unlinkat", "rmdir", "chmod", "fchmod", "utimensat", *WRITING),
    "EMFILE": ("openat", "create", "dup"),
}
TRACED = [name for name in tracer.CALLS if name in ERRORS or name == "fcntl"]
NETWORK = ("connect", "sendto", "recvfrom", "socket")
# A program cannot report anything while it is being loaded.
LOADING = re.compile(r"^(/usr|/usr/local)?/lib|^/etc/ld\.so|^/proc/self|^/sys/|^/dev/null")
# Pipes have no I/O errors, and closing a folder does not fail.
PIPE = re.compile(r"^(pipe|socket):|/$")
# Files for which the exit code may report an unusable lock or setting.
SETTINGS = re.compile(
    r"(mix\.lock|rebar\.lock|\.hexmirror\.toml|config|hexpm\.pem|\.gitconfig|gitattributes|ignore|project|\.git)$"
)
PATH = re.compile(r"(^|[\s'\"`(=:])(/|\.{1,2}/|\.git\b|refs/|objects/|hexmirror/)[\w./@#+-]*|\b[0-9a-f]{10,40}\b")
FILE = re.compile(r"(?<![\w.])/[\w./@+-]*\w")
MISLEADING = ("check the network", "install git", "please tell", "Install git")
ADDRESS = re.compile(r"\w+://\S+")
_trials = {}


def judge(scene, run, lasts, done):
    """Returns the findings about the program's reaction to an error."""
    network = run.struck[1] in NETWORK or run.about.startswith("socket:")
    wrong = []
    # The same cause may also kill the user's own git.
    died = run.code is not None and run.code < 0 and scene.name != "git-push"
    if "panicked" in run.output or run.code in (101, 134, 139) or died:
        wrong.append(("panics", f"code {run.code}"))
    elif run.code == 0:
        if not done:
            wrong.append(("lost", "exit code 0, but the command is incomplete"))
        return wrong
    about_settings = (
        SETTINGS.search(run.about)
        or ".hexmirror.toml\n" in run.output
        # A folder on the way to a file that the user's settings name.
        or any(run.about and file.startswith(run.about) and SETTINGS.search(file) for file in FILE.findall(run.output))
    )
    allowed = {5} | ({3} if network else set()) | ({2} if about_settings else set())
    if run.struck[0] == "git rev-list" and "missing blob object" in run.output:
        # If git cannot inspect an object's file, it assumes that the remote did not send the object.
        return wrong
    if scene.name == "git-push":
        allowed |= {1, 128, -13}
    if run.code not in allowed and ("panics", f"code {run.code}") not in wrong:
        wrong.append(("code", f"code {run.code} rather than {' or '.join(map(str, sorted(allowed)))}"))
    said = ADDRESS.sub("", run.output)
    # Later errors with the same cause may concern other files.
    about_file = run.about and ":[" not in run.about and not network and not lasts
    if about_file and not PATH.search(said):
        wrong.append(("path", "no path"))
    if not network:
        wrong += [("misleading", f"{text!r}") for text in MISLEADING if text in run.output]
    return wrong


def _job(job):
    name, site, error, lasts = job
    trial = _trials.setdefault(name, Trial(_scenes[name]))
    run, _, found, _ = trial.strike(site, getattr(errno, error), TRACED, LASTING[error] if lasts else ())
    # Threads may run in another order, so the site may be another call.
    if not run.struck or not may_fail(run.struck, run.about):
        return job, None, "", []
    wrong = [("lost" if kind == "damaged" else kind, text) for kind, text in found]
    if site[1] in ("unlink", "unlinkat", "rmdir"):
        # The file could not be removed. The next command that removes stale files deletes it; a hook with nothing to do is
        # not such a command.
        wrong = [(kind, text) for kind, text in wrong if kind != "left"]
    if not run.timed_out:
        wrong += [(kind, f"{text}\n{run.output}") for kind, text in judge(trial.scene, run, lasts, trial.done)]
    return job, run.code, run.about, wrong


def may_fail(site, about):
    """Returns whether an error at a call is realistic and tests this program."""
    kind, call, _ = site
    if world.is_remote(kind) or kind.startswith("user's ") or (kind == "sh" and "/hooks/" in about):
        return False
    if PIPE.search(about) and call in ("read", "write", "writev", "close"):
        return False
    return call in ERRORS and not LOADING.search(about) and not about.startswith("anon_inode:")


def jobs(scene, count, seed):
    """Returns the errors. Every kind of call (by process, name and file) occurs once before any occurs twice."""
    draw = random.Random(f"{seed} {scene.name}")
    sites = [(site, about) for site, about in scene.sites if may_fail(site, about)]
    draw.shuffle(sites)
    alike = {}
    for site, about in sites:
        alike.setdefault((site[0], site[1], world.plain(os.path.basename(about))), []).append(site)
    work = []
    while alike and len(work) < count:
        for group in list(alike):
            site = alike[group].pop()
            error = draw.choice(ERRORS[site[1]].split())
            work.append((scene.name, site, error, error in LASTING and draw.random() < 0.5))
            if not alike[group]:
                del alike[group]
    draw.shuffle(work)
    return work[:count], len(sites)


def campaign(arguments):
    if reason := tracer.missing():
        print(f"skipped: {reason}")
        return 0
    global _scenes
    clock = Clock("inject", arguments.count)
    with world.World() as place:
        names = arguments.only or world.SCENARIOS
        _scenes = {name: Scene(place, name) for name in names}
        work, rows, findings = [], {}, Findings()
        for name, scene in _scenes.items():
            share, calls = jobs(scene, max(1, arguments.count // len(names)), arguments.seed)
            work += share
            rows[name] = dict.fromkeys(TITLES, 0) | {"calls": calls}
        random.Random(arguments.seed).shuffle(work)
        with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
            for done, (job, code, about, wrong) in enumerate(pool.imap_unordered(_job, work, chunksize=4)):
                name, site, error, lasts = job
                row = rows[name]
                row["errors" if about or code is not None else "not reached"] += 1
                row["harmless"] += code == 0
                for kind in {kind for kind, _ in wrong}:
                    row[kind] += 1
                for kind, text in wrong:
                    findings.add(
                        kind,
                        text,
                        f"{name}, {'lasting ' if lasts else ''}{error} for {' '.join(map(str, site))} {world.plain(about)}",
                    )
                clock.tell(done)
        figures(TITLES, rows)
        print(f"{clock.seconds():.0f} s")
        findings.show()
        return 1 if findings.seen else 0
