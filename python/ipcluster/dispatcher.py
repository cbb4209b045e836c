"""The thread in which a client's callbacks are called."""

import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple

from ipcluster import _client

IDLE_SECONDS = 1  # without work, after which the thread ends


class Waiting(NamedTuple):
    """A call that waits for requests."""

    ready: Callable  # whether all are answered
    last_open: Callable  # the last that is not answered; any if all are
    call: Callable  # what to do then


class Dispatcher:
    """Calls the callbacks of complete results, in a thread of its own. The thread ends when it has had nothing to do for a while."""

    def __init__(self):
        self.completions = _client.Completions()
        self.lock = threading.Lock()
        self.running = False

    def add(self, waiting):
        """Calls it when it is ready, in this thread."""
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
    """Waits for a request, and calls a method when it is answered. The method's object is not kept for that: if it has gone, nothing is called."""
    method = weakref.WeakMethod(method)

    def call():
        there = method()
        if there is not None:
            there()

    return Waiting(future.ready, lambda: future, call)
