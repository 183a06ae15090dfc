"""Runs a program and all of its children under ptrace, and kills or fails them at one chosen system call.

`strace --inject` counts the calls of each thread separately, so it cannot select, for example, the fifth `write` of the
`git index-pack` that a fetch starts. This module identifies a call by a *site*: the kind of process, the name of the call, and
its number among the calls of that name in processes of that kind. A run without a fault lists the sites. The next run has the
same sites, unless threads run in another order.

A seccomp filter stops the program only at the traced calls. Requires Linux on x86-64 and no other programs.
"""

import ctypes
import os
import platform
import signal
import struct

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]

TRACEME, CONT, GETREGS, SETREGS, SYSCALL, SETOPTIONS = 0, 7, 12, 13, 24, 0x4200
# Distinguish system calls from signals; report fork, vfork, clone, exec and seccomp; kill the tracees with the tracer.
OPTIONS = 0x01 | 0x02 | 0x04 | 0x08 | 0x10 | 0x80 | 0x100000
SYSCALL_STOP = signal.SIGTRAP | 0x80
EVENT_EXEC, EVENT_SECCOMP = 4, 7
WALL = 0x40000000

# The traced calls: they change something outside of the process, wait for another process, or may fail.
CALLS = {
    "read": 0, "write": 1, "open": 2, "close": 3, "stat": 4, "lstat": 6, "mmap": 9, "pread64": 17, "pwrite64": 18,
    "writev": 20, "pipe": 22, "dup2": 33, "sendfile": 40, "socket": 41, "connect": 42, "sendto": 44, "recvfrom": 45,
    "sendmsg": 46, "bind": 49, "listen": 50, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "exit": 60, "wait4": 61,
    "kill": 62, "fcntl": 72, "flock": 73, "fsync": 74, "fdatasync": 75, "truncate": 76, "ftruncate": 77, "getcwd": 79,
    "chdir": 80, "rename": 82, "mkdir": 83, "rmdir": 84, "creat": 85, "link": 86, "unlink": 87, "symlink": 88,
    "readlink": 89, "chmod": 90, "fchmod": 91, "chown": 92, "utime": 132, "getdents64": 217, "exit_group": 231,
    "openat": 257, "mkdirat": 258, "newfstatat": 262, "unlinkat": 263, "renameat": 264, "linkat": 265, "symlinkat": 266,
    "readlinkat": 267, "fchmodat": 268, "faccessat": 269, "utimensat": 280, "fallocate": 285, "accept4": 288,
    "eventfd2": 290, "epoll_create1": 291, "dup3": 292, "pipe2": 293, "prlimit64": 302, "sync_file_range": 277,
    "renameat2": 316, "copy_file_range": 326, "statx": 332, "clone3": 435, "faccessat2": 439,
}  # fmt: skip
NAMES = {number: name for name, number in CALLS.items()}
# The calls that change a file, a lock or a process, or send data to a process. A kill before any other call leaves the same
# state as a kill before the next one of these. `create` is an openat that may create a file; `dup` and `lock` are forms of fcntl.
CHANGES = {
    "create", "write", "pwrite64", "writev", "sendfile", "connect", "sendto", "sendmsg", "clone", "clone3", "fork", "vfork",
    "execve", "kill", "flock", "lock", "fsync", "fdatasync", "truncate", "ftruncate", "rename", "renameat", "renameat2",
    "mkdir", "mkdirat", "rmdir", "link", "linkat", "unlink", "unlinkat", "symlink", "symlinkat", "chmod", "fchmod",
    "fchmodat", "utimensat", "fallocate", "copy_file_range", "exit_group", "wait4",
}  # fmt: skip
CREATE = 0o100
FCNTL = {0: "dup", 1030: "dup", 6: "lock", 7: "lock", 37: "lock", 38: "lock"}
# The index of the argument that is a path.
PATHS = {
    "open": 0, "openat": 1, "create": 1, "creat": 0, "mkdir": 0, "mkdirat": 1, "rename": 1, "renameat": 3, "renameat2": 3, "link": 1,
    "linkat": 3, "unlink": 0, "unlinkat": 1, "rmdir": 0, "chmod": 0, "fchmodat": 1, "stat": 0, "lstat": 0, "newfstatat": 1,
    "statx": 1, "readlink": 0, "readlinkat": 1, "symlink": 1, "symlinkat": 2, "utimensat": 1, "execve": 0, "chdir": 0,
}  # fmt: skip
# The calls whose first argument is the descriptor of the file.
DESCRIPTORS = {
    "read", "write", "close", "pread64", "pwrite64", "writev", "sendfile", "fcntl", "dup", "lock", "flock", "fsync", "fdatasync",
    "ftruncate", "fchmod", "getdents64", "fallocate", "copy_file_range",
}  # fmt: skip
# Indexes into `struct user_regs_struct`.
ARGUMENTS = (14, 13, 12, 7, 9, 8)
RAX, ORIG_RAX = 10, 15


def missing():
    """Returns why processes cannot be traced on this machine, or None if they can."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return "tracing needs Linux on x86-64"
    try:
        return None if trace(["/bin/true"], "/", dict(os.environ)).code == 0 else "programs cannot be traced"
    except OSError as error:
        return f"programs cannot be traced: {error}"


class Run:
    """The outcome of a traced run."""

    def __init__(self):
        self.code = None
        self.sites = []
        # The site of the fault, as (kind of process, call, number), and the file that the call referred to.
        self.struck = None
        self.about = ""
        self.timed_out = False
        self.output = ""


def trace(
    command, folder, environment, strike=None, action=None, lasting=(), seconds=30, record=False, calls=None, spare=()
):
    """Runs a command until it ends.

    The calling process must have no other children. `action` is the fault at the site `strike`: "child" kills the process,
    "group" kills all processes, and an errno makes the call fail. Processes whose kind begins with an element of `spare` play
    another machine: they and their children (whose kinds begin with `remote`) survive "group". After a failure with an errno,
    later calls on files that are named in `lasting` fail with the same errno.
    """
    run = Run()
    read, write = os.pipe()
    root = os.fork()
    if root == 0:
        try:
            os.close(read)
            null = os.open("/dev/null", os.O_RDONLY)
            os.dup2(null, 0)
            os.dup2(write, 1)
            os.dup2(write, 2)
            os.closerange(3, 64)
            os.chdir(folder)
            os.setpgid(0, 0)
            _call(TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            _filter(calls or CALLS)
            os.execvpe(command[0], command, environment)
        finally:
            os._exit(127)
    os.close(write)
    tracer = _Tracer(run, root, strike, action, lasting, record, spare)

    # If git starts the program as a hook, this git belongs to the user.
    tracer.users = command[0] == "git"

    def expire(*_):
        run.timed_out = True
        tracer.kill_all(spare=False)

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    # The output is read after the processes have ended, so the pipe must be large enough for all of it.
    _enlarge(read)
    try:
        tracer.loop()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    os.set_blocking(read, False)
    try:
        run.output = os.read(read, 1 << 20).decode(errors="replace")
    except BlockingIOError:
        pass
    os.close(read)
    return run


class _Tracer:
    def __init__(self, run, root, strike, action, lasting, record, spare):
        self.run, self.root, self.strike, self.action = run, root, strike, action
        self.lasting, self.record, self.spare = lasting, record, spare
        # The process of each task; the kind and the parent of each process.
        self.tasks, self.kinds, self.parents = {root: root}, {root: "start"}, {}
        self.counts = {}
        self.users = False
        self.begun = False
        # A task whose current call must fail after it was executed, and the errno.
        self.failing = None
        self.registers = (ctypes.c_ulonglong * 27)()

    def loop(self):
        # Continues until there are no children, because a new process whose parent was killed may not have been reported yet.
        while True:
            try:
                task, status = os.waitpid(-1, WALL)
            except ChildProcessError:
                return
            if os.WIFEXITED(status) or os.WIFSIGNALED(status):
                self.tasks.pop(task, None)
                if task == self.root:
                    self.run.code = os.waitstatus_to_exitcode(status)
            elif os.WIFSTOPPED(status):
                self.stopped(task, os.WSTOPSIG(status), status >> 16)

    def stopped(self, task, number, event):
        deliver, go = 0, CONT
        if task not in self.tasks:
            self.adopt(task)
        elif not self.begun:
            _call(SETOPTIONS, task, data=OPTIONS)
            self.begun = True
        elif event == EVENT_SECCOMP:
            go = self.entered(task) or CONT
        elif number == SYSCALL_STOP:
            self.fail(task)
        elif event == EVENT_EXEC:
            process = self.tasks[task]
            remote = "remote " if self.is_remote(self.parents.get(process)) else ""
            users = "user's " if process == self.root and self.users else ""
            self.kinds[process] = remote + users + _kind(process)
        elif event == 0 and number != signal.SIGSTOP:
            deliver = number
        _call(go, task, data=deliver, may_be_gone=True)

    def is_remote(self, process):
        return self.kinds.get(process, "").startswith((*self.spare, "remote "))

    def fail(self, task):
        """Makes a call fail after it was executed."""
        if self.failing and self.failing[0] == task:
            registers = self.registers
            if _call(GETREGS, task, data=ctypes.addressof(registers), may_be_gone=True) >= 0:
                registers[RAX] = (1 << 64) - self.failing[1]
                _call(SETREGS, task, data=ctypes.addressof(registers), may_be_gone=True)
            self.failing = None

    def adopt(self, task):
        process, parent = _status(task)
        self.tasks[task] = process
        if process not in self.kinds:
            self.parents[process] = parent
            kind = self.kinds.get(parent, "?")
            self.kinds[process] = kind if kind.endswith("'") else kind + "'"

    def entered(self, task):
        registers = self.registers
        if _call(GETREGS, task, data=ctypes.addressof(registers), may_be_gone=True) < 0:
            return None
        name = NAMES.get(registers[ORIG_RAX])
        if name is None:
            return None
        if name == "openat" and registers[ARGUMENTS[2]] & CREATE:
            name = "create"
        elif name == "fcntl":
            name = FCNTL.get(registers[ARGUMENTS[1]], name)
        process = self.tasks[task]
        kind = self.kinds[process]
        key = (kind, name)
        count = self.counts[key] = self.counts.get(key, 0) + 1
        site = (kind, name, count)
        if self.record:
            self.run.sites.append((site, _about(task, name, registers)))
        if site != self.strike:
            if self.run.struck and name in self.lasting and not self.is_remote(process):
                about = _about(task, name, registers)
                if about.startswith("/") and not about.startswith(("/dev/", "/proc/")):
                    self.refuse(task)
            return None
        self.run.struck, self.run.about = site, _about(task, name, registers)
        if self.action == "child":
            _kill(process)
        elif self.action == "group":
            self.kill_all(spare=True)
        elif name == "close":
            # A failing close closes the file nevertheless.
            self.failing = (task, self.action)
            return SYSCALL
        else:
            self.refuse(task)
        return None

    def refuse(self, task):
        """Makes the call that a task enters fail without executing it."""
        self.registers[ORIG_RAX] = (1 << 64) - 1
        self.registers[RAX] = (1 << 64) - self.action
        _call(SETREGS, task, data=ctypes.addressof(self.registers), may_be_gone=True)

    def kill_all(self, spare):
        for process in set(self.tasks.values()):
            if not (spare and self.is_remote(process)):
                _kill(process)


def _kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def _call(request, task, data=0, may_be_gone=False):
    result = libc.ptrace(request, task, None, data)
    if result < 0 and not may_be_gone:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")
    return result


def _enlarge(pipe):
    import fcntl

    fcntl.fcntl(pipe, 1031, 1 << 20)


def _filter(calls):
    """Installs a filter that stops this process and its children at the given calls."""
    numbers = [CALLS[name] for name in calls]
    code = [(0x20, 0, 0, 0)]
    code += [(0x15, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    code += [(0x06, 0, 0, 0x7FFF0000), (0x06, 0, 0, 0x7FF00000)]
    program = b"".join(struct.pack("HBBI", *line) for line in code)
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HxxxxxxQ", len(code), ctypes.addressof(buffer))
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.create_string_buffer(header), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter is refused")


def _status(task):
    process = parent = task
    try:
        with open(f"/proc/{task}/status") as file:
            for line in file:
                if line.startswith("Tgid:"):
                    process = int(line[5:])
                elif line.startswith("PPid:"):
                    parent = int(line[5:])
                    break
    except (FileNotFoundError, ProcessLookupError):
        pass
    return process, parent


def _kind(process):
    """Returns the kind of a process: `git-hexmirror`, `git fetch`, `sh`, …"""
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            words = file.read().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return "?"
    name = os.path.basename(words[0])
    if name != "git":
        return name
    skip = False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in ("-c", "-C"):
            skip = True
        elif not word.startswith("-"):
            return f"git {word}"
    return name


def _about(task, name, registers):
    """Returns the file that a call refers to, or an empty string if it is unknown."""
    try:
        if name in PATHS:
            with open(f"/proc/{task}/mem", "rb", buffering=0) as memory:
                memory.seek(registers[ARGUMENTS[PATHS[name]]])
                path = memory.read(256).split(b"\0")[0].decode(errors="replace")
            if path or name not in ("newfstatat", "statx"):
                return path
            return os.readlink(f"/proc/{task}/fd/{registers[ARGUMENTS[0]]}")
        if name in DESCRIPTORS:
            path = os.readlink(f"/proc/{task}/fd/{registers[ARGUMENTS[0]]}")
            return path + "/" if name == "close" and os.path.isdir(path) else path
    except (OSError, OverflowError, ValueError):
        pass
    return ""
