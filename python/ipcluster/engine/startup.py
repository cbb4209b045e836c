"""An engine's start, as in IPython: the files of the profile's startup folder, its ipython_config.py, and settings of IPython's classes. If
there are none, nothing of IPython is imported."""

import faulthandler
import glob
import json
import os
import sys
import traceback

import _ipcluster_host as host

from ipcluster.engine import lacking
from ipcluster.engine.kernel import Importing, namespace, run, shell

_profile_dir = ""
_passed = {}  # {"Class": {"trait": value}}


def _has_ipython():
    from importlib.util import find_spec

    return find_spec("IPython") is not None


def config():
    """A configuration for the shell: IPython's files, and settings of its classes."""
    with Importing():
        from traitlets.config import Config
        from traitlets.config.loader import DeferredConfigString, JSONFileConfigLoader, PyFileConfigLoader

    found = Config()
    for loader, name in ((PyFileConfigLoader, "ipython_config.py"), (JSONFileConfigLoader, "ipython_config.json")):
        path = os.path.join(_profile_dir, name)
        if not os.path.exists(path):
            continue
        try:
            _check(path)
            found.merge(loader(name, path=_profile_dir).load_config())
        except Exception as error:
            host.log(f"{path} is not read: {type(error).__name__}: {error}")
    for cls, traits in _passed.items():
        for name, value in traits.items():
            found[cls][name] = DeferredConfigString(value) if isinstance(value, str) else value
    # Settings of ipykernel's classes are for this shell, too.
    if "ZMQInteractiveShell" in found:
        found.InteractiveShell.merge(found.ZMQInteractiveShell)
    if "IPKernelApp" in found:
        found.InteractiveShellApp.merge(found.IPKernelApp)
    return found


def profile_dir():
    """The profile's folder, in the form that IPython's shell takes; None if there is none: then IPython takes its default."""
    if not os.path.isdir(_profile_dir):
        return None
    from IPython.core.profiledir import ProfileDir

    return ProfileDir.find_profile_dir(_profile_dir)


def _attempt(what, function, *arguments):
    try:
        function(*arguments)
    except BaseException:
        host.log(f"{what} failed at the start; the engine goes on")
        traceback.print_exc()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()


def _check(path):
    """Raises OSError if another user could change a file that IPython will open by its name."""
    os.close(host.open(path))


def run_file(path):
    """Runs a file in the user's namespace, with its name in __file__ while it runs."""
    if path.endswith((".ipy", ".ipynb")):
        _check(path)
        shell().safe_execfile_ipy(path, raise_exceptions=True)
        return
    with open(host.open(path), "rb") as file:
        code = compile(file.read(), path, "exec")
    before = namespace.get("__file__")
    namespace["__file__"] = path
    try:
        exec(code, namespace)
    finally:
        if before is None:
            namespace.pop("__file__", None)
        else:
            namespace["__file__"] = before


def _startup_files(app):
    """PYTHONSTARTUP's file, then the files of the site and of the profile; in each folder in the order of their names."""
    python_startup = os.environ.get("PYTHONSTARTUP")
    if python_startup and app.get("exec_PYTHONSTARTUP", True) not in (False, "False", "false", "0"):
        yield python_startup
    folders = ["/etc/ipython", "/usr/local/etc/ipython", os.path.join(sys.prefix, "etc/ipython"), _profile_dir]
    for folder in dict.fromkeys(folders):
        folder = os.path.join(glob.escape(folder), "startup")
        yield from sorted(glob.glob(os.path.join(folder, "*.py")) + glob.glob(os.path.join(folder, "*.ipy")))


def _values(app, name):
    """A list. On a command line one value is a word, and several are a literal."""
    value = app.get(name, [])
    if isinstance(value, str):
        with Importing():
            import ast

        value = ast.literal_eval(value) if value.startswith(("[", "(")) else [value]
    return value


def start(folder, passed):
    global _profile_dir, _passed
    _profile_dir = folder
    # With this, the last words of the engine explain a crash of user code. It comes after Open MPI's initialisation,
    # because Open MPI warns of handlers that were there before its own.
    if not faulthandler.is_enabled():
        faulthandler.enable(2, all_threads=False)
    _passed = json.loads(passed) if passed != "{}" else {}
    has_config = any(os.path.exists(os.path.join(folder, f"ipython_config.{kind}")) for kind in ("py", "json"))
    if _passed and not _has_ipython():
        host.log(f"settings of {', '.join(_passed)} have no effect without IPython: {lacking.command()} installs it")
    app = {}
    if has_config or "InteractiveShellApp" in _passed or "IPKernelApp" in _passed:
        app = dict(config().InteractiveShellApp) if _has_ipython() else {}
    files = list(_startup_files(app))
    if not (files or app) or not _has_ipython():
        return
    for name in _values(app, "extensions"):
        _attempt(f"the extension {name}", lambda name=name: shell().extension_manager.load_extension(name))
    for path in files:
        _attempt(path, run_file, path)
    for line in _values(app, "exec_lines"):
        _attempt("a line of InteractiveShellApp.exec_lines", run, line)
    for path in _values(app, "exec_files"):
        _attempt(path, run_file, os.path.expanduser(path))
