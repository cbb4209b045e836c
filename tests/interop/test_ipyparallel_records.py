"""ipyparallel's own client asks our hub for records: results of other clients, queries, resubmission, purges, and all that once more
after the controller was killed."""

import signal

import pytest

from support import LONG, wait_for_commit, wait_for_file, wait_until

ipp = pytest.importorskip("ipyparallel")


def typed(function):
    """The function as if a user had typed it: the engine does not have the test's modules."""
    function.__module__ = "__main__"
    return function


@typed
def square(x):
    print("squaring", x)
    return x * x


@typed
def fail():
    raise ValueError("on purpose")


def test_every_record_is_found_by_other_clients_also_after_the_controller_was_killed(new_cluster, connect):
    cluster = new_cluster(2, controller=["--sqlitedb", "--reuse"])
    rc = connect(cluster, 2)
    balanced = rc.load_balanced_view()
    done = [balanced.apply_async(square, x) for x in range(5)]
    assert [result.get(timeout=LONG) for result in done] == [0, 1, 4, 9, 16]
    failed = rc[0].apply_async(fail)
    with pytest.raises(ipp.RemoteError, match="on purpose"):
        failed.get(timeout=LONG)
    executed = rc[1].execute("6 * 7", silent=False)
    executed.wait(LONG)
    ids = [result.msg_ids[0] for result in (*done, failed, executed)]
    hang = typed(lambda: __import__("time").sleep(600))
    unfinished = rc[1].apply_async(hang).msg_ids[0]

    def check(other):
        """What another client finds."""
        assert other.hub_history()[: len(ids)] == ids
        assert other.get_result(ids[:5], owner=False).get(timeout=LONG) == [0, 1, 4, 9, 16]
        with pytest.raises(ipp.RemoteError, match="on purpose"):
            other.get_result(ids[5], owner=False).get(timeout=LONG)
        assert other.get_result(ids[6], owner=False).get(timeout=LONG).execute_result["data"]["text/plain"] == "42"
        records = other.db_query({"msg_id": {"$in": ids[:5]}}, keys=["submitted", "stdout", "queue", "result_buffers"])
        assert [record["msg_id"] for record in records] == ids[:5]
        assert [record["stdout"] for record in records] == [f"squaring {x}\n" for x in range(5)]
        assert all(record["queue"] == "task" and record["result_buffers"] for record in records)
        middle = records[2]["submitted"]
        assert [r["msg_id"] for r in other.db_query({"submitted": {"$lt": middle}})] == ids[:2]
        assert ids[2] in [r["msg_id"] for r in other.db_query({"submitted": {"$gte": middle}}, keys="submitted")]
        assert [r["msg_id"] for r in other.db_query({"submitted": middle})] == [ids[2]]

    other = connect(cluster, 2)
    wait_until(lambda: all(m in other.result_status(ids)["completed"] for m in ids), 20, "all is recorded")
    wait_until(
        lambda: len([r for r in other.db_query({"msg_id": {"$in": ids[:5]}}) if r["stdout"]]) == 5, 20, "output, too"
    )
    check(other)
    assert other.result_status([unfinished])["pending"] == [unfinished]
    wait_for_commit(
        cluster.profile_dir / "tasks.db", other.db_query({}, keys=["msg_id", "completed", "engine_uuid", "stdout"])
    )
    cluster.controller.stop(signal.SIGKILL)
    for engine in cluster.engines:
        engine.stop(signal.SIGKILL)
    cluster.start_controller("--sqlitedb", "--reuse", "--IPController.registration_timeout=1")
    cluster.start_engine()
    after = connect(cluster, 1)
    check(after)
    with pytest.raises(ipp.RemoteError, match="the controller ended before"):
        after.get_result(unfinished, owner=False).get(timeout=LONG)
    again = after.resubmit(ids[:2])
    assert again.get(timeout=LONG) == [0, 1]
    assert not set(again.msg_ids) & set(ids)
    after.purge_hub_results(ids[0])
    assert after.hub_history()[0] == ids[1]
    after.purge_hub_results("all")
    assert after.hub_history() == []
    with pytest.raises(ipp.RemoteError, match="no record"):
        connect(cluster, 1).get_result(ids[1], owner=False).get(timeout=LONG)


def test_tasks_that_waited_run_after_kill_9_and_their_results_reach_every_client(new_cluster, connect):
    cluster = new_cluster(1, controller=["--sqlitedb", "--reuse"])
    rc = connect(cluster, 1)
    view = rc.load_balanced_view()
    flag = cluster.sandbox.dir / "go"
    begun = cluster.sandbox.dir / "begun"
    running = view.apply_async(wait_for_file, str(flag), str(flag), str(begun))
    waiting = [view.apply_async(square, x) for x in range(30)]
    failing = view.apply_async(fail)
    direct = rc[0].apply_async(square, 7)
    ids = [task.msg_ids[0] for task in waiting]
    wait_until(lambda: len(rc.db_query({"completed": None}, keys=["msg_id"])) == 33, 20, "all are recorded")
    wait_until(begun.exists, 20, "the engine is at work")
    wait_for_commit(cluster.profile_dir / "tasks.db", rc.db_query({}, keys=["msg_id", "completed", "engine_uuid"]))
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--sqlitedb", "--restore")
    flag.touch()
    other = connect(cluster, 1)
    assert other.get_result(ids, owner=False).get(timeout=LONG) == [x * x for x in range(30)]
    with pytest.raises(ipp.RemoteError, match="on purpose"):
        other.get_result(failing.msg_ids[0], owner=False).get(timeout=LONG)
    # The client that submitted them can ask for them like any other client,
    status = rc.result_status(ids, status_only=False)
    assert status["pending"] == [] and [status[msg_id] for msg_id in ids] == [x * x for x in range(30)]
    # and gets them at the latest when it submits something: its socket has no name, but its requests name its session.
    assert view.apply_async(square, 9).get(timeout=LONG) == 81
    assert running.get(timeout=LONG) == str(flag)
    assert [task.get(timeout=LONG) for task in waiting] == [x * x for x in range(30)]
    with pytest.raises(ipp.RemoteError, match="on purpose"):
        failing.get(timeout=LONG)
    assert rc[0].apply_async(square, 8).get(timeout=LONG) == 64
    assert direct.get(timeout=LONG) == 49
    assert rc.outstanding == set()
