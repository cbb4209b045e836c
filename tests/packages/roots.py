"""Clean Debian systems in folders, made from the mirror that this machine's apt uses, in which packages are installed and tried."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import peers
from support import PATIENCE, TOP, find_build, machines_network

# What is written there by whatever is installed, and says nothing of what was.
PASSING = (
    "proc",
    "dev",
    "sys",
    "tmp",
    "root",
    "run",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
    "var/lib/systemd",
    "src",
)
ENTER = """
set -e
mount --rbind /dev "$1/dev"
mount -t proc proc "$1/proc"
cd "$1"
root=$1
shift
exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \\
    PYTHONDONTWRITEBYTECODE=1 "$@"
"""


def run(*argv, seconds=900, **options):
    """Runs a command to its end and returns what it printed; fails with the end of it where it fails."""
    done = subprocess.run([str(word) for word in argv], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=seconds * PATIENCE, preexec_fn=machines_network, **options)  # fmt: skip
    assert done.returncode == 0, f"{argv} ended with {done.returncode}:\n{done.stdout[-6000:]}"
    return done.stdout


def sources(folder):
    """A clone of these sources, as they are committed."""
    run("git", "-c", "safe.directory=*", "clone", "-q", "--no-hardlinks", TOP, folder)
    return folder


class Root:
    """One system: .run() runs a command in it."""

    def __init__(self, folder):
        self.folder = folder

    def run(self, *argv, **options):
        return run(
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--kill-child",
            "sh",
            "-c",
            ENTER,
            "sh",
            self.folder,
            *argv,
            **options,
        )

    def install(self, *packages):
        self.run("apt-get", "-q", "install", "-y", "--no-install-recommends", *packages)

    def purge(self, *packages):
        self.run("apt-get", "-q", "purge", "-y", *packages)

    def files(self):
        """All there is, but for what only tells of packages."""
        found = set()
        for parent, folders, names in os.walk(self.folder):
            below = os.path.relpath(parent, self.folder)
            folders[:] = [
                name for name in folders if os.path.normpath(f"{below}/{name}") not in PASSING and name != "__pycache__"
            ]
            found.update(os.path.normpath(f"{below}/{name}") for name in [*folders, *names])
        return found


def make(suite, folder):
    """A fresh system of a suite. Skips the test where there can be none."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can make a clean root")
    if not shutil.which("debootstrap"):
        pytest.skip("there is no debootstrap here: apt-get install debootstrap")
    cache = find_build() / "roots"
    cache.mkdir(exist_ok=True)
    with open(cache / f"{suite}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        base = cache / suite
        if not base.exists():
            new = cache / f"{suite}.new"
            shutil.rmtree(new, ignore_errors=True)
            try:
                run("debootstrap", "--variant=minbase", suite, new, peers.mirror())
            except (peers.Unavailable, AssertionError, subprocess.TimeoutExpired) as reason:
                pytest.skip(f"no root of {suite} can be made here: {reason}")
            shutil.copy("/etc/resolv.conf", new / "etc/resolv.conf")
            new.rename(base)
    run("cp", "-a", base, folder)
    root = Root(folder)
    root.run("apt-get", "-q", "update")
    return root
