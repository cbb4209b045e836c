"""One build for every Python: what is built once serves each CPython from 3.11 on that this machine has."""

import os
import subprocess
from pathlib import Path

import pytest

from support import PYTHON


def pythons():
    """The interpreters of this machine that should do: Debian's, and those of pyenv."""
    found = [PYTHON]
    for path in sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python")):
        minor = int(path.parts[-3].split(".")[1])
        if minor >= 11:
            found.append(str(path))
    return found


@pytest.fixture(scope="session")
def others():
    """Interpreters of other versions or builds than Debian's."""
    found = pythons()[1:]
    if not found:
        pytest.skip("this machine has no other Python of 3.11 or later below ~/.pyenv/versions")
    return found


def test_every_python_takes_the_same_client_library(others, programs):
    code = "from ipcluster import Client, _client; print(_client.__file__)"
    taken = {
        subprocess.run([python, "-c", code], env={**os.environ, "PYTHONPATH": programs.python_path[0]}, check=True,
                       capture_output=True, text=True).stdout.strip()
        for python in [PYTHON, *others]
    }  # fmt: skip
    assert taken == {f"{programs.python_path[0]}/ipcluster/_client.abi3.so"}
