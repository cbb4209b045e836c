"""Benchmark group "costs": what a task costs each program, beside its own work: processor time, system calls, how often threads waited, and
bytes of its messages; and the memory of all programs while an array is pushed to all engines, as PSS, where what processes share counts once.

Tasks come from Python, and the settings are the default. Ways take turns, with the same numbers of tasks; the tables have medians. System
calls are counted in runs of their own, because this makes them slower.
"""

import os
import select
import shutil
import signal
import statistics
import subprocess
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from harness import HERE, PYTHON, Program, Table, cell, cluster, ours, say, show_tables

ROUNDS = 5
ENGINES = [4, 2]
PROCESSORS = len(os.sched_getaffinity(0))
WAYS = {"tasks": "apply_async", "map": "map", "direct": "apply_async, direct"}
TASKS = {"no-ops": (0, 5000), "1 ms": (1e-3, 1000)}  # seconds, and how many
PROGRAMS = ["client", "controller", "engine"]
# Of each program, for each task: key, title, format.
COLUMNS = [
    ("cpu_us", "CPU, us", ".1f"),
    ("waits", "waits", ".2f"),
    ("calls", "system calls", ".2f"),
    ("bytes", "bytes", ".0f"),
]
PUSHED_MIB, PUSHED_ENGINES = 256, 4
SAMPLE_S = 0.02
SYSTEM_CALLS = "raw_syscalls:sys_enter"


def of_threads(process, name):
    """The lines of /proc/PID/task/*/NAME, of all threads."""
    for path in Path(f"/proc/{process.pid}/task").glob(f"*/{name}"):
        with suppress(OSError):  # one that has ended meanwhile
            yield from path.read_text().splitlines()


def cpu_us(process):
    return sum(int(line.split()[0]) for line in of_threads(process, "schedstat")) / 1000


def waits(process):
    """How often the threads of a process have waited for something."""
    return sum(
        int(line.split()[1]) for line in of_threads(process, "status") if line.startswith("voluntary_ctxt_switches")
    )


def pss_mib(process):
    return process.memory_full_info().pss / (1 << 20)


@contextmanager
def perf(pids, found, key):
    """Context manager: found[key] is how many system calls these processes make in it, or missing where perf may not count them."""
    command, tell = os.pipe()
    hear, answer = os.pipe()
    counter = subprocess.Popen(["perf", "stat", "-x,", f"--event={SYSTEM_CALLS}", "--delay=-1", f"--control=fd:{command},{answer}",
                                f"--pid={','.join(map(str, pids))}"], pass_fds=(command, answer), stderr=subprocess.PIPE, text=True)  # fmt: skip
    os.close(command)
    os.close(answer)

    def switch(state):
        with suppress(BrokenPipeError):
            os.write(tell, f"{state}\n".encode())
            os.read(hear, 16)

    try:
        switch("enable")
        yield
        switch("disable")
    finally:
        counter.send_signal(signal.SIGINT)
        for line in counter.communicate()[1].splitlines():
            if SYSTEM_CALLS in line and line.split(",")[0].isdigit():
                found[key] = int(line.split(",")[0])
        os.close(tell)
        os.close(hear)


@contextmanager
def measured_cluster(build, engines, log):
    """Context manager: a cluster, and its client."""
    with cluster(build, ours(engines)) as running:
        client = Program(running, log, PYTHON, HERE / "request_client.py", running.connection_file)
        running.client = client.popen.pid
        try:
            client.ask(f"engines {engines}")
            yield running, client
        finally:
            client.end()


def run(client, way, seconds, count):
    """How long it took."""
    found = client.ask(f"{way} {count} {seconds}")
    if found.get("failed") != 0:
        raise RuntimeError(f"{way}: {found or 'the client has ended'}")
    return found["seconds"]


def timed(running, client, way, seconds, count):
    """The rate, and of each program, for each task, processor time, waits and bytes."""
    spent = {"cpu_us": cpu_us, "waits": waits}
    bytes_before = client.ask("bytes")
    before = {key: running.total(value) for key, value in spent.items()}
    found = {"rate": count / run(client, way, seconds, count)}
    for key, value in spent.items():
        for program, total in running.total(value).items():
            found[f"{program}_{key}"] = (total - before[key][program]) / count
    found["engine_cpu_us"] -= seconds * 1e6  # the task's own
    for side, total in client.ask("bytes").items():
        found[f"{side}_bytes"] = (total - bytes_before[side]) / count
    return found


def counted(running, client, way, seconds, count):
    """System calls of each program for each task."""
    found = {}
    with ExitStack() as stack:
        for program, pids in running.pids().items():
            stack.enter_context(perf(pids, found, f"{program}_calls"))
        run(client, way, seconds, count)
    if seconds:
        found.pop("engine_calls", None)  # a task that takes time asks what the time is, as often as it can
    return {key: calls / count for key, calls in found.items()}


def summary(rounds, seconds, engines):
    found = {
        key: statistics.median(each[key] for each in rounds) for key in rounds[0] if all(key in each for each in rounds)
    }
    if seconds:
        found["share"] = found["rate"] * seconds / min(engines, PROCESSORS)
    return found


def measure_tasks(build, engines, log):
    """By way and kind of task."""
    kinds = [(way, name) for name in TASKS for way in WAYS]
    rounds = {kind: [] for kind in kinds}
    measures = [timed, counted] if shutil.which("perf") else [timed]
    with measured_cluster(build, engines, log) as (running, client):
        for number in range(ROUNDS + 1):
            for way, name in kinds:
                found = {}
                for measure_one in measures:
                    found.update(measure_one(running, client, way, *TASKS[name]))
                if number:  # the first warms it
                    rounds[way, name].append(found)
    return {f"{WAYS[way]}, {name}": summary(found, TASKS[name][0], engines) for (way, name), found in rounds.items()}


def measure_push(build, log):
    """Memory before, at its height and afterwards, of each program and of all together."""
    with measured_cluster(build, PUSHED_ENGINES, log) as (running, client):
        client.ask("tasks 100")
        processes = list(running.processes())

        def sample():
            found = dict.fromkeys(PROGRAMS, 0.0)
            for process, program in processes:
                found[program] += pss_mib(process)
            return {**found, "together": sum(found.values())}

        found = {"before": sample()}
        client.tell(f"push {PUSHED_MIB << 20}")
        samples = []
        while not select.select([client.popen.stdout], [], [], SAMPLE_S)[0]:
            samples.append(sample())
        if client.read().get("pushed") != PUSHED_MIB << 20:
            raise RuntimeError("the array was not pushed")
        found["afterwards"] = sample()
        found["at most"] = max([*samples, found["afterwards"]], key=lambda each: each["together"])
        return found


def measure(build, log):
    results = {"tasks": {}}
    try:
        for engines in ENGINES:
            say(f"costs: {engines} engines")
            results["tasks"][str(engines)] = measure_tasks(build, engines, log)
        say(f"costs: push of {PUSHED_MIB} MiB")
        results["push"] = measure_push(build, log)
    except RuntimeError as error:
        results["failed"] = str(error)
    return results


def tables(results):
    for engines, kinds in results["tasks"].items():
        rows = []
        for name, found in kinds.items():
            for program in PROGRAMS:
                cells = [cell(found, f"{program}_{key}", form) for key, _, form in COLUMNS]
                rows.append([name, cell(found, "rate", ".0f"), cell(found, "share", ".1%"), program, *cells])
                name, found = "", {key: value for key, value in found.items() if key not in ("rate", "share")}
        columns = [f"{engines} engines", "1/s", "of ideal", "for each task", *(title for _, title, _ in COLUMNS)]
        yield Table(columns, rows)
    if "push" in results:
        rows = [
            [when, *(f"{found[program]:.0f}" for program in [*PROGRAMS, "together"])]
            for when, found in results["push"].items()
        ]
        yield Table([f"PSS in MiB, {PUSHED_MIB} MiB to {PUSHED_ENGINES} engines", *PROGRAMS, "together"], rows)


def show(results):
    show_tables(tables(results))


def missing(results):
    return [results["failed"]] if "failed" in results else []
