"""Descriptions of exceptions: the content of error replies, and of published errors."""

import os
import traceback

import _ipcluster_host as host

from ipcluster.engine import lacking
from ipcluster.engine.messages import pack

_OURS = os.path.dirname(os.path.abspath(__file__))
_CANNING = tuple(os.path.join(os.path.dirname(_OURS), name) for name in ("bytecode.py", "canned.py", "canning.py"))
TRACEBACK_LINES = 400


def text_of(exception):
    """str(exception), whatever its __str__ does."""
    try:
        return str(exception)
    except BaseException as error:
        return f"<the text of the exception cannot be had: {type(error).__name__}>"


def user_traceback(exception):
    """The traceback from the first frame of the user's code. If there is none: all of it, or nothing for an error whose text says what to do."""
    trace = exception.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if not (name.startswith(_OURS) or name in _CANNING):
            return trace
        trace = trace.tb_next
    return None if type(exception).__module__ == "ipcluster.error" else exception.__traceback__


def _lines(exception, shell):
    trace = user_traceback(exception)
    try:
        if shell is not None:
            return shell.format_exception(exception, trace)
        lines = traceback.format_exception(type(exception), exception, trace)
    except BaseException:
        lines = [f"{type(exception).__name__}: {text_of(exception)}"]
    return "".join(lines).splitlines()


def content_of(exception, method, lines):
    uuid, number = host.engine()
    if len(lines) > TRACEBACK_LINES:  # a deep recursion
        middle = len(lines) - TRACEBACK_LINES
        lines = lines[: TRACEBACK_LINES // 2] + [f"  ... {middle} lines ..."] + lines[-TRACEBACK_LINES // 2 :]
    return {
        "status": "error",
        "ename": type(exception).__name__,
        "evalue": text_of(exception) + lacking.hint(exception),
        "traceback": lines,
        "engine_info": {"engine_uuid": uuid, "engine_id": number, "method": method},
    }


def describe(exception, method, shell):
    return pack(content_of(exception, method, _lines(exception, shell)))
