"""Makes `from IPython.parallel import Client` work: IPython's own module of that name is gone since IPython 4 became several
packages. Imported by ipcluster.pth at the interpreter's start, where Python reads that, and by the package ipcluster. It costs nothing until a
program imports IPython.parallel, and does nothing if IPython has such a module after all."""

import sys

NAME = "IPython.parallel"
# The modules that were below it and that programs import from: all have the names of ipcluster.
PARTS = (
    "client", "client.asyncresult", "client.client", "client.remotefunction", "client.view", "controller", "controller.dependency",
    "error", "util",
)  # fmt: skip
NAMES = {NAME, *(f"{NAME}.{part}" for part in PARTS)}


class _Loader:
    def create_module(self, spec):
        return None

    def exec_module(self, module):
        import ipcluster

        module.__doc__ = "ipcluster, under a name that the parallel part of IPython had."
        module.__all__ = list(ipcluster.__all__)
        module.__getattr__ = lambda name: getattr(ipcluster, name)
        module.__path__ = []


class Finder:
    """The last of the finders: it is asked when no other has found the module."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name not in NAMES:
            return None
        from importlib.machinery import ModuleSpec

        return ModuleSpec(name, _Loader(), origin="ipcluster")


def install():
    if not any(finder is Finder for finder in sys.meta_path):
        sys.meta_path.append(Finder)


install()
