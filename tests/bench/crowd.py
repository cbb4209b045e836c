"""Benchmark group "crowd": 1,000 engines that register in the same second, heartbeats while all of them work, and 200 that are killed;
and the controller's memory while two million tasks pass and engines and clients come and go.

The engines are simulated: sockets of their own, many to a process (engines.c). The client is crowd.c.
"""

import time
from contextlib import contextmanager

from clients import sized
from harness import WAYS, Program, cluster, say

PROCESSES = 5
EACH = sized(200)
ENGINES = PROCESSES * EACH
PATIENCE = 120  # seconds for what takes a few
HEART = ["--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=30"]

ROUNDS = 10  # of churn, of which each is a line of the table
ROUND_TASKS = 200_000
ROUND_CLIENTS = 10
CHURN_ENGINES = 8


def controller(*arguments):
    return lambda sandbox: [sandbox.programs.ipcontroller, *arguments]


def connected(running, build, log):
    """A client of a controller that is starting."""
    deadline = time.monotonic() + PATIENCE
    while not running.connection_file.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    return Program(running, log, build / "tests/bench/crowd", running.connection_file)


def engines(running, build, log, count):
    file = running.connection_file.with_name("ipcontroller-engine.json")
    return Program(running, log, build / "tests/bench/engines", file, count)


def kill_some(client, crowd):
    """Kills one process of engines while tasks run."""
    before = client.ask(f"engines {ENGINES} {PATIENCE}")
    client.tell("tasks 50000")
    time.sleep(0.3)
    start = time.monotonic()
    crowd.pop().kill()
    ran = client.read()
    after = client.ask(f"engines {ENGINES - EACH} {PATIENCE}")
    time.sleep(12)  # more than a heart has to prove that it beats
    later = client.ask(f"engines {ENGINES - EACH} 0")
    left = client.ask("ask")
    return {"killed": EACH, "killed_noticed": after["removed"] - before["removed"], "killed_noticed_s": after["removed_at"] - start,
            "killed_tasks_failed": ran["failed"], "wrongly_dead": later["removed"] - after["removed"],
            "left_answered": left["answered"]}  # fmt: skip


@contextmanager
def registered(build, log, way):
    """Context manager: a cluster, a client, the engines' processes, and what their registration took."""
    with cluster(build, controller(*WAYS[way], *HEART)) as running:
        client = connected(running, build, log)
        client.ask("engines 0 1")
        before = running.cpu_seconds()["controller"]
        start = time.monotonic()
        crowd = [engines(running, build, log, EACH) for _ in range(PROCESSES)]
        found = client.ask(f"engines {ENGINES} {PATIENCE}")
        results = {"registered": found["engines"], "register_s": time.monotonic() - start,
                   "register_controller_cpu_s": running.cpu_seconds()["controller"] - before}  # fmt: skip
        try:
            yield running, client, crowd, results
        finally:
            for program in (client, *crowd):
                program.kill()


def register(build, log, way):
    say(f"{ENGINES} engines, {way}")
    with registered(build, log, way) as (running, client, crowd, results):
        if results["registered"] == ENGINES:
            results["controller_mib"] = running.resident()["controller"]
            asked = client.ask("ask")
            results["asked_s"] = asked["seconds"]
            ran = client.ask("tasks 200000")
            results["tasks"] = ran["tasks"] / ran["seconds"]
            results["tasks_failed"] = ran["failed"]
            results["lost_at_work"] = client.ask(f"engines {ENGINES} 0")["removed"]
            results.update(kill_some(client, crowd))
        return results


def slope(points):
    """Of the line through (x, y) points, by least squares."""
    count = len(points)
    mean_x = sum(x for x, _ in points) / count
    mean_y = sum(y for _, y in points) / count
    return sum((x - mean_x) * (y - mean_y) for x, y in points) / sum((x - mean_x) ** 2 for x, _ in points)


def churn(build, log):
    say(f"churn of {ROUNDS * ROUND_TASKS} tasks")
    # Memory that is bounded, such as that of finished tasks, should be full after the first round.
    with cluster(
        build, controller("--TaskScheduler.hwm=10", f"--TaskScheduler.finished_max={ROUND_TASKS // 2}", *HEART)
    ) as running:
        watcher = connected(running, build, log)
        resident, failed, start = [], 0, time.monotonic()
        crowd = engines(running, build, log, CHURN_ENGINES)
        watcher.ask(f"engines {CHURN_ENGINES} {PATIENCE}")
        for number in range(ROUNDS):
            for _ in range(ROUND_CLIENTS):
                client = connected(running, build, log)
                failed += client.ask(f"tasks {ROUND_TASKS // ROUND_CLIENTS}").get("failed", ROUND_TASKS)
                client.kill()
                # Other engines take the places of these, which leave in one round and are killed in the next.
                others = engines(running, build, log, CHURN_ENGINES)
                watcher.ask(f"engines {2 * CHURN_ENGINES} {PATIENCE}")
                if number % 2:
                    crowd.kill()
                else:
                    crowd.tell("leave")
                    crowd.end()
                watcher.ask(f"engines {CHURN_ENGINES} {PATIENCE}")
                crowd = others
            resident.append(running.resident()["controller"])
        results = {"churn_tasks": ROUNDS * ROUND_TASKS, "churn_failed": failed, "churn_s": time.monotonic() - start,
                   "churn_engines": ROUNDS * ROUND_CLIENTS * CHURN_ENGINES, "churn_clients": ROUNDS * ROUND_CLIENTS,
                   "churn_mib": resident,
                   # The first rounds fill what is bounded: signatures that are remembered, and the allocator's pools.
                   "churn_mib_a_million": slope([(i * ROUND_TASKS / 1e6, mib) for i, mib in enumerate(resident)][3:])}  # fmt: skip
        crowd.kill()
        watcher.kill()
        return results


def measure(build, log):
    return {**{way: register(build, log, way) for way in WAYS}, "churn": churn(build, log)}


ROWS = [
    ("registered", f"engines registered, of {ENGINES}", ""),
    ("register_s", "until the client knew the last of them", "s"),
    ("register_controller_cpu_s", "  CPU of the controller", "s"),
    ("controller_mib", "controller, resident", "MiB"),
    ("asked_s", "asking each directly, all at once", "s"),
    ("tasks", "load-balanced no-op tasks on all", "1/s"),
    ("tasks_failed", "  of 200,000, failed", ""),
    ("lost_at_work", "  engines that were counted as dead meanwhile", ""),
    ("killed_noticed", f"engines noticed dead, of {EACH} killed at work", ""),
    ("killed_noticed_s", "  until the client knew the last of them", "s"),
    ("killed_tasks_failed", "  tasks that failed with them, without retries", ""),
    ("wrongly_dead", "  others counted as dead", ""),
    ("left_answered", "engines that answered afterwards", ""),
]


def show(results):
    print(f"{'1,000 engines':52}" + "".join(f"{way:>12}" for way in WAYS))
    for key, title, unit in ROWS:
        values = [results[name].get(key) for name in WAYS]
        print(
            f"{title:52}"
            + "".join(f"{'-' if value is None else format(value, '.5g'):>12}" for value in values)
            + f" {unit}"
        )
    found = results["churn"]
    print(f"churn: {found['churn_tasks']} tasks ({found['churn_failed']} failed), {found['churn_engines']} engines and "
          f"{found['churn_clients']} clients that came and went, in {found['churn_s']:.0f} s")  # fmt: skip
    print("controller, resident, MiB: " + " ".join(f"{mib:.1f}" for mib in found["churn_mib"])
          + f"; {found['churn_mib_a_million']:+.2f} MiB a million tasks at the end")  # fmt: skip


def missing(results):
    failed = [f"{name}: {results[name]['registered']} engines registered" for name in WAYS
              if results[name]["registered"] != ENGINES]  # fmt: skip
    if results["churn"]["churn_failed"]:
        failed.append(f"churn: {results['churn']['churn_failed']} tasks failed")
    return failed
