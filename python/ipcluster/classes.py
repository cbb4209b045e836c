"""Classes of `__main__` under Python's own pickle: their parts are sent, and they are made again from these.

A method that calls super() has its class in a cell, so a class leads back to itself. Among objects that are canned together, a class or cell is
canned once. When they are restored, a cell is made before its contents.

Thread: any.
"""

import collections
import enum
import functools
import pickle
import threading
from types import CellType

from ipcluster.canned import CANNERS, SCALARS, CannedObject, can, uncan

_begun = threading.local()


def _once(kind, obj):
    """`kind(obj)`, the same for the same object among all that are canned together."""
    memo = getattr(_begun, "memo", None)
    outermost = memo is None
    if outermost:
        memo = _begun.memo = {}
    try:
        canned = memo.get(id(obj))
        if canned is None:
            canned = memo[id(obj)] = kind.__new__(kind)
            canned.__init__(obj)
        return canned
    finally:
        if outermost:
            _begun.memo = None


def can_cell(cell):
    return _once(CannedCell, cell)


def can_class(cls, in_cell=False):
    if cls.__module__ != "__main__":
        return cls
    canned = _once(
        CannedNamedTuple if cls.__bases__ == (tuple,) and hasattr(cls, "_field_defaults") else CannedClass, cls
    )
    if not (in_cell or canned.finished):
        _refuse(cls, "it leads back to itself, and not by its methods' super()")
    return canned


CANNERS.update({CellType: can_cell, type: can_class})


def _refuse(cls, why):
    raise pickle.PicklingError(
        f"the class {cls.__qualname__} of __main__ cannot be sent: {why}; try view.use_cloudpickle(), or put the class into a module that "
        "engines can import"
    ) from (why if isinstance(why, Exception) else None)


class CannedCell(CannedObject):
    cell = None  # what has been restored of it

    def __init__(self, cell):
        contents = cell.cell_contents
        of_class = isinstance(contents, type) and type in CANNERS
        self.cell_contents = can_class(contents, in_cell=True) if of_class else can(contents)

    def get_object(self, g=None):
        if self.cell is None:
            self.cell = CellType()
            waiting = getattr(self.cell_contents, "waiting", None)
            if waiting is None:
                self.cell.cell_contents = uncan(self.cell_contents, g)
            else:  # for a class that is being made
                waiting.append(self.cell)
        return self.cell


# Objects that are made of functions and cannot be pickled: the arguments that make another one.
_PARTS = {
    property: lambda obj: (obj.fget, obj.fset, obj.fdel, obj.__doc__),
    classmethod: lambda obj: (obj.__func__,),
    staticmethod: lambda obj: (obj.__func__,),
    functools.cached_property: lambda obj: (obj.func,),
}


class CannedDescriptor(CannedObject):
    def __init__(self, obj):
        self.kind = type(obj)
        self.parts = [can(part) for part in _PARTS[self.kind](obj)]

    def get_object(self, g=None):
        return self.kind(*[uncan(part, g) for part in self.parts])


def _can_attributes(cls, attributes):
    """Canned attributes. All can be pickled."""
    from ipcluster.canning import dumps

    canned = {
        name: CannedDescriptor(value) if type(value) in _PARTS else can(value) for name, value in attributes.items()
    }
    for name, value in canned.items():
        if value is attributes[name] and type(value) not in SCALARS:
            try:
                dumps(value)
            except Exception as error:
                _refuse(cls, f"its attribute {name} cannot be pickled ({error})")
    return canned


def _own_attributes(cls):
    """The attributes that must be sent: not those that type, ABCMeta and EnumMeta make by themselves."""
    made = {"__dict__", "__weakref__", "__abstractmethods__", "_abc_impl"}
    members = {}
    if isinstance(cls, enum.EnumMeta):
        members = {name: member.value for name, member in cls.__members__.items()}
        without_members = type(cls)(cls.__name__, cls.__bases__, type(cls).__prepare__(cls.__name__, cls.__bases__))
        made.update(members, vars(without_members).keys() - {"__doc__", "__module__"})
    attributes = {
        name: value
        for name, value in vars(cls).items()
        if name not in made and getattr(value, "__objclass__", None) is not cls  # a descriptor of __slots__
    }
    return {**members, **attributes, "__qualname__": cls.__qualname__}


class CannedClass(CannedObject):
    finished = False
    cls = None  # what has been restored of it

    def __init__(self, cls):
        self.name = cls.__name__
        self.old_style = False
        self.buffers = []
        self.metaclass = can(type(cls))
        self.parents = [can(parent) for parent in cls.__bases__]
        attributes = _own_attributes(cls)
        self.itself = [name for name, value in attributes.items() if value is cls]
        self._canned_dict = _can_attributes(
            cls, {name: value for name, value in attributes.items() if value is not cls}
        )
        self.finished = True

    def get_object(self, g=None):
        if self.cls is None:
            self.waiting = []
            parents = tuple(uncan(parent, g) for parent in self.parents)
            attributes = {name: uncan(value, g) for name, value in self._canned_dict.items()}
            self.cls = _make(uncan(getattr(self, "metaclass", type), g), self.name, parents, attributes)
            for name in getattr(self, "itself", ()):
                setattr(self.cls, name, self.cls)
            for cell in self.waiting:
                cell.cell_contents = self.cls
            self.waiting = None
        return self.cls


def _make(metaclass, name, parents, attributes):
    """A metaclass of `__main__` has done its work on the class already: here only a library's metaclass is called."""
    library = next(kind for kind in metaclass.__mro__ if kind.__module__ != "__main__")
    namespace = library.__prepare__(name, parents)
    for key, value in attributes.items():  # one by one: an enumeration's namespace checks each
        namespace[key] = value
    cls = library.__new__(metaclass, name, parents, namespace)
    library.__init__(cls, name, parents, namespace)
    return cls


class CannedNamedTuple(CannedObject):
    """What collections.namedtuple or typing.NamedTuple has made."""

    finished = False
    cls = None

    def __init__(self, cls):
        bare = vars(collections.namedtuple(cls.__name__, cls._fields))
        self.name = cls.__name__
        self.fields = cls._fields
        self.defaults = [can(value) for value in cls._field_defaults.values()]
        self.attributes = _can_attributes(
            cls,
            {name: value for name, value in vars(cls).items() if name not in bare or name in ("__doc__", "__module__")},
        )
        self.finished = True

    def get_object(self, g=None):
        if self.cls is None:
            self.cls = collections.namedtuple(
                self.name, self.fields, defaults=[uncan(value, g) for value in self.defaults]
            )
            for name, value in self.attributes.items():
                setattr(self.cls, name, uncan(value, g))
        return self.cls
