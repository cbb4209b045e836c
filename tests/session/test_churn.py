"""Ten thousand tasks while engines are killed and added, and a controller that is killed under load: each task is answered once."""

import threading
import time

import pytest
import zmq

from churn import Churn, outcomes, restart, wait_for_all
from controller_peer import Peer
from ipcluster import canning
from support import PATIENCE, SLOWNESS, wait_until

TASKS = 5000 if SLOWNESS == 1 else 2000  # of each of two clients


SECONDS = 0.002 * SLOWNESS


def later(x, seconds, gate=None):
    """Ends when the file `gate` exists."""
    import os
    import time

    time.sleep(seconds)
    while gate and not os.path.exists(gate):
        time.sleep(0.01)
    return x


later.__module__ = "__main__"  # as if a user had typed it: the engine does not have the test's modules


@pytest.fixture
def gate(sandbox):
    return sandbox.dir / "gate"


def collect(peer, socket, names, replies):
    """Takes replies until each task has one, and then looks for more."""
    deadline = time.monotonic() + 60 * PATIENCE
    while len(replies) < len(names) and time.monotonic() < deadline:
        if socket.poll(1000):
            _, _, parent, metadata, content = peer.receive(socket)
            replies.setdefault(parent["msg_id"], []).append(content)
    while socket.poll(1000):
        replies[peer.receive(socket)[2]["msg_id"]].append("once more")


def test_each_of_10000_tasks_is_answered_once_while_engines_are_killed_and_added(new_cluster, gate):
    cluster = new_cluster(
        4, controller=["--TaskScheduler.hwm=4", "--TaskScheduler.deaths_max=0"]
    )  # a task is hit again and again
    cluster.client()
    peer = Peer(cluster.profile_dir)
    sockets, names, replies = [], [[], []], [{}, {}]
    with Churn(cluster) as churn:
        for client, metadata in enumerate([{"retries": 1000}, {}]):
            socket = peer.connect(zmq.DEALER, peer.client["task"], identity=f"client-{client}".encode())
            sockets.append(socket)
            for number in range(TASKS):
                # The last ones of each client end only when some engines have been killed.
                arguments = (number, SECONDS, str(gate) if number >= TASKS - 4 else None)
                frames, msg_id = peer.message(
                    "apply_request", metadata=metadata, buffers=canning.pack_apply(later, arguments, {})
                )
                socket.send_multipart(frames)
                names[client].append(msg_id)
        threads = [threading.Thread(target=collect, args=(peer, sockets[i], names[i], replies[i])) for i in range(2)]
        for thread in threads:
            thread.start()
        try:
            churn.wait_for(3)
        finally:
            gate.touch()
            for thread in threads:
                thread.join()
    peer.close()
    for client in range(2):
        assert set(replies[client]) == set(names[client])
        assert all(len(each) == 1 for each in replies[client].values())
    assert all(each[0]["status"] == "ok" for each in replies[0].values()), "with retries every task survives"
    failed = [each[0] for each in replies[1].values() if each[0]["status"] != "ok"]
    assert all(content["ename"] == "EngineError" for content in failed), failed
    # Without retries the tasks of killed engines fail: for each no more than the high-water mark.
    assert len(failed) <= 4 * churn.killed


def test_two_clients_tasks_survive_churn(new_cluster, gate):
    cluster = new_cluster(
        4, controller=["--TaskScheduler.hwm=4", "--TaskScheduler.deaths_max=0"]
    )  # a task is hit again and again
    clients = [cluster.client(), cluster.client()]
    with Churn(cluster) as churn:
        views = [client.load_balanced_view() for client in clients]
        views[0].retries = 1000
        results = [
            [
                view.apply_async(later, number, SECONDS, str(gate) if number >= TASKS - 4 else None)
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


def test_a_controller_that_is_killed_under_load_leaves_no_client_hanging(new_cluster, gate):
    cluster = new_cluster(4, controller=["--reuse"])
    clients = [cluster.client(), cluster.client()]
    views = [client.load_balanced_view() for client in clients]
    # The last hundred of each wait until the controller has been killed.
    before = [
        view.apply_async(later, number, 0.01, str(gate) if number >= 400 else None)
        for view in views
        for number in range(500)
    ]
    direct = [client[number % 4].apply_async(later, number, 0.01) for client in clients for number in range(100)]
    wait_until(lambda: sum(result.ready() for result in before) > 10, 30, "some are answered")
    restart(cluster)
    gate.touch()
    after = [view.apply_async(later, number, 0.001) for view in views for number in range(500)]
    wait_for_all(before + direct + after)
    good = sum(outcomes(before[i : i + 500])[0] for i in (0, 500))
    errors = [outcomes(before[i : i + 500])[1] for i in (0, 500)]
    assert all(set(each) <= {"ConnectionError"} for each in errors), errors
    assert 0 < good < 1000, "some were answered before, and what waited in the controller is lost"
    # What was on its way through the controller when it was killed is lost, too; all else is with the engines.
    errors = [outcomes(direct[i : i + 100])[1] for i in (0, 100)]
    assert all(set(each) <= {"ConnectionError"} for each in errors), errors
    assert [outcomes(after[i : i + 500]) for i in (0, 500)] == [(500, {}), (500, {})]
