"""Results as futures: whoever waits hears of what goes wrong with them, callbacks are called in their order, and what waits can be cancelled."""

import asyncio
import concurrent.futures
import logging
import threading
import time

import pytest

from support import LONG, wait_for_file, wait_until


def local(f):
    """Makes a function one that was typed: engines look for others in their module."""
    f.__module__ = "__main__"
    return f


@pytest.fixture
def ipcluster(programs):
    import ipcluster

    return ipcluster


@pytest.fixture
def client(cluster):
    return cluster.client()


@pytest.fixture
def balanced(client):
    return client.load_balanced_view()


@pytest.fixture
def gate(sandbox):
    """A file that ends requests of wait_for_file()."""
    return sandbox.dir / "gate"


# Results that cannot be read here


@local
def unreadable(kind):
    """A value that raises this exception where it is unpickled."""

    class Trap:
        def __reduce__(self):
            return exec, (f"raise {kind}('not readable here')",)

    return Trap()


@local
def readable_or_not(x):
    class Trap:
        def __reduce__(self):
            return exec, ("raise ValueError('not readable here')",)

    return Trap() if x == 2 else 10 * x


async def awaited(result):
    return await asyncio.wait_for(asyncio.wrap_future(result), LONG)


def called_back(result):
    seen = []
    result.add_done_callback(lambda done: seen.append(done.exception()))
    wait_until(lambda: seen, 60, "the callback is called")
    raise seen[0]


WAYS_TO_WAIT = {
    "get": lambda result: result.get(timeout=LONG),
    "exception": lambda result: raise_it(result.exception(timeout=LONG)),
    "wait": lambda result: raise_it(concurrent.futures.wait([result], LONG).done.pop().exception()),
    "wait for the first exception": lambda result: raise_it(
        concurrent.futures.wait([result], LONG, concurrent.futures.FIRST_EXCEPTION).done.pop().exception()
    ),
    "as_completed": lambda result: next(concurrent.futures.as_completed([result], LONG)).result(),
    "wait for some": lambda result: raise_it(result.wait(LONG, return_when="FIRST_EXCEPTION")[0].pop().exception()),
    "wrap_future": lambda result: asyncio.run(awaited(result)),
    "callback": called_back,
}  # fmt: skip


def raise_it(error):
    raise error


@pytest.mark.parametrize("kind", [ValueError, SystemExit, GeneratorExit])
def test_whoever_waits_hears_that_a_result_cannot_be_read(balanced, kind):
    for way in WAYS_TO_WAIT.values():
        result = balanced.apply_async(unreadable, kind.__name__)
        with pytest.raises(kind, match="not readable here"):
            way(result)
        with pytest.raises(kind, match="not readable here"):
            way(result)  # and again, once it is there
        assert result.done() and not result.successful()


def test_a_map_gives_the_results_that_can_be_read_and_says_which_cannot(balanced, client):
    for ordered in (True, False):
        pending = balanced.map_async(readable_or_not, range(4), ordered=ordered, return_exceptions=True)
        values = list(pending)
        assert sorted(value for value in values if isinstance(value, int)) == [0, 10, 30]
        assert [str(value) for value in values if isinstance(value, Exception)] == ["not readable here"]
    values = balanced.map_sync(readable_or_not, range(4), return_exceptions=True)
    assert values[:2] == [0, 10] and isinstance(values[2], ValueError) and values[3] == 30
    failing = balanced.map_async(readable_or_not, range(4))
    with pytest.raises(ValueError, match="not readable here"):
        failing.get(timeout=LONG)
    read = []
    with pytest.raises(ValueError, match="not readable here"):
        read += [0] * sum(1 for _ in balanced.map_async(readable_or_not, range(2, 4)))
    assert client[:].apply_async(readable_or_not, 2).get(timeout=LONG, return_exceptions=True)[1].args == ("not readable here",)


def test_an_exception_that_a_function_returns_is_a_value(balanced, ipcluster):
    value = balanced.apply_sync(local(lambda: KeyError("a value")))
    assert isinstance(value, KeyError)
    assert [type(value) for value in balanced.map_sync(local(lambda x: KeyError(x)), range(2))] == [KeyError] * 2


def test_executors_hear_that_a_result_cannot_be_read(client):
    with client.executor() as executor:
        assert isinstance(executor.submit(readable_or_not, 2).exception(timeout=LONG), ValueError)
        with pytest.raises(ValueError, match="not readable here"):
            list(executor.map(readable_or_not, range(4)))


def test_joblib_hears_that_a_result_cannot_be_read(client, balanced):
    joblib, _ = pytest.importorskip("joblib"), pytest.importorskip("cloudpickle")
    balanced.register_joblib_backend("engines")
    client[:].use_cloudpickle().get(timeout=LONG)
    try:
        with joblib.parallel_backend("engines"), pytest.raises(ValueError, match="not readable here"):
            joblib.Parallel(n_jobs=2, batch_size=1)(joblib.delayed(readable_or_not)(x) for x in range(4))
    finally:
        client[:].use_pickle().get(timeout=LONG)


# Callbacks


def test_callbacks_are_called_in_the_order_in_which_they_were_added(client, balanced, gate):
    called = []
    for result in (balanced.apply_async(wait_for_file, str(gate)), client[:].apply_async(wait_for_file, str(gate))):
        for number in range(20):
            result.add_done_callback(lambda _, number=number: called.append(number))
        gate.touch()
        result.wait(LONG)
        for number in range(20, 40):  # some of these while those before are called
            result.add_done_callback(lambda _, number=number: called.append(number))
        wait_until(lambda: len(called) == 40, 60, "all callbacks are called")
        assert called == list(range(40))
        called.clear()
        gate.unlink()


def test_an_exception_of_a_callback_is_logged_and_reaches_nobody(balanced, caplog):
    def fails(_):
        raise ValueError("of a callback")

    result = balanced.apply_async(abs, -1)
    called = []
    with caplog.at_level(logging.ERROR, "concurrent.futures"):
        result.add_done_callback(fails)
        result.wait(LONG)
        result.add_done_callback(called.append)
        wait_until(lambda: called, 60, "the callback behind it is called")
        result.add_done_callback(fails)
    assert [record.message.split(" for ")[0] for record in caplog.records] == ["exception calling callback"] * 2
    assert result.get() == 1
