"""Debian's packages: built from a clone, installed into a clean root, where they run the session of the README, and purged."""

import re
import shutil
import subprocess
from xml.etree import ElementTree

import pytest

import docblocks
from roots import left, run, sources
from support import TOP

NAMES = re.findall(r"^Package: (\S+)", (TOP / "debian/control").read_text(), re.MULTILINE)


# What the page on installing says: how to get what building needs, how to build, and how to install.
NEED, BUILD, INSTALL = (typed for block in docblocks.blocks(TOP / "docs/howto/install.md") if block.note("tested by") == "tests/packages/test_debian.py"
                        for typed, _ in block.commands)  # fmt: skip


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    """The folder in which they were built."""
    folder = tmp_path_factory.mktemp("deb")
    run("sh", "-c", BUILD, cwd=sources(folder / "ipcluster"), seconds=1800)
    return folder


def test_every_package_of_the_control_file_is_built_and_lintian_finds_no_error(packages):
    assert {path.name.partition("_")[0] for path in packages.glob("*.deb")} >= set(NAMES)
    if not shutil.which("lintian"):
        pytest.skip("there is no lintian here: apt-get install lintian")
    (changes,) = packages.glob("*.changes")
    done = subprocess.run(["lintian", "--fail-on", "error", "--allow-root", changes], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_a_clean_root_runs_the_session_of_the_readme_beside_ipyparallel_and_nothing_is_left_of_it(packages, root_of):
    root = root_of("bookworm")
    root.install("python3-ipyparallel", "python3-mpi4py", "python3-numpy", "openmpi-bin")
    (root.folder / "root/debs/sources").mkdir(parents=True)
    for package in packages.glob("*.deb"):
        if "dbgsym" not in package.name:
            shutil.copy(package, root.folder / "root/debs")
    sources(root.folder / "src")
    theirs = root.run("ipcluster", "--version")
    root.install("libltdl7", "libuv1", "libzmq5", "libjansson4", "libsqlite3-0", "libssl3", "libjansson-dev", "libpython3.11",
                 "libjs-sphinxdoc")  # fmt: skip
    before = root.files()
    root.run(
        "sh",
        "-c",
        "cd /root/debs/sources && " + INSTALL.replace("sudo apt-get", "apt-get -q -y --no-install-recommends"),
    )
    assert root.run("ipcluster", "--version") == theirs
    assert root.run("ipcl-cluster", "--version").startswith("ipcluster ")
    assert "the engines' sums:" in root.run("sh", "-c", "cd /src && debian/tests/psum")
    found = root.run("ipcl-cluster", "plugins")
    assert not re.search("^Refused", found, re.MULTILINE) and "slurm" in found
    root.purge(*NAMES)
    assert not left(before, root.files())


def test_debians_runner_of_package_tests_finds_nothing_in_a_clean_root(packages, root_of, tmp_path):
    if not shutil.which("autopkgtest"):
        pytest.skip("there is no autopkgtest here: apt-get install autopkgtest")
    root = root_of("bookworm")
    built = [path for path in packages.glob("*.deb") if "dbgsym" not in path.name]
    said = root.run_beside(
        "autopkgtest", "--no-built-binaries", *built, sources(tmp_path / "src"), "--", "chroot", root.folder
    )
    assert re.search(r"^psum +PASS", said, re.MULTILINE)


# As scripts/test does it. What is tried against ipyparallel is tried on this machine alone: Debian 13 has version 8.8, and exceptions.txt of
# its own tests is for version 7.1.
QUICK = """
cd /src
scripts/install-packages build run docs test
scripts/build build
make -s -C build check
make -s -C build install
make -s -C build docs
IPCLUSTER_BUILD=/src/build python3 -m pytest -p no:cacheprovider -q -n $(($(nproc) + 1)) --timeout=300 --junitxml=session.xml tests/session
"""


def test_debian_13_builds_everything_and_passes_unit_and_session_tests_with_its_python(root_of):
    root = root_of("trixie")
    root.install("git")
    sources(root.folder / "src")
    root.run("sh", "-ec", QUICK, seconds=7200)
    assert root.run("python3", "--version").startswith("Python 3.13.")
    report = ElementTree.parse(root.folder / "src/session.xml")
    ran = {case.get("name") for case in report.iter("testcase") if case.find("skipped") is None}
    for kind in ("Debian's", "a venv", "a venv of copies"):
        assert f"test_an_engine_runs_in_the_python_of_whoever_starts_it[{kind}]" in ran
        for activated in ("activated", "not activated"):
            assert any(name.endswith(f"[{kind}-{activated}]") for name in ran), (kind, activated)
