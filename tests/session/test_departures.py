"""Engines that go: who answers for them, that everybody answers once, and what becomes of the tasks that they had."""

import os
import signal
from collections import Counter

import pytest
import zmq

from controller_peer import Engine, pack
from ipcluster import EngineError
from support import LONG, typed, wait_for_file, wait_until


def answers_until_now(peer, mux):
    """Sends a request now, and returns what is answered before it: pairs of a msg_id and an error's name."""
    frames, asked = peer.message("apply_request")
    mux.send_multipart([b"nobody", *frames])
    answers = []
    while True:
        _, _, parent, _, content = peer.receive(mux)
        if parent["msg_id"] == asked:
            return answers
        answers.append((parent["msg_id"], content.get("ename")))


def test_what_an_engine_answered_comes_before_clients_are_told_that_it_has_gone(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    mux = peer.connect(zmq.DEALER, peer.client["mux"])
    for number in range(10):
        engine = Engine(peer, wanted=number).open().beat()
        peer.notified(notification, "registration_notification", id=number)
        sent = []
        for _ in range(2):
            frames, msg_id = peer.message("apply_request")
            mux.send_multipart([engine.uuid.encode(), *frames])
            sent.append((*engine.take()[:2], msg_id))
        (route, header, first), (late_route, late_header, _) = sent
        leave, _ = peer.message("unregistration_request", {"id": number})
        # The controller hears of both at once, on two connections.
        engine.registration.send_multipart(leave)
        engine.answer(route, header)
        peer.notified(notification, "unregistration_notification", uuid=engine.uuid)
        assert answers_until_now(peer, mux) in ([], [(first, None)])
        # By now clients have ended, with an error, what was not answered: no second answer may come.
        engine.answer(late_route, late_header)
        assert not mux.poll(100)


def test_what_an_engine_of_the_previous_controller_answered_counts_before_its_end(controller):
    first = controller("--reuse")
    engine = Engine(first).beat()
    first.process.stop(signal.SIGKILL)
    peer = controller("--reuse")
    engine.peer, back = peer, peer.connect(zmq.DEALER, peer.engine["registration"], engine.name)
    engine.open()
    task = peer.connect(zmq.DEALER, peer.client["task"], b"before")
    peer.engines()
    sent = [f"task-{number}" for number in range(2000)]
    for msg_id in sent:
        engine.answer([b"task_out", b"before"], pack({"msg_id": msg_id, "session": "test"}))
    back.send_multipart(peer.message("unregistration_request", {"id": 0, "uuid": engine.uuid})[0])
    assert [peer.receive(task)[2]["msg_id"] for _ in sent] == sent


def test_the_end_of_an_engine_whose_id_another_asks_for_is_told_before_that_one_comes(controller):
    first = controller("--reuse")
    engine = Engine(first).beat()
    first.process.stop(signal.SIGKILL)
    peer = controller("--reuse")
    notification = peer.subscribe(peer.client["notification"])
    leave, back = peer.message("unregistration_request", {"id": 0, "uuid": engine.uuid})[0], peer.connect(
        zmq.DEALER, peer.engine["registration"], engine.name
    )
    other = Engine(peer, wanted=0)
    back.send_multipart(leave)
    peer.notified(notification, "unregistration_notification", uuid=engine.uuid)
    other.beat()
    assert peer.notified(notification, "registration_notification", id=0)["uuid"] == other.uuid


def test_a_request_that_comes_for_an_engine_which_has_just_gone_is_answered_with_why(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    engine = Engine(peer, info={"host": "node", "pid": 7}).beat()
    engine.die()
    gone = peer.notified(notification, "unregistration_notification", uuid=engine.uuid)["reason"]
    assert gone == "engine 0 (node, process 7) died, or cannot be reached"
    for channel in "mux", "control":
        socket = peer.connect(zmq.DEALER, peer.client[channel])
        frames, _ = peer.message("apply_request")
        socket.send_multipart([engine.uuid.encode(), *frames])
        assert peer.receive(socket)[-1]["evalue"] == f"this request has not reached its engine: {gone}"


def test_what_a_dead_engine_never_got_is_answered_once_before_clients_are_told(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    mux = peer.connect(zmq.DEALER, peer.client["mux"])
    engine = Engine(peer).beat()  # not connected to the schedulers
    frames, msg_id = peer.message("apply_request")
    mux.send_multipart([engine.uuid.encode(), *frames])
    assert answers_until_now(peer, mux) == []
    engine.die()
    peer.notified(notification, "unregistration_notification", uuid=engine.uuid)
    assert answers_until_now(peer, mux) == [(msg_id, "EngineError")]
    assert not mux.poll(300)


@typed
def wait_at(folder, name):
    """Leaves a line, and ends when the gate is open. If it is interrupted, it ends soon after, with a large result."""
    import os
    import time

    with open(f"{folder}/lines", "a") as file:
        file.write(f"{name} {os.getpid()}\n")
    try:
        while not os.path.exists(f"{folder}/gate"):
            time.sleep(0.01)
    except KeyboardInterrupt:
        time.sleep(0.5)
        return bytes(20_000_000)
    return name


class Crowd:
    """Many tasks at two engines. The engines have all of them at once, and each runs its first."""

    def __init__(self, new_cluster, count=40):
        self.cluster = new_cluster(2, controller=["--hwm=0"])
        self.client = self.cluster.client()
        self.folder = self.cluster.sandbox.dir
        self.pids = self.client[:].apply_async(os.getpid).get_dict(LONG)
        balanced = self.client.load_balanced_view()
        self.tasks = [balanced.apply_async(wait_at, str(self.folder), number) for number in range(count)]
        wait_until(lambda: len(self.begun()) == 2, 30, "each engine runs a task")

        def handed_out():
            waiting = self.client.queue_status()
            return sum(each["tasks"] for key, each in waiting.items() if key != "unassigned") == count

        wait_until(handed_out, 30, "the engines have all of them")

    def begun(self):
        """The process in which each task has begun, by its number: once, or that is an error."""
        path = self.folder / "lines"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        assert set(Counter(name for name, _ in lines).values()) <= {1}, "a task has begun twice"
        return {int(name): int(pid) for name, pid in lines}

    def run_at(self, engine_id):
        """The task that runs at an engine."""
        (number,) = [number for number, pid in self.begun().items() if pid == self.pids[engine_id]]
        return self.tasks[number]

    def open_gate(self):
        (self.folder / "gate").touch()

    def assert_that_others_ran(self, *but):
        for number, task in enumerate(self.tasks):
            if task not in but:
                assert task.get(LONG) == number
        assert len(self.begun()) == len(self.tasks)


def test_tasks_that_an_engine_had_not_begun_when_it_was_killed_run_elsewhere_without_a_retry(new_cluster):
    crowd = Crowd(new_cluster)
    lost = crowd.run_at(0)
    os.kill(crowd.pids[0], signal.SIGKILL)
    with pytest.raises(EngineError, match="killed by signal 9"):
        lost.get(LONG)
    crowd.open_gate()
    crowd.assert_that_others_ran(lost)


def test_an_engine_that_is_told_to_end_gives_back_what_it_has_not_begun_and_answers_what_it_runs(new_cluster):
    crowd = Crowd(new_cluster)
    interrupted = crowd.run_at(0)
    os.kill(crowd.pids[0], signal.SIGTERM)
    assert len(interrupted.get(LONG)) == 20_000_000
    crowd.open_gate()
    crowd.assert_that_others_ran(interrupted)


def test_a_task_that_is_interrupted_as_its_engine_is_told_to_end_uses_up_no_retry(new_cluster):
    cluster = new_cluster(3)
    client, folder = cluster.client(), cluster.sandbox.dir
    pids = client[:].apply_async(os.getpid).get_dict(LONG)

    @typed
    def work(folder):
        import os
        import time

        with open(f"{folder}/lines", "a") as file:
            file.write(f"{os.getpid()}\n")
        while not os.path.exists(f"{folder}/gate"):
            time.sleep(0.01)
        return "done"

    def run_by():
        path = folder / "lines"
        return [int(line) for line in path.read_text().split()] if path.exists() else []

    task = client.load_balanced_view(retries=1).apply_async(work, str(folder))
    for number, end in enumerate(
        (
            lambda pid: os.kill(pid, signal.SIGTERM),
            lambda pid: client.shutdown([key for key, each in pids.items() if each == pid], block=False),
        )
    ):
        wait_until(lambda: len(run_by()) > number, 30, "it runs")
        end(run_by()[-1])
    wait_until(lambda: len(run_by()) == 3, 30, "it runs once more")
    (folder / "gate").touch()
    assert task.get(LONG) == "done" and len(set(run_by())) == 3


def test_a_task_that_is_interrupted_again_and_again_uses_up_its_retries(new_cluster):
    """Such as a task that takes longer than each batch job in which it runs."""
    cluster = new_cluster(8)
    client, path = cluster.client(), cluster.sandbox.dir / "lines"

    @typed
    def never(path):
        import os
        import time

        with open(path, "a") as file:
            file.write(f"{os.getpid()}\n")
        time.sleep(1000)

    task = client.load_balanced_view(retries=1).apply_async(never, str(path))
    ended = []
    while not task.ready():
        wait_until(
            lambda: task.ready() or path.exists() and len(path.read_text().split()) > len(ended),
            30,
            "it runs once more, or fails",
        )
        begun = [] if task.ready() else path.read_text().split()
        ended += begun[len(ended) :]
        if begun:
            os.kill(int(ended[-1]), signal.SIGTERM)
    with pytest.raises(EngineError):
        task.get(LONG)
    assert len(ended) == 7


def test_what_never_ends_is_answered_when_its_engine_is_told_to_end(new_cluster):
    @typed
    def never(path):
        import time

        open(path, "w").close()
        while True:
            try:
                time.sleep(100)
            except KeyboardInterrupt:
                pass

    cluster = new_cluster(1)
    client = cluster.client()
    begun = cluster.sandbox.dir / "begun"
    task = client.load_balanced_view(retries=0).apply_async(never, str(begun))
    wait_until(begun.exists, 20, "it runs")
    cluster.engines[0].send_signal(signal.SIGTERM)
    with pytest.raises(EngineError, match="SIGTERM"):
        task.get(LONG)


def test_an_engine_that_drains_finishes_what_it_runs_and_takes_nothing_new(new_cluster):
    crowd = Crowd(new_cluster)
    runs = crowd.run_at(0)
    asked = crowd.client[0].apply_async(typed(lambda: "asked before"))
    wait_until(lambda: crowd.client.queue_status(0)["queue"] == 1, 30, "the engine has it")
    drained = crowd.client.drain(0)
    wait_until(lambda: crowd.client.queue_status(0)["tasks"] == 1, 30, "it has given back what it has not begun")
    with pytest.raises(EngineError, match="drain"):
        crowd.client[0].apply_sync(os.getpid)
    assert not drained.ready() and crowd.client.ids == [0, 1]
    crowd.open_gate()
    drained.get(LONG)
    assert asked.get(LONG) == "asked before"
    crowd.assert_that_others_ran()
    assert runs.get() is not None and crowd.begun()[runs.get()] == crowd.pids[0]
    assert list(crowd.begun().values()).count(crowd.pids[0]) == 1
    wait_until(lambda: crowd.client.ids == [1], 20, "it has left")
    for engine in crowd.cluster.engines:
        if engine.pid == crowd.pids[0]:
            assert engine.wait() == 0


def test_an_engine_that_drains_is_sent_no_task_in_the_place_of_one_that_it_answers(new_cluster):
    cluster = new_cluster(1, controller=["--TaskScheduler.hwm=1"])
    client, begun, gate = cluster.client(), cluster.sandbox.dir / "begun", cluster.sandbox.dir / "gate"
    view = client.load_balanced_view(retries=0)
    runs, *wait = [view.apply_async(wait_for_file, str(gate), None, str(begun)) for _ in range(3)]
    wait_until(begun.exists, 30, "the first runs")
    drained = client.drain(0)
    wait_until(lambda: "accepts nothing new" in cluster.engines[0].output, 30, "it drains")
    gate.touch()
    drained.get(LONG)
    runs.get(LONG)
    assert client.queue_status(verbose=True)["unassigned"] == [msg_id for task in wait for msg_id in task.msg_ids]
    assert cluster.engines[0].wait() == 0 and "does not run" not in cluster.engines[0].output
    cluster.start_engine()
    for task in wait:
        task.get(LONG)


def test_an_engine_that_drains_is_given_no_more_time_than_was_said(new_cluster):
    crowd = Crowd(new_cluster, 2)
    interrupted = crowd.run_at(0)
    crowd.client.drain(0, timeout=0.1).get(LONG)
    assert len(interrupted.get(LONG)) == 20_000_000
    crowd.open_gate()


def test_an_engine_of_ipyparallels_cannot_be_drained_and_that_is_said(controller):
    import ipcluster

    peer = controller()
    Engine(peer).open().beat()
    with ipcluster.Client(str(peer.client_file), timeout=LONG) as client:
        with pytest.raises(NotImplementedError, match="engine 0 is ipyparallel.s and cannot be drained"):
            client.drain()
        assert client.ids == [0]


@typed
def kill_engine():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("arguments, deaths", [([], 3), (["--TaskScheduler.deaths_max=1"], 1)])
def test_a_task_kills_no_more_engines_than_is_allowed_whatever_retries_it_has(new_cluster, arguments, deaths):
    cluster = new_cluster(deaths + 1, controller=arguments)
    client = cluster.client()
    balanced = client.load_balanced_view(retries=5)
    with pytest.raises(
        EngineError, match=rf"not tried again, as {deaths} engines? died .*deaths_max\); the last: .*killed by signal 9"
    ):
        balanced.apply_sync(kill_engine)
    wait_until(lambda: len(client.ids) == 1, 20, "it is known which are left")
    assert balanced.apply_sync(os.getpid) in [engine.pid for engine in cluster.engines]


def test_engines_that_die_have_not_died_of_a_task_that_they_had_not_begun(new_cluster):
    cluster = new_cluster(3, controller=["--hwm=0"])
    client = cluster.client()
    balanced = client.load_balanced_view(targets=client.ids, retries=1)
    killer = balanced.apply_async(kill_engine)
    good = [balanced.apply_async(typed(lambda: "good")) for _ in range(30)]
    assert [task.get(LONG) for task in good] == ["good"] * 30
    with pytest.raises(EngineError, match="killed by signal 9"):
        killer.get(LONG)
