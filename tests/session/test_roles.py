"""Engines and clients each have a connection file. Whoever has one of them can do what its role does, and nothing else."""

import json
import os
import signal
from types import SimpleNamespace

import pytest
import zmq
from controller_peer import Engine, Peer, next_frames

from hub_queries import ROLES
from support import LONG, typed, wait_for_commit, wait_until

SECRET = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"  # of RFC 32 of ZeroMQ
CLIENT_PORTS = {
    "registration": zmq.DEALER,
    "mux": zmq.DEALER,
    "task": zmq.DEALER,
    "control": zmq.DEALER,
    "broadcast": zmq.DEALER,
    "notification": zmq.SUB,
    "iopub": zmq.SUB,
}
ENGINE_PORTS = {
    "registration": zmq.DEALER,
    "mux": zmq.ROUTER,
    "task": zmq.ROUTER,
    "control": zmq.ROUTER,
    "broadcast": zmq.ROUTER,
    "hb_ping": zmq.SUB,
    "hb_pong": zmq.DEALER,
    "iopub": zmq.PUB,
}


def is_let_in(peer, file, name, kind, key_file):
    """Whether whoever has the CurveZMQ key of one file can connect to the port of that name in the other."""
    (port,) = [file[name]] if isinstance(file[name], int) else file[name]
    socket = peer.context.socket(kind)
    socket.linger = 0
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    socket.curve_serverkey = key_file["curve_serverkey"].encode()
    ends = {
        zmq.EVENT_HANDSHAKE_SUCCEEDED: True,
        zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: False,
        zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: False,
        zmq.EVENT_HANDSHAKE_FAILED_AUTH: False,
    }
    monitor = socket.get_monitor_socket(sum(ends))
    socket.connect(peer.url(port))
    assert monitor.poll(60000), "the handshake has no end"
    return ends[int.from_bytes(monitor.recv_multipart()[0][:2], "little")]


@pytest.mark.parametrize("name", CLIENT_PORTS)
def test_whoever_has_the_engines_file_cannot_connect_as_a_client(controller, name):
    peer = controller()
    assert is_let_in(peer, peer.client, name, CLIENT_PORTS[name], peer.client)
    assert not is_let_in(peer, peer.client, name, CLIENT_PORTS[name], peer.engine)


@pytest.mark.parametrize("name", ENGINE_PORTS)
def test_whoever_has_the_clients_file_cannot_connect_as_an_engine(controller, name):
    peer = controller()
    assert is_let_in(peer, peer.engine, name, ENGINE_PORTS[name], peer.engine)
    assert not is_let_in(peer, peer.engine, name, ENGINE_PORTS[name], peer.client)


@pytest.mark.parametrize("asked_by, file", [("CLIENT", "clients'"), ("ENGINE", "engines'")])
def test_a_query_of_one_role_is_not_served_where_the_other_connects(controller, asked_by, file):
    peer = controller("--dictdb")
    engine = Engine(peer).beat()
    clients = peer.connect(zmq.DEALER, peer.client["registration"])
    socket = engine.registration if asked_by == "CLIENT" else clients
    # If it was served, these would have effects: engines leave, end, or register.
    content = {"id": 0, "uuid": "stranger", "msg_ids": "all", "all": True, "on": True, "engine_set": "s", "reason": "r"}
    for msg_type in (name for name, role in ROLES.items() if role == asked_by):
        kind, reply = peer.ask(socket, msg_type, content)
        assert kind in ("hub_error", msg_type.replace("request", "reply")), msg_type
        assert (reply["status"], reply["ename"]) == ("error", "PermissionError"), msg_type
        assert f"{file} connection file" in reply["evalue"], msg_type
    assert peer.engines() == {"0": engine.uuid} and peer.process.alive


# --- keys, where nothing is encrypted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["registration", "mux", "task", "control", "broadcast"])
def test_the_engines_key_signs_nothing_for_clients_ports(controller, name):
    peer = controller("--IPController.enable_curve=false")
    socket = peer.connect(zmq.DEALER, peer.client[name])
    prefix = [b"nobody"] if name in ("mux", "control") else []
    socket.send_multipart([*prefix, *peer.message("connection_request", file=peer.engine)[0]])
    peer.process.wait_for_output("forged signature")
    socket.send_multipart([*prefix, *peer.message("connection_request", metadata={"timeout": 0.01})[0]])
    peer.receive(socket)
    assert not socket.poll(200), "one answer to one request"


@pytest.mark.parametrize("name", ["mux", "task", "control", "broadcast"])
def test_the_clients_key_signs_no_answer(controller, name):
    peer = controller("--IPController.enable_curve=false")
    engine = Engine(peer).open().beat()
    socket = peer.connect(
        zmq.DEALER, peer.engine[name] if name != "broadcast" else peer.engine[name][0], engine.uuid.encode()
    )
    socket.send_multipart([b"client", *peer.message("apply_reply", {"status": "ok"}, file=peer.client)[0]])
    peer.process.wait_for_output("forged signature")


def test_the_clients_key_registers_no_engine(controller):
    peer = controller("--IPController.enable_curve=false")
    socket = peer.connect(zmq.DEALER, peer.engine["registration"])
    socket.send_multipart(peer.message("registration_request", {"uuid": "stranger"}, file=peer.client)[0])
    peer.process.wait_for_output("forged signature")


def test_the_clients_key_signs_no_output(controller):
    peer = controller("--IPController.enable_curve=false")
    socket = peer.connect(zmq.XPUB, peer.engine["iopub"])
    assert next_frames(socket) == [b"\1connected"]
    socket.send_multipart([b"connected", *peer.message("stream", {"text": "x"}, file=peer.client)[0]])
    peer.process.wait_for_output("forged signature")


def test_both_keys_are_kept_where_files_are_reused_and_both_are_new_where_not(controller):
    first = controller("--reuse", "--Session.key=given")
    assert first.client["key"] == "given" and first.engine["key"] not in ("", "given")
    first.process.stop()
    second = controller("--reuse", "--Session.key=given")
    assert second.client == first.client and second.engine == first.engine
    peers = [controller(cluster_id=number) for number in "12"]
    keys = {file[name] for peer in peers for file in (peer.client, peer.engine) for name in ("key", "curve_serverkey")}
    assert len(keys) == 8


def test_no_key_for_one_role_is_none_for_the_other(controller):
    peer = controller("--no-secure")
    assert peer.client["key"] == peer.engine["key"] == ""


@typed
def wait_for_file(path):
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.01)
    return os.getpid()


# --- an engine's name --------------------------------------------------------------------------------------------------------

ROUTE, OTHER_ROUTE = "0123456789abcdef" * 2, "f" * 32


@pytest.fixture
def living(new_cluster):
    """A cluster with one engine, and its client; and .peer, which has the engines' file, and the engine's .uuid."""
    cluster = new_cluster(1)
    living = SimpleNamespace(client=cluster.client(), pid=cluster.engines[0].pid, peer=Peer(cluster.profile_dir))
    living.uuid = living.peer.engines()["0"]
    yield living
    assert living.client[0].apply_async(os.getpid).get(timeout=LONG) == living.pid
    assert living.client.load_balanced_view().apply_async(os.getpid).get(timeout=LONG) == living.pid
    assert living.peer.engines() == {"0": living.uuid}
    living.peer.close()


@pytest.mark.parametrize(
    "more", [{}, {"wanted": 0}, {"route": OTHER_ROUTE}, {"wanted": 0, "route": OTHER_ROUTE}], ids=str
)
def test_a_living_engines_uuid_is_not_registered_again(living, more):
    reply = Engine(living.peer, name=living.uuid, **more).reply
    assert reply["status"] == "error" and "in use" in reply["evalue"]


def test_an_engine_that_asks_twice_is_one(controller):
    peer = controller()
    first = Engine(peer, route=ROUTE)
    second = Engine(peer, name=first.uuid, route=ROUTE)
    assert first.id == second.id == 0 and second.beat().id == 0
    assert Engine(peer, name=first.uuid, route=ROUTE).id == 0


def test_no_engine_takes_anothers_name_for_its_own(controller):
    peer = controller()
    first = Engine(peer, name="0" * 32).beat()
    reply = Engine(peer, route=first.uuid).reply
    assert reply["status"] == "error" and "in use" in reply["evalue"]


@pytest.mark.parametrize("more", [{}, {"route": OTHER_ROUTE}, {"route": 5}], ids=str)
def test_nobody_but_the_engine_itself_unregisters_it(living, more):
    socket = living.peer.connect(zmq.DEALER, living.peer.engine["registration"])
    _, reply = living.peer.ask(socket, "unregistration_request", {"id": 0, "uuid": living.uuid, "died": True, **more})
    assert reply["status"] == "error" and reply["ename"] == "PermissionError"


def connected(peer, port, name):
    """A socket that is connected to a scheduler under this name."""
    socket = peer.context.socket(zmq.ROUTER)
    socket.setsockopt(zmq.ROUTING_ID, name.encode())
    peer.prepare(socket, zmq.ROUTER, port)
    ready = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
    socket.connect(peer.url(port))
    next_frames(ready, "no connection")
    socket.disable_monitor()
    return socket


def test_whoever_connects_under_a_living_engines_uuid_gets_nothing_that_is_meant_for_it(living):
    peer = living.peer
    ports = [peer.engine[name] for name in ("mux", "task", "control")] + peer.engine["broadcast"]
    thieves = [connected(peer, port, living.uuid) for port in ports]
    client, balanced = living.client, living.client.load_balanced_view()
    for _ in range(5):
        assert client[0].apply_async(os.getpid).get(timeout=LONG) == living.pid
        assert balanced.apply_async(os.getpid).get(timeout=LONG) == living.pid
        assert client.broadcast_view().apply_async(os.getpid).get(timeout=LONG) == [living.pid]
        client.abort(block=True)
    assert not any(thief.poll(0) for thief in thieves)


@pytest.mark.parametrize("name", ["mux", "task", "broadcast"])
def test_answers_under_a_living_engines_uuid_are_not_taken(controller, name):
    peer = controller()
    engine = Engine(peer, route=ROUTE).open().beat()
    port = peer.engine[name] if name != "broadcast" else peer.engine[name][0]
    if name == "broadcast":
        engine.shell.connect(peer.url(port))
    client = peer.connect(zmq.DEALER, peer.client[name])
    frames, msg_id = peer.message(
        "apply_request", metadata={"targets": [[engine.uuid, 0]], "is_broadcast": True} if name == "broadcast" else {}
    )
    client.send_multipart([engine.uuid.encode(), *frames] if name == "mux" else frames)
    route, header, _ = engine.take()
    thief = peer.connect(zmq.DEALER, port, engine.uuid.encode())
    metadata = {"status": "ok", "engine": engine.uuid, "dependencies_met": True}
    thief.send_multipart([*route[1:], *peer.message("apply_reply", {"status": "forged"}, metadata, parent=header)[0]])
    peer.process.wait_for_output("comes from an engine that is not registered")
    engine.answer(route, header)
    idents, _, parent, _, content = peer.receive(client)
    assert parent["msg_id"].startswith(msg_id) and content["status"] == "ok"
    assert ROUTE.encode() not in idents, "nobody learns the name"


def record_of(peer, msg_id):
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    (record,) = peer.ask(
        query, "db_request", {"query": {"msg_id": msg_id}, "keys": ["engine_uuid", "completed", "result_content"]}
    )[1]["records"]
    query.close()
    return record


@pytest.mark.parametrize("name", ["mux", "control", "broadcast"])
def test_only_the_engine_that_was_asked_answers_whatever_client_asks_and_so_the_records_say(controller, name):
    peer = controller("--dictdb")
    engine, thief = Engine(peer, route=ROUTE).open().beat(), Engine(peer, route=OTHER_ROUTE).open().beat()
    for each in engine, thief:
        if name == "broadcast":
            each.shell.connect(peer.url(peer.engine["broadcast"][0]))
        elif name == "control":
            each.shell = each.control
    client = peer.connect(zmq.DEALER, peer.client[name], b"asks")
    targets = [[engine.uuid, 0], [thief.uuid, 1]]
    for to in (engine, thief):  # also to the second, so that its answer has the right form
        frames, _ = peer.message(
            "apply_request", metadata={"targets": targets, "is_broadcast": True} if name == "broadcast" else {}
        )
        if name != "broadcast" or to is engine:
            client.send_multipart([to.uuid.encode(), *frames] if name != "broadcast" else frames)
    route, header, _ = engine.take()
    own_route, own_header, _ = thief.take()
    msg_id = json.loads(header)["msg_id"]
    thief.answer(own_route, header, "error")
    thief.answer(own_route, own_header)
    assert peer.receive(client)[2] == json.loads(own_header), "what was sent before that is dropped"
    peer.process.wait_for_output("it answers a request that its sender does not have")
    if name != "control":
        wait_until(
            lambda: record_of(peer, json.loads(own_header)["msg_id"])["completed"], 20, "the records are up to date"
        )
        assert record_of(peer, msg_id)["engine_uuid"] == engine.uuid and not record_of(peer, msg_id)["completed"]
    engine.answer(route, header)
    _, _, parent, _, content = peer.receive(client)
    assert parent["msg_id"] == msg_id and content["status"] == "ok"
    if name != "control":
        wait_until(lambda: record_of(peer, msg_id)["completed"], 20, "the answer is recorded")
    engine.answer(route, header, "error")
    thief.answer(own_route, own_header, "error")
    assert not client.poll(200), "once each"


@pytest.mark.parametrize("name", ["mux", "task"])
def test_after_a_restart_no_engine_has_what_was_given_to_another(controller, name):
    first = controller("--reuse", "--sqlitedb")
    engine = Engine(first, route=ROUTE).open().beat()
    client = first.connect(zmq.DEALER, first.client[name], b"asks")
    frames, msg_id = first.message("apply_request", session="asks")
    client.send_multipart([engine.uuid.encode(), *frames] if name == "mux" else frames)
    route, header, _ = engine.take()
    thief = Engine(first, route=OTHER_ROUTE).open().beat()
    wait_until(
        lambda: record_of(first, msg_id)["engine_uuid"] == engine.uuid,
        20,
        "it is recorded which engine has the request",
    )
    wait_for_commit(
        first.client_file.parent.parent / "tasks.db",
        [{"msg_id": msg_id, "completed": None, "engine_uuid": engine.uuid}],
    )
    first.process.stop(signal.SIGKILL)
    second = controller("--reuse", "--sqlitedb")
    for each in engine, thief:
        each.die()
    # An engine that was there before, and a new one.
    for more in {"name": thief.uuid, "route": OTHER_ROUTE}, {"route": "1" * 32}:
        other = Engine(second, pending=[msg_id], **more).open().beat()
        other.answer(route, header, "error")
    if name == "mux":
        second.process.wait_for_output(f"has sent something for request {msg_id}, which another engine has")
    else:
        second.process.wait_for_output("it answers a task that its sender does not have")
    assert record_of(second, msg_id)["engine_uuid"] == engine.uuid and not record_of(second, msg_id)["completed"]
    engine = Engine(second, name=engine.uuid, route=ROUTE, wanted=0, pending=[msg_id]).open().beat()
    engine.answer(route, header)
    wait_until(lambda: record_of(second, msg_id)["completed"], 20, "its answer is recorded")
    assert record_of(second, msg_id)["result_content"] == {"status": "ok"}
    if name == "task":
        assert second.receive(client)[4] == {"status": "ok"}


def test_an_engine_cannot_answer_what_another_was_asked(living, gate):
    thief = Engine(living.peer).open().beat()
    wait_until(lambda: living.client.ids == [0, 1], 20, "the client knows both")
    asked = [
        living.client[0].apply_async(wait_for_file, str(gate)),
        living.client.load_balanced_view(targets=[0]).apply_async(wait_for_file, str(gate)),
    ]
    own = living.client[1].apply_async(os.getpid)
    route, header, _ = thief.take()
    for request in asked:
        forged = {**json.loads(header), "msg_id": request.msg_ids[0]}
        thief.answer(route, json.dumps(forged).encode(), "error")
    thief.answer(route, header, "error")
    wait_until(own.ready, 20, "what was sent behind them is here")
    assert not any(request.ready() for request in asked)
    gate.touch()
    assert [request.get(timeout=LONG) for request in asked] == [living.pid, living.pid]
    thief.die()
    wait_until(lambda: living.peer.engines() == {"0": living.uuid}, 20, "the thief is gone")


@typed
def say_when(path):
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.01)
    print("true", flush=True)


@pytest.mark.parametrize("controllers", [["--dictdb"], []], ids=["recorded", "not recorded"])
def test_whoever_has_the_engines_file_publishes_nothing_in_another_engines_name(new_cluster, gate, controllers):
    cluster = new_cluster(1, controller=controllers)
    client, peer = cluster.client(), Peer(cluster.profile_dir)
    try:
        uuid = peer.engines()["0"]
        thief = Engine(peer, name="thief").beat()
        asked = client[0].apply_async(say_when, str(gate))
        [request] = asked.msg_ids
        shown = peer.subscribe(peer.client["iopub"])
        output = peer.connect(zmq.XPUB, peer.engine["iopub"])
        while next_frames(output) != [b"\1"]:
            pass  # until all is subscribed to

        def publish(topic, engine, text="forged"):
            frames, _ = peer.message(
                "stream",
                {"name": "stdout", "text": text},
                metadata=engine and {"engine": engine},
                parent=json.dumps({"msg_id": request, "msg_type": "apply_request"}).encode(),
            )
            output.send_multipart([topic, *frames])

        for topic in b"engine.0.stdout", b"engine.1.stdout", b"engine.x":
            for engine in uuid, thief.uuid, None:
                publish(topic, engine)
        publish(b"engine.1.stdout", thief.uuid, text="the last")
        while (message := peer.receive(shown))[4].get("text") != "the last":
            forged = message[4].get("text") == "forged"  # the engine's own word that it works may come as well
            assert not (forged and (message[0][0] == b"engine.0.stdout" or message[3].get("engine") == uuid))
        gate.touch()
        asked.get(timeout=LONG)
        assert asked.wait_for_output(LONG) and asked.stdout == "true\n"
        assert client.load_balanced_view(targets=[0]).apply_async(os.getpid).get(timeout=LONG) == cluster.engines[0].pid
        if controllers:

            def recorded():
                return client.db_query({"msg_id": request}, keys=["stdout"])[0]["stdout"]

            wait_until(lambda: "true" in (recorded() or ""), 20, "output is recorded")
            assert recorded() == "true\n"
    finally:
        peer.close()


def test_pongs_under_an_engines_uuid_are_not_its_own(controller):
    peer = controller("--ping=100")
    engine = Engine(peer, route=ROUTE)
    thief = peer.connect(zmq.DEALER, peer.engine["hb_pong"], engine.uuid.encode())
    for _ in range(10):
        thief.send(next_frames(engine.ping)[0])
    assert peer.engines() == {}
    assert engine.beat().id == 0


def test_an_engines_name_is_its_own_also_after_a_restart(controller):
    first = controller("--reuse")
    engine = Engine(first, route=ROUTE).beat()
    table = first.client_file.with_name("ipcontroller-engines.json")
    wait_until(lambda: table.exists() and ROUTE in table.read_text(), 20, "the table of engines is written")
    first.process.stop(signal.SIGKILL)
    engine.die()  # otherwise it connects again, under the same name, and takes the answers; so do those below
    for arguments in ("--reuse",), ("--restore",):
        second = controller(*arguments)
        for more in {}, {"wanted": 0}, {"route": OTHER_ROUTE}:
            other = Engine(second, name=engine.uuid, **more)
            assert other.reply["status"] == "error" and "in use" in other.reply["evalue"]
            other.die()
        engine = Engine(second, name=engine.uuid, route=ROUTE, wanted=0)
        assert engine.id == 0
        engine.die()
        second.process.stop(signal.SIGKILL)


# --- what is asked for, and what files say -----------------------------------------------------------------------------------


def test_unencrypted_beyond_loopback_needs_a_second_word(sandbox, controller):
    plain = "--IPController.enable_curve=false"
    for address in ("--ip=*", "--IPController.engine_ip=0.0.0.0", "--IPController.client_ip=0.0.0.0"):
        finished = sandbox.run(sandbox.programs.ipcontroller, plain, address)
        assert finished.status == 1 and "IPController.allow_unencrypted=true" in finished.err, finished
    assert not controller(plain, "--ip=*", "--IPController.allow_unencrypted=true").client["curve_serverkey"]
    assert not controller(plain, "--ip=127.0.0.2", cluster_id="loopback").client["curve_serverkey"]
    assert controller("--ip=*", cluster_id="encrypted").client["curve_serverkey"]


def test_old_files_do_not_open_an_unencrypted_controller_to_the_network(sandbox, controller):
    plain, meant = "--IPController.enable_curve=false", "--IPController.allow_unencrypted=true"
    controller("--reuse", plain, "--ip=*", meant).process.stop()
    finished = sandbox.run(sandbox.programs.ipcontroller, "--reuse")
    assert finished.status == 1 and "tcp://0.0.0.0" in finished.err and "allow_unencrypted" in finished.err, finished


@pytest.mark.parametrize(
    "before, now, setting",
    [
        (["--IPController.enable_curve=false"], "--IPController.enable_curve=true", "IPController.enable_curve"),
        ([], "--IPController.enable_curve=false", "IPController.enable_curve"),
        ([], "--IPController.local_sockets=false", "IPController.local_sockets"),
        ([], f"--IPController.curve_secretkey={SECRET}", "IPController.curve_secretkey"),
        (["--no-secure"], "--secure", "Session.key"),
        ([], "--no-secure", "Session.key"),
        ([], "--Session.key=abc", "Session.key"),
        ([], "--Session.signature_scheme=hmac-sha512", "Session.signature_scheme"),
        ([], "--Session.packer=msgpack", "Session.packer"),
        ([], "--transport=ipc", "IPController.transport"),
        (["--transport=ipc"], "--ip=127.0.0.1", "IPController.ip"),
        ([], "--port=5", "IPController.regport"),
        (["--ports=20301-20320"], "--ports=20401-20420", "IPController.ports"),
        ([], "--IPController.engine_ports=20501-20502", "IPController.engine_ports"),
    ],
)
def test_what_reused_files_cannot_give_is_an_error_that_names_both(sandbox, controller, before, now, setting):
    peer = controller("--reuse", *before)
    peer.process.stop()
    finished = sandbox.run(sandbox.programs.ipcontroller, "--reuse", now)
    assert (
        finished.status == 1 and setting in finished.err and ".json is to be reused, but it has" in finished.err
    ), finished
    assert json.loads(peer.client_file.read_text()) == peer.client, "the files are as they were"


def test_what_is_asked_for_now_comes_in_the_place_of_what_reused_files_say(controller):
    first = controller("--reuse", "--ip=*", "--location=one", "--ssh=a@b", "--scheme=lru")
    first.process.stop()
    second = controller("--reuse", "--ip=127.0.0.1", "--location=127.0.0.1", "--ssh=c@d", "--enginessh=e@f")
    for old, new in ((first.client, second.client), (first.engine, second.engine)):
        assert new["interface"] == "tcp://127.0.0.1" and new["location"] == "127.0.0.1"
        assert new == {
            **old,
            **{name: new[name] for name in ("interface", "location", "ssh")},
            **({"task_scheme": "leastload"} if new is second.client else {}),
        }
    assert second.client["ssh"] == "c@d" and second.engine["ssh"] == "e@f"
    second.process.stop()
    assert controller("--reuse").client["interface"] == "tcp://127.0.0.1", "nothing is asked: as the files say"


def test_reused_files_do_not_keep_engines_elsewhere_out(controller):
    first = controller("--reuse")
    first.process.stop()
    second = controller("--reuse", "--IPController.engines_elsewhere=true")
    assert first.engine["interface"] == "tcp://127.0.0.1" and second.engine["interface"] == "tcp://0.0.0.0"
    assert second.client == first.client
    second.process.stop()
    assert controller("--reuse", "--ip=127.0.0.1", "--IPController.engines_elsewhere=true").engine == first.engine


def test_what_reused_files_agree_with_may_be_asked_for_again(controller):
    words = (
        "--reuse",
        "--IPController.enable_curve=true",
        "--secure",
        "--ip=127.0.0.1",
        "--ports=20601-20615",
        "--transport=tcp",
    )
    first = controller(*words)
    first.process.stop()
    second = controller(*words)
    assert second.client == first.client and second.engine == first.engine
