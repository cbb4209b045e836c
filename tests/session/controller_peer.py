"""The controller's peers as sockets in the test's own process, so that a test sees and sends each frame itself: clients and engines."""

import json
import uuid

import zmq

import framing
from engine_peer import LINGER_MS
from support import PATIENCE, wait_until

# What engines send besides replies.
FROM_ENGINES = ("registration_request", "unregistration_request", "stream", "display_data")
ENGINE_PORTS = ("registration", "control", "mux", "task", "iopub", "hb_ping", "hb_pong")


def pack(value):
    return json.dumps(value).encode()


def next_frames(socket, what="nothing was answered", timeout=30):
    """The next message of a socket."""
    assert socket.poll(timeout * 1000 * PATIENCE), what
    return socket.recv_multipart()


class Peer:
    """Raw sockets to the controller, with the key and the encryption of its connection files."""

    def __init__(self, profile_dir, cluster_id=""):
        stem = f"ipcontroller-{cluster_id}" if cluster_id else "ipcontroller"
        self.client_file = profile_dir / "security" / f"{stem}-client.json"
        self.engine_file = profile_dir / "security" / f"{stem}-engine.json"
        self.client = json.loads(self.client_file.read_text())
        self.engine = json.loads(self.engine_file.read_text())
        self.engine_ports = {*self.engine["broadcast"], *(self.engine[name] for name in ENGINE_PORTS)}
        self.roles = {}  # by socket
        self.context = zmq.Context()
        self.count = 0

    def url(self, port):
        return f"{self.client['interface']}:{port}"

    def connect(self, kind, port, identity=None):
        socket = self.context.socket(kind)
        if identity:
            socket.setsockopt(zmq.ROUTING_ID, identity)
        self.prepare(socket, kind, port)
        socket.connect(self.url(port))
        return socket

    def prepare(self, socket, kind, port):
        """Sets up a socket for one of the controller's ports: with the key of the file that has it."""
        socket.linger = LINGER_MS
        file = self.roles[socket] = self.engine if port in self.engine_ports else self.client
        if file.get("curve_serverkey"):
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = file["curve_serverkey"].encode()
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")

    def subscribe(self, port):
        """A SUB socket whose subscription has reached the controller: it misses nothing that is published from now on."""
        socket = self.context.socket(zmq.SUB)
        ready = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.prepare(socket, zmq.SUB, port)
        socket.connect(self.url(port))
        next_frames(ready, "no connection")
        socket.disable_monitor()
        # A subscription is sent at once. The answers to these questions come later, by the same threads.
        for _ in range(2):
            self.engines()
        return socket

    def message(
        self, msg_type, content=None, metadata=None, parent=None, msg_id=None, buffers=(), session="test", file=None
    ):
        """The frames of a message, from the delimiter on, and its msg_id: signed with the key of whoever sends such messages, or of a file."""
        self.count += 1
        msg_id = msg_id or f"{uuid.uuid4()}_{self.count}"
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "username": "test",
            "session": session,
            "date": "2026-01-01T00:00:00.000000Z",
            "version": "5.3",
        }
        frames = framing.make(
            header=pack(header),
            parent=parent or b"{}",
            metadata=pack(metadata or {}),
            content=pack({} if content is None else content),
            buffers=buffers,
        )
        if not file:
            file = self.engine if msg_type in FROM_ENGINES or msg_type.endswith("_reply") else self.client
        return self.signed(frames, file), msg_id

    def signed(self, frames, file=None):
        """A message's frames with the signature of a client, or of a file's key: as the controller passes them on."""
        return framing.signed(frames, (file or self.client)["key"].encode())

    def receive(self, socket, timeout=30):
        """The next message: its identities, and its header, parent header, metadata and content."""
        message = self.receive_message(socket, timeout)
        parts = message.header, message.parent, message.metadata, message.content
        return message.identities, *[json.loads(part) for part in parts]

    def receive_message(self, socket, timeout=30):
        """The next message with its parts as bytes, and with its buffers."""
        frames = next_frames(socket, timeout=timeout)
        assert frames == self.signed(frames, self.roles.get(socket)), "the controller's signature"
        return framing.read(frames)

    def notified(self, notification, msg_type, **content):
        """The next such notification. A new subscriber may be told twice of an engine that has just come."""
        while True:
            _, header, _, _, told = self.receive(notification)
            if header["msg_type"] == msg_type and content.items() <= told.items():
                return told
            assert header["msg_type"] == "registration_notification", header

    def ask(self, socket, msg_type, content=None):
        frames, msg_id = self.message(msg_type, content, file=self.roles.get(socket))
        socket.send_multipart(frames)
        _, header, parent, _, answer = self.receive(socket)
        assert parent["msg_id"] == msg_id
        return header["msg_type"], answer

    def ask_hub(self, msg_type, content=None):
        query = self.connect(zmq.DEALER, self.client["registration"])
        try:
            return self.ask(query, msg_type, content)[1]
        finally:
            query.close()

    def connection(self):
        """What the hub tells a client that connects."""
        return self.ask_hub("connection_request")

    def counted(self, name):
        """A number of those that the controller counts."""
        return self.ask_hub("stats_request")["values"][name]

    def engines(self):
        return self.connection()["engines"]

    def close(self):
        self.context.destroy()


class Engine:
    """An engine that is sockets only: its heart beats when it is told to. With a route it connects under that, as ours do, otherwise
    under its uuid, as ipyparallel's."""

    def __init__(self, peer, wanted=None, name=None, **more):
        self.peer = peer
        self.uuid = name or str(uuid.uuid4())
        self.name = ident = more.get("route", self.uuid).encode()
        self.registration = peer.connect(zmq.DEALER, peer.engine["registration"], ident)
        self.ping = peer.connect(zmq.SUB, peer.engine["hb_ping"])
        self.pong = peer.connect(zmq.DEALER, peer.engine["hb_pong"], ident)
        content = {"uuid": self.uuid, **more}
        if wanted is not None:
            content["id"] = wanted
        frames, _ = peer.message("registration_request", content)
        self.registration.send_multipart(frames)
        self.reply = peer.receive(self.registration)[4]
        self.id = self.reply.get("id")
        self.shell = self.control = None

    def open(self):
        """Connects to the schedulers, as engines do when they have registered."""
        self.shell = self.peer.context.socket(zmq.ROUTER)
        self.control = self.peer.context.socket(zmq.ROUTER)
        for socket, ports in ((self.shell, ("mux", "task")), (self.control, ("control",))):
            socket.setsockopt(zmq.ROUTING_ID, self.name)
            socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
            self.peer.prepare(socket, zmq.ROUTER, self.peer.engine[ports[0]])
            for port in ports:
                socket.connect(self.peer.url(self.peer.engine[port]))
        return self

    def beat(self):
        """Answers pings until the hub lists this engine."""

        def registered():
            if self.ping.poll(50):
                self.pong.send(self.ping.recv())
            return self.uuid in self.peer.engines().values()

        wait_until(registered, 20, "the engine is registered")
        return self

    def take(self):
        """The next request: the identities that go back in front of the reply, header bytes, and frames."""
        frames = next_frames(self.shell, "the engine got no request")
        message = framing.read(frames)
        return message.identities, message.header, frames

    def answer(self, route, header, status="ok", buffers=(), **metadata):
        md = {"status": status, "engine": self.uuid, "dependencies_met": True, **metadata}
        frames, _ = self.peer.message("apply_reply", {"status": status}, md, parent=header, buffers=buffers)
        wait_until(lambda: self._send([*route, *frames]), 20, "the engine is connected")

    def _send(self, frames):
        try:
            self.shell.send_multipart(frames)
        except zmq.ZMQError as error:
            assert error.errno == zmq.EHOSTUNREACH
            return False
        return True

    def die(self):
        for socket in (self.registration, self.ping, self.pong, self.shell, self.control):
            if socket:
                socket.close()


def submit(peer, task, metadata=None, **more):
    frames, msg_id = peer.message("apply_request", metadata=metadata, **more)
    task.send_multipart(frames)
    return msg_id
