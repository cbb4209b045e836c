"""An unmodified ipyparallel client broadcasts to our engines, plain and coalescing; its own tests do the rest."""

import os
import signal

import pytest

from support import LONG, PYTHON, Cluster, own_ports, wait_for_file, wait_until

ipp = pytest.importorskip("ipyparallel")
numpy = pytest.importorskip("numpy")


def local(f):
    """Marks a function as typed by a user: an engine cannot import this file."""
    f.__module__ = "__main__"
    return f


# These run on engines, with names of theirs.


@local
def on_an_array():
    return here, array + here, array[:3]


@local
def divide_by_two_less():
    return 1 // (here - 2)


@local
def whereabouts():
    return here


@pytest.fixture
def four(new_cluster, connect):
    """Four engines and ipyparallel's client; `here` is each engine's id on it."""
    client = connect(new_cluster(4), 4)
    for view in client:
        view.push({"here": view.targets}, block=True)
    return client


def test_a_coalescing_view_has_the_clients_order_also_with_large_arrays(four):
    view = four.broadcast_view([3, 0, 2, 1], is_coalescing=True)
    array = numpy.arange(300000.0)
    view.push({"array": array}, block=True)
    result = view.apply_async(on_an_array)
    values = result.get(timeout=LONG)
    assert [value[0] for value in values] == [3, 0, 2, 1] == result.engine_id
    for here, whole, few in values:
        assert numpy.array_equal(whole, array + here) and numpy.array_equal(few, array[:3])


@pytest.mark.parametrize("coalescing", [False, True])
def test_what_engines_raise_is_raised(four, coalescing):
    view = four.broadcast_view(is_coalescing=coalescing)
    with pytest.raises(ipp.RemoteError) as caught:
        view.apply_sync(divide_by_two_less)
    error = caught.value
    entries = [(error.ename, error.engine_info)] if coalescing else [(entry[0], entry[3]) for entry in error.elist]
    assert [(ename, info["engine_id"]) for ename, info in entries] == [("ZeroDivisionError", 2)]


@pytest.mark.parametrize("coalescing", [False, True])
def test_an_engine_that_is_killed_fails_its_part_and_the_others_go_on(four, coalescing, sandbox):
    view = four.broadcast_view(is_coalescing=coalescing)
    pids = view.apply_sync(os.getpid)
    gate = sandbox.dir / "gate"
    running = view.apply_async(wait_for_file, str(gate))
    os.kill(pids[1], signal.SIGKILL)
    gate.touch()
    with pytest.raises(ipp.RemoteError) as caught:
        running.get(timeout=LONG)
    assert "EngineError" in (caught.value.ename or str(caught.value))
    wait_until(lambda: four.ids == [0, 2, 3], 20, "it has heard of the death")
    assert four.broadcast_view(is_coalescing=coalescing).apply_sync(whereabouts) == [0, 2, 3]


def test_our_client_under_their_controller_loses_the_dead_engines_part_alone(sandbox):
    cluster = Cluster(sandbox)
    cluster.profile_dir.mkdir(mode=0o700)
    sandbox.start(PYTHON, "-m", "ipyparallel.controller", f"--profile-dir={cluster.profile_dir}", own_ports(),
                  "--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=20")  # fmt: skip
    wait_until(cluster.client_file.exists, 60, "ipyparallel's controller writes its files")
    try:
        for _ in range(3):
            cluster.start_engine()
        client = cluster.client()
        view = client.broadcast_view(is_coalescing=True)
        pids = view.apply_sync(os.getpid)
        gate = sandbox.dir / "gate"
        running = view.apply_async(wait_for_file, str(gate))
        os.kill(pids[1], signal.SIGKILL)
        gate.touch()
        values = running.get(timeout=LONG, return_exceptions=True)
        assert [values[0], values[2]] == [None, None] and values[1].ename == "EngineError"
    finally:
        cluster.close()
