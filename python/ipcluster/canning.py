"""Canning: Python objects to message buffers and back, byte for byte as ipyparallel's engines and clients understand them.

The pickles name ipyparallel's classes (ipyparallel.serialize.canning.CannedFunction and friends), so that either side may be
ipyparallel, but nothing of it is imported: while pickling, our classes are written under those names, and while
unpickling, those names are read as our classes.

Thread: any; the caches are dictionaries that are only added to or emptied.
"""

import builtins
import functools
import importlib
import io
import pickle
import re
import sys
from types import CodeType, FunctionType, SimpleNamespace

from ipcluster import bytecode

# Code that imports ipyparallel.serialize in an engine gets all of it.
from ipcluster.canned import (
    CANNERS,
    SCALARS,
    SWITCHES,
    WIRE_CANNING,
    CannedArray,
    CannedBytes,
    CannedFunction,
    CannedMemoryView,
    CannedObject,
    CannedPartial,
    Reference,
    by_code,
    can,
    can_dict,
    can_function,
    check_dependency_of,
    dependent,
    interactive,
    plain_attributes,
    uncan,
    uncan_dict,
)
from ipcluster.classes import CannedCell, CannedClass, CannedDescriptor, CannedNamedTuple, can_class

PROTOCOL = pickle.DEFAULT_PROTOCOL
BUFFER_BYTES = 1024  # larger buffers travel as frames of their own (jupyter_client.session.MAX_BYTES)
ITEMS_MAX = 64  # longer containers are pickled without looking inside (jupyter_client.session.MAX_ITEMS)
PLAIN_BYTES = 32  # a pickle of so few has no room for a name that ipyparallel has and we have not, nor for a function
CACHE_ENTRIES = 256

_WIRE_PACKAGE = b"ipyparallel"
_WIRE_CODE = "ipyparallel.serialize.codeutil"
_WIRE_DEPENDENCY = "ipyparallel.controller.dependency"

_SEQUENCES = frozenset({list, tuple, set})


# Pickling under ipyparallel's names


class _WireModule:
    """Stands for a module of ipyparallel. The reader of the pickle finds it by name."""

    def __init__(self, name):
        self.name = name


class _WireName:
    """Stands for a function of ipyparallel."""

    def __init__(self, module, name):
        self.module = module
        self.name = self.__name__ = name

    def __call__(self, *args):
        raise TypeError(f"{self.name} is only a name here")


_canning_module = _WireModule(WIRE_CANNING)
_code_constructor = _WireName(_WireModule(_WIRE_CODE), "code_ctor")
_WIRE_CLASSES = {
    cls: _canning_module
    for cls in (
        CannedObject, Reference, CannedCell, CannedFunction, CannedPartial, CannedClass, CannedDescriptor, CannedNamedTuple,
        CannedArray, CannedBytes, CannedMemoryView,
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


def _reduce_cached_property(obj):
    return functools.cached_property, (obj.func,), {"attrname": obj.attrname}


def _reduce_type_variable(obj):
    if obj.__module__ != "__main__":
        return NotImplemented
    how = {"bound": obj.__bound__, "covariant": obj.__covariant__, "contravariant": obj.__contravariant__}
    return functools.partial(type(obj), obj.__name__, *obj.__constraints__, **how), ()


def _reduce_to_name(obj):
    return next(name for name, value in vars(sys.modules[obj.__module__]).items() if value is obj)


# Parts of classes that pickle does not know, or that must be found by their name to be the same.
_PARTS_OF_CLASSES = {
    "mappingproxy": lambda obj: (_WireName(_WireModule("types"), "MappingProxyType"), (dict(obj),)),
    "_abc_data": lambda obj: (bool, ()),  # ABCMeta makes another
    "cached_property": _reduce_cached_property,
    "TypeVar": _reduce_type_variable,
    "_FIELD_BASE": _reduce_to_name,
    "_MISSING_TYPE": _reduce_to_name,
    "_HAS_DEFAULT_FACTORY_CLASS": _reduce_to_name,
    "_KW_ONLY_TYPE": _reduce_to_name,
}
_THEIR_MODULES = frozenset({"builtins", "_abc", "functools", "typing", "dataclasses"})


def _reduce(obj):
    """How objects that ipyparallel has under other names are pickled."""
    kind = type(obj)
    if kind is type:
        module = _WIRE_CLASSES.get(obj)
        return NotImplemented if module is None else (getattr, (module, obj.__name__))
    if kind is CodeType:
        return _code_constructor, tuple([getattr(obj, name) for name in _CODE_ATTRIBUTES])
    if kind is memoryview:  # of an array in a closure, or deep in a container
        return memoryview, (bytearray(obj.tobytes()),)
    if kind is _WireModule:
        return importlib.import_module, (obj.name,)
    if kind is _WireName:
        return getattr, (obj.module, obj.name)
    if kind.__name__ in _PARTS_OF_CLASSES and kind.__module__ in _THEIR_MODULES:
        return _PARTS_OF_CLASSES[kind.__name__](obj)
    return NotImplemented


class _WirePickler(pickle.Pickler):
    def reducer_override(self, obj):
        return _reduce(obj)


def dumps(obj):
    file = io.BytesIO()
    file.write(bytecode.MARK)
    _pickler(file, PROTOCOL).dump(obj)
    return file.getvalue()


_OUR_NAMES = {(module.name, cls.__name__): cls for cls, module in _WIRE_CLASSES.items()}
_OUR_NAMES[WIRE_CANNING, "CannedBuffer"] = CannedMemoryView
_OUR_NAMES[WIRE_CANNING, "_uncan_dependent_hook"] = check_dependency_of


class _OurModule:
    """What a pickle gets when it imports one of ipyparallel's modules: our classes under its names."""

    def __init__(self, name):
        self.__name__ = name

    def __getattr__(self, name):
        if (self.__name__, name) in _OUR_NAMES:
            return _OUR_NAMES[self.__name__, name]
        return getattr(importlib.import_module(self.__name__), name)


def _import_module(make_code, name):
    if name == _WIRE_CODE:
        return SimpleNamespace(code_ctor=make_code)
    if name in (WIRE_CANNING, _WIRE_DEPENDENCY):
        return _OurModule(name)
    return importlib.import_module(name)


def _globals_of(module):
    """What dill names as the globals of a function that it sends: none if ipyparallel is not there."""
    try:
        return importlib.import_module(module).__dict__
    except ModuleNotFoundError:
        return {"__name__": module, "__builtins__": builtins}


_STAND_IN_MODULES = frozenset({"ipyparallel.util", "ipyparallel.client.remotefunction", _WIRE_DEPENDENCY})


class _WireNames:
    """The part of an Unpickler that reads ipyparallel's names as ours, and makes no function from another Python's code."""

    make_code = CodeType

    def find_class(self, module, name):
        if module == "importlib" and name == "import_module":
            # Not a method of this object: an unpickler keeps what is returned here, so it would keep itself and all that it has read.
            return functools.partial(_import_module, self.make_code)
        if module == _WIRE_CODE and name == "code_ctor":
            return self.make_code
        if self.make_code is not CodeType and (module, name) in bytecode.CHECKED:
            return bytecode.CHECKED[module, name](super().find_class(module, name))
        if name == "__dict__" and module.startswith("ipyparallel."):
            return _globals_of(module)
        ours = _OUR_NAMES.get((module, name))
        if ours is None and module in _STAND_IN_MODULES:
            from ipcluster.there import STAND_INS

            ours = STAND_INS.get((module, name))
        return super().find_class(module, name) if ours is None else ours


class _WireUnpickler(_WireNames, pickle.Unpickler):
    pass


_mentions_wire = re.compile(_WIRE_PACKAGE).search
_mentions_function = re.compile(b"e_function").search  # cloudpickle's _make_function, dill's _create_function


def loads(data):
    if _mentions_wire(data) is None and _mentions_function(data) is None:
        return _plain_loads(data)
    unpickler = _unpickler(io.BytesIO(data))
    unpickler.make_code = bytecode.constructor(bytecode.python_of(data))
    return unpickler.load()


# Which pickle is used. Others than Python's take functions by value, in their own way.

_pickler, _unpickler, _plain_loads = _WirePickler, _WireUnpickler, pickle.loads


def _use(pickler, unpickler, loads):
    global _pickler, _unpickler, _plain_loads, _last_call
    _pickler, _unpickler, _plain_loads = pickler, unpickler, loads
    for kind, canner in ((FunctionType, can_function), (type, can_class)):
        if pickler is _WirePickler:
            CANNERS[kind] = canner
        else:
            CANNERS.pop(kind, None)
    _canned_cache.clear()
    _last_call = (None, None, 0)


def _subclasses(pickler, unpickler):
    """The pickler and unpickler of another package, with ipyparallel's names as ours."""

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
    """Sends functions and objects with dill from now on; it can send closures, methods and lambdas.

    Raises:
        ImportError: dill is missing.
    Example:
        >>> ipcluster.use_dill()
        >>> ipcluster.use_pickle()
    """
    import dill

    _use(*_subclasses(dill.Pickler, dill.Unpickler), dill.loads)


def use_cloudpickle():
    """Sends functions and objects with cloudpickle from now on; it can send closures, methods and lambdas.

    Raises:
        ImportError: cloudpickle is missing.
    Example:
        >>> ipcluster.use_cloudpickle()
        >>> ipcluster.use_pickle()
    """
    import cloudpickle

    _use(*_subclasses(cloudpickle.CloudPickler, pickle.Unpickler), pickle.loads)


def use_pickle():
    """Sends functions and objects with Python's pickle again.

    Example:
        >>> ipcluster.use_pickle()
    """
    _use(_WirePickler, _WireUnpickler, pickle.loads)


SWITCHES.update(use_dill=use_dill, use_cloudpickle=use_cloudpickle, use_pickle=use_pickle)
_OUR_NAMES.update({(WIRE_CANNING, name): function for name, function in SWITCHES.items()})


def switch_there(name):
    """use_dill and the like, as the engine's own function: ours, or ipyparallel's."""
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
    """An object that is sent several times and serialised once.

    Args:
        obj: the object.
    Example:
        >>> table = ipcluster.PrePickled(list(range(1000)))
        >>> view.apply_sync(len, table)
        [1000, 1000, 1000, 1000]
    """

    def __init__(self, obj):
        self.buffers = serialize(obj)
        self.__name__ = getattr(obj, "__name__", type(obj).__name__)


_function_cache = {}


def _serialize_function(f):
    """Functions without state of their own are kept by their code."""
    if f.__defaults__ or f.__kwdefaults__ or f.__annotations__ or f.__closure__ or (f.__dict__ and plain_attributes(f)):
        return None
    key = (f.__code__, f.__module__, f.__name__)
    data = _function_cache.get(key)
    if data is None:
        data = dumps(CannedFunction(f))
        if len(_function_cache) >= CACHE_ENTRIES:
            _function_cache.clear()
        _function_cache[key] = data
    return [data]


def _in_order(mapping):
    """The keys in the order in which large buffers travel; None if they have no order."""
    try:
        return sorted(mapping)
    except TypeError:
        return None


def serialize(obj):
    """Returns the buffers in which `obj` travels: a pickle, and its large buffers without a copy."""
    kind = type(obj)
    if kind in SCALARS:
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
        if SCALARS.issuperset(map(type, values)):
            return [pickle.dumps(obj, PROTOCOL)]
    large = []
    if kind in _SEQUENCES and len(obj) < ITEMS_MAX:
        canned = [can(value) for value in obj]
        for value in canned:
            _take_large_buffers(value, large)
        # A set of canned objects is read back in another order: large buffers would come to the wrong ones, so it is pickled whole.
        canned = canned if kind is list else kind(canned)
        if kind is set and large:
            return [dumps(obj)]
    elif kind is dict and len(obj) < ITEMS_MAX and (keys := _in_order(obj)) is not None:
        canned = {}
        for key in keys:
            canned[key] = can(obj[key])
            _take_large_buffers(canned[key], large)
    else:
        canned = can(obj)
        _take_large_buffers(canned, large)
    return [dumps(canned), *large]


_canned_cache = {}


def _load_canned(data):
    """Unpickles; a constant function that comes again is not unpickled again."""
    if type(data) is not bytes:
        return loads(data)
    if len(data) <= PLAIN_BYTES:
        return _plain_loads(data)
    canned = _canned_cache.get(data)
    if canned is None:
        canned = loads(data)
        if type(canned) is CannedFunction and canned.is_constant():
            if len(_canned_cache) >= CACHE_ENTRIES:
                _canned_cache.clear()
            _canned_cache[data] = canned
    return canned


def _deserialize(rest, g):
    """Removes one object's buffers from the front of the list `rest`, and returns the object."""
    canned = _load_canned(rest.pop(0))
    kind = type(canned)
    if kind in SCALARS:
        return canned
    if kind is CannedFunction:
        return canned.get_object(g)  # it has no large buffers
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
    """Restores the object at the front of `buffers` (bytes or memoryviews). Returns it and the buffers after it."""
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
    info = _info_cache.get(data) if type(data) is bytes else None
    if info is None:
        data = bytes(data)
        info = pickle.loads(data)
        if len(_info_cache) >= CACHE_ENTRIES:
            _info_cache.clear()
        _info_cache[data] = info
    return info


# The call that came last, if it was that of a constant function without keywords: the buffers before its arguments, the function, and the number of
# arguments. So a call like it, but with other small arguments, is read without a look at what is the same.
_last_call = (None, None, 0)


def _note_call(buffers, info):
    global _last_call
    canned = _canned_cache.get(buffers[0]) if type(buffers[0]) is bytes else None
    if canned is not None and not info["kw_keys"]:
        _last_call = (list(buffers[:2]), canned, info["nargs"])


def unpack_apply(buffers, namespace=None):
    """Returns (f, args, kwargs) of an apply_request's buffers, a list. Raises ValueError if they are not valid."""
    head, canned, count = _last_call
    if buffers[:2] == head:
        arguments = buffers[2:]
        if len(arguments) == count and max(map(len, arguments), default=0) <= PLAIN_BYTES:
            return canned.get_object(namespace), list(map(_plain_loads, arguments)), {}
    rest = list(buffers)
    if len(rest) < 2:
        raise ValueError("an apply_request has at least two buffers: the function and the count of its arguments")
    f = _deserialize(rest, namespace)
    if not rest:
        raise ValueError("an apply_request's function is not followed by the count of its arguments")
    info = _load_info(rest.pop(0))
    keyword_buffers = len(rest) - info["narg_bufs"]
    args = [_deserialize(rest, namespace) for _ in range(info["nargs"])] if info["nargs"] else ()
    if len(rest) != keyword_buffers:
        raise ValueError(f"an apply_request's arguments have other buffers than the {info['narg_bufs']} it announces")
    kwargs = {key: _deserialize(rest, namespace) for key in info["kw_keys"]} if info["kw_keys"] else {}
    if rest:
        raise ValueError(f"an apply_request has {len(rest)} buffers that belong to no argument")
    _note_call(buffers, info)
    return f, args, kwargs
