"""Functions that run on the engines, with the user's namespace as their globals: what views send, and what stands for ipyparallel's own
where an engine has none."""

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


@interactive
def execute(code):
    exec(code, globals())


@by_code
@interactive
def import_names(name, names, level):
    import sys

    module = __import__(name, fromlist=names, level=level)
    if names:
        for each in names:
            globals()[each] = getattr(module, each)
    else:
        globals()[name] = sys.modules[name]


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


# ipyparallel's functions that its client names where it does not send their code.
STAND_INS = {
    ("ipyparallel.util", "_push"): push,
    ("ipyparallel.util", "_pull"): pull,
    ("ipyparallel.util", "_execute"): execute,
    ("ipyparallel.client.remotefunction", "_map"): map_members,
    ("ipyparallel.controller.dependency", "_require"): require_names,
}
