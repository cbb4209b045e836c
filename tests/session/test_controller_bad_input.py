"""Bad input at each of the controller's sockets: it is dropped, and everything goes on."""

import json
import os

import pytest
import zmq

from controller_peer import DELIMITER, Engine, next_frames, submit
from engine_peer import LINGER_MS


def spoiled(peer, prefix=()):
    """Messages that no socket may accept: each the frames of one."""
    good, _ = peer.message("apply_request")
    yield "empty", [b""]
    yield "no delimiter", [*prefix, b"x", b"y"]
    yield "delimiter only", [*prefix, DELIMITER]
    for count in range(1, 6):
        yield f"truncated to {count}", [*prefix, *good[:count]]
    yield "unsigned", [*prefix, DELIMITER, b"", *good[2:]]
    yield "short signature", [*prefix, DELIMITER, good[1][:10], *good[2:]]
    yield "forged", [*prefix, DELIMITER, b"0" * 64, *good[2:]]
    yield "no hexadecimal", [*prefix, DELIMITER, b"z" * 64, *good[2:]]
    yield "changed content", [*prefix, *good[:5], b'{"a": 1}']
    for header in (b"", b"[]", b"{}", b"\xff\xff", b'{"msg_id": 5, "msg_type": "x"}', b'{"msg_id": "x"}', b"{" * 100000):
        parts = [header, b"{}", b"{}", b"{}"]
        yield f"header {header[:20]}", [*prefix, DELIMITER, peer.sign(parts), *parts]
    yield "too many identities", [b"a"] * 20 + good
    yield "too many frames", [*prefix, *good, *[b""] * 70000]
    yield "many bytes", [*prefix, os.urandom(100000)]


SOCKETS = [
    ("registration", "client", zmq.DEALER), ("mux", "client", zmq.DEALER), ("control", "client", zmq.DEALER),
    ("task", "client", zmq.DEALER), ("broadcast", "client", zmq.DEALER), ("iopub", "client", zmq.XSUB),
    ("notification", "client", zmq.XSUB), ("mux", "engine", zmq.DEALER), ("control", "engine", zmq.DEALER),
    ("task", "engine", zmq.DEALER), ("broadcast", "engine", zmq.DEALER), ("iopub", "engine", zmq.XPUB),
    ("hb_pong", "engine", zmq.DEALER), ("hb_ping", "engine", zmq.XSUB),
]


@pytest.mark.parametrize("name, side, kind", SOCKETS, ids=lambda value: str(value))
def test_bad_input_is_dropped_and_everything_goes_on(controller, name, side, kind):
    peer = controller()
    engine = Engine(peer).open().beat()
    port = getattr(peer, side)[name]
    socket = peer.connect(kind, port[0] if isinstance(port, list) else port)
    prefix = [engine.uuid.encode()] if name in ("mux", "control") else [b"topic"] if name == "iopub" else []
    if kind == zmq.XPUB:
        sub = peer.connect(zmq.SUB, peer.client["iopub"])
        while next_frames(socket, "the subscription has not come") != [b"\1"]:
            pass
    for _, frames in spoiled(peer, prefix):
        socket.send_multipart(frames)
    task = peer.connect(zmq.DEALER, peer.client["task"])
    submit(peer, task)
    route, header, _ = engine.take()
    engine.answer(route, header)
    assert peer.receive(task)[4]["status"] == "ok"
    assert peer.engines() == {"0": engine.uuid}
    if kind == zmq.XPUB:
        frames, msg_id = peer.message("stream", {"name": "stdout", "text": "fine"})
        socket.send_multipart([b"engine.0.stdout", *frames])
        assert peer.receive(sub)[1]["msg_id"] == msg_id, "only what verifies is published"
    assert peer.process.stop() == 0
    assert "dropped" in peer.process.output


@pytest.mark.parametrize("name", ["mux", "control", "task", "registration", "broadcast"])
def test_a_repeated_message_is_accepted_once(controller, name):
    peer = controller()
    socket = peer.connect(zmq.DEALER, peer.client[name])
    frames, _ = peer.message("connection_request", metadata={"timeout": 0.1})
    prefix = [b"nobody"] if name in ("mux", "control") else []
    for _ in range(3):
        socket.send_multipart([*prefix, *frames])
    peer.receive(socket)
    assert not socket.poll(500)
    peer.process.wait_for_output("repeated")
    assert peer.process.stop() == 0


@pytest.mark.parametrize("name", ["mux", "control", "task", "registration", "broadcast"])
def test_what_is_signed_and_refused_is_answered(controller, name):
    peer = controller()
    socket = peer.connect(zmq.DEALER, peer.client[name])
    prefix = [b"nobody"] if name in ("mux", "control") else []
    for identities, header in ((prefix, rb'{"msg_id": "\u0061\n", "msg_type": "apply_request"}'),
                               (prefix, b'{"msg_id": "a", "msg_type": 5}'),
                               (prefix, b'{"msg_id": [5]}'),
                               ([*prefix, b"one more"], b'{"msg_id": "b", "msg_type": "apply_request"}'),
                               (prefix[1:] or [b"a", b"b"], b'{"msg_id": "c", "msg_type": "apply_request"}')):
        parts = [header, b"{}", b"{}", b"{}"]
        socket.send_multipart([*identities, DELIMITER, peer.sign(parts), *parts])
        _, _, parent, _, content = peer.receive(socket)
        assert parent == json.loads(header)
        assert content["status"] == "error" and content["ename"] == "ValueError", content
    assert peer.engines() == {}


def test_oversized_frames_are_refused(controller):
    peer = controller("--IPController.frame_bytes_max=100000")
    for name in ("mux", "task", "control", "registration"):
        socket = peer.connect(zmq.DEALER, peer.client[name])
        frames, _ = peer.message("apply_request", buffers=[b"x" * 200000])
        socket.send_multipart([b"nobody", *frames] if name in ("mux", "control") else frames)
        assert not socket.poll(300)
    assert peer.engines() == {}


def test_a_reply_to_another_engines_task_is_dropped(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    engine = Engine(peer).open().beat()
    submit(peer, task)
    route, header, _ = engine.take()
    thief = Engine(peer).open().beat()
    thief.answer(route, header, "error")
    assert not task.poll(500)
    engine.answer(route, header)
    assert peer.receive(task)[4]["status"] == "ok"


def test_strangers_without_the_server_key_are_not_heard(controller):
    peer = controller()
    stranger = peer.context.socket(zmq.DEALER)
    stranger.linger = LINGER_MS
    stranger.connect(peer.url(peer.client["registration"]))
    stranger.send_multipart(peer.message("connection_request")[0])
    assert not stranger.poll(500)
    assert peer.engines() == {}
