"""Interactive parallel computing: a client of an ipcluster or ipyparallel cluster.

Names are imported when they are first used, so that an engine, which needs canning only, loads no more.
"""

import importlib

_HOMES = {
    "Client": "client",
    "DirectView": "view",
    "BroadcastView": "broadcast",
    "LoadBalancedView": "balanced",
    "AsyncResult": "asyncresult",
    "AsyncMapResult": "asyncresult",
    "Reference": "canning",
    "interactive": "canning",
    "PrePickled": "canning",
    "depend": "dependency",
    "require": "dependency",
    "dependent": "canning",
    "Dependency": "dependency",
    "bind_kernel": "engine.frontends",
    "error": "errors",
    "errors": "errors",
}
_ERRORS = (
    "ClusterError", "ConnectError", "KernelError", "NoEnginesRegistered", "TaskAborted", "TaskTimeout", "UnmetDependency",
    "ImpossibleDependency", "DependencyTimeout", "InvalidDependency", "RemoteError", "EngineError", "CompositeError",
    "TimeoutError",
)  # fmt: skip
_HOMES.update(dict.fromkeys(_ERRORS, "errors"))

__all__ = sorted(_HOMES)


def __getattr__(name):
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ipcluster' has no attribute {name!r}")
    module = importlib.import_module("ipcluster." + home)
    value = module if name in ("error", "errors") else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
