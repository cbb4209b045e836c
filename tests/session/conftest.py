"""Fixtures of several files: a client's package, its views and a gate, and peers for tests that play the controller of an engine, or the
clients and engines of a controller."""

import contextlib
import os
import tempfile
from pathlib import Path

import controller_peer
import engine_peer
import own_slurm
import pytest
import ssh_hosts

from support import ANOTHER, wait_until


@pytest.fixture
def ipcluster(programs):
    """The package of the build tree."""
    import ipcluster

    return ipcluster


@pytest.fixture
def sandbox_here(sandbox, monkeypatch):
    """The sandbox, whose environment this process has, too."""
    for name, value in sandbox.env.items():
        if name not in ("PYTHONPATH",):
            monkeypatch.setenv(name, value)
    return sandbox


@pytest.fixture
def gate(sandbox):
    """A file that ends requests of wait_for_file()."""
    return sandbox.dir / "gate"


@pytest.fixture
def client(cluster):
    return cluster.client()


@pytest.fixture
def view(client):
    return client[:]


@pytest.fixture
def balanced(client):
    return client.load_balanced_view()


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    made = own_slurm.Slurm(tmp_path_factory.mktemp("slurm"), settings="WaitTime=0\nKillOnBadExit=1")
    yield made
    made.stop()


@pytest.fixture
def hosts(box):
    if os.geteuid() == 0 and box.run("unshare", "--net", "--uts", "--mount", "true").status:
        pytest.skip("this superuser cannot make networks")
    return ssh_hosts.Hosts(box)


@pytest.fixture
def connect(box, ipcluster):
    clients = []

    def make(n):
        client = ipcluster.Client(timeout=60)
        clients.append(client)
        client.wait_for_engines(n, timeout=60)
        return client

    yield make
    for client in clients:
        client.close()


@pytest.fixture
def peer(sandbox):
    made = engine_peer.Peer(sandbox.dir)
    yield made
    made.close()


@pytest.fixture
def engine(sandbox, peer):
    process = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}")
    peer.register()
    process.wait_for_output("registered as engine 0")
    return process


@pytest.fixture
def controller(sandbox):
    """controller(*arguments): starts one and returns a Peer for it, with the Process as .process."""
    peers = []

    def start(*arguments, profile="default", cluster_id=""):
        words = [f"--profile={profile}"] + ([f"--cluster-id={cluster_id}"] if cluster_id else [])
        stem = f"ipcontroller-{cluster_id}" if cluster_id else "ipcontroller"
        files = [sandbox.profile_dir(profile) / "security" / f"{stem}-{role}.json" for role in ("client", "engine")]
        before = [path.stat().st_mtime_ns for path in files if path.exists()]
        process = sandbox.start(sandbox.programs.ipcontroller, *words, *arguments)

        def ready():
            assert process.alive, process.output
            return all(path.exists() and path.stat().st_mtime_ns not in before for path in files)

        wait_until(ready, 20, "the connection files are there")
        peer = controller_peer.Peer(sandbox.profile_dir(profile), cluster_id)
        peer.process = process
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        peer.close()


@pytest.fixture
def growth(sandbox):
    """growth(peer): how many bytes more the controller has now than at the first call; a sanitizer's memory is its own."""
    first = {}

    def measure(peer):
        now = 1024 * engine_peer.resident_kb(peer.process.pid)
        return 0 if sandbox.sanitizers else now - first.setdefault(peer, now)

    return measure


@pytest.fixture
def box(sandbox):
    """The sandbox with two short names: .ipcluster() runs a command to its end, .begin() leaves it running."""
    sandbox.ipcluster = lambda *words, **more: sandbox.run(sandbox.programs.ipcluster, *words, **more)
    sandbox.begin = lambda *words, **more: sandbox.start(sandbox.programs.ipcluster, *words, **more)
    if "ASAN_OPTIONS" in sandbox.env:
        # Open MPI unloads its components, so that their leaks have no names: the slow unwinder finds their callers, which have names.
        sandbox.env["ASAN_OPTIONS"] += ":fast_unwind_on_malloc=0"
    return sandbox


@pytest.fixture
def as_another():
    """Words before a command, which runs it as another user."""
    return ["setpriv", f"--reuid={ANOTHER}", f"--regid={ANOTHER}", "--clear-groups", "--"]


@pytest.fixture
def everybodys():
    """A folder for temporary files that all users share."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o1777)
        yield Path(folder)
    with contextlib.suppress(OSError):
        os.rmdir(f"/tmp/ipcluster-{os.geteuid()}")
