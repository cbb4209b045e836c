"""The thread in which a client's callbacks are called."""

import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple

from ipcluster import _client

IDLE_SECONDS = 1  # after which it ends


class Waiting(NamedTuple):
    """What waits for requests."""

    ready: Callable  # whether all are answered
    last_open: Callable  # the last that is not; any where all are
    call: Callable  # what is done then


class Dispatcher:
    """Calls the callbacks of results that are complete, in a thread of its own, which ends when it has had nothing to do for a while."""

    def __init__(self):
        self.completions = _client.Completions()
        self.lock = threading.Lock()
        self.running = False

    def add(self, waiting):
        """Calls it once it is ready, in this thread."""
        with self.lock:
            self.completions.watch(waiting.last_open(), waiting)
            if not self.running:
                threading.Thread(target=self._run, name="ipcluster-callbacks", daemon=True).start()
                self.running = True

    def _run(self):
        while True:
            try:
                waiting = self.completions.get(IDLE_SECONDS)
            except TimeoutError:
                with self.lock:
                    if len(self.completions):
                        continue
                    self.running = False
                    return
            if waiting.ready():
                waiting.call()
            else:
                self.add(waiting)


def once_answered(future, method):
    """Waits for a request, to call a method once it is answered, unless the method's object, which is not kept for that, has gone."""
    method = weakref.WeakMethod(method)

    def call():
        there = method()
        if there is not None:
            there()

    return Waiting(future.ready, lambda: future, call)
