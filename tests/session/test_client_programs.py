"""The client in programs of all kinds: with threads, forks and event loops, and that run for long."""

import itertools
import os
import sys
import threading
import time

import pytest

from support import LONG, PYTHON, wait_until


@pytest.fixture
def run_program(cluster, sandbox):
    """Runs Python code as a program of its own, in which `client` is connected."""
    cluster.client().close()
    head = "import itertools, os, sys, time, ipcluster\nclient = ipcluster.Client(sys.argv[1])\nclient.wait_for_engines(2, timeout=60)\n"
    return lambda code: sandbox.run(PYTHON, "-c", head + code, cluster.client_file, python=True, check=True)


# Forks


def test_a_forked_child_does_not_wait_for_what_resolves_in_its_parent(run_program):
    finished = run_program(
        """
gate = sys.argv[1] + ".gate"
def wait(path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.02)
balanced = client.load_balanced_view()
results = [client[0].apply_async(wait, gate), balanced.map_async(wait, [gate, gate], ordered=False)]
endless = [balanced.imap(wait, itertools.repeat(gate), max_outstanding=1, ordered=ordered) for ordered in (True, False)]
pid = os.fork()
if pid == 0:
    for wait in (results[0].get, lambda: list(results[1]), lambda: next(endless[0]), lambda: next(endless[1])):
        try:
            wait()
        except ConnectionError as error:
            print("child:", error, flush=True)
    endless.clear()
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0
open(gate, "w").close()
print("parent:", [result.get() for result in results], next(endless[0]), next(endless[1]))
"""
    )
    assert finished.out.count("child: this was submitted before a fork") == 4
    assert "parent: [None, [None, None]] None None" in finished.out


def test_a_child_of_multiprocessing_connects_anew(run_program):
    finished = run_program(
        """
import multiprocessing
def work(n):
    with ipcluster.Client(sys.argv[1]) as own:
        own.wait_for_engines(2, timeout=60)
        return own[:].apply_sync(abs, n)
with multiprocessing.get_context("fork").Pool(2) as pool:
    print(pool.map(work, [-1, -2, -3]), client[0].apply_sync(abs, -4))
"""
    )
    assert finished.out == "[[1, 1], [2, 2], [3, 3]] 4\n"


# Threads


def test_threads_share_a_client_and_its_results(cluster):
    client = cluster.client()
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    failures = []

    def get(result, barrier):
        barrier.wait()
        try:
            assert result.get(timeout=LONG) == [1, 1]
        except BaseException as error:
            failures.append(error)

    try:
        for _ in range(100):
            result = client[:].apply_async(abs, -1)
            result.wait(LONG)
            barrier = threading.Barrier(6)
            threads = [threading.Thread(target=get, args=(result, barrier)) for _ in range(6)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(before)
    assert not failures


def test_a_connection_that_is_closed_in_the_middle_of_a_call_is_no_crash(run_program):
    finished = run_program(
        """
class Closing:
    def __index__(self):
        engines.clear()
        client.close()
        return 0
engines = [Closing(), 1, 1, 1]
connection = client.connection
for call in (lambda: connection.broadcast(engines, "apply_request", None, None, []), lambda: connection.wait_for_engines(Closing())):
    try:
        call()
    except ConnectionError as error:
        print(error)
"""
    )
    assert finished.out.count("closed") == 2


@pytest.mark.parametrize("wait", ["result.get", "result.wait", "client.wait_for_engines"])
def test_a_time_out_that_is_no_number_is_refused(cluster, wait):
    client = cluster.client()
    result = client[0].apply_async(abs, -1)
    assert result.get(LONG) == 1
    result = client[0].apply_async(time.sleep, 0.5)
    owner, name = {"result": result, "client": client}[wait.split(".")[0]], wait.split(".")[1]
    arguments = [9] if name == "wait_for_engines" else []
    with pytest.raises(ValueError, match="number of seconds"):
        getattr(owner, name)(*arguments, timeout=float("nan"))


# Callbacks and event loops


def test_a_callback_that_exits_does_not_keep_others_from_being_called(cluster, capfd):
    client = cluster.client()
    called = []
    client[0].apply_async(time.sleep, 0.3).add_done_callback(lambda _: sys.exit(3))
    later = client[1].apply_async(time.sleep, 0.6)
    later.add_done_callback(called.append)
    wait_until(lambda: called == [later], 20, "the second callback is called")


def test_a_client_hears_once_that_nobody_is_there_who_could_run_its_tasks(new_cluster, capfd):
    cluster = new_cluster(0)
    client = cluster.client()
    balanced = client.load_balanced_view()
    tasks = [balanced.apply_async(os.getpid) for _ in range(2)]
    said = []

    def heard():
        said.append(capfd.readouterr().err)
        return "2 tasks wait for one: start some (ipcluster engines --n=4)" in "".join(said)

    wait_until(heard, 20, "the client hears of it")
    engine = cluster.start_engine()
    assert [task.get(LONG) for task in tasks] == [engine.pid] * 2
    heard()
    assert "".join(said).count("no engine is registered") == 1


def test_the_thread_of_callbacks_ends_when_it_has_nothing_to_do(cluster):
    def threads():
        return [thread for thread in threading.enumerate() if thread.name == "ipcluster-callbacks"]

    client = cluster.client()
    before = len(threads())
    called = []
    for _ in range(2):
        result = client[0].apply_async(time.sleep, 0.2)
        result.add_done_callback(called.append)
        wait_until(lambda: called.pop() if called else None, 20, "the callback is called")
        wait_until(lambda: len(threads()) <= before, 20, "its thread ends")


def test_a_loop_that_was_closed_before_the_result_came_is_not_told_of_it(run_program):
    finished = run_program(
        """
import asyncio
gate = sys.argv[1] + ".gate"
def wait_for(path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.02)
result = client[0].apply_async(wait_for, gate)
async def impatient():
    try:
        await asyncio.wait_for(asyncio.ensure_future(wait()), 0.1)
    except asyncio.TimeoutError:
        print("too late")
async def wait():
    return await result
asyncio.run(impatient())
open(gate, "w").close()
result.get()
time.sleep(0.3)
"""
    )
    assert finished.out == "too late\n" and finished.err == ""


# What is kept


def test_what_is_remembered_of_requests_is_bounded_and_can_be_sliced(cluster, monkeypatch):
    from ipcluster import history

    monkeypatch.setattr(history, "KEPT", 10)
    client = cluster.client()
    view = client.load_balanced_view()
    results = [view.apply_async(abs, -i) for i in range(35)]
    assert [result.get(LONG) for result in results] == list(range(35))
    newest = list(itertools.chain(*(result.msg_ids for result in results[-3:])))
    for kept in (view.history, client.history):
        assert 10 <= len(kept) <= 20 and kept[-3:] == newest


def test_a_line_that_is_rewritten_in_several_pieces_is_shown_once(cluster):
    code = """
import time
for percent in (10, 50, 100):
    print(f"{percent}%", end="\\r", flush=True)
    time.sleep(0.2)
print("done")
"""
    result = cluster.client()[0].execute(code)
    result.get(LONG)
    assert result.stdout == "done\n"
