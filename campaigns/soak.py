"""Runs a server with clients while the mirror is updated, pruned and compacted, and git collects garbage.

The packages and the revision that every lock pins must be served at any time, byte for byte. Others must be served correctly or
not at all. No response may be a 5xx.
"""

import collections
import gzip
import hashlib
import http.client
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

import world
from findings import Clock, Findings, table

STABLE = [(number, "1.0.0") for number in range(6)]
CHANGING = [[(6, "1.0.0"), (7, "1.0.0")], [(6, "1.1.0"), (8, "1.0.0")], [(6, "2.0.0"), (9, "1.0.0")], [(7, "1.1.0")]]
PACKAGES = 10
READERS = 3
# How long the server may use the locks that it has read, and how long the pinned revision then stays, in seconds.
READ_AGAIN = 1.5
STILL = 3


class Soak:
    def __init__(self, place, seed, beside):
        # `beside`: whether garbage is also collected while the writer runs.
        self.world, self.seed, self.beside = place, seed, beside
        self.findings, self.counts = Findings(), {}
        # The most recent commands of the writers.
        self.recent = collections.deque(maxlen=12)
        self.lock, self.stopped = threading.Lock(), threading.Event()
        # Held by the writer and during `git gc --prune=now`, which git does not allow while a writer runs.
        self.writing = threading.Lock()
        self.project = place.project("soak")
        self.revision, self.settled = 0, 0
        self.pin(0)
        place.commit_lock(self.project, "Lock")
        place.git(self.project, "push", "--quiet", "--set-upstream", "origin", "main")
        place.mirror(self.project, "update", "--quiet")
        self.server = subprocess.Popen(
            ["git-hexmirror", "serve", "--listen=127.0.0.1:0"],
            cwd=place.path(self.project),
            env=place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self.server.stdout.readline().strip()
        self.address = self.url.removeprefix("http://")
        self.expected = {}
        for number, version in STABLE + sum(CHANGING, []):
            name = place.packages[number]
            stable = (number, version) in STABLE
            self.expect(f"/tarballs/{name}-{version}.tar", f"tarballs/{name}-{version}.tar", stable)
            self.expect(f"/packages/{name}", f"packages/{name}", stable)

    def expect(self, path, file, stable):
        with open(self.world.path("upstream", file), "rb") as opened:
            content = opened.read()
        entry = path.startswith("/packages")
        digest = hashlib.sha256(gzip.decompress(content) if entry else content).hexdigest()
        stable = stable or self.expected.get(path, (None, False))[1]
        self.expected[path] = (digest, stable)

    def pin(self, number):
        if time.monotonic() > self.settled + STILL:
            # Until the update ends and the server has read the lock again, the pinned revision may be missing.
            self.revision, self.settled = number % 3, float("inf")
        self.world.lock(self.project, STABLE + CHANGING[number], self.revision)

    def count(self, what, by=1):
        with self.lock:
            self.counts[what] = self.counts.get(what, 0) + by

    def wrong(self, kind, text, example):
        with self.lock:
            self.findings.add(kind, text, example)

    def thread(self, function, *arguments):
        """Starts a thread that repeats a function until the end of the campaign. An exception is a finding."""

        def work():
            draw = random.Random(f"{self.seed} {function.__name__} {arguments}")
            while not self.stopped.is_set():
                try:
                    function(draw, *arguments)
                except Exception as error:  # noqa: BLE001
                    self.wrong("client", f"{function.__name__}: {type(error).__name__}: {error}", f"after {self.counts}")

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    # The clients.

    def reader(self, draw, _):
        """Fetches 100 files over one connection."""
        connection = http.client.HTTPConnection(self.address, timeout=60)
        for _ in range(100):
            if self.stopped.is_set():
                break
            path = draw.choice([*self.expected, "/health"])
            connection.request("GET", path)
            response = connection.getresponse()
            body = response.read()
            self.count("requests")
            if response.status >= 500:
                self.wrong("5xx", f"{path}: {response.status}: {body[:200].decode(errors='replace')}", path)
            elif path != "/health":
                self.judge(path, response.status, body)
        connection.close()

    def judge(self, path, status, body):
        digest, stable = self.expected[path]
        if status == 404 and not stable:
            self.count("absent")
        elif status != 200:
            self.wrong("refused", f"{path}: {status}", path)
        else:
            plain = gzip.decompress(body) if path.startswith("/packages") and body[:2] == b"\x1f\x8b" else body
            if hashlib.sha256(plain).hexdigest() != digest:
                self.wrong("wrong bytes", path, f"{len(body)} bytes")

    def git_client(self, _):
        """Clones the git dependency and checks every object."""
        address, began = f"{self.url}/git/forge.test/lib", time.monotonic()
        self.count("git clients")
        text = self.visit(address)
        if "not our ref" in text:
            # The mirror dropped an advertised revision before the client requested it. The two requests share no state.
            self.count("overtaken git clients")
        elif text and self.settled > began and ("no lock pins it" in text or "error: 404" in text):
            # A client is led only to what the lock pins, and the mirror lacks it for a moment.
            self.count("git clients before an update")
        elif text:
            self.wrong("git", text, address)

    def visit(self, address):
        """Returns what is wrong with the repository, or nothing."""
        code, text = self.world.attempt(["git", "ls-remote", address], "")
        if code != 0 or not text.strip():
            return f"ls-remote: {code}: {text}"
        self.world.remove("soak-clone")
        code, text = self.world.attempt(["git", "clone", "--quiet", "--bare", "--no-local", address, "soak-clone"], "")
        if code != 0:
            return f"clone: {code}: {text}"
        for arguments in (["fsck", "--full"], ["cat-file", "-e", self.world.revisions[0]]):
            code, text = self.world.attempt(["git", *arguments], "soak-clone")
            if code != 0:
                return f"{arguments}: {code}: {text}"
        return ""

    def mix_client(self, _):
        """Installs the packages that every lock pins, with mix and without a cache."""
        self.world.remove("mix")
        os.makedirs(self.world.path("mix/app"))
        shutil.copytree(self.world.path("hex-home"), self.world.path("mix/hex"))
        deps = ", ".join(f'{{:{self.world.packages[number]}, ">= 0.0.0"}}' for number, _ in STABLE)
        with open(self.world.path("mix/app/mix.exs"), "w") as file:
            file.write(
                "defmodule App.MixProject do\n  use Mix.Project\n"
                f'  def project, do: [app: :app, version: "0.1.0", deps: [{deps}]]\nend\n'
            )
        self.world.lock("mix/app", STABLE)
        code, text = self.world.attempt(
            ["mix", "deps.get"], "mix/app", HEX_MIRROR=self.url, **self.mix, HEX_HOME=self.world.path("mix/hex")
        )
        self.count("mix clients")
        if code != 0:
            self.wrong("mix", f"{code}: {text[-600:]}", "deps.get")

    def with_mix(self):
        """Prepares Hex, and returns whether mix and Hex are installed."""
        home = os.environ.get("MIX_HOME", os.path.expanduser("~/.mix"))
        self.mix = {"MIX_HOME": home, "ERL_FLAGS": "+S 1:1"}
        key = ["mix", "hex.repo", "set", "hexpm", "--public-key", self.world.path("hexpm.pem")]
        return (
            shutil.which("mix") is not None
            and self.world.attempt(["mix", "hex.info"], "", **self.mix)[0] == 0
            and self.world.attempt(key, "", **self.mix, HEX_HOME=self.world.path("hex-home"))[0] == 0
        )

    # The writers.

    def writer(self, draw):
        command = draw.choice(["update"] * 5 + ["prune", "prune", "compact", "verify"])
        with self.writing:
            if command == "update":
                self.pin(draw.randrange(len(CHANGING)))
            arguments = ["--keep-days=0"] if command == "prune" else []
            self.recent.append(f"{command} begins")
            code, text = self.world.attempt(["git-hexmirror", command, "--quiet", *arguments], self.project)
            self.recent.append(f"{command} ends")
            self.count(command)
            if command == "update" and self.settled == float("inf"):
                self.settled = time.monotonic() + READ_AGAIN
            if code != 0:
                self.wrong("command", f"{command}: {code}: {text}", f"after {', '.join(self.recent)}")

    def collector(self, draw):
        """Collects garbage: while the writer runs, as git does automatically, or immediately while the writer waits."""
        commands = [["gc", "--quiet"], ["repack", "-a", "-d", "-f", "--quiet"], ["pack-refs", "--all"], ["prune-packed"]]
        if self.beside and draw.random() < 0.5:
            self.collect(draw.choice(commands))
        else:
            with self.writing:
                self.collect(["reflog", "expire", "--expire=now", "--all"])
                self.collect(["gc", "--quiet", "--prune=now"])

    def collect(self, arguments):
        self.recent.append(f"{arguments[0]} begins")
        code, text = self.world.attempt(["git", *arguments], self.project)
        self.recent.append(f"{arguments[0]} ends")
        self.count("collections")
        # git refuses to run a second `git gc`.
        if code != 0 and "gc is already running" not in text:
            self.wrong("command", f"git {' '.join(arguments)}: {code}: {text}", f"after {', '.join(self.recent)}")

    def run(self, seconds, clock):
        threads = [self.thread(self.reader, number) for number in range(READERS)]
        threads += [self.thread(function) for function in (self.git_client, self.writer, self.collector)]
        if self.with_mix():
            threads.append(self.thread(self.mix_client))
        else:
            print("skipped: the client mix, because mix or Hex (MIX_HOME) is not installed")
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.stopped.wait(min(left, 20))
            clock.tell(sum(self.counts.values()))
            if self.server.poll() is not None:
                self.wrong("server", f"it exited: {self.server.returncode}", self.server.stderr.read())
                break
        self.stopped.set()
        for thread in threads:
            thread.join()
        for name in (["git-hexmirror", "verify"], ["git", "fsck", "--strict", "--no-dangling"]):
            code, text = self.world.attempt(name, self.project)
            if code != 0:
                self.wrong("command", f"{name}: {code}: {text}", "at the end")
        with open(f"/proc/{self.server.pid}/status") as file:
            peak = next(line for line in file if line.startswith("VmHWM")).split()[1]
        self.counts["server's memory (MB)"] = int(peak) // 1024
        self.stop()

    def stop(self):
        self.server.send_signal(signal.SIGTERM)
        code = self.server.wait(30)
        text = self.server.stderr.read()
        if code != 0 or "panicked" in text:
            self.wrong("server", f"{code}: {text}", "at shutdown")


def campaign(arguments):
    minutes = arguments.minutes or (0.2 if arguments.short else 30)
    socket.setdefaulttimeout(60)
    clock = Clock("soak", f"{minutes} minutes")
    with world.World(PACKAGES) as place:
        soak = Soak(place, arguments.seed, beside=not arguments.short)
        soak.run(minutes * 60, clock)
    kinds = ("5xx", "wrong bytes", "refused", "git", "mix", "client", "command", "server")
    rows = sorted(soak.counts.items()) + [(f"**{kind}**", soak.findings.count(kind)) for kind in kinds]
    table(("what", "times"), rows)
    print(f"{clock.seconds():.0f} s")
    soak.findings.show()
    return 1 if soak.findings.seen else 0
