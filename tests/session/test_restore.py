"""Tasks across a restart: what a controller learns of the previous controller's tasks from the records."""

import os
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from support import LONG, SLOWNESS, typed, wait_for_commit, wait_until
from wire_tap import tapped_file

RECORDED = ["--reuse", "--sqlitedb"]
# Long enough for engines to come back.
RETURN = f"--IPController.registration_timeout={round(4 + 2 * SLOWNESS)}"


def kill(cluster, client):
    """Kills the controller once what it has recorded is in the file."""
    wait_for_commit(cluster.profile_dir / "tasks.db", client.db_query({}, keys=["msg_id", "completed", "engine_uuid"]))
    cluster.controller.stop(signal.SIGKILL)


def restart(cluster, client, *arguments):
    kill(cluster, client)
    return cluster.start_controller("--restore", "--sqlitedb", *arguments)


@typed
def note(path, name, seconds=0, gate=None):
    """Leaves a line, so that a second run is seen. Ends when the file `gate` exists."""
    import os
    import time

    with open(path, "a") as file:
        file.write(f"{name} {os.getpid()}\n")
    time.sleep(seconds)
    while gate and not os.path.exists(gate):
        time.sleep(0.02)
    return name


@typed
def fail():
    raise ValueError("meant to")


def test_a_controller_without_the_records_of_the_one_before_says_so(recorded):
    recorded.controller.stop(signal.SIGKILL)
    recorded.start_controller("--restore")
    recorded.controller.wait_for_output("--sqlitedb")


@pytest.fixture
def recorded(new_cluster):
    return new_cluster(2, controller=RECORDED)


def runs(path):
    return Counter(line.split()[0] for line in path.read_text().splitlines())


def outcome(task, timeout=2 * LONG):
    try:
        return task.get(timeout=timeout)
    except TimeoutError:
        raise
    except Exception as error:
        return error


def test_tasks_go_on_after_kill_9_under_load_and_none_runs_twice(recorded):
    cluster = recorded
    client = cluster.client()
    view = client.load_balanced_view()
    path, gate = cluster.sandbox.dir / "ran", cluster.sandbox.dir / "go"
    path.write_text("")
    # The last hundred wait where they are until the controller has been killed.
    tasks = {
        str(i): view.apply_async(note, str(path), str(i), 0.02, str(gate) if i >= 500 else None) for i in range(600)
    }
    wait_until(lambda: len(client.db_query({}, keys=["msg_id"])) == 600, 30, "all are recorded")
    restart(cluster, client, RETURN)
    gate.touch()
    outcomes = {name: outcome(task) for name, task in tasks.items()}
    ran = runs(path)
    assert set(ran.values()) == {1}, "none ran twice"
    answered = {name for name, result in outcomes.items() if result == name}
    assert answered <= set(ran)
    # Answers may be lost with the controller, but no task that waited is lost.
    assert len(answered) > 500, Counter(map(str, outcomes.values()))
    for name in set(outcomes) - answered:
        assert "lost" in str(outcomes[name]) or "ended before" in str(outcomes[name]), outcomes[name]
    cluster.controller.wait_for_output(r"\d+ tasks that waited in the previous controller go on")
    # Each record says the same as its task's client was told,
    ids = {name: task.msg_ids[0] if hasattr(task, "msg_ids") else task.msg_id for name, task in tasks.items()}
    wait_until(lambda: client.db_query({"completed": None}, keys=["msg_id"]) == [], 30, "nothing is left open")
    records = client.db_query({"msg_id": {"$in": [ids[name] for name in answered]}}, keys=["result_content"])
    assert len(records) == len(answered)
    # Except for answers that the store had not committed: these were lost with the controller.
    failed = [record["result_content"] for record in records if record["result_content"]["status"] != "ok"]
    assert len(failed) < 100 and all("ended before" in content["evalue"] for content in failed)


def test_tasks_depend_on_those_that_ended_under_an_earlier_controller(recorded):
    client = recorded.client()
    view = client.load_balanced_view()
    good, bad = view.apply_async(typed(lambda: 1)), view.apply_async(fail)
    good.get(timeout=LONG)
    with pytest.raises(Exception, match="meant to"):
        bad.get(timeout=LONG)
    wait_until(
        lambda: len(client.db_query({"completed": {"$ne": None}}, keys=["msg_id"])) == 2, 20, "both ends are recorded"
    )
    where = good.metadata["engine_id"] if not isinstance(good.metadata, list) else good.metadata[0]["engine_id"]
    restart(recorded, client)
    late = client.load_balanced_view(after=[good]).apply_async(typed(lambda: "after"))
    there = client.load_balanced_view(follow=[good]).apply_async(typed(lambda: "there"))
    never = client.load_balanced_view(after=[bad]).apply_async(typed(lambda: "never"))
    unknown = client.load_balanced_view(after=["no-such-task"]).apply_async(typed(lambda: "unknown"))
    assert late.get(timeout=LONG) == "after"
    assert there.get(timeout=LONG) == "there"
    assert where == (
        there.metadata["engine_id"] if not isinstance(there.metadata, list) else there.metadata[0]["engine_id"]
    )
    for task, name in ((never, "ImpossibleDependency"), (unknown, "InvalidDependency")):
        with pytest.raises(Exception, match=name):
            task.get(timeout=LONG)


def test_waiting_tasks_keep_their_dependencies_and_targets_and_wait_for_what_still_runs(recorded):
    client = recorded.client()
    flag, path = recorded.sandbox.dir / "go", recorded.sandbox.dir / "ran"
    running = client.load_balanced_view(targets=[1]).apply_async(note, str(path), "running", 0, str(flag))
    after = client.load_balanced_view(after=[running]).apply_async(typed(lambda: "after"))
    at_1 = client.load_balanced_view(targets=[1]).apply_async(typed(lambda: __import__("os").getpid()))
    last = client.load_balanced_view(after=[after]).apply_async(typed(lambda: "last"))
    pid = client[0].apply_sync(typed(lambda: __import__("os").getpid()))
    wait_until(path.exists, 20, "it runs")
    restart(recorded, client)
    late = client.load_balanced_view(after=[running]).apply_async(typed(lambda: "late"))
    wait_until(lambda: sorted(client.ids) == [0, 1], 30, "the engines are back")
    time.sleep(1)
    assert not after.ready() and not late.ready()
    flag.touch()
    assert running.get(timeout=LONG) == "running"
    assert after.get(timeout=LONG) == "after"
    assert last.get(timeout=LONG) == "last"
    assert late.get(timeout=LONG) == "late"
    assert at_1.get(timeout=LONG) != pid


def test_a_task_whose_engine_died_with_the_controller_fails_once_and_so_do_those_that_depend_on_it(recorded):
    client = recorded.client()
    path = recorded.sandbox.dir / "ran"
    lost = client.load_balanced_view(targets=[0]).apply_async(note, str(path), "lost", 60)
    after = client.load_balanced_view(after=[lost]).apply_async(note, str(path), "after")
    wait_until(lambda: path.exists() and runs(path), 20, "it runs")
    kill(recorded, client)
    by_id = {int(engine.wait_for_output(r"registered as engine (\d)").group(1)): engine for engine in recorded.engines}
    by_id[0].popen.kill()
    recorded.start_controller("--restore", "--sqlitedb", RETURN)
    with pytest.raises(Exception, match="EngineError"):
        lost.get(timeout=LONG)
    with pytest.raises(Exception, match="ImpossibleDependency"):
        after.get(timeout=LONG)
    assert runs(path) == {"lost": 1}
    assert client.load_balanced_view().apply_sync(typed(lambda: 1)) == 1


@pytest.mark.parametrize("harm", ["missing", "another's", "cut"])
def test_where_it_is_not_certain_that_no_engine_had_a_task_it_is_not_run_again(recorded, harm):
    client = recorded.client()
    view = client.load_balanced_view()
    flag, begun, path = (recorded.sandbox.dir / name for name in ("go", "begun", "ran"))
    running = [view.apply_async(note, str(begun), str(i), 0, str(flag)) for i in range(2)]
    waiting = view.apply_async(note, str(path), "waiting")
    wait_until(lambda: begun.exists() and len(runs(begun)) == 2, 20, "both engines are at work")
    wait_until(lambda: client.queue_status()["unassigned"] == 1, 20, "one waits")
    kill(recorded, client)
    kept = recorded.profile_dir / "security/ipcontroller-given-out"
    assert kept.stat().st_mode & 0o777 == 0o600
    if harm == "missing":
        kept.unlink()
    else:
        data = bytearray(kept.read_bytes())
        kept.write_bytes(data[:100] if harm == "cut" else data[:48] + b"12345678" + data[56:])
    recorded.start_controller("--restore", "--sqlitedb", RETURN)
    with pytest.raises(Exception, match="it may have run, and is not run again"):
        waiting.get(timeout=LONG)
    flag.touch()
    assert [task.get(timeout=LONG) for task in running] == ["0", "1"]
    assert not path.exists()
    # What this controller gives out is known for certain again: no task runs twice.
    again = [view.apply_async(note, str(path), str(i), 0.5) for i in range(8)]
    wait_until(path.exists, 20, "one runs")
    restart(recorded, client, RETURN)
    results = [outcome(task) for task in again]
    assert set(runs(path).values()) == {1} and results.count(None) == 0
    assert sum(result == str(i) for i, result in enumerate(results)) >= 4


def test_a_task_with_retries_runs_where_it_is_not_certain_whether_an_engine_had_it(recorded):
    client = recorded.client()
    view = client.load_balanced_view(retries=1)
    flag, path = (recorded.sandbox.dir / name for name in ("go", "ran"))
    running = [view.apply_async(note, str(path), str(i), 0, str(flag)) for i in range(2)]
    waiting = view.apply_async(note, str(path), "waiting")
    wait_until(lambda: path.exists() and len(runs(path)) == 2, 20, "both engines are at work")
    wait_until(lambda: client.queue_status()["unassigned"] == 1, 20, "one waits")
    kill(recorded, client)
    (recorded.profile_dir / "security/ipcontroller-given-out").unlink()
    recorded.start_controller("--restore", "--sqlitedb", RETURN)
    flag.touch()
    assert [task.get(timeout=LONG) for task in (*running, waiting)] == ["0", "1", "waiting"]
    assert set(runs(path).values()) == {1}


def freeze(pid):
    """Stops a process, and waits until all its threads have stopped: the signal goes to one of them, which may not run for a while."""

    def states():
        return {
            (thread / "stat").read_text().rpartition(")")[2].split()[0]
            for thread in Path(f"/proc/{pid}/task").iterdir()
        }

    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: states() == {"T"}, 20, "each of its threads has stopped")


def test_tasks_that_a_killed_controller_had_not_read_run_once_without_being_submitted_again(recorded):
    client = recorded.client()
    view = client.load_balanced_view()
    path = recorded.sandbox.dir / "ran"
    assert view.apply_sync(note, str(path), "before") == "before"
    wait_for_commit(recorded.profile_dir / "tasks.db", client.db_query({}, keys=["msg_id", "completed", "engine_uuid"]))
    freeze(recorded.controller.pid)
    tasks = [view.apply_async(note, str(path), str(i)) for i in range(5)]
    time.sleep(0.5)  # they leave; what has not left is sent to the next controller in any case
    recorded.controller.stop(signal.SIGKILL)
    recorded.start_controller("--restore", "--sqlitedb")
    assert [task.get(timeout=LONG) for task in tasks] == [str(i) for i in range(5)]
    assert set(runs(path).values()) == {1}


def test_a_controller_that_is_killed_again_and_again_loses_no_waiting_task(recorded):
    client = recorded.client()
    path = recorded.sandbox.dir / "ran"
    path.write_text("")
    view = client.load_balanced_view()
    tasks = [view.apply_async(note, str(path), str(i), 0.05) for i in range(150)]
    wait_until(lambda: len(client.db_query({}, keys=["msg_id"])) == 150, 30, "all are recorded")
    for _ in range(4):
        seen = len(runs(path))
        wait_until(lambda: len(runs(path)) > min(seen + 10, 148), 60, "they go on")
        restart(recorded, client, RETURN)
    results = [outcome(task) for task in tasks]
    assert set(runs(path).values()) == {1}
    assert sum(result == str(i) for i, result in enumerate(results)) > 120, Counter(map(str, results))


@typed
def hang_at_first(path):
    import os
    import time

    with open(path, "a") as file:
        file.write(f"run {os.getpid()}\n")
    if len(open(path).readlines()) == 1:
        time.sleep(100)
    return "at last"


@typed
def fail_at_first(path, flag):
    import os
    import time

    with open(path, "a") as file:
        file.write(f"run {os.getpid()}\n")
    while not os.path.exists(flag):
        time.sleep(0.02)
    if len(open(path).readlines()) < 2:
        raise ValueError("not yet")
    return "at last"


def test_a_task_with_retries_runs_again_when_the_engine_is_gone_that_had_it(recorded):
    client = recorded.client()
    path = recorded.sandbox.dir / "ran"
    view = client.load_balanced_view(targets=[0, 1], retries=1)
    again = view.apply_async(hang_at_first, str(path))
    after = client.load_balanced_view(after=[again]).apply_async(typed(lambda: "after"))
    wait_until(lambda: path.exists() and runs(path), 20, "it runs")
    kill(recorded, client)
    pid = int(path.read_text().split()[1])
    os.kill(pid, signal.SIGKILL)
    recorded.start_controller("--restore", "--sqlitedb", RETURN)
    assert again.get(timeout=LONG) == "at last"
    assert after.get(timeout=LONG) == "after"
    assert runs(path) == {"run": 2}


def test_a_task_with_retries_waits_for_its_other_engine_when_the_one_that_had_it_did_not_come_back(recorded):
    client = recorded.client()
    path = recorded.sandbox.dir / "ran"
    pids = client[:].apply_sync(os.getpid)
    again = client.load_balanced_view(targets=[0, 1], retries=1).apply_async(hang_at_first, str(path))
    wait_until(lambda: path.exists() and runs(path), 20, "it runs")
    had_it = int(path.read_text().split()[1])
    (other,) = set(pids) - {had_it}
    os.kill(other, signal.SIGSTOP)
    kill(recorded, client)
    os.kill(had_it, signal.SIGKILL)
    recorded.start_controller("--restore", "--sqlitedb", "--IPController.registration_timeout=1")
    # By then it is taken for lost. Engines may come back for 10 s.
    time.sleep(3)
    os.kill(other, signal.SIGCONT)
    assert again.get(timeout=LONG) == "at last"
    assert runs(path) == {"run": 2}


def test_a_task_with_retries_that_fails_after_a_restart_is_tried_again(recorded):
    client = recorded.client()
    path, flag = recorded.sandbox.dir / "ran", recorded.sandbox.dir / "go"
    view = client.load_balanced_view(retries=1)
    task = view.apply_async(fail_at_first, str(path), str(flag))
    wait_until(lambda: path.exists() and runs(path), 20, "it runs")
    restart(recorded, client)
    wait_until(lambda: sorted(client.ids) == [0, 1], 30, "the engines are back")
    flag.touch()
    assert task.get(timeout=LONG) == "at last"
    assert runs(path) == {"run": 2}


def test_tasks_of_before_a_restart_can_be_cancelled(new_cluster):
    cluster = new_cluster(2, controller=[*RECORDED, "--hwm=2"])
    client = cluster.client()
    pids = dict(zip(client.ids, client[:].apply_sync(os.getpid)))
    view = client.load_balanced_view()
    path, gate = cluster.sandbox.dir / "ran", cluster.sandbox.dir / "go"
    path.write_text("")
    tasks = {
        name: view.apply_async(note, str(path), name, 0, str(gate))
        for name in ("here", "there", "first", "second", "waits")
    }
    wait_until(lambda: sorted(runs(path)) == ["here", "there"], 60, "both engines are busy")
    with view.temp_flags(targets=[1]):
        bound = view.apply_async(note, str(path), "bound")
    wait_until(lambda: client.db_query({"msg_id": bound.msg_ids[0]}, keys=["msg_id"]), 60, "it is recorded")
    os.kill(pids[1], signal.SIGSTOP)
    restart(cluster, client, "--hwm=2")
    # It is set aside until it is certain that its engine does not come back; later its end is another.
    assert bound.cancel() or "none of the engines" in str(outcome(bound))
    os.kill(pids[1], signal.SIGCONT)
    wait_until(lambda: client.ids == [0, 1], 60, "both engines are back")
    for name in ("first", "second", "waits"):
        wait_until(tasks[name].cancel, 60, "what an engine has not begun is taken back")
    assert not tasks["here"].cancel()
    gate.touch()
    assert outcome(tasks["here"]) == "here" and outcome(tasks["there"]) == "there"
    assert sorted(runs(path)) == ["here", "there"]


@pytest.fixture
def tapped(new_cluster):
    """A controller, and an engine that gets its tasks through a tap, `cluster.tap`."""
    cluster = new_cluster(0, controller=[*RECORDED, "--IPController.enable_curve=false"])
    file = cluster.profile_dir / "security/tapped-engine.json"
    with tapped_file(cluster.engine_file, file, ["task"]) as taps:
        cluster.tap = taps["task"]
        cluster.start_engine(f"--file={file}")
        yield cluster


def restart_tapped(cluster, client):
    """What the tap has held is lost with the controller."""
    kill(cluster, client)
    cluster.tap.holding = False
    cluster.start_controller("--restore", "--sqlitedb", "--IPController.enable_curve=false", RETURN)


def test_a_task_that_was_on_its_way_to_its_engine_when_the_controller_was_killed_runs_once(tapped):
    client = tapped.client()
    view = client.load_balanced_view()
    path = tapped.sandbox.dir / "ran"
    assert view.apply_sync(note, str(path), "before") == "before"
    tapped.tap.holding = True
    sent = len(tapped.tap.to_peer)
    lost, waiting = view.apply_async(note, str(path), "lost"), view.apply_async(note, str(path), "waiting")
    wait_until(lambda: len(tapped.tap.to_peer) > sent, 20, "it is given out")
    restart_tapped(tapped, client)
    assert [lost.get(timeout=LONG), waiting.get(timeout=LONG)] == ["lost", "waiting"]
    assert set(runs(path).values()) == {1}


def test_an_answer_that_was_on_its_way_when_the_controller_was_killed_comes_again(tapped):
    client = tapped.client()
    path, gate = tapped.sandbox.dir / "ran", tapped.sandbox.dir / "go"
    task = client.load_balanced_view().apply_async(note, str(path), "answered", 0, str(gate))
    wait_until(path.exists, 20, "it runs")
    tapped.tap.holding = True
    sent = len(tapped.tap.to_controller)
    gate.touch()
    wait_until(lambda: len(tapped.tap.to_controller) > sent, 20, "it is answered")
    restart_tapped(tapped, client)
    assert task.get(timeout=LONG) == "answered"
    assert runs(path) == {"answered": 1}


def test_an_answer_that_comes_twice_is_none_to_the_next_attempt(tapped):
    client, tap = tapped.client(), tapped.tap
    path, flag = tapped.sandbox.dir / "ran", tapped.sandbox.dir / "go"
    task = client.load_balanced_view(retries=1).apply_async(fail_at_first, str(path), str(flag))
    msg_id = task.msg_ids[0].encode()
    wait_until(lambda: path.exists() and runs(path), 20, "it runs")
    tap.holding = True
    answered, sent = len(tap.to_controller), len(tap.to_peer)

    def given(word):
        return [message for message in tap.to_peer[sent:] if msg_id in b"".join(message) and word in b"".join(message)]

    flag.touch()
    wait_until(lambda: len(tap.to_controller) > answered, 20, "its first attempt has failed")
    answer = tap.to_controller[answered]
    kill(tapped, client)
    tapped.start_controller("--restore", "--sqlitedb", "--IPController.enable_curve=false", RETURN)
    wait_until(lambda: given(b"recall_request"), 60, "its engine is asked for it")
    tap.inject(answer, to_controller=True)
    wait_until(lambda: given(b"apply_request"), 60, "it is given out again")
    tap.holding = False
    for message in tap.to_peer[sent:]:
        tap.inject(message)  # now its engine is asked, and sends the answer once more
    assert task.get(timeout=LONG) == "at last"
    assert runs(path) == {"run": 2}


@typed
def fail_each_time(path, gate):
    import os
    import time

    with open(path, "a") as file:
        file.write(f"run {os.getpid()}\n")
    while len(open(path).readlines()) > 1 and not os.path.exists(gate):
        time.sleep(0.02)
    raise ValueError("meant to")


def test_retries_that_a_task_has_used_stay_used_over_a_restart(recorded):
    client = recorded.client()
    path, gate = recorded.sandbox.dir / "ran", recorded.sandbox.dir / "go"
    task = client.load_balanced_view(retries=1).apply_async(fail_each_time, str(path), str(gate))
    wait_until(lambda: path.exists() and runs(path) == {"run": 2}, 20, "it is tried again")
    restart(recorded, client, RETURN)
    gate.touch()
    with pytest.raises(Exception, match="meant to"):
        task.get(timeout=LONG)
    assert runs(path) == {"run": 2}


def test_the_engines_that_a_task_has_killed_are_counted_over_a_restart(new_cluster):
    deaths = "--TaskScheduler.deaths_max=2"
    cluster = new_cluster(3, controller=[*RECORDED, deaths])
    client = cluster.client()
    path = cluster.sandbox.dir / "ran"
    task = client.load_balanced_view(retries=5).apply_async(note, str(path), "poison", 600)

    def kill_engine(times):
        wait_until(lambda: path.exists() and len(path.read_text().splitlines()) == times, 20, "it runs")
        os.kill(int(path.read_text().split()[-1]), signal.SIGKILL)

    kill_engine(1)
    wait_until(lambda: len(path.read_text().splitlines()) == 2, 20, "it runs at another engine")
    kill(cluster, client)
    kill_engine(2)
    cluster.start_controller("--restore", "--sqlitedb", RETURN, deaths)
    with pytest.raises(Exception, match="not tried again, as [0-9]+ engines? died"):
        task.get(timeout=LONG)
    assert runs(path) == {"poison": 2}
