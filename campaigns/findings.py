"""Collects findings and prints figures as tables."""

import re
import sys
import time


class Findings:
    """The findings: the number of occurrences of each kind, and its first example."""

    def __init__(self):
        self.seen = {}

    def add(self, kind, text, example):
        # Findings whose texts have the same beginning are of one kind.
        key = (kind, "\n".join(line.split(":")[0] + line[:60] for line in plain(text).splitlines()[:2]))
        count, first = self.seen.get(key, (0, (text, example)))
        self.seen[key] = (count + 1, first)

    def count(self, kind):
        return sum(count for (name, _), (count, _) in self.seen.items() if name == kind)

    def show(self, limit=60):
        kinds = sorted(self.seen.items(), key=lambda item: (item[0][0], -item[1][0]))
        for (kind, _), (count, (text, example)) in kinds[:limit]:
            print(f"\n{kind}, {count} times, first example: {example}")
            for line in text.strip().splitlines()[:8]:
                print(f"    {line[:300]}")
        if len(kinds) > limit:
            print(f"\n… and {len(kinds) - limit} more kinds")


def plain(text):
    """Returns a text without the parts that differ from run to run."""
    text = re.sub(r"/dev/shm/[\w./#-]+|/tmp/[\w./#-]+", "PATH", text)
    text = re.sub(r"[0-9a-f]{8,64}", "#", text)
    text = re.sub(r"(tmp_\w+?_|\.tmp)\w{6}", r"\1*", text)
    return re.sub(r"\d+", "N", text)[:400]


def table(titles, rows):
    """Prints a table as Markdown."""
    print("| " + " | ".join(titles) + " |")
    print("|" + "---|" * len(titles))
    for row in rows:
        print("| " + " | ".join(f"{cell:,}" if isinstance(cell, int) else str(cell) for cell in row) + " |")
    sys.stdout.flush()


def figures(titles, rows):
    """Prints a table with a row for each name, and the sums. The value of a set is its size."""
    lines = [
        [name, *(len(row[t]) if isinstance(row[t], set) else row[t] for t in titles[1:])] for name, row in rows.items()
    ]
    table(titles, [*lines, ["all", *map(sum, zip(*(line[1:] for line in lines), strict=True))]])


class Clock:
    """Measures time, and reports progress on standard error every 20 seconds."""

    def __init__(self, what, of):
        self.what, self.of, self.start, self.told = what, of, time.monotonic(), 0.0

    def tell(self, done):
        elapsed = self.seconds()
        if elapsed - self.told >= 20:
            self.told = elapsed
            print(f"{self.what}: {done} of {self.of} in {elapsed:.0f} s", file=sys.stderr, flush=True)

    def seconds(self):
        return time.monotonic() - self.start
