"""Debian packages whose programs tests run without having them installed: fetched and unpacked in the build tree."""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support import find_build, machines_network

TIMEOUT = 120


def unpacked(name, *packages):
    """The folder in which the packages lie unpacked, kept as `name`; skips the test where they cannot be had."""
    cache = find_build() / "debs"
    cache.mkdir(exist_ok=True)
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = cache / name
        if not folder.exists():
            if not shutil.which("apt-get"):
                pytest.skip("this machine has no apt-get to fetch packages with")
            with tempfile.TemporaryDirectory(dir=cache) as work:
                _run(["apt-get", "-o", "APT::Sandbox::User=", "download", *packages], work)
                for package in Path(work).glob("*.deb"):
                    _run(["dpkg", "-x", package, f"{work}/unpacked"], work)
                # All at once, so that a fetch that was interrupted leaves nothing that looks whole.
                os.rename(f"{work}/unpacked", folder)
        return folder


def dependency(package, pattern):
    """The name of a library's package, which has its version in it: of one that another package depends on."""
    said = subprocess.run(["apt-cache", "depends", package], capture_output=True, text=True).stdout
    found = re.search(rf"Depends: ({pattern})$", said, re.MULTILINE)
    return found.group(1) if found else pytest.skip(f"apt knows of no library of {package}")


def _run(argv, work):
    try:
        done = subprocess.run(
            argv, cwd=work, capture_output=True, text=True, timeout=TIMEOUT, preexec_fn=machines_network
        )
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1] if done.returncode else None
    except subprocess.TimeoutExpired:
        reason = f"not done in {TIMEOUT} s"
    if reason:
        pytest.skip(f"{argv[0]} cannot get {' '.join(str(word) for word in argv[1:])}: {reason}")
