"""Modules of ipyparallel and ipykernel that look for their own engine or kernel find this one: when user code has imported such a module, the
function that looks is replaced. ipyparallel's few modules that run in engines exist under their names also if it is not installed."""

import sys
from importlib.machinery import ModuleSpec


def _adopt_ipyparallel(module):
    from ipcluster.engine.frontends import bind_kernel

    module.bind_kernel = bind_kernel


def _adopt_datapub(module):
    from ipcluster.engine.datapub import publish_data

    module.publish_data = publish_data


def _adopt_canning(module):
    """Functions that ipyparallel's client sends, such as @require's, restore the objects that came with them. Here these are our objects."""
    from ipcluster.canning import CannedObject

    restore = module.uncan

    def uncan(obj, g=None):
        return obj.get_object(g) if isinstance(obj, CannedObject) else restore(obj, g)

    module.uncan = uncan


def _adopt_comm(module):
    from ipcluster.engine import comms

    comms.adopt(module)


def _adopt_singleton(cls, ours):
    """`cls.instance()` is ours; a call with arguments makes another, as before."""
    make = cls.instance.__func__

    def instance(cls, *args, **kwargs):
        return make(cls, *args, **kwargs) if args or kwargs else ours()

    cls.instance = classmethod(instance)
    cls.initialized = classmethod(lambda cls: True)


def _adopt_kernelbase(module):
    def kernel():
        from ipcluster.engine import jupyter

        return jupyter.kernel()

    _adopt_singleton(module.Kernel, kernel)


def _adopt_zmqshell(module):
    from ipcluster.engine.kernel import shell

    _adopt_singleton(module.ZMQInteractiveShell, shell)


def _adopt_connect(module):
    from ipcluster.engine.frontends import connection_file

    original = module.get_connection_file
    module.get_connection_file = lambda app=None: connection_file() if app is None else original(app)


ADOPTED = {
    "ipyparallel": _adopt_ipyparallel,
    "ipyparallel.engine.datapub": _adopt_datapub,
    "ipyparallel.serialize.canning": _adopt_canning,
    "ipykernel.connect": _adopt_connect,
    "ipykernel.kernelbase": _adopt_kernelbase,
    "ipykernel.zmqshell": _adopt_zmqshell,
    "comm": _adopt_comm,
}

# If ipyparallel is not installed: its modules that we have a replacement for.
_ALIASES = {
    "ipyparallel": "ipcluster",
    "ipyparallel.datapub": "ipcluster.datapub",
    "ipyparallel.engine": "ipcluster.engine",
    "ipyparallel.engine.datapub": "ipcluster.engine.datapub",
    "ipyparallel.error": "ipcluster.error",
    "ipyparallel.serialize": "ipcluster.canning",
    "ipyparallel.serialize.canning": "ipcluster.canning",
}


class _Loader:
    """Another loader, with something to do when the module is loaded."""

    def __init__(self, loader, adopt):
        self.loader = loader
        self.adopt = adopt

    def create_module(self, spec):
        return self.loader.create_module(spec)

    def exec_module(self, module):
        module.__spec__.loader = module.__loader__ = self.loader
        self.loader.exec_module(module)
        self.adopt(module)


class _AliasLoader:
    def __init__(self, target):
        self.target = target

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from importlib import import_module

        ours = import_module(self.target)
        module.__doc__ = ours.__doc__
        module.__getattr__ = lambda name: getattr(ours, name)
        module.__path__ = []


def find_spec(name, path, target, watch):
    """What the finders other than `watch` find for a module in ADOPTED; if they find nothing, our replacement."""
    for finder in sys.meta_path:
        spec = None if finder is watch else finder.find_spec(name, path, target)
        if spec is not None:
            if spec.loader is not None and name in ADOPTED:
                spec.loader = _Loader(spec.loader, ADOPTED[name])
            return spec
    ours = _ALIASES.get(name)
    return None if ours is None else ModuleSpec(name, _AliasLoader(ours), origin="ipcluster", is_package=True)
