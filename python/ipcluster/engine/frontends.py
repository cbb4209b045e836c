"""Jupyter frontends at an engine: bind_kernel() lets consoles and notebooks attach to it while it serves its cluster."""

import json
import os
import subprocess
import warnings

try:
    import _ipcluster_host as host
except ImportError:  # this is no engine
    host = None

_file = None


def _runtime_folder():
    """Where `jupyter console --existing` looks for kernels."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir

        return jupyter_runtime_dir()
    except ImportError:
        data = os.environ.get("JUPYTER_DATA_DIR") or os.path.join(
            os.environ.get("XDG_DATA_HOME") or os.path.expanduser("~/.local/share"), "jupyter"
        )
        return os.environ.get("JUPYTER_RUNTIME_DIR") or os.path.join(data, "runtime")


def bind_kernel(*, transport=None, ip=None, connection_file="", **ports):
    """Makes an engine listen for Jupyter frontends. Call it in the engine; a second call changes nothing.

    Jupyter's runtime folder gets a link to the connection file, so that `jupyter console --existing` finds it.

    Args:
        transport (str): "ipc" (the default) listens on local sockets, which no other user can reach. "tcp" is for other machines. Its messages
            are signed but not encrypted: everybody who reaches the ports (on loopback any user of the host) can read output, code and answers.
        ip (str): the address to listen on with TCP; by default 127.0.0.1.
        connection_file (str): the path of the connection file; by default kernel-PID.json in the profile's security folder.
        ports (int): shell_port, iopub_port, stdin_port, control_port and hb_port.
    Returns:
        str: the path of the connection file that frontends need.
    Raises:
        RuntimeError: it is not called in an engine.
    Example:
        >>> view.execute("import ipcluster; path = ipcluster.bind_kernel()", block=True)
        <AsyncResult: execute:finished>
        >>> view["path"][0].endswith(".json")
        True
    """
    global _file
    if host is None:
        raise RuntimeError("bind_kernel() is for engines: call it in one, as with view.execute()")
    if _file is None:
        if transport is None:
            transport = "ipc" if ip is None and not ports else "tcp"
        wishes = {
            "transport": transport,
            "connection_file": connection_file,
            "runtime_folder": _runtime_folder(),
            **ports,
        }
        if ip is not None:
            wishes["ip"] = ip
        _file = host.listen(json.dumps(wishes))
        if transport == "tcp":
            warnings.warn(
                "bind_kernel() listens on TCP ports: everybody who reaches them (on loopback any user of this host) can read output, code "
                "and answers, because Jupyter does not encrypt them; transport='ipc' keeps others out",
                stacklevel=2,
            )
    return _file


def connection_file():
    if _file is None:
        raise RuntimeError("this engine does not listen for frontends: call ipcluster.bind_kernel() in it first")
    return _file


def start_qtconsole(arguments):
    """Starts a Qt console of its own process, attached to this engine."""
    command = ["jupyter", "qtconsole", "--existing", bind_kernel(), *arguments]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
