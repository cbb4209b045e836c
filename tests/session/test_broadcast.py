"""Broadcasts: one request to many engines, with replies of each or coalesced, while engines come and go.

First the controller's part, with peers that are sockets only; then whole clusters."""

import json
import os
import signal
import time

import pytest
import zmq

from support import wait_until
from test_controller import DELIMITER, Engine, controller, pack  # noqa: F401  (a fixture)


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
        asked = json.loads(frames[frames.index(DELIMITER) + 4])
        metadata = {"status": status, "engine": self.uuid, "dependencies_met": True,
                    **{key: asked.get(key) for key in ("is_broadcast", "is_coalescing", "original_msg_id")}}
        reply, _ = self.peer.message("apply_reply", {"status": status, **content}, metadata, parent=header,
                                     buffers=buffers)
        self.shell.send_multipart([*route, *reply])


class Broadcaster:
    """A client's broadcast socket."""

    def __init__(self, peer):
        self.peer = peer
        self.socket = peer.connect(zmq.DEALER, peer.client["broadcast"])

    def send(self, engines, coalescing=False, msg_id=None, buffers=(b"f",)):
        """Broadcasts to engines, or to what else is given in their place; returns the msg_id."""
        targets = [[each.uuid, each.id] if isinstance(each, Engine) else each for each in engines]
        metadata = {"targets": targets, "is_broadcast": True, "is_coalescing": coalescing}
        frames, msg_id = self.peer.message("apply_request", None, metadata, msg_id=msg_id, buffers=buffers)
        self.socket.send_multipart(frames)
        return msg_id

    def receive(self):
        """The next reply's parent msg_id, metadata, content and buffers."""
        assert self.socket.poll(10000), "nothing was answered"
        frames = self.socket.recv_multipart()
        at = frames.index(DELIMITER)
        parts = frames[at + 2:at + 6]
        assert frames[at + 1] == self.peer.sign(parts), "the controller's signature"
        _, parent, metadata, content = [json.loads(part) for part in parts]
        return parent["msg_id"], metadata, content, frames[at + 6:]

    def hears_nothing_more(self):
        return not self.socket.poll(300)


@pytest.fixture
def listeners(controller):  # noqa: F811
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
        at = frames.index(DELIMITER)
        metadata = json.loads(frames[at + 4])
        assert json.loads(header)["msg_id"] == f"{sent}_{engine.uuid}"
        assert metadata["original_msg_id"] == sent and "targets" not in metadata
        assert frames[at + 6:] == [b"f", payload]
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
@pytest.mark.parametrize("targets, why", [([], "no engine"), ([5], "list of engines"), ([["x" * 64, 1]], "list of engines")])
def test_nonsense_targets_are_answered_with_an_error(listeners, coalescing, targets, why):
    peer, _ = listeners(0)
    client = Broadcaster(peer)
    sent = client.send(targets, coalescing)
    msg_id, metadata, content, _ = client.receive()
    # A client of ipyparallel's cannot read a coalesced reply of no engine.
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
    # The one that came meanwhile was not asked, and is there for the next.
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
    engines[1].answer_with(engines[1].take(), status="error", ename="KeyError", evalue="x", traceback=["line"],
                           engine_info={"engine_uuid": engines[1].uuid, "engine_id": 1, "method": "apply"})
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


@pytest.mark.parametrize("coalescing", [False, True])
def test_an_engine_that_has_not_connected_yet_gets_it_when_it_has(controller, coalescing):  # noqa: F811
    peer = controller()
    engine = Listener(peer).beat()
    client = Broadcaster(peer)
    client.send([engine], coalescing)
    time.sleep(0.3)
    engine.open()
    engine.answer_with(engine.take(), b"late")
    assert client.receive()[3] == [b"late"]


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
    wait_until(lambda: sorted(ids) == sorted(peer.ask(query, "result_request", {"msg_ids": ids})[1]["completed"]),
               20, "both have ended")
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
