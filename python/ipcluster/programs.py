"""The programs that belong to this package, also if $PATH has others with their names, and `python -m` for them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ipcluster import built

_IN_A_BUILD_TREE = {"ipcluster": "core/cluster", "ipcontroller": "core/controller", "ipengine": "core/engine"}


def _is_ours(path, name):
    """Whether it is this project's program: ipyparallel's programs have the same names."""
    try:
        said = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return said.returncode == 0 and said.stdout.startswith(f"{name} ")


def path_of(name):
    """The path of one of the three programs, in this package's own build tree or installation. If it is not there: in another installation on
    $PATH. Raises FileNotFoundError if there is none."""
    here = Path(built.__file__).resolve().parent
    tree = here.parents[1]
    folder = tree / _IN_A_BUILD_TREE[name] if (tree / "config.status").exists() else here / built.PROGRAMS
    own = os.path.normpath(folder / name)
    if os.access(own, os.X_OK):
        return own
    for folder in os.get_exec_path():
        found = shutil.which(name, path=folder or os.curdir)
        if found and _is_ours(found, name):
            return os.path.abspath(found)
    raise FileNotFoundError(f"the program {name} is not there: it belongs at {own}, and no folder of $PATH has it. Install it again, "
                            "or add its folder to $PATH")  # fmt: skip


def environment():
    """The environment for the programs: engines that they start run in this Python, if no other is named and the engine's host has it."""
    return {**os.environ, "IPCLUSTER_PYTHON": sys.executable} if sys.executable else dict(os.environ)


def become(name, *words):
    """Replaces this program by another, with these arguments and its own."""
    path = path_of(name)
    os.execve(path, [path, *words, *sys.argv[1:]], environment())


def ipengine():
    """A wheel's program ipengine: an engine in this Python, if no other is named."""
    become("ipengine")
