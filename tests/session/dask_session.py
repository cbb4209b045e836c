"""dask_session.py CLIENT-FILE WITH-NANNY PID...: what a user of Dask does with engines, of these processes.

A program of its own: `distributed` changes asyncio for whatever else is in its process."""

import os
import sys

import distributed

import ipcluster


def fails(function, *arguments, **options):
    try:
        function(*arguments, **options)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


file, nanny, *pids = sys.argv[1:]
nanny, pids = nanny == "True", {int(pid) for pid in pids}
client = ipcluster.Client(file)
client.wait_for_engines(len(pids), timeout=60)
with client.become_dask(nanny=nanny) as dask:
    address = dask.scheduler.addr
    assert address.startswith("tcp://127.0.0.1:"), address
    dask.wait_for_workers(2, timeout=60)
    assert dask.submit(sum, [1, 2]).result(timeout=60) == 3
    assert sum(dask.gather(dask.map(abs, range(-100, 0)))) == 5050
    workers = set(dask.run(os.getpid).values())
    assert (workers == pids) == (not nanny), workers
    # The engines serve their cluster meanwhile.
    assert set(client[:].apply_sync(os.getpid)) == pids
    client.become_dask().close()
    assert len(dask.scheduler_info()["workers"]) == 2
client.stop_dask()
assert "distributed_worker" in fails(client[:].pull, "distributed_worker", block=True)
assert fails(distributed.Client, address, timeout=1)
client.close()
print("done")
