"""What the reply to one request says: its value or what went wrong, its metadata, and the output that came before it."""

import json
import threading
import time
from collections.abc import Mapping
from datetime import datetime, timezone

from ipcluster import _client, error as errors
from ipcluster.canning import deserialize

OUTPUT_WAIT = 10  # seconds that a caller waits for the rest of a finished request's output


def read_date(value):
    """A datetime with its time zone, of seconds since the epoch or of a message's text; None for nothing."""
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, timezone.utc)
    if not value:
        return None
    parsed = datetime.fromisoformat(value.replace("Z", "+00:00"))
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=timezone.utc)


def text_of_date(value):
    """For JSON: a datetime, in this machine's time zone if it has none."""
    if hasattr(value, "astimezone"):
        return (value if value.tzinfo else value.astimezone()).isoformat()
    raise TypeError(f"{value!r} cannot be sent to the hub")


class Metadata(dict):
    """What is known about one request; members are also attributes."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"a request's metadata has no {name!r}, only {sorted(self)}") from None


class ByRequest(Mapping):
    """What is known about requests, by msg_id."""

    def __init__(self, futures, look, wanted):
        self._futures = {msg_id: future for msg_id, future in list(futures.items()) if wanted(future)}
        self._look = look

    def __getitem__(self, msg_id):
        return self._look(self._futures[msg_id])

    def __iter__(self):
        return iter(self._futures)

    def __len__(self):
        return len(self._futures)


METADATA_KEYS = (
    "msg_id", "submitted", "started", "completed", "received", "engine_uuid", "engine_id", "follow", "after", "status",
    "execute_input", "execute_result", "error", "stdout", "stderr", "outputs", "data", "output_missing",
)  # fmt: skip


def as_shown(text):
    """The text as a terminal shows it: a carriage return begins the line again."""
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
    """The metadata of one request, as far as it is known."""
    metadata = Metadata(dict.fromkeys(METADATA_KEYS))
    metadata.update(
        msg_id=future.msg_id,
        submitted=read_date(future.submitted),
        stdout="",
        stderr="",
        outputs=[],
        data={},
        follow=[],
        after=[],
        output_missing=future.output_missing(),
    )
    streams = {}  # texts as they came: a line may be in several
    for msg_type, content, _, buffers in future.outputs():
        _add_output(metadata, streams, msg_type, content, buffers)
    metadata.update((name, as_shown("".join(texts))) for name, texts in streams.items())
    if future.ready():
        reply = json.loads(future.metadata)
        status = ("ok", "error", "aborted")[future.status]
        metadata.update(
            received=read_date(future.received), started=read_date(reply.get("started")),
            completed=read_date(json.loads(future.header).get("date")), engine_uuid=future.engine_uuid or None,
            engine_id=future.engine_id, follow=reply.get("follow", []), after=reply.get("after", []), status=status,
        )  # fmt: skip
    return metadata


def wait_for_output(futures, timeout):
    """Waits for the output of these requests; returns whether all of it has come. It waits for missing output only for a while."""
    deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
    for future in futures:
        seen = 0
        while not future.output_complete():
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not future.wait_output(seen, left):
                return False
            seen += len(future.outputs(seen))
    return all_output_came(futures)


def all_output_came(futures):
    return not any(future.output_missing() for future in futures)


_REPRS = {"_repr_html_": "text/html", "_repr_svg_": "image/svg+xml", "_repr_png_": "image/png", "_repr_jpeg_": "image/jpeg",
          "_repr_latex_": "text/latex", "_repr_json_": "application/json", "_repr_javascript_": "application/javascript",
          "_repr_markdown_": "text/markdown"}  # fmt: skip


class ExecuteReply:
    """The result of code that was executed on one engine."""

    def __init__(self, future):
        self._future = future
        self.content = json.loads(future.content)
        self.execution_count = self.content.get("execution_count")

    @property
    def metadata(self):
        wait_for_output([self._future], OUTPUT_WAIT)  # it may be a moment behind the reply
        return metadata_of(self._future)

    @property
    def execute_result(self):
        return self.metadata["execute_result"]

    def __getattr__(self, name):
        """The metadata's members; and _repr_html_() and the like, if the result has such a form."""
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
        """The data of this kind, with its metadata if it has some."""
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


class Failure:
    """What a request has instead of a value: the exception that it ended with, there or when its result was read here."""

    __slots__ = ("error",)

    def __init__(self, error):
        self.error = error


def value_of(future, fname):
    """One future's value, or a Failure: anything that goes wrong with a result is its request's exception."""
    try:
        return _read(future, fname)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise  # Ctrl-C: it interrupts the caller that waits, and is not a result
        return Failure(error)


def error_or_value(value):
    """A Failure's exception, or the value."""
    return value.error if isinstance(value, Failure) else value


def _read(future, fname):
    status = future.status
    if status == _client.OK:
        if future.msg_type == "apply_reply":
            return deserialize(future.buffers())[0]
        if future.msg_type == "execute_reply":
            return ExecuteReply(future)
        return json.loads(future.content)
    if status == _client.ABORTED:
        why = json.loads(future.content).get("evalue")
        return Failure(errors.TaskAborted(future.msg_id, *([why] if why else [])))
    content = json.loads(future.content)
    # No engine has run it: the client library says what happened, or the scheduler or hub that refused it.
    if content["ename"] in errors.OF_THE_CLIENT and (
        future.msg_type == "error" or not json.loads(future.metadata).get("engine")
    ):
        return Failure(errors.OF_THE_CLIENT[content["ename"]](content["evalue"]))
    error = errors.from_content(content, fname)
    if future.engine_id is not None:
        error.engine_info["engine_id"] = future.engine_id
    return Failure(error)
