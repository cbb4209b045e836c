"""Makes an engine of the Python that runs this file: ipengine starts it so, with its own arguments.

Nothing of this Python's own environment is changed. It gets the folder of this file on its path, so that processes which it starts find the
package as well. Nothing but our package is in that folder.
"""

import os
import sys


def why_not():
    """Why this Python cannot be an engine's, or None. Any Python must understand this."""
    if sys.version_info < (3, 11):
        return "it is Python %d.%d, and an engine needs 3.11 or later" % sys.version_info[:2]
    if sys.implementation.name != "cpython":
        return "it is %s, and an engine needs CPython" % sys.implementation.name
    if "t" in sys.abiflags:
        return "it is built without the global interpreter lock, and an engine needs the usual CPython"
    return None


def end(reason):
    sys.exit(
        "ipengine: %s cannot be the engine's Python: %s. Name another with --python=PATH" % (sys.executable, reason)
    )


def find_package():
    folder = os.path.dirname(os.path.abspath(__file__))
    if not sys.flags.safe_path:
        del sys.path[0]  # the folder of this file, after links are followed
    if os.path.isdir(os.path.join(folder, "ipcluster")):
        sys.path.insert(0, folder)


def let_interrupts_end_it():
    """Until the kernel handles it, Ctrl-C ends the process, as if there were no Python. The parent process may have had it ignored."""
    import _signal as signal  # the module signal imports more

    signal.signal(signal.SIGINT, signal.SIG_DFL)


def tell_watcher():
    """Tells the watcher that this Python has started: from here on this program says itself why it cannot be an engine."""
    watcher = int(os.environ.get("IPCLUSTER_ENGINE_WATCHER", "-1"))
    if watcher >= 0:
        try:
            os.write(watcher, b"runs")
        except OSError:
            pass  # it has gone


tell_watcher()
if why_not():
    end(why_not())
let_interrupts_end_it()
find_package()
try:
    from ipcluster.engine.main import main
except ImportError as error:
    end(error)
main(sys.argv[1:])
