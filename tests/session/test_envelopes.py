"""Envelopes: what programs of ours send together is taken message by message, and only they are sent any."""

import json
import random
import signal

import pytest
import zmq

import framing
from controller_peer import Peer
from support import LONG, PYTHON, free_ports, typed, wait_for_file, wait_until


@pytest.fixture
def peer(new_cluster):
    """A stranger to a cluster of one engine, which signs as ipyparallel's programs do."""
    cluster = new_cluster(1)
    peer = Peer(cluster.profile_dir)
    peer.cluster = cluster
    yield peer
    peer.close()


@typed
def grown(value, size):
    return value, b"x" * size


def test_what_comes_in_an_envelope_without_a_seal_is_refused(peer):
    """Also messages with a signature of their own: nothing is made of an envelope whose seal is not right."""
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    query.send_multipart(framing.enveloped([peer.message("connection_request")[0] for _ in range(3)]))
    alone, msg_id = peer.message("connection_request")
    query.send_multipart(alone)
    # Nothing says that this client reads envelopes: it is sent none.
    assert json.loads(peer.receive_message(query).parent)["msg_id"] == msg_id
    peer.cluster.controller.wait_for_output("hub, queries: a message was dropped: forged signature")


@pytest.mark.parametrize("port", ["registration", "mux", "task", "control"])
def test_a_malformed_envelope_is_refused_and_harms_nobody(peer, port):
    client = peer.cluster.client()
    good = framing.enveloped([peer.message("apply_request")[0] for _ in range(2)])[0]
    head = len(framing.ENVELOPE) + framing.SEAL_BYTES
    bad = [good[:size] for size in range(head + framing.NUMBER_BYTES, len(good), 97)]
    bad += [good[:at] + b"\xff" * 4 + good[at + 4 :] for at in range(head, head + 40, 4)]
    bad.append(framing.enveloped([framing.enveloped([[b"inner"]])])[0])

    def refused():
        return sum(
            value
            for name, value in client.stats().items()
            if name.startswith("ipcluster_messages_refused_total") and 'reason="truncated"' in name
        )

    before = refused()
    socket = peer.connect(zmq.DEALER, peer.client[port])
    for frame in bad:
        socket.send_multipart([frame])
    wait_until(lambda: refused() >= before + len(bad), LONG, "all are refused")
    assert client[0].apply_sync(abs, -1) == 1
    assert client.load_balanced_view().apply_sync(abs, -1) == 1


@pytest.mark.parametrize("options", [[], ["--Session.packer=msgpack"], ["--IPController.frame_bytes_max=3000"]])
def test_small_and_large_messages_go_together(new_cluster, options):
    client = new_cluster(2, controller=options).client()
    balanced, direct = client.load_balanced_view(), client[:]
    chance = random.Random(1)
    most = 1000 if "frame" in str(options) else 20000
    sizes = [chance.choice([0, 10, most // 20, most]) for _ in range(300)]
    tasks = [balanced.apply_async(grown, "y" * size, size) for size in sizes]
    calls = [direct.apply_async(grown, size, size) for size in sizes[:50]]
    for size, task in zip(sizes, tasks):
        assert task.get(LONG) == ("y" * size, b"x" * size)
    for size, call in zip(sizes, calls):
        assert call.get(LONG) == [(size, b"x" * size)] * 2


def test_what_subscribes_to_an_envelope_is_no_envelope(peer):
    client = peer.cluster.client()
    number = [size.to_bytes(framing.NUMBER_BYTES, "big") for size in (1, 0)]
    topics = [framing.ENVELOPE[1:] + b"".join(number), framing.enveloped([[b"x"] * 6])[0][1:]]
    for port in ("iopub", "notification", "hb_ping"):
        subscriber = peer.connect(zmq.SUB, (peer.engine if port == "hb_ping" else peer.client)[port])
        for topic in topics:
            subscriber.subscribe(topic)
            subscriber.unsubscribe(topic)
    # What they say comes before an engine's output and its registration, which come by these sockets.
    for _ in range(2):
        peer.cluster.start_engine()
    wait_until(lambda: len(client.ids) == 3, LONG, "engines register")
    printed = client[:].apply_async(print, "heard")
    assert printed.get(LONG) == [None] * 3
    assert printed.wait_for_output(LONG) and "heard" in printed.stdout[0]
    assert peer.cluster.controller.alive


STOPPED = """
import sys
import ipcluster
client = ipcluster.Client(sys.argv[1], timeout=60)
balanced = client.load_balanced_view()
results = [balanced.apply_async(lambda size: b"x" * size, 5000) for _ in range(int(sys.argv[2]))]
print("sent", flush=True)
while not balanced.apply_async(abs, -1).wait(3):
    pass
print("again", flush=True)
print("got", sum(result.ready() for result in results), flush=True)
"""


def test_a_client_that_does_not_read_holds_up_nobody(new_cluster, sandbox, gate):
    cluster = new_cluster(1, controller=["--IPController.unread_backlog=1000000"])
    other = cluster.client()
    running = other[0].apply_async(wait_for_file, str(gate))
    program = sandbox.dir / "stopped.py"
    program.write_text(STOPPED)
    count = 6000
    process = sandbox.start(PYTHON, program, cluster.client_file, count, python=True)
    process.wait_for_output("sent", LONG)
    wait_until(lambda: waiting(other) >= count, LONG, "its tasks have come")
    process.popen.send_signal(signal.SIGSTOP)
    gate.touch()
    assert running.get(LONG) is None
    wait_until(lambda: waiting(other) == 0, LONG, "all have run")
    assert other.load_balanced_view().apply_sync(abs, -1) == 1
    unread = 'ipcluster_messages_refused_total{socket="task",side="client",reason="unread"}'
    assert other.stats()[unread] > 0
    process.popen.send_signal(signal.SIGCONT)
    process.wait_for_output("again", LONG)
    assert int(process.wait_for_output(r"got (\d+)", LONG)[1]) > 0


def waiting(client):
    values = client.stats()
    return values["ipcluster_tasks_waiting"] + values["ipcluster_tasks_running"]


def test_many_clients_at_a_time(new_cluster):
    cluster = new_cluster(2)
    clients = [cluster.client() for _ in range(20)]
    for _ in range(5):
        results = {
            (number, task): client.load_balanced_view().apply_async(pow, number, task)
            for task in range(20)
            for number, client in enumerate(clients)
        }
        for (number, task), result in results.items():
            assert result.get(LONG) == number**task


def test_a_peer_whose_name_is_an_envelope_sends_none(peer):
    names = [
        framing.ENVELOPE + framing.NUMBER_BYTES * b"\1",
        framing.enveloped([peer.message("apply_request")[0]])[0][:255],
    ]
    for port in ("registration", "mux", "task", "control"):
        for name in names:
            socket = peer.connect(zmq.DEALER, peer.client[port], identity=name)
            socket.send_multipart([b"x"])
            socket.send_multipart(framing.enveloped([peer.message("apply_request")[0], [b"x"] * 7]))
    # The threads have read these when they have answered what comes later.
    client = peer.cluster.client()
    assert client[0].apply_sync(abs, -1) == 1
    assert client.load_balanced_view().apply_sync(abs, -1) == 1
    client.clear(block=True)
    assert peer.cluster.controller.alive


def test_a_task_for_an_engine_that_does_not_connect_ends_with_its_timeout(new_cluster):
    cluster = new_cluster(0)
    content = json.loads(cluster.engine_file.read_text())
    content.pop("local", None)
    content["task"] = free_ports(1)[0]
    file = cluster.engine_file.with_name("unconnected.json")
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    cluster.start_engine(f"--file={file}")
    client = cluster.client(wait_for=1)
    balanced = client.load_balanced_view()
    balanced.timeout = 1
    with pytest.raises(Exception, match="the task waited longer than its timeout allows"):
        balanced.apply_async(abs, -1).get(LONG)
    values = client.stats()
    assert values["ipcluster_tasks_sent_total"] == values["ipcluster_tasks_returned_total"] == 0


@pytest.mark.parametrize("size", [100, 4096, 4097, 8000])
def test_what_a_task_writes_into_its_argument_no_other_task_sees(new_cluster, size):
    """Tasks with equal arguments: an envelope may have them once."""
    numpy = pytest.importorskip("numpy")
    balanced = new_cluster(1).client().load_balanced_view()

    @typed
    def write(numbers):
        before = int(numbers.sum())
        numbers[:] = 7
        return before, len(numbers)

    results = balanced.map_sync(write, [numpy.ones(size, dtype="u1")] * 100)
    assert results == [(size, size)] * 100
