"""Our client with ipyparallel's controller, and engines of both: what it asks of the hub, and what it cans."""

import datetime
import json
from pathlib import Path

import pytest

from ipcluster import RemoteError, TaskAborted, interactive
from support import LONG, PYTHON, wait_for_file, wait_until


@interactive
def square(x):
    print("squaring", x)
    return x * x


@interactive
def fail():
    raise ValueError("on purpose")


@interactive
def wait_for_ever():
    import time

    time.sleep(600)


@pytest.mark.parametrize("store", ["--dictdb", "--sqlitedb"])
def test_another_client_finds_what_one_has_asked_for(new_their_cluster, store):
    cluster = new_their_cluster(1, controller=[store])
    cluster.start_their_engine()
    client, other = cluster.client(wait_for=2), cluster.client(wait_for=2)
    balanced = client.load_balanced_view()
    before = datetime.datetime.now(datetime.timezone.utc)
    done = [balanced.apply_async(square, x) for x in range(5)]
    assert [result.get(60) for result in done] == [0, 1, 4, 9, 16]
    # Their hub gives a number to each registration that it reads, also to one that came twice.
    first, second = client.ids
    failed = client[second].apply_async(fail)
    with pytest.raises(RemoteError, match="on purpose"):
        failed.get(60)
    executed = client[first].execute("6 * 7", silent=False)
    executed.get(60)
    ids = [result.msg_ids[0] for result in (*done, failed, executed)]
    wait_until(lambda: set(ids) <= set(other.result_status(ids)["completed"]), 20, "all is recorded")
    wait_until(
        lambda: all(r["stdout"] for r in other.db_query({"msg_id": {"$in": ids[:5]}}, keys=["stdout"])),
        20,
        "output, too",
    )

    assert other.hub_history()[: len(ids)] == ids
    assert other.get_result(ids[:5], owner=False).get(60) == [0, 1, 4, 9, 16]
    with pytest.raises(RemoteError, match="on purpose"):
        other.get_result(ids[5], owner=False).get(60)
    assert other.get_result(ids[6], owner=False).get(60).execute_result["data"]["text/plain"] == "42"
    records = other.db_query(
        {"msg_id": {"$in": ids[:5]}}, keys=["submitted", "completed", "queue", "engine_uuid", "stdout"]
    )
    assert {record["msg_id"] for record in records} == set(ids[:5])
    assert all(record["queue"] == "task" and before < record["submitted"] < record["completed"] for record in records)
    assert sorted(record["stdout"] for record in records) == [f"squaring {x}\n" for x in range(5)]
    assert len(other.db_query({"submitted": {"$gte": before}})) == len(ids)
    assert not other.db_query({"submitted": {"$lt": before}})

    assert set(other.queue_status()) >= {first, second, "unassigned"}
    again = other.resubmit(ids[3:5])
    assert again.get(60) == [9, 16] and not set(again.msg_ids) & set(ids)
    running = client[first].apply_async(wait_for_ever).msg_ids
    wait_until(lambda: running[0] in other.hub_history(), 20, "it is recorded")
    assert other.result_status(running)["pending"] == running
    other.purge_hub_results(ids[0])
    assert ids[0] not in other.hub_history()
    with pytest.raises(RemoteError, match="KeyError"):
        cluster.client(wait_for=2).get_result(ids[0], owner=False).get(60)


@pytest.mark.parametrize("switch", [None, "use_dill", "use_cloudpickle"])
def test_canned(sandbox, new_their_cluster, switch):
    """Closures, partials, references, classes, arrays and more, each on an engine of ours and one of theirs."""
    pytest.importorskip("numpy")
    if switch:
        pytest.importorskip(switch.removeprefix("use_"))
    cluster = new_their_cluster(1)
    cluster.start_their_engine()
    finished = sandbox.run(PYTHON, "-W", "ignore", Path(__file__).with_name("canned.py"), "ipcluster", cluster.client_file, 2, "peer",
                           *([switch] if switch else []), python=True, timeout=120)  # fmt: skip
    assert finished.status == 0 and " 0 failed" in finished.out, finished


def test_what_their_scheduler_has_is_not_cancelled_and_what_an_engine_of_ours_has_is(sandbox, new_their_cluster):
    client = new_their_cluster(1).client(wait_for=1)
    gate, begun = sandbox.dir / "gate", sandbox.dir / "begun"
    running = client[0].apply_async(wait_for_file, str(gate), 1, str(begun))
    wait_until(begun.exists, 60, "the engine is busy")
    queued = client[0].apply_async(square, 2)
    tasks = [client.load_balanced_view().apply_async(square, x) for x in range(3)]
    assert not tasks[2].cancel() and not tasks[2].cancelled()
    assert queued.cancel() and queued.cancelled() and not running.cancel()
    with pytest.raises(TaskAborted):
        queued.get(timeout=LONG)
    gate.touch()
    assert running.get(timeout=LONG) == 1
    assert [task.get(timeout=LONG) for task in tasks[:2]] == [0, 1]
    with pytest.raises(TaskAborted):  # the engine, which was asked, aborts it when it comes
        tasks[2].get(timeout=LONG)


def test_what_an_engine_of_theirs_has_is_aborted_when_its_turn_comes(sandbox, new_their_cluster):
    cluster = new_their_cluster(0)
    cluster.start_their_engine()
    client = cluster.client(wait_for=1)
    gate, begun = sandbox.dir / "gate", sandbox.dir / "begun"
    running = client[0].apply_async(wait_for_file, str(gate), 1, str(begun))
    wait_until(begun.exists, 60, "the engine is busy")
    queued = client[0].apply_async(square, 2)
    queued.cancel()
    gate.touch()
    assert running.get(timeout=LONG) == 1
    with pytest.raises(TaskAborted):
        queued.get(timeout=LONG)


def test_their_controller_and_its_engines_are_listed_and_stopped(new_their_cluster, sandbox):
    cluster = new_their_cluster(1)
    cluster.start_their_engine()
    cluster.client(wait_for=2).close()
    listed = json.loads(sandbox.run(sandbox.programs.ipcluster, "list", "--json", check=True).out)
    assert [(found["state"], found["pid"], found["engines"]) for found in listed] == [("by hand", None, 2)]
    assert "by hand" in sandbox.run(sandbox.programs.ipcluster, "list", check=True).out
    assert "started by hand" in sandbox.run(sandbox.programs.ipcluster, "start", "--n=1").err
    sandbox.run(sandbox.programs.ipcluster, "stop", check=True)
    for process in (*cluster.engines, cluster.controller):
        process.wait()
    assert json.loads(sandbox.run(sandbox.programs.ipcluster, "list", "--json", check=True).out) == []
