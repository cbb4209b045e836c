"""Clean Debian systems in folders, made from the mirror that this machine's apt uses, in which packages are installed and tried."""

import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "interop"))

import peers
from support import PATIENCE, TOP, find_build, machines_network

# Files that any installation writes, which do not tell what was installed.
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
# Its root is a mount, as that of any system. The shell stays, as the parent of processes that have lost their own.
MOUNT = """
set -e
mount --bind "$1" "$1"
mount --rbind /dev "$1/dev"
mount --rbind /sys "$1/sys"
mount -t proc proc "$1/proc"
"""
BESIDE = """
shift
"$@"
exit
"""
# The namespace's own root, and not chroot: programs that enter namespaces, as tests do, would leave that.
WITHIN = """
cd "$1"
shift
pivot_root . mnt
umount -l mnt
"$@"
exit
"""
ENVIRONMENT = (
    "env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive"
    " PYTHONDONTWRITEBYTECODE=1"
).split()


def run(*argv, seconds=900, **options):
    """Runs a command to its end and returns what it printed. If the command fails, this fails with the end of that."""
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
        return self._run(WITHIN, *ENVIRONMENT, *argv, **options)

    def run_beside(self, *argv, **options):
        """Runs a command of this machine that enters the system itself."""
        return self._run(BESIDE, *argv, **options)

    def _run(self, how, *argv, **options):
        own = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        return run(*own, "sh", "-c", MOUNT + how, "sh", self.folder, *argv, **options)

    def install(self, *packages):
        self.run("apt-get", "-q", "install", "-y", "--no-install-recommends", *packages)

    def purge(self, *packages):
        self.run("apt-get", "-q", "purge", "-y", *packages)

    def files(self):
        """All files with their contents, without those that any installation writes."""
        found = {}
        for parent, folders, names in os.walk(self.folder):
            below = os.path.relpath(parent, self.folder)
            folders[:] = [name for name in folders if os.path.normpath(f"{below}/{name}") not in PASSING]
            for path in (Path(parent) / name for name in [*folders, *names]):
                found[str(path.relative_to(self.folder))] = _content(path)
        return found


def _content(path):
    if path.is_symlink():
        return os.readlink(path)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else stat.S_IFMT(path.lstat().st_mode)


def left(before, after):
    """What is new or different in `after`."""
    return {name: content for name, content in after.items() if before.get(name) != content}


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
            for name in ("resolv.conf", "hosts"):
                shutil.copy(f"/etc/{name}", new / "etc")
            # It is removed with its test, so it need not survive a loss of power.
            (new / "etc/dpkg/dpkg.cfg.d/unsafe-io").write_text("force-unsafe-io\n")
            new.rename(base)
    run("cp", "-a", base, folder)
    root = Root(folder)
    root.run("apt-get", "-q", "update")
    return root
