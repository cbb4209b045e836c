"""Dask on a cluster's engines: a Dask scheduler in a thread of the client's process, and a worker in a thread of each engine."""

from ipcluster import there

HOST = "127.0.0.1"  # Dask checks nobody's identity: other machines must be let in on purpose


class Scheduler:
    """A running Dask scheduler."""

    def __init__(self, arguments):
        from distributed import Scheduler
        from distributed.utils import LoopRunner

        async def start():
            return await Scheduler(**{"host": HOST, "dashboard": False, **arguments})

        self._runner = LoopRunner()
        self._runner.start()
        try:
            self._scheduler = self._runner.run_sync(start)
        except BaseException:
            self._runner.stop()
            raise
        self.address = self._scheduler.address

    def stop(self):
        self._runner.run_sync(self._scheduler.close)
        self._runner.stop()


def start_workers(view, scheduler, nanny, arguments):
    """Starts a worker on each engine of `view` that has none. Returns a Dask client."""
    import distributed

    local = {"host": HOST} if f"//{HOST}:" in scheduler.address else {}
    view.apply_sync(there.become_dask_worker, scheduler.address, nanny, {"nthreads": 1, **local, **arguments})
    return distributed.Client(scheduler.address)


def stop_workers(view):
    view.apply_sync(there.stop_dask_worker)
