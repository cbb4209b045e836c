"""Measures one cluster from Python: python_client.py PACKAGE CONNECTION-FILE ENGINES STARTED.

PACKAGE is "ipcluster" or "ipyparallel": the same code drives both. Waits for the connection file and the engines; for each line that
it reads it measures one thing more and prints a JSON object. STARTED is the monotonic time at which the cluster's start command was
given.
"""

import collections
import statistics
import sys
import time

from clients import SIZE, answer, connected, sized

SECONDS = 4.0 * SIZE
WINDOW = 500  # requests under way at once
TRIPS = sized(1000)
PAYLOAD_BYTES = sized(64 << 20)
PAYLOAD_RUNS = 5


def noop():
    pass


def tasks(name, submit):
    """A window of requests under way, refilled as results come, for some seconds."""
    waiting = collections.deque()
    sent = 0
    start, start_cpu = time.monotonic(), time.process_time()
    while time.monotonic() - start < SECONDS:
        while len(waiting) < WINDOW:
            waiting.append(submit(sent))
            sent += 1
        waiting.popleft().get()
    # The time counts until the last result: otherwise a slow cluster would be credited with work that is not done.
    while waiting:
        waiting.popleft().get()
    cpu = time.process_time() - start_cpu
    return {
        f"{name}_tasks": sent / (time.monotonic() - start),
        f"{name}_client_us": cpu / sent * 1e6,
        f"{name}_sent": sent,
    }


def trips(name, call):
    times = []
    start = time.monotonic()
    while len(times) < TRIPS and time.monotonic() - start < 2 * SECONDS:
        before = time.monotonic()
        call()
        times.append((time.monotonic() - before) * 1e6)
    times.sort()
    return {f"{name}_trip_median_us": times[len(times) // 2], f"{name}_trip_p99_us": times[len(times) * 99 // 100]}


def bandwidth(view):
    import numpy

    array = numpy.ones(PAYLOAD_BYTES, dtype="uint8")
    mebibytes = PAYLOAD_BYTES / (1 << 20)
    pushes, pulls = [], []
    for _ in range(PAYLOAD_RUNS):
        before = time.monotonic()
        view.push({"payload": array}, block=True)
        between = time.monotonic()
        pulled = view.pull("payload", block=True)
        pulls.append(time.monotonic() - between)
        pushes.append(between - before)
        assert len(pulled) == PAYLOAD_BYTES
        del pulled
    return {"push_mib_s": mebibytes / statistics.median(pushes), "pull_mib_s": mebibytes / statistics.median(pulls)}


def main(package, connection_file, engines, started):
    sys.stdin.readline()
    client = connected(package, connection_file, int(engines))
    client[:].apply_sync(noop)
    # The cluster's memory is read after this answer, before user code imports anything.
    answer({"first_result_s": time.monotonic() - float(started)})
    balanced = client.load_balanced_view()
    singles = [client[i] for i in client.ids]
    for measure in (
        lambda: tasks("balanced", lambda i: balanced.apply_async(noop)),
        lambda: tasks("direct", lambda i: singles[i % len(singles)].apply_async(noop)),
        lambda: trips("balanced", lambda: balanced.apply_sync(noop)),
        lambda: trips("direct", lambda: singles[0].apply_sync(noop)),
        lambda: bandwidth(singles[0]),
    ):
        if not sys.stdin.readline():
            break
        answer(measure())


main(*sys.argv[1:])
