"""What the kernel plugin calls, always from the engine's main thread: one function an operation.

IPython is imported when code is first executed, completed or asks for it; applied functions do without.
"""

import builtins
import sys

import _ipcluster_host as host

from ipcluster.canning import serialize, unpack_apply

import __main__

namespace = __main__.__dict__
_bound = {}  # integers of the engine's (mpi_rank), which survive a clear
_shell = None
_initial_names = frozenset(namespace)

sys.argv = [""]
for _stream in (sys.stdout, sys.stderr):
    if _stream is not None:
        _stream.reconfigure(line_buffering=True)


def apply(buffers):
    """Calls an apply_request's function. Returns the result's buffers as a list, or the error's description as JSON bytes."""
    try:
        f, args, kwargs = unpack_apply(buffers, namespace)
        return serialize(f(*args, **kwargs))
    except BaseException as exception:
        host.finished()
        return _fail(exception, "apply")


def _fail(exception, method):
    """Describes an exception of user code and publishes it."""
    content = describe(exception, method)
    host.publish("error", content, None, [])
    return content


def describe(exception, method):
    """An error reply's content, as JSON bytes."""
    from ipcluster.engine import failures

    return failures.describe(exception, method, _shell)


def flush():
    """Writes what is printed so far to the file descriptors."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # user code may have put anything there, or closed it
            pass


def shell():
    """IPython's shell, made when it is first needed; a plain one where IPython is not installed."""
    global _shell
    if _shell is None:
        try:
            from ipcluster.engine.ipython import make_shell
        except ImportError as error:
            if not (error.name or "").startswith(("IPython", "traitlets")):
                host.log(f"IPython cannot be used, plain Python is: {error}")
            from ipcluster.engine.plain import make_shell
        _shell = make_shell(__main__)
    return _shell


def get_ipython():
    """The shell, for functions that were not typed in it."""
    return shell()


builtins.get_ipython = get_ipython


def execute(request):
    """Runs an execute_request's content (JSON bytes or text). Returns the reply's content as JSON bytes."""
    import json

    from ipcluster.engine.messages import pack

    asked = json.loads(request)
    code = asked.get("code", "")
    silent = bool(asked.get("silent", False))
    store_history = bool(asked.get("store_history", not silent)) and not silent
    try:
        current = shell()
        if not silent:
            count = current.execution_count
            host.publish("execute_input", pack({"code": code, "execution_count": count}), None, [])
        reply = current.run(code, silent, store_history, asked.get("user_expressions") or {})
    except BaseException as exception:
        host.finished()
        return _fail(exception, "execute")
    return pack(reply)


def complete(request):
    """Completes a complete_request's content (JSON text). Returns the reply's content as JSON bytes."""
    import json

    from ipcluster.engine.messages import pack

    asked = json.loads(request)
    code = asked.get("code", "")
    cursor = asked.get("cursor_pos")
    cursor = len(code) if cursor is None else cursor
    start, end, matches = shell().completions(code, cursor)
    return pack({"status": "ok", "matches": matches, "cursor_start": start, "cursor_end": end, "metadata": {}})


def clear():
    """Empties the user's namespace."""
    if _shell is not None:
        _shell.reset(False)
    else:
        for name in set(namespace) - _initial_names:
            del namespace[name]
    namespace.update(_bound)


def run(code):
    """Runs statements outside of any request."""
    exec(compile(code, "<engine start-up>", "exec"), namespace)


def integer(expression):
    return int(eval(compile(expression, "<engine start-up>", "eval"), namespace))


def bind(name, value):
    namespace[name] = _bound[name] = value
