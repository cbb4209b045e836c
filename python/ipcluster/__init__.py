"""Interactive parallel computing: a client of an ipcluster or ipyparallel cluster.

Names are imported when they are first used: an engine needs canning only, and so loads no more.
"""

import importlib

import ipcluster_hook  # IPython.parallel: also where Python reads no .pth files
from ipcluster.built import __version__

_HOMES = {
    "Client": "client",
    "DirectView": "direct",
    "BroadcastView": "broadcast",
    "LoadBalancedView": "balanced",
    "AsyncResult": "asyncresult",
    "AsyncMapResult": "asyncresult",
    "AsyncHubResult": "asyncresult",
    "ALL_COMPLETED": "asyncresult",
    "FIRST_COMPLETED": "asyncresult",
    "FIRST_EXCEPTION": "asyncresult",
    "Cluster": "cluster",
    "ClusterManager": "manager",
    "ViewExecutor": "executor",
    "register_joblib_backend": "executor",
    "ParallelFunction": "remotefunction",
    "RemoteFunction": "remotefunction",
    "parallel": "remotefunction",
    "remote": "remotefunction",
    "Reference": "canned",
    "interactive": "canned",
    "PrePickled": "canning",
    "use_dill": "canning",
    "use_cloudpickle": "canning",
    "use_pickle": "canning",
    "can": "canning",
    "uncan": "canning",
    "depend": "dependency",
    "require": "dependency",
    "dependent": "canned",
    "Dependency": "dependency",
    "bind_kernel": "engine.frontends",
    "error": "error",
}
_ERRORS = (
    "AlreadyDisplayedError", "ClusterError", "ConnectError", "IPythonError", "KernelError", "NoEnginesRegistered",
    "TaskAborted", "TaskRejectError", "TaskTimeout", "UnmetDependency", "ImpossibleDependency", "DependencyTimeout", "InvalidDependency", "RemoteError", "EngineError", "CompositeError",
    "TimeoutError", "VersionError",
)  # fmt: skip
_HOMES.update(dict.fromkeys(_ERRORS, "error"))

__all__ = sorted(_HOMES)


def __getattr__(name):
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'ipcluster' has no attribute {name!r}")
    module = importlib.import_module("ipcluster." + home)
    value = module if name == "error" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
