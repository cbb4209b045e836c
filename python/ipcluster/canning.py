"""Canning: Python objects to message buffers and back, byte for byte as ipyparallel's engines and clients understand.

The pickles name ipyparallel's classes (ipyparallel.serialize.canning.CannedFunction and friends), so that either side may be
ipyparallel, but nothing of it is imported: while pickling, our classes are written under those names, and while
unpickling, those names are read as our classes.

Thread: any; the caches are dictionaries that are only added to or emptied.
"""

import builtins
import copy
import functools
import importlib
import io
import pickle
import re
import sys
from types import CellType, CodeType, FunctionType, SimpleNamespace

PROTOCOL = pickle.DEFAULT_PROTOCOL
BUFFER_BYTES = 1024  # larger buffers travel as frames of their own (jupyter_client.session.MAX_BYTES)
ITEMS_MAX = 64  # longer containers are pickled without looking inside (jupyter_client.session.MAX_ITEMS)
CACHE_ENTRIES = 256

_WIRE_PACKAGE = b"ipyparallel"
_WIRE_CANNING = "ipyparallel.serialize.canning"
_WIRE_CODE = "ipyparallel.serialize.codeutil"
_WIRE_DEPENDENCY = "ipyparallel.controller.dependency"

_SCALARS = frozenset({int, float, bool, complex, str, type(None), range})
_SEQUENCES = frozenset({list, tuple, set})


def interactive(f):
    """Decorator: the function's globals are the engine's namespace, as if it had been typed there."""
    if isinstance(f, FunctionType):
        main = sys.modules["__main__"]
        defaults, kwdefaults = f.__defaults__, f.__kwdefaults__
        f = FunctionType(f.__code__, main.__dict__, f.__name__, defaults)
        f.__kwdefaults__ = kwdefaults
    f.__module__ = "__main__"
    return f


def by_code(f):
    """Decorator: the function is sent as its code also where other functions are left to dill or cloudpickle, which would give it
    globals of its own."""
    f._travels_by_code = True
    return f


# Canned objects. Their attributes are ipyparallel's: they are what travels.


class CannedObject:
    """An object some of whose attributes are canned, with a hook to run on it when it is restored."""

    def __init__(self, obj, keys=(), hook=None):
        self.keys = list(keys)
        self.obj = copy.copy(obj)
        self.hook = can(hook)
        for key in keys:
            setattr(self.obj, key, can(getattr(obj, key)))
        self.buffers = []

    def get_object(self, g=None):
        for key in self.keys:
            setattr(self.obj, key, uncan(getattr(self.obj, key), g))
        if self.hook:
            self.hook = uncan(self.hook, g)
            self.hook(self.obj, g)
        return self.obj


class Reference(CannedObject):
    """A name or expression that is evaluated on the engine."""

    def __init__(self, name):
        if not isinstance(name, str):
            raise TypeError(f"a Reference takes the name as a string, not {name!r}")
        self.name = name
        self.buffers = []

    def __repr__(self):
        return f"<Reference: {self.name!r}>"

    def get_object(self, g=None):
        return eval(self.name, {} if g is None else g)


class CannedCell(CannedObject):
    def __init__(self, cell):
        self.cell_contents = can(cell.cell_contents)

    def get_object(self, g=None):
        return CellType(uncan(self.cell_contents, g))


def _function_globals(module, g):
    """The globals of a function that was defined in `module`: that module's, or the engine's namespace."""
    if module.startswith("__"):
        return {} if g is None else g
    if module in ("ipyparallel.util", "ipyparallel.client.remotefunction", "ipyparallel.client.view"):
        # The functions behind a stock client's push, pull and map: they need no more than this.
        shell = SimpleNamespace(user_global_ns=g, user_ns=g)
        return {"__builtins__": builtins, "__name__": module, "get_ipython": lambda: shell}
    if module == _WIRE_CANNING:
        return globals()
    found = sys.modules.get(module)
    return (importlib.import_module(module) if found is None else found).__dict__


class CannedFunction(CannedObject):
    def __init__(self, f):
        self.code = f.__code__
        self.defaults = [can(value) for value in f.__defaults__] if f.__defaults__ else None
        self.kwdefaults = can_dict(f.__kwdefaults__) if f.__kwdefaults__ else None
        self.annotations = can_dict(f.__annotations__) if f.__annotations__ else None
        self.closure = tuple(can(cell) for cell in f.__closure__) if f.__closure__ else None
        self.module = f.__module__ or "__main__"
        self.__name__ = f.__name__
        self.buffers = []

    def is_constant(self):
        """True where it always restores to the same function, so that it can be kept."""
        return not (self.defaults or self.kwdefaults or self.annotations or self.closure)

    def get_object(self, g=None):
        if self.module == _WIRE_CANNING and self.__name__ in _SWITCHES:
            return _SWITCHES[self.__name__]
        g = _function_globals(self.module, g)
        defaults = tuple(uncan(value, g) for value in self.defaults) if self.defaults else None
        closure = tuple(uncan(cell, g) for cell in self.closure) if self.closure else None
        f = FunctionType(self.code, g, self.__name__, defaults, closure)
        if self.kwdefaults:
            f.__kwdefaults__ = uncan_dict(self.kwdefaults, g)
        if self.annotations:
            f.__annotations__ = uncan_dict(self.annotations, g)
        return f


class CannedPartial(CannedObject):
    def __init__(self, f):
        self.func = can(f.func)
        self.args = [can(value) for value in f.args]
        self.keywords = {key: can(value) for key, value in f.keywords.items()}
        self.buffers = []
        self.arg_buffer_counts = [self._take(value) for value in self.args]
        self.keyword_buffer_counts = {
            key: self._take(self.keywords[key])
            for key in sorted(self.keywords)
            if isinstance(self.keywords[key], CannedObject)
        }

    def _take(self, canned):
        """Makes an argument's buffers our own, so that large ones become frames. Returns how many."""
        if not isinstance(canned, CannedObject):
            return 0
        taken = getattr(canned, "buffers", [])
        self.buffers.extend(taken)
        canned.buffers = []
        return len(taken)

    def _give(self, canned, count):
        if count:
            canned.buffers, self.buffers = self.buffers[:count], self.buffers[count:]

    def get_object(self, g=None):
        for canned, count in zip(self.args, self.arg_buffer_counts):
            self._give(canned, count)
        for key in sorted(self.keyword_buffer_counts):
            self._give(self.keywords[key], self.keyword_buffer_counts[key])
        args = [uncan(value, g) for value in self.args]
        keywords = {key: uncan(value, g) for key, value in self.keywords.items()}
        return functools.partial(uncan(self.func, g), *args, **keywords)


class CannedClass(CannedObject):
    def __init__(self, cls):
        self.name = cls.__name__
        self.old_style = False
        self._canned_dict = {
            key: can(value)
            for key, value in cls.__dict__.items()
            if key not in ("__weakref__", "__dict__")
        }
        self.parents = [can(parent) for parent in cls.mro()[1:]]
        self.buffers = []

    def get_object(self, g=None):
        parents = tuple(uncan(parent, g) for parent in self.parents)
        return type(self.name, parents, uncan_dict(self._canned_dict, g))


class CannedArray(CannedObject):
    def __init__(self, array):
        from numpy import ascontiguousarray

        dtype = array.dtype
        self.shape = array.shape
        self.dtype = dtype.descr if dtype.fields else dtype.str
        self.pickled = sum(array.shape) == 0 or dtype.hasobject
        if not self.pickled:
            try:
                self.buffers = [memoryview(ascontiguousarray(array))]
            except ValueError:  # dates and others have no buffer interface
                self.pickled = True
        if self.pickled:
            self.buffers = [_dumps(array)]

    def get_object(self, g=None):
        from numpy import frombuffer

        if self.pickled:
            return _loads(self.buffers[0])
        data = self.buffers[0]
        # Arrays can be written to. Bytes are small here; larger buffers are memory of a message's own.
        return frombuffer(bytearray(data) if type(data) is bytes else data, dtype=self.dtype).reshape(self.shape)


class CannedBytes(CannedObject):
    def __init__(self, obj):
        self.buffers = [obj]

    def get_object(self, g=None):
        data = self.buffers[0]
        return data if isinstance(data, bytes) else bytes(data)


class CannedMemoryView(CannedBytes):
    def get_object(self, g=None):
        return memoryview(self.buffers[0])


CannedBuffer = CannedMemoryView


class dependent:
    """A function that runs only on an engine where `df` does not return False; see `depend`."""

    def __init__(self, f, df, *dargs, **dkwargs):
        self.f = f
        self.__name__ = getattr(f, "__name__", "f")
        self.df = df
        self.dargs = dargs
        self.dkwargs = dkwargs

    def check_dependency(self):
        if self.df(*self.dargs, **self.dkwargs) is False:
            from ipcluster.errors import UnmetDependency

            raise UnmetDependency()

    def __call__(self, *args, **kwargs):
        return self.f(*args, **kwargs)


@interactive
def _check_dependency(dep, g=None):
    dep.check_dependency()


# Canning


def _can_class(cls):
    return CannedClass(cls) if cls.__module__ == "__main__" else cls


def _can_function(f):
    """By its code; a function with a closure that its module has under its name goes by that name, as a closure may lead back
    to the function (numpy's do)."""
    if f.__closure__ and f.__module__ != "__main__":
        if getattr(sys.modules.get(f.__module__), f.__qualname__, None) is f:
            return f
    return CannedFunction(f)


_CANNERS = {
    FunctionType: _can_function,
    functools.partial: CannedPartial,
    bytes: CannedBytes,
    memoryview: CannedMemoryView,
    CellType: CannedCell,
    type: _can_class,
    dependent: lambda obj: CannedObject(obj, ("f", "df"), _check_dependency),
}


def can(obj):
    """What `obj` travels as: a canned object, or itself where pickle can have it."""
    kind = type(obj)
    if kind in _SCALARS:
        return obj
    canner = _CANNERS.get(kind)
    if canner is not None:
        return canner(obj)
    if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
        _CANNERS[kind] = CannedArray
        return CannedArray(obj)
    return CannedFunction(obj) if kind is FunctionType and hasattr(obj, "_travels_by_code") else obj


def can_dict(mapping):
    return {key: can(value) for key, value in mapping.items()} if type(mapping) is dict else mapping


def uncan(obj, g=None):
    """The inverse of can(); references and functions are looked up in, and bound to, the namespace `g`."""
    if isinstance(obj, CannedObject):
        return obj.get_object(g)
    if isinstance(obj, dict):
        return uncan_dict(obj, g)
    return obj


def uncan_dict(mapping, g=None):
    if type(mapping) is not dict:
        return mapping
    return {key: uncan(value, g) for key, value in mapping.items()}


# Pickling under ipyparallel's names


class _WireModule:
    """Stands for a module of ipyparallel's, which is found by name where the pickle is read."""

    def __init__(self, name):
        self.name = name


class _WireName:
    """Stands for a function of ipyparallel's."""

    def __init__(self, module, name):
        self.module = module
        self.name = self.__name__ = name

    def __call__(self, *args):
        raise TypeError(f"{self.name} is only a name here")


_canning_module = _WireModule(_WIRE_CANNING)
_code_constructor = _WireName(_WireModule(_WIRE_CODE), "code_ctor")
_WIRE_CLASSES = {
    cls: _canning_module
    for cls in (
        CannedObject, Reference, CannedCell, CannedFunction, CannedPartial, CannedClass, CannedArray, CannedBytes,
        CannedMemoryView,
    )
}  # fmt: skip
_WIRE_CLASSES[dependent] = _WireModule(_WIRE_DEPENDENCY)

# The arguments of a code object's constructor, in their order (Python 3.8 on).
_CODE_NAMES = ["argcount", "posonlyargcount", "kwonlyargcount", "nlocals", "stacksize", "flags", "code", "consts"]
_CODE_NAMES += ["names", "varnames", "filename", "name"]
_CODE_NAMES += ["qualname"] if sys.version_info >= (3, 11) else []
_CODE_NAMES += ["firstlineno", "linetable" if sys.version_info >= (3, 10) else "lnotab"]
_CODE_NAMES += ["exceptiontable"] if sys.version_info >= (3, 11) else []
_CODE_ATTRIBUTES = ["co_" + name for name in _CODE_NAMES + ["freevars", "cellvars"]]


def _reduce(obj):
    """How objects that ipyparallel has under other names are pickled."""
    kind = type(obj)
    if kind is type:
        module = _WIRE_CLASSES.get(obj)
        return NotImplemented if module is None else (getattr, (module, obj.__name__))
    if kind is CodeType:
        return _code_constructor, tuple([getattr(obj, name) for name in _CODE_ATTRIBUTES])
    if kind is _WireModule:
        return importlib.import_module, (obj.name,)
    if kind is _WireName:
        return getattr, (obj.module, obj.name)
    return NotImplemented


class _WirePickler(pickle.Pickler):
    def reducer_override(self, obj):
        return _reduce(obj)


def _dumps(obj):
    file = io.BytesIO()
    _pickler(file, PROTOCOL).dump(obj)
    return file.getvalue()


_OUR_NAMES = {(_WIRE_CODE, "code_ctor"): CodeType}
_OUR_NAMES.update({(module.name, cls.__name__): cls for cls, module in _WIRE_CLASSES.items()})
_OUR_NAMES[_WIRE_CANNING, "CannedBuffer"] = CannedMemoryView
_OUR_NAMES[_WIRE_CANNING, "_uncan_dependent_hook"] = _check_dependency


class _OurModule:
    """What importing one of ipyparallel's modules gives a pickle: our classes under its names."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        if (self.__name__, name) in _OUR_NAMES:
            return _OUR_NAMES[self.__name__, name]
        return getattr(importlib.import_module(self.__name__), name)


def _import_module(name):
    if name in (_WIRE_CANNING, _WIRE_CODE, _WIRE_DEPENDENCY):
        return _OurModule(name)
    return importlib.import_module(name)


def _globals_of(module):
    """What dill names as the globals of a function that it sends: none where ipyparallel is not there."""
    try:
        return importlib.import_module(module).__dict__
    except ModuleNotFoundError:
        return {"__name__": module, "__builtins__": builtins}


_STAND_IN_MODULES = frozenset({"ipyparallel.util", "ipyparallel.client.remotefunction", _WIRE_DEPENDENCY})


class _WireNames:
    """An Unpickler's part that reads ipyparallel's names as ours."""

    def find_class(self, module, name):
        if module == "importlib" and name == "import_module":
            return _import_module
        if name == "__dict__" and module.startswith("ipyparallel."):
            return _globals_of(module)
        ours = _OUR_NAMES.get((module, name))
        if ours is None and module in _STAND_IN_MODULES:
            from ipcluster.there import STAND_INS

            ours = STAND_INS.get((module, name))
        return super().find_class(module, name) if ours is None else ours


class _WireUnpickler(_WireNames, pickle.Unpickler):
    pass


_mentions_wire = re.compile(re.escape(_WIRE_PACKAGE)).search


def _loads(data):
    if _mentions_wire(data) is None:
        return _plain_loads(data)
    return _unpickler(io.BytesIO(data)).load()


# Which pickle is used. Those other than Python's take functions by value, in their own way.

_pickler, _unpickler, _plain_loads = _WirePickler, _WireUnpickler, pickle.loads


def _use(pickler, unpickler, loads):
    global _pickler, _unpickler, _plain_loads
    _pickler, _unpickler, _plain_loads = pickler, unpickler, loads
    if pickler is _WirePickler:
        _CANNERS[FunctionType] = _can_function
    else:
        _CANNERS.pop(FunctionType, None)
    _canned_cache.clear()


def _subclasses(pickler, unpickler):
    """Those of another package, with ipyparallel's names as ours."""

    class Pickler(pickler):
        def reducer_override(self, obj):
            reduced = _reduce(obj)
            if reduced is NotImplemented and hasattr(pickler, "reducer_override"):
                return super().reducer_override(obj)
            return reduced

    class Unpickler(_WireNames, unpickler):
        pass

    return Pickler, Unpickler


def use_dill():
    """Sends functions and objects with dill from here on, which knows closures, methods and lambdas."""
    import dill

    _use(*_subclasses(dill.Pickler, dill.Unpickler), dill.loads)


def use_cloudpickle():
    """Sends functions and objects with cloudpickle from here on, which knows closures, methods and lambdas."""
    import cloudpickle

    _use(*_subclasses(cloudpickle.CloudPickler, pickle.Unpickler), pickle.loads)


def use_pickle():
    """Sends functions and objects with Python's pickle again."""
    _use(_WirePickler, _WireUnpickler, pickle.loads)


_SWITCHES = {"use_dill": use_dill, "use_cloudpickle": use_cloudpickle, "use_pickle": use_pickle}
_OUR_NAMES.update({(_WIRE_CANNING, name): function for name, function in _SWITCHES.items()})


def switch_there(name):
    """use_dill and its like, as a function that is the engine's own: ours, or ipyparallel's."""
    return _WireName(_canning_module, name)


# Buffers


def _take_large_buffers(canned, large):
    """Moves the large buffers of a canned object to the list `large`; small ones are pickled with it."""
    buffers = getattr(canned, "buffers", None) if isinstance(canned, CannedObject) else None
    if not buffers:
        return
    for i, buffer in enumerate(buffers):
        size = buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
        if size > BUFFER_BYTES:
            buffers[i] = None
            large.append(buffer)
        elif isinstance(buffer, memoryview):
            buffers[i] = buffer.tobytes()


def _return_large_buffers(canned, rest):
    buffers = getattr(canned, "buffers", None) if isinstance(canned, CannedObject) else None
    if buffers:
        for i, buffer in enumerate(buffers):
            if buffer is None:
                buffers[i] = rest.pop(0)


class PrePickled:
    """An object that is sent several times and serialised once."""

    def __init__(self, obj):
        self.buffers = serialize(obj)
        self.__name__ = getattr(obj, "__name__", type(obj).__name__)


_function_cache = {}


def _serialize_function(f):
    """Functions without state of their own are kept by their code."""
    if f.__defaults__ or f.__kwdefaults__ or f.__annotations__ or f.__closure__:
        return None
    key = (f.__code__, f.__module__, f.__name__)
    data = _function_cache.get(key)
    if data is None:
        data = _dumps(CannedFunction(f))
        if len(_function_cache) >= CACHE_ENTRIES:
            _function_cache.clear()
        _function_cache[key] = data
    return [data]


def serialize(obj):
    """Returns the buffers that `obj` travels as: a pickle, and its large buffers without a copy."""
    kind = type(obj)
    if kind in _SCALARS:
        return [pickle.dumps(obj, PROTOCOL)]
    if kind is PrePickled:
        return list(obj.buffers)
    if kind is FunctionType and _pickler is _WirePickler:
        cached = _serialize_function(obj)
        if cached is not None:
            return cached
    if kind is bytes and len(obj) <= BUFFER_BYTES:
        return [pickle.dumps(obj, PROTOCOL)]
    if kind in _SEQUENCES or kind is dict:
        values = obj.values() if kind is dict else obj
        if _SCALARS.issuperset(map(type, values)):
            return [pickle.dumps(obj, PROTOCOL)]
    large = []
    if kind in _SEQUENCES and len(obj) < ITEMS_MAX:
        canned = [can(value) for value in obj]
        for value in canned:
            _take_large_buffers(value, large)
        # Equal members of a set can be canned to distinct objects that are read back in another order.
        canned = canned if kind is list else kind(canned)
        if kind is set and large:
            return [_dumps(obj)]
    elif kind is dict and len(obj) < ITEMS_MAX and all(type(key) is str for key in obj):
        canned = {}
        for key in sorted(obj):
            canned[key] = can(obj[key])
            _take_large_buffers(canned[key], large)
    else:
        canned = can(obj)
        _take_large_buffers(canned, large)
    return [_dumps(canned), *large]


_canned_cache = {}


def _load_canned(data):
    """Unpickles; a constant function that comes again is not unpickled again."""
    if type(data) is not bytes:
        return _loads(data)
    canned = _canned_cache.get(data)
    if canned is None:
        canned = _loads(data)
        if type(canned) is CannedFunction and canned.is_constant():
            if len(_canned_cache) >= CACHE_ENTRIES:
                _canned_cache.clear()
            _canned_cache[data] = canned
    return canned


def _deserialize(rest, g):
    """Takes one object's buffers off the front of the list `rest` and returns the object."""
    canned = _load_canned(rest.pop(0))
    kind = type(canned)
    if kind in _SCALARS:
        return canned
    if kind in _SEQUENCES and len(canned) < ITEMS_MAX:
        if not any(isinstance(value, (CannedObject, dict)) for value in canned):
            return canned
        for value in canned:
            _return_large_buffers(value, rest)
        return kind([uncan(value, g) for value in canned])
    if kind is dict and len(canned) < ITEMS_MAX:
        restored = {}
        keys = sorted(canned) if any(isinstance(value, CannedObject) for value in canned.values()) else canned
        for key in keys:
            _return_large_buffers(canned[key], rest)
            restored[key] = uncan(canned[key], g)
        return restored
    _return_large_buffers(canned, rest)
    return uncan(canned, g)


def deserialize(buffers, namespace=None):
    """Restores the object at the front of `buffers` (bytes or memoryviews). Returns it and the buffers behind it."""
    rest = list(buffers)
    return _deserialize(rest, namespace), rest


@functools.lru_cache(CACHE_ENTRIES)
def apply_info(argument_count, buffer_count, keywords):
    """The buffer between a request's function and its arguments."""
    info = {"nargs": argument_count, "narg_bufs": buffer_count, "kw_keys": list(keywords)}
    return pickle.dumps(info, PROTOCOL)


def pack_apply(f, args=(), kwargs={}):
    """The buffers of an apply_request: the function, a count of what follows, positional and keyword arguments."""
    argument_buffers = []
    for value in args:
        argument_buffers += serialize(value)
    keywords = sorted(kwargs)
    buffers = serialize(f)
    buffers.append(apply_info(len(args), len(argument_buffers), tuple(keywords)))
    buffers += argument_buffers
    for key in keywords:
        buffers += serialize(kwargs[key])
    return buffers


_info_cache = {}


def _load_info(data):
    data = bytes(data)
    info = _info_cache.get(data)
    if info is None:
        info = pickle.loads(data)
        if len(_info_cache) >= CACHE_ENTRIES:
            _info_cache.clear()
        _info_cache[data] = info
    return info


def unpack_apply(buffers, namespace=None):
    """Returns (f, args, kwargs) of an apply_request's buffers. Raises ValueError where they are not such."""
    rest = list(buffers)
    if len(rest) < 2:
        raise ValueError("an apply_request has at least two buffers: the function and the count of its arguments")
    f = _deserialize(rest, namespace)
    if not rest:
        raise ValueError("an apply_request's function is not followed by the count of its arguments")
    info = _load_info(rest.pop(0))
    keyword_buffers = len(rest) - info["narg_bufs"]
    args = tuple([_deserialize(rest, namespace) for _ in range(info["nargs"])])
    if len(rest) != keyword_buffers:
        raise ValueError(f"an apply_request's arguments have other buffers than the {info['narg_bufs']} it announces")
    kwargs = {key: _deserialize(rest, namespace) for key in info["kw_keys"]}
    if rest:
        raise ValueError(f"an apply_request has {len(rest)} buffers that belong to no argument")
    return f, args, kwargs
