#!/usr/bin/env python3
"""Puts load on a running server and measures the effect on other clients.

Usage: serve_load.py PROGRAM PROJECT [IDLE] [SLOW] [BODIES]

PROJECT is a repository with a mirror that has a git dependency. PROGRAM serves it on a free port. The load consists of IDLE
connections that send nothing, SLOW clients that request a tarball and SLOW clients that request a pack without reading the
response, and BODIES requests whose bodies are never completed. Under this load, the script times /health, a registry entry,
`git ls-remote` and `git clone`, and reads the server's peak memory (Linux). Prints one line of JSON.
"""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request


def open_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connect(address, request=b""):
    client = socket.create_connection(address)
    try:
        client.sendall(request)
    except OSError:
        pass  # The server closed this connection in favor of others.
    return client


def timed(action):
    begun = time.monotonic()
    action()
    return round(time.monotonic() - begun, 3)


def get(url):
    with urllib.request.urlopen(url) as answer:
        answer.read()


def git(*arguments):
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)


def errand(url, entry, lib):
    with tempfile.TemporaryDirectory() as folder:
        return {
            "health": timed(lambda: get(f"{url}/health")),
            "entry": timed(lambda: get(f"{url}/packages/{entry}")),
            "ls_remote": timed(lambda: git("ls-remote", lib)),
            "clone": timed(lambda: git("clone", "--quiet", "--bare", lib, folder + "/clone")),
        }


def main():
    program, project = sys.argv[1], sys.argv[2]
    idle, slow, bodies = ([int(text) for text in sys.argv[3:]] + [10000, 200, 8][len(sys.argv) - 3 :])[:3]
    idle = min(idle, open_files() - 2 * slow - bodies - 200)
    show = ["git", "-C", project, "grep", "-h", "-e", "", "hexmirror", "--", "manifest"]
    lines = [line.split() for line in subprocess.run(show, check=True, capture_output=True, text=True).stdout.splitlines()]
    releases = [line for line in lines if line[0] == "hex" and line[1] == "hexpm"]
    address, revision = next((line[1], line[2]) for line in lines if line[0] == "git")
    server = subprocess.Popen([program, "-C", project, "serve", "--listen=127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        url = server.stdout.readline().strip()
        host, port = url.removeprefix("http://").split(":")
        at, lib = (host, int(port)), f"{url}/git/{address}.git"
        entry, version = releases[0][2], releases[0][3]
        errand(url, entry, lib)
        alone = errand(url, entry, lib)
        get_tarball = f"GET /tarballs/{entry}-{version}.tar HTTP/1.1\r\nHost: {host}\r\n\r\n".encode() * 100
        want = f"0032want {revision}\n00000009done\n"
        post = (
            f"POST /git/{address}.git/git-upload-pack HTTP/1.1\r\nHost: {host}\r\n"
            "Content-Type: application/x-git-upload-pack-request\r\nContent-Length: "
        )
        kept = [connect(at, get_tarball) for _ in range(slow)]
        kept += [connect(at, f"{post}{len(want)}\r\n\r\n{want}".encode()) for _ in range(slow)]
        kept += [connect(at, f"{post}5000\r\n\r\n0032want".encode()) for _ in range(bodies)]
        opened = timed(lambda: kept.extend(connect(at) for _ in range(idle)))
        among = errand(url, entry, lib)
        with open(f"/proc/{server.pid}/status") as status:
            peak = next(line.split()[1] for line in status if line.startswith("VmHWM"))
        figures = {"idle": idle, "slow": 2 * slow, "bodies": bodies, "opened_in": opened}
        print(json.dumps({**figures, "alone": alone, "among": among, "peak_kb": int(peak)}))
    finally:
        server.terminate()
        server.wait()


main()
