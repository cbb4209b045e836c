"""The window: engines have the next tasks at hand while tasks are short, and give back what they have not begun when one is long."""

import os
import signal
from pathlib import Path

import pytest

from support import LONG, typed, wait_for_file, wait_until

MANY = 400  # short tasks, after which an engine's window is open
WINDOW_MAX = 64  # SESSION_TASKS_AT_HAND of session.h


@typed
def nothing():
    return None


@typed
def sleep(seconds):
    import time

    time.sleep(seconds)


@typed
def note(path):
    """Adds a line to a file."""
    with open(path, "a") as file:
        file.write("ran\n")


@pytest.fixture
def opened(new_cluster):
    """opened(engines): a cluster whose engines have had many short tasks, and a balanced view."""

    def make(engines, *options):
        cluster = new_cluster(engines, controller=options)
        client = cluster.client()
        open_windows(client)
        return cluster, client, client.load_balanced_view()

    return make


def open_windows(client):
    balanced = client.load_balanced_view()
    client.wait([balanced.apply_async(nothing) for _ in range(MANY)], LONG)


def returned(client):
    return client.stats()["ipcluster_tasks_returned_total"]


def block(client, balanced, gate, begun):
    """A long task that has begun, and short ones, some of which are at the same engine; or as soon as that is so."""

    def attempt():
        open_windows(client)
        before = returned(client)
        short = [balanced.apply_async(nothing) for _ in range(20)]
        long = balanced.apply_async(wait_for_file, str(gate), None, str(begun))
        short += [balanced.apply_async(nothing) for _ in range(100)]
        assert client.wait(short, LONG), "they wait for no long task"
        assert not long.ready()
        gate.touch()
        long.get(LONG)
        gate.unlink()
        return returned(client) > before

    wait_until(attempt, LONG, "some are given back")


def test_short_tasks_do_not_wait_behind_a_long_one(opened, sandbox, gate):
    _, client, balanced = opened(2)
    block(client, balanced, gate, sandbox.dir / "begun")


def test_what_is_asked_back_runs_once_or_is_aborted(opened, sandbox, gate):
    _, client, balanced = opened(2)
    seen = set()

    def attempt():
        ran = sandbox.dir / f"ran-{len(list(sandbox.dir.glob('ran-*')))}"
        open_windows(client)
        short = [balanced.apply_async(nothing) for _ in range(20)]
        long = balanced.apply_async(wait_for_file, str(gate))
        wanted = [balanced.apply_async(note, f"{ran}-{n}") for n in range(10)]
        unwanted = [balanced.apply_async(note, f"{ran}-{n}") for n in range(10, 20)]
        client.abort(unwanted)
        assert client.wait(short + wanted + unwanted, LONG)
        gate.touch()
        long.get(LONG)
        gate.unlink()
        for n, result in enumerate(wanted + unwanted):
            file = Path(f"{ran}-{n}")
            status = "ok" if result.successful() else "aborted"
            assert (file.read_text() if file.exists() else "") == ("ran\n" if status == "ok" else ""), (n, status)
            assert status == "ok" or n >= 10
            seen.add(status)
        return seen == {"ok", "aborted"}

    for _ in range(5):
        attempt()
    wait_until(attempt, LONG, "some were aborted")


@pytest.mark.parametrize("retries", [0, 1])
def test_what_a_killed_engine_had_at_hand_runs_elsewhere(opened, sandbox, gate, retries):
    cluster, client, balanced = opened(2)
    balanced.retries = retries
    long = client[1].apply_async(wait_for_file, str(gate))  # or all may be done before the kill
    results = [balanced.apply_async(note, str(sandbox.dir / f"ran-{n}")) for n in range(MANY)]
    cluster.engines[0].send_signal(signal.SIGKILL)
    gate.touch()
    assert client.wait([long, *results], LONG)
    failed = 0
    for n, result in enumerate(results):
        times = (sandbox.dir / f"ran-{n}").read_text().count("ran") if (sandbox.dir / f"ran-{n}").exists() else 0
        failed += not result.successful()
        assert times <= 1 + retries and (times or not result.successful())
    assert failed <= (0 if retries else WINDOW_MAX)


def test_what_is_longer_than_tasks_before_is_shared_out_again(opened):
    _, client, balanced = opened(2)
    lengths = [0.015, 0] * 32  # an engine that takes each in turn is given all the long ones
    results = [balanced.apply_async(sleep, length) for length in lengths]
    assert client.wait(results, LONG)
    took = [results[n].engine_id for n in range(0, len(lengths), 2)]
    assert len(set(took)) == 2, "both engines have had long ones"


def test_a_high_water_mark_that_is_set_stays(new_cluster, sandbox, gate):
    cluster = new_cluster(1, controller=["--hwm=1"])
    client = cluster.client()
    open_windows(client)
    balanced = client.load_balanced_view()
    results = [balanced.apply_async(wait_for_file, str(gate))] + [balanced.apply_async(nothing) for _ in range(3)]
    wait_until(lambda: client.stats()["ipcluster_tasks_waiting"] == 3, LONG, "three wait in the controller")
    gate.touch()
    client.wait(results, LONG)
    assert returned(client) == 0


def test_large_tasks_are_not_heaped_up_at_an_engine(opened, gate):
    _, client, balanced = opened(1)
    data = os.urandom(1 << 20)
    results = [balanced.apply_async(len, data) for _ in range(30)]
    most = 0
    while not all(result.ready() for result in results):
        most = max(most, client.stats()["ipcluster_tasks_running"])
    assert 1 <= most <= 3
