"""The benchmark's peers: what people run Python functions with on one machine, each with workers of its own or those of a cluster.

peers_client.py PEER WORKERS CONNECTION-FILE runs tasks of the next duration for each line that it reads, and prints a JSON object. A
peer is opened for a number of workers, and gives `run(seconds, count)`, which runs so many tasks to their last result.
"""

import collections
import contextlib
import functools
import itertools
import os
import sys
import time
from typing import Callable, NamedTuple

from clients import SIZE, answer, connected

DURATIONS = {"noop": 0, "100us": 100e-6, "1ms": 1e-3, "10ms": 10e-3}
SECONDS = 1.0 * SIZE  # that a measurement takes, about
FIRST_COUNT = 16


def task(seconds):
    """Computes for so many seconds. They are the processor's: workers share processors where there are more of them."""
    if seconds:
        from time import thread_time  # here, because engines get the function without its module

        end = thread_time() + seconds
        while thread_time() < end:
            pass


def one_by_one(submit, result):
    """Submits each task, and then waits for each."""

    def run(seconds, count):
        for pending in [submit(task, seconds) for _ in range(count)]:
            result(pending)

    return run


@contextlib.contextmanager
def pool(workers, _):
    from multiprocessing import Pool

    with Pool(workers) as opened:
        yield lambda seconds, count: collections.deque(opened.imap_unordered(task, itertools.repeat(seconds, count)), 0)


@contextlib.contextmanager
def process_pool_executor(workers, _):
    from concurrent.futures import Future, ProcessPoolExecutor

    with ProcessPoolExecutor(workers) as executor:
        yield one_by_one(executor.submit, Future.result)


@contextlib.contextmanager
def mpi_pool_executor(workers, _):
    from concurrent.futures import Future

    from mpi4py.futures import MPIPoolExecutor

    with MPIPoolExecutor(workers) as executor:
        yield one_by_one(executor.submit, Future.result)


@contextlib.contextmanager
def loky(workers, _):
    from joblib import Parallel, delayed

    with Parallel(workers, backend="loky", batch_size=1) as parallel:
        yield lambda seconds, count: parallel(delayed(task)(seconds) for _ in range(count))


@contextlib.contextmanager
def dask(workers, _):
    from distributed import Client

    with Client(n_workers=workers, threads_per_worker=1, dashboard_address=None) as client:
        # Not pure: tasks with equal arguments would be one task.
        yield lambda seconds, count: client.gather([client.submit(task, seconds, pure=False) for _ in range(count)])


@contextlib.contextmanager
def apply_async(package, workers, connection_file):
    view = connected(package, connection_file, workers).load_balanced_view()
    yield one_by_one(view.apply_async, lambda result: result.get())


@contextlib.contextmanager
def view_map(workers, connection_file):
    view = connected("ipcluster", connection_file, workers).load_balanced_view()
    yield lambda seconds, count: view.map(task, [seconds] * count, block=True)


class Peer(NamedTuple):
    name: str
    open: Callable
    module: str = ""  # what has to be installed, and the Debian package that has it
    package: str = ""
    cluster: str = ""  # whose cluster is started for it, "ipcluster" or "ipyparallel"


PEERS = {
    peer.name: peer
    for peer in (
        Peer("Pool.imap_unordered", pool),
        Peer("ProcessPoolExecutor", process_pool_executor),
        Peer("MPIPoolExecutor", mpi_pool_executor, "mpi4py", "python3-mpi4py"),
        Peer("joblib, loky", loky, "joblib", "python3-joblib"),
        Peer("Dask distributed", dask, "distributed", "python3-distributed"),
        Peer("ipyparallel", functools.partial(apply_async, "ipyparallel"), "ipyparallel", "python3-ipyparallel",
             "ipyparallel"),
        Peer("ipcluster, apply_async", functools.partial(apply_async, "ipcluster"), cluster="ipcluster"),
        Peer("ipcluster, map", view_map, cluster="ipcluster"),
    )
}  # fmt: skip


def measured(name, run, seconds):
    """The rate of the first run that takes long enough. Shorter ones before it say how many tasks that are, and warm the workers."""
    sent, count, elapsed = 0, FIRST_COUNT, 0.0
    start_cpu = time.process_time()
    while True:
        start = time.monotonic()
        run(seconds, count)
        elapsed = time.monotonic() - start
        sent += count
        if elapsed >= SECONDS / 2:
            break
        count = int(count * min(SECONDS / elapsed, 10))
    cpu = time.process_time() - start_cpu
    return {f"{name}_tasks": count / elapsed, f"{name}_client_us": cpu / sent * 1e6, f"{name}_sent": sent}


def main(peer, workers, connection_file):
    # Of its own: Open MPI's daemon would read what is in the standard input that it inherits.
    lines = os.fdopen(os.dup(0))
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    lines.readline()
    start = time.monotonic()
    with PEERS[peer].open(int(workers), connection_file) as run:
        run(0, FIRST_COUNT)  # starts workers that start late
        answer({"open_s": time.monotonic() - start})
        for name, seconds in DURATIONS.items():
            if not lines.readline():
                break
            answer(measured(name, run, seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
