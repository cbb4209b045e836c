"""What the groups of the benchmark share: clusters that are started and ended, what their processes take, and a table's lines."""

import sys
import time
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import psutil

from support import PYTHON, Programs, Sandbox

# Words of a command line by which a process is known: the program's name, or the file or module that Python runs.
ROLES = {
    "ipcontroller": "controller",
    "ipyparallel.controller": "controller",
    "ipengine": "engine",
    "ipengine.py": "engine",
    "ipyparallel.engine": "engine",
    "ipyparallel.engine.nanny": "engine",
}


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


def ours(engines, *arguments):
    """The command of a cluster of this project's; `arguments` are the controller's."""
    return lambda sandbox: [sandbox.programs.ipcluster, "start", f"--n={engines}", "--", *arguments]


def theirs(engines, *arguments):
    """The command of a cluster of ipyparallel's."""
    return lambda sandbox: [PYTHON, "-m", "ipyparallel.cluster", "start", f"--n={engines}", *arguments]


class Cluster:
    """A cluster that is starting: its sandbox, its clients' connection file, and when its start command was given."""

    def __init__(self, sandbox, command):
        self.sandbox = sandbox
        self.connection_file = sandbox.profile_dir() / "security" / "ipcontroller-client.json"
        self.started = time.monotonic()
        self.process = sandbox.start(*command(sandbox))

    def _processes(self):
        """(process, "controller" or "engine") of the processes that run now."""
        for process in self.sandbox.marked():
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            for word in words:
                role = ROLES.get(Path(word).name)
                if role:
                    yield process, role
                    break

    def _sum(self, value):
        sums = {"controller": 0.0, "engine": 0.0}
        for process, role in self._processes():
            try:
                sums[role] += value(process)
            except psutil.Error:
                continue
        return sums

    def resident(self):
        """Resident MiB of the controller's processes together, and of all engines together with their helpers."""
        return self._sum(lambda process: process.memory_info().rss / (1 << 20))

    def cpu_seconds(self):
        """What the controller's processes, and the engines, have computed so far."""
        return self._sum(lambda process: sum(process.cpu_times()[:2]))


@contextmanager
def cluster(build, command):
    """Context manager: a Cluster, started with `command(sandbox)` and ended behind it."""
    sandbox = Sandbox(Programs.of_build(build))
    try:
        yield Cluster(sandbox, command)
    finally:
        sandbox.end(strict=False)


def ratio(value, base, unit):
    """How many times better than `base`: more tasks or bytes, less time or memory."""
    if not value or not base:
        return ""
    return f"{value / base if unit.endswith('/s') else base / value:.3g}"
