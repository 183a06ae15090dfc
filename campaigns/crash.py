"""Simulates power losses a few seconds after a command. Afterwards, the mirror must be usable.

The project is on a small ext4 file system on a loop device. The backing file is copied while the file system is mounted.
Like a disk after a power loss, the copy contains what the kernel has written so far.
"""

import os
import random
import shutil
import subprocess
import time

import world
from findings import Clock, Findings, figures
from trial import Scene, Trial

SCENARIOS = ("first-update", "update", "pull", "compact", "prune")
TITLES = ("command", "images", "before", "after", "broken", "recovered", "unusable")
# The number of images copied after one run of a command, and the period in seconds.
IMAGES, SECONDS = 4, 6.0
# The journal is written every second. The kernel keeps unsynced data in memory for half a minute.
OPTIONS = "loop,data=ordered,commit=1"


def missing():
    if os.geteuid() != 0:
        return "only root can mount a file system"
    for program in ("mkfs.ext4", "mount", "umount"):
        if not shutil.which(program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return f"there is no {program}"
    return None


class Disk:
    """A small file system in a backing file."""

    def __init__(self, image, folder):
        self.image, self.folder = image, folder

    def make(self):
        with open(self.image, "wb") as file:
            file.truncate(64 << 20)
        run("mkfs.ext4", "-q", "-F", self.image)
        return self.mount()

    def mount(self):
        os.makedirs(self.folder, exist_ok=True)
        run("mount", "-o", OPTIONS, self.image, self.folder)
        return self

    def unmount(self):
        run("umount", self.folder)

    def copy(self, to):
        """Copies the backing file while nothing writes to it."""
        for _ in range(50):
            shutil.copyfile(self.image, to)
            if subprocess.run(["cmp", "-s", self.image, to], check=False).returncode == 0:
                return
        raise world.Failed("the file system does not come to rest")


def run(*command):
    environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise world.Failed(f"{' '.join(command)}: {ran.stderr.strip()}")


class Crash:
    def __init__(self, place, scene, draw):
        self.world, self.scene, self.draw = place, scene, draw
        self.trial = Trial(scene)

    def images(self, count):
        """Runs the command on a new file system, and returns images of it with their times in seconds."""
        disk = Disk(self.world.path("disk"), self.world.path("mounted")).make()
        try:
            subprocess.run(["cp", "-a", self.world.path(self.scene.template), disk.folder + "/scene"], check=True)
            run("sync", "-f", disk.folder)
            self.world.run(self.scene.command, disk.folder + "/scene/project")
            start, images = time.monotonic(), []
            for number, moment in enumerate(sorted(self.draw.uniform(0, SECONDS) for _ in range(count))):
                # The elapsed time is what varies between images, so a fixed sleep is correct here.
                time.sleep(max(0.0, start + moment - time.monotonic()))
                images.append((moment, self.world.path(f"image-{number}")))
                disk.copy(images[-1][1])
        finally:
            disk.unmount()
        return images

    def look(self, image):
        """Returns the state of the mirror in an image, and the findings after the next run of the command."""
        disk = Disk(image, self.world.path("mounted")).mount()
        try:
            folder = disk.folder + "/scene"
            project = f"{folder}/project"
            tree = self.world.tree(project)
            verified = (0, "") if tree is None else self.world.attempt(["git-hexmirror", "verify", "--quiet"], project)
            found = {self.scene.before[0]: "before", self.scene.after[0]: "after"}.get(tree, "broken")
            if verified[0] != 0:
                found = "broken"
            code, text = self.world.attempt(self.scene.command, project)
            if code != 0:
                return found, f"the ref is {self.world.tip(project)!r}; the next run: {code}: {text}"
            code, text = self.world.attempt(["git-hexmirror", "verify", "--quiet"], project)
            if code != 0 or self.world.tree(project) != self.scene.after[0]:
                return found, f"after the next run: verify {code}, {self.world.tree(project)}: {text}"
            return found, None
        finally:
            disk.unmount()
            os.remove(image)


def campaign(arguments):
    reason = missing()
    if reason:
        print(f"skipped: {reason}")
        return 0
    draw, findings, rows, clock = random.Random(arguments.seed), Findings(), {}, Clock("crash", arguments.count)
    with world.World() as place:
        names = [name for name in arguments.only or SCENARIOS if name in SCENARIOS]
        crashes, done = {}, 0
        while done < arguments.count:
            name = names[(done // IMAGES) % len(names)]
            if name not in crashes:
                crashes[name] = Crash(place, Scene(place, name), draw)
            row = rows.setdefault(name, dict.fromkeys(TITLES, 0))
            try:
                images = crashes[name].images(min(IMAGES, arguments.count - done))
            except world.Failed as error:
                if done:
                    raise
                print(f"skipped: {error}")
                return 0
            for moment, image in images:
                found, wrong = crashes[name].look(image)
                row["images"] += 1
                row[found] += 1
                if wrong:
                    row["unusable"] += 1
                    findings.add("unusable", wrong, f"{name}, {moment:.1f} s after its end")
                elif found == "broken":
                    row["recovered"] += 1
                done += 1
                clock.tell(done)
    figures(TITLES, rows)
    print(f"{clock.seconds():.0f} s")
    findings.show()
    return 1 if findings.seen else 0
