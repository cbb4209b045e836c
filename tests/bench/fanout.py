"""Benchmark group "fanout": 200 engines that are asked the same, by a request to each or by one broadcast, with no payload and with
1 MiB. The engines are simulated (engines.c): what is measured is the client and the controller."""

import importlib.util
import json
import subprocess

from clients import sized
from harness import HERE, PYTHON, cluster, say
from support import wait_until

ENGINES = sized(200)
PACKAGES = ["ipcluster", "ipyparallel"]


def _controller(sandbox):
    return [sandbox.programs.ipcontroller]


def measure_one(build, package, log, *ways, segments=True):
    """What the client of `package` measures, in all ways, or in these; `segments`: the engines take large buffers in shared memory."""
    with cluster(build, _controller) as running:
        file = running.connection_file
        options = dict(env=running.sandbox.env, cwd=running.sandbox.work, text=True, stderr=log, stdout=subprocess.PIPE)
        client = subprocess.Popen([PYTHON, HERE / "fanout_client.py", package, file, str(ENGINES), *ways], **options)
        wait_until(file.exists, 20, "the controller listens")
        command = [build / "tests/bench/engines", *(["--segments"] if segments else [])]
        engines = subprocess.Popen([*command, file.with_name("ipcontroller-engine.json"), str(ENGINES)],
                                   stdin=subprocess.PIPE, **options)  # fmt: skip
        try:
            results = json.loads(client.stdout.readline() or "{}")
            results["controller_cpu_s"] = running.cpu_seconds()["controller"]
            return results
        finally:
            for process in (client, engines):
                process.kill()
                process.wait()


def measure(build, log):
    results = {}
    for package in PACKAGES:
        if package == "ipcluster" or importlib.util.find_spec(package):
            say(f"{ENGINES} engines, {package}'s client")
            results[package] = measure_one(build, package, log)
    return results


def show(results):
    print(f"{ENGINES} engines are asked; ms a round" + "".join(f"{name:>14}" for name in results))
    for key, title in (
        ("direct", "a request to each"),
        ("broadcast", "a broadcast"),
        ("coalescing", "  whose replies are coalesced"),
    ):
        for suffix, what in (("_s", ""), ("_client_s", ", the client's CPU"), ("_payload_s", ", with 1 MiB")):
            values = [found.get(key + suffix) for found in results.values()]
            if any(values):
                print(
                    f"{title + what:46}"
                    + "".join(f"{'-' if value is None else format(value * 1e3, '.4g'):>14}" for value in values)
                )


def missing(results):
    return [package for package, found in results.items() if "broadcast_payload_s" not in found]
