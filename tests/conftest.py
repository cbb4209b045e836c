"""Fixtures of the session and interop tests: each test has a sandbox, and leaves nothing behind."""

import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from support import TOP, Programs, Sandbox, cluster_maker, find_build, install, own_loopback, sanitizers

# A shell starts what runs in its background with SIGINT ignored, and nohup with SIGHUP, which children inherit; some tests are about
# these.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The package of the build tree: that of the sources has no extension modules.
sys.path.insert(0, str(find_build() / "python"))


def pytest_configure(config):
    """Gives each process that runs tests a network of its own. A process that only gives tests to others needs none."""
    if hasattr(config, "workerinput") or not config.getoption("numprocesses", None):
        own_loopback()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Remembers whether the test failed. If it did, shows what its processes printed."""
    outcome = yield
    report = outcome.get_result()
    setattr(item, f"report_{report.when}", report)
    sandbox = getattr(item, "sandbox", None)
    if report.failed and report.when != "teardown" and sandbox:
        for process in sandbox.processes:
            status = "running" if process.alive else process.popen.returncode
            report.sections.append((f"{process.name} {process.pid} ({status})", process.output[-8000:]))


@pytest.fixture(scope="session")
def build():
    """The build tree."""
    return find_build()


@pytest.fixture(scope="session")
def programs(build):
    """The programs of the build tree: .ipcluster, .ipcontroller, .ipengine, .python_path."""
    return Programs.of_build(build)


@pytest.fixture(scope="session")
def installed(build):
    """The programs after `make install` into a prefix inside the build tree."""
    if sanitizers(build):
        pytest.skip("what is installed is tested without sanitizers")
    return Programs.of_prefix(install(build))


@pytest.fixture
def sandbox(request, programs, monkeypatch):
    """A home, an IPYTHONDIR and an environment of its own; .start() and .run() programs in it. Ends what it started."""
    yield from _sandbox(request, programs, monkeypatch)


@pytest.fixture
def installed_sandbox(request, installed, monkeypatch):
    """The same for the installed programs, which know nothing of the build tree."""
    yield from _sandbox(request, installed, monkeypatch)


def _sandbox(request, programs, monkeypatch):
    box = Sandbox(programs)
    request.node.sandbox = box
    monkeypatch.setenv("IPYTHONDIR", str(box.ipython_dir))
    yield box
    report = getattr(request.node, "report_call", None)
    box.end(strict=report is not None and report.passed)


@pytest.fixture
def new_cluster(sandbox):
    """new_cluster(n, profile=, cluster_id=, controller=[...], engine=[...]): a controller and n engines, registered or not yet."""
    with cluster_maker(sandbox) as make:
        yield make


@pytest.fixture
def cluster(new_cluster):
    """A controller and two engines; cluster.client() connects and waits for both."""
    return new_cluster(2)


@pytest.fixture(scope="session")
def mpi4py_of_mpich(tmp_path_factory):
    """The folder of the stand-in for an mpi4py that a user has built for MPICH."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "mpi4py").mkdir()
    (folder / "mpi4py/__init__.py").touch()
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "python3", "mpich"], capture_output=True, text=True, check=True
    ).stdout
    subprocess.run(
        [
            "gcc",
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            folder / "mpi4py/MPI.so",
            TOP / "tests/session/mpich/mpi.c",
            *shlex.split(flags),
        ],
        check=True,
    )
    return folder


@pytest.fixture(scope="session")
def pytrilinos(tmp_path_factory):
    """The folder of the stand-in for the packaging of PyTrilinos, built over Debian's Epetra."""
    sources = TOP / "tests/session/pytrilinos"
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(sources / "PyTrilinos", folder / "PyTrilinos")
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "python3", "ompi-c"], capture_output=True, text=True, check=True
    ).stdout
    subprocess.run(
        [
            "g++",
            "-shared",
            "-fPIC",
            "-O1",
            "-w",
            "-o",
            folder / "PyTrilinos/Epetra.so",
            sources / "epetra.cpp",
            "-I/usr/include/trilinos",
            *shlex.split(flags),
            "-ltrilinos_epetra",
        ],
        check=True,
    )
    return folder
