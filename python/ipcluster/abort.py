"""Taking back requests that have not begun: the one way of abort() and cancel()."""

import json
import logging
import threading
import time
from concurrent.futures import Future, wait

from ipcluster import _client, error as errors

ANSWER_SECONDS = 10  # that a scheduler or an engine may take to say what it has stopped
IDS_MAX = 1000  # in one request: other requests should not wait long for its answer


class Answer(Future):
    """A Future that has get() and ready(), too, as an AsyncResult has."""

    get = Future.result
    ready = Future.done

    def wait(self, timeout=None):
        return bool(wait([self], timeout).done)


def _ask(connection, channel, engine_id, msg_ids):
    """Sends requests to abort, and returns the futures of their answers: none if the engine is not there, or the scheduler is ipyparallel's."""
    contents = [json.dumps({"msg_ids": msg_ids[start : start + IDS_MAX]}) for start in range(0, len(msg_ids), IDS_MAX)]
    try:
        return [connection.submit(channel, engine_id, "abort_request", content, None, []) for content in contents]
    except ValueError:
        return []


def _are_msg_ids(value):
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _read(text):
    """An answer. It has lists of msg_ids, "aborted" and "noted", and "handed_out", a list for each engine; ipyparallel's engines send none."""
    answer = json.loads(text)
    by_engine = answer.get("handed_out", {})
    lists = [answer.get("aborted", []), answer.get("noted", [])]
    if not isinstance(by_engine, dict) or not all(map(_are_msg_ids, [*lists, *by_engine.values()])):
        raise errors.KernelError(f"an answer to a request to abort does not name msg_ids: {text:.200}")
    return answer


def _answers(asked, deadline):
    _client.wait_all(asked, max(deadline - time.monotonic(), 0))
    return [_read(future.content) for future in asked if future.ready() and future.status == _client.OK]


def abort(connection, futures):
    """Stops what has not begun, wherever it waits; returns the msg_ids of what will not run. The scheduler or engine that had a request answers
    it, so its future is resolved."""
    deadline = time.monotonic() + ANSWER_SECONDS
    waiting = {future.msg_id: future for future in futures if not future.ready()}
    tasks = [msg_id for msg_id, future in waiting.items() if future.channel == _client.TASK]
    at_engines = {}
    for msg_id, future in waiting.items():
        if future.channel in (_client.DIRECT, _client.BROADCAST):
            at_engines.setdefault(future.target, []).append(msg_id)
    asked = _ask(connection, _client.TASK, -1, tasks)
    engine_ids = {uuid: engine_id for engine_id, uuid in connection.engines()} if tasks else {}
    for answer in _answers(asked, deadline):
        for uuid, msg_ids in answer.get("handed_out", {}).items():
            at_engines.setdefault(engine_ids.get(uuid), []).extend(msg_ids)
    if tasks and not asked:  # any engine may have them, or get them
        for engine_id in engine_ids.values():
            at_engines.setdefault(engine_id, []).extend(tasks)
    at_engines.pop(None, None)  # engines that have gone
    asked_engines = [future for each in at_engines.items() for future in _ask(connection, _client.CONTROL, *each)]
    ending = set()  # their replies come on other connections than these answers
    for answer in _answers(asked_engines, deadline):
        ending.update(answer.get("aborted", ()))
        # A request that an engine does not have is on its way to it, or answered, unless a scheduler that was not asked
        # has it.
        ending.update(set(answer.get("noted", ())).difference(() if asked else tasks))
    _client.wait_all([waiting[msg_id] for msg_id in ending if msg_id in waiting], max(deadline - time.monotonic(), 0))
    return [msg_id for msg_id, future in waiting.items() if future.ready() and future.status == _client.ABORTED]


class AbortLater:
    """Takes back requests in a thread of its own, for callers that must not wait. Requests that are named meanwhile are taken back together."""

    def __init__(self, connection):
        self._connection = connection
        self._lock = threading.Lock()
        self._named = []
        self._running = False

    def add(self, futures):
        """Names requests."""
        with self._lock:
            self._named += futures
            if not self._running:
                threading.Thread(target=self._run, name="ipcluster-abort", daemon=True).start()
                self._running = True

    def _run(self):
        while True:
            with self._lock:
                futures, self._named = self._named, []
                self._running = bool(futures)
            if not futures:
                return
            try:
                abort(self._connection, futures)
            except errors.ConnectError:  # the connection ends, and nothing is open any more
                pass
            except Exception:  # of an answer that is none
                logging.getLogger("ipcluster").exception("%d requests may not have been aborted", len(futures))
