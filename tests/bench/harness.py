"""What the groups of the benchmark share: clusters that are started and ended, what their processes take, the programs that measure
them, and tables."""

import collections
import json
import select
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

import psutil

from clients import SIZE
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
ANSWER_S = 600  # a client that says nothing for so long has failed
END_S = 30


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


# The ways by which programs of ours are connected, and the controller's settings for them.
WAYS = {
    "local": [],
    "encrypted": ["--IPController.local_sockets=false"],
    "plain": ["--IPController.local_sockets=false", "--IPController.enable_curve=false"],
}


def ours(engines, *arguments):
    """The command of a cluster of this project's; `arguments` are the controller's."""
    return lambda sandbox: [sandbox.programs.ipcluster, "start", f"--n={engines}", "--", *arguments]


def theirs(engines, *arguments):
    """The command of a cluster of ipyparallel's."""
    return lambda sandbox: [PYTHON, "-m", "ipyparallel.cluster", "start", f"--n={engines}", *arguments]


class Cluster:
    """A cluster that is starting: its sandbox, its clients' connection file, and when its start command was given. Without a command
    none is started: then clients in the sandbox have workers of their own."""

    def __init__(self, sandbox, command):
        self.sandbox = sandbox
        self.connection_file = sandbox.profile_dir() / "security" / "ipcontroller-client.json"
        self.started = time.monotonic()
        self.process = sandbox.start(*command(sandbox)) if command else None
        self.client = None  # the process id of a client that is measured, too

    def processes(self):
        """(process, role) of the processes that run now."""
        for process in self.sandbox.marked():
            if process.pid == self.client:
                yield process, "client"
                continue
            try:
                words = process.cmdline()
            except psutil.Error:
                continue
            for word in words:
                role = ROLES.get(Path(word).name)
                if role:
                    yield process, role
                    break

    def total(self, value):
        """Sums of `value(process)`, by role."""
        sums = collections.defaultdict(float)
        for process, role in self.processes():
            try:
                sums[role] += value(process)
            except psutil.Error:
                continue
        return sums

    def pids(self):
        """Lists of process ids, by role."""
        found = collections.defaultdict(list)
        for process, role in self.processes():
            found[role].append(process.pid)
        return found

    def resident(self):
        """Resident MiB of the controller's processes together, and of all engines together with their helpers."""
        return self.total(lambda process: process.memory_info().rss / (1 << 20))

    def cpu_seconds(self):
        """What the controller's processes, and the engines, have computed so far."""
        return self.total(lambda process: sum(process.cpu_times()[:2]))


@contextmanager
def cluster(build, command=None):
    """Context manager: a Cluster, started with `command(sandbox)` and ended behind it."""
    sandbox = Sandbox(Programs.of_build(build))
    sandbox.env["IPCLUSTER_BENCH_SIZE"] = str(SIZE)
    try:
        yield Cluster(sandbox, command)
    finally:
        sandbox.end(strict=False)


class Program:
    """A program of the benchmark that prints lines of JSON, in a cluster's sandbox."""

    def __init__(self, running, log, *command):
        self.popen = subprocess.Popen([str(word) for word in command], env=running.sandbox.env, cwd=running.sandbox.work,
                                      text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)  # fmt: skip

    def tell(self, line):
        self.popen.stdin.write(line + "\n")
        self.popen.stdin.flush()

    def read(self):
        return json.loads(self.popen.stdout.readline() or "{}")

    def ask(self, line):
        self.tell(line)
        return self.read()

    def end(self):
        """Lets it end by itself, and kills it if it does not."""
        with suppress(BrokenPipeError):
            self.popen.stdin.close()
        try:
            self.popen.wait(END_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self):
        self.popen.kill()
        self.popen.wait()


class Client(Program):
    """A client that measures one thing more for each line that it reads."""

    def __init__(self, running, log, *command):
        super().__init__(running, log, *command)
        self.running = running

    def next(self):
        """What it measures next, with what the cluster computed for each task; {} once it has ended."""
        before = self.running.cpu_seconds()
        with suppress(BrokenPipeError):
            self.tell("go")
        if not select.select([self.popen.stdout], [], [], ANSWER_S)[0]:
            self.kill()
        results = self.read()
        for key in [key for key in results if key.endswith("_sent")]:
            sent = results.pop(key)
            for role, seconds in self.running.cpu_seconds().items():
                results[f"{key.removesuffix('sent')}{role}_us"] = (seconds - before[role]) / sent * 1e6
        return results

    def rest(self):
        results = {}
        while found := self.next():
            results.update(found)
        return results


class Table(NamedTuple):
    columns: list  # their titles; that of the first, which names the rows, is the table's
    rows: list  # of lists of texts


def show_tables(tables):
    for table in tables:
        widths = [max(map(len, cells)) for cells in zip(table.columns, *table.rows)]
        for cells in (table.columns, *table.rows):
            print(
                f"{cells[0]:<{widths[0]}}" + "".join(f"  {cell:>{width}}" for cell, width in zip(cells[1:], widths[1:]))
            )
        print()


def cell(found, key, form):
    """A number of `found` as a table has it."""
    return format(found[key], form) if found.get(key) is not None else "-"


def ratio(value, base, unit):
    """How many times better than `base`: more tasks or bytes, less time or memory."""
    if not value or not base:
        return ""
    return f"{value / base if unit.endswith('/s') else base / value:.3g}"
