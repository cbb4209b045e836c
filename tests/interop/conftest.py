"""What interop tests share: ipyparallel's client, and its controller with engines of ours."""

import pytest

from support import PYTHON, Cluster, cluster_maker, own_ports, wait_until


def pytest_collection_modifyitems(items):
    """The longest tests go first, so that no worker is left alone with them at the end."""
    items.sort(key=lambda item: item.path.name != "test_ipyparallel_versions.py")


class TheirCluster(Cluster):
    """ipyparallel's controller, and engines of ours."""

    def start_controller(self, *arguments, env=None):
        self.controller = self.sandbox.start(
            PYTHON,
            "-m",
            "ipyparallel.controller",
            f"--ipython-dir={self.sandbox.ipython_dir}",
            f"--profile={self.profile}",
            own_ports(),
            *arguments,
            env=env,
            python=True,
        )
        wait_until(
            lambda: self.engine_file.exists() and self.client_file.exists(),
            60,
            "their controller writes its connection files",
        )
        return self.controller

    def start_their_engine(self):
        return self.sandbox.start(PYTHON, "-m", "ipyparallel.engine", f"--file={self.engine_file}", python=True)


@pytest.fixture
def new_their_cluster(sandbox):
    """new_their_cluster(n, controller=[...], engine=[...]): their controller, and n engines of ours."""
    pytest.importorskip("ipyparallel")
    with cluster_maker(sandbox, TheirCluster) as make:
        yield make


@pytest.fixture
def connect():
    """connect(cluster, n): an ipyparallel client that sees n engines; closed at the end."""
    ipp = pytest.importorskip("ipyparallel")
    clients = []

    def make(cluster, count):
        client = ipp.Client(str(cluster.client_file))
        clients.append(client)
        wait_until(lambda: len(client.ids) == count, 30, f"ipyparallel's client sees {count} engines")
        return client

    yield make
    for client in clients:
        client.close()
