"""The requests of a client: how they are sent to engines, and which of them are remembered."""

import json
import threading
from itertools import islice

from ipcluster import _client
from ipcluster.abort import AbortLater
from ipcluster.dispatcher import Dispatcher, once_answered
from ipcluster.error import EngineError, NoEnginesRegistered, RemoteError
from ipcluster.reply import Failure, text_of_date, value_of

ENTRIES_MIN = 256  # how many requests are remembered before answered ones are looked for
TOGETHER = 256  # how many tasks of a map are handed to the library at a time
UNFETCHED_MAX = 4096  # how many answered requests are remembered whose results nobody has fetched


class Requests:
    """What views and results use of their client.

    Args:
        connection: the client library's connection.
        history (History): the client's.
    """

    def __init__(self, connection, history):
        self.futures = {}
        self.history = history
        self.dispatcher = Dispatcher()
        self.abort_later = AbortLater(connection)
        self._connection = connection
        self._seen = set()  # ids of engines that somebody chose
        self._lock = threading.Lock()
        self._prune_at = ENTRIES_MIN
        self._noted = False  # something was sent since the oldest were forgotten
        self._pruning = None

    def _ids(self):
        return [engine_id for engine_id, _ in self._connection.engines()]

    def targets_of(self, targets):
        """Turns a request's targets into a list of ids of registered engines: EngineError if one of them was registered and has gone."""
        try:
            return self.chosen(targets)
        except (IndexError, NoEnginesRegistered):
            named = (
                [targets] if isinstance(targets, int) else targets if isinstance(targets, (list, tuple, range)) else []
            )
            gone = self._seen.intersection(named).difference(self._ids())
            if not gone:
                raise
            text = (
                f"engine {min(gone)} is gone{self._why(min(gone))}: client[:] is a view of the engines that are there"
            )
            raise EngineError("EngineError", text, "", {"engine_id": min(gone)}) from None

    def departed(self):
        """The engines that have gone last, as the hub knows them."""
        return self.ask_hub("departed_request")[0]["departed"]

    def stats(self):
        """What the controller has counted, by the names of its metrics."""
        return self.ask_hub("stats_request")[0]["values"]

    def _why(self, engine_id):
        """The hub's sentence on the end of an engine, in parentheses, if the hub is not ipyparallel's and still knows it."""
        try:
            reasons = [gone["reason"] for gone in self.departed() if gone["id"] == engine_id]
        except RemoteError:
            reasons = []
        return f" ({reasons[-1]})" if reasons else ""

    def chosen(self, targets):
        """Turns what a user writes into a list of ids of registered engines."""
        ids = self._ids()
        if not ids:
            raise NoEnginesRegistered()
        if targets is None or (isinstance(targets, str) and targets.lower() == "all"):
            return ids
        if isinstance(targets, slice):
            return ids[targets]
        if isinstance(targets, int):
            if targets < 0 and -targets <= len(ids):
                targets = ids[targets]
            targets = [targets]
        if not isinstance(targets, (list, tuple, range)):
            raise TypeError(f"targets are an int, a slice, a list of ints or 'all', not {targets!r}")
        known = set(ids)
        for target in targets:
            if target not in known:
                raise IndexError(f"there is no engine {target!r}: the registered ones are {ids}")
        self._seen.update(targets)
        return list(targets)

    def submit(self, channel, engine_id, msg_type, content=None, metadata=None, buffers=None):
        try:
            future = self._connection.submit(channel, engine_id, msg_type, content, metadata, buffers or [])
        except ValueError:
            if engine_id >= 0:
                self.targets_of(engine_id)  # raises if the engine has gone meanwhile
            raise
        if channel in (_client.DIRECT, _client.TASK, _client.BROADCAST):
            self._note(future)
        return future

    def submit_tasks(self, msg_type, metadata, requests):
        """Tasks of the same kind, by an iterable of the lists of their buffers. Returns a list of their futures."""
        requests, futures = iter(requests), []
        while some := list(islice(requests, TOGETHER)):
            sent = []
            try:
                self._connection.submit_tasks(msg_type, metadata, some, sent)
            finally:
                self._note_all(sent)
            futures += sent
        return futures

    def submit_each(self, engine_ids, msg_type, content, metadata, buffers):
        """A direct request to each of these engines; large buffers leave once for all of them."""
        return self._to_engines(self._connection.submit_each, engine_ids, msg_type, content, metadata, buffers)

    def broadcast(self, engine_ids, msg_type, content, metadata, buffers):
        return self._to_engines(self._connection.broadcast, engine_ids, msg_type, content, metadata, buffers)

    def _to_engines(self, submit, engine_ids, *request):
        try:
            futures = submit(engine_ids, *request)
        except ValueError:
            self.targets_of(engine_ids)
            raise
        self._note_all(futures)
        return futures

    def ask_hub(self, msg_type, content=None):
        """Asks the hub; returns its answer, and the request."""
        text = None if content is None else json.dumps(content, default=text_of_date)
        future = self.submit(_client.HUB, -1, msg_type, text)
        future.wait()
        value = value_of(future, msg_type)
        if isinstance(value, Failure):
            raise value.error
        return value, future

    def _note(self, future):
        self._note_all([future])

    def _note_all(self, futures):
        msg_ids = [future.msg_id for future in futures]
        self.futures.update(zip(msg_ids, futures))
        self.history.note(msg_ids)
        self._noted = True
        if len(self.futures) >= self._prune_at:
            self._prune()

    def _prune(self):
        """Forgets the oldest requests that were answered and whose results nobody has asked for."""
        with self._lock:
            answered, still_open = [], []
            for msg_id, future in list(self.futures.items()):
                (answered if future.ready() else still_open).append(msg_id)
            for msg_id in answered[:-UNFETCHED_MAX]:
                self.futures.pop(msg_id, None)
            self._prune_at = max(ENTRIES_MIN, 2 * len(self.futures))
            self._noted = False
            # Perhaps nothing more is sent: open requests are looked at again when half of them may have been answered.
            future = self.futures.get(still_open[len(still_open) // 2]) if still_open else None
            watched = future is not None and self._pruning is None and len(self.futures) > UNFETCHED_MAX // 2
            if watched:
                self._pruning = once_answered(future, self._prune_again)
        if watched:
            self.dispatcher.add(self._pruning)

    def _prune_again(self):
        self._pruning = None
        self._prune()

    def prune_what_was_noted(self):
        if self._noted and len(self.futures) > UNFETCHED_MAX:
            self._prune()

    def forget(self, futures):
        for future in futures:
            self.futures.pop(future.msg_id, None)
