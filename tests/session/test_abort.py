"""Abort requests, frame by frame: whose requests an engine and the task scheduler stop, and what they answer."""

import json
import threading

import pytest

import controller_peer
import framing
from engine_peer import CLIENT, canning
from support import LONG, wait_for_file, wait_until
from test_scheduler import Scheduler


# On an engine


@pytest.fixture
def running(engine, peer, gate):
    """A request that runs until the gate is there: later requests wait."""
    msg_id = peer.send_apply(wait_for_file, str(gate))
    peer.outputs(msg_id, until="busy")
    return msg_id


def queue(peer, count, **more):
    queued = [peer.send("apply_request", buffers=canning.pack_apply(abs, (-1,), {}), **more) for _ in range(count)]
    peer.ask("kernel_info_request")  # is answered at once: what was sent before has come
    return queued


def abort(peer, msg_ids, **more):
    """The engine's answer, which comes after its answers to the requests that it has stopped."""
    peer.send("abort_request", {"msg_ids": msg_ids}, channel="control", **more)
    return peer.reply(channel="control").content


def aborted(peer, count):
    """The msg_ids of the next requests that are answered; they did not run."""
    replies = [peer.reply() for _ in range(count)]
    assert all(reply.content["status"] == reply.metadata["status"] == "aborted" for reply in replies)
    return [reply.parent["msg_id"] for reply in replies]


def test_an_engine_answers_at_once_for_what_it_stops(running, peer, gate):
    queued = queue(peer, 4)
    answer = abort(peer, [queued[2], queued[0], running])
    assert answer == {"status": "ok", "aborted": [queued[0], queued[2]], "noted": []}
    assert aborted(peer, 2) == [queued[0], queued[2]]
    gate.touch()
    assert peer.reply(running).content["status"] == "ok"
    assert peer.reply(queued[1]).result == 1 and peer.reply(queued[3]).result == 1


@pytest.mark.parametrize("everything", [[], None])
def test_an_abort_that_names_nothing_is_of_all_that_the_client_has_waiting(running, peer, gate, everything):
    mine, others = queue(peer, 3), queue(peer, 2, session="another")
    assert abort(peer, everything)["aborted"] == mine
    assert aborted(peer, 3) == mine
    gate.touch()
    assert peer.reply(running).content["status"] == "ok"
    assert [peer.reply(msg_id).result for msg_id in others] == [1, 1]


def test_nobody_aborts_requests_of_another_client(running, peer, gate):
    mine = queue(peer, 2)
    for names in (mine, []):
        assert abort(peer, names, session="another")["aborted"] == []
    frames, later = peer.frames("apply_request", {}, canning.pack_apply(abs, (-1,), {}))
    abort(peer, [later], session="another")
    peer.sockets["mux"].send_multipart([peer.uuid, CLIENT, *frames])
    gate.touch()
    assert peer.reply(running).content["status"] == "ok"
    assert [peer.reply(msg_id).result for msg_id in (*mine, later)] == [1, 1, 1]


@pytest.mark.parametrize("names", [7, {"a": 1}, [1], True])
def test_an_abort_that_names_no_msg_ids_is_an_error_and_stops_nothing(running, peer, gate, names):
    (mine,) = queue(peer, 1)
    answer = abort(peer, names)
    assert answer["ename"] == "ValueError" and "msg_ids" in answer["evalue"]
    gate.touch()
    assert peer.reply(running).content["status"] == "ok" and peer.reply(mine).result == 1


def test_many_requests_that_have_not_come_yet_are_aborted_when_they_come(engine, peer):
    coming = [peer.frames("apply_request", {}, canning.pack_apply(abs, (-1,), {})) for _ in range(3000)]
    names = [msg_id for _, msg_id in coming]
    assert abort(peer, names) == {"status": "ok", "aborted": [], "noted": names}
    for frames, _ in coming:
        peer.sockets["mux"].send_multipart([peer.uuid, CLIENT, *frames])
    assert aborted(peer, len(coming)) == names
    assert abort(peer, "one")["noted"] == ["one"]


# In the task scheduler


@pytest.fixture
def scheduler(controller):
    return lambda *arguments, engines=1: Scheduler(controller(*arguments), engines)


def abort_tasks(s, msg_ids):
    frames, msg_id = s.peer.message("abort_request", {"msg_ids": msg_ids})
    s.client.send_multipart(frames)
    s.result(msg_id)
    return s.answers[msg_id]


def test_the_scheduler_aborts_what_waits_and_says_which_engine_has_the_rest(scheduler):
    s = scheduler()
    running = s.submit()
    engine, route, header = s.take(running)
    waiting = s.submit(retries=3)
    dependent = s.submit(after=[waiting])
    bound = s.submit(targets=[engine.uuid])
    others = controller_peer.submit(s.peer, s.client, session="another")
    answer = abort_tasks(s, [running, waiting, dependent, bound, others, "nobody's"])
    assert answer == {"status": "ok", "aborted": [waiting, dependent, bound], "handed_out": {engine.uuid: [running]}}
    assert [s.answers[task]["status"] for task in (waiting, dependent, bound)] == [
        "aborted"
    ] * 3, "they are answered before it says so"
    engine.answer(route, header)
    s.run(others)
    assert s.result(running) == s.result(others) == "ok"
    assert s.idle()


def test_what_depends_on_an_aborted_task_never_runs(scheduler):
    s = scheduler()
    engine, route, header = s.take(s.submit())
    waiting = s.submit()
    dependent = s.submit(after=[waiting])
    cleanup = s.submit(after={"dependencies": [waiting], "all": True, "success": False, "failure": True})
    abort_tasks(s, waiting)
    assert s.result(dependent) == "ImpossibleDependency"
    engine.answer(route, header)
    s.run(cleanup)
    assert s.result(cleanup) == "ok"


@pytest.mark.parametrize("names", [7, {"a": 1}, [1], []])
def test_the_scheduler_refuses_an_abort_that_names_no_msg_ids(scheduler, names):
    s = scheduler()
    engine, route, header = s.take(s.submit())
    waiting = s.submit()
    answer = abort_tasks(s, names)
    assert answer["ename"] == "ValueError" and "msg_ids" in answer["evalue"]
    engine.answer(route, header)
    s.run(waiting)
    assert s.result(waiting) == "ok"


def test_a_task_that_its_engine_aborts_is_not_tried_again(scheduler):
    s = scheduler(engines=2)
    task = s.submit(retries=3)
    s.run(task, status="aborted")
    assert s.result(task) == "aborted" and s.idle()


# By a client


@pytest.mark.parametrize("content", [{"aborted": ["nobody's"], "noted": []}, {"aborted": 7}])
def test_an_answer_that_names_what_was_not_asked_for_keeps_nothing_else_from_being_aborted(controller, content):
    import ipcluster

    peer = controller()
    engine = controller_peer.Engine(peer).open().beat()

    def answer_abort(content):
        asked = framing.read(controller_peer.next_frames(engine.control))
        reply, _ = peer.message("abort_reply", {"status": "ok", **content}, parent=asked.header)
        engine.control.send_multipart([*asked.identities, *reply])
        return json.loads(asked.content)["msg_ids"]

    with ipcluster.Client(str(peer.client_file), timeout=LONG) as client:
        results = [client[0].apply_async(abs, -1) for _ in range(2)]
        later = client.requests.abort_later
        for result in results:
            later.add(result.children)
            assert answer_abort(content) == result.msg_ids
            wait_until(lambda: not any(t.name == "ipcluster-abort" for t in threading.enumerate()), LONG, "it is done")
