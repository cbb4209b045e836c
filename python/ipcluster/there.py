"""Functions that run on the engines, with the user's namespace as their globals. Views send them; and they replace ipyparallel's functions on
engines that do not have these."""

from ipcluster.canned import by_code, interactive


@by_code
@interactive
def push(**names):
    namespace = globals()
    for name, value in names.items():
        if name.isidentifier():
            namespace[name] = value
        else:
            # "a.b" or "a[0]"
            namespace["_ipcluster_pushed"] = value
            try:
                exec(name + " = _ipcluster_pushed", namespace)
            finally:
                del namespace["_ipcluster_pushed"]


@by_code
@interactive
def pull(names):
    if isinstance(names, str):
        return eval(names, globals())
    return [eval(name, globals()) for name in names]


@by_code
@interactive
def execute(code):
    exec(code, globals())


@by_code
@interactive
def map_members(f, *sequences):
    return list(map(f, *sequences))


@by_code
@interactive
def require_names(*modules, **mapping):
    namespace = globals()
    for name in modules:
        try:
            exec("import " + name, namespace)
        except ImportError:
            UnmetDependency = type("UnmetDependency", (Exception,), {})
            raise UnmetDependency(name) from None
    for name, value in mapping.items():
        namespace[name] = value.get_object(namespace) if hasattr(value, "get_object") else value
    return True


@by_code
@interactive
def become_dask_worker(address, nanny, arguments):
    from distributed import Nanny, Worker
    from distributed.utils import LoopRunner

    namespace = globals()
    if namespace.get("distributed_worker") is not None:
        return

    async def start():
        return await (Nanny if nanny else Worker)(address, **arguments)

    runner = LoopRunner()
    runner.start()
    try:
        worker = runner.run_sync(start)
    except BaseException:
        runner.stop()
        raise
    worker.thread_of_its_own = runner
    namespace["dask_worker"] = namespace["distributed_worker"] = worker


@by_code
@interactive
def stop_dask_worker():
    namespace = globals()
    worker = namespace.pop("distributed_worker", None)
    namespace.pop("dask_worker", None)
    if worker is not None:
        worker.thread_of_its_own.run_sync(worker.close)
        worker.thread_of_its_own.stop()


# ipyparallel's functions that its client sends by name and not by code.
STAND_INS = {
    ("ipyparallel.util", "_push"): push,
    ("ipyparallel.util", "_pull"): pull,
    ("ipyparallel.util", "_execute"): execute,
    ("ipyparallel.client.remotefunction", "_map"): map_members,
    ("ipyparallel.controller.dependency", "_require"): require_names,
}
