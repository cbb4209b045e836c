"""Results as futures: whoever waits hears of what goes wrong with them, callbacks are called in their order, and what waits can be cancelled."""

import asyncio
import concurrent.futures
import logging
import signal
import threading

import pytest

from support import LONG, typed, wait_for_file, wait_until


# Results that cannot be read here


@typed
def unreadable(kind):
    """A value that raises this exception where it is unpickled."""

    class Trap:
        def __reduce__(self):
            return exec, (f"raise {kind}('not readable here')",)

    return Trap()


@typed
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
    assert client[:].apply_async(readable_or_not, 2).get(timeout=LONG, return_exceptions=True)[1].args == (
        "not readable here",
    )


def test_an_exception_that_a_function_returns_is_a_value(balanced, ipcluster):
    value = balanced.apply_sync(typed(lambda: KeyError("a value")))
    assert isinstance(value, KeyError)
    assert [type(value) for value in balanced.map_sync(typed(lambda x: KeyError(x)), range(2))] == [KeyError] * 2


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
        for number in range(20, 40):  # some of these are added while earlier ones are called
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


def test_the_end_of_a_callback_may_add_another(balanced):
    called = []
    result, other = balanced.apply_async(abs, -1), balanced.apply_async(abs, -2)

    class Callback:
        def __call__(self, done):
            called.append(done)

        def __del__(self):
            other.add_done_callback(called.append)

    result.add_done_callback(Callback())
    wait_until(lambda: len(called) == 2, 60, "both are called")
    assert called == [result, other]


# Cancelling


@typed
def leave_mark(path):
    with open(path, "a") as file:
        file.write("x")


@pytest.fixture
def busy(new_cluster, sandbox, gate):
    """busy(*controller arguments, engines=1): a cluster whose engines have begun a task each, which ends with the gate, and these tasks."""

    def make(*arguments, engines=1):
        cluster = new_cluster(engines, controller=arguments)
        client = cluster.client()
        begun = [sandbox.dir / f"begun{engine_id}" for engine_id in client.ids]
        running = [
            client[engine_id].apply_async(wait_for_file, str(gate), 1, str(file))
            for engine_id, file in enumerate(begun)
        ]
        wait_until(lambda: all(file.exists() for file in begun), 60, "the engines are busy")
        return cluster, client, running

    return make


def places(client, mark):
    """Requests that wait in every place where one can, by its name."""
    balanced, direct = client.load_balanced_view(), client[0]
    first = balanced.apply_async(leave_mark, mark)
    with balanced.temp_flags(after=[first]):
        dependent = balanced.apply_async(leave_mark, mark)
    with balanced.temp_flags(targets=[0], retries=3):
        bound = balanced.apply_async(leave_mark, mark)
    return {
        "the scheduler, for another task": dependent,
        "the scheduler, for an engine": first,
        "the scheduler, for a certain engine": bound,
        "an engine": direct.apply_async(leave_mark, mark),
        "an engine, as code": direct.execute("open('never', 'w')"),
        "an engine, of a broadcast": client.broadcast_view().apply_async(leave_mark, mark),
    }


@pytest.mark.parametrize("hwm", [1, 0])  # how many tasks an engine has at a time; 0: any number
def test_what_waits_anywhere_can_be_cancelled(busy, gate, sandbox, ipcluster, hwm):
    _, client, running = busy(f"--hwm={hwm}")
    blocking = client.load_balanced_view().apply_async(wait_for_file, str(gate))
    mark = sandbox.dir / "mark"
    for place, result in places(client, str(mark)).items():
        assert not result.cancelled(), place
        assert result.cancel() and result.cancelled() and result.done(), place
        assert result.cancel(), "again, it stays so"
        for way in ("get", "result", "exception"):
            with pytest.raises(concurrent.futures.CancelledError):
                getattr(result, way)(timeout=LONG)
        assert isinstance(result.get(return_exceptions=True), (ipcluster.TaskAborted, list))
    gate.touch()
    assert running[0].get(timeout=LONG) == 1
    blocking.get(timeout=LONG)
    client[:].apply_sync(abs, 0)
    assert not mark.exists()


def test_what_runs_or_has_ended_is_not_cancelled(busy, gate):
    _, client, (running,) = busy()
    assert not running.cancel() and not running.cancelled() and running.running()
    gate.touch()
    assert running.get(timeout=LONG) == 1
    assert not running.cancel() and not running.cancelled()
    failed = client[0].apply_async(typed(lambda: 1 / 0))
    failed.wait(LONG)
    assert not failed.cancel() and not failed.cancelled()


def test_whoever_waits_hears_that_a_request_was_cancelled(busy):
    _, client, _ = busy()
    pending = [client.load_balanced_view().apply_async(abs, n) for n in range(5)]
    heard = []

    async def await_it():
        wrapped = asyncio.wrap_future(pending[2])
        threading.Timer(0.1, pending[2].cancel).start()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(wrapped, LONG)
        asyncio.wrap_future(pending[3]).cancel()
        await asyncio.sleep(
            0
        )  # the loop passes it on when it comes round, which one that a library has patched does not at the end

    def get():
        try:
            pending[0].get(timeout=LONG)
        except concurrent.futures.CancelledError as error:
            heard.append(error)

    waiting = threading.Thread(target=get)
    waiting.start()
    pending[1].add_done_callback(lambda done: heard.append(done.cancelled()))
    assert pending[0].cancel() and pending[1].cancel()
    waiting.join(LONG)
    wait_until(lambda: len(heard) == 2, 60, "the thread and the callback have heard")
    assert True in heard
    asyncio.run(await_it())
    wait_until(pending[3].cancelled, 60, "what asyncio cancels is cancelled")
    assert concurrent.futures.wait(pending[:4], LONG).not_done == set()
    threading.Timer(0.1, pending[4].cancel).start()
    assert next(concurrent.futures.as_completed(pending[4:], LONG)) is pending[4]


def test_an_event_loop_goes_on_while_requests_are_cancelled_in_it(busy):
    """The controller is stopped until the loop has gone on. If that takes too long, the test fails."""
    cluster, client, _ = busy()
    pending = [client.load_balanced_view().apply_async(abs, n) for n in range(50)]
    went_on, in_time = threading.Event(), []

    def stand_still():
        in_time.append(went_on.wait(30))
        cluster.controller.popen.send_signal(signal.SIGCONT)

    async def cancel():
        assert not any(result.cancel() for result in pending[:25]), "nobody can know yet"
        for result in pending[25:]:
            asyncio.wrap_future(result).cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        went_on.set()

    cluster.controller.popen.send_signal(signal.SIGSTOP)
    watching = threading.Thread(target=stand_still)
    watching.start()
    asyncio.run(cancel())
    assert [thread.name for thread in threading.enumerate()].count("ipcluster-abort") == 1, "one thread asks for all"
    watching.join()
    assert in_time == [True]
    wait_until(lambda: all(result.cancelled() for result in pending), 60, "all are cancelled")


def test_a_map_that_is_cancelled_runs_no_further(busy, gate, sandbox, ipcluster):
    _, client, _ = busy()
    mark, balanced = sandbox.dir / "mark", client.load_balanced_view()
    waiting = balanced.map_async(leave_mark, [str(mark)] * 20)
    assert waiting.cancel() and waiting.cancelled()
    assert [type(error) for error in waiting.get(return_exceptions=True)] == [ipcluster.TaskAborted] * 20
    begun = sandbox.dir / "begun"
    partly = balanced.map_async(wait_for_file, [str(gate)] * 20, range(20), [str(begun)] * 20)
    gate.touch()
    wait_until(lambda: partly.progress, 60, "some have ended")
    partly.cancel()
    partly.wait(LONG)
    values = partly.get(return_exceptions=True)
    assert 0 in values and not partly.cancelled()


def test_all_of_many_waiting_tasks_are_aborted(busy, gate, sandbox, ipcluster):
    _, client, (running,) = busy(engines=1)
    mark, balanced = sandbox.dir / "mark", client.load_balanced_view()
    begun = sandbox.dir / "begun"
    first = balanced.apply_async(wait_for_file, str(gate), 2, str(begun))
    tasks = [balanced.apply_async(leave_mark, str(mark)) for _ in range(5000)]
    stopped = balanced.abort(tasks, block=True)
    assert sorted(stopped) == sorted(task.msg_ids[0] for task in tasks)
    assert all(task.cancelled() for task in tasks)
    gate.touch()
    assert running.get(timeout=LONG) == 1 and first.get(timeout=LONG) == 2
    assert balanced.apply_sync(abs, -1) == 1 and not mark.exists()


def test_aborting_without_waiting_gives_a_future_of_what_was_stopped(busy, ipcluster):
    _, client, _ = busy()
    task = client[0].apply_async(abs, 1)
    assert client.abort(task, block=False).get(timeout=LONG) == task.msg_ids
    assert client.abort(block=False).result(timeout=LONG) == []
    with pytest.raises(ipcluster.TaskAborted):
        task.get(timeout=LONG)


def abort_nothing(client):
    client.abort(block=True)
    client.load_balanced_view().abort(block=True)


def end_executors(client):
    for view in (client[:], client.load_balanced_view()):
        view.executor.shutdown(cancel_futures=True)


def end_joblib(client):
    pytest.importorskip("joblib")
    from ipcluster.joblib import Backend

    Backend(client.load_balanced_view()).abort_everything()


@pytest.mark.parametrize("abort", [abort_nothing, end_executors, end_joblib])
def test_aborting_where_nothing_is_open_aborts_nothing(busy, gate, abort):
    cluster, client, _ = busy()
    mine = [client[0].apply_async(abs, -3), client.load_balanced_view().apply_async(abs, -3)]
    other = cluster.client()
    abort(other)
    other.clear(block=False)  # reaches the engine after any abort request
    gate.touch()
    assert [result.get(timeout=LONG) for result in mine] == [3, 3]


def test_a_client_aborts_its_own_requests_only(busy, gate):
    cluster, client, _ = busy()
    other = cluster.client()
    mine, others = [[c[0].apply_async(abs, -3), c.load_balanced_view().apply_async(abs, -3)] for c in (client, other)]
    assert other.abort([result.msg_ids[0] for result in mine], block=True) == []
    assert len(other.abort(block=True)) == 2 and all(result.cancelled() for result in others)
    gate.touch()
    assert [result.get(timeout=LONG) for result in mine] == [3, 3]


def test_an_executor_that_ends_cancels_what_is_its_own(busy, gate):
    _, client, _ = busy()
    view = client.load_balanced_view()
    mine = client[0].apply_async(abs, -3)
    pending = [view.executor.submit(abs, n) for n in range(3)]
    view.executor.shutdown(cancel_futures=True)
    assert all(future.cancelled() for future in pending)
    gate.touch()
    assert mine.get(timeout=LONG) == 3
