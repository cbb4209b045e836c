"""Benchmark group "compare": no-op tasks, round trips and payloads of this project and of ipyparallel, each cluster driven by each
client: this project's from Python and from C, and ipyparallel's, unmodified.

The client's CPU time for a task is measured apart from the cluster's, because no cluster is faster than its client.
"""

import importlib.util
import json
import subprocess

from harness import HERE, PYTHON, WAYS, Client, cluster, ours, ratio, say, theirs
from support import wait_until

ENGINES = 4

# Rows of the table: key, title, unit, what the floor measures for it.
ROWS = [
    ("balanced_tasks", "load-balanced no-op tasks", "1/s", "tasks"),
    ("balanced_client_us", "  CPU a task, the client", "us", None),
    ("balanced_controller_us", "  CPU a task, the controller", "us", None),
    ("balanced_engine_us", "  CPU a task, the engines", "us", None),
    ("direct_tasks", "direct no-op tasks", "1/s", "tasks"),
    ("direct_client_us", "  CPU a task, the client", "us", None),
    ("direct_controller_us", "  CPU a task, the controller", "us", None),
    ("direct_engine_us", "  CPU a task, the engines", "us", None),
    ("balanced_trip_median_us", "round trip, load-balanced, median", "us", "trip_median_us"),
    ("balanced_trip_p99_us", "round trip, load-balanced, p99", "us", "trip_p99_us"),
    ("direct_trip_median_us", "round trip, direct, median", "us", "trip_median_us"),
    ("direct_trip_p99_us", "round trip, direct, p99", "us", "trip_p99_us"),
    ("push_mib_s", "push of 64 MiB", "MiB/s", "push_mib_s"),
    ("pull_mib_s", "pull of 64 MiB", "MiB/s", "pull_mib_s"),
    ("first_result_s", "start to first result", "s", None),
    ("controller_mib", "controller, resident", "MiB", None),
    ("engine_mib", "engine, resident", "MiB", None),
]
CLUSTERS = {**{way: ours(ENGINES, *settings) for way, settings in WAYS.items()}, "ipyparallel": theirs(ENGINES)}
CLIENTS = {"Python": "ipcluster", "C": None, "ipyparallel": "ipyparallel"}


def driver(running, build, package, log, engines=ENGINES):
    """A client of `package`, or the one from C."""
    if package is None:
        wait_until(running.connection_file.exists, 20, "the controller listens")
        return Client(running, log, build / "tests/bench/tasks", running.connection_file, engines)
    command = [PYTHON, HERE / "python_client.py", package, running.connection_file, engines, running.started]
    return Client(running, log, *command)


def _clients_results(running, build, log):
    """Each client's results, one client after the other. The first connects while the cluster starts."""
    found = {}
    for name, package in CLIENTS.items():
        if package and importlib.util.find_spec(package) is None and package == "ipyparallel":
            continue
        client = driver(running, build, package, log)
        try:
            results = client.next()
            if not found:
                resident = running.resident()
                results.update(controller_mib=resident["controller"], engine_mib=resident["engine"] / ENGINES)
            else:
                results.pop("first_result_s", None)
            results.update(client.rest())
            found[name] = results
        finally:
            client.end()
    return found


def floor(build, *transport):
    """What raw libzmq reaches: by TCP, or "local", by local sockets."""
    command = [build / "tests/bench/floor", *transport]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(build, log):
    found = {"floor": floor(build)}
    for name, command in CLUSTERS.items():
        if name == "ipyparallel" and importlib.util.find_spec(name) is None:
            say("ipyparallel is not installed")
            continue
        say(f"compare: {name}")
        with cluster(build, command) as running:
            found[name] = _clients_results(running, build, log)
            for client, results in found[name].items():
                if not results.get("balanced_tasks"):
                    say(f"{name}, client {client}, failed: {running.process.output[-2000:]}")
    return found


def show(results):
    print(f"{'':36}{'cluster, client':26}{'':>10}       {'better than':>12} {'better than':>12}")
    print(f"{'':36}{'':26}{'':>10}       {'floor, times':>12} {'ipyparallel':>12}")
    line = "{:36}{:26}{:>10} {:6}{:>12} {:>12}"
    reference = results.get("ipyparallel", {}).get("ipyparallel", {})
    for key, title, unit, floor_key in ROWS:
        base = results["floor"].get(floor_key)
        if base:
            print(line.format(title, "floor", f"{base:.4g}", unit, "", ""))
        for name in CLUSTERS:
            for client, found in results.get(name, {}).items():
                value = found.get(key)
                if value:
                    other = reference.get(key) if found is not reference else None
                    print(line.format(title, f"{name}, {client}", f"{value:.4g}", unit, ratio(value, base, unit),
                                      ratio(value, other, unit)))  # fmt: skip


def missing(results):
    """What should have been measured and was not."""
    return [f"{name}, {client}" for name in WAYS for client in ("Python", "C")
            if not results.get(name, {}).get(client, {}).get("balanced_tasks")]  # fmt: skip
