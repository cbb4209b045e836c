"""The errors of the Python package: each can be raised, copied and sent to another process as Python's own can."""

import copy
import importlib
import multiprocessing
import pickle
import pkgutil
from concurrent.futures import ProcessPoolExecutor

import pytest

import ipcluster
from ipcluster import error as errors

INFO = {"engine_id": 3, "engine_uuid": "abc", "method": "apply"}
REMOTE = ("ValueError", "on purpose", "Traceback:\n  ...", INFO)
# How those are made that take more than a text.
MADE = {
    errors.RemoteError: lambda cls: cls(*REMOTE),
    errors.AlreadyDisplayedError: lambda cls: cls(errors.RemoteError(*REMOTE)),
    errors.CompositeError: lambda cls: cls("several errors", [REMOTE, ("KeyError", "'a'", "", {})]),
}


def modules():
    yield ipcluster
    for found in pkgutil.walk_packages(ipcluster.__path__, "ipcluster."):
        try:
            yield importlib.import_module(found.name)
        except ImportError:  # of an engine, or of a package that is not installed
            pass


def classes():
    """Every class of exceptions that the package has."""
    found = {value for module in modules() for value in vars(module).values() if isinstance(value, type)}
    return sorted(
        (cls for cls in found if issubclass(cls, BaseException) and cls.__module__.startswith("ipcluster")),
        key=lambda cls: cls.__name__,
    )


def make(cls):
    maker = next((MADE[base] for base in cls.__mro__ if base in MADE), lambda cls: cls("a text", 5))
    error = maker(cls)
    error.more = ["an attribute of the user's"]
    return error


def traits(error):
    """What two errors that are the same have in common."""
    attributes = {
        name: traits(value) if isinstance(value, BaseException) else value for name, value in vars(error).items()
    }
    shown = error.render_traceback() if hasattr(error, "render_traceback") else None
    return type(error), str(error), repr(error), error.args, attributes, shown


def fail(cls):
    raise make(cls) from KeyError("the cause")


def test_the_errors_are_found():
    assert {
        getattr(ipcluster, name)
        for name in ipcluster.__all__
        if name.endswith("Error") and name not in ("ConnectError", "TimeoutError")
    } <= set(classes())


@pytest.mark.parametrize("cls", classes())
def test_every_error_can_be_pickled_and_copied(cls):
    error = make(cls)
    copies = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]
    for other in (*copies, copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(copies[0]))):
        assert other is not error and traits(other) == traits(error)


@pytest.mark.parametrize("cls", classes())
def test_every_error_can_be_raised_from_another_and_be_copied_then(cls):
    with pytest.raises(cls) as caught:
        fail(cls)
    assert isinstance(caught.value.__cause__, KeyError)
    for other in (pickle.loads(pickle.dumps(caught.value)), copy.copy(caught.value), copy.deepcopy(caught.value)):
        assert traits(other) == traits(make(cls))
        with pytest.raises(cls):
            raise other from caught.value


def test_every_error_of_a_process_of_an_executor_or_pool_arrives():
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(1, context) as executor, context.Pool(1) as pool:
        for cls in classes():
            for call in (lambda: executor.submit(fail, cls).result(), lambda: pool.apply(fail, (cls,))):
                with pytest.raises(cls) as caught:
                    call()
                assert traits(caught.value) == traits(make(cls))


def test_errors_of_a_classes_own_making_are_restored_without_it():
    class Own(errors.RemoteError):
        def __init__(self):
            super().__init__(*REMOTE)

    assert traits(copy.deepcopy(Own())) == traits(Own())
