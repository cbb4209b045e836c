"""Benchmark group "scale", which runs only when it is named: 10,000 simulated engines (engines.c) and ten million no-op tasks of simulated
clients (crowd.c); where the controller's time goes, and what it could do with more processors.

IPCLUSTER_BENCH_SIZE=0.01 makes it smaller: so many of the engines and of the tasks.
"""

import resource
import time
from collections import defaultdict
from pathlib import Path

from clients import sized
from crowd import connected, controller, engines
from harness import Table, cluster, say, show_tables

ENGINES, TASKS, CLIENTS = sized(10_000), sized(10_000_000), 4
EACH = 500  # engines to a process
HEART = ["--HeartMonitor.period=10000", "--HeartMonitor.max_heartmonitor_misses=30"]
PATIENCE = 600  # seconds until all have registered
FORECAST = [2, 8, 32, 128]  # processors
IO = "ZMQbg/IO"  # in the names of ZeroMQ's threads


def thread_seconds(pid):
    """What the threads of a process have computed so far, by their names."""
    found = defaultdict(float)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found[(thread / "comm").read_text().strip()] += int((thread / "schedstat").read_text().split()[0]) / 1e9
    return found


def allow_files():
    """For the controller, which has some connections of each engine, and for the engines' processes."""
    needed, (_, most) = 10 * ENGINES + 10_000, resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(needed, most)))
    except (OSError, ValueError) as error:
        say(f"scale: {needed} open files are not allowed here ({error}): see ulimit -n")


def measure(build, log):
    say(f"scale: {ENGINES} engines")
    allow_files()
    crowd, clients = [], []
    with cluster(build, controller(*HEART)) as running:
        try:
            clients.append(connected(running, build, log))
            pid = running.process.pid
            before, start = thread_seconds(pid), time.monotonic()
            left = ENGINES
            while left:
                crowd.append(engines(running, build, log, min(EACH, left)))
                left -= min(EACH, left)
            results = {"engines": ENGINES, "registered": clients[0].ask(f"engines {ENGINES} {PATIENCE}").get("engines", 0),
                       "register_s": time.monotonic() - start}  # fmt: skip
            after = thread_seconds(pid)
            results["register_cpu_s"] = {name: after[name] - before[name] for name in after}
            results["controller_mib"] = running.resident()["controller"]
            say(f"scale: {TASKS} tasks")
            clients += [connected(running, build, log) for _ in range(CLIENTS - 1)]
            for client in clients:
                client.ask(f"engines {results['registered']} {PATIENCE}")
            before, start = thread_seconds(pid), time.monotonic()
            for client in clients:
                client.tell(f"tasks {TASKS // CLIENTS}")
            ran = [client.read() for client in clients]
            results["tasks"] = sum(each.get("tasks", 0) for each in ran)
            results["failed"] = sum(each.get("failed", TASKS // CLIENTS) for each in ran)
            results["rate"] = results["tasks"] / (time.monotonic() - start)
            after = thread_seconds(pid)
            results["task_us"] = {name: (after[name] - before[name]) / TASKS * 1e6 for name in after}
            results["controller_mib_afterwards"] = running.resident()["controller"]
        finally:
            for program in (*clients, *crowd):
                program.kill()
    return results


def io_threads(processors):
    """How many threads of ZeroMQ the controller has there: io_threads() of core/controller/main.c."""
    return min(max(processors // 2, 1), 4)


def forecast(task_us, processors):
    """(tasks a second at most, what limits them) of a controller that has so many processors for itself. A thread runs on one of them, and
    ZeroMQ's share their work. Caches and memory that are shared are not in this model."""
    io_us = sum(each for name, each in task_us.items() if IO in name)
    own = {name: each for name, each in task_us.items() if IO not in name}
    busiest = max(own, key=own.get)
    limits = {f"thread {busiest}": own[busiest], f"{io_threads(processors)} threads of ZeroMQ": io_us / io_threads(processors),
              "processors": sum(task_us.values()) / processors}  # fmt: skip
    limit = max(limits, key=limits.get)
    return 1e6 / limits[limit], limit


def tables(results):
    facts = [
        ("registered", "engines registered", ".0f"),
        ("register_s", "until the client knew all, s", ".1f"),
        ("controller_mib", "controller, resident MiB", ".0f"),
        ("tasks", "tasks", ".0f"),
        ("failed", "of which failed", ".0f"),
        ("rate", "a second, with engines and clients on the same processors", ".0f"),
        ("controller_mib_afterwards", "controller, resident MiB, afterwards", ".0f"),
    ]
    yield Table([f"{results['engines']} simulated engines", ""],
                [[title, format(results[key], form)] for key, title, form in facts])  # fmt: skip
    by_time = sorted(results["task_us"], key=results["task_us"].get, reverse=True)
    yield Table(["the controller's thread", "CPU us a task", "CPU s of registering"],
                [[name, f"{results['task_us'][name]:.2f}", f"{results['register_cpu_s'].get(name, 0):.2f}"] for name in by_time])  # fmt: skip
    rows = [[str(processors), *forecast(results["task_us"], processors)] for processors in FORECAST]
    yield Table(["processors for the controller", "tasks a second, at most", "limited by"],
                [[processors, f"{rate:.0f}", limit] for processors, rate, limit in rows])  # fmt: skip


def show(results):
    show_tables(tables(results))


def missing(results):
    wrong = []
    if results["registered"] != ENGINES:
        wrong.append(f"{results['registered']} engines registered")
    if results["failed"]:
        wrong.append(f"{results['failed']} tasks failed")
    return wrong
