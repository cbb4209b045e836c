"""The thread in which a client's callbacks are called."""

import threading
import weakref

from ipcluster import _client

IDLE_SECONDS = 1  # after which it ends


class Dispatcher:
    """Calls the callbacks of results that are complete, in a thread of its own, which ends when it has had nothing to do for a while."""

    def __init__(self):
        self.completions = _client.Completions()
        self.lock = threading.Lock()
        self.running = False

    def add(self, result):
        with self.lock:
            self.completions.watch(result._last_open(), result)
            if not self.running:
                threading.Thread(target=self._run, name="ipcluster-callbacks", daemon=True).start()
                self.running = True

    def _run(self):
        while True:
            try:
                result = self.completions.get(IDLE_SECONDS)
            except TimeoutError:
                with self.lock:
                    if len(self.completions):
                        continue
                    self.running = False
                    return
            if result.ready():
                result._run_callbacks()
            else:
                self.add(result)


class OnceAnswered:
    """For a dispatcher: calls a method once a request is answered, unless its object, which is not kept for that, has gone."""

    def __init__(self, future, method):
        self._future = future
        self._method = weakref.WeakMethod(method)

    def _last_open(self):
        return self._future

    def ready(self):
        return self._future.ready()

    def _run_callbacks(self):
        method = self._method()
        if method is not None:
            method()
