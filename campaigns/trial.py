"""Runs a scenario's command with a fault and compares the outcome with that of an undisturbed run."""

import os
import pickle
import re

import tracer
import world


def apart(function):
    """Calls a function in a process without other children, and returns its result."""
    read, write = os.pipe()
    process = os.fork()
    if process == 0:
        try:
            os.close(read)
            with os.fdopen(write, "wb") as pipe:
                pickle.dump(function(), pipe)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        data = pipe.read()
    if os.waitpid(process, 0)[1] != 0:
        raise world.Failed("the run that lists the calls failed")
    return pickle.loads(data)


class Scene:
    """A scenario, its sites, and the outcome of an undisturbed run."""

    def __init__(self, place, name):
        self.world, self.name = place, name
        self.command = world.COMMANDS[name]
        self.template = place.scenario(name)
        self.before = self.trees(self.template)
        self.own = self.others(self.template)
        folder = f"reference-{name}"
        place.copy(self.template, folder)
        place.run(self.command, f"{folder}/project")
        self.after = self.trees(folder)
        self.files = world.files(place.path(folder, "project"))
        self.hooks = place.hooks(folder)
        place.remove(folder)
        self.sites = apart(self.record)

    def record(self):
        folder = f"record-{self.name}"
        self.world.copy(self.template, folder)
        run = tracer.trace(
            self.command, self.world.path(folder, "project"), self.world.environment, record=True, seconds=120,
            spare=world.REMOTE,
        )  # fmt: skip
        self.world.remove(folder)
        if run.code != 0:
            raise world.Failed(f"{self.name}, traced: {run.code}: {run.output}")
        return [(site, about) for site, about in run.sites if site[0] != "start"]

    def trees(self, folder):
        return [self.world.tree(f"{folder}/{name}") for name in ("project", "remote.git")]

    def is_done(self, folder, trees):
        """Returns whether a command completed its work."""
        if trees in (self.before, self.after):
            return trees == self.after
        # After an error git may pack the same revisions differently.
        return "update" in self.name and all(
            self.world.attempt(["git-hexmirror", command, "--quiet"], f"{folder}/project")[0] == 0
            for command in ("status", "verify")
        )

    def others(self, folder):
        """Returns what belongs to the user and must not change: HEAD, the index, the branch main."""
        state = []
        for path in ("HEAD", "index", "refs/heads/main"):
            with open(self.world.path(folder, "project/.git", path), "rb") as file:
                state.append(file.read())
        return state


class Trial:
    """Runs a scenario's command in a separate folder with a fault at one site, and checks the resulting state."""

    def __init__(self, scene):
        self.scene, self.world = scene, scene.world
        self.folder = f"work-{scene.name}-{os.getpid()}"
        self.known = {}

    def strike(self, site, action, calls, lasting=()):
        """Returns the run, the resulting state, the findings as (kind, text), and the number of bytes left over."""
        scene = self.scene
        self.world.remove(self.folder)
        self.world.copy(scene.template, self.folder)
        project = self.world.path(self.folder, "project")
        run = tracer.trace(
            scene.command, project, self.world.environment, strike=site, action=action, lasting=lasting,
            spare=world.REMOTE, calls=calls,
        )  # fmt: skip
        if not run.struck:
            return run, "", [], 0
        if run.timed_out:
            return run, "", [("stuck", f"it did not end: {run.output}")], 0
        self.trees = scene.trees(self.folder)
        self.done = scene.is_done(self.folder, self.trees)
        state = world.signature(project, self.world.path(self.folder, "remote.git"))
        if state not in self.known:
            self.known[state] = self.check()
        return run, state, *self.known[state]

    def check(self):
        """Checks a repository after a fault, runs the command again, and checks its outcome."""
        wrong, scene = [], self.scene
        project, remote = f"{self.folder}/project", f"{self.folder}/remote.git"
        for name, tree, before, after in zip((project, remote), self.trees, scene.before, scene.after, strict=True):
            if tree not in (before, after) and not scene.is_done(self.folder, self.trees):
                wrong.append(("damaged", f"the branch of {os.path.basename(name)} is at {tree}"))
        # While a hook is missing, git skips its check.
        for path in self.world.hooks(scene.template):
            if path not in self.world.hooks(self.folder):
                wrong.append(("damaged", f"the hook {path} is missing"))
        if scene.others(self.folder) != scene.own:
            wrong.append(("damaged", "HEAD, the index or main changed"))
        for name in (project, remote):
            code, text = self.world.attempt(["git", "fsck", "--strict", "--no-dangling", "--no-progress"], name)
            if code != 0:
                wrong.append(("damaged", f"fsck of {os.path.basename(name)}: {text}"))
        if self.trees[0] is not None:
            code, text = self.world.attempt(["git-hexmirror", "verify", "--quiet"], project)
            if code != 0:
                wrong.append(("damaged", f"verify: {code}: {text}"))
        code, text = self.world.attempt(scene.command, project, seconds=60)
        if code != 0:
            return [*wrong, ("stuck", f"the next run: {code}: {text}")], 0
        if not scene.is_done(self.folder, scene.trees(self.folder)):
            wrong.append(("stuck", f"the next run produced different trees: {scene.trees(self.folder)}: {text}"))
        if self.world.hooks(self.folder) != scene.hooks:
            wrong.append(("damaged", "the hooks differ after the next run"))
        left = world.leftovers(self.world.path(project), scene.files)
        # Left over by the user's own `git push`, which is also killed.
        left.pop("refs/remotes/origin/main.lock", None)
        if left:
            wrong.append(("left", "\n".join(sorted({place(path) for path in left}))))
        return wrong, sum(left.values())


def place(path):
    """Returns the path of a file without its variable parts."""
    path = world.plain(path)
    path = re.sub(r"^(hexmirror/git-fetch|hexmirror/downloads)/.*", r"\1/…", path)
    path = re.sub(r"^(hexmirror/git)/.*\.new-.*", r"\1/….new-…/…", path)
    return re.sub(r"^objects/../tmp_.*", "objects/…/tmp_*", path)
