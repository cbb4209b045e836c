"""The controller by itself: its files and flags, registration and death of engines, and bad input at each of its sockets."""

import hashlib
import hmac
import json
import os
import signal
import stat
import time
import uuid

import pytest
import zmq

from support import wait_until

DELIMITER = b"<IDS|MSG>"


def pack(value):
    return json.dumps(value).encode()


class Peer:
    """What speaks to the controller over raw sockets, with the key and the encryption of its connection files."""

    def __init__(self, profile_dir, cluster_id=""):
        stem = f"ipcontroller-{cluster_id}" if cluster_id else "ipcontroller"
        self.client_file = profile_dir / "security" / f"{stem}-client.json"
        self.engine_file = profile_dir / "security" / f"{stem}-engine.json"
        self.client = json.loads(self.client_file.read_text())
        self.engine = json.loads(self.engine_file.read_text())
        self.key = self.client["key"].encode()
        self.context = zmq.Context()
        self.count = 0

    def url(self, port):
        return f"{self.client['interface']}:{port}"

    def connect(self, kind, port, identity=None):
        socket = self.context.socket(kind)
        socket.linger = 0
        if identity:
            socket.setsockopt(zmq.ROUTING_ID, identity)
        if self.client.get("curve_serverkey"):
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = self.client["curve_serverkey"].encode()
        if kind == zmq.SUB:
            socket.setsockopt(zmq.SUBSCRIBE, b"")
        socket.connect(self.url(port))
        return socket

    def sign(self, parts):
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).hexdigest().encode()

    def message(self, msg_type, content=None, metadata=None, parent=None, msg_id=None, buffers=()):
        """The frames of a message, from the delimiter on, and its msg_id."""
        self.count += 1
        msg_id = msg_id or f"{uuid.uuid4()}_{self.count}"
        header = {"msg_id": msg_id, "msg_type": msg_type, "username": "test", "session": "test",
                  "date": "2026-01-01T00:00:00.000000Z", "version": "5.3"}
        parts = [pack(header), parent or b"{}", pack(metadata or {}), pack({} if content is None else content)]
        return [DELIMITER, self.sign(parts), *parts, *buffers], msg_id

    def receive(self, socket, timeout=10):
        """The next message: its identities, and its header, parent header, metadata and content."""
        assert socket.poll(timeout * 1000), "nothing was answered"
        frames = socket.recv_multipart()
        at = frames.index(DELIMITER)
        parts = frames[at + 2:at + 6]
        assert frames[at + 1] == self.sign(parts), "the controller's signature"
        return frames[:at], *[json.loads(part) for part in parts]

    def ask(self, socket, msg_type, content=None):
        frames, msg_id = self.message(msg_type, content)
        socket.send_multipart(frames)
        _, header, parent, _, answer = self.receive(socket)
        assert parent["msg_id"] == msg_id
        return header["msg_type"], answer

    def engines(self):
        query = self.connect(zmq.DEALER, self.client["registration"])
        try:
            return self.ask(query, "connection_request")[1]["engines"]
        finally:
            query.close()

    def close(self):
        self.context.destroy(linger=0)


class Engine:
    """An engine that is sockets only: its heart beats when it is told to."""

    def __init__(self, peer, wanted=None, name=None):
        self.peer = peer
        self.uuid = name or str(uuid.uuid4())
        ident = self.uuid.encode()
        self.registration = peer.connect(zmq.DEALER, peer.engine["registration"], ident)
        self.ping = peer.connect(zmq.SUB, peer.engine["hb_ping"])
        self.pong = peer.connect(zmq.DEALER, peer.engine["hb_pong"], ident)
        content = {"uuid": self.uuid}
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
            socket.linger = 0
            socket.setsockopt(zmq.ROUTING_ID, self.uuid.encode())
            if self.peer.client.get("curve_serverkey"):
                socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
                socket.curve_serverkey = self.peer.client["curve_serverkey"].encode()
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
        assert self.shell.poll(10000), "the engine got no request"
        frames = self.shell.recv_multipart()
        at = frames.index(DELIMITER)
        return frames[:at], frames[at + 2], frames

    def answer(self, route, header, status="ok", **metadata):
        md = {"status": status, "engine": self.uuid, "dependencies_met": True, **metadata}
        frames, _ = self.peer.message("apply_reply", {"status": status}, md, parent=header)
        self.shell.send_multipart([*route, *frames])

    def die(self):
        for socket in (self.registration, self.ping, self.pong, self.shell, self.control):
            if socket:
                socket.close()


@pytest.fixture
def controller(sandbox):
    """controller(*arguments): starts one and returns a Peer for it, with the Process as .process."""
    peers = []

    def start(*arguments, profile="default", cluster_id=""):
        words = [f"--profile={profile}"] + ([f"--cluster-id={cluster_id}"] if cluster_id else [])
        process = sandbox.start(sandbox.programs.ipcontroller, *words, *arguments)
        security = sandbox.profile_dir(profile) / "security"
        stem = f"ipcontroller-{cluster_id}" if cluster_id else "ipcontroller"

        def ready():
            assert process.alive, process.output
            return (security / f"{stem}-client.json").exists() and (security / f"{stem}-engine.json").exists()
        wait_until(ready, 20, "the connection files are there")
        peer = Peer(sandbox.profile_dir(profile), cluster_id)
        peer.process = process
        peers.append(peer)
        return peer

    yield start
    for peer in peers:
        peer.close()


# --- by itself ----------------------------------------------------------------------------------------------------------------

def test_files_are_private_and_go_with_it(sandbox, controller):
    peer = controller()
    security = peer.client_file.parent
    assert stat.S_IMODE(security.stat().st_mode) == 0o700
    for path in (peer.client_file, peer.engine_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert peer.client["interface"] == "tcp://127.0.0.1"
    assert peer.process.stop(signal.SIGTERM) == 0
    assert not peer.client_file.exists() and not peer.engine_file.exists()
    assert not list((sandbox.profile_dir() / "pid").iterdir())


def test_interrupt_ends_it_and_clients_hear_of_it(controller):
    peer = controller()
    notification = peer.connect(zmq.SUB, peer.client["notification"])
    peer.engines()
    time.sleep(0.3)  # a subscription has no answer
    assert peer.process.stop(signal.SIGINT) == 0
    assert peer.receive(notification)[1]["msg_type"] == "shutdown_notification"


def test_a_second_one_is_refused(sandbox, controller):
    peer = controller()
    before = peer.client_file.read_text()
    second = sandbox.run(sandbox.programs.ipcontroller)
    assert second.status == 1
    assert "running already" in second.err and str(peer.process.pid) in second.err
    assert peer.client_file.read_text() == before
    controller(cluster_id="other")
    assert peer.engines() == {}


def test_after_a_kill_it_starts_again(controller):
    peer = controller()
    peer.process.stop(signal.SIGKILL)
    assert peer.client_file.exists()
    again = controller()
    wait_until(lambda: json.loads(again.client_file.read_text())["key"] != peer.client["key"], 20, "new files")


def test_flags(sandbox, controller):
    peer = controller("--ip=0.0.0.0", "--location=127.0.0.1", "--ping=500", "--scheme=lru", "--hwm=2", "--dictdb",
                      "--ssh=user@gate", "--log-level=DEBUG", "--IPController.enable_curve=false",
                      profile="flags", cluster_id="x")
    assert peer.client["interface"] == "tcp://0.0.0.0" and peer.client["location"] == "127.0.0.1"
    assert peer.client["ssh"] == "user@gate" and not peer.engine["ssh"]
    assert peer.client["task_scheme"] == "lru" and not peer.client["curve_serverkey"]


def test_ports_of_a_range_in_use_are_passed_over(controller, sandbox):
    first = controller("--ports=20101-20160")
    second = controller("--ports", "20101-20160", profile="second")
    ports = [peer.client[name] for peer in (first, second) for name in ("registration", "mux", "task")]
    assert len(set(ports)) == 6 and all(20101 <= port <= 20160 for port in ports)
    finished = sandbox.run(sandbox.programs.ipcontroller, "--cluster-id=x", f"--port={ports[0]}")
    assert finished.status == 1 and "in use" in finished.err


def test_log_to_file(sandbox, controller):
    controller("--log-to-file")
    logs = list((sandbox.profile_dir() / "log").glob("ipcontroller-*.log"))
    assert len(logs) == 1 and "listening" in logs[0].read_text()


def test_ipc(sandbox, controller):
    peer = controller("--transport=ipc")
    assert peer.client["interface"].startswith("ipc://") and not peer.client["curve_serverkey"]
    assert Engine(peer).beat().id == 0
    assert peer.process.stop() == 0
    assert not list(peer.client_file.parent.iterdir())


def test_reused_files(controller):
    first = controller("--reuse")
    first.process.stop()
    second = controller("--reuse")
    assert second.client == first.client and second.engine == first.engine
    assert first.engines() == {}


@pytest.mark.parametrize("argument, expected", [
    ("--scheme=none", "not known"), ("--TaskScheduler.finished_max=-1", "TaskScheduler.finished_max"),
    ("--scheme=best", "not known"),
    ("--IPController.db_class=nosuchstore", "no store plugin 'nosuchstore'"),
    ("--mongodb", "out of this controller's scope"),
    ("--IPController.db_class=ipyparallel.controller.mongodb.MongoDB", "out of this controller's scope"),
    ("--IPController.records_backlog=0", "number of bytes"),
    ("--transport=udp", "use tcp or ipc"),
    ("--ping=0", "HeartMonitor.period"),
    ("--hwm=-1", "TaskScheduler.hwm"),
    ("--ports=abc", "no port"),
    ("--cluster-id=a/b", "no slash"),
    ("--HeartMonitor.perod=5", "period"),
    ("word", "not understood"),
])
def test_wrong_settings_are_errors(sandbox, argument, expected):
    finished = sandbox.run(sandbox.programs.ipcontroller, argument)
    assert finished.status == 1 and expected in finished.err, finished
    assert not list(sandbox.profile_dir().glob("security/*.json"))


def test_a_full_disk_under_the_log(controller):
    peer = controller("--log-file=/dev/full", "--log-level=DEBUG")
    assert Engine(peer).beat().id == 0
    assert peer.process.stop() == 0


# --- engines ------------------------------------------------------------------------------------------------------------------

def test_ids(controller):
    peer = controller()
    first, second = Engine(peer, wanted=3).beat(), Engine(peer, wanted=3).beat()
    assert first.id == 3 and second.id == 4
    assert Engine(peer).beat().id == 5
    assert Engine(peer, wanted=0).beat().id == 0
    assert sorted(peer.engines()) == ["0", "3", "4", "5"]


def test_a_uuid_in_use_is_refused(controller):
    peer = controller()
    engine = Engine(peer).beat()
    reply = Engine(peer, name=engine.uuid).reply
    assert reply["status"] == "error" and "in use" in reply["evalue"]
    assert peer.engines() == {"0": engine.uuid}


@pytest.mark.parametrize("content", [
    {}, {"uuid": 5}, {"uuid": ""}, {"uuid": "x" * 64}, {"uuid": "a b"}, {"uuid": "nul\0"},
    {"uuid": "fine", "id": -1}, {"uuid": "fine", "id": 10**12}, {"uuid": "fine", "id": "0"},
])
def test_nonsense_registrations_are_refused(controller, content):
    peer = controller()
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    _, reply = peer.ask(query, "registration_request", content)
    assert reply["status"] == "error" and reply["evalue"]
    assert Engine(peer).beat().id == 0


def test_a_registration_that_stalls_expires(controller):
    peer = controller("--IPController.registration_timeout=1")
    engine = Engine(peer, wanted=7)
    assert engine.id == 7 and peer.engines() == {}
    wait_until(lambda: Engine(peer, name=engine.uuid).reply["status"] == "ok", 20, "the uuid is free again")


def test_arrivals_and_departures_are_announced(controller):
    peer = controller()
    notification = peer.connect(zmq.SUB, peer.client["notification"])
    peer.engines()
    time.sleep(0.3)
    engine = Engine(peer).beat()
    _, header, _, _, content = peer.receive(notification)
    assert header["msg_type"] == "registration_notification" and content == {"id": 0, "uuid": engine.uuid}
    frames, _ = peer.message("unregistration_request", {"id": 0})
    engine.registration.send_multipart(frames)
    _, header, _, _, content = peer.receive(notification)
    assert header["msg_type"] == "unregistration_notification" and content == {"id": 0, "uuid": engine.uuid}


def test_a_dead_engine_is_noticed_by_its_connection(controller):
    peer = controller("--ping=60000")
    engine = Engine(peer).beat()
    engine.die()
    wait_until(lambda: not peer.engines(), 5, "the engine is gone")


def test_a_silent_engine_is_noticed_by_its_misses(controller):
    peer = controller("--ping=100", "--HeartMonitor.max_heartmonitor_misses=3")
    Engine(peer).beat()
    wait_until(lambda: not peer.engines(), 10, "the engine is gone")


# --- requests -----------------------------------------------------------------------------------------------------------------

def test_direct_requests_and_unknown_engines(controller):
    peer = controller()
    engine = Engine(peer).beat()
    direct = peer.connect(zmq.DEALER, peer.client["mux"])
    frames, msg_id = peer.message("apply_request", buffers=[b"b" * 100000, b""])
    direct.send_multipart([engine.uuid.encode(), *frames])  # the engine connects later
    time.sleep(0.1)
    route, header, received = engine.open().take()
    assert received[-len(frames):] == frames
    engine.answer(route, header)
    idents, _, parent, _, content = peer.receive(direct)
    assert idents == [engine.uuid.encode()] and parent["msg_id"] == msg_id and content["status"] == "ok"
    for name in (b"nobody", b"\xff\xfe", b"", b"x" * 200):
        frames, msg_id = peer.message("apply_request")
        direct.send_multipart([name, *frames])
        _, header, parent, _, content = peer.receive(direct)
        assert header["msg_type"] == "apply_reply" and parent["msg_id"] == msg_id
        assert content["ename"] == "EngineError" and "not registered" in content["evalue"]


def test_control_requests(controller):
    peer = controller()
    engine = Engine(peer).open().beat()
    control = peer.connect(zmq.DEALER, peer.client["control"])
    frames, _ = peer.message("abort_request", {"msg_ids": []})
    control.send_multipart([engine.uuid.encode(), *frames])
    assert engine.control.poll(10000)
    assert engine.control.recv_multipart()[-len(frames):] == frames


def submit(peer, task, metadata=None, **more):
    frames, msg_id = peer.message("apply_request", metadata=metadata, **more)
    task.send_multipart(frames)
    return msg_id


def test_tasks_wait_for_engines_and_go_to_the_least_loaded(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    sent = [submit(peer, task) for _ in range(4)]
    engines = [Engine(peer).open().beat() for _ in range(2)]
    done = []
    for _ in range(2):
        for engine in engines:
            route, header, _ = engine.take()
            done.append(json.loads(header)["msg_id"])
            engine.answer(route, header)
    assert sorted(done) == sorted(sent)
    assert sorted(peer.receive(task)[2]["msg_id"] for _ in sent) == sorted(sent)


def test_a_dead_engines_task_is_answered_with_its_name(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    engine = Engine(peer).open().beat()
    msg_id = submit(peer, task)
    engine.take()
    engine.die()
    _, _, parent, metadata, content = peer.receive(task)
    assert parent["msg_id"] == msg_id and content["ename"] == "EngineError"
    assert f"engine 0 ({engine.uuid})" in content["evalue"] and metadata["engine"] == engine.uuid


def test_retries_after_death_and_failure(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    first = Engine(peer).open().beat()
    msg_id = submit(peer, task, {"retries": 2})
    first.take()
    second = Engine(peer).open().beat()
    first.die()
    signatures = set()
    for status in ("error", "ok"):
        route, header, frames = second.take()
        at = frames.index(DELIMITER)
        assert frames[at + 1] == peer.sign(frames[at + 2:at + 6])
        signatures.add(frames[at + 1])
        second.answer(route, header, status)
    assert len(signatures) == 2, "an engine accepts each signature once"
    _, _, parent, _, content = peer.receive(task)
    assert parent["msg_id"] == msg_id and content["status"] == "ok"


def test_unmet_dependencies_move_a_task(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    one, other = Engine(peer).open().beat(), Engine(peer).open().beat()
    submit(peer, task)
    first, second = (one, other) if one.shell.poll(2000) else (other, one)
    route, header, _ = first.take()
    first.answer(route, header, "error", dependencies_met=False)
    route, header, _ = second.take()
    second.answer(route, header)
    assert peer.receive(task)[4]["status"] == "ok"
    submit(peer, task, {"targets": [one.uuid]})
    route, header, _ = one.take()
    one.answer(route, header, "error", dependencies_met=False)
    assert peer.receive(task)[4]["ename"] == "ImpossibleDependency"


@pytest.mark.parametrize("metadata, ename", [
    ({"retries": -1}, "ValueError"), ({"retries": "x"}, "ValueError"), ({"timeout": -1}, "ValueError"),
    ({"targets": 5}, "ValueError"), ({"targets": [5]}, "ValueError"), ({"targets": ["nobody"]}, "ImpossibleDependency"),
    ({"after": ["x"]}, "InvalidDependency"), ({"follow": {"dependencies": ["x"]}}, "InvalidDependency"),
    ({"timeout": 0.2}, "TaskTimeout"),
])
def test_tasks_that_cannot_run_are_answered(controller, metadata, ename):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    msg_id = submit(peer, task, metadata)
    _, _, parent, _, content = peer.receive(task)
    assert parent["msg_id"] == msg_id and content["ename"] == ename, content


def test_a_task_that_is_pending_is_not_taken_twice(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    msg_id = submit(peer, task)
    submit(peer, task, {"retries": 1}, msg_id=msg_id)
    assert "pending" in peer.receive(task)[4]["evalue"]


def test_a_vanished_client_leaves_nothing_behind(controller):
    peer = controller()
    engine = Engine(peer).open().beat()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    submit(peer, task)
    route, header, _ = engine.take()
    task.close()
    time.sleep(0.2)
    engine.answer(route, header)
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    wait_until(lambda: peer.ask(query, "queue_request", {"targets": None})[1]["0"]["tasks"] == 0, 10, "nothing is pending")


# --- queries ------------------------------------------------------------------------------------------------------------------

def test_queues_and_loads(controller):
    peer = controller()
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    task = peer.connect(zmq.DEALER, peer.client["task"])
    first = submit(peer, task)
    wait_until(lambda: peer.ask(query, "queue_request", {"targets": None})[1]["unassigned"] == 1, 10, "it waits")
    engine = Engine(peer).open().beat()
    second = submit(peer, task)
    route, header, _ = engine.take()
    content = {"targets": [0], "verbose": True}
    wait_until(lambda: peer.ask(query, "queue_request", content)[1]["unassigned"] == [second], 10, "one waits")
    assert peer.ask(query, "queue_request", content)[1]["0"] == {"queue": [], "tasks": [first], "completed": []}
    assert peer.ask(query, "load_request", {"targets": 0}) == ("load_reply", {"status": "ok", "0": 1})
    assert peer.ask(query, "result_request", {"msg_ids": [first]})[1]["pending"] == [first]
    engine.answer(route, header)
    wait_until(lambda: peer.ask(query, "queue_request", {"targets": 0})[1]["0"]["completed"] == 1, 10, "it is done")


def test_records_with_dictdb(controller):
    peer = controller("--dictdb", "--DictDB.record_limit=2")
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    task = peer.connect(zmq.DEALER, peer.client["task"])
    engine = Engine(peer).open().beat()
    sent = []
    for _ in range(3):
        sent.append(submit(peer, task))
        route, header, _ = engine.take()
        engine.answer(route, header)
        peer.receive(task)
    wait_until(lambda: peer.ask(query, "history_request")[1]["history"] == sent[1:], 10, "the newest two are kept")
    kind, reply = peer.ask(query, "result_request", {"msg_ids": [sent[2]]})
    assert reply["completed"] == [sent[2]] and reply[sent[2]]["result_content"] == {"status": "ok"}
    kind, reply = peer.ask(query, "result_request", {"msg_ids": [sent[0]]})
    assert kind == "result_reply" and reply["status"] == "error" and reply["ename"] == "KeyError"
    assert peer.ask(query, "purge_request", {"msg_ids": [sent[1]]}) == ("purge_reply", {"status": "ok"})
    assert peer.ask(query, "purge_request", {"msg_ids": "all"}) == ("purge_reply", {"status": "ok"})
    assert peer.ask(query, "history_request")[1]["history"] == []


@pytest.mark.parametrize("msg_type, content", [
    ("no_such_request", {}), ("", {}), ("queue_request", {"targets": [99]}), ("queue_request", {"targets": {}}),
    ("load_request", {"targets": "nobody"}), ("result_request", {}), ("result_request", {"msg_ids": [5]}),
    ("result_request", {"msg_ids": ["unknown"]}), ("unregistration_request", {}), ("unregistration_request", {"id": 99}),
    ("unregistration_request", {"id": "0"}), ("purge_request", {"msg_ids": 5}), ("purge_request", {"engine_ids": [9]}),
    ("connection_request", []), ("connection_request", "text"), ("history_request", {}), ("db_request", {}),
    ("db_request", {"query": {"msg_id": {"$near": 1}}}), ("db_request", {"query": [], "keys": 5}),
    ("db_request", {"query": {}, "keys": ["no_key"]}), ("db_request", {"query": {"$or": 5}}),
    ("resubmit_request", {"msg_ids": ["unknown"]}), ("resubmit_request", {}), ("become_dask_request", {}),
])
def test_nonsense_queries_are_answered(controller, msg_type, content):
    for arguments in [], ["--dictdb"]:
        peer = controller(*arguments, cluster_id="".join(arguments))
        query = peer.connect(zmq.DEALER, peer.client["registration"])
        kind, reply = peer.ask(query, msg_type, content)
        if arguments and (msg_type, content) in (("history_request", {}), ("db_request", {})):
            assert kind == msg_type.replace("request", "reply") and reply["status"] == "ok"
            continue
        assert kind in ("hub_error", msg_type.replace("request", "reply"))
        assert reply["status"] == "error" and reply["evalue"]
        assert peer.engines() == {}


def test_a_client_can_shut_it_down(controller):
    peer = controller()
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    assert peer.ask(query, "shutdown_request") == ("shutdown_reply", {"status": "ok"})
    assert peer.process.wait() == 0
    assert not peer.client_file.exists()


# --- bad input ----------------------------------------------------------------------------------------------------------------

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
    ("task", "engine", zmq.DEALER), ("broadcast", "engine", zmq.DEALER), ("iopub", "engine", zmq.PUB),
    ("hb_pong", "engine", zmq.DEALER), ("hb_ping", "engine", zmq.XSUB),
]


@pytest.mark.parametrize("name, side, kind", SOCKETS, ids=lambda value: str(value))
def test_bad_input_is_dropped_and_everything_goes_on(controller, name, side, kind):
    peer = controller()
    engine = Engine(peer).open().beat()
    port = getattr(peer, side)[name]
    socket = peer.connect(kind, port[0] if isinstance(port, list) else port)
    prefix = [engine.uuid.encode()] if name in ("mux", "control") else [b"topic"] if name == "iopub" else []
    if kind == zmq.PUB:
        sub = peer.connect(zmq.SUB, peer.client["iopub"])
        time.sleep(0.5)
    for _, frames in spoiled(peer, prefix):
        socket.send_multipart(frames)
    task = peer.connect(zmq.DEALER, peer.client["task"])
    submit(peer, task)
    route, header, _ = engine.take()
    engine.answer(route, header)
    assert peer.receive(task)[4]["status"] == "ok"
    assert peer.engines() == {"0": engine.uuid}
    if kind == zmq.PUB:
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
    assert peer.process.stop() == 0
    assert "repeated" in peer.process.output


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
    stranger.linger = 0
    stranger.connect(peer.url(peer.client["registration"]))
    stranger.send_multipart(peer.message("connection_request")[0])
    assert not stranger.poll(500)
    assert peer.engines() == {}
