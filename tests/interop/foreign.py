"""Requests as a client in another Python cans them: foreign.py PACKAGE HOW SOURCES PACKAGES, for whichever Python runs it.

PACKAGE is "ipcluster", whose sources are at SOURCES, or "ipyparallel"; HOW is "pickle", "cloudpickle" or "dill". What is pure Python
of PACKAGES, the folder of another Python's packages, is imported from there. Writes a pickled dict: the buffers of each request.
"""

import importlib.machinery
import pickle
import sys
import types

PACKAGE, HOW, SOURCES, PACKAGES = sys.argv[1:]


class Borrowed:
    """A finder of some packages."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("cloudpickle", "dill", "traitlets"):
            return importlib.machinery.PathFinder.find_spec(name, [PACKAGES])


sys.meta_path.insert(0, Borrowed)


def stand_in(name, **members):
    """A module in the place of one that needs what this Python has not."""
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__dict__.update(members)


if PACKAGE == "ipcluster":
    sys.path.insert(0, SOURCES)
    from ipcluster import canning
    from ipcluster.canning import pack_apply
else:
    stand_in("ipyparallel", __path__=[PACKAGES + "/ipyparallel"])
    stand_in("jupyter_client")
    stand_in("jupyter_client.session", MAX_ITEMS=64, MAX_BYTES=1024)
    from ipyparallel.serialize import canning
    from ipyparallel.serialize import pack_apply_message as pack_apply
if HOW != "pickle":
    getattr(canning, "use_" + HOW)()


def closure(n):
    return lambda x: [str(n * i) for i in range(x)]


def generator(n):
    yield from (i for i in range(n) if i)


class Class:
    def method(self):
        return sorted([3, 1], key=lambda v: -v)


CALLS = {
    "lambda": (lambda x: sorted([x, 1], key=lambda v: -v), [1]), "closure": (closure(3), [4]), "generator": (generator, [3]),
    "class": (Class, []), "function in a list": (list, [[lambda: print()]]),
}  # fmt: skip
pickle.dump(
    {name: [bytes(buffer) for buffer in pack_apply(f, args, {})] for name, (f, args) in CALLS.items()},
    sys.stdout.buffer,
    4,
)
