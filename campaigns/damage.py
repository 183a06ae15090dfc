"""Damages stored files, one at a time. `verify` must detect the damage, and `update --repair` must repair it."""

import multiprocessing
import os
import random
import shutil
import subprocess

import world
from findings import Clock, Findings, figures

TITLES = ("file", "damages", "harmless", "noticed", "not noticed", "repaired", "not repaired")
WAYS = ("flip", "truncate", "zero", "delete", "empty")
# The kinds of files, damaged in rotation.
KINDS = (
    "commit", "tree", "manifest", "mirror.toml", "contents", "metadata.config", "recipe", "registry", "git pack", "git index",
    "git ref", "pack", "idx", "ref", "packed-refs",
)  # fmt: skip
_stage = None


class Stage:
    """A mirror in two templates, one with loose objects and one with a pack, and its files by kind."""

    def __init__(self, place):
        self.world = place
        folder = place.scenario("first-update")
        project = f"{folder}/project"
        place.mirror(project, "update", "--quiet")
        self.tree = place.tree(project)
        self.tip = place.tip(project)
        self.packed, self.loose = "templates/packed", "templates/loose"
        place.copy(folder, self.packed)
        place.copy(folder, self.loose)
        # Only packs the mirror's ref, because `verify` does not check others.
        place.git(f"{self.packed}/project", "pack-refs", "--include", world.BRANCH)
        packs = place.path(self.loose, "project/.git/objects/pack")
        aside = place.path("aside")
        shutil.move(packs, aside)
        os.mkdir(packs)
        for name in os.listdir(aside):
            if name.endswith(".pack"):
                with open(os.path.join(aside, name), "rb") as pack:
                    command = ["git", "unpack-objects", "-q"]
                    subprocess.run(
                        command, cwd=place.path(self.loose, "project"), stdin=pack, env=place.environment, check=True
                    )
        self.files = self.classify()

    def classify(self):
        """Returns the files of each kind, as template and path within the git directory."""
        project = f"{self.loose}/project"
        files = {kind: [] for kind in KINDS}

        def add(kind, identifier):
            path = f"objects/{identifier[:2]}/{identifier[2:]}"
            if os.path.exists(self.world.path(project, ".git", path)):
                files[kind].append((self.loose, path))

        add("commit", self.tip)
        add("tree", self.tree)
        for line in self.world.git(project, "ls-tree", "-r", "-t", world.BRANCH).splitlines():
            fields, path = line.split("\t")
            _, kind, identifier = fields.split(" ")
            add("tree" if kind == "tree" else kind_of(path), identifier)
        packs = self.world.path(self.packed, "project/.git/objects/pack")
        for name in os.listdir(packs):
            if name.endswith((".pack", ".idx")):
                files[name.rsplit(".")[-1]].append((self.packed, f"objects/pack/{name}"))
        files["ref"].append((self.loose, world.BRANCH))
        files["packed-refs"].append((self.packed, "packed-refs"))
        return files


def kind_of(path):
    name = path.rsplit("/")[-1]
    if path.startswith("git/"):
        return "git pack" if name.endswith(".pack") else "git index" if name.endswith(".idx") else "git ref"
    if path.startswith("manifest/"):
        return "manifest"
    for kind in ("mirror.toml", "metadata.config", "recipe"):
        if name == kind:
            return kind
    return "registry" if "/registry/" in path else "contents"


def spoil(path, way, draw):
    """Damages a file. Returns a description, or None if the file is unchanged."""
    os.chmod(path, 0o644)
    with open(path, "rb") as file:
        content = file.read()
    where = draw.randrange(len(content))
    if way == "flip":
        spoilt = content[:where] + bytes([content[where] ^ (1 << draw.randrange(8))]) + content[where + 1 :]
    elif way == "truncate":
        spoilt = content[:where]
    elif way == "zero":
        spoilt = content[:where] + bytes(min(512, len(content) - where)) + content[where + 512 :]
    else:
        spoilt = b""
    if way == "delete":
        os.remove(path)
    else:
        with open(path, "wb") as file:
            file.write(spoilt)
    return f"{way} at {where} of {len(content)}" if way == "delete" or spoilt != content else None


def _job(job):
    number, kind, template, path, way, seed = job
    place, folder = _stage.world, f"work-{os.getpid()}"
    place.remove(folder)
    place.copy(template, folder)
    project = f"{folder}/project"
    done = spoil(place.path(project, ".git", path), way, random.Random(seed))
    example = f"{kind} {path}, {done}"
    if done is None:
        return kind, "harmless", example, None, None
    code, text = place.attempt(["git-hexmirror", "verify"], project)
    fsck = place.attempt(["git", "fsck", "--full", "--strict", "--no-dangling"], project)
    if code == 0 and fsck[0] == 0 and place.tree(project) == _stage.tree:
        # Some bits of a compressed stream have no meaning.
        return kind, "harmless", example, None, None
    wrong = None
    if code not in (1, 5) or "panicked" in text:
        wrong = f"{kind}, {way}: verify: {code}: {text}\nfsck: {fsck[1]}"
    repair, said = place.attempt(["git-hexmirror", "update", "--repair"], project)
    code, text = place.attempt(["git-hexmirror", "verify", "--quiet"], project)
    # The reflog may refer to a lost commit.
    fsck = place.attempt(["git", "fsck", "--full", "--strict", "--no-dangling", "--no-reflogs"], project)
    mended = repair == 0 and code == 0 and fsck[0] == 0 and place.tree(project) == _stage.tree
    # If git itself cannot read packed-refs, the error must name the file. Other refs in it do not belong to the mirror, so
    # the program must not repair it.
    named = kind == "packed-refs" and repair == 5 and "packed-refs is damaged" in said
    unmended = None
    if not mended and not named:
        same = "the same tree" if place.tree(project) == _stage.tree else "another tree"
        unmended = f"{kind}: update --repair {repair}, verify {code}, fsck {fsck[0]}, {same}\n{said}{text}{fsck[1]}"
    return kind, "noticed" if wrong is None else "not noticed", example, wrong, unmended


def jobs(stage, count, seed):
    draw, work = random.Random(seed), []
    kinds = [kind for kind in KINDS if stage.files[kind]]
    # Damages every kind in every way, then again with other files and offsets.
    for number in range(count):
        kind, way = kinds[number % len(kinds)], WAYS[number // len(kinds) % len(WAYS)]
        work.append((number, kind, *draw.choice(stage.files[kind]), way, f"{seed} {number}"))
    return work


def campaign(arguments):
    global _stage
    clock, findings, rows = Clock("damage", arguments.count), Findings(), {}
    with world.World() as place:
        _stage = Stage(place)
        work = jobs(_stage, arguments.count, arguments.seed)
        with multiprocessing.get_context("fork").Pool(arguments.jobs) as pool:
            for done, (kind, outcome, example, wrong, unmended) in enumerate(pool.imap_unordered(_job, work)):
                row = rows.setdefault(kind, dict.fromkeys(TITLES, 0))
                row["damages"] += 1
                row[outcome] += 1
                if outcome != "harmless":
                    row["not repaired" if unmended else "repaired"] += 1
                if wrong:
                    findings.add("not noticed", wrong, example)
                if unmended:
                    findings.add("not repaired", unmended, example)
                clock.tell(done)
    figures(TITLES, {kind: rows[kind] for kind in KINDS if kind in rows})
    print(f"{clock.seconds():.0f} s")
    findings.show()
    return 1 if findings.seen else 0
