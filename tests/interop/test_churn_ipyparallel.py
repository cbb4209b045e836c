"""ipyparallel's unmodified client and engine while engines are killed and added, and over a restart of our controller."""

import json
import os
import signal

import pytest

from churn import Churn, outcomes, restart, wait_for_all
from support import LONG, PYTHON, Cluster, wait_until

ipp = pytest.importorskip("ipyparallel")

TASKS = 5000  # of each of two clients


@ipp.interactive
def later(x, seconds=0.002, gate=None):
    """Ends when the file `gate` exists."""
    import os
    import time

    time.sleep(seconds)
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return x


@pytest.fixture
def gate(sandbox):
    return sandbox.dir / "gate"


def test_10000_tasks_of_two_clients_are_answered_while_engines_are_killed_and_added(new_cluster, connect, gate):
    cluster = new_cluster(
        4, controller=["--TaskScheduler.hwm=4", "--TaskScheduler.deaths_max=0"]
    )  # a task is hit again and again
    views = [connect(cluster, 4).load_balanced_view() for _ in range(2)]
    views[0].retries = 1000
    with Churn(cluster) as churn:
        # The last ones of each client end only when some engines have been killed.
        results = [
            [
                view.apply_async(later, number, gate=str(gate) if number >= TASKS - 4 else None)
                for number in range(TASKS)
            ]
            for view in views
        ]
        churn.wait_for(3)
        gate.touch()
        for each in results:
            wait_for_all(each)
    assert outcomes(results[0]) == (TASKS, {})
    good, errors = outcomes(results[1])
    assert good + errors.get("EngineError", 0) == TASKS, errors


def test_their_client_goes_on_with_our_engines_after_a_restart(new_cluster, connect, gate):
    cluster = new_cluster(2, controller=["--reuse"])
    rc = connect(cluster, 2)
    rc[:].push({"kept": 5}, block=True)

    @ipp.interactive
    def wait(path, answer):
        import os
        import time

        open(f"{path}.{answer}", "w").close()
        while not os.path.exists(path):
            time.sleep(0.02)
        open(f"{path}.{answer}.ends", "w").close()
        return answer

    wait.__module__ = "__main__"
    names = ["direct", "balanced"]
    direct = rc[0].apply_async(wait, str(gate), names[0])
    balanced = rc.load_balanced_view(targets=[1]).apply_async(wait, str(gate), names[1])
    wait_until(lambda: all(os.path.exists(f"{gate}.{name}") for name in names), 20, "both run")
    cluster.controller.popen.kill()
    cluster.controller.wait()
    gate.touch()
    wait_until(
        lambda: all(os.path.exists(f"{gate}.{name}.ends") for name in names), 20, "both end without a controller"
    )
    cluster.start_controller("--reuse")
    assert direct.get(timeout=LONG) == "direct"
    assert balanced.get(timeout=LONG) == "balanced"
    assert rc[:]["kept"] == [5, 5]
    assert rc.load_balanced_view().map_sync(later, range(20)) == list(range(20))
    assert connect(cluster, 2).ids == [0, 1]


def test_their_client_is_served_after_a_restart_under_load(new_cluster, connect):
    cluster = new_cluster(4, controller=["--reuse"])
    clients = [connect(cluster, 4) for _ in range(2)]
    views = [client.load_balanced_view() for client in clients]
    before = [view.apply_async(later, number, 0.01) for view in views for number in range(300)]
    wait_until(lambda: any(result.ready() for result in before), 30, "some are answered")
    restart(cluster)
    after = [view.apply_async(later, number) for view in views for number in range(300)]
    wait_for_all(after)
    assert [outcomes(after[i : i + 300]) for i in (0, 300)] == [(300, {}), (300, {})]
    # What waited in the controller that was killed is lost, which ipyparallel's client does not notice; what was answered is right.
    assert all(result.get() == number % 300 for number, result in enumerate(before) if result.ready())


def test_their_engine_is_restored_and_keeps_its_namespace(new_cluster, connect, sandbox):
    cluster = new_cluster(1, controller=["--reuse"])
    engine = sandbox.start(PYTHON, "-m", "ipyparallel.engine", f"--file={cluster.engine_file}")
    rc = connect(cluster, 2)
    pids = rc[:].apply_sync(os.getpid)
    rc[:].push({"kept": 7}, block=True)
    theirs = [i for i in rc.ids if pids[rc.ids.index(i)] != cluster.engines[0].pid][0]
    table = cluster.profile_dir / "security/ipcontroller-engines.json"
    wait_until(lambda: table.exists() and len(json.loads(table.read_text())["engines"]) == 2, 10, "the table has both")
    restart(cluster)
    again = connect(cluster, 2)
    assert again[:].apply_sync(os.getpid) == pids
    assert again[:]["kept"] == [7, 7]
    assert rc[theirs]["kept"] == 7
    assert sorted(set(rc.load_balanced_view().map_sync(ipp.interactive(lambda x: kept), range(20)))) == [7]
    assert engine.alive
    engine.send_signal(signal.SIGKILL)
    wait_until(lambda: rc.ids == [1 - theirs], 30, "its death is noticed")


def test_whoever_waits_for_a_result_of_their_engine_that_is_too_large_to_be_read_hears_so_and_it_goes_on(
    sandbox, connect
):
    if sandbox.sanitizers:
        pytest.skip("the limit is for a process without a sanitizer's memory")
    cluster = Cluster(sandbox)
    cluster.profile_dir.mkdir(mode=0o700)
    sandbox.start("prlimit", f"--data={200 << 20}", "--", sandbox.programs.ipcontroller).wait_for_output(
        "connection files"
    )
    sandbox.start(PYTHON, "-m", "ipyparallel.engine", f"--file={cluster.engine_file}", python=True)
    rc = connect(cluster, 1)
    for view in rc[0], rc.load_balanced_view():
        lost, behind = view.apply_async(bytearray, 80 << 20), view.apply_async(os.getpid)
        with pytest.raises(
            ipp.RemoteError, match="answer was lost: a part of it has 838.* bytes, but the controller reads up to"
        ):
            lost.get(timeout=LONG)
        assert behind.get(timeout=LONG) == view.apply_async(os.getpid).get(timeout=LONG)
    with pytest.raises(ipp.RemoteError, match="answer was lost"):
        rc.broadcast_view().apply_async(bytearray, 80 << 20).get(timeout=LONG)
    assert rc.broadcast_view().apply_async(os.getpid).get(timeout=LONG)
