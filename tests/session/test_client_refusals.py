"""What a client does with messages that are not the controller's: it drops and counts them, and goes on."""

import json
import threading
import uuid

import pytest

import framing
from engine_peer import LINGER_MS
from support import LONG, wait_until

zmq = pytest.importorskip("zmq")

KEY = b"the-cluster's-key"
PORTS = {"registration": "ROUTER", "control": "ROUTER", "mux": "ROUTER", "task": "ROUTER", "broadcast": "ROUTER",
         "iopub": "PUB", "notification": "PUB"}  # fmt: skip


def reply(msg_type, parent=None, content=None, key=KEY):
    """The frames of a signed reply."""
    header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": "hub", "date": "2026-01-01T00:00:00Z"}
    parts = {"header": header, "parent": parent or {}, "metadata": {}, "content": content or {}}
    return framing.signed(framing.make(**{name: json.dumps(part).encode() for name, part in parts.items()}), key)


class Hub:
    """Answers a client's connection_request, and has the test answer other requests, those on the control channel in the engine's place."""

    def __init__(self, answer):
        self.answer = answer
        self.context = zmq.Context()
        self.sockets = {name: self.context.socket(getattr(zmq, kind)) for name, kind in PORTS.items()}
        self.info = {name: sock.bind_to_random_port("tcp://127.0.0.1") for name, sock in self.sockets.items()}
        self.info.update(interface="tcp://127.0.0.1", location="", ssh="", key=KEY.decode(), pack="json", unpack="json",
                         signature_scheme="hmac-sha256", task_scheme="leastload")  # fmt: skip
        self.ending = False
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def run(self):
        poller = zmq.Poller()
        for name in "registration", "control":
            poller.register(self.sockets[name], zmq.POLLIN)
        while not self.ending:
            for socket, _ in poller.poll(50):
                client, *frames = socket.recv_multipart()
                asked = framing.read(frames)
                for answer in self.replies(json.loads(asked.header)):
                    socket.send_multipart([client, *asked.identities, *answer])
        self.context.destroy(linger=LINGER_MS)

    def replies(self, header):
        if header["msg_type"] == "connection_request":
            return [reply("connection_reply", header, {"status": "ok", "engines": {"0": "engine-0"}})]
        return self.answer(header)

    def end(self):
        self.ending = True
        self.thread.join()


@pytest.fixture
def connect(programs, sandbox):
    """connect(answer): a client of a Hub."""
    import ipcluster

    ends = []

    def make(answer):
        hub = Hub(answer)
        ends.append(hub.end)
        path = sandbox.dir / "client.json"
        path.write_text(json.dumps(hub.info))
        path.chmod(0o600)
        client = ipcluster.Client(str(path), timeout=LONG)
        ends.insert(0, client.close)
        return client

    yield make
    for end in ends:
        end()


def good(header):
    return reply("queue_reply", header, {"status": "ok", "0": {"queue": 1}})


BAD = {
    "forged": lambda header: reply("queue_reply", header, {"status": "ok", "0": "forged"}, key=b"another"),
    "unsigned": lambda header: framing.changed(good(header), signature=b""),
    "truncated": lambda header: framing.truncated(good(header))[-1],
    "without a delimiter": lambda header: good(header)[1:],
    "empty": lambda header: [b""],
    "a signature of another length": lambda header: framing.changed(good(header), signature=b"ab"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_reply_is_dropped_and_counted(connect, kind):
    client = connect(lambda header: [BAD[kind](header), good(header)])
    assert client.queue_status(0) == {"queue": 1}
    assert client.connection.refused == 1


def test_a_repeated_reply_is_dropped_and_counted(connect):
    def twice(header):
        return [good(header)] * 2

    client = connect(twice)
    assert client.queue_status(0) == {"queue": 1}
    wait_until(lambda: client.connection.refused == 1, 20, "the repetition is refused")
    assert client.queue_status(0) == {"queue": 1}


def test_a_reply_to_nothing_is_passed_over(connect):
    client = connect(
        lambda header: [
            good({"msg_id": "nobody"}),
            good({**header, "msg_id": header["msg_id"] + "0"}),
            reply("queue_reply", [1, 2], []),
            good(header),
        ]
    )
    assert client.queue_status(0) == {"queue": 1}


NOT_MSG_IDS = [{"aborted": 7}, {"aborted": [7]}, {"noted": "a"}, {"noted": None}, {"handed_out": ["a"]}, {"handed_out": {"engine-0": "a"}},
               {"handed_out": {"engine-0": [7]}}]  # fmt: skip


@pytest.mark.parametrize("content", NOT_MSG_IDS, ids=json.dumps)
def test_an_answer_to_an_abort_that_does_not_name_msg_ids_is_an_error_that_shows_it(connect, content):
    import ipcluster

    def answer(header):
        asked = header["msg_type"] == "abort_request"
        return [reply("abort_reply", header, {"status": "ok", **content})] if asked else []

    client = connect(answer)
    task = client[0].apply_async(abs, -1)
    with pytest.raises(ipcluster.error.KernelError, match=f"does not name msg_ids: .*{min(content)}"):
        task.abort()
