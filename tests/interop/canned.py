"""Functions and values that a client cans, on each engine: canned.py PACKAGE CONNECTION-FILE ENGINES PEER [use_dill|use_cloudpickle].

PACKAGE is "ipcluster" or "ipyparallel". PEER is "peer" where one end is ipyparallel, which cannot can some values. Prints what went
wrong, and "N passed, M failed".
"""

import abc
import collections
import contextlib
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import importlib
import operator
import pickle
import sys
import threading
import time
import typing

import numpy

package = importlib.import_module(sys.argv[1])
Reference = package.Reference
PEER = sys.argv[4] == "peer"
SWITCH = sys.argv[5] if len(sys.argv) > 5 else None
BIG = b"x" * 100000
RECORD = numpy.dtype([("a", "i4"), ("b", "f8"), ("c", "S2")])
passed = 0
failed = []


def closure(n):
    def inner(x, y=2, *, z=3):
        return n * x + y + z

    return inner


def decorate(f):
    @functools.wraps(f)
    def wrapper(*args, **kwargs):
        return ("wrapped", f(*args, **kwargs))

    return wrapper


@decorate
def decorated(x):
    return x + 1


class Point:
    scale = 2

    def __init__(self, x):
        self.x = x

    def scaled(self):
        return self.x * self.scale


class Half(Point):
    @property
    def half(self):
        return self.x / 2

    @staticmethod
    def name():
        return "half"


class Third(Half):
    def __init__(self, x):
        super().__init__(x + 1)

    def scaled(self):
        return super().scaled() + 1

    @property
    def half(self):
        return super().half + 100

    @half.setter
    def half(self, value):
        self.x = 2 * value

    @classmethod
    def made(cls, x):
        return cls(x * 10)

    def own_class(self):
        return __class__


class Left(Third):
    def scaled(self):
        return super().scaled() + 1000


class Right(Third):
    def scaled(self):
        return super().scaled() * 2


class Both(Left, Right):
    def scaled(self):
        return super().scaled() + 1


class Slots:
    __slots__ = ("a", "b")

    def __init__(self):
        self.a, self.b = 1, 2

    def total(self):
        return self.a + self.b


class MoreSlots(Slots):
    __slots__ = ("c",)

    def total(self):
        self.c = 3
        return super().total() + self.c


class PrivateSlots:
    __slots__ = ("__hidden",)

    @property
    def b(self):
        self.__hidden = 2
        return self.__hidden


class Meta(type):
    def __new__(cls, name, bases, namespace, **keywords):
        made = super().__new__(cls, name, bases, namespace)
        made.keywords = sorted(keywords)
        return made

    def __init__(cls, name, bases, namespace, **keywords):
        super().__init__(name, bases, namespace)

    def shout(cls):
        return cls.__name__.upper()


class OfMeta(metaclass=Meta, given=1):
    def f(self):
        return 5


class MoreOfMeta(OfMeta):
    def f(self):
        return super().f() + 1


class Abstract(abc.ABC):
    @abc.abstractmethod
    def f(self):
        raise NotImplementedError

    def g(self):
        return self.f() + 1


class Concrete(Abstract):
    def f(self):
        return 41


class Outer:
    class Inner:
        class Innermost:
            value = 3

        def f(self):
            return 7

    def f(self):
        return self.Inner().f()


class Itself:
    pass


Itself.me = Itself


class Keys(dict):
    def __missing__(self, key):
        return key

    def __getitem__(self, key):
        return super().__getitem__(key)


class Problem(ValueError):
    def __init__(self, text, number):
        super().__init__(text)
        self.number = number


@dataclasses.dataclass
class Data:
    a: int
    b: list = dataclasses.field(default_factory=list)


Pair = collections.namedtuple("Pair", "a b", defaults=[5])


class TypedPair(typing.NamedTuple):
    a: int
    b: int = 5

    def total(self):
        return self.a + self.b


class Color(enum.Enum):
    RED = 1
    SCARLET = 1
    BLUE = enum.auto()

    def shout(self):
        return self.name.upper()


class Late:
    @functools.cached_property
    def value(self):
        return 9


T = typing.TypeVar("T")


class Generic(typing.Generic[T]):
    def f(self):
        return 3


def local_class(n):
    class Local(Third):
        def __init__(self):
            super().__init__(n)

    return Local


@contextlib.contextmanager
def managed(x):
    yield x + 1


def enter(manager, x):
    with manager(x) as value:
        return value


def recursive():
    def factorial(n):
        return n * factorial(n - 1) if n else 1

    return factorial


def mutually_recursive():
    def even(n):
        return n == 0 or odd(n - 1)

    def odd(n):
        return n != 0 and even(n - 1)

    return even


class Cyclic:
    class Inner:
        pass


Cyclic.Inner.outer = Cyclic


class WithLock:
    lock = threading.Lock()


class WithGenerator:
    generator = (i for i in range(3))


def annotated(x: int, y: "str" = "a") -> float:
    return (x, y)


def squares(n):
    return [i for i in (j * j for j in range(n))]


def call_default(x, f=lambda v: v + 1):
    return f(x)


def helper(x):
    return x + 1


def use_global():
    return shared + 1


def collect(*args, **kwargs):
    return args, sorted(kwargs.items())


def identity(x):
    return x


def identity_by_name(*, x):
    return x


def write(array):
    array[0] = 5
    return int(array[0])


ARRAYS = {
    "small": numpy.arange(5), "of 2 KB": numpy.arange(250), "large": numpy.arange(50000.0),
    "in Fortran's order": numpy.asfortranarray(numpy.arange(6000.0).reshape(60, 100)), "with strides": numpy.arange(20000)[::3],
    "of objects": numpy.array([1, "a", None, {"k": 2}], dtype=object), "structured": numpy.array([(1, 2.5, b"ab")], dtype=RECORD),
    "large and structured": numpy.zeros(2000, dtype=RECORD), "without members": numpy.zeros((0, 3)), "without dimensions": numpy.array(3.5),
    "of truths": numpy.array([True, False] * 1000), "complex": numpy.arange(3000) * 1j, "of texts": numpy.array(["ä", "bc"] * 1000),
    "read-only": numpy.frombuffer(BIG, "u1"), "big-endian": numpy.arange(3000, dtype=">i4"),
    "transposed": numpy.ones((10, 20, 30), "f4").transpose(2, 0, 1),
}  # fmt: skip
VALUES = {
    "None": None, "an integer": 1 << 100, "bytes": b"abc", "many bytes": BIG, "bytearray": bytearray(b"x" * 5000), "set": {1, 2, 3},
    "frozenset": frozenset("ab"), "dict": {"a": 1, "b": [b"x" * 3000, {"c": (1, 2)}]}, "tuple": (1, b"z" * 2000, [b"q" * 3000]),
    "a long list": [b"w" * 2000] * 100, "a long list of arrays": [numpy.arange(1000)] * 70, "set of bytes": {b"a" * 2000, b"b" * 2000},
    "dict of arrays": {"a": numpy.arange(1000), "b": {"c": numpy.arange(2000)}}, "OrderedDict": collections.OrderedDict(a=1),
    "defaultdict": collections.defaultdict(list, a=[1]), "deque": collections.deque([1, 2]), "decimal": decimal.Decimal("1.5"),
    "date": datetime.datetime(2020, 1, 2, tzinfo=datetime.timezone.utc), "fraction": fractions.Fraction(1, 3), "slice": slice(1, 2),
    "range": range(5), "nested": [[[[b"x" * 2000]]]], "numpy's number": numpy.float64(2.5), "nothing in a dict": {},
    "mixed": [1, "a", b"b" * 2000, None, {"x": numpy.arange(3)}],
}  # fmt: skip
if not PEER:
    ARRAYS.update(
        {"of dates": numpy.arange("2020-01", "2021-01", dtype="M8[D]"), "of durations": numpy.array([1, 2], "m8[s]")}
    )
    ARRAYS.update({"with fields that overlap": numpy.ones(2, {"names": "ab", "formats": ["i4", "i2"], "offsets": [0, 0]}),
                   "with gaps": numpy.ones(2000, numpy.dtype({"names": "ba", "formats": ["i2", "i4"], "offsets": [8, 0], "itemsize": 16})),
                   "with titles": numpy.ones(2, [(("t", "a"), "i4")])})  # fmt: skip
    VALUES.update({"keys that are no text": {1: b"y" * 2000, (1, 2): 3}, "exception": ValueError("x")})
try:
    import pandas

    FRAME = pandas.DataFrame({"a": range(2000), "b": ["x", "y"] * 1000, "c": pandas.date_range("2020", periods=2000)})
    VALUES.update({"table": FRAME, "list of tables": [FRAME], "column": FRAME["a"]})
except ImportError:
    pandas = None


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(b, numpy.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and bool(numpy.all(a == b))
    if isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(b, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in b)
    if isinstance(b, Exception):
        return repr(a) == repr(b)
    if pandas is not None and isinstance(b, (pandas.DataFrame, pandas.Series)):
        return a.equals(b)
    return a == b


def check(name, got, wanted):
    """`wanted` is a value, or a function that tells whether what was got is right."""
    global passed
    right = wanted(got) if callable(wanted) else same(got, wanted)
    if right:
        passed += 1
    else:
        failed.append(f"{name}: got {got!r:.200}, wanted {wanted!r:.200}")


def call(view, name, wanted, f, *args, **kwargs):
    try:
        check(f"{view.targets} {name}", view.apply_async(f, *args, **kwargs).get(60), wanted)
    except Exception as error:
        failed.append(f"{view.targets} {name}: {type(error).__name__} {error!s:.400}")


def functions(view):
    call(view, "closure", 17, closure(3), 4)
    call(view, "closure with keywords", 23, closure(3), 4, y=5, z=6)
    call(view, "decorated", ("wrapped", 3), decorated, 2)
    call(view, "partial", 8, functools.partial(pow, 2), 3)
    call(view, "partial of a closure", 14, functools.partial(closure(3), y=7, z=1), 2)
    call(
        view,
        "partial with an array",
        3.0,
        functools.partial(lambda a, b: float(a[0] + b[0] + 1), numpy.ones(50000)),
        numpy.ones(50000),
    )
    call(view, "annotated", (1, "a"), annotated, 1)
    call(view, "generators", [0, 1, 4], squares, 3)
    call(view, "a default that is a function", 2, lambda x, f=abs: f(x), -2)
    call(view, "arguments", ((1, 2), [("a", 3), ("b", 4)]), collect, 1, 2, b=4, a=3)
    call(view, "lambda", 4, lambda x: x * x, 2)
    call(view, "built-in", 3, abs, -3)
    call(view, "of a module", 5, operator.add, 2, 3)
    call(view, "method", "ABC", str.upper, "abc")
    call(view, "bound method", "a-b", "-".join, ["a", "b"])
    call(view, "callable object", "b", operator.itemgetter(1), "abc")
    call(view, "ufunc", lambda got: float(got) == 3.0, numpy.sqrt, 9.0)
    call(view, "class", 10, lambda c: c(5).scaled(), Point)
    if SWITCH:
        call(view, "property", 2.5, lambda c: c(5).half, Half)
        call(view, "static method", "half", lambda c: c.name(), Half)
    call(view, "interactive", 5, package.interactive(lambda x: x + 1), 4)
    call(view, "functions in a list", [3, 4], lambda fs: [f(2) for f in fs], [lambda x: x + 1, lambda x: x * 2])
    call(view, "function in a dict", 3, lambda d: d["f"](2), {"f": lambda x: x + 1})
    call(view, "function under a number", 3, lambda d: d[1](2), {1: lambda x: x + 1, 0: b"a" * 2000})
    if package.__name__ == "ipcluster":
        call(view, "closure over an array", 3.0, (lambda a: lambda: float(a.sum()))(numpy.ones(3)))
        call(view, "closure over a large array", 5e4, (lambda a: lambda: float(a.sum()))(numpy.ones(50000)))
    call(view, "function returned", lambda got: got(2) == 3, lambda: lambda x: x + 1)
    call(view, "closure returned", lambda got: got(2) == 7, lambda n: lambda x: x + n, 5)


def classes(view):
    call(view, "classes: super()", 13, lambda c: c(5).scaled(), Third)
    call(view, "classes: super() of a diamond", 1027, lambda c: c(5).scaled(), Both)
    call(
        view,
        "classes: bases that are one",
        True,
        lambda c: c.__bases__[0].__bases__[0] is c.__bases__[1].__bases__[0],
        Both,
    )
    call(view, "classes: property", 103.0, lambda c: c(5).half, Third)
    call(view, "classes: setter", 8, lambda c: (lambda o: (setattr(o, "half", 4), o.x)[1])(c(1)), Third)
    call(view, "classes: class method", 51, lambda c: c.made(5).x, Third)
    call(view, "classes: static method", "half", lambda c: c.name(), Third)
    call(view, "classes: __class__", True, lambda c: c(5).own_class() is c, Third)
    call(view, "classes: isinstance", True, lambda c: isinstance(c(1), c.__mro__[1]), Third)
    call(view, "classes: slots", (3, False), lambda c: (c().total(), hasattr(c(), "__dict__")), Slots)
    call(view, "classes: slots of a base", (6, False), lambda c: (c().total(), hasattr(c(), "__dict__")), MoreSlots)
    call(view, "classes: metaclass", ("OFMETA", 5), lambda c: (c.shout(), c().f()), OfMeta)
    call(view, "classes: metaclass of a base", ("MOREOFMETA", 6), lambda c: (c.shout(), c().f()), MoreOfMeta)
    call(view, "classes: of an abstract one", 42, lambda c: c().g(), Concrete)
    call(view, "classes: abstract", (["f"], ["f"], True), abstract_methods, Abstract)
    call(view, "classes: nested", (7, 3), lambda c: (c().f(), c.Inner.Innermost.value), Outer)
    call(view, "classes: of a dict", (1, "z"), lambda c: (c(a=1)["a"], c()["z"]), Keys)
    call(view, "classes: of an exception", (("a",), 2), lambda c: (c("a", 2).args, c("a", 2).number), Problem)
    call(view, "classes: dataclass", (True, "Data(a=2, b=[])"), lambda c: (c(1) == c(1), repr(c(2))), Data)
    call(view, "classes: named tuple", 7, lambda c: c(2).a + c(2).b, Pair)
    call(view, "classes: cached property", 9, lambda c: c().value, Late)
    call(view, "classes: generic", 3, lambda c: c[int]().f(), Generic)
    call(view, "classes: local", 78, lambda c: c().x, local_class(77))
    call(view, "classes: in a list", 13, lambda cs: cs[1](5).scaled(), [Point, Third])
    call(view, "classes: closed over", 13, (lambda c: lambda x: c(x).scaled())(Third), 5)
    call(view, "classes: default", 13, lambda x, c=Third: c(x).scaled(), 5)
    call(view, "classes: returned", lambda got: got(5).scaled() == 13, lambda c: c, Third)
    call(view, "recursive", 120, recursive(), 5)
    call(view, "mutually recursive", False, mutually_recursive(), 7)
    call(view, "of a decorator of another module", 6, enter, managed, 5)
    if SWITCH != "use_cloudpickle":  # Debian 12's does not send the place where a class is defined
        call(
            view,
            "classes: where it is defined",
            ("Outer.Inner", "__main__"),
            lambda c: (c.Inner.__qualname__, c.Inner.__module__),
            Outer,
        )
    if SWITCH != "use_dill":  # Debian 12's sends none of these
        call(view, "classes: private slots", 2, lambda c: c().b, PrivateSlots)
        call(view, "classes: keywords of a metaclass", ["given"], lambda c: c.keywords, OfMeta)
        call(view, "classes: with itself in it", True, lambda c: c.me is c, Itself)
        call(view, "classes: enumeration", ("RED", "BLUE"), lambda c: (c.RED.shout(), c(2).name), Color)
    if not SWITCH:
        call(
            view,
            "classes: typed named tuple",
            (7, {"a": int, "b": int}),
            lambda c: (c(2).total(), c.__annotations__),
            TypedPair,
        )
        call(
            view,
            "classes: enumeration with two names",
            ["RED", "SCARLET", "BLUE"],
            lambda c: list(c.__members__),
            Color,
        )
        for cls in (Cyclic, WithLock, WithGenerator):
            try:
                view.apply_async(identity, cls)
            except pickle.PicklingError as error:
                check(
                    f"refused {cls.__name__}",
                    f"the class {cls.__name__} of __main__ cannot be sent" in str(error),
                    True,
                )
            else:
                failed.append(f"{cls.__name__} was not refused")


def abstract_methods(cls):
    try:
        cls()
    except TypeError:
        return sorted(cls.__abstractmethods__), sorted(type(cls)("More", (cls,), {}).__abstractmethods__), True


def names(view):
    view.push({"shared": 41, "array": numpy.arange(10)}, block=True)
    check("pull", view.pull("shared", block=True), 41)
    call(view, "reference", 41, identity, Reference("shared"))
    call(view, "expression", 45, identity, Reference("int(array.sum())"))
    call(view, "reference in a list", 42, lambda x: x[0] + 1, [Reference("shared")])
    call(view, "reference in a dict", 42, lambda x: x["k"] + 1, {"k": Reference("shared")})
    if not SWITCH:
        call(view, "global", 42, use_global)
    view.scatter("part", list(range(10)), block=True)
    check("gather", list(view.gather("part", block=True)), list(range(10)))
    check("map", list(view.map_sync(closure(2), range(5))), [5, 7, 9, 11, 13])


def memory(view):
    # ipyparallel's engines cannot write to arrays that came inside of a pickle.
    for size in (400, 50000) if PEER and package.__name__ == "ipcluster" else (20, 400, 50000):
        call(view, f"writing to an array of {size}", 5, write, numpy.arange(size))
    call(view, "writing to a bytearray", 5, write, bytearray(5000))
    call(view, "memoryview", "memoryview", lambda x: type(x).__name__, memoryview(BIG))
    array = view.apply_async(lambda: __import__("numpy").arange(50000)).get(60)
    check("writing to a result", write(array), 5)


def main():
    client = package.Client(sys.argv[2])
    deadline = time.monotonic() + 60
    while len(client.ids) < int(sys.argv[3]) and time.monotonic() < deadline:
        time.sleep(0.05)
    if SWITCH:
        getattr(client[:], SWITCH)().get(60)
    for engine in client.ids:
        view = client[engine]
        functions(view)
        if not PEER:
            classes(view)
        names(view)
        memory(view)
        for name, value in {**{f"array {name}": array for name, array in ARRAYS.items()}, **VALUES}.items():
            call(view, name, value, identity, value)
            call(view, f"by keyword: {name}", value, identity_by_name, x=value)
            call(view, f"in a list: {name}", [value, 1], identity, [value, 1])
            call(view, f"in a dict: {name}", {"k": value}, identity, {"k": value})
    balanced = client.load_balanced_view()
    check("balanced map", list(balanced.map_sync(closure(2), range(5))), [5, 7, 9, 11, 13])
    for engine in client.ids:
        there = client.load_balanced_view([engine])
        call(there, "depend", 3, package.depend(lambda v: v == 1, 1)(lambda x: x), 3)
        call(there, "depend on a partial", 3, package.depend(functools.partial(operator.eq, 1), 1)(lambda x: x), 3)
        if PEER and SWITCH and package.__name__ == "ipcluster":
            continue  # ipyparallel's engines
        call(
            there, "require", "2", package.require("json", "os.path")(lambda x: json.dumps(len(os.path.join(x)))), "ab"
        )
        call(there, "require functions", 6, package.require(helper, other=helper)(lambda x: helper(x) + other(x)), 2)
        nested = package.require(another=helper)(package.depend(lambda v: v == 1, 1)(lambda x: another(x)))
        call(there, "require and depend", 3, nested, 2)
    client.close()
    print(*failed, sep="\n")
    print(f"{passed} passed, {len(failed)} failed")


main()
