"""Broadcasts: one request to many engines, with replies of each or coalesced, while engines come and go.

First the controller's part, with peers that are sockets only; then whole clusters."""

import json
import os
import signal
import time

import pytest
import zmq

import framing
from controller_peer import Engine
from support import LONG, typed, wait_for_file, wait_until


class Listener(Engine):
    """An engine that also takes broadcasts."""

    def open(self):
        super().open()
        for port in self.peer.engine["broadcast"]:
            self.shell.connect(self.peer.url(port))
        return self

    def answer_with(self, request, *buffers, status="ok", **content):
        """Answers what take() gave, as engines do: they copy what the metadata say of the broadcast."""
        route, header, frames = request
        asked = json.loads(framing.read(frames).metadata)
        metadata = {
            "status": status,
            "engine": self.uuid,
            "dependencies_met": True,
            **{key: asked.get(key) for key in ("is_broadcast", "is_coalescing", "original_msg_id")},
        }
        reply, _ = self.peer.message(
            "apply_reply", {"status": status, **content}, metadata, parent=header, buffers=buffers
        )
        self.shell.send_multipart([*route, *reply])


class Broadcaster:
    """A client's broadcast socket."""

    def __init__(self, peer):
        self.peer = peer
        self.socket = peer.connect(zmq.DEALER, peer.client["broadcast"])

    def send(self, engines, coalescing=False, msg_id=None, buffers=(b"f",)):
        """Broadcasts to engines, or to other targets as they are given; returns the msg_id."""
        targets = [[each.uuid, each.id] if isinstance(each, Engine) else each for each in engines]
        metadata = {"targets": targets, "is_broadcast": True, "is_coalescing": coalescing}
        frames, msg_id = self.peer.message("apply_request", None, metadata, msg_id=msg_id, buffers=buffers)
        self.socket.send_multipart(frames)
        return msg_id

    def receive(self):
        """The next reply's parent msg_id, metadata, content and buffers."""
        message = self.peer.receive_message(self.socket)
        parent, metadata, content = map(json.loads, (message.parent, message.metadata, message.content))
        return parent["msg_id"], metadata, content, message.buffers

    def hears_nothing_more(self):
        return not self.socket.poll(300)


@pytest.fixture
def listeners(controller):
    """listeners(n, *arguments): a controller and n engines that take broadcasts."""

    def start(count, *arguments):
        peer = controller(*arguments)
        return peer, [Listener(peer).open().beat() for _ in range(count)]

    return start


def test_every_engine_gets_a_request_of_its_own_and_is_answered_for(listeners):
    peer, engines = listeners(3)
    client = Broadcaster(peer)
    payload = os.urandom(100000)
    sent = client.send(engines, buffers=[b"f", payload])
    for engine in engines:
        _, header, frames = request = engine.take()
        message = framing.read(frames)
        metadata = json.loads(message.metadata)
        assert json.loads(header)["msg_id"] == f"{sent}_{engine.uuid}"
        assert metadata["original_msg_id"] == sent and "targets" not in metadata
        assert message.buffers == [b"f", payload]
        engine.answer_with(request, engine.uuid.encode())
    replies = [client.receive() for _ in engines]
    assert sorted(reply[0] for reply in replies) == sorted(f"{sent}_{engine.uuid}" for engine in engines)
    assert all(reply[0].endswith(reply[3][0].decode()) for reply in replies)


def test_a_coalesced_reply_has_the_clients_order(listeners):
    peer, engines = listeners(3)
    client = Broadcaster(peer)
    sent = client.send(engines, coalescing=True)
    for engine in reversed(engines):
        assert client.hears_nothing_more()
        engine.answer_with(engine.take(), b"pickle", f"array of {engine.id}".encode())
    msg_id, metadata, content, buffers = client.receive()
    assert msg_id == sent == metadata["original_msg_id"] and content == {"status": "ok"}
    assert metadata["is_broadcast"] and metadata["is_coalescing"]
    assert metadata["broadcast_targets"] == [[engine.uuid, engine.id] for engine in engines]
    assert buffers == [b"pickle", b"array of 0", b"pickle", b"array of 1", b"pickle", b"array of 2"]
    assert client.hears_nothing_more()


@pytest.mark.parametrize("coalescing", [False, True])
def test_unknown_engines_are_answered_for(listeners, coalescing):
    peer, (engine,) = listeners(1)
    client = Broadcaster(peer)
    sent = client.send([["nobody", 7], engine, "noone"], coalescing)
    engine.answer_with(engine.take(), b"fine")
    if coalescing:
        msg_id, metadata, content, _ = client.receive()
        assert msg_id == sent and content["ename"] == "EngineError" and content["engine_info"] == {}
        assert "nobody" in content["evalue"] and "2 of 3" in content["evalue"]
        assert any("noone" in line for line in content["traceback"])
        assert metadata["broadcast_targets"] == [["nobody", 7], [engine.uuid, 0], ["noone", -1]]
    else:
        replies = {reply[0]: reply for reply in [client.receive() for _ in range(3)]}
        assert replies[f"{sent}_{engine.uuid}"][2]["status"] == "ok"
        for uuid in ("nobody", "noone"):
            _, metadata, content, _ = replies[f"{sent}_{uuid}"]
            assert metadata["engine"] == uuid and content["ename"] == "EngineError" and uuid in content["evalue"]
    assert client.hears_nothing_more()


@pytest.mark.parametrize("coalescing", [False, True])
def test_an_engine_that_has_just_gone_is_answered_for_with_why(listeners, coalescing):
    peer, (engine,) = listeners(1)
    engine.die()
    wait_until(lambda: not peer.engines(), 30, "it has gone")
    client = Broadcaster(peer)
    client.send([engine], coalescing)
    assert f"engine 0 ({engine.uuid}) died, or cannot be reached" in client.receive()[2]["evalue"]


@pytest.mark.parametrize("coalescing", [False, True])
@pytest.mark.parametrize(
    "targets, why",
    [
        ([], "no engine"),
        ([5], "list of engines"),
        ([["x" * 64, 1]], "list of engines"),
        (["x"] * 20000, "at most 16384 engines"),
        ([["x", 1]] * 400000, "more than 1000000 values"),
    ],
    ids=["none", "number", "long", "too many", "far too many"],
)
def test_nonsense_targets_are_answered_with_an_error(listeners, coalescing, targets, why):
    peer, _ = listeners(0)
    client = Broadcaster(peer)
    sent = client.send(targets, coalescing)
    msg_id, metadata, content, _ = client.receive()
    # ipyparallel's client cannot read a coalesced reply of no engine.
    assert msg_id == sent and not metadata.get("is_coalescing")
    assert content["ename"] == "ValueError" and why in content["evalue"]


def test_an_engine_that_is_named_twice_is_asked_once(listeners):
    peer, (engine,) = listeners(1)
    client = Broadcaster(peer)
    client.send([engine, engine], coalescing=True)
    engine.answer_with(engine.take(), b"1")
    assert client.receive()[3] == [b"1"]
    assert not engine.shell.poll(200)


def test_an_engine_that_dies_is_answered_for_when_the_rest_is_done(listeners):
    peer, engines = listeners(3)
    client = Broadcaster(peer)
    sent = client.send(engines, coalescing=True)
    requests = [engine.take() for engine in engines]
    engines[0].answer_with(requests[0], b"0")
    engines[1].die()
    wait_until(lambda: engines[1].uuid not in peer.engines().values(), 20, "its death is noticed")
    late = Listener(peer).open().beat()
    assert client.hears_nothing_more(), "the third engine is at work"
    engines[2].answer_with(requests[2], b"2")
    msg_id, metadata, content, _ = client.receive()
    assert msg_id == sent and content["ename"] == "EngineError" and "died" in content["evalue"]
    assert content["engine_info"] == {} and len(metadata["broadcast_targets"]) == 3
    # The engine that came meanwhile was not asked, but takes part in the next broadcast.
    assert not late.shell.poll(200)
    client.send([engines[0], late], coalescing=True)
    for engine in (late, engines[0]):
        engine.answer_with(engine.take(), str(engine.id).encode())
    assert client.receive()[3] == [b"0", str(late.id).encode()]
    assert client.hears_nothing_more()


def test_what_an_engine_raised_is_in_the_coalesced_reply(listeners):
    peer, engines = listeners(2)
    client = Broadcaster(peer)
    client.send(engines, coalescing=True)
    engines[0].answer_with(engines[0].take(), b"0")
    engines[1].answer_with(
        engines[1].take(),
        status="error",
        ename="KeyError",
        evalue="x",
        traceback=["line"],
        engine_info={"engine_uuid": engines[1].uuid, "engine_id": 1, "method": "apply"},
    )
    _, _, content, buffers = client.receive()
    assert content["ename"] == "KeyError" and content["evalue"] == "x" and "line" in content["traceback"]
    assert content["engine_info"]["engine_id"] == 1 and buffers == []


def test_parts_that_were_aborted_abort_the_whole(listeners):
    peer, engines = listeners(2)
    client = Broadcaster(peer)
    client.send(engines, coalescing=True)
    for engine in engines:
        engine.answer_with(engine.take(), status="aborted")
    assert client.receive()[2] == {"status": "aborted"}


def test_a_part_is_answered_once_and_by_its_engine(listeners):
    peer, engines = listeners(2)
    client = Broadcaster(peer)
    client.send(engines, coalescing=True)
    requests = [engine.take() for engine in engines]
    engines[1].answer_with(requests[0], b"stolen")
    engines[0].answer_with(requests[0], b"0")
    engines[0].answer_with(requests[0], b"0 again")
    assert client.hears_nothing_more()
    engines[1].answer_with(requests[1], b"1")
    assert client.receive()[3] == [b"0", b"1"]
    engines[1].answer_with(requests[1], b"1 again")
    assert client.hears_nothing_more()


def test_two_clients_broadcast_at_once(listeners):
    peer, engines = listeners(2)
    first, second = Broadcaster(peer), Broadcaster(peer)
    sent = first.send(engines, coalescing=True), second.send(engines, coalescing=True)
    third = first.send(engines)
    waiting = {engine: [engine.take() for _ in range(3)] for engine in engines}
    for engine, requests in waiting.items():
        for request in reversed(requests):
            engine.answer_with(request, json.loads(request[1])["msg_id"].encode())
    assert second.receive()[3] == [f"{sent[1]}_{engine.uuid}".encode() for engine in engines]
    replies = {reply[0]: reply[3] for reply in [first.receive() for _ in range(3)]}
    assert replies[sent[0]] == [f"{sent[0]}_{engine.uuid}".encode() for engine in engines]
    for engine in engines:
        assert replies[f"{third}_{engine.uuid}"] == [f"{third}_{engine.uuid}".encode()]


def test_a_broadcast_that_is_out_is_not_taken_twice(listeners):
    peer, (engine,) = listeners(1)
    client = Broadcaster(peer)
    sent = client.send([engine], coalescing=True)
    client.send([engine, "nobody"], coalescing=True, msg_id=sent)
    assert "pending already" in client.receive()[2]["evalue"]
    engine.answer_with(engine.take(), b"1")
    assert client.receive()[3] == [b"1"]


@pytest.mark.parametrize("order", [[False, True], [True, False]])
def test_a_plain_broadcast_and_a_coalesced_one_of_the_same_msg_id_are_both_answered(listeners, order):
    peer, (engine,) = listeners(1)
    client = Broadcaster(peer)
    sent = None
    for coalescing in order:
        sent = client.send([engine], coalescing, msg_id=sent)
    requests = {coalescing: engine.take() for coalescing in order}
    for coalescing in (False, True):
        engine.answer_with(requests[coalescing], b"coalesced" if coalescing else b"plain")
        _, metadata, _, buffers = client.receive()
        assert metadata["is_coalescing"] == coalescing and buffers == [b"coalesced" if coalescing else b"plain"]


@pytest.mark.parametrize("coalescing", [False, True])
def test_an_engine_that_has_not_connected_yet_gets_it_when_it_has(controller, coalescing):
    peer = controller()
    engine = Listener(peer).beat()
    client = Broadcaster(peer)
    client.send([engine], coalescing)
    time.sleep(0.3)
    engine.open()
    engine.answer_with(engine.take(), b"late")
    assert client.receive()[3] == [b"late"]


@pytest.mark.parametrize("coalescing", [False, True])
def test_an_engine_that_dies_before_it_has_connected(listeners, coalescing):
    peer, (other,) = listeners(1)
    engine = Listener(peer).beat()
    client = Broadcaster(peer)
    sent = client.send([engine, other], coalescing)
    other.answer_with(other.take(), b"fine")
    if not coalescing:
        assert client.receive()[0] == f"{sent}_{other.uuid}"
    engine.die()
    wait_until(lambda: engine.uuid not in peer.engines().values(), 20, "its death is noticed")
    msg_id, _, content, _ = client.receive()
    assert content["ename"] == "EngineError" and msg_id == (sent if coalescing else f"{sent}_{engine.uuid}")
    assert client.hears_nothing_more()


@pytest.mark.parametrize("coalescing", [False, True])
def test_the_hub_knows_what_is_pending_where_and_what_came_of_it(listeners, coalescing):
    peer, engines = listeners(2, "--dictdb")
    client = Broadcaster(peer)
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    sent = client.send(engines, coalescing)
    requests = [engine.take() for engine in engines]
    ids = [f"{sent}_{engine.uuid}" for engine in engines]

    def queues():
        status = peer.ask(query, "queue_request", {"targets": None, "verbose": True})[1]
        return [status[str(engine.id)]["queue"] for engine in engines]

    wait_until(lambda: queues() == [[ids[0]], [ids[1]]], 10, "each engine has its part")
    assert peer.ask(query, "result_request", {"msg_ids": ids})[1]["pending"] == sorted(ids)
    engines[0].answer_with(requests[0], b"0")
    engines[1].die()
    wait_until(
        lambda: sorted(ids) == sorted(peer.ask(query, "result_request", {"msg_ids": ids})[1]["completed"]),
        20,
        "both have ended",
    )
    _, results = peer.ask(query, "result_request", {"msg_ids": ids})
    assert results[ids[0]]["result_content"] == {"status": "ok"}
    assert results[ids[1]]["result_content"]["ename"] == "EngineError"


def test_a_client_that_vanishes_leaves_nothing_pending(listeners):
    peer, engines = listeners(2)
    client = Broadcaster(peer)
    client.send(engines, coalescing=True)
    requests = [engine.take() for engine in engines]
    client.socket.close()
    time.sleep(0.2)
    for engine, request in zip(engines, requests):
        engine.answer_with(request, b"unheard")
    again = Broadcaster(peer)
    again.send(engines, coalescing=True)
    for engine in engines:
        engine.answer_with(engine.take(), b"heard")
    assert again.receive()[3] == [b"heard"] * 2


# Whole clusters: our client's broadcast view. It takes its replies one by one, whatever is_coalescing says.


@typed
def fail_where(x):
    if here == x:
        raise ValueError(f"no {x}")
    return here


@pytest.fixture
def four(new_cluster):
    """Four engines and a client; `here` is each engine's id on it."""
    cluster = new_cluster(4)
    client = cluster.client()
    for view in client:
        view.push({"here": view.targets}, block=True)
    return cluster, client


@pytest.mark.parametrize("coalescing", [False, True])
def test_a_broadcast_view_does_what_a_direct_view_does(four, coalescing):
    _, client = four
    view = client.broadcast_view(is_coalescing=coalescing, block=True)
    assert view["here"] == [0, 1, 2, 3]
    view.push({"a": 5, "b": b"x" * 5000})
    assert view.pull(["a", "len(b)"]) == [[5, 5000]] * 4
    assert client.broadcast_view([2, 0]).apply_sync(typed(lambda x, y=1: here + x + y), 10) == [13, 11]
    done = view.execute("print('on', here); here + 1", silent=False)
    assert done.stdout == [f"on {i}\n" for i in range(4)]
    view.scatter("part", range(10), block=False)
    assert view.gather("part") == list(range(10)) and view["part"][3] == range(8, 10)
    assert view.map(typed(lambda x: x * x), range(10)) == [x * x for x in range(10)]
    assert client.outstanding == set()


def test_msg_ids_and_metadata_are_each_engines_own(four):
    _, client = four
    result = client.broadcast_view([3, 1]).apply_async(os.getpid)
    pids = result.get()
    assert result.engine_id == [3, 1] and len(set(pids)) == 2
    assert [msg_id.rpartition("_")[2] for msg_id in result.msg_ids] == result.engine_uuid
    assert result.get_dict() == {3: pids[0], 1: pids[1]}
    assert list(client.history)[-2:] == result.msg_ids


def test_an_engine_that_fails_costs_nobody_elses_result(four):
    _, client = four
    import ipcluster

    result = client.broadcast_view(coalescing=True).apply_async(fail_where, 2)
    with pytest.raises(ipcluster.CompositeError) as caught:
        result.get(timeout=LONG)
    assert [entry[0] for entry in caught.value.elist] == ["ValueError"]
    values = result.get(return_exceptions=True)
    assert values[:2] == [0, 1] and values[3] == 3 and values[2].engine_info["engine_id"] == 2


def test_targets_that_cannot_be(four):
    _, client = four
    with pytest.raises(IndexError, match="no engine 9"):
        client.broadcast_view([0, 9])
    with pytest.raises(ValueError, match="named twice"):
        client.broadcast_view([1, 1]).apply_sync(os.getpid)
    with pytest.raises(ValueError, match="no engine"):
        client.broadcast_view([]).apply_sync(os.getpid)


def test_an_engine_is_killed_and_one_is_added_while_a_broadcast_is_out(four, sandbox):
    cluster, client = four
    view = client.broadcast_view()
    pids = view.apply_sync(os.getpid)
    gate = str(sandbox.dir / "gate")
    result = view.apply_async(wait_for_file, gate, "there")
    time.sleep(0.5)
    os.kill(pids[1], signal.SIGKILL)
    cluster.start_engine()
    wait_until(lambda: client.ids == [0, 2, 3, 4], 30, "one has died and one has come")
    wait_until(lambda: result.progress == 1, 20, "the dead engine's part has failed")
    open(gate, "w").close()
    values = result.get(timeout=LONG, return_exceptions=True)
    assert [values[0], *values[2:]] == ["there"] * 3
    assert values[1].ename == "EngineError" and "engine 1" in str(values[1])
    # The view has the engines that are there now.
    assert len(view.apply_sync(os.getpid)) == 4
    assert client.outstanding == set()


def test_two_clients_broadcast_to_the_same_engines(four):
    cluster, client = four
    other = cluster.client()
    results = [
        each.broadcast_view().apply_async(typed(lambda x: (here, x)), i) for i in range(50) for each in (client, other)
    ]
    for i, result in enumerate(results):
        assert result.get(timeout=LONG) == [(engine, i // 2) for engine in range(4)]


def test_parts_are_aborted_by_their_ids(four, sandbox):
    _, client = four
    view = client.broadcast_view()
    running = view.apply_async(wait_for_file, str(sandbox.dir / "gate"))
    waiting = view.apply_async(os.getpid)
    waiting.abort()
    import ipcluster

    with pytest.raises(ipcluster.TaskAborted):
        waiting.get(timeout=LONG)
    (sandbox.dir / "gate").touch()
    running.get(timeout=LONG)


def test_broadcasts_survive_the_controller_if_they_are_reused(new_cluster, sandbox):
    import ipcluster

    cluster = new_cluster(2, controller=["--reuse"])
    client = cluster.client()
    view = client.broadcast_view()
    gate = sandbox.dir / "gate"
    begin = "begun = " + repr(str(gate)) + " + str(__import__('os').getpid())"
    view.execute(begin, block=True)
    running = view.apply_async(wait_for_file, str(gate), None, ipcluster.Reference("begun"))
    wait_until(lambda: len(list(sandbox.dir.glob("gate?*"))) == 2, 20, "both engines are at it")
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--reuse")
    gate.touch()
    assert running.get(timeout=LONG) == [None, None]
    assert len(view.apply_sync(os.getpid)) == 2
