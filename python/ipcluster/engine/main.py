"""The engine's start in the Python that becomes one."""

import builtins
import sys
from types import ModuleType

from ipcluster import _engine


def main(words):
    """Runs an engine with the arguments of ipengine, and ends the process with it."""
    # User code gets an empty __main__ without a file: processes that multiprocessing spawns would run that file again.
    own = ModuleType("__main__")
    own.__builtins__ = builtins
    sys.modules["__main__"] = own
    _engine.main(["ipengine", *words])
