"""Benchmark group "aims", which runs only when it is named: what this project aims at, and what is reached of it.

An aim is about what one side reaches, or about its ratio to what another side reaches. Sides take turns, each with a cluster of its own, and
the ratio is that of their medians. IPCLUSTER_BENCH_BEFORE names the build tree of an earlier state, to which some are compared.
IPCLUSTER_BENCH_SIZE=0.01 makes all of it smaller, and then there is one round.
"""

import importlib.util
import os
import statistics
import subprocess
import time
from collections import defaultdict
from pathlib import Path
from typing import Callable, NamedTuple

import compare
import crowd
import fanout
import peers
from clients import SIZE, sized
from harness import HERE, PYTHON, WAYS, Program, Table, cluster, ours, say, show_tables
from peers_client import PEERS

ROUNDS = 3 if SIZE >= 1 else 1
MANY = sized(100)  # engines that `ipcluster start` starts
COPIED_BYTES = sized(64 << 20)
COPIES = 7
MIXED = [4, 16, 64]  # engines that have tasks of two lengths
AT_ONCE = 2  # of the tasks that a peer's client measures: no-ops, and those of 100 us
BEFORE, THEIRS = "no build before", "ipyparallel is not installed"


def peer(name):
    return lambda build, log: peers.run_round(build, PEERS[name], compare.ENGINES, log, AT_ONCE)


def driven(command, package, measures, engines=compare.ENGINES):
    """A client of `package` that measures so much of what compare's do, on the cluster that `command(build)` starts."""

    def measure(build, log):
        found = {}
        with cluster(build, command(build)) as running:
            client = compare.driver(running, build, package, log, engines)
            try:
                for _ in range(measures):
                    found.update(client.next())
            finally:
                client.end()
        return found

    return measure


def way(name):
    return lambda _: compare.CLUSTERS[name]


def plain(build):
    """A cluster whose programs connect by TCP without encryption, also of a build that has no local sockets."""
    options = subprocess.run([build / "core/controller/ipcontroller", "--help-all"], capture_output=True, text=True)
    known = [each for each in WAYS["plain"] if each.split("=")[0] in options.stdout]
    return ours(compare.ENGINES, *known)


def many(_):
    return ours(MANY)


def copy(*_):
    """A copy in memory, of which both sides have been used before."""
    source, target = bytearray(b"x" * COPIED_BYTES), memoryview(bytearray(b"y" * COPIED_BYTES))
    times = []
    for _ in range(COPIES):
        start = time.monotonic()
        target[:] = source
        times.append(time.monotonic() - start)
    return {"mib_s": COPIED_BYTES / (1 << 20) / statistics.median(times)}


def broadcast(**options):
    def measure(build, log):
        found = fanout.measure_one(build, "ipcluster", log, "broadcast", **options)
        return {"a_second": 1 / found["broadcast_payload_s"]} if "broadcast_payload_s" in found else {}

    return measure


def registered(name):
    def measure(build, log):
        with crowd.registered(build, log, name) as (_, _, _, found):
            return found if found["registered"] == crowd.ENGINES else {}

    return measure


def mixed(engines, *options):
    def measure(build, log):
        with cluster(build, ours(sized(engines), *options)) as running:
            client = Program(running, log, PYTHON, HERE / "mixed_client.py", running.connection_file, sized(engines))
            try:
                return client.read()
            finally:
                client.end()

    return measure


class Side(NamedTuple):
    measure: Callable  # (build, log) -> what it reaches, by names
    needs: str = ""  # why it may not be measured


# In the order of a round: those that are compared follow each other.
SIDES = {
    "ProcessPoolExecutor": Side(peer("ProcessPoolExecutor")),
    "apply_async": Side(peer("ipcluster, apply_async")),
    "Pool": Side(peer("Pool.imap_unordered")),
    "map": Side(peer("ipcluster, map")),
    "Python, plain, before": Side(driven(plain, "ipcluster", 2), BEFORE),
    "Python, encrypted": Side(driven(way("encrypted"), "ipcluster", 6)),
    "relay, TCP": Side(lambda build, _: compare.floor(build)),
    "C, plain": Side(driven(way("plain"), None, 1)),
    "C, local": Side(driven(way("local"), None, 3)),
    "relay, local": Side(lambda build, _: compare.floor(build, "local")),
    "Python, local": Side(driven(way("local"), "ipcluster", 6)),
    "copy": Side(copy),
    "broadcast, before": Side(broadcast(segments=False), BEFORE),
    "broadcast": Side(broadcast()),
    "registered, encrypted": Side(registered("encrypted")),
    "registered, local": Side(registered("local")),
    **{
        name: Side(mixed(engines, *options))
        for engines in MIXED
        for name, options in ((f"mixed, {engines}, hwm 1", ["--hwm=1"]), (f"mixed, {engines}", []))
    },
    "start, before": Side(driven(many, "ipcluster", 1, MANY), BEFORE),
    "start": Side(driven(many, "ipcluster", 1, MANY)),
    "ipyparallel": Side(driven(way("ipyparallel"), "ipyparallel", 2), THEIRS),
    "ipyparallel's client": Side(driven(way("local"), "ipyparallel", 2), THEIRS),
}


class Aim(NamedTuple):
    title: str
    unit: str
    side: tuple  # whose, and what
    base: tuple  # what that is divided by; (): by nothing
    aim: float
    at_most: bool = False  # less is better


AIMS = [
    Aim("apply_async each, balanced no-ops, Python, to ProcessPoolExecutor", "1/s",
        ("apply_async", "noop_tasks"), ("ProcessPoolExecutor", "noop_tasks"), 2),
    Aim("map of no-ops, to Pool.imap_unordered in chunks of 1", "1/s", ("map", "noop_tasks"), ("Pool", "noop_tasks"), 1.5),
    Aim("map of 100 us tasks, share of the ideal", "", ("map", "100us_share"), (), 0.9),
    Aim("balanced no-ops, Python, encrypted by TCP, to the build before, plain by TCP", "1/s",
        ("Python, encrypted", "balanced_tasks"), ("Python, plain, before", "balanced_tasks"), 2),
    Aim("balanced no-ops, C, local sockets, to the raw relay by local sockets", "1/s",
        ("C, local", "balanced_tasks"), ("relay, local", "tasks"), 0.5),
    Aim("balanced no-ops, C, plain by TCP, to the raw relay by TCP", "1/s",
        ("C, plain", "balanced_tasks"), ("relay, TCP", "tasks"), 0.5),
    Aim("round trip, balanced, C, local sockets, median, to the raw relay's by local sockets", "us",
        ("C, local", "balanced_trip_median_us"), ("relay, local", "trip_median_us"), 1.2, True),
    Aim("push of 64 MiB, Python, one host, to a copy in memory", "MiB/s",
        ("Python, local", "push_mib_s"), ("copy", "mib_s"), 0.3),
    Aim("pull of 64 MiB, Python, one host, to a copy in memory", "MiB/s",
        ("Python, local", "pull_mib_s"), ("copy", "mib_s"), 0.3),
    Aim("push of 64 MiB, Python, encrypted by TCP, to the raw relay by TCP", "MiB/s",
        ("Python, encrypted", "push_mib_s"), ("relay, TCP", "push_mib_s"), 0.8),
    Aim(f"broadcasts of 1 MiB to {fanout.ENGINES} simulated engines, to the build before", "1/s",
        ("broadcast", "a_second"), ("broadcast, before", "a_second"), 10),
    Aim(f"{crowd.ENGINES} simulated engines registered, encrypted by TCP", "s",
        ("registered, encrypted", "register_s"), (), 1, True),
    Aim(f"{crowd.ENGINES} simulated engines registered, local sockets", "s", ("registered, local", "register_s"), (), 1, True),
    *(
        Aim(f"tasks of 1 ms and 1 s mixed, {sized(engines)} engines, makespan, to that with --hwm=1", "s",
            (f"mixed, {engines}", "makespan_s"), (f"mixed, {engines}, hwm 1", "makespan_s"), 1.05, True)
        for engines in MIXED
    ),
    Aim(f"ipcluster start --n={MANY} to the first result of all, to the build before", "s",
        ("start", "first_result_s"), ("start, before", "first_result_s"), 1 / 3, True),
    Aim("balanced no-ops, ipyparallel's client, on our cluster, to its own", "1/s",
        ("ipyparallel's client", "balanced_tasks"), ("ipyparallel", "balanced_tasks"), 2.1),
]  # fmt: skip


def load():
    return Path("/proc/loadavg").read_text().split()[:3]


def measure(build, log):
    before = os.environ.get("IPCLUSTER_BENCH_BEFORE")
    absent = set() if before else {BEFORE}
    if importlib.util.find_spec("ipyparallel") is None:
        absent.add(THEIRS)
    found = defaultdict(lambda: defaultdict(list))
    failed, loads = [], [load()]
    for number in range(ROUNDS):
        for name, side in SIDES.items():
            if side.needs in absent:
                continue
            say(f"aims: round {number + 1} of {ROUNDS}, {name}")
            try:
                results = side.measure(Path(before).resolve() if side.needs == BEFORE else build, log)
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                results = {}
                failed.append(f"{name}: {error}")
            for key, value in results.items():
                found[name][key].append(value)
        loads.append(load())
    return {"rounds": ROUNDS, "load": loads, "failed": failed, "sides": found, "aims": [row(aim, found, absent) for aim in AIMS]}  # fmt: skip


def row(aim, found, absent):
    """What is known of an aim: the medians, the ratio, and whether it is met; or why it was not measured."""
    result = {"title": aim.title, "unit": aim.unit, "aim": aim.aim, "at_most": aim.at_most}
    medians = []
    for name, key in filter(None, (aim.side, aim.base)):
        values = found.get(name, {}).get(key, [])
        if len(values) < ROUNDS:
            needs = SIDES[name].needs
            return {**result, "why": needs if needs in absent else f"{name} failed"}
        medians.append(statistics.median(values))
    ratio = medians[0] / medians[1] if aim.base else medians[0]
    return {**result, "medians": medians, "ratio": ratio, "met": ratio <= aim.aim if aim.at_most else ratio >= aim.aim}


def tables(results):
    rows = []
    for each in results["aims"]:
        wanted = f"{'at most' if each['at_most'] else 'at least'} {each['aim']:.3g}"
        if "why" in each:
            rows.append([each["title"], "-", "-", "-", wanted, f"not measured: {each['why']}"])
            continue
        values = [
            f"{format(value, '.0f' if value >= 1000 else '.4g')} {each['unit']}".strip() for value in each["medians"]
        ]
        rows.append([each["title"], *values, *["-"] * (2 - len(values)), f"{each['ratio']:.3g}", wanted,
                     "met" if each["met"] else "missed"])  # fmt: skip
    rounds = f"{results['rounds']} rounds" if results["rounds"] > 1 else "one round"
    yield Table([f"aims ({rounds})", "reached", "compared with", "ratio", "aim", ""], rows)


def show(results):
    print(f"load average at the start and after each round: {', '.join(each[0] for each in results['load'])}")
    show_tables(tables(results))


def missing(results):
    """What could have been measured and was not."""
    return results["failed"] + [
        each["title"] for each in results["aims"] if each.get("why", BEFORE) not in (BEFORE, THEIRS)
    ]
