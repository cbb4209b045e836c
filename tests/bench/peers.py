"""Benchmark group "peers": tasks a second of this project's default cluster, and of what else people run Python functions with on one
machine: no-ops, and tasks that compute for a while, with the share of what the processors could do at best.

Each round opens each peer in turn, warms it, measures it and closes it; the table has the medians. A peer that is slow gets fewer rounds.
"""

import importlib.util
import os
import statistics
import time

from harness import HERE, PYTHON, Client, Table, cell, cluster, ours, ratio, say, show_tables, theirs
from peers_client import DURATIONS, PEERS
from support import OVERSUBSCRIBE

ROUNDS = 5
PEER_S = 60  # a peer that has taken so long, for one number of workers, gets no further round
WORKERS = [4, 2]
PROCESSORS = len(os.sched_getaffinity(0))
CLUSTERS = {"ipcluster": ours, "ipyparallel": theirs}
# The table: key, title, format.
COLUMNS = [
    ("noop_tasks", "no-ops, 1/s", ".0f"),
    *((f"{name}_share", f"of ideal, {name}", ".1%") for name, seconds in DURATIONS.items() if seconds),
    *((f"noop_{role}_us", f"CPU us, {role}", ".1f") for role in ("client", "controller", "engine")),
    ("open_s", "to open, s", ".2f"),
    ("rounds", "rounds", "d"),
]
RATIOS = [("ipcluster, apply_async", "ProcessPoolExecutor"), ("ipcluster, map", "Pool.imap_unordered")]


def _available(peer):
    if not peer.module or importlib.util.find_spec(peer.module):
        return True
    say(f"{peer.name} is left out: {peer.module} is not installed (Debian: {peer.package})")
    return False


def run_round(build, peer, workers, log, measures=len(DURATIONS)):
    """What it reaches with so many of DURATIONS, the first of them. Shares are of the time that the tasks alone take on the processors that so
    many workers can use."""
    found = {}
    with cluster(build, CLUSTERS[peer.cluster](workers) if peer.cluster else None) as running:
        running.sandbox.env.update(OVERSUBSCRIBE)
        client = Client(running, log, PYTHON, HERE / "peers_client.py", peer.name, workers, running.connection_file)
        try:
            for _ in range(1 + measures):
                found.update(client.next())
        finally:
            client.end()
    for name, seconds in DURATIONS.items():
        if seconds and f"{name}_tasks" in found:
            found[f"{name}_share"] = found[f"{name}_tasks"] * seconds / min(workers, PROCESSORS)
    return found


def _summary(rounds):
    """The medians."""
    keys = [key for key in rounds[0] if all(key in found for found in rounds)]
    found = {key: statistics.median(each[key] for each in rounds) for key in keys}
    found["rounds"] = len(rounds)
    return found


def measure(build, log):
    peers = [peer for peer in PEERS.values() if _available(peer)]
    found = {}
    for workers in WORKERS:
        rounds = {peer.name: [] for peer in peers}
        taken = dict.fromkeys(rounds, 0.0)
        for number in range(ROUNDS):
            say(f"peers: {workers} workers, round {number + 1} of {ROUNDS}")
            for peer in peers:
                if taken[peer.name] < PEER_S:
                    start = time.monotonic()
                    rounds[peer.name].append(run_round(build, peer, workers, log))
                    taken[peer.name] += time.monotonic() - start
        found[str(workers)] = {name: _summary(each) for name, each in rounds.items()}
    return found


def tables(results):
    for workers, peers in results.items():
        rows = [[name, *(cell(found, key, form) for key, _, form in COLUMNS)] for name, found in peers.items()]
        yield Table([f"{workers} workers", *(column for _, column, _ in COLUMNS)], rows)
        rates = {name: found.get("noop_tasks") for name, found in peers.items()}
        rows = [[name, other, ratio(rates.get(name), rates.get(other), "1/s") or "-"] for name, other in RATIOS]
        yield Table([f"no-ops a second, {workers} workers", "to", "times"], rows)


def show(results):
    show_tables(tables(results))


def missing(results):
    """What is installed and was not measured to the end."""
    return [f"{name}, {workers} workers" for workers, peers in results.items() for name, found in peers.items()
            if f"{list(DURATIONS)[-1]}_tasks" not in found]  # fmt: skip
