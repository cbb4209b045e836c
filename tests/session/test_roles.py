"""Engines and clients have a connection file each: whoever has one of them can do what that role does, and nothing else."""

import json

import pytest
import zmq
from controller_peer import Engine

QUERIES = {
    "connection_request": {}, "queue_request": {"verbose": True}, "load_request": {}, "shutdown_request": {},
    "result_request": {"msg_ids": ["x"]}, "history_request": {}, "purge_request": {"msg_ids": "all"},
    "db_request": {"query": {}, "keys": ["content", "buffers", "result_buffers"]}, "resubmit_request": {"msg_ids": ["x"]},
}
SECRET = "JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6"  # of RFC 32 of ZeroMQ
CLIENT_PORTS = {"registration": zmq.DEALER, "mux": zmq.DEALER, "task": zmq.DEALER, "control": zmq.DEALER, "broadcast": zmq.DEALER,
                "notification": zmq.SUB, "iopub": zmq.SUB}
ENGINE_PORTS = {"registration": zmq.DEALER, "mux": zmq.ROUTER, "task": zmq.ROUTER, "control": zmq.ROUTER, "broadcast": zmq.ROUTER,
                "hb_ping": zmq.SUB, "hb_pong": zmq.DEALER, "iopub": zmq.PUB}


def is_let_in(peer, file, name, kind, key_file):
    """Whether whoever has the CurveZMQ key of one file can connect to the port of that name in the other."""
    port, = [file[name]] if isinstance(file[name], int) else file[name]
    socket = peer.context.socket(kind)
    socket.linger = 0
    socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
    socket.curve_serverkey = key_file["curve_serverkey"].encode()
    ends = {zmq.EVENT_HANDSHAKE_SUCCEEDED: True, zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: False,
            zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: False, zmq.EVENT_HANDSHAKE_FAILED_AUTH: False}
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


@pytest.mark.parametrize("msg_type", QUERIES)
def test_where_engines_register_no_client_is_served(controller, msg_type):
    peer = controller("--dictdb")
    engine = Engine(peer).beat()
    kind, reply = peer.ask(engine.registration, msg_type, QUERIES[msg_type])
    assert kind in ("hub_error", msg_type.replace("request", "reply"))
    assert reply["status"] == "error" and reply["ename"] == "PermissionError" and "clients' file" in reply["evalue"]
    assert peer.engines() == {"0": engine.uuid} and peer.process.alive


@pytest.mark.parametrize("msg_type, content", [
    ("registration_request", {"uuid": "stranger"}), ("unregistration_request", {"id": 0})])
def test_where_clients_ask_no_engine_is_registered_and_none_leaves(controller, msg_type, content):
    peer = controller()
    engine = Engine(peer).beat()
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    _, reply = peer.ask(query, msg_type, content)
    assert reply["status"] == "error" and reply["ename"] == "PermissionError" and "engines' file" in reply["evalue"]
    assert peer.engines() == {"0": engine.uuid}


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


@pytest.mark.parametrize("before, now, setting", [
    (["--IPController.enable_curve=false"], "--IPController.enable_curve=true", "IPController.enable_curve"),
    ([], "--IPController.enable_curve=false", "IPController.enable_curve"),
    ([], f"--IPController.curve_secretkey={SECRET}", "IPController.curve_secretkey"),
    ([], f"--IPController.engine_curve_secretkey={SECRET}", "IPController.engine_curve_secretkey"),
    (["--no-secure"], "--secure", "Session.key"), ([], "--no-secure", "Session.key"), ([], "--Session.key=abc", "Session.key"),
    ([], "--Session.signature_scheme=hmac-sha512", "Session.signature_scheme"),
    ([], "--Session.packer=msgpack", "Session.packer"), ([], "--transport=ipc", "IPController.transport"),
    (["--transport=ipc"], "--ip=127.0.0.1", "IPController.ip"), ([], "--port=5", "IPController.regport"),
    (["--ports=20301-20320"], "--ports=20401-20420", "IPController.ports"),
    ([], "--IPController.engine_ports=20501-20502", "IPController.engine_ports"),
])
def test_what_reused_files_cannot_give_is_an_error_that_names_both(sandbox, controller, before, now, setting):
    peer = controller("--reuse", *before)
    peer.process.stop()
    finished = sandbox.run(sandbox.programs.ipcontroller, "--reuse", now)
    assert finished.status == 1 and setting in finished.err and ".json is to be reused and has" in finished.err, finished
    assert json.loads(peer.client_file.read_text()) == peer.client, "the files are as they were"


def test_what_is_asked_for_now_comes_in_the_place_of_what_reused_files_say(controller):
    first = controller("--reuse", "--ip=*", "--location=one", "--ssh=a@b", "--scheme=lru")
    first.process.stop()
    second = controller("--reuse", "--ip=127.0.0.1", "--location=127.0.0.1", "--ssh=c@d", "--enginessh=e@f")
    for old, new in ((first.client, second.client), (first.engine, second.engine)):
        assert new["interface"] == "tcp://127.0.0.1" and new["location"] == "127.0.0.1"
        assert new == {**old, **{name: new[name] for name in ("interface", "location", "ssh")},
                       **({"task_scheme": "leastload"} if new is second.client else {})}
    assert second.client["ssh"] == "c@d" and second.engine["ssh"] == "e@f"
    second.process.stop()
    assert controller("--reuse").client["interface"] == "tcp://127.0.0.1", "nothing is asked: as the files say"


def test_what_reused_files_agree_with_may_be_asked_for_again(controller):
    words = ("--reuse", "--IPController.enable_curve=true", "--secure", "--ip=127.0.0.1", "--ports=20601-20615", "--transport=tcp")
    first = controller(*words)
    first.process.stop()
    second = controller(*words)
    assert second.client == first.client and second.engine == first.engine
