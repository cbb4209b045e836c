"""Engines that are killed and replaced all the while, for the tests of churn."""

import threading
import time

from support import PATIENCE, wait_until


class Churn:
    """Context manager: kills the oldest of a cluster's engines and starts another, every `interval` seconds, in a thread of its own. An
    engine is killed only when another has registered in its place, so that there is always one that works.
    """

    def __init__(self, cluster, interval=0.4, most=1000):
        self.cluster = cluster
        self.interval = interval
        self.most = most
        self.alive = list(cluster.engines)
        self.killed = 0
        self.failure = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            while not self._stop.wait(self.interval) and self.killed < self.most:
                other = self.cluster.start_engine()
                other.wait_for_output("registered as engine", 60)
                self.alive.append(other)
                self.alive.pop(0).popen.kill()
                self.killed += 1
        except AssertionError as failure:
            self.failure = failure

    def __enter__(self):
        self._thread.start()
        return self

    def wait_for(self, killed):
        """Waits until that many have been killed."""
        wait_until(lambda: self.failure or self.killed >= killed, 60, f"{killed} engines are killed")

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        if self.failure:
            raise self.failure


def wait_for_all(results, timeout=60):
    """Waits for all asynchronous results together, and fails with how many are left."""
    deadline = time.monotonic() + timeout * PATIENCE
    for result in results:
        result.wait(max(0, deadline - time.monotonic()))
    left = sum(not result.ready() for result in results)
    assert not left, f"{left} of {len(results)} are not answered within {timeout * PATIENCE:g} s"


def outcomes(results):
    """How many of these asynchronous results succeeded with the right value, and the errors' names. Those that are not ready count as
    errors."""
    good, errors = 0, {}
    for number, result in enumerate(results):
        try:
            good += result.get(timeout=0) == number
        except Exception as error:
            name = getattr(error, "ename", type(error).__name__)
            errors[name] = errors.get(name, 0) + 1
    return good, errors


def restart(cluster, *arguments):
    """Kills the controller, and starts another in its place."""
    cluster.controller.popen.kill()
    cluster.controller.wait()
    time.sleep(0.2)
    cluster.start_controller("--restore", *arguments)
    wait_until(lambda: "registered" in cluster.controller.output, 30, "engines are back")
