"""The programs that belong to this package, whatever else has their names on $PATH, and `python -m` of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ipcluster import built

_IN_A_BUILD_TREE = {"ipcluster": "core/cluster", "ipcontroller": "core/controller", "ipengine": "core/engine"}


def _is_ours(path, name):
    """Whether it is this project's program: ipyparallel's have the same names."""
    try:
        said = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return said.returncode == 0 and said.stdout.startswith(f"{name} ")


def path_of(name):
    """The path of one of the three: of the build tree or installation that this package is of, and only where that is not
    there, of another installation that $PATH has. Raises FileNotFoundError where there is none."""
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
    """The environment for them: engines that they start run in this Python, where it is and no other is named."""
    return {**os.environ, "IPCLUSTER_PYTHON": sys.executable} if sys.executable else dict(os.environ)


def become(name, *words):
    """Runs the program in the place of this one, with these arguments and its own."""
    path = path_of(name)
    os.execve(path, [path, *words, *sys.argv[1:]], environment())


def ipengine():
    """The program of that name of a wheel: an engine in this Python, where no other is named."""
    become("ipengine")
