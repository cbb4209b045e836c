"""Clusters that a Python program starts and ends: a face of the program `ipcluster`."""

import asyncio
import functools
import os
import shutil
import subprocess
import uuid
from pathlib import Path

from ipcluster.client import Client

STOP_TIMEOUT = 60  # seconds that `ipcluster stop` may take


def _program():
    """The program, on the path or in the build tree that this package is of."""
    found = shutil.which("ipcluster")
    tree = Path(__file__).absolute().parents[2] / "core/cluster/ipcluster"
    if found is None and tree.exists():
        return str(tree)
    if found is None:
        raise FileNotFoundError("the program ipcluster is not on the path: install it, or add its folder to $PATH")
    return found


def _ipython_dir():
    return Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")


def _in_background(name):
    """The method `name` as a coroutine."""

    async def call(self, *args, **kwargs):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, functools.partial(getattr(self, name), *args, **kwargs))

    call.__doc__ = f"{name}() as a coroutine."
    return call


class Cluster:
    """A controller and `n` engines (by default one for each processor), started by `ipcluster start`.

    `engines` and `controller`: launchers, by name or alias ("mpi"). `controller_args`: further arguments of ipcontroller; `options`:
    further arguments of ipcluster, such as ["--mpi=native"]. Used as a context manager it gives a client that sees all engines, and
    stops the cluster behind it.
    """

    def __init__(
        self, n=None, *, engines=None, controller=None, profile=None, profile_dir=None, cluster_id=None, controller_ip=None,
        controller_location=None, controller_args=(), options=(), engine_timeout=60,
    ):  # fmt: skip
        self.n = n
        self.engines = engines
        self.controller = controller
        self.profile = profile
        self.profile_dir = None if profile_dir is None else os.fspath(profile_dir)
        self.cluster_id = uuid.uuid4().hex[:12] if cluster_id is None else cluster_id
        self.controller_ip = controller_ip
        self.controller_location = controller_location
        self.controller_args = list(controller_args)
        self.options = list(options)
        self.engine_timeout = engine_timeout
        self.running = False

    def __repr__(self):
        return f"<Cluster {self.cluster_id or self.profile or 'default'}: {'running' if self.running else 'not running'}>"

    @classmethod
    def from_file(cls, cluster_file=None, *, profile=None, profile_dir=None, cluster_id=""):
        """The cluster that runs already, of a profile and cluster id. Raises FileNotFoundError where none does."""
        if cluster_file is not None:
            path = Path(cluster_file)
            profile_dir, name = path.parent.parent, path.stem
            cluster_id = name[len("cluster-") :] if name.startswith("cluster-") else ""
        cluster = cls(profile=profile, profile_dir=profile_dir, cluster_id=cluster_id)
        if not cluster.connection_file.exists():
            raise FileNotFoundError(f"no cluster runs here: {cluster.connection_file} is not there")
        cluster.running = True
        return cluster

    @property
    def connection_file(self):
        """The path of the clients' connection file."""
        folder = Path(self.profile_dir or _ipython_dir() / f"profile_{self.profile or 'default'}")
        return folder / "security" / f"ipcontroller{'-' + self.cluster_id if self.cluster_id else ''}-client.json"

    def _words(self):
        named = {"profile": self.profile, "profile-dir": self.profile_dir, "cluster-id": self.cluster_id}
        return [f"--{name}={value}" for name, value in named.items() if value]

    def _run(self, command, *words, timeout=None):
        done = subprocess.run([_program(), command, *self._words(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", timeout=timeout)  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"ipcluster {command} failed: {done.stdout.strip() or f'exit status {done.returncode}'}")
        return done.stdout

    def start_cluster_sync(self, n=None):
        """Starts controller and engines; returns once all have registered."""
        self.n = self.n if n is None else n
        named = {"n": self.n, "engines": self.engines, "controller": self.controller, "ip": self.controller_ip,
                 "location": self.controller_location}  # fmt: skip
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        more = ["--", *self.controller_args] if self.controller_args else []
        self._run("start", "--daemonize", *words, *self.options, *more)
        self.running = True
        return self

    def start_engines_sync(self, n=None):
        """Adds engines; returns at once."""
        words = [f"--n={n}"] if n is not None else []
        words += [f"--engines={self.engines}"] if self.engines is not None else []
        self._run("engines", "--daemonize", *words)

    def connect_client_sync(self, **client_options):
        """A client of this cluster."""
        return Client(self.connection_file, cluster=self, **client_options)

    def start_and_connect_sync(self, n=None, activate=False):
        """Starts the cluster and returns a client that sees its engines; with activate=True they are those of the px magics."""
        self.start_cluster_sync(n)
        client = self.connect_client_sync()
        if self.n:
            client.wait_for_engines(self.n, timeout=self.engine_timeout)
        if activate:
            client.activate()
        return client

    def signal_engines_sync(self, signum):
        """Sends a signal to all engines."""
        with self.connect_client_sync() as client:
            client.send_signal(signum, block=True)

    def stop_cluster_sync(self):
        """Stops the engines, then the controller."""
        if self.running:
            self._run("stop", timeout=STOP_TIMEOUT)
            self.running = False

    start_cluster = _in_background("start_cluster_sync")
    start_engines = _in_background("start_engines_sync")
    connect_client = _in_background("connect_client_sync")
    start_and_connect = _in_background("start_and_connect_sync")
    signal_engines = _in_background("signal_engines_sync")
    stop_cluster = _in_background("stop_cluster_sync")

    def __enter__(self):
        self._client = self.start_and_connect_sync()
        return self._client

    def __exit__(self, *_):
        try:
            self._client.close()
        finally:
            self.stop_cluster_sync()

    async def __aenter__(self):
        self._client = await self.start_and_connect()
        return self._client

    async def __aexit__(self, *_):
        try:
            self._client.close()
        finally:
            await self.stop_cluster()
