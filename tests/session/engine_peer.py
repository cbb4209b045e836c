"""A controller's side of one engine's sockets, in the test's own process: so that a test sees and sends each frame itself."""

import json
import time
import uuid
from datetime import datetime, timezone
from pathlib import Path
from types import FunctionType

import zmq

import framing
from ipcluster import canning
from support import PATIENCE, wait_until

CLIENT = b"test-client"
# Not 0: libzmq would abort if its peer ends at the same moment (its issue 3442).
LINGER_MS = 100


class Message:
    """A received message, its parts unpacked."""

    def __init__(self, frames):
        message = framing.read(frames)
        self.identities, self.buffers, self.signature = message.identities, message.buffers, message.signature
        for part in ("header", "parent", "metadata", "content"):
            setattr(self, part, json.loads(getattr(message, part)))
        self.type = self.header["msg_type"]

    @property
    def result(self):
        """An apply_reply's result."""
        assert self.content["status"] == "ok", self.content
        return canning.deserialize(self.buffers, {})[0]


class Peer:
    """Binds what an engine connects to, writes its connection file, and registers it as `engine_id`."""

    def __init__(self, folder, engine_id=0, period_ms=3000, answers=True):
        self.key = uuid.uuid4().hex.encode()
        self.session = str(uuid.uuid4())
        self.context = zmq.Context()
        self.engine_id = engine_id
        self.period_ms = period_ms
        self.answers = answers
        self.registrations = []
        self.published = []
        self.uuid = None
        kinds = {
            "registration": zmq.ROUTER,
            "mux": zmq.ROUTER,
            "task": zmq.ROUTER,
            "control": zmq.ROUTER,
            "broadcast": zmq.ROUTER,
            "iopub": zmq.SUB,
            "hb_ping": zmq.PUB,
            "hb_pong": zmq.ROUTER,
        }
        self.sockets, ports = {}, {}
        for name, kind in kinds.items():
            socket = self.sockets[name] = self.context.socket(kind)
            socket.linger = LINGER_MS
            socket.hwm = 0  # a ROUTER drops what is more than that, and the controller's have no such limit
            ports[name] = socket.bind_to_random_port("tcp://127.0.0.1")
        self.sockets["iopub"].subscribe(b"")
        self.publishers = self.sockets["iopub"].get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.ports = ports
        self.file = Path(folder) / "engine.json"
        self.write_file()

    def write_file(self, mode=0o600, **changes):
        data = {
            **self.ports,
            "broadcast": [self.ports["broadcast"]],
            "interface": "tcp://127.0.0.1",
            "location": "127.0.0.1",
            "ssh": "",
            "key": self.key.decode(),
            "curve_serverkey": None,
            "pack": "json",
            "unpack": "json",
            "signature_scheme": "hmac-sha256",
        }
        data.update(changes)
        self.file.write_text(json.dumps(data))
        self.file.chmod(mode)

    def close(self):
        self.context.destroy()

    def signed(self, frames, key=None):
        return framing.signed(frames, key or self.key)

    def frames(self, msg_type, content, buffers=(), metadata=None, parent=None, key=None, session=None):
        """A message's frames from the delimiter on, and its identifier. `session`: of another client."""
        session = session or self.session
        msg_id = f"{session}_{uuid.uuid4().hex[:12]}"
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "username": "test",
            "session": session,
            "date": datetime.now(timezone.utc).isoformat(),
            "version": "5.3",
        }
        parts = {"header": header, "parent": parent or {}, "metadata": metadata or {}, "content": content}
        packed = {name: json.dumps(part).encode() for name, part in parts.items()}
        return self.signed(framing.make(buffers=buffers, **packed), key), msg_id

    def receive(self, name, timeout=20):
        socket = self.sockets[name]
        assert socket.poll(timeout * 1000 * PATIENCE), f"nothing came on {name} within {timeout * PATIENCE:g} s"
        return Message(socket.recv_multipart())

    def register(self, timeout=20):
        """Answers a registration_request, and sends pings until the engine answers them."""
        request = self.receive("registration", timeout)
        assert request.type == "registration_request"
        self.registrations.append(request)
        self.uuid = request.content["uuid"].encode()
        reply = {"status": "ok", "id": self.engine_id, "hb_period": self.period_ms}
        frames, _ = self.frames("registration_reply", reply, parent=request.header)
        self.sockets["registration"].send_multipart([*request.identities, *frames])
        self.subscribe(timeout)
        wait_until(self.beat, timeout, "the engine's heart beats")
        return request

    def subscribe(self, timeout=20):
        """Waits until an engine has connected its output, and asks for all of it: what it publishes before it hears of this is lost."""
        assert self.publishers.poll(timeout * 1000 * PATIENCE), "no engine has connected its output"
        self.publishers.recv_multipart()
        self.sockets["iopub"].poll(0)  # zmq subscribes at a new connection when the socket is looked at

    def beat(self):
        self.sockets["hb_ping"].send(str(time.time()).encode())
        if not self.sockets["hb_pong"].poll(100):
            return False
        self.sockets["hb_pong"].recv_multipart()
        return True

    def send(self, msg_type, content=None, buffers=(), channel="mux", metadata=None, session=None):
        """Sends a request as a relay would; returns its identifier."""
        frames, msg_id = self.frames(msg_type, content or {}, buffers, metadata, session=session)
        self.sockets[channel].send_multipart([self.uuid, CLIENT, *frames])
        return msg_id

    def reply(self, msg_id=None, channel="mux", timeout=30):
        """The next reply; it must be the one to `msg_id`."""
        reply = self.receive(channel, timeout)
        assert msg_id is None or reply.parent["msg_id"] == msg_id, (reply.parent, reply.content)
        return reply

    def ask(self, msg_type, content=None, channel="mux", timeout=30, **more):
        return self.reply(self.send(msg_type, content, channel=channel, **more), channel, timeout)

    def send_apply(self, f, *args, **kwargs):
        for value in (f, getattr(f, "func", None), *args):
            if isinstance(value, FunctionType):  # as if a user had typed it: engines do not have tests' modules
                value.__module__ = "__main__"
        return self.send("apply_request", buffers=canning.pack_apply(f, args, kwargs))

    def apply(self, f, *args, **kwargs):
        return self.reply(self.send_apply(f, *args, **kwargs))

    def execute(self, code, **content):
        return self.ask("execute_request", {"code": code, "silent": False, **content}, timeout=60)

    def outputs(self, msg_id, until="idle", timeout=20):
        """What was published about a request, up to its idle status."""

        def complete():
            while self.sockets["iopub"].poll(10):
                frames = self.sockets["iopub"].recv_multipart()
                self.published.append(Message(frames))
            mine = [m for m in self.published if m.parent.get("msg_id") == msg_id]
            idle = [m for m in mine if m.type == "status" and m.content["execution_state"] == until]
            return mine if idle else None

        return wait_until(complete, timeout, f"status {until} of {msg_id}")

    def stream(self, msg_id, name="stdout"):
        """The text that a request printed."""
        messages = self.outputs(msg_id)
        return "".join(m.content["text"] for m in messages if m.type == "stream" and m.content["name"] == name)


def resident_kb(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no VmRSS")
