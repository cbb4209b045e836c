"""What the kernel plugin calls, always from the engine's main thread: one function for each operation.

IPython is imported when code is executed or completed for the first time, or asks for it. Functions that are applied do not need it.
"""

import builtins
import os
import signal  # for the plugin's interrupts: later a signal.py in the working folder could be taken for it
import sys
from importlib import import_module

import _ipcluster_host as host

from ipcluster.canning import serialize, unpack_apply

import __main__

namespace = __main__.__dict__
_bound = {}  # integers from the engine (mpi_rank), which survive a clear
_shell = None
_initial_names = frozenset(namespace)

# These are for the engine, and not for programs that user code starts. The engine has taken them from its environment;
# this copy still has them.
for _variable in ("IPCLUSTER_SUPERVISOR", "IPCLUSTER_ENGINE_WATCHER", "IPCLUSTER_PYTHON"):
    os.environ.pop(_variable, None)

sys.argv = [""]
if sys.stdin is not None:
    sys.stdin.reconfigure(encoding="utf-8", errors="backslashreplace")
for _stream in (sys.stdout, sys.stderr):
    if _stream is not None:
        # A line is one write, also if $PYTHONUNBUFFERED is set: so output is not published in parts of lines.
        _stream.reconfigure(encoding="utf-8", errors="backslashreplace", line_buffering=True, write_through=False)


def apply(buffers):
    """Calls an apply_request's function. Returns the result's buffers as a list, or the error's description as JSON bytes."""
    try:
        f, args, kwargs = unpack_apply(buffers, namespace)
        return serialize(f(*args, **kwargs))
    except BaseException as exception:
        host.finished()
        return fail(exception, "apply")


def fail(exception, method):
    """Describes an exception of user code and publishes it."""
    content = describe(exception, method)
    host.publish("error", content, None, [])
    return content


def describe(exception, method):
    """An error reply's content, as JSON bytes."""
    return own("failures").describe(exception, method.removesuffix("_request"), _shell)


def flush():
    """Writes what was printed so far to the file descriptors."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # user code may have put anything there, or closed it
            pass


class Importing:
    """Context manager: inside, interrupts wait, because one in the middle of an import would leave half a module for ever. And a json.py in the
    working folder is not taken for Python's: it is for the user's code."""

    def __enter__(self):
        host.hold_interrupts(True)
        self._apart = sys.path[:1] == [""]
        if self._apart:
            del sys.path[0]

    def __exit__(self, *exception):
        if self._apart:
            sys.path.insert(0, "")
        host.hold_interrupts(False)


def own(name):
    """The module of ipcluster.engine with this name."""
    name = f"ipcluster.engine.{name}"
    if name not in sys.modules:
        with Importing():
            return import_module(name)
    return sys.modules[name]


def shell():
    """IPython's shell, made when it is first needed; a plain one if IPython is not installed."""
    global _shell
    if _shell is None:
        with Importing():
            try:
                from ipcluster.engine.ipython import make_shell
            except ImportError as error:
                if not (error.name or "").startswith(("IPython", "traitlets")):
                    host.log(f"IPython cannot be used, so the engine uses plain Python: {error}")
                from ipcluster.engine.plain import make_shell
            _shell = make_shell(__main__)
    return _shell


def get_ipython():
    """The shell, for functions that were not typed in it."""
    return shell()


builtins.get_ipython = get_ipython


class _Watch:
    """The first of Python's finders: code that looks for ipyparallel's engine or ipykernel's kernel finds ours."""

    names = frozenset(
        ("ipyparallel", "ipyparallel.datapub", "ipyparallel.engine", "ipyparallel.engine.datapub", "ipyparallel.error")
        + ("ipyparallel.serialize", "ipyparallel.serialize.canning")
        + ("ipykernel.connect", "ipykernel.kernelbase", "ipykernel.zmqshell", "comm")
    )

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name not in cls.names:
            return None
        from ipcluster.engine import adopt

        return adopt.find_spec(name, path, target, cls)


sys.meta_path.insert(0, _Watch)
if not sys.flags.safe_path:
    sys.path.insert(0, "")  # as in an interactive Python


def answer(msg_type, content, buffers):
    """Answers any other request. Returns the reply's content as JSON bytes, or None if it has no reply."""
    return own("answers").answer(msg_type, content, buffers)


def info():
    """The answer to a kernel_info_request, as JSON bytes."""
    return own("about").info()


def clear():
    """Empties the user's namespace."""
    if _shell is not None:
        _shell.reset(False)
    else:
        for name in set(namespace) - _initial_names:
            del namespace[name]
    namespace.update(_bound)


def start(profile_dir, passed):
    """Runs what a profile has for the start of every shell. `passed`: the settings of IPython's classes, as JSON text."""
    own("startup").start(profile_dir, passed)


def run_file(path):
    own("startup").run_file(path)


def run(code):
    """Runs statements outside of any request. Code that is not Python goes to IPython, if that is installed."""
    try:
        compiled = compile(code, "<engine start-up>", "exec")
    except SyntaxError:
        run_cell = getattr(shell(), "run_cell", None)
        if run_cell is None:
            raise
        run_cell(code, store_history=False, silent=True).raise_error()
    else:
        exec(compiled, namespace)


def integer(expression):
    return int(eval(compile(expression, "<engine start-up>", "eval"), namespace))


def bind(name, value):
    namespace[name] = _bound[name] = value
