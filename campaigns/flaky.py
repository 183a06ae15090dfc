"""Counts the runs that an update needs if upstream fails a fraction of the requests."""

import world
from findings import Clock, Findings, table
from upstream import Upstream

TITLES = ("failing", "mirrors", "runs, at least", "at most", "allowed", "not done", "wrong")
# The fraction of requests that fail, and the maximum number of runs for an update.
SHARES = ((0.3, 2), (0.6, 10))
PACKAGES = 105


def fill(place, seed, share, allowed, findings):
    """Fills a mirror. Returns the number of runs, or None if it exceeds the maximum."""
    upstream = Upstream(place.path("upstream"), share, seed)
    try:
        project = place.project("flaky")
        place.git(project, "config", "hexmirror.hexpm.url", upstream.url)
        place.lock(project, [(number, "1.0.0") for number in range(PACKAGES)])
        for runs in range(1, allowed + 1):
            code, text = place.attempt(["git-hexmirror", "update", "--quiet"], project, seconds=600)
            if code == 0:
                return runs
            if code != 3 or "panicked" in text or "keep-going" not in text:
                findings.add("wrong", f"code {code}: {text}", f"{share:.0%} failing, seed {seed}, run {runs}")
        findings.add("not done", text, f"{share:.0%} failing, seed {seed}, after {allowed} runs")
        return None
    finally:
        upstream.stop()


def campaign(arguments):
    findings, lines = Findings(), []
    shares = SHARES[:1] if arguments.short else SHARES
    clock = Clock("flaky", arguments.count * len(shares))
    with world.World(PACKAGES) as place:
        for share, allowed in shares:
            needed = []
            for number in range(arguments.count):
                needed.append(fill(place, arguments.seed + number, share, allowed, findings))
                if needed[-1]:
                    for command in ("status", "verify"):
                        code, text = place.attempt(["git-hexmirror", command], "flaky/project")
                        if code != 0:
                            findings.add("wrong", f"{command}: {code}: {text}", f"{share:.0%} failing, number {number}")
                place.remove("flaky")
                clock.tell(len(needed) + len(lines) * arguments.count)
            runs = [count for count in needed if count]
            wrong = findings.count("wrong") - sum(line[-1] for line in lines)
            counts = (min(runs), max(runs)) if runs else ("none", "none")
            lines.append([f"{share:.0%}", len(needed), *counts, allowed, needed.count(None), wrong])
    table(TITLES, lines)
    print(f"{clock.seconds():.0f} s")
    findings.show()
    return 1 if findings.seen else 0
