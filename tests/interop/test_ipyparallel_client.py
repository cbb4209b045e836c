"""An unmodified ipyparallel 7.1 client drives our cluster, with encryption and without."""

import os
import signal
import time

import pytest

from support import LONG, wait_until

# Functions below are marked as interactive: an engine would look for others in their module, which it does not have.
ipp = pytest.importorskip("ipyparallel")


@pytest.fixture(params=["curve", "plain"])
def peers(request, new_cluster, connect):
    """Four of our engines and ipyparallel's client, with encryption and without."""
    arguments = ["--IPController.enable_curve=false"] if request.param == "plain" else []
    cluster = new_cluster(4, controller=arguments)
    return cluster, connect(cluster, 4)


def test_sees_the_engines(peers):
    _, rc = peers
    assert rc.ids == [0, 1, 2, 3]


def test_apply_sync_runs_on_every_engine(peers):
    cluster, rc = peers
    pids = rc[:].apply_sync(os.getpid)
    assert sorted(pids) == sorted(engine.pid for engine in cluster.engines)


def test_push_and_pull(peers):
    _, rc = peers
    view = rc[:]
    view.push({"a": 5, "text": "ä"}, block=True)
    assert view.pull("a", block=True) == [5] * 4
    assert view.pull(("a", "text"), block=True) == [[5, "ä"]] * 4
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100000.0)
    rc[1].push({"array": array}, block=True)
    assert numpy.array_equal(rc[1].pull("array", block=True), array)


def test_execute(peers):
    _, rc = peers
    view = rc[:]
    done = view.execute("b = 6 * 7; print('seen', b)", block=True)
    assert view["b"] == [42] * 4
    wait_until(lambda: [out.strip() for out in done.stdout] == ["seen 42"] * 4, 10, "the engines' output arrives")


def test_load_balanced_map(peers):
    _, rc = peers
    balanced = rc.load_balanced_view()
    assert balanced.map_sync(ipp.interactive(lambda x: x * x), range(64)) == [x * x for x in range(64)]


def test_closures_and_keyword_arguments(peers):
    _, rc = peers
    offset = 7

    def shift(x, by=0):
        return x + by + offset

    shift.__module__ = "__main__"  # ipp.interactive() refuses closures
    assert rc[:].apply_sync(shift, 1, by=10) == [18] * 4


def test_a_remote_error_is_ipyparallels_remote_error(peers):
    _, rc = peers
    with pytest.raises(ipp.RemoteError) as caught:
        rc[0].apply_sync(ipp.interactive(lambda: 1 / 0))
    assert caught.value.ename == "ZeroDivisionError"


def test_scatter_and_gather(peers):
    _, rc = peers
    view = rc[:]
    view.scatter("part", list(range(10)), block=True)
    assert list(view.gather("part", block=True)) == list(range(10))


def test_an_engine_that_dies_fails_its_call(new_cluster, connect):
    cluster = new_cluster(2)
    rc = connect(cluster, 2)
    pids = {engine: rc[engine].apply_sync(os.getpid) for engine in rc.ids}
    running = rc[0].apply_async(time.sleep, 60)
    time.sleep(0.5)
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(ipp.RemoteError) as caught:
        running.get(timeout=LONG)
    assert caught.value.ename == "EngineError"
    wait_until(lambda: rc.ids == [1], 20, "it has heard of the death")
    assert rc[1].apply_sync(os.getpid) == pids[1]
