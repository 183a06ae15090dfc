"""Sets up the environment of the campaigns: projects with remotes, a Hex repository and a git server, all in one folder.

A scenario is a template that is copied for every run. It contains a project in the state before a command, and its remote.
"""

import hashlib
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from upstream import Upstream, free_port

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
# The date of every commit. A fixed date makes the same work produce the same objects.
DATE = "2026-01-02T03:04:05Z"
BRANCH = "refs/heads/hexmirror"
SCENARIOS = ("init", "update", "first-update", "push", "pull", "prune", "compact", "git-push")
COMMANDS = {
    "init": ["git-hexmirror", "init"],
    "update": ["git-hexmirror", "update"],
    "first-update": ["git-hexmirror", "update"],
    "push": ["git-hexmirror", "push"],
    "pull": ["git-hexmirror", "pull"],
    "prune": ["git-hexmirror", "prune", "--keep-days=0"],
    "compact": ["git-hexmirror", "compact"],
    "git-push": ["git", "push", "--quiet", "origin", "main"],
}
# The processes that play the remote machine.
REMOTE = ("git receive-pack", "git-receive-pack", "git-upload-pack", "git upload-pack")


def is_remote(kind):
    """Returns whether a process of this kind plays the remote machine."""
    return kind.startswith((*REMOTE, "remote "))


class Failed(Exception):
    """A command failed that must succeed."""


def build():
    """Builds the program and the example that publishes packages. Returns the folder of the build."""
    flags = ["--release"] if os.environ.get("PROFILE") == "release" else []
    command = ["cargo", "build", "--quiet", "--locked", "--bin", "git-hexmirror", "--example", "hex_world", *flags]
    subprocess.run(command, cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(ROOT, target, "release" if flags else "debug")


def revision():
    """Returns the revision of the sources."""
    git = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    return git.stdout.strip() or "unknown"


class World:
    """The folder of the campaign. Leaving the context removes it."""

    def __init__(self, packages=8, folder=None):
        examples = build()
        self.bin = os.environ.get("HEXMIRROR_BIN", examples)
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = tempfile.mkdtemp(prefix="hexmirror-campaign-", dir=folder or memory)
        self.home = self.path("home")
        os.mkdir(self.home)
        self.environment = {
            "PATH": self.bin + ":" + os.environ["PATH"],
            "HOME": self.home,
            "TMPDIR": self.path("tmp"),
            "LC_ALL": "C.UTF-8",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_DATE": DATE,
            "GIT_COMMITTER_DATE": DATE,
        }
        os.mkdir(self.path("tmp"))
        self.daemon = None
        self.run([os.path.join(examples, "examples/hex_world"), self.folder, str(packages)], "")
        with open(self.path("lock-lines")) as file:
            lines = (line.rstrip("\n").split("\t") for line in file)
            self.lines = {(name, version): line for name, version, line in lines}
        self.packages = sorted({name for name, _ in self.lines})
        self.upstream = Upstream(self.path("upstream"))
        self._forge()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.upstream.stop()
        if self.daemon:
            os.killpg(self.daemon.pid, signal.SIGKILL)
            self.daemon.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def attempt(self, command, folder, seconds=120, **environment):
        """Runs a command and returns its exit code (None if it timed out) and its output."""
        try:
            ran = subprocess.run(
                command,
                cwd=self.path(folder),
                env={**self.environment, **environment},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
            )
        except subprocess.TimeoutExpired as expired:
            return None, (expired.stdout or b"").decode(errors="replace")
        return ran.returncode, ran.stdout.decode(errors="replace")

    def run(self, command, folder, **environment):
        """Runs a command that must succeed, and returns its output."""
        code, text = self.attempt(command, folder, **environment)
        if code != 0:
            raise Failed(f"{' '.join(command)} in {folder}: {code}: {text}")
        return text

    def git(self, folder, *arguments):
        return self.run(["git", *arguments], folder).strip()

    def mirror(self, folder, *arguments):
        return self.run(["git-hexmirror", *arguments], folder)

    def _forge(self):
        """Starts a git server, known as https://forge.test/, with a repository of three commits."""
        port = free_port()
        with open(os.path.join(self.home, ".gitconfig"), "w") as file:
            file.write(
                "[user]\n\tname = Campaign\n\temail = campaign@example.com\n[init]\n\tdefaultBranch = main\n"
                f'[url "git://127.0.0.1:{port}/"]\n\tinsteadOf = https://forge.test/\n'
            )
        os.makedirs(self.path("forge"))
        self.git("forge", "init", "--quiet", "lib.git")
        self.revisions = []
        for number in range(3):
            with open(self.path("forge/lib.git/mix.exs"), "w") as file:
                file.writelines(f"# line {line} of {number}\n" for line in range(400))
            self.git("forge/lib.git", "add", "--all")
            self.git("forge/lib.git", "commit", "--quiet", f"--message=Commit {number}")
            self.revisions.append(self.git("forge/lib.git", "rev-parse", "HEAD"))
        command = ["git", "daemon", "--listen=127.0.0.1", f"--port={port}", "--export-all", "--reuseaddr"]
        command += [f"--base-path={self.path('forge')}", "--log-destination=none", self.path("forge")]
        self.daemon = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, start_new_session=True)
        wait_for(port)

    def lock(self, folder, releases, revision=None):
        """Writes a project's mix.lock, which pins packages (as number and version) and a commit of the git server."""
        lines = ["%{"] + [self.lines[self.packages[number], version] for number, version in releases]
        if revision is not None:
            address, commit = "https://forge.test/lib.git", self.revisions[revision]
            lines.append(f'  "lib": {{:git, "{address}", "{commit}", []}},')
        # A server reads it at any time, and an empty lock pins nothing.
        path = self.path(folder, "mix.lock")
        with open(path + ".new", "w") as file:
            file.write("\n".join(lines) + "\n}\n")
        os.replace(path + ".new", path)

    def project(self, folder):
        """Creates a project and its remote, `project` and `remote.git` in a folder."""
        os.makedirs(self.path(folder))
        self.git(folder, "init", "--quiet", "--bare", "--template=", "remote.git")
        self.git(folder, "init", "--quiet", "--template=", "project")
        project = os.path.join(folder, "project")
        self.git(project, "remote", "add", "origin", "../remote.git")
        self.git(project, "config", "hexmirror.hexpm.url", self.upstream.url)
        self.git(project, "config", "hexmirror.hexpm.publicKey", self.path("hexpm.pem"))
        # Background maintenance would run at unpredictable times.
        for name in (project, os.path.join(folder, "remote.git")):
            self.git(name, "config", "gc.auto", "0")
            self.git(name, "config", "receive.autogc", "false")
        return project

    def commit_lock(self, project, message):
        self.git(project, "add", "--all")
        self.git(project, "commit", "--quiet", f"--message={message}")

    def scenario(self, name):
        """Creates the template of a scenario and returns its folder."""
        folder = os.path.join("templates", name)
        project = self.project(folder)
        before = [(number, "1.0.0") for number in range(4)]
        after = [(0, "1.1.0"), (1, "2.0.0"), (2, "1.0.0"), (3, "1.0.0"), (4, "1.0.0")]
        self.lock(project, before, 0)
        self.commit_lock(project, "Lock")
        self.git(project, "push", "--quiet", "--set-upstream", "origin", "main")
        if name == "first-update":
            return folder
        self.mirror(project, "update", "--quiet")
        self.mirror(project, "push", "--quiet")
        if name == "init":
            # A clone with the user's own hooks, and a remote that has a mirror.
            self.git(project, "update-ref", "-d", BRANCH)
            os.makedirs(self.path(project, ".git/hooks"))
            for hook in ("pre-push", "post-merge"):
                with open(self.path(project, ".git/hooks", hook), "w") as file:
                    file.write("#!/bin/sh\nexit 0\n")
                os.chmod(file.name, 0o755)
            return folder
        if name in ("push", "pull"):
            # Another clone has pushed a package that this mirror lacks.
            self.git(folder, "clone", "--quiet", "--template=", "remote.git", "other")
            other = os.path.join(folder, "other")
            for setting in ("hexmirror.hexpm.url", "hexmirror.hexpm.publicKey"):
                self.git(other, "config", setting, self.git(project, "config", setting))
            self.lock(other, [*before, (5, "1.0.0")], 0)
            self.mirror(other, "update", "--quiet")
            self.mirror(other, "push", "--quiet")
            shutil.rmtree(self.path(other))
        self.lock(project, after, 1)
        if name == "update":
            return folder
        self.mirror(project, "update", "--quiet")
        if name in ("prune", "compact"):
            self.commit_lock(project, "Lock")
            self.git(project, "push", "--quiet")
            self.mirror(project, "push", "--quiet")
        if name == "git-push":
            self.mirror(project, "hooks", "install", "--quiet")
            self.commit_lock(project, "Lock")
        return folder

    def copy(self, template, folder):
        # Preserves the file times, because git's index depends on them.
        subprocess.run(["cp", "-a", self.path(template), self.path(folder)], check=True)

    def remove(self, folder):
        shutil.rmtree(self.path(folder), ignore_errors=True)

    def hooks(self, folder):
        """Returns the content of every hook of a project, by its path."""
        contents = {}
        for path in sorted(files(self.path(folder, "project"))):
            if path.startswith("hooks") and "/." not in path:
                with open(self.path(folder, "project/.git", path), "rb") as file:
                    contents[path] = file.read()
        return contents

    def tip(self, repository):
        """Returns the commit of the mirror branch, read without git, or None if the branch is absent."""
        return ref(self.path(repository), BRANCH)

    def tree(self, repository):
        """Returns the tree of the mirror branch, None if the branch is absent, or git's error if it cannot be read."""
        if self.tip(repository) is None:
            return None
        return self.attempt(["git", "rev-parse", "--verify", f"{BRANCH}^{{tree}}"], repository)[1].strip()


def wait_for(port):
    """Waits until a server listens on a port."""
    for _ in range(500):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    raise Failed(f"no server listens on port {port}")


def git_dir(repository):
    inner = os.path.join(repository, ".git")
    return inner if os.path.isdir(inner) else repository


def ref(repository, name):
    folder = git_dir(repository)
    try:
        with open(os.path.join(folder, name), errors="replace") as file:
            return file.read().strip()
    except FileNotFoundError:
        pass
    try:
        with open(os.path.join(folder, "packed-refs"), errors="replace") as file:
            for line in file:
                if line.rstrip("\n").endswith(" " + name):
                    return line.split(" ")[0]
    except FileNotFoundError:
        pass
    return None


OBJECT = re.compile(r"objects/([0-9a-f]{2}/[0-9a-f]{38}|pack/pack-[0-9a-f]{40}\.(pack|idx|rev))$")
LOCK = re.compile(r"hexmirror/[^/]+\.lock$")
# What is remembered from one command to the next, and the git repositories of the mirror that a command has read.
REMEMBERED = re.compile(r"hexmirror/(accepted|machine|git/[0-9a-f]{40}(\.lock$|/))")
HEXADECIMAL = re.compile(r"[0-9a-f]{32,64}")
TEMPORARY = re.compile(r"(?<=tmp_)(obj|pack|idx|rev)_\w+|(?:(?<=\.tmp)|(?<=moving-)|(?<=\.new-))\w{6}")


def files(repository):
    """Returns the size of every file of a repository, by its path from the git directory."""
    folder = git_dir(repository)
    sizes = {}
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            try:
                sizes[os.path.relpath(path, folder)] = os.lstat(path).st_size
            except FileNotFoundError:
                pass
    return sizes


def plain(path):
    """Returns a path with its random parts replaced."""
    return TEMPORARY.sub("*", HEXADECIMAL.sub("#", path))


def leftovers(repository, reference):
    """Returns the files that an undisturbed repository does not have, with their sizes. Ignores objects and caches."""
    allowed = {}
    for path in reference:
        allowed[plain(path)] = allowed.get(plain(path), 0) + 1
    left, present = {}, files(repository)
    for path, size in sorted(present.items()):
        name = plain(path)
        # A pack without an index is garbage. Empty files that serve as locks stay permanently.
        whole = not path.endswith(".pack") or path[: -len("pack")] + "idx" in present
        if (OBJECT.match(path) and whole) or (size == 0 and LOCK.match(path)) or REMEMBERED.match(path):
            continue
        if allowed.get(name, 0):
            allowed[name] -= 1
        else:
            left[path] = size
    return left


def signature(*repositories):
    """Returns a digest of the state of repositories: all paths and sizes, and the contents of everything except objects."""
    digest = hashlib.sha256()
    for repository in repositories:
        folder = git_dir(repository)
        for path, size in sorted(files(repository).items()):
            digest.update(f"{plain(path) if not OBJECT.match(path) else path} {size}\n".encode())
            if not path.startswith("objects/") and size < 1 << 16:
                with open(os.path.join(folder, path), "rb") as file:
                    digest.update(file.read())
    return digest.hexdigest()
