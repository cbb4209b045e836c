"""Clusters that a Python program starts and ends: a face of the program `ipcluster`."""

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
from ipcluster.programs import path_of
from ipcluster.shown import card, in_notebook, is_watched

STOP_TIMEOUT = 60  # seconds that `ipcluster stop` may take
NOTHING_TO_STOP = 11  # the exit status of `ipcluster stop` where the cluster has ended already
ENGINE_TIMEOUT = 60  # seconds, where nothing else is said
ALL_ENGINES = 1_000_000  # for --n-min, which takes all where there are fewer

# Those that this process started, to be stopped when it ends.
_started = set()


@atexit.register
def _stop_started():
    for cluster in list(_started):
        if cluster._starter == os.getpid():
            with contextlib.suppress(Exception):
                cluster.stop_cluster_sync()


def ipython_dir():
    """IPython's folder, in which the profiles are."""
    return Path(os.environ.get("IPYTHONDIR") or Path.home() / ".ipython")


def run_program(command, *words, timeout=None, fine=(0,)):
    """Runs `ipcluster COMMAND WORDS`; returns what it printed. Raises RuntimeError with its words where it fails."""
    done = subprocess.run([path_of("ipcluster"), command, *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=timeout)  # fmt: skip
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
    """A controller and `n` engines (by default one for each processor), started by the program `ipcluster`.

    `engines` and `controller`: launchers, by name or alias ("mpi"). `controller_args`: further arguments of ipcontroller; `options`:
    further arguments of ipcluster, such as ["--mpi=native"]. `engine_timeout`: how many seconds to wait for a further engine to register
    (`Cluster.engine_timeout` of ipcluster). `n_min`: with how many registered engines a start is done, where it is not all; the others come
    as they can. Engines that are a batch system's jobs may wait long: start_engines() and start_cluster() return when these are submitted,
    where n_min says nothing else. How far a start is is shown at a terminal and in IPython, or where `progress` says so. It ends with this
    process, unless `shutdown_atexit` is false. Used as a
    context manager it gives a client that sees all engines, and stops the cluster behind it.
    """

    def __init__(
        self, n=None, *, engines=None, controller=None, profile=None, profile_dir=None, cluster_id=None, controller_ip=None,
        controller_location=None, controller_args=(), options=(), engine_timeout=None, n_min=None, progress=None,
        shutdown_atexit=True,
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
        self.progress = progress
        self.shutdown_atexit = shutdown_atexit
        self.running = False
        self._starter = None

    def __repr__(self):
        return f"<Cluster {self.cluster_id or self.profile or 'default'}: {'running' if self.running else 'not running'}>"

    def _repr_html_(self):
        facts = {"engines": self.n, "launcher": self.engines, "connection file": self.connection_file}
        return card("Cluster", f"{self.cluster_id or self.profile or 'default'}, {'running' if self.running else 'not running'}", facts)

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
        folder = Path(self.profile_dir or ipython_dir() / f"profile_{self.profile or 'default'}")
        return folder / "security" / f"ipcontroller{'-' + self.cluster_id if self.cluster_id else ''}-client.json"

    def _words(self):
        named = {"profile": self.profile, "profile-dir": self.profile_dir, "cluster-id": self.cluster_id}
        return [f"--{name}={value}" for name, value in named.items() if value]

    def _run_shown(self, command, *words):
        """The same as _run(), and shows what the program says as it says it."""
        file = sys.stdout if in_notebook() else sys.stderr
        if not (is_watched(file) if self.progress is None else self.progress):
            self._run(command, *words)
            return
        from ipcluster.bars import StartShown

        said = []
        with subprocess.Popen([path_of("ipcluster"), command, *self._words(), *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, errors="replace") as program, StartShown(file) as shown:  # fmt: skip
            for line in program.stdout:
                said.append(line)
                shown.show(line)
        if program.returncode != 0:
            raise RuntimeError(f"ipcluster {command} failed: {''.join(said).strip() or f'exit status {program.returncode}'}")

    def _run(self, command, *words, **options):
        return run_program(command, *self._words(), *words, **options)

    def _engine_sets(self):
        """What `ipcluster list` says of sets of engines, by their names."""
        entries = json.loads(self._run("list", "--json"))
        return {one["set"]: one for entry in entries if entry["cluster_id"] == self.cluster_id and entry["state"] != "stopped"
                for one in entry["sets"]}  # fmt: skip

    def start_controller_sync(self):
        """Starts the controller alone."""
        named = {"controller": self.controller, "ip": self.controller_ip, "location": self.controller_location}
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        more = ["--", *self.controller_args] if self.controller_args else []
        self._run("start", "--daemonize", "--n=0", *words, *self.options, *more)
        self.running = True
        if self.shutdown_atexit:
            self._starter = os.getpid()
            _started.add(self)

    def start_engines_sync(self, n=None, engine_set_id=None, n_min=None):
        """Adds a set of engines, of that name or one of its own; returns its name once all have registered, or `n_min` of them, or they
        are submitted to a batch system."""
        return self._start_engines(n, engine_set_id or uuid.uuid4().hex[:12], n_min, self.engines)

    def _start_engines(self, n, engine_set_id, n_min, engines):
        named = {"n": n, "engine-set": engine_set_id, "engines": engines, "n-min": self.n_min if n_min is None else n_min,
                 "Cluster.engine_timeout": self.engine_timeout and math.ceil(self.engine_timeout)}  # fmt: skip
        words = [f"--{name}={value}" for name, value in named.items() if value is not None]
        self._run_shown("engines", "--daemonize", *words, *self.options)
        return engine_set_id

    def start_cluster_sync(self, n=None, n_min=None):
        """Starts controller and engines; returns when start_engines() does."""
        self.n = self.n if n is None else n
        self.start_controller_sync()
        try:
            if self.n != 0:
                self.start_engines_sync(self.n, n_min=n_min)
        except BaseException:
            self.stop_cluster_sync()
            raise
        return self

    def stop_engines_sync(self, engine_set_id=None):
        """Stops a set of engines, or each there is."""
        running = self._engine_sets()
        if engine_set_id is not None and engine_set_id not in running:
            raise ValueError(f"there is no set of engines {engine_set_id!r}: there are {sorted(running)}")
        for name in running if engine_set_id is None else [engine_set_id]:
            self._run("stop", f"--engine-set={name}", timeout=STOP_TIMEOUT, fine=(0, NOTHING_TO_STOP))

    def restart_engines_sync(self, engine_set_id=None):
        """Stops a set of engines, or each, and starts as many anew, under its name and with its launcher."""
        sets = self._engine_sets()
        self.stop_engines_sync(engine_set_id)
        for name in sets if engine_set_id is None else [engine_set_id]:
            if sets[name]["n"]:
                self._start_engines(sets[name]["n"], name, None, sets[name]["launcher"] or self.engines)

    def scale_sync(self, n, engine_set_id=None, force=False):
        """Gives the set of engines, or that of them, another number. Of those that are too many only such end as nobody misses, all with
        force=True; raises RuntimeError where some stay."""
        words = [f"--engine-set={engine_set_id}"] if engine_set_id is not None else []
        self._run("scale", f"--n={n}", *words, *(["--force"] if force else []))

    def connect_client_sync(self, **client_options):
        """A client of this cluster."""
        return Client(self.connection_file, cluster=self, **client_options)

    def start_and_connect_sync(self, n=None, activate=False):
        """Starts the cluster and returns a client that sees its engines, or `n_min` of them; with activate=True they are those of the px
        magics. However long a batch system's jobs wait, these are waited for."""
        n_min = ALL_ENGINES if self.n_min is None else self.n_min
        self.start_cluster_sync(n, n_min)
        client = self.connect_client_sync()
        if self.n:
            client.wait_for_engines(min(self.n, n_min), timeout=self.engine_timeout or ENGINE_TIMEOUT, interactive=self.progress)
        if activate:
            client.activate()
        return client

    def signal_engines_sync(self, signum, engine_set_id=None):
        """Sends a signal to the engines of a set, or to all."""
        with self.connect_client_sync() as client:
            of_set = [engine_id for engine_id, engine in client.engines.items() if engine.set == engine_set_id]
            client.send_signal(signum, None if engine_set_id is None else of_set, block=True)

    def signal_engine_sync(self, signum, engine_id):
        """Sends a signal to one engine."""
        with self.connect_client_sync() as client:
            client.send_signal(signum, engine_id, block=True)

    def stop_engine_sync(self, engine_id):
        """Ends one engine; under mpiexec all of its world end with it."""
        with self.connect_client_sync() as client:
            client.shutdown(engine_id, block=True)

    def stop_cluster_sync(self):
        """Stops the engines, then the controller."""
        if self.running:
            self._run("stop", timeout=STOP_TIMEOUT, fine=(0, NOTHING_TO_STOP))
            self.running = False
            _started.discard(self)

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
