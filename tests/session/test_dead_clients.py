"""Clients that go: their waiting requests are dropped if they asked for that, and are kept if not."""

import json
import signal

import pytest
import zmq

from controller_peer import submit
from ipcluster import TaskAborted
from support import LONG, PYTHON, SLOWNESS, wait_for_file, wait_until
from test_scheduler import Scheduler

AT_ONCE = "--TaskScheduler.client_grace=0"
DROPPED = {"keep": False}
WHY = "the client of this task has gone"


@pytest.fixture
def scheduler(controller):
    return lambda *arguments, engines=1: Scheduler(controller("--hwm=1", *arguments), engines)


def drain(s, count):
    """Lets the engine answer the next tasks; returns their msg_ids."""
    ran = []
    for _ in range(count):
        engine, route, header = s.take()
        ran.append(json.loads(header)["msg_id"])
        engine.answer(route, header)
    return ran


def test_what_a_dead_client_has_waiting_is_dropped_and_what_runs_is_finished(scheduler):
    s = scheduler(AT_ONCE, "--dictdb")
    gone = s.peer.connect(zmq.DEALER, s.peer.client["task"])
    retried = submit(s.peer, gone, {**DROPPED, "retries": 5})
    engine, route, header = s.take(retried)
    waiting = [submit(s.peer, gone, DROPPED) for _ in range(500)]
    bound = submit(s.peer, gone, {**DROPPED, "targets": [engine.uuid]})
    blocked = submit(s.peer, gone, {**DROPPED, "after": [waiting[0]]})
    on_failure = submit(
        s.peer, gone, {**DROPPED, "after": {"dependencies": [waiting[0]], "success": False, "failure": True}}
    )
    kept = submit(s.peer, gone)
    s.wait_for_waiting(504)
    silent = s.peer.connect(zmq.DEALER, s.peer.client["task"])
    others = [s.submit(), s.submit(after=[waiting[1]]), s.submit(after=[retried])]
    still_there = submit(s.peer, silent, DROPPED)
    s.wait_for_waiting(508)
    gone.close(linger=0)
    assert s.result(others[1]) == "ImpossibleDependency"
    s.wait_for_waiting(4)
    engine.answer(route, header, "error")
    assert s.result(others[2]) == "ImpossibleDependency", "what ran has failed, and is not tried again"
    assert set(drain(s, 3)) == {kept, others[0], still_there}
    assert s.result(others[0]) == "ok"
    s.wait_for_waiting(0)
    query = s.peer.connect(zmq.DEALER, s.peer.client["registration"])
    _, answer = s.peer.ask(
        query,
        "db_request",
        {"query": {"msg_id": {"$in": [waiting[0], bound, blocked, on_failure]}}, "keys": ["result_content"]},
    )
    for record in answer["records"]:
        assert record["result_content"]["status"] == "aborted" and WHY in record["result_content"]["evalue"]
    assert len(answer["records"]) == 4


def test_a_client_that_comes_back_in_time_loses_nothing(scheduler):
    grace = 3 * SLOWNESS
    s = scheduler(f"--TaskScheduler.client_grace={round(grace)}")
    blocking = s.submit()
    engine, route, header = s.take(blocking)
    cut = s.peer.connect(zmq.DEALER, s.peer.client["task"], identity=b"cut")
    gone = s.peer.connect(zmq.DEALER, s.peer.client["task"])
    tasks = [submit(s.peer, cut, DROPPED) for _ in range(10)]
    lost = [submit(s.peer, gone, DROPPED) for _ in range(10)]
    s.wait_for_waiting(20)
    cut.close(linger=0)
    gone.close(linger=0)
    assert not engine.shell.poll(1000 * grace / 4)
    cut = s.peer.connect(zmq.DEALER, s.peer.client["task"], identity=b"cut")
    s.wait_for_waiting(10)
    assert not engine.shell.poll(1000 * grace / 2), "and it is there longer than it could have been away"
    engine.answer(route, header)
    assert drain(s, 10) == tasks and not set(lost) & set(tasks)


def records(client, status=None):
    """The hub's records; with `status` those that have ended in this way."""
    known = client.db_query({}, keys=["msg_id", "result_content", "metadata"])
    return (
        known
        if status is None
        else [record for record in known if (record["result_content"] or {}).get("status") == status]
    )


LEAVING = """
import os, sys, time
from ipcluster import Client

def hold(begun, gate):
    import os, time
    open(begun, "w").close()
    while not os.path.exists(gate):
        time.sleep(0.01)
    return "held"

def note(path):
    open(path, "w").close()

def work(client, folder):
    tasks = client.load_balanced_view()
    tasks.apply_async(hold, folder + "/begun", folder + "/gate")
    while not os.path.exists(folder + "/begun"):
        time.sleep(0.01)
    for _ in range(300):
        tasks.apply_async(note, folder + "/ran")
    client[0].apply_async(note, folder + "/ran")
    client.broadcast_view().apply_async(note, folder + "/ran")

"""
ENDS = {
    "a with block": "with Client(sys.argv[1], keep_tasks=False) as client: work(client, sys.argv[2])",
    "the program": "client = Client(sys.argv[1], keep_tasks=False); work(client, sys.argv[2])",
}


@pytest.mark.parametrize("end", ENDS)
def test_what_a_client_has_waiting_is_dropped_at_once_with_the_end_of(new_cluster, end):
    cluster = new_cluster(1, controller=["--dictdb", "--hwm=1"])
    client, folder = cluster.client(), cluster.sandbox.dir
    cluster.sandbox.run(PYTHON, "-c", LEAVING + ENDS[end], cluster.client_file, folder, python=True, check=True)
    wait_until(lambda: len(records(client, "aborted")) == 302, 20, "all are dropped")
    tasks = [record for record in records(client, "aborted") if WHY in record["result_content"].get("evalue", "")]
    assert len(tasks) == 300, "and two were told to the engine"
    (folder / "gate").touch()
    assert (
        client.load_balanced_view().apply(abs, -1).get(timeout=LONG) == client[0].apply(abs, -1).get(timeout=LONG) == 1
    )
    assert not (folder / "ran").exists()
    (held,) = [record for record in records(client, "ok") if record["metadata"].get("keep") is False]
    assert client.get_result(held["msg_id"]).get(timeout=LONG) == "held", "what had begun is finished"
    with pytest.raises(TaskAborted, match=WHY):
        client.get_result(tasks[0]["msg_id"]).get(timeout=LONG)


ENDLESS = """
import sys, time
from ipcluster import Client
client = Client(sys.argv[1], keep_tasks=sys.argv[2] == "keep")
view = client.load_balanced_view()
tasks = [view.apply_async(abs, -i) for i in range(20)]
print("submitted", flush=True)
time.sleep(1000)
"""


def start(cluster, keep):
    program = cluster.sandbox.start(PYTHON, "-c", ENDLESS, cluster.client_file, keep, python=True)
    program.wait_for_output("submitted")
    return program


def test_what_a_killed_client_had_waiting_is_dropped_also_after_a_restart_of_the_controller(new_cluster, gate):
    cluster = new_cluster(1, controller=["--reuse", "--sqlitedb", "--hwm=1"])
    client, begun = cluster.client(), gate.with_name("begun")
    holding = client.load_balanced_view().apply_async(wait_for_file, str(gate), "held", str(begun))
    wait_until(begun.exists, 30, "it runs")
    programs = [start(cluster, keep) for keep in ("keep", "drop")]
    survivor = cluster.client(keep_tasks=False)
    own = [survivor.load_balanced_view().apply_async(abs, -i) for i in range(20)]
    wait_until(lambda: len(records(client)) == 61, 30, "all are recorded")
    for program in programs:
        program.stop(signal.SIGKILL)
    cluster.controller.stop(signal.SIGTERM)
    cluster.start_controller(
        "--restore", "--sqlitedb", "--hwm=1", f"--TaskScheduler.client_grace={round(2 * SLOWNESS)}"
    )
    wait_until(lambda: len(records(client, "aborted")) == 20, 30, "what waited is dropped")
    assert all(WHY in record["result_content"]["evalue"] for record in records(client, "aborted"))
    gate.touch()
    assert holding.get(timeout=LONG) == "held"
    assert [task.get(timeout=LONG) for task in own] == list(range(20)), "their client was killed by nobody"
    wait_until(lambda: len(records(client, "ok")) == 41, 30, "the others run")
    assert survivor.connection.refused == 0
