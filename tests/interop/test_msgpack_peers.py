"""MessagePack between our programs and ipyparallel's: each client, under each controller, with both kinds of engine."""

import json
import os

import pytest

from support import PYTHON, own_ports, wait_until

ipp = pytest.importorskip("ipyparallel")
pytest.importorskip("msgpack")


def start_theirs(sandbox, profile_dir, module, *arguments):
    return sandbox.start(PYTHON, "-m", module, f"--profile-dir={profile_dir}", *arguments)


@pytest.fixture(params=["our controller", "their controller"])
def cluster(request, new_cluster, sandbox):
    """A controller that speaks MessagePack, an engine of ours and one of theirs."""
    from support import Cluster

    if request.param == "our controller":
        cluster = new_cluster(0, controller=["--Session.packer=msgpack.packb", "--Session.unpacker=msgpack.unpackb"])
    else:
        cluster = Cluster(sandbox)
        cluster.profile_dir.mkdir(mode=0o700)
        start_theirs(sandbox, cluster.profile_dir, "ipyparallel.controller", own_ports(), "--Session.packer=msgpack.packb",
                     "--Session.unpacker=msgpack.unpackb")  # fmt: skip
        wait_until(cluster.client_file.exists, 60, "ipyparallel's controller writes its files")
    cluster.start_engine()
    start_theirs(sandbox, cluster.profile_dir, "ipyparallel.engine")
    yield cluster
    cluster.close()


def test_both_clients_use_both_engines(cluster):
    assert json.loads(cluster.client_file.read_text())["pack"] == "msgpack.packb"
    client = cluster.client(wait_for=2)
    with ipp.Client(str(cluster.client_file)) as rc:
        wait_until(lambda: len(rc.ids) == 2, 30, "both engines register")
        broadcast = [client.broadcast_view(), rc.broadcast_view(), rc.broadcast_view(is_coalescing=True)]
        for view in (client[:], rc[:], *broadcast):
            assert len(set(view.apply_sync(os.getpid))) == 2
            view.push({"a": [1, {"b": b"\0\xff" * 5000}]}, block=True)
            assert view["a"] == [[1, {"b": b"\0\xff" * 5000}]] * 2
            result = view.execute("print('out ä'); 1 + 1", silent=False, block=True)
            wait_until(lambda r=result: r.stdout == ["out ä\n"] * 2, 20, "output comes")
            with pytest.raises((ipp.CompositeError, Exception), match="division by zero"):
                view.execute("1 / 0", block=True)
        for balanced in (client.load_balanced_view(), rc.load_balanced_view()):
            assert balanced.map_sync(abs, range(-20, 0)) == list(range(20, 0, -1))
