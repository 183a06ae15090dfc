"""Kills commands at their system calls. The branch must stay intact, the next run complete, and no files remain."""

import multiprocessing
import random

import tracer
import world
from findings import Clock, Findings, figures
from trial import Scene, Trial

TITLES = (
    "command",
    "calls",
    "killed at",
    "kills",
    "not reached",
    "states",
    "damaged",
    "stuck",
    "left",
    "bytes left",
    "said wrong",
)
KINDS = ("damaged", "stuck", "left", "said wrong")
MODES = ("group", "child")
# Texts that no command may print if one of its children was killed.
MISLEADING = ("check the network", "install git", "please tell", "panicked")
# The shell that git starts as the transport to a remote (in practice ssh), and the process that becomes this shell.
TRANSPORT = ("sh", "sh'", "git push'", "git fetch'")
TRACED = [name for name in tracer.CALLS if name in tracer.CHANGES or name in ("openat", "fcntl")]
_trials = {}


def said(run):
    """Returns the findings about the output and the exit code."""
    wrong = []
    if run.struck and run.struck[0] not in TRANSPORT:
        wrong += [("said wrong", f"{text!r}: {run.output}") for text in MISLEADING if text in run.output]
    if run.code in (101, 134, 139, -6, -11):
        wrong.append(("said wrong", f"exit code {run.code}: {run.output}"))
    return wrong


def _job(job):
    name, site, mode = job
    trial = _trials.setdefault(name, Trial(_scenes[name]))
    run, state, wrong, size = trial.strike(site, mode, TRACED if site[1] in tracer.CHANGES else None)
    return job, bool(run.struck), state, wrong + said(run), size


def calls(scene):
    """Returns the calls on this machine, as those that change something and the others."""
    mine = [site for site, _ in scene.sites if not world.is_remote(site[0])]
    changing = [site for site in mine if site[1] in tracer.CHANGES]
    return changing, [site for site in mine if site[1] not in tracer.CHANGES]


def jobs(scene, count, seed):
    """Returns the kills: first at every call that changes something, in both modes, then at other calls."""
    changing, others = calls(scene)
    draw = random.Random(f"{seed} {scene.name}")
    work = [(scene.name, site, mode) for mode in MODES for site in changing]
    draw.shuffle(work)
    while len(work) < count:
        work.append((scene.name, draw.choice(others), draw.choice(MODES)))
    return work[:count]


def campaign(arguments):
    if reason := tracer.missing():
        print(f"skipped: {reason}")
        return 0
    global _scenes
    clock = Clock("kill", arguments.count)
    with world.World() as place:
        _scenes = {name: Scene(place, name) for name in arguments.only or world.SCENARIOS}
        changing = {name: len(calls(scene)[0]) for name, scene in _scenes.items()}
        work, rows, findings = [], {}, Findings()
        for name, scene in _scenes.items():
            # In proportion to the number of calls.
            work += jobs(scene, -(-arguments.count * changing[name] // sum(changing.values())), arguments.seed)
            rows[name] = dict.fromkeys(TITLES, 0) | {"calls": changing[name], "killed at": set(), "states": set()}
        random.Random(arguments.seed).shuffle(work)
        with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
            for done, (job, reached, state, wrong, size) in enumerate(pool.imap_unordered(_job, work, chunksize=4)):
                name, site, mode = job
                row = rows[name]
                row["kills" if reached else "not reached"] += 1
                row["states"].add(state)
                if reached and site[1] in tracer.CHANGES:
                    row["killed at"].add(site)
                row["bytes left"] = max(row["bytes left"], size)
                for kind in {kind for kind, _ in wrong}:
                    row[kind] += 1
                for kind, text in wrong:
                    findings.add(kind, text, f"{name}, {mode}, {' '.join(map(str, site))}")
                clock.tell(done)
        figures(TITLES, rows)
        print(f"{clock.seconds():.0f} s")
        findings.show()
        return 1 if findings.seen else 0
