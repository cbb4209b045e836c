"""Code objects that travel: which Python compiled them, and whether this one can run them.

Each minor version of Python has its own instructions, and does not check what it runs: a function of another version ends the process with a
signal. So our pickles name their Python at the front, as a text that the reader of a pickle throws away. ipyparallel's pickles name none: for
these the instructions are checked.

Thread: any.
"""

import functools
import sys
import warnings
from types import CodeType

from ipcluster.canned import ForeignCode, uncan

PYTHON = "Python {}.{}".format(*sys.version_info)
_TEXT, _POP = b"\x8c", b"0"  # opcodes of pickles: a text with a length of one byte, and throwing it away
WHAT_HELPS = "start engines with the Python of their client, or send source, with view.execute() or %%px"
MARK = _TEXT + bytes([len(PYTHON)]) + PYTHON.encode() + _POP


def warn_of_engines(infos):
    """A client's warning of engines that cannot run its functions. `infos`: what each tells about itself, by id."""
    versions = {engine: info["language_version"] for engine, info in infos.items() if info.get("language") == "python"}
    others = {
        engine: version for engine, version in versions.items() if not f"Python {version}.".startswith(PYTHON + ".")
    }
    if others:
        engine, version = next(iter(others.items()))
        warnings.warn(
            f"{len(others)} of {len(infos)} engines run another Python than this client's {PYTHON} (engine {engine} has {version}): "
            f"functions do not travel between them; {WHAT_HELPS}",
            stacklevel=3,
        )


def python_of(data):
    """The Python that a pickle names, or None."""
    if data[: len(MARK)] == MARK:
        return PYTHON
    return bytes(data[2 : 2 + data[1]]).decode(errors="replace") if data[:1] == _TEXT else None


@functools.lru_cache(None)
def _instructions():
    """How many words of cache follow each instruction of this Python, and the instructions that may come before the first that runs (from 3.11
    on that is RESUME)."""
    import opcode

    caches = getattr(opcode, "_inline_cache_entries", {})
    numbers = {
        name: number
        for name, number in opcode.opmap.items()
        if number < 256 and name not in ("CACHE", "RESERVED") and not name.startswith("INSTRUMENTED_")
    }
    counts = {
        number: caches.get(name, 0) if isinstance(caches, dict) else caches[number] for name, number in numbers.items()
    }
    before = {
        numbers.get(name) for name in ("COPY_FREE_VARS", "MAKE_CELL", "RETURN_GENERATOR", "POP_TOP", "EXTENDED_ARG")
    }
    return counts, before, numbers.get("RESUME")


def is_ours(code):
    """Whether bytes are instructions of this Python. Instructions of neighbouring versions that it accepts mean the same there."""
    counts, before, resume = _instructions()
    at, begun = 0, resume is None
    while at < len(code):
        number = code[at]
        words = counts.get(number)
        begun = begun or number == resume
        if words is None or not (begun or number in before):
            return False
        at += 2
        if any(code[at : at + 2 * words]):  # caches travel empty
            return False
        at += 2 * words
    return begun and at == len(code)


def make_unnamed(*args, make=CodeType):
    """A code object from the arguments of another Python's constructor, if this Python's takes them. In every Python the constants come after
    the instructions."""
    for code, constants in zip(args, args[1:]):
        if type(code) is bytes and type(constants) is tuple:
            try:
                if is_ours(code) and ForeignCode not in map(type, constants):
                    return make(*args)
            except (TypeError, ValueError):  # another number of arguments, or others
                pass
            break
    return ForeignCode(None)


def constructor(python):
    """What makes code objects, in a pickle that names this Python."""
    if python == PYTHON:
        return CodeType
    return make_unnamed if python is None else lambda *args: ForeignCode(python)


# These replace what cloudpickle and dill use to make code objects and functions, for pickles that do not name our
# Python.


class _Constructor(type):
    def __call__(cls, *args):
        return make_unnamed(*args)

    def __instancecheck__(cls, obj):
        return isinstance(obj, CodeType)


class _CodeType(metaclass=_Constructor):
    """CodeType, but it makes other objects."""


def _builtin_type(original):
    return lambda name: _CodeType if name == "CodeType" else original(name)


def _create_code(original):
    return lambda *args: make_unnamed(*args, make=original)


def _make_function(original):
    return lambda code, *args, **kwargs: original(uncan(code), *args, **kwargs)


CHECKED = {
    ("cloudpickle.cloudpickle", "_builtin_type"): _builtin_type,
    ("cloudpickle.cloudpickle", "_make_function"): _make_function,
    ("dill._dill", "_create_code"): _create_code,
    ("dill._dill", "_create_function"): _make_function,
}
