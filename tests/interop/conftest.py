"""What interop tests share: ipyparallel's controller with engines of ours."""

import pytest

from support import PYTHON, Cluster, wait_until


class TheirCluster(Cluster):
    """ipyparallel's controller, and engines of ours."""

    def start_controller(self, *arguments, env=None):
        self.controller = self.sandbox.start(PYTHON, "-m", "ipyparallel.controller", f"--ipython-dir={self.sandbox.ipython_dir}",
                                             f"--profile={self.profile}", *arguments, env=env, python=True)
        wait_until(lambda: self.engine_file.exists() and self.client_file.exists(), 60,
                   "their controller writes its connection files")
        return self.controller


@pytest.fixture
def new_their_cluster(sandbox):
    """new_their_cluster(n, controller=[...], engine=[...]): their controller, and n engines of ours."""
    pytest.importorskip("ipyparallel")
    clusters = []

    def make(n=0, controller=(), engine=(), env=None):
        cluster = TheirCluster(sandbox)
        clusters.append(cluster)
        cluster.start_controller(*controller, env=env)
        for _ in range(n):
            cluster.start_engine(*engine, env=env)
        return cluster

    yield make
    for cluster in clusters:
        cluster.close()
