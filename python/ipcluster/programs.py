"""The programs that belong to this package, whatever else has their names on $PATH, and `python -m` of them."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ipcluster import built

_IN_A_BUILD_TREE = {"ipcluster": "core/cluster", "ipcontroller": "core/controller"}


def _is_ours(path, name):
    """Whether it is this project's program: ipyparallel's have the same names."""
    try:
        said = subprocess.run([path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=60)
    except (OSError, subprocess.SubprocessError):
        return False
    return said.returncode == 0 and said.stdout.startswith(f"{name} ")


def path_of(name):
    """The path of `ipcluster` or `ipcontroller`: of the build tree or installation that this package is of, and only where that is not
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


def become(name):
    """Runs the program in the place of this one, with its arguments."""
    path = path_of(name)
    os.execv(path, [path, *sys.argv[1:]])
