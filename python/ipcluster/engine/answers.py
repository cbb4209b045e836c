"""Answers to the requests of Jupyter's protocol, for both shells: one function for each type of message."""

import builtins
import getpass
import json

import _ipcluster_host as host

from ipcluster.engine import comms
from ipcluster.engine.kernel import fail, flush, shell
from ipcluster.engine.messages import pack


class _Input:
    """Context manager: inside, input() and getpass() ask the client that sent the request, or say that it accepts no questions."""

    def __init__(self, allowed):
        self.allowed = allowed

    def __enter__(self):
        self.saved = builtins.input, getpass.getpass
        builtins.input, getpass.getpass = self.input, self.getpass

    def __exit__(self, *exception):
        builtins.input, getpass.getpass = self.saved

    def input(self, prompt="", /):
        return self._ask(str(prompt), False)

    def getpass(self, prompt="Password: ", stream=None):
        return self._ask(prompt, True)

    def _ask(self, prompt, secret):
        if not self.allowed:
            name = "getpass" if secret else "input"
            raise shell().StdinNotImplementedError(f"{name} was called, but this client does not accept questions")
        flush()
        text = host.ask(prompt, secret)
        if text == "\x04":
            raise EOFError
        return text


def _execute(asked):
    code = asked.get("code", "")
    silent = bool(asked.get("silent", False))
    store_history = bool(asked.get("store_history", not silent)) and not silent
    try:
        current = shell()
        if not silent:
            count = current.execution_count
            host.publish("execute_input", pack({"code": code, "execution_count": count}), None, [])
        with _Input(bool(asked.get("allow_stdin", False))):
            return current.run(code, silent, store_history, asked.get("user_expressions") or {})
    except BaseException as exception:
        host.finished()
        return fail(exception, "execute")


def _cursor(asked):
    code = asked.get("code", "")
    cursor = asked.get("cursor_pos")
    return code, len(code) if cursor is None else cursor


def _complete(asked):
    return {"status": "ok", **shell().completions(*_cursor(asked))}


def _inspect(asked):
    code, cursor = _cursor(asked)
    data = shell().inspect(code, cursor, asked.get("detail_level", 0), asked.get("omit_sections", ()))
    return {"status": "ok", "found": data is not None, "data": data or {}, "metadata": {}}


def _history(asked):
    """The history of this engine's session: what was executed since it started."""
    kind = asked.get("hist_access_type")
    entries = shell().history(raw=asked.get("raw", True), output=asked.get("output", False))
    if kind == "range":
        start, stop = asked.get("start") or 0, asked.get("stop")
        entries = [entry for entry in entries if entry[1] >= start and (stop is None or entry[1] < stop)]
        entries = entries if not asked.get("session") else []
    elif kind == "search":
        from fnmatch import fnmatchcase

        pattern = asked.get("pattern") or "*"
        texts = [entry[2] if isinstance(entry[2], str) else entry[2][0] for entry in entries]
        found = dict(enumerate(zip(texts, entries)))
        if asked.get("unique"):
            found = {text: (text, entry) for text, entry in found.values()}
        entries = [entry for text, entry in found.values() if fnmatchcase(text, pattern)]
    elif kind != "tail":
        entries = []
    count = asked.get("n") if kind != "range" else None
    return {"status": "ok", "history": entries if count is None else entries[-count:] if count else []}


def _is_complete(asked):
    status, indent = shell().check_complete(asked.get("code", ""))
    return {"status": status, "indent": indent} if status == "incomplete" else {"status": status}


_ANSWERS = {
    "execute_request": _execute,
    "complete_request": _complete,
    "inspect_request": _inspect,
    "history_request": _history,
    "is_complete_request": _is_complete,
    "comm_info_request": comms.info,
}


def answer(msg_type, content, buffers):
    """`content` is JSON bytes. Returns the reply's content as JSON bytes, or None if the message has no reply."""
    asked = json.loads(content)
    if msg_type in ("comm_open", "comm_msg", "comm_close"):
        return comms.receive(msg_type, asked, buffers)
    reply = _ANSWERS[msg_type](asked)
    return reply if isinstance(reply, bytes) else pack(reply)
