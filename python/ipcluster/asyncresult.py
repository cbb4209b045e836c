"""Results that may not be there yet."""

import asyncio
import json
import threading
import time
from collections.abc import Iterable
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, Future
from contextlib import suppress
from datetime import datetime, timezone

from ipcluster import _client, error as errors
from ipcluster.canning import deserialize

_futures_lock = threading.Lock()

OUTPUT_SLICE = 0.05  # seconds between two looks at several requests' output
OUTPUT_WAIT = 10  # seconds that asking for a finished request's output waits for the rest of it
OUTPUT_KEYS = frozenset({"execute_input", "execute_result", "error", "stdout", "stderr", "outputs", "data"})


def read_date(value):
    """A datetime with its time zone, of seconds since the epoch or of a message's text; None for nothing."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, timezone.utc)
    if not value:
        return None
    parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


class Metadata(dict):
    """What is known of one request; members are also attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a request's metadata has no {name!r}, only {sorted(self)}") from None


METADATA_KEYS = (
    "msg_id", "submitted", "started", "completed", "received", "engine_uuid", "engine_id", "follow", "after", "status",
    "execute_input", "execute_result", "error", "stdout", "stderr", "outputs", "data",
)  # fmt: skip


def _as_shown(text):
    """What a terminal shows of a text: a carriage return begins the line again."""
    if "\r" not in text:
        return text
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))


def _add_output(metadata, streams, msg_type, content, buffers):
    content = json.loads(content)
    if msg_type == "stream":
        streams.setdefault(content["name"], []).append(content["text"])
    elif msg_type == "display_data":
        metadata["outputs"].append(content)
    elif msg_type == "execute_result":
        metadata["execute_result"] = content
    elif msg_type == "execute_input":
        metadata["execute_input"] = content.get("code")
    elif msg_type == "error":
        metadata["error"] = errors.from_content(content)
    elif msg_type == "data_message" and buffers:
        metadata["data"].update(deserialize(buffers)[0])


def metadata_of(future):
    """The metadata of one request, as far as they are known."""
    metadata = Metadata(dict.fromkeys(METADATA_KEYS))
    metadata.update(msg_id=future.msg_id, submitted=read_date(future.submitted), stdout="", stderr="", outputs=[], data={}, follow=[], after=[])
    streams = {}  # texts as they came: a line may be in several
    for msg_type, content, _, buffers in future.outputs():
        _add_output(metadata, streams, msg_type, content, buffers)
    metadata.update((name, _as_shown("".join(texts))) for name, texts in streams.items())
    if future.ready():
        reply = json.loads(future.metadata)
        status = ("ok", "error", "aborted")[future.status]
        metadata.update(
            received=read_date(future.received), started=read_date(reply.get("started")),
            completed=read_date(json.loads(future.header).get("date")), engine_uuid=future.engine_uuid or None,
            engine_id=future.engine_id, follow=reply.get("follow", []), after=reply.get("after", []), status=status,
        )  # fmt: skip
    return metadata


_REPRS = {"_repr_html_": "text/html", "_repr_svg_": "image/svg+xml", "_repr_png_": "image/png", "_repr_jpeg_": "image/jpeg",
          "_repr_latex_": "text/latex", "_repr_json_": "application/json", "_repr_javascript_": "application/javascript",
          "_repr_markdown_": "text/markdown"}  # fmt: skip


class ExecuteReply:
    """What executing code on one engine gave."""

    def __init__(self, future):
        self._future = future
        self.content = json.loads(future.content)
        self.execution_count = self.content.get("execution_count")

    @property
    def metadata(self):
        AsyncResult(None, self._future).wait_for_output(OUTPUT_WAIT)  # it may be a moment behind the reply
        return metadata_of(self._future)

    @property
    def execute_result(self):
        return self.metadata["execute_result"]

    def __getattr__(self, name):
        """The metadata's members; and _repr_html_() and its like, where the result has such a form."""
        if name in _REPRS:
            return lambda: self._shown_as(_REPRS[name])
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.metadata, name)

    def __getitem__(self, key):
        return self.metadata[key]

    def __eq__(self, other):
        return isinstance(other, ExecuteReply) and self._future.msg_id == other._future.msg_id

    def __hash__(self):
        return hash(self._future.msg_id)

    def _shown_as(self, kind):
        """The data of this kind, with its metadata where it has some."""
        data = self._data().get(kind)
        metadata = (self.execute_result or {}).get("metadata", {}).get(kind)
        return data if metadata is None else (data, metadata)

    def _data(self):
        result = self.execute_result
        return result["data"] if result else {}

    def _text(self):
        return self._data().get("text/plain", "")

    def __repr__(self):
        text = self._text()
        return f"<ExecuteReply[{self.execution_count}]: {text if len(text) <= 64 else text[:61] + '...'}>"

    def _repr_pretty_(self, printer, cycle):
        text = self._text()
        if not text:
            printer.text(repr(self))
            return
        metadata = self.metadata
        head = f"Out[{metadata['engine_id']}:{self.execution_count}]: "
        printer.text(head + ("\n" + text if "\n" in text else text))

    def _repr_mimebundle_(self, include=None, exclude=None):
        result = self.execute_result
        if not result:
            return None
        # The plain text is what _repr_pretty_ makes of it, with the engine's number.
        rich = {kind: data for kind, data in result["data"].items() if kind != "text/plain"}
        return rich, result.get("metadata", {})


def value_of(future, fname):
    """One future's value; exceptions are returned."""
    status = future.status
    if status == _client.OK:
        if future.msg_type == "apply_reply":
            return deserialize(future.buffers())[0]
        if future.msg_type == "execute_reply":
            return ExecuteReply(future)
        return json.loads(future.content)
    if status == _client.ABORTED:
        return errors.TaskAborted(future.msg_id)
    error = errors.from_content(json.loads(future.content), fname)
    if future.engine_id is not None:
        error.engine_info["engine_id"] = future.engine_id
    return error


class AsyncResult(Future):
    """The results of one call: of one engine's, or of several in the order of the targets.

    It is a concurrent.futures.Future for those who wait for such. What these look at is made when they first do.
    """

    _unset = object()

    def __init__(self, client, children, fname="unknown", targets=None, return_exceptions=False, owner=True):
        self._client = client
        self.owner = owner  # once the result was got, the client forgets it
        self._single = not isinstance(children, list)
        self._children = [children] if self._single else children
        self._fname = fname
        self._targets = targets
        self._return_exceptions = return_exceptions
        self._values = None
        self._known = {}  # values that were looked at before all had come, by future
        self._outcome = self._unset
        self._streamer = None

    # What concurrent.futures.wait() and as_completed() look at, each with the condition locked

    def __getattr__(self, name):
        if name in ("_condition", "_waiters"):
            with _futures_lock:
                if "_condition" not in self.__dict__:
                    self.__dict__.update(_condition=threading.Condition(), _waiters=[])
                    self._client._when_done(self, AsyncResult._tell_waiters)
            return self.__dict__[name]
        if name not in METADATA_KEYS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self[name]

    @property
    def _state(self):
        return "FINISHED" if self.ready() else "RUNNING"

    def _tell_waiters(self):
        with self._condition:
            for waiter in self._waiters:
                if self.exception() is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)

    def _is_a_promise_elsewhere(self, *_):
        raise RuntimeError("the engines set what this resolves to")

    set_result = set_exception = set_running_or_notify_cancel = _is_a_promise_elsewhere

    # Waiting

    @property
    def msg_ids(self):
        return [child.msg_id for child in self._children]

    def __len__(self):
        return len(self._children)

    def __repr__(self):
        state = ":finished" if self.ready() else ""
        return f"<{type(self).__name__}: {self._fname}{state}>"

    def ready(self):
        return self._values is not None or _client.count_ready(self._children) == len(self._children)

    done = ready

    def running(self):
        return not self.ready()

    def cancelled(self):
        return False

    def cancel(self):
        return False

    def split(self):
        """An AsyncResult for each request; join() is its inverse."""
        if len(self) == 1:
            return (self,)
        targets = [None] * len(self) if self._targets is None else self._targets
        flat = not isinstance(self, AsyncMapResult)
        return tuple(
            AsyncResult(self._client, child if flat else [child], self._fname, [target], self._return_exceptions)
            for child, target in zip(self._children, targets)
        )

    @classmethod
    def join(cls, *results):
        """One AsyncResult of the requests of several."""
        if not results:
            raise ValueError("join() needs results")
        if len(results) == 1:
            return results[0]
        first = results[0]
        children = [child for result in results for child in result._children]
        targets = [target for result in results for target in (result._targets or [None] * len(result))]
        return AsyncResult(first._client, children, first._fname, targets, first._return_exceptions)

    def _wait_for_some(self, timeout, return_when):
        """As concurrent.futures.wait(): the AsyncResults that have finished, and those that have not, of split()."""
        if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
            raise ValueError(f"return_when is ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION, not {return_when!r}")
        parts = self.split()
        completions = _client.Completions()
        for part in parts:
            completions.watch(part._children[0], part)
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        done = set()
        while len(done) < len(parts):
            try:
                part = completions.get(None if deadline is None else max(deadline - time.monotonic(), 0))
            except TimeoutError:
                break
            done.add(part)
            if return_when == FIRST_COMPLETED or (return_when == FIRST_EXCEPTION and part.exception() is not None):
                break
        return done, set(parts) - done

    def wait(self, timeout=-1, return_when=None):
        """Waits until all results are there; returns whether they are. A negative time-out or None is none. With `return_when`, as for
        concurrent.futures.wait(), returns two sets of AsyncResults: those that have finished, and the others."""
        if return_when is not None:
            return self._wait_for_some(timeout, return_when)
        if self._values is not None:
            return True
        if self._streamer is None:
            return _client.wait_all(self._children, timeout)
        return self._stream_until(self.ready, timeout)

    def _stream_until(self, condition, timeout):
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        while True:
            finished = condition()
            self._streamer.show_new()
            if finished or (deadline is not None and time.monotonic() >= deadline):
                return finished
            waiting = [child for child in self._children if not child.output_complete() or not child.ready()]
            if len(waiting) == 1:
                waiting[0].wait_output(self._streamer.seen(waiting[0]), OUTPUT_SLICE)
            else:
                time.sleep(OUTPUT_SLICE / 5)

    def wait_for_output(self, timeout=-1):
        """Waits until the engines have said that no more output comes; returns whether they have."""
        if self._streamer is not None:
            return self._stream_until(lambda: all(child.output_complete() for child in self._children), timeout)
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        for child in self._children:
            seen = 0
            while not child.output_complete():
                left = None if deadline is None else max(deadline - time.monotonic(), 0)
                if not child.wait_output(seen, left):
                    return False
                seen += len(child.outputs(seen))
        return True

    def wait_for_send(self, timeout=-1):
        """Memory that was sent is kept until it is sent: there is nothing to wait for before an object is released."""
        return True

    sent = True

    # Results

    def _resolve(self):
        if self._values is None:
            known, fname = self._known, self._fname
            self._values = [known[child] if child in known else value_of(child, fname) for child in self._children]
            self._known = {}
            if self.owner:
                self._client._forget(self._children)
        return self._values

    def _value(self, child):
        """A child's value, which is the same object each time; exceptions are returned."""
        known = self._known  # another thread may get the result meanwhile
        if child not in known:
            known[child] = value_of(child, self._fname)
            if self.owner:
                self._client._forget([child])
        return known[child]

    def _reconstruct(self, values):
        return values[0] if self._single else values

    def _settle(self):
        """(result, None) or (None, exception), once everything is there."""
        if self._outcome is self._unset:
            values = self._resolve()
            try:
                if self._single and isinstance(values[0], errors.KernelError):
                    raise values[0]
                if not self._single and not self._return_exceptions:
                    errors.collect(values, self._fname)
                self._outcome = self._reconstruct(values), None
            except errors.KernelError as error:
                self._outcome = None, error
        return self._outcome

    def get(self, timeout=None, return_exceptions=None, return_when=None):
        """The result; raises TimeoutError where it is not there in time, and the remote error where there was one: the first that comes, with
        return_when=FIRST_EXCEPTION."""
        if return_when == FIRST_EXCEPTION and not self.ready():
            done, others = self._wait_for_some(timeout, return_when)
            failed = [part for part in done if part.exception() is not None]
            if failed and others:
                return failed[0].get(return_exceptions=return_exceptions)
        if not self.wait(timeout):
            raise TimeoutError(f"{self._fname}: the result is not ready")
        result, error = self._settle()
        if error is None:
            return result
        if self._return_exceptions if return_exceptions is None else return_exceptions:
            return self._reconstruct(self._values)
        raise error

    result = get

    @property
    def r(self):
        return self.get()

    def exception(self, timeout=None):
        if not self.wait(timeout):
            raise TimeoutError(f"{self._fname}: the result is not ready")
        return self._settle()[1]

    def successful(self):
        if not self.ready():
            raise AssertionError("the result is not ready")
        return self._settle()[1] is None

    def get_dict(self, timeout=-1):
        """The results by engine id."""
        results = self.get(timeout)
        results = [results] if self._single else results
        by_engine = {}
        for child, result in zip(self._children, results):
            if child.engine_id in by_engine:
                raise ValueError(f"several of these ran on engine {child.engine_id}: a dict has one result of each")
            by_engine[child.engine_id] = result
        return by_engine

    @property
    def result_dict(self):
        return self.get_dict()

    def __iter__(self):
        if self._single:
            raise TypeError("a single result is not iterable: use get()")
        for index, child in enumerate(self._children):
            child.wait()
            yield self._checked(self._value(child) if self._values is None else self._values[index])

    def _checked(self, value):
        if isinstance(value, errors.KernelError) and not self._return_exceptions:
            raise value
        return value

    # Metadata

    @property
    def metadata(self):
        all_metadata = [metadata_of(child) for child in self._children]
        return all_metadata[0] if self._single else all_metadata

    def __getitem__(self, key):
        """Results by number or slice, metadata by name."""
        if isinstance(key, str):
            if key in OUTPUT_KEYS and self.ready():
                self.wait_for_output(OUTPUT_WAIT)  # it may be a moment behind the reply
            values = [metadata_of(child)[key] for child in self._children]
            return values[0] if self._single else values
        if isinstance(key, (int, slice)):
            if not self.ready():
                raise TimeoutError(f"{self._fname}: the result is not ready")
            return self.get()[key]
        raise TypeError(f"an index, a slice or the name of a metadata member, not {key!r}")

    def __dir__(self):
        return [*super().__dir__(), *METADATA_KEYS]

    def timedelta(self, start, end, start_key=min, end_key=max):
        """Seconds between two times or lists of times, of which the keys choose one."""
        start = start_key(start) if isinstance(start, Iterable) else start
        end = end_key(end) if isinstance(end, Iterable) else end
        return (end - start).total_seconds()

    @property
    def progress(self):
        """How many of the requests have been answered."""
        return len(self) if self._values is not None else _client.count_ready(self._children)

    @property
    def elapsed(self):
        """Seconds since this was submitted; the wall time once it has finished."""
        if self.ready():
            return self.wall_time
        return time.time() - min(child.submitted for child in self._children)

    def _ready_or_raise(self):
        if not self.ready():
            raise TimeoutError(f"{self._fname}: the result is not ready")

    @property
    def wall_time(self):
        """Seconds from the first submission to the last reply."""
        self._ready_or_raise()
        return max(child.received for child in self._children) - min(child.submitted for child in self._children)

    @property
    def serial_time(self):
        """The seconds that all engines have worked, added up."""
        self._ready_or_raise()
        seconds = 0.0
        for child in self._children:
            metadata = metadata_of(child)
            if metadata["started"] and metadata["completed"]:
                seconds += (metadata["completed"] - metadata["started"]).total_seconds()
        return seconds

    # Output

    def stream_output(self):
        """Context manager: what the engines print is shown as it comes, while this waits."""
        from ipcluster.shown import streaming

        return streaming(self)

    def display_outputs(self, groupby="type", result_only=False):
        """Shows what the engines have printed and displayed, grouped by "type", "engine" or "order"."""
        from ipcluster.shown import display_outputs

        self._ready_or_raise()
        display_outputs(self, groupby, result_only)

    def wait_interactive(self, interval=0.1, timeout=-1, widget=None, return_when=ALL_COMPLETED):
        """Waits, showing how many requests have been answered."""
        from ipcluster.shown import wait_with_progress

        wait_with_progress(self, interval, timeout, return_when)

    def abort(self):
        """Aborts what has not started to run."""
        if self.ready():
            raise AssertionError("this has finished and cannot be aborted")
        return self._client.abort(self.msg_ids, targets="all" if self._targets is None else self._targets, block=True)

    # As a future

    def add_done_callback(self, fn):
        """Calls `fn(self)` in a thread of the client's once everything is there; at once where it is."""
        if self.ready():
            fn(self)
        else:
            self._client._when_done(self, fn)

    def _first_open(self):
        """A child that has not resolved, the last one first; None where all have."""
        for child in reversed(self._children):
            if not child.ready():
                return child
        return None

    def __await__(self):
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def tell(_):
            with suppress(RuntimeError):  # of a loop that was closed: nobody waits any more
                loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))

        self.add_done_callback(tell)
        yield from done
        return self.get()


class AsyncHubResult(AsyncResult):
    """Results that are fetched from the hub: of other clients' requests, and of our own that were forgotten here."""


class AsyncMapResult(AsyncResult):
    """The results of a map: one list, made of the parts that were sent out. It can be iterated while parts are still coming:
    in order, or with ordered=False as they come."""

    def __init__(self, client, children, mapping, fname="map", ordered=True, return_exceptions=False, targets=None):
        super().__init__(client, children, fname, targets, return_exceptions)
        self._mapping = mapping
        self.ordered = ordered

    def _reconstruct(self, values):
        if any(isinstance(value, errors.KernelError) for value in values):
            flat = []
            for value in values:
                flat += [value] if isinstance(value, errors.KernelError) else value
            return flat
        return self._mapping.join(values)

    def _members(self, child):
        value = self._checked(self._value(child))
        return value if isinstance(value, list) else [value]

    def __iter__(self):
        if self.ready():
            yield from self.get()
        elif self.ordered:
            for child in self._children:
                child.wait()
                yield from self._members(child)
        else:
            completions = _client.Completions()
            for child in self._children:
                completions.watch(child, child)
            for _ in self._children:
                yield from self._members(completions.get())
