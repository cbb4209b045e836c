"""The engine's start in the Python that becomes one."""

import builtins
import sys
from types import ModuleType

from ipcluster import _engine


def main(words):
    """Runs an engine with the arguments of ipengine, and ends the process with it."""
    # User code has a __main__ of its own, with nothing in it, and no file that a process which multiprocessing spawns would run again.
    own = ModuleType("__main__")
    own.__builtins__ = builtins
    sys.modules["__main__"] = own
    _engine.main(["ipengine", *words])
