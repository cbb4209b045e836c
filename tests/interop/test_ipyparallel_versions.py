"""Clients, engines and controllers of several versions of ipyparallel with ours, and several clients at the same time.

Debian's own ipyparallel is version 7.1; later ones are fetched from newer suites where that can be done.
"""

from pathlib import Path

import pytest

import peers
from support import PYTHON, own_ports, wait_until

EXERCISE = Path(__file__).with_name("exercise.py")
pytest.importorskip("ipyparallel")
# Long enough for a slow mirror, which is a reason to skip and not to fail.
pytestmark = pytest.mark.timeout(6 * peers.TIMEOUT)


@pytest.fixture(scope="session")
def version():
    """version(suite): what to put on PYTHONPATH for the ipyparallel of a Debian suite, "" for the one that is installed."""

    def path(suite):
        if not suite:
            return ""
        try:
            return str(peers.fetch(suite))
        except peers.Unavailable as reason:
            pytest.skip(f"no ipyparallel from Debian {suite}: {reason}")

    return path


@pytest.fixture
def exercise(sandbox):
    """exercise(cluster, engines, clients): runs the clients at the same time, and waits until all of them were answered rightly.
    A client is the path of an ipyparallel, or "ipcluster" for ours."""

    def run(file, engines, *clients, rounds=2):
        start = sandbox.dir / "start"
        started = [start_client(sandbox, client, file, engines, rounds, start) for client in clients]
        for process in started:
            process.wait_for_output("connected", 120)
        start.touch()
        for process in started:
            assert process.wait(180) == 0, process.output
            assert "all right" in process.output

    return run


def start_client(sandbox, client, file, engines, rounds, start):
    module, path = ("ipcluster", "") if client == "ipcluster" else ("ipyparallel", client)
    return sandbox.start(
        PYTHON, EXERCISE, module, file, engines, rounds, start, env=with_path(sandbox, path), python=True
    )


def with_path(sandbox, path):
    folders = [path, *sandbox.programs.python_path]
    return {"PYTHONPATH": ":".join(folder for folder in folders if folder)}


def start_theirs(sandbox, path, what, *arguments):
    return sandbox.start(PYTHON, "-m", f"ipyparallel.{what}", *arguments, env=with_path(sandbox, path), python=True)


@pytest.mark.parametrize("suite", ["", *peers.SUITES], ids=["installed", *peers.SUITES])
def test_a_client_of_each_version_beside_ours(new_cluster, exercise, version, suite):
    """Two clients of one version and one of ours, all at once, on one controller."""
    path = version(suite)
    cluster = new_cluster(3)
    exercise(cluster.client_file, 3, path, path, "ipcluster")


def test_clients_of_every_version_at_once(new_cluster, exercise, version):
    paths = [version(suite) for suite in ("", *peers.SUITES)]
    cluster = new_cluster(3)
    exercise(cluster.client_file, 3, *paths, "ipcluster")


@pytest.mark.parametrize("suite", ["", *peers.SUITES], ids=["installed", *peers.SUITES])
def test_engines_of_each_version_under_our_controller(sandbox, new_cluster, exercise, version, suite):
    """Two of their engines and one of ours, driven by a client of their version and by ours."""
    path = version(suite)
    cluster = new_cluster(1)
    for _ in range(2):
        start_theirs(sandbox, path, "engine", f"--file={cluster.engine_file}")
    exercise(cluster.client_file, 3, path, "ipcluster")


@pytest.mark.parametrize("suite", ["", *peers.SUITES], ids=["installed", *peers.SUITES])
def test_our_engines_under_the_controller_of_each_version(sandbox, exercise, version, suite):
    """Two of our engines and one of theirs."""
    path = version(suite)
    start_theirs(sandbox, path, "controller", "--ipython-dir", sandbox.ipython_dir, "--profile=default", own_ports())
    security = sandbox.profile_dir() / "security"
    engine_file, client_file = (security / f"ipcontroller-{role}.json" for role in ("engine", "client"))
    wait_until(
        lambda: engine_file.exists() and client_file.exists(), 60, "their controller writes its connection files"
    )
    for _ in range(2):
        sandbox.start(sandbox.programs.ipengine, f"--file={engine_file}")
    start_theirs(sandbox, path, "engine", f"--file={engine_file}")
    exercise(client_file, 3, path, "ipcluster")
