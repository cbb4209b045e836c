#!/usr/bin/python3
"""Packages of newer Debian suites, which are fetched and not installed: other versions of ipyparallel, and widgets of notebooks.

peers.py [SUITE]... prints where the python3-ipyparallel of each is. They come from the Debian mirror that this machine's apt uses, by an
apt whose state is a folder of its own, and stay unpacked in the build tree.
"""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from support import find_build, machines_network

PACKAGE = "python3-ipyparallel"
PYTHON_FOLDER = "usr/lib/python3/dist-packages"
# Debian 13 has ipyparallel 8, unstable the newest.
SUITES = ("trixie", "sid")
TIMEOUT = 120


class Unavailable(Exception):
    """Why a suite's package cannot be had here."""


def fetch(suite):
    """The folder to put on PYTHONPATH for the ipyparallel of a Debian suite. Raises Unavailable with a reason."""
    return unpack(suite, [PACKAGE]) / PYTHON_FOLDER


def unpack(suite, packages):
    """The root folder below which packages of a Debian suite lie. Raises Unavailable with a reason."""
    cache = find_build() / "peers"
    cache.mkdir(exist_ok=True)
    name = "+".join([suite, *packages])
    with open(cache / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        unpacked = cache / name
        if not unpacked.exists():
            with tempfile.TemporaryDirectory(dir=cache) as work:
                _download(suite, packages, Path(work))
                # All at once, so that a fetch that was interrupted leaves nothing that looks whole.
                os.rename(Path(work) / "unpacked", unpacked)
        return unpacked


def _download(suite, packages, work):
    for tool in ("apt-get", "dpkg"):
        if not shutil.which(tool):
            raise Unavailable(f"this machine has no {tool}")
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "status").touch()
    (work / "peer.sources").write_text(f"Types: deb\nURIs: {mirror()}\nSuites: {suite}\nComponents: main\n")
    settings = {
        "Dir::State": work / "state",
        "Dir::State::status": work / "status",
        "Dir::Cache": work / "cache",
        "Dir::Etc::SourceList": work / "peer.sources",
        "Dir::Etc::SourceParts": "-",
        "Acquire::Languages": "none",
        "Acquire::Retries": 1,
        "APT::Sandbox::User": "",
        "Dir::Etc::Preferences": "-",
        "Dir::Etc::PreferencesParts": "-",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    _run(["apt-get", *options, "update", "--error-on=any"], work, f"apt-get update for {suite}")
    for package in packages:
        _run(["apt-get", *options, "download", package], work, f"download of {package} from {suite}")
        _run(
            ["dpkg", "-x", *work.glob(f"{package}_*.deb"), work / "unpacked"], work, f"unpacking {package} from {suite}"
        )


def mirror():
    """Where this machine's own Debian suite comes from."""
    codename = _os_release().get("VERSION_CODENAME", "")
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
        capture_output=True,
        text=True,
    ).stdout
    for line in listed.splitlines():
        release, _, uri = line.partition(" ")
        if codename and release == codename:
            return uri
    raise Unavailable("apt's sources name no Debian mirror")


def _os_release():
    pairs = (line.partition("=") for line in Path("/etc/os-release").read_text().splitlines())
    return {name: value.strip('"') for name, _, value in pairs}


def _run(argv, work, what):
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=work,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            preexec_fn=machines_network,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what}: not done in {TIMEOUT} s") from None
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        raise Unavailable(f"{what}: {last[0]}")


def main(suites):
    status = 0
    for suite in suites or SUITES:
        try:
            print(suite, fetch(suite))
        except Unavailable as reason:
            print(f"{suite}: {reason}")
            status = 1
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
