"""Clusters that a Python program starts and ends, by the program `ipcluster`."""

import asyncio
import atexit
import contextlib
import functools
import json
import math
import os
import subprocess
import sys
import uuid
from pathlib import Path

from ipcluster.client import Client
from ipcluster.programs import environment, path_of
from ipcluster.shown import card, in_notebook, is_watched

STOP_TIMEOUT = 60  # seconds that `ipcluster stop` may take
NOTHING_TO_STOP = 11  # the exit status of `ipcluster stop` if the cluster has ended already
ENGINE_TIMEOUT = 60  # seconds, by default
ALL_ENGINES = 1_000_000  # for --n-min, which means all engines if there are fewer

# The clusters to stop when the process ends, and the process that started each: a fork of it stops none.
_started = {}


@atexit.register
def _stop_started():
    for cluster, pid in list(_started.items()):
        if pid == os.getpid():
            with contextlib.suppress(Exception):
                cluster.stop_cluster_sync()


def ipython_dir():
    """IPython's folder, which has the profiles."""
    return Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")


def run_program(command, *words, timeout=None, fine=(0,)):
    """Runs `ipcluster COMMAND WORDS`; returns what it printed. Raises RuntimeError with its words if it fails."""
    done = subprocess.run([path_of("ipcluster"), command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          env=environment(), timeout=timeout)  # fmt: skip
    if done.returncode not in fine:
        said = (done.stdout + done.stderr).strip()
        raise RuntimeError(f"ipcluster {command} failed: {said or f'exit status {done.returncode}'}")
    return done.stdout


def _in_background(name):
    """The method `name` as a coroutine."""

    async def call(self, *args, **kwargs):
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(None, functools.partial(getattr(self, name), *args, **kwargs))

    call.__doc__ = f"{name}() as a coroutine."
    return call


class Cluster:
    """A controller and engines, started by the program `ipcluster`. As a context manager it gives a client that sees all engines, and stops the
    cluster at the end.

    Each method whose name ends in `_sync` exists as a coroutine without that ending: `await cluster.start_cluster()`.

    Args:
        n (int): the number of engines; by default one for each processor.
        engines (str): their launcher, by name or alias: "mpi", "slurm".
        controller (str): the controller's launcher, by name or alias.
        profile (str): the profile's name; by default "default".
        profile_dir (str): the profile's folder, instead of a name.
        cluster_id (str): the cluster's name; by default a new one; "" for the cluster of `ipcluster start`.
        controller_ip (str): the address for the controller to listen on.
        controller_location (str): the address under which engines and clients on other machines reach it.
        controller_args (list): further arguments of ipcontroller: ["--dictdb"].
        options (list): further arguments of ipcluster: ["--mpi=native"].
        engine_timeout (float): seconds to wait for the next engine to register.
        n_min (int): how many engines must have registered before a start is done; by default all. The others come when they can. Engines that
            are batch jobs may wait long: by default their start is done when they are submitted.
        n_max (int): the set grows up to so many engines while tasks wait. It shrinks to n_min, or to n if that is less. If n is not given, it
            begins with n_min engines, or none.
        idle_timeout (float): seconds after which an engine of such a set ends if it has nothing to do and keeps nothing.
        progress (bool): whether to show the progress of a start; by default at a terminal and in IPython.
        shutdown_atexit (bool): False lets the cluster run on when this process ends.
    Example:
        >>> with ipcluster.Cluster(n=2) as client:
        ...     client[:].apply_sync(abs, -1)
        [1, 1]
    """

    def __init__(
        self, n=None, *, engines=None, controller=None, profile=None, profile_dir=None, cluster_id=None, controller_ip=None,
        controller_location=None, controller_args=(), options=(), engine_timeout=None, n_min=None, progress=None,
        shutdown_atexit=True, n_max=None, idle_timeout=None,
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
        self.n_min = n_min
        self.n_max = n_max
        self.idle_timeout = idle_timeout
        self.progress = progress
        self.shutdown_atexit = shutdown_atexit
        self.running = False

    def __repr__(self):
        return (
            f"<Cluster {self.cluster_id or self.profile or 'default'}: {'running' if self.running else 'not running'}>"
        )

    def _repr_html_(self):
        facts = {"engines": self.n, "launcher": self.engines, "connection file": self.connection_file}
        return card(
            "Cluster",
            f"{self.cluster_id or self.profile or 'default'}, {'running' if self.running else 'not running'}",
            facts,
        )

    @classmethod
    def from_file(cls, cluster_file=None, *, profile=None, profile_dir=None, cluster_id=""):
        """A Cluster for a cluster that runs already.

        Args:
            cluster_file (str): the path of its state file, in the profile's security folder; or, without it:
            profile (str): the profile's name.
            profile_dir (str): the profile's folder.
            cluster_id (str): the cluster's name.
        Returns:
            Cluster: it does not end with this process.
        Raises:
            FileNotFoundError: none runs there.
        Example:
            >>> ipcluster.Cluster.from_file()
            <Cluster default: running>
        """
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
        """The path of the clients' connection file, a pathlib.Path.

        Example:
            >>> cluster.connection_file.exists()
            True
        """
        folder = Path(self.profile_dir or ipython_dir() / f"profile_{self.profile or 'default'}")
        return folder / "security" / f"ipcontroller{'-' + self.cluster_id if self.cluster_id else ''}-client.json"

    def _words(self):
        named = {"profile": self.profile, "profile-dir": self.profile_dir, "cluster-id": self.cluster_id}
        return [f"--{name}={value}" for name, value in named.items() if value]

    def _run_shown(self, command, *words):
        """The same as _run(), and shows what the program prints while it runs."""
        file = sys.stdout if in_notebook() else sys.stderr
        if not (is_watched(file) if self.progress is None else self.progress):
            self._run(command, *words)
            return
        from ipcluster.bars import StartShown

        said = []
        with subprocess.Popen([path_of("ipcluster"), command, *self._words(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace", env=environment()) as program, \
                StartShown(file) as shown:  # fmt: skip
            for line in program.stdout:
                said.append(line)
                shown.show(line)
        if program.returncode != 0:
            raise RuntimeError(
                f"ipcluster {command} failed: {''.join(said).strip() or f'exit status {program.returncode}'}"
            )

    def _run(self, command, *words, **options):
        return run_program(command, *self._words(), *words, **options)

    def _engine_sets(self):
        """What `ipcluster list` says of sets of engines, by their names."""
        entries = json.loads(self._run("list", "--json"))
        return {one["set"]: one for entry in entries if entry["cluster_id"] == self.cluster_id and entry["state"] != "stopped"
                for one in entry["sets"]}  # fmt: skip

    def start_controller_sync(self):
        """Starts the controller alone.

        Raises:
            RuntimeError: it does not start; the text is what ipcluster said.
        Example:
            >>> own = ipcluster.Cluster()
            >>> own.start_controller_sync()
            >>> own.stop_cluster_sync()
        """
        named = {"controller": self.controller, "ip": self.controller_ip, "location": self.controller_location}
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        more = ["--", *self.controller_args] if self.controller_args else []
        # The options or the profile may ask for engines: here there are none.
        self._run("start", "--daemonize", *words, *self.options, "--n=0", "--n-max=0", *more)
        self.running = True
        if self.shutdown_atexit:
            _started[self] = os.getpid()

    def start_engines_sync(self, n=None, engine_set_id=None, n_min=None):
        """Adds a set of engines. Returns when all of them, or `n_min`, have registered, or when they are submitted to a batch system.

        Args:
            n (int): how many; by default one for each processor.
            engine_set_id (str): the set's name; by default a new one.
            n_min (int): how many engines must have registered before this returns.
        Returns:
            str: the set's name.
        Raises:
            RuntimeError: they do not start; the text is what ipcluster said.
        Example:
            >>> cluster.start_engines_sync(1, "more")
            'more'
            >>> cluster.stop_engines_sync("more")
        """
        return self._start_engines(n, engine_set_id or uuid.uuid4().hex[:12], n_min, self.engines)

    def _start_engines(self, n, engine_set_id, n_min, engines):
        named = {"n": n, "engine-set": engine_set_id, "engines": engines, "n-min": self.n_min if n_min is None else n_min,
                 "n-max": self.n_max, "idle-timeout": self.idle_timeout,
                 "Cluster.engine_timeout": self.engine_timeout and math.ceil(self.engine_timeout)}  # fmt: skip
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        self._run_shown("engines", "--daemonize", *words, *self.options)
        return engine_set_id

    def start_cluster_sync(self, n=None, n_min=None):
        """Starts controller and engines. Returns when `start_engines_sync()` does.

        Args:
            n (int): how many engines, instead of the Cluster's `n`.
            n_min (int): how many engines must have registered before this returns.
        Returns:
            Cluster: this.
        Raises:
            RuntimeError: it does not start; the text is what ipcluster said.
        Example:
            >>> own = ipcluster.Cluster().start_cluster_sync(n=1)
            >>> own.stop_cluster_sync()
        """
        self.n = self.n if n is None else n
        if self.n is None and self.n_max:
            self.n = self.n_min or 0
        self.start_controller_sync()
        try:
            if self.n != 0 or self.n_max:
                self.start_engines_sync(self.n, n_min=n_min)
        except BaseException:
            self.stop_cluster_sync()
            raise
        return self

    def stop_engines_sync(self, engine_set_id=None):
        """Stops engines.

        Args:
            engine_set_id (str): the set; by default every set.
        Raises:
            ValueError: there is no such set.
        Example:
            >>> name = cluster.start_engines_sync(1)
            >>> cluster.stop_engines_sync(name)
        """
        running = self._engine_sets()
        if engine_set_id is not None and engine_set_id not in running:
            raise ValueError(f"there is no set of engines {engine_set_id!r}: there are {sorted(running)}")
        for name in running if engine_set_id is None else [engine_set_id]:
            self._run("stop", f"--engine-set={name}", timeout=STOP_TIMEOUT, fine=(0, NOTHING_TO_STOP))

    def restart_engines_sync(self, engine_set_id=None):
        """Stops engines, and starts the same number again, under the name of their set and with its launcher.

        Args:
            engine_set_id (str): the set; by default every set.
        Example:
            >>> name = cluster.start_engines_sync(1)
            >>> cluster.restart_engines_sync(name)
        """
        sets = self._engine_sets()
        self.stop_engines_sync(engine_set_id)
        for name in sets if engine_set_id is None else [engine_set_id]:
            if sets[name]["n"] or self.n_max:
                self._start_engines(sets[name]["n"], name, None, sets[name]["launcher"] or self.engines)

    def scale_sync(self, n=None, engine_set_id=None, force=False, *, n_min=None, n_max=None):
        """Changes the number of a set's engines, or lets the set grow and shrink with its work. If there are too many engines, those that
        work or may keep names of a client stay.

        Args:
            n (int): how many.
            engine_set_id (str): the set, if there are several.
            force (bool): True ends these, too.
            n_min (int): the set shrinks down to so many engines; by default 0.
            n_max (int): instead of n: the set grows up to so many engines.
        Raises:
            RuntimeError: some stay, or it cannot be done; the text is what ipcluster said.
        Example:
            >>> name = cluster.start_engines_sync(1)
            >>> cluster.scale_sync(2, name)
        """
        named = {"n": n, "n-min": n_min, "n-max": n_max, "engine-set": engine_set_id}
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        self._run("scale", *words, *(["--force"] if force else []))

    def connect_client_sync(self, **client_options):
        """A client of this cluster.

        Args:
            client_options: further arguments of Client.
        Returns:
            Client: connected.
        Raises:
            ConnectionError: no controller answers.
        Example:
            >>> with cluster.connect_client_sync() as client:
            ...     client.closed
            False
        """
        return Client(self.connection_file, cluster=self, **client_options)

    def start_and_connect_sync(self, n=None, activate=False):
        """Starts the cluster, and connects to it. Waits also for batch jobs, however long they stay in their queue.

        Args:
            n (int): how many engines, instead of the Cluster's `n`.
            activate (bool): True makes the px magics use the engines.
        Returns:
            Client: it sees all engines, or `n_min` of them.
        Raises:
            RuntimeError: it does not start; the text is what ipcluster said.
            TimeoutError: too few engines came in time.
        Example:
            >>> own = ipcluster.Cluster()
            >>> own.start_and_connect_sync(n=1).ids
            [0]
            >>> own.stop_cluster_sync()
        """
        n_min = ALL_ENGINES if self.n_min is None else self.n_min
        self.start_cluster_sync(n, n_min)
        client = self.connect_client_sync()
        if self.n:
            client.wait_for_engines(
                min(self.n, n_min), timeout=self.engine_timeout or ENGINE_TIMEOUT, interactive=self.progress
            )
        if activate:
            client.activate()
        return client

    def signal_engines_sync(self, signum, engine_set_id=None):
        """Sends a signal to engines.

        Args:
            signum (int or str): a number or a name.
            engine_set_id (str): the set; by default all engines.
        Example:
            >>> import signal
            >>> cluster.signal_engines_sync(signal.SIGINT)
        """
        with self.connect_client_sync() as client:
            of_set = [engine_id for engine_id, engine in client.engines.items() if engine.set == engine_set_id]
            client.send_signal(signum, None if engine_set_id is None else of_set, block=True)

    def signal_engine_sync(self, signum, engine_id):
        """Sends a signal to one engine.

        Args:
            signum (int or str): a number or a name.
            engine_id (int): which.
        Example:
            >>> import signal
            >>> cluster.signal_engine_sync(signal.SIGINT, 4)
        """
        with self.connect_client_sync() as client:
            client.send_signal(signum, engine_id, block=True)

    def stop_engine_sync(self, engine_id):
        """Ends one engine; under mpiexec all engines of its world end with it.

        Args:
            engine_id (int): which.
        Example:
            >>> cluster.stop_engine_sync(3)
        """
        with self.connect_client_sync() as client:
            client.shutdown(engine_id, block=True)

    def stop_cluster_sync(self):
        """Stops the engines, then the controller.

        Raises:
            RuntimeError: something could not be ended; the text is what ipcluster said.
        Example:
            >>> own = ipcluster.Cluster().start_cluster_sync(n=0)
            >>> own.stop_cluster_sync()
            >>> own.running
            False
        """
        if self.running:
            self._run("stop", timeout=STOP_TIMEOUT, fine=(0, NOTHING_TO_STOP))
            self.running = False
            _started.pop(self, None)

    start_controller = _in_background("start_controller_sync")
    start_cluster = _in_background("start_cluster_sync")
    start_engines = _in_background("start_engines_sync")
    stop_engines = _in_background("stop_engines_sync")
    restart_engines = _in_background("restart_engines_sync")
    scale = _in_background("scale_sync")
    connect_client = _in_background("connect_client_sync")
    start_and_connect = _in_background("start_and_connect_sync")
    signal_engines = _in_background("signal_engines_sync")
    signal_engine = _in_background("signal_engine_sync")
    stop_engine = _in_background("stop_engine_sync")
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
