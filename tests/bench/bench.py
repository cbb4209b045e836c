"""make bench: the raw libzmq floor, this project and ipyparallel, measured in one run on this machine.

bench.py BUILD-TREE prints a table and writes bench.json in the current folder. Nothing here passes or fails by a time.
"""

import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import psutil  # noqa: E402

from support import PYTHON, Programs, Sandbox  # noqa: E402

HERE = Path(__file__).resolve().parent
ENGINES = 4

# Rows of the table: key, title, unit, what the floor measures for it.
ROWS = [
    ("balanced_tasks", "load-balanced no-op tasks", "1/s", "tasks"),
    ("direct_tasks", "direct no-op tasks", "1/s", "tasks"),
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


def say(text):
    print(f"-- {text}", file=sys.stderr, flush=True)


def floor(build):
    return json.loads(subprocess.run([build / "tests/bench/floor"], capture_output=True, text=True, check=True).stdout)


def resident(sandbox):
    """Resident MiB of the controller's processes together, and of one engine, its helpers included."""
    controller = engines = 0.0
    for process in sandbox.marked():
        try:
            words = " ".join(process.cmdline())
            size = process.memory_info().rss / (1 << 20)
        except psutil.Error:
            continue
        if "client.py" in words:
            continue
        if "ipengine" in words or "ipyparallel.engine" in words:
            engines += size
        elif "ipcontroller" in words or "ipyparallel.controller" in words:
            controller += size
    return {"controller_mib": controller, "engine_mib": engines / ENGINES}


def from_python(sandbox, package, connection_file, started, log):
    """Runs client.py against a cluster that is starting."""
    client = subprocess.Popen([PYTHON, HERE / "client.py", package, connection_file, str(ENGINES), str(started)],
                              env=sandbox.env, cwd=sandbox.work, text=True, stdin=subprocess.PIPE, stderr=log,
                              stdout=subprocess.PIPE)
    results = json.loads(client.stdout.readline() or "{}")
    if results:
        results.update(resident(sandbox))
        results.update(json.loads(client.communicate("go\n")[0] or "{}"))
    client.kill()
    client.wait()
    return results


def from_c(sandbox, build, connection_file, log):
    done = subprocess.run([build / "tests/bench/tasks", connection_file], env=sandbox.env, cwd=sandbox.work,
                          text=True, stdout=subprocess.PIPE, stderr=log)
    return json.loads(done.stdout or "{}")


def measure(name, build, log, start, package, extra=None):
    """Starts a cluster with the command `start(sandbox)`, measures it and stops it. A part that failed is left out and shown."""
    say(name)
    sandbox = Sandbox(Programs.of_build(build))
    try:
        connection_file = sandbox.profile_dir() / "security" / "ipcontroller-client.json"
        started = time.monotonic()
        cluster = sandbox.start(*start(sandbox))
        results = from_python(sandbox, package, connection_file, started, log)
        if not results:
            say(f"{name} failed: {cluster.output[-2000:]}")
        if results and extra:
            results["c"] = extra(sandbox, connection_file)
        return results
    finally:
        sandbox.end(strict=False)


def ours(build, log, curve):
    return measure("this project, " + ("encrypted" if curve else "not encrypted"), build, log,
                   lambda sandbox: [sandbox.programs.ipcluster, "start", f"--n={ENGINES}", "--",
                                    f"--IPController.enable_curve={str(curve).lower()}"],
                   "ipcluster", lambda sandbox, file: from_c(sandbox, build, file, log))


def theirs(build, log):
    if importlib.util.find_spec("ipyparallel") is None:
        say("ipyparallel is not installed")
        return {}
    return measure("ipyparallel", build, log,
                   lambda sandbox: [PYTHON, "-m", "ipyparallel.cluster", "start", f"--n={ENGINES}"], "ipyparallel")


def ratio(value, base, unit):
    """How many times better than `base`: more tasks or bytes, less time or memory."""
    if not value or not base:
        return ""
    return f"{value / base if unit.endswith('/s') else base / value:.3g}"


def show(results):
    print(f"{'':36}{'':15}{'':>10}       {'better than':>12} {'better than':>12}")
    print(f"{'':36}{'':15}{'':>10}       {'floor, times':>12} {'ipyparallel':>12}")
    line = "{:36}{:15}{:>10} {:6}{:>12} {:>12}"
    reference = results["ipyparallel"]
    for key, title, unit, floor_key in ROWS:
        base = results["floor"].get(floor_key)
        if base:
            print(line.format(title, "floor", f"{base:.4g}", unit, "", ""))
        for name in ("encrypted", "plain"):
            for who, found in (("Python", results[name]), ("C", results[name].get("c", {}))):
                value = found.get(key)
                if value:
                    where = f"{name}, {who}" if floor_key else name
                    print(line.format(title, where, f"{value:.4g}", unit, ratio(value, base, unit),
                                      ratio(value, reference.get(key), unit)))
        if reference.get(key):
            value = reference[key]
            print(line.format(title, "ipyparallel", f"{value:.4g}", unit, ratio(value, base, unit), ""))


def main():
    build = Path(sys.argv[1]).resolve()
    only = sys.argv[2:]
    with open("bench.log", "w") as log:
        results = {"floor": floor(build), "processors": os.cpu_count()}
        results["encrypted"] = {} if "ipyparallel" in only else ours(build, log, True)
        results["plain"] = {} if "ipyparallel" in only else ours(build, log, False)
        results["ipyparallel"] = theirs(build, log)
    Path("bench.json").write_text(json.dumps(results, indent=2) + "\n")
    show(results)
    missing = [name for name in ("encrypted", "plain") if not results[name].get("balanced_tasks")]
    if missing:
        say(f"not measured: {', '.join(missing)}; what was printed is in bench.log")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
