"""Peers that do not read: what waits for them in the controller is bounded, and if they read late, all of it is
there."""

import pytest
import zmq

from controller_peer import Engine, submit
from engine_peer import LINGER_MS
from support import wait_until

MEGABYTE = b"x" * (1 << 20)
BOUND = 40 << 20
# The kernel takes in megabytes for a TCP connection that is not read. The engines here beat once, to be registered.
LOCAL = "--transport=ipc", "--HeartMonitor.period=60000"


@pytest.mark.parametrize("name", ["mux", "broadcast"])
def test_the_record_of_a_request_that_is_refused_has_the_error(controller, name):
    peer = controller("--IPController.unread_backlog=4000000", "--dictdb", *LOCAL)
    engine = Engine(peer).beat()
    ports = [file[name][0] if isinstance(file[name], list) else file[name] for file in (peer.engine, peer.client)]
    engine.shell = stopped(peer, zmq.ROUTER, peer.url(ports[0]), engine.uuid.encode())
    client = peer.connect(zmq.DEALER, ports[1])
    metadata = {} if name == "mux" else {"targets": [engine.uuid]}
    for _ in range(20):
        frames, _ = peer.message("apply_request", metadata=metadata, buffers=[MEGABYTE])
        client.send_multipart([engine.uuid.encode(), *frames] if name == "mux" else frames)
    refused = peer.receive(client)
    msg_id = refused[2]["msg_id"]

    def recorded():
        answer = peer.ask_hub("result_request", {"msg_ids": [msg_id], "status_only": False})
        return answer.get(msg_id) if answer["completed"] == [msg_id] else None

    record = wait_until(recorded, 30, "it is not pending")
    assert record["result_content"]["evalue"] == refused[4]["evalue"]
    assert record["result_metadata"]["engine"] == engine.uuid


def unread_output(peer):
    """How many bytes of output wait for subscribers."""
    return peer.counted('ipcluster_unread_bytes{socket="iopub",side="client"}')


def stopped(peer, kind, url, identity=None):
    """A socket that takes in next to nothing as long as it is not read."""
    socket = peer.context.socket(kind)
    socket.linger = LINGER_MS
    socket.rcvhwm = 1
    if identity:
        socket.setsockopt(zmq.ROUTING_ID, identity)
    if kind == zmq.SUB:
        socket.subscribe(b"")
    socket.connect(url)
    return socket


def answer(engine, buffers=(), **metadata):
    """Answers the engine's next request, with these buffers."""
    route, header, _ = engine.take()
    engine.answer(route, header, buffers=buffers, **metadata)


def test_replies_that_are_read_late_take_little_memory_and_all_come(controller, growth):
    peer = controller(*LOCAL)
    engine = Engine(peer).open().beat()
    task = stopped(peer, zmq.DEALER, peer.url(peer.client["task"]))
    growth(peer)
    sent = []
    for _ in range(5000):
        frames, msg_id = peer.message("apply_request")
        task.send_multipart(frames)
        answer(engine)
        sent.append(msg_id)
    assert growth(peer) < 25 << 20, "each reply by itself used to hold on to 9 KB"
    assert [peer.receive(task)[2]["msg_id"] for _ in sent] == sent
    assert not task.poll(100)


def test_results_for_a_client_that_does_not_read_are_replaced_by_errors(controller, growth):
    peer = controller(f"--IPController.unread_backlog={BOUND}", *LOCAL)
    engine = Engine(peer).open().beat()
    idle = stopped(peer, zmq.DEALER, peer.url(peer.client["task"]))
    other = peer.connect(zmq.DEALER, peer.client["task"])
    growth(peer)
    for _ in range(200):
        submit(peer, idle)
        answer(engine, [MEGABYTE])
    for _ in range(20):  # it reads, and has all that it asked for
        submit(peer, other)
        answer(engine, [MEGABYTE])
        assert peer.receive(other)[4]["status"] == "ok"
    assert growth(peer) < BOUND + (40 << 20)
    contents = [peer.receive(idle)[4] for _ in range(200)]
    errors = [content for content in contents if content["status"] == "error"]
    assert 100 < len(errors) < 190, "as many results as may wait are there"
    assert {content["ename"] for content in errors} == {"MemoryError"}
    assert "IPController.unread_backlog" in errors[0]["evalue"]
    assert "does not read" in peer.process.output
    submit(peer, idle)
    answer(engine, [MEGABYTE])
    assert peer.receive(idle)[4]["status"] == "ok", "it reads again"


def test_a_client_that_never_reads_does_not_fill_the_memory(controller, growth):
    peer = controller("--IPController.unread_backlog=4000000", *LOCAL)
    idle = stopped(peer, zmq.DEALER, peer.url(peer.client["mux"]))
    growth(peer)
    for _ in range(20000):
        frames, _ = peer.message("apply_request")
        idle.send_multipart([b"nobody", *frames])
    wait_until(lambda: "does not even read errors" in peer.process.output, 60, "replies are dropped")
    assert growth(peer) < 25 << 20
    assert peer.engines() == {}, "others are answered"


@pytest.mark.parametrize("name", ["mux", "broadcast", "coalesced broadcast"])
def test_requests_to_an_engine_that_does_not_read_are_refused_at_a_bound(controller, growth, name):
    coalescing = name.startswith("coalesced")
    name = name.split()[-1]
    peer = controller(f"--IPController.unread_backlog={BOUND}", *LOCAL)
    engine = Engine(peer).beat()
    port = peer.engine[name]
    engine.shell = stopped(
        peer, zmq.ROUTER, peer.url(port[0] if isinstance(port, list) else port), engine.uuid.encode()
    )
    port = peer.client[name]
    client = peer.connect(zmq.DEALER, port[0] if isinstance(port, list) else port)
    growth(peer)
    for number in range(201):
        uuid = engine.uuid if number < 200 else "nobody"
        metadata = {} if name == "mux" else {"targets": [uuid], "is_coalescing": coalescing}
        frames, _ = peer.message("apply_request", metadata=metadata, buffers=[MEGABYTE])
        client.send_multipart([uuid.encode(), *frames] if name == "mux" else frames, copy=False)
    refused = []
    while "nobody" not in (content := peer.receive(client, 30)[4])["evalue"]:  # they are answered in order
        refused.append(content)
    assert growth(peer) < BOUND + (40 << 20)
    assert {content["ename"] for content in refused} == {"EngineError"}
    assert "unread_backlog" in refused[0]["evalue"]
    assert "does not read earlier" in peer.process.output
    taken = 200 - len(refused)
    assert 20 < taken < 100
    for _ in range(taken):  # it reads what waits for it
        answer(engine, is_coalescing=coalescing)
        assert peer.receive(client)[4]["status"] == "ok"
    assert not engine.shell.poll(100)
    wait_until(lambda: peer.counted("ipcluster_requests_pending") == 0, 30, "what was refused is not pending")


def test_large_output_for_a_subscriber_that_does_not_read_is_bounded(controller, growth):
    peer = controller(f"--IPController.unread_backlog={BOUND}", *LOCAL)
    subscriber = stopped(peer, zmq.SUB, peer.url(peer.client["iopub"]))
    subscriber.rcvtimeo = 30000
    engine = peer.context.socket(zmq.XPUB)
    engine.sndhwm = 0
    engine.linger = LINGER_MS
    engine.connect(peer.url(peer.engine["iopub"]))
    while engine.poll(10000) and engine.recv() != b"\x01":  # the subscriber's, to everything
        pass
    growth(peer)

    def publish(buffers, count):
        for _ in range(count):
            frames, _ = peer.message("display_data", buffers=buffers)
            engine.send_multipart([b"engine.0.display_data", *frames])

    publish([MEGABYTE], 200)
    wait_until(lambda: "a subscriber does not read" in peer.process.output, 30, "output is dropped")
    assert growth(peer) < BOUND + (60 << 20)
    assert BOUND // 2 < unread_output(peer) < BOUND + (2 << 20)
    publish([], 1)
    seen = 0
    while len(subscriber.recv_multipart()[-1]) == len(MEGABYTE):
        seen += 1
    assert 20 < seen < 200, "small output still comes, and the large that waited"
    wait_until(lambda: unread_output(peer) == 0, 30, "nothing waits any more")
