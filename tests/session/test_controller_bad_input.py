"""Bad input at each of the controller's sockets: it is dropped, and everything goes on."""

import contextlib
import json
import os
import random
import re
import socket
import sys

import pytest
import zmq

import framing
from controller_peer import Engine, next_frames, submit
from engine_peer import LINGER_MS
from support import PYTHON, TOP, wait_until

sys.path.insert(0, str(TOP / "tests/fuzz"))
from live import campaign

MEGABYTE = b"x" * (1 << 20)


def spoiled(peer, file, prefix=()):
    """Messages that no socket may accept: each the frames of one."""
    good, _ = peer.message("apply_request", file=file)
    yield "empty", [b""]
    yield "no delimiter", [*prefix, b"x", b"y"]
    for frames in framing.truncated(good):
        yield f"truncated to {len(frames)}", [*prefix, *frames]
    yield "unsigned", [*prefix, *framing.changed(good, signature=b"")]
    yield "short signature", [*prefix, *framing.changed(good, signature=framing.read(good).signature[:10])]
    yield "forged", [*prefix, *framing.changed(good, signature=b"0" * 64)]
    yield "no hexadecimal", [*prefix, *framing.changed(good, signature=b"z" * 64)]
    yield "changed content", [*prefix, *framing.changed(good, content=b'{"a": 1}')]
    for header in (
        b"",
        b"[]",
        b"{}",
        b"\xff\xff",
        b'{"msg_id": 5, "msg_type": "x"}',
        b'{"msg_id": "x"}',
        b"{" * 100000,
    ):
        yield f"header {header[:20]}", [*prefix, *peer.signed(framing.changed(good, header=header), file)]
    yield "too many identities", [b"a"] * 20 + good
    yield "too many frames", [*prefix, *good, *[b""] * 70000]
    yield "many bytes", [*prefix, os.urandom(100000)]


SOCKETS = [
    ("registration", "client", zmq.DEALER),
    ("mux", "client", zmq.DEALER),
    ("control", "client", zmq.DEALER),
    ("task", "client", zmq.DEALER),
    ("broadcast", "client", zmq.DEALER),
    ("iopub", "client", zmq.XSUB),
    ("notification", "client", zmq.XSUB),
    ("mux", "engine", zmq.DEALER),
    ("control", "engine", zmq.DEALER),
    ("task", "engine", zmq.DEALER),
    ("broadcast", "engine", zmq.DEALER),
    ("iopub", "engine", zmq.XPUB),
    ("hb_pong", "engine", zmq.DEALER),
    ("hb_ping", "engine", zmq.XSUB),
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
    for _, frames in spoiled(peer, getattr(peer, side), prefix):
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
    assert re.search("a message was dropped|connection of 127.0.0.1 is ended", peer.process.output)


SUBSCRIPTIONS = [("iopub", "client"), ("notification", "client"), ("hb_ping", "engine")]


# A program of its own, which ends at once: its libzmq would forget the topic by the same recursion.
SUBSCRIBE = """import sys, time, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
socket.curve_serverkey = sys.argv[1].encode()
socket.connect(sys.argv[2])
socket.subscribe(b"x" * 300000)
time.sleep(100)
"""


@pytest.mark.parametrize("name, side", SUBSCRIPTIONS)
def test_a_topic_of_any_length_does_not_end_the_controller(sandbox, controller, name, side):
    peer = controller()
    info = getattr(peer, side)
    subscriber = sandbox.start(PYTHON, "-c", SUBSCRIBE, info["curve_serverkey"], peer.url(info[name]))
    said = "connection of 127.0.0.1 is ended: it sends a frame of 3000.. bytes, but at most 1024 are allowed in a subscription"
    peer.process.wait_for_output(said)
    subscriber.stop()
    assert peer.engines() == {}
    assert peer.process.stop() == 0


@pytest.mark.parametrize("name, side", SUBSCRIPTIONS)
def test_what_a_subscriber_makes_the_controller_keep_is_bounded(controller, growth, name, side):
    peer = controller()
    socket = peer.connect(zmq.XSUB, getattr(peer, side)[name])
    growth(peer)
    for number in range(2000):  # in one message: libzmq hands on no part of it before all has come
        socket.send(b"\1%d " % number + os.urandom(800), zmq.SNDMORE)
    socket.send(b"")
    peer.process.wait_for_output(
        "connection of 127.0.0.1 is ended: it subscribes to more than 65536 bytes of topics within 10 minutes"
    )
    assert peer.engines() == {}
    assert growth(peer) < 30 << 20


GREETING = b"\xff" + b"\0" * 8 + b"\x7f" + b"\3\1%s" + b"\0" * 32
ENCRYPTION = pytest.mark.parametrize("mechanism", [b"CURVE", b"NULL"])


def stranger(controller, mechanism, port="mux"):
    """A controller with this mechanism of ZMTP, and a connection that has sent its greeting."""
    peer = controller(*([] if mechanism == b"CURVE" else ["--IPController.enable_curve=false"]))
    connection = socket.create_connection(("127.0.0.1", peer.client[port]))
    connection.sendall(GREETING % mechanism.ljust(20, b"\0"))
    return peer, connection


@ENCRYPTION
@pytest.mark.parametrize("flags", [2, 6], ids=["message", "command"])
def test_a_stranger_makes_the_controller_hold_nothing(controller, growth, mechanism, flags):
    peer, connection = stranger(controller, mechanism)
    growth(peer)
    with connection, pytest.raises(ConnectionError):
        connection.sendall(bytes([flags]) + (1 << 32).to_bytes(8, "big"))
        for _ in range(100):
            connection.sendall(MEGABYTE)
    peer.process.wait_for_output(
        "it sends a frame of 4294967296 bytes, but at most 2048 are allowed before it has proved who it is"
    )
    assert peer.engines() == {}
    assert growth(peer) < 20 << 20


def test_what_speaks_an_older_protocol_is_not_read(controller):
    peer = controller("--IPController.enable_curve=false")
    with socket.create_connection(("127.0.0.1", peer.client["mux"])) as connection, pytest.raises(ConnectionError):
        connection.sendall(b"\xff" + (1 << 32).to_bytes(8, "big") + b"\0")
        for _ in range(100):
            connection.sendall(MEGABYTE)
    peer.process.wait_for_output("connection of 127.0.0.1 is ended: it does not speak ZMTP 3")


@ENCRYPTION
def test_who_does_not_say_who_it_is_is_let_go_after_five_seconds(controller, mechanism):
    _, connection = stranger(controller, mechanism)
    with connection:
        connection.settimeout(20)  # libzmq by itself waits for thirty
        while connection.recv(1000):
            pass


@ENCRYPTION
def test_nobody_takes_a_name_that_libzmq_makes_for_whoever_has_none(controller, mechanism):
    """libzmq numbers such peers, and ends the process if a number is taken."""
    peer = controller(*([] if mechanism == b"CURVE" else ["--IPController.enable_curve=false"]))
    engine = Engine(peer).open().beat()

    def run_a_task():
        client = peer.connect(zmq.DEALER, peer.client["task"])
        submit(peer, client)
        route, header, _ = engine.take()
        engine.answer(route, header)
        assert peer.receive(client)[4]["status"] == "ok"
        return route[-1]

    name = run_a_task()
    number = int.from_bytes(name[1:], "big")
    assert name[:1] == b"\0" and len(name) == 5
    taken = [
        peer.connect(zmq.DEALER, peer.client["task"], b"\0" + (number + ahead & 0xFFFFFFFF).to_bytes(4, "big"))
        for ahead in range(1, 9)
    ]
    for each in taken:
        submit(peer, each)
    for _ in range(8):
        run_a_task()
    peer.process.wait_for_output("connection of 127.0.0.1 is ended: its name begins with a zero byte")
    assert not any(each.poll(0) for each in taken)


@pytest.mark.parametrize("name", ["mux", "control", "task", "registration", "broadcast"])
def test_a_repeated_message_is_accepted_once(controller, name):
    peer = controller()
    socket = peer.connect(zmq.DEALER, peer.client[name])
    frames, _ = peer.message("connection_request", metadata={"timeout": 0.1})
    prefix = [b"nobody"] if name in ("mux", "control") else []
    for _ in range(3):
        socket.send_multipart([*prefix, *frames])
    answers = [peer.receive(socket)[-1].get("ename") for _ in range(3)]
    assert answers.count("ConnectionError") == 2, "whoever sends it again does not wait for ever"
    peer.process.wait_for_output("repeated")
    assert peer.process.stop() == 0


@pytest.mark.parametrize("name", ["mux", "control", "task", "registration", "broadcast"])
def test_what_is_signed_and_refused_is_answered(controller, name):
    peer = controller()
    socket = peer.connect(zmq.DEALER, peer.client[name])
    prefix = [b"nobody"] if name in ("mux", "control") else []
    for identities, header in (
        (prefix, rb'{"msg_id": "\u0061\n", "msg_type": "apply_request"}'),
        (prefix, b'{"msg_id": "a", "msg_type": 5}'),
        (prefix, b'{"msg_id": [5]}'),
        ([*prefix, b"one more"], b'{"msg_id": "b", "msg_type": "apply_request"}'),
        (prefix[1:] or [b"a", b"b"], b'{"msg_id": "c", "msg_type": "apply_request"}'),
    ):
        frames = framing.make(header=header, parent=b"{}", metadata=b"{}", content=b"{}")
        socket.send_multipart([*identities, *peer.signed(frames)])
        _, _, parent, _, content = peer.receive(socket)
        assert parent == json.loads(header)
        assert content["status"] == "error" and content["ename"] == "ValueError", content
    assert peer.engines() == {}


TOO_LARGE = (
    r"a part of this message has 200000 bytes, and the controller takes up to 100000 \(IPController.frame_bytes_max\)"
)


@pytest.mark.parametrize("name", ["mux", "task", "control", "registration", "broadcast"])
def test_a_request_that_is_too_large_is_answered_and_its_connection_stays(controller, name):
    peer = controller("--IPController.frame_bytes_max=100000")
    client = peer.connect(zmq.DEALER, peer.client[name])
    for size in (200000, 5):
        frames, msg_id = peer.message("apply_request", metadata={"timeout": 0.1}, buffers=[b"x" * size])
        client.send_multipart([b"nobody", *frames] if name in ("mux", "control") else frames)
        _, _, parent, _, content = peer.receive(client)
        assert parent["msg_id"] == msg_id and content["status"] == "error"
        assert bool(re.match(TOO_LARGE, content["evalue"])) == (size == 200000), content
    peer.process.wait_for_output(TOO_LARGE)


@pytest.mark.parametrize("name", ["mux", "task"])
def test_a_result_that_is_too_large_is_an_error_and_its_engine_goes_on(controller, name):
    peer = controller("--IPController.frame_bytes_max=100000")
    engine = Engine(peer).open().beat()
    client = peer.connect(zmq.DEALER, peer.client[name])
    for size in (200000, 5):
        frames, msg_id = peer.message("apply_request")
        client.send_multipart([engine.uuid.encode(), *frames] if name == "mux" else frames)
        route, header, _ = engine.take()
        engine.answer(route, header, buffers=[b"x" * size])
        _, _, parent, _, content = peer.receive(client)
        assert parent["msg_id"] == msg_id
        assert content["status"] == ("error" if size == 200000 else "ok")
        assert size == 5 or re.match(TOO_LARGE, content["evalue"])
    peer.process.wait_for_output(TOO_LARGE)


@pytest.mark.parametrize("name", ["task", "mux", "broadcast", "coalesced"])
def test_whoever_waits_for_a_result_that_is_too_large_to_be_read_hears_so_and_its_engine_goes_on(controller, name):
    peer = controller("--IPController.enable_curve=false", "--IPController.frame_bytes_max=100000", "--hwm=0")
    engine = Engine(peer).open().beat()
    port = peer.client["broadcast"] if name in ("broadcast", "coalesced") else peer.client[name]
    if name in ("broadcast", "coalesced"):
        engine.shell.connect(peer.url(peer.engine["broadcast"][0]))
    client = peer.connect(zmq.DEALER, port if isinstance(port, int) else port[0])

    def ask():
        targets = {"targets": [[engine.uuid, engine.id]], "is_broadcast": True, "is_coalescing": name == "coalesced"}
        frames, msg_id = peer.message("apply_request", metadata=targets if port is peer.client["broadcast"] else None)
        client.send_multipart([engine.uuid.encode(), *frames] if name == "mux" else frames)
        return msg_id

    sent = [ask() for _ in range(4)]
    requests = [engine.take() for _ in sent]
    coalescing = {"is_coalescing": True} if name == "coalesced" else {}
    for size, (route, header, _) in zip((5, 7, 20000000, 9), requests):
        engine.answer(route, header, buffers=[b"x" * size], **coalescing)
    answers = [peer.receive(client) for _ in sent]
    for msg_id, (_, header, parent, _, content) in zip(sent, answers):
        assert parent["msg_id"].startswith(msg_id) and header["msg_type"] == "apply_reply"
        assert content["status"] == ("error" if msg_id == sent[2] else "ok")
    assert re.search(
        "has 20000000 bytes, but the controller reads up to 16777280 .IPController.frame_bytes_max",
        answers[2][4]["evalue"],
    )
    wait_until(lambda: peer.counted("ipcluster_requests_pending") == 0, 20, "nothing is pending")
    assert engine.uuid in peer.engines().values()


def test_a_client_that_sends_what_is_too_large_to_be_read_is_served_again_and_the_log_says_what_is_lost(controller):
    peer = controller("--IPController.enable_curve=false", "--IPController.frame_bytes_max=100000")
    client = peer.connect(zmq.DEALER, peer.client["task"], b"client")
    submit(peer, client, buffers=[b"x" * 20000000])
    peer.process.wait_for_output(
        "it sends a frame of 20000000 bytes, but at most 16777280 are allowed .*: the request or result is lost"
    )
    msg_id = submit(peer, client, metadata={"timeout": 0.1})
    assert peer.receive(client)[2]["msg_id"] == msg_id


def test_output_that_is_too_large_is_dropped_and_logged(controller):
    peer = controller("--IPController.frame_bytes_max=100000")
    engine = Engine(peer).open().beat()
    listener = peer.subscribe(peer.client["iopub"])
    output = peer.connect(zmq.XPUB, peer.engine["iopub"])
    while next_frames(output, "nobody subscribes") != [b"\1"]:
        pass
    for size in (200000, 5):
        frames, msg_id = peer.message("stream", {"name": "stdout", "text": "x" * size})
        output.send_multipart([b"engine.%d.stdout" % engine.id, *frames])
    assert peer.receive(listener)[1]["msg_id"] == msg_id
    peer.process.wait_for_output("iopub.*a part of this message has 2000.. bytes")


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
    with contextlib.suppress(zmq.Again):  # its connection may have ended, and with it the way to send
        stranger.send_multipart(peer.message("connection_request")[0], flags=zmq.NOBLOCK)
    assert not stranger.poll(500)
    assert peer.engines() == {}


def test_odd_messages_are_answered_and_harm_nobody(sandbox):
    print(campaign(sandbox, random.randrange(1 << 32), seconds=15, frame_bytes_max=1 << 20))
