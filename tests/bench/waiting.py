"""Benchmark group "waiting": tasks that wait, for engines or for each other, and then run on simulated engines.

What a task costs while a million wait, compared with ten thousand: how fast tasks are taken and run, and how much of the controller's
memory each needs.
"""

import json
import subprocess

from harness import cluster, say
from support import wait_until

ENGINES = 8
MANY, FEW, FEW_ROUNDS = 1000000, 10000, 5
DEPENDENCIES = 100000

ROWS = [
    ("submit_rate", "tasks taken, as they come", "1/s"),
    ("drain_rate", "tasks run", "1/s"),
    ("bytes_a_task", "memory of a waiting task, its message included", "B"),
    ("left_bytes", "memory that is left when all have run", "B"),
]


def _controller(sandbox):
    return [sandbox.programs.ipcontroller, "--TaskScheduler.finished_max=1000000"]


def _round(running, build, kind, count, log):
    """Submits, then starts engines that run all, and ends them."""
    files = running.connection_file.parent
    wait_until(running.connection_file.exists, 20, "the controller listens")
    options = dict(env=running.sandbox.env, cwd=running.sandbox.work, text=True, stderr=log, stdout=subprocess.PIPE)
    queue = subprocess.Popen(
        [build / "tests/bench/queue", running.connection_file, str(running.process.pid), kind, str(count)], **options
    )
    engines = None
    try:
        found = json.loads(queue.stdout.readline() or "{}")
        engines = subprocess.Popen([build / "tests/bench/engines", files / "ipcontroller-engine.json", str(ENGINES)],
                                   stdin=subprocess.PIPE, **options)  # fmt: skip
        found.update(json.loads(queue.stdout.readline() or "{}"))
        engines.communicate("leave\n")
    finally:
        for process in (queue, engines):
            if process:
                process.kill()
                process.wait()
    if "drain_s" in found:
        found["submit_rate"] = found["tasks"] / found["submit_s"]
        found["drain_rate"] = found["tasks"] / found["drain_s"]
    return found


def _median(rounds):
    """The round in the middle; but the bytes of a task are those of the first round, when the memory was new."""
    middle = sorted(rounds, key=lambda found: found.get("drain_rate", 0))[len(rounds) // 2]
    return {**middle, "bytes_a_task": rounds[0].get("bytes_a_task")}


def measure(build, log):
    results = {}
    for name, kind, count, rounds in (
        ("few", "free", FEW, FEW_ROUNDS),
        ("many", "free", MANY, 1),
        ("graph", "graph", DEPENDENCIES, 1),
    ):
        say(f"waiting: {name}")
        with cluster(build, _controller) as running:
            results[name] = _median([_round(running, build, kind, count, log) for _ in range(rounds)])
    return results


def show(results):
    few, many, graph = results["few"], results["many"], results["graph"]
    line = "{:50}{:>12}{:>12}{:>16} {:6}"
    print(line.format("", f"{FEW:,}", f"{MANY:,}", "ratio", ""))
    for key, title, unit in ROWS:
        if key in few and key in many:
            print(
                line.format(
                    title,
                    f"{few[key]:.4g}",
                    f"{many[key]:.4g}",
                    f"{many[key] / few[key]:.2f}" if few[key] > 0 else "",
                    unit,
                )
            )
    if "drain_rate" in graph:
        print(f"a graph of {graph['dependencies']:,} dependencies among {graph['tasks']:,} tasks:")
        print(line.format("taken", "", "", f"{graph['dependencies'] / graph['submit_s']:.4g}", "dependencies/s"))
        print(line.format("run", "", "", f"{graph['dependencies'] / graph['drain_s']:.4g}", "dependencies/s"))
        print(line.format("tasks run", "", "", f"{graph['drain_rate']:.4g}", "1/s"))


def missing(results):
    """What should have been measured and was not."""
    return [
        name for name in ("few", "many", "graph") if results[name].get("failed", 1) or "drain_rate" not in results[name]
    ]
