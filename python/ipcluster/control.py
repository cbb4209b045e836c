"""Requests to engines that are not work: to be interrupted, cleared and ended, to say what they have to do, and to serve Dask."""

import json

from ipcluster import _client, error as errors
from ipcluster.asyncresult import AsyncResult


class Control:
    """The part of a Client for these requests."""

    def _control(self, targets, msg_type, content, block):
        content = json.dumps(content)
        targets = self.requests.targets_of(targets)
        children = [self.requests.submit(_client.CONTROL, target, msg_type, content) for target in targets]
        result = AsyncResult(self, children, fname=msg_type, targets=targets)
        if self.block if block is None else block:
            result.get()
            return None
        return result

    def _expect_ours(self, targets, otherwise):
        """Raises NotImplementedError if one is an engine of ipyparallel, which does not even answer what it does not know."""
        for target in self.requests.targets_of(targets):
            if json.loads(self.connection.engine_info(target)).get("implementation") != "ipcluster":
                raise NotImplementedError(f"engine {target} is ipyparallel's and {otherwise}")

    def _engine_stats(self, targets):
        self._expect_ours(targets, "does not count what it does")
        answered = self._control(targets, "stats_request", {}, False)
        return {engine_id: answer["values"] for engine_id, answer in zip(answered.targets, answered.get())}

    def clear(self, targets=None, block=None):
        """Empties the namespaces of engines.

        Args:
            targets (int, list or "all"): the engines; by default all.
            block (bool): whether to wait; by default as the client's `block` says.
        Returns:
            AsyncResult: or None if it waits.
        Example:
            >>> c.clear(block=True)
        """
        return self._control(targets, "clear_request", {}, block)

    def interrupt(self, targets=None, block=None):
        """Interrupts what engines run, as Ctrl-C does in a terminal.

        Args:
            targets (int, list or "all"): the engines; by default all.
            block (bool): whether to wait until it was sent.
        Returns:
            AsyncResult: or None if it waits.
        Example:
            >>> c.interrupt(0, block=True)
        """
        return self.send_signal("SIGINT", targets, block)

    def send_signal(self, sig, targets=None, block=None):
        """Sends a signal to the processes of engines.

        Args:
            sig (int or str): a number or a name, such as "SIGUSR1".
            targets (int, list or "all"): the engines; by default all.
            block (bool): whether to wait until it was sent.
        Returns:
            AsyncResult: or None if it waits.
        Example:
            >>> import signal
            >>> c.send_signal(signal.SIGINT, block=True)
        """
        return self._control(targets, "signal_request", {"sig": sig}, block)

    def drain(self, targets="all", timeout=None, block=None):
        """Ends engines when they have finished what they have begun. They take nothing new, and tasks that wait there go to other engines.

        Args:
            targets (int, list or "all"): the engines.
            timeout (float): seconds after which requests that still run are interrupted; by default never.
            block (bool): whether to wait until the engines have finished.
        Returns:
            AsyncResult: ready when they have; None if it waits.
        Raises:
            NotImplementedError: one of them is ipyparallel's.
        Example:
            >>> client.drain(0, timeout=60, block=True)
        """
        self._expect_ours(targets, "cannot be drained: wait for what runs there, and shut it down")
        return self._control(targets, "shutdown_request", {"restart": False, "drain": timeout}, block)

    def shutdown(self, targets="all", restart=False, hub=False, block=None):
        """Ends engines.

        Args:
            targets (int, list or "all"): the engines.
            restart (bool): refused; `ipcluster restart` does that.
            hub (bool): True ends all engines, and the controller.
            block (bool): whether to wait for their answers.
        Returns:
            AsyncResult: or None if it waits.
        Raises:
            NotImplementedError: restart=True.
        Example:
            >>> client.shutdown(1, block=True)
        """
        if restart:
            raise NotImplementedError(
                "engines cannot be restarted: shut them down and start others (ipcluster engines)"
            )
        try:
            result = self._control("all" if hub else targets, "shutdown_request", {"restart": False}, block or hub)
        except errors.NoEnginesRegistered:
            result = None
        if hub:
            self.requests.ask_hub("shutdown_request")
            self.close()
        return result

    def queue_status(self, targets="all", verbose=False):
        """What engines have to do.

        Args:
            targets (int, list or "all"): the engines.
            verbose (bool): True gives the msg_ids instead of their numbers.
        Returns:
            dict: by id, or, for one engine (an int), that engine's: `queue` (waits there), `tasks` (was given out by the scheduler) and
                `completed`.
        Example:
            >>> c.queue_status(0)["queue"]
            0
        """
        content = {"targets": None if targets == "all" else self.requests.targets_of(targets), "verbose": verbose}
        status, _ = self.requests.ask_hub("queue_request", content)
        status.pop("status", None)
        status = {int(key) if key.isdigit() else key: value for key, value in status.items()}
        return status[targets] if isinstance(targets, int) else status

    def become_dask(self, targets="all", port=0, nanny=False, scheduler_args=None, **worker_args):
        """Makes engines workers of a Dask scheduler. This client starts the scheduler, which ends with the client.

        Args:
            targets (int, list, slice or "all"): the engines.
            port (int): the scheduler's port; 0: a free one.
            nanny (bool): True makes the workers processes of their own.
            scheduler_args (dict): of Dask's Scheduler. It listens on loopback; {"host": ADDRESS} lets other machines in, without any check by Dask.
            worker_args: of Dask's Worker, such as nthreads=1.
        Returns:
            distributed.Client: a client of the scheduler; close it before `stop_dask()`.
        Raises:
            ImportError: Dask's distributed is missing.
        Example:
            >>> dask = c.become_dask(targets=[0])
            >>> dask.submit(abs, -1).result()
            1
            >>> dask.close()
            >>> c.stop_dask()
        """
        from ipcluster import dask

        if self._dask is None:
            self._dask = dask.Scheduler({"port": port, **(scheduler_args or {})})
        return dask.start_workers(self.direct_view(targets), self._dask, nanny, worker_args)

    def stop_dask(self, targets="all"):
        """Ends the workers on engines, and the scheduler of `become_dask()`.

        Args:
            targets (int, list, slice or "all"): the engines.
        Example:
            >>> dask = c.become_dask(targets=[0])
            >>> dask.close()
            >>> c.stop_dask(targets=[0])
        """
        from ipcluster import dask

        dask.stop_workers(self.direct_view(targets))
        self._stop_dask_scheduler()

    def _stop_dask_scheduler(self):
        if self._dask is not None:
            self._dask.stop()
            self._dask = None

    become_distributed = become_dask
    stop_distributed = stop_dask
