"""Import statements of a `with` block: a function is told of each, so that they can also be executed elsewhere.

Thread: any; a block is told of its own statements only.
"""

import builtins
import dis
import sys
import threading
from contextlib import contextmanager
from itertools import islice

_lock = threading.Lock()
_blocks = []  # (the frame that the block is in, the function that is told)
_replaced = None  # what __import__ was before the present blocks


def _names_bound(frame, names):
    """The names that the import statement at which `frame` stands binds: `names`, or others after "as"."""
    instructions = (each for each in dis.get_instructions(frame.f_code) if each.offset >= frame.f_lasti)
    if next(instructions).opname != "IMPORT_NAME":  # a call of __import__()
        return names
    first = next(instructions)
    if "." in names[0] and first.opname != "IMPORT_FROM":  # "import a.b" binds a, "import a.b as c" takes b from it
        return names
    stores = (each.argval for each in (first, *instructions) if each.opname.startswith("STORE_"))
    # From Python 3.13 on one instruction may stand for two, and have the names of both.
    return [name if isinstance(name, str) else name[0] for name in islice(stores, len(names))]


def _clauses(frame, names):
    """The words after "import"."""
    if names == ["*"]:
        return "*"
    bound = _names_bound(frame, names)
    return ", ".join(name if name == other else f"{name} as {other}" for name, other in zip(names, bound))


def _telling(import_before):
    """An __import__ that tells the blocks."""

    def import_and_tell(name, globals=None, locals=None, fromlist=(), level=0):
        module = import_before(name, globals, locals, fromlist, level)
        frame = sys._getframe(1)
        for each, tell in list(_blocks):
            if each is frame:
                # A relative import always has a list of names, and so gives the module itself.
                tell(
                    _clauses(frame, list(fromlist or [name])),
                    (module.__name__ if level else name) if fromlist else None,
                )
        return module

    return import_and_tell


@contextmanager
def told(frame, tell):
    """Context manager: inside, `tell(clauses, module)` is called after each import statement of this frame: "from module import clauses", or,
    with None, "import clauses"."""
    global _replaced
    block = frame, tell
    with _lock:
        if not _blocks:
            _replaced, builtins.__import__ = builtins.__import__, _telling(builtins.__import__)
        _blocks.append(block)
    try:
        yield
    finally:
        with _lock:
            _blocks.remove(block)
            if not _blocks:
                builtins.__import__ = _replaced
