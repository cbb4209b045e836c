"""Canned objects: the form in which functions, references, classes and arrays travel, with the attributes of ipyparallel's.

Thread: any.
"""

import builtins
import copy
import functools
import importlib
import sys
from types import CodeType, FunctionType, SimpleNamespace

WIRE_CANNING = "ipyparallel.serialize.canning"
SCALARS = frozenset({int, float, bool, complex, str, type(None), range})
SWITCHES = {}  # ours for ipyparallel's functions that change how an engine pickles, by name


def interactive(f):
    """Decorator: the function's globals are the engine's namespace, as if it was typed there.

    Args:
        f (callable): the function.
    Returns:
        The function.
    Example:
        >>> @ipcluster.interactive
        ... def f():
        ...     return x + 1
        >>> view["x"] = 1
        >>> view.apply_sync(f)
        [2, 2, 2, 2]
    """
    if isinstance(f, FunctionType):
        main = sys.modules["__main__"]
        defaults, kwdefaults = f.__defaults__, f.__kwdefaults__
        f = FunctionType(f.__code__, main.__dict__, f.__name__, defaults)
        f.__kwdefaults__ = kwdefaults
    f.__module__ = "__main__"
    return f


def by_code(f):
    """Decorator: the function is sent as its code, also if dill or cloudpickle sends other functions: these would give it its own globals."""
    f._travels_by_code = by_code
    return f


# Canned objects. Their attributes are ipyparallel's, because the attributes travel.


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
    """An argument that is a name or expression; it is evaluated on the engine.

    Args:
        name (str): the name or expression.
    Raises:
        TypeError: it is not a text.
    Example:
        >>> view["x"] = -1
        >>> view.apply_sync(abs, ipcluster.Reference("x"))
        [1, 1, 1, 1]
    """

    def __init__(self, name):
        if not isinstance(name, str):
            raise TypeError(f"a Reference takes the name as a string, not {name!r}")
        self.name = name
        self.buffers = []

    def __repr__(self):
        return f"<Reference: {self.name!r}>"

    def get_object(self, g=None):
        return eval(self.name, {} if g is None else g)


def _function_globals(module, g):
    """The globals for a function that was defined in `module`: the module's, or the engine's namespace."""
    if module.startswith("__"):
        return {} if g is None else g
    if module in ("ipyparallel.util", "ipyparallel.client.remotefunction", "ipyparallel.client.view"):
        # The functions of an ipyparallel client's push, pull and map: they need no more than this.
        shell = SimpleNamespace(user_global_ns=g, user_ns=g)
        return {"__builtins__": builtins, "__name__": module, "get_ipython": lambda: shell}
    if module == WIRE_CANNING:
        return globals()
    found = sys.modules.get(module)
    return (importlib.import_module(module) if found is None else found).__dict__


def _home_of(f):
    """The module whose names a function uses. After functools.wraps a function names the other function's module as its own."""
    if f.__dict__ and "__wrapped__" in f.__dict__ and f.__module__ == getattr(f.__wrapped__, "__module__", None):
        name = f.__globals__.get("__name__")
        if vars(sys.modules.get(name, f)) is f.__globals__:
            return name
    return f.__module__ or "__main__"


def plain_attributes(f):
    """The small attributes that were set on a function, as abc.abstractmethod sets one."""
    return {name: value for name, value in f.__dict__.items() if type(value) in SCALARS}


class ForeignCode(CannedObject):
    """What is left of a code object that another Python has compiled: that Python's name, or None."""

    def __init__(self, python):
        self.python = python

    def get_object(self, g=None):
        from ipcluster.bytecode import PYTHON, WHAT_HELPS
        from ipcluster.error import VersionError

        raise VersionError(
            f"a function that was compiled by {self.python or 'another version of Python'} cannot run in {PYTHON}: {WHAT_HELPS}"
        )


def _is_as_made(f, code):
    """Whether nothing was done to a function that was made of its code alone."""
    return f.__code__ is code and not f.__dict__ and f.__defaults__ is None and f.__kwdefaults__ is None


class CannedFunction(CannedObject):
    made = None  # the function, if it is made of its code and the engine's namespace alone: so it is made once

    def __init__(self, f):
        self.code = f.__code__
        if hasattr(f, "_travels_by_code"):
            self.there = f.__name__
        self.defaults = [can(value) for value in f.__defaults__] if f.__defaults__ else None
        self.kwdefaults = can_dict(f.__kwdefaults__) if f.__kwdefaults__ else None
        self.annotations = can_dict(f.__annotations__) if f.__annotations__ else None
        self.closure = tuple(can(cell) for cell in f.__closure__) if f.__closure__ else None
        self.module = _home_of(f)
        self.__name__ = f.__name__
        self.buffers = []
        if f.__dict__ and (attributes := plain_attributes(f)):
            self.attributes = attributes

    def is_constant(self):
        """True if it always restores to the same function, so that it can be kept."""
        return not (self.defaults or self.kwdefaults or self.annotations or self.closure)

    def get_object(self, g=None):
        made = self.made
        if made is not None and made.__globals__ is g and _is_as_made(made, self.code):
            return made
        if self.module == WIRE_CANNING and self.__name__ in SWITCHES:
            return SWITCHES[self.__name__]
        if type(self.code) is not CodeType:
            return self._stand_in(g)
        namespace, g = g, _function_globals(self.module, g)
        defaults = _uncan_all(self.defaults, g) if self.defaults else None
        closure = _uncan_all(self.closure, g) if self.closure else None
        f = FunctionType(self.code, g, self.__name__, defaults, closure)
        if self.kwdefaults:
            f.__kwdefaults__ = uncan_dict(self.kwdefaults, g)
        if self.annotations:
            f.__annotations__ = uncan_dict(self.annotations, g)
        if hasattr(self, "attributes"):
            f.__dict__.update(self.attributes)
        elif g is namespace and self.is_constant():
            self.made = f
        return f

    def _stand_in(self, g):
        """Data goes from any Python to any. If the client library's functions for push, pull and map came in another Python's code, ours are
        used."""
        from ipcluster import there

        name = getattr(self, "there", None)
        f = getattr(there, name, None) if name else there.STAND_INS.get((self.module, self.__name__))
        if f is None:
            return self.code.get_object()
        return FunctionType(f.__code__, {} if g is None else g, f.__name__)


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
        """Makes an argument's buffers buffers of this object, so that large ones become frames. Returns how many."""
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


class CannedArray(CannedObject):
    def __init__(self, array):
        from numpy import ascontiguousarray

        dtype = array.dtype
        self.shape = array.shape
        self.dtype = dtype if dtype.fields else dtype.str  # a description of fields has no offsets
        self.pickled = sum(array.shape) == 0 or dtype.hasobject
        if not self.pickled:
            try:
                self.buffers = [memoryview(ascontiguousarray(array))]
            except ValueError:  # dates and others have no buffer interface
                self.pickled = True
        if self.pickled:
            from ipcluster.canning import dumps

            self.buffers = [dumps(array)]

    def get_object(self, g=None):
        from numpy import frombuffer

        if self.pickled:
            from ipcluster.canning import loads

            return loads(self.buffers[0])
        data = self.buffers[0]
        # Arrays can be written to. Bytes are small here; larger buffers are memory of their own message.
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
    """A function that runs only on engines where a test does not return False; `depend` makes it.

    Args:
        f (callable): the function.
        df (callable): the test.
        dargs: its positional arguments.
        dkwargs: its keyword arguments.
    Example:
        >>> balanced.apply_sync(ipcluster.dependent(abs, lambda: True), -1)
        1
    """

    def __init__(self, f, df, /, *dargs, **dkwargs):
        self.f = f
        self.__name__ = getattr(f, "__name__", "f")
        self.df = df
        self.dargs = dargs
        self.dkwargs = dkwargs

    def check_dependency(self):
        """Calls the test, on the engine.

        Raises:
            UnmetDependency: it returns False.
        Example:
            >>> ipcluster.dependent(abs, lambda: True).check_dependency()
        """
        if self.df(*self.dargs, **self.dkwargs) is False:
            from ipcluster.error import UnmetDependency

            raise UnmetDependency()
        if getattr(self.df, "__name__", None) in ("require_names", "_require"):  # ours, and ipyparallel's
            self._bind_required()

    def _bind_required(self):
        """Binds what @require has bound also in the function's globals: with cloudpickle and dill, functions have their own globals."""
        f = self.f
        while isinstance(f, dependent):
            f = f.f
        namespace = getattr(f, "__globals__", {})
        for name in (*(module.partition(".")[0] for module in self.dargs), *self.dkwargs):
            namespace[name] = self.df.__globals__[name]

    def __call__(self, *args, **kwargs):
        return self.f(*args, **kwargs)


@interactive
def check_dependency_of(dep, g=None):
    dep.check_dependency()


# Canning


def can_function(f):
    """By its code. But a function with a closure goes by its name, if its module has it under that name: a closure may lead back to the function
    (numpy's do)."""
    if f.__closure__ and f.__module__ != "__main__":
        if getattr(sys.modules.get(f.__module__), f.__qualname__, None) is f:
            return f
    return CannedFunction(f)


CANNERS = {  # and those of ipcluster.classes
    FunctionType: can_function,
    functools.partial: CannedPartial,
    bytes: CannedBytes,
    memoryview: CannedMemoryView,
    dependent: lambda obj: CannedObject(obj, ("f", "df"), check_dependency_of),
}


def can(obj):
    """The form in which an object travels.

    Args:
        obj: the object.
    Returns:
        A canned object, or the object itself if pickle can take it.
    Example:
        >>> ipcluster.can(1)
        1
    """
    kind = type(obj)
    if kind in SCALARS:
        return obj
    canner = CANNERS.get(kind)
    if canner is not None:
        return canner(obj)
    if kind.__name__ == "ndarray" and kind.__module__ == "numpy":
        CANNERS[kind] = CannedArray
        return CannedArray(obj)
    if isinstance(obj, type) and type in CANNERS:  # of a metaclass
        return CANNERS[type](obj)
    return CannedFunction(obj) if kind is FunctionType and hasattr(obj, "_travels_by_code") else obj


def can_dict(mapping):
    return {key: can(value) for key, value in mapping.items()} if type(mapping) is dict else mapping


def uncan(obj, g=None):
    """The inverse of `can()`.

    Args:
        obj: what can() returned.
        g (dict): the namespace in which references are looked up, and to which functions are bound.
    Returns:
        The object.
    Example:
        >>> ipcluster.uncan(ipcluster.can(lambda x: x + 1))(1)
        2
    """
    if isinstance(obj, CannedObject):
        return obj.get_object(g)
    if isinstance(obj, dict):
        return uncan_dict(obj, g)
    return obj


def _uncan_all(values, g):
    return tuple(uncan(value, g) for value in values)


def uncan_dict(mapping, g=None):
    if type(mapping) is not dict:
        return mapping
    return {key: uncan(value, g) for key, value in mapping.items()}
