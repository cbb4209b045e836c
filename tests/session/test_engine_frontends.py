"""Jupyter frontends at an engine: bind_kernel(), with jupyter_client's own client."""

import json
import stat
from pathlib import Path

import psutil
import pytest
import zmq

from support import LONG, wait_until, without

jupyter_client = pytest.importorskip("jupyter_client")
TIMEOUT = LONG
# Seconds in which a frontend expects an answer to its heartbeat: the default, 1, is too short on a busy machine.
HEARTBEAT = 5


@pytest.fixture
def frontend():
    """frontend(connection file): a client that is connected and ready."""
    clients = []

    def connect(path):
        client = jupyter_client.BlockingKernelClient(connection_file=str(path))
        client.load_connection_file()
        client.hb_channel.time_to_dead = HEARTBEAT
        client.start_channels()
        clients.append(client)
        client.wait_for_ready(timeout=TIMEOUT)
        return client

    yield connect
    for client in clients:
        client.stop_channels()


def bind(peer, code="import ipcluster; print(ipcluster.bind_kernel())"):
    """Calls bind_kernel() in the engine; returns the connection file's path."""
    msg_id = peer.send("execute_request", {"code": code, "silent": False})
    reply = peer.reply(msg_id, timeout=60)
    assert reply.content["status"] == "ok", reply.content
    return Path(peer.stream(msg_id).strip())


def reply_to(client, msg_id):
    """The reply to a request. Replies to questions that were repeated while the engine was slow may come before it."""
    while True:
        reply = client.get_shell_msg(timeout=TIMEOUT)
        if reply["parent_header"]["msg_id"] == msg_id:
            return reply["content"]


def run(client, code, **options):
    """Executes in a frontend. Returns the reply's content and what was published, without status."""
    published = []
    reply = client.execute_interactive(code, timeout=TIMEOUT, output_hook=published.append, **options)
    return reply["content"], [message for message in published if message["msg_type"] != "status"]


def test_a_frontend_attaches_while_the_engine_serves_its_cluster(engine, peer, frontend, sandbox):
    path = bind(peer)
    assert path == sandbox.profile_dir("default") / "security" / f"kernel-{engine.popen.pid}.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    key = json.loads(path.read_text())["key"]
    assert key and key.encode() != peer.key, "frontends have a key of their own"
    client = frontend(path)
    # One namespace, both ways.
    peer.apply(lambda: globals().update(from_cluster=40))
    reply, published = run(client, "print('hello')\nfrom_frontend = 2\nfrom_cluster + from_frontend")
    assert reply["status"] == "ok"
    assert [message["msg_type"] for message in published] == ["execute_input", "stream", "execute_result"]
    assert published[2]["content"]["data"]["text/plain"] == "42"
    assert peer.apply(lambda: from_frontend).result == 2
    # The other requests.
    assert "from_frontend" in client.complete("from_fr", reply=True, timeout=TIMEOUT)["content"]["matches"]
    assert client.inspect("len", reply=True, timeout=TIMEOUT)["content"]["found"] is True
    assert reply_to(client, client.is_complete("if 1:"))["status"] == "incomplete"
    assert client.history(hist_access_type="tail", n=1, reply=True, timeout=TIMEOUT)["content"]["history"]
    assert client.comm_info(reply=True, timeout=TIMEOUT)["content"]["comms"] == {}
    assert client.kernel_info(reply=True, timeout=TIMEOUT)["content"]["language_info"]["name"] == "python"
    reply, _ = run(client, "1/0")
    assert reply["ename"] == "ZeroDivisionError"
    # What a frontend's code prints is not published to the cluster's clients; the other way it is, as kernels do.
    msg_id = peer.send("execute_request", {"code": "print('of the cluster')", "silent": False})
    peer.outputs(msg_id)
    assert not [m for m in peer.published if "hello" in str(m.content.get("text"))]
    wait_until(
        lambda: "of the cluster" in str(client.get_iopub_msg(timeout=TIMEOUT)["content"]),
        60,
        "the frontend sees what the cluster's client prints",
    )


@pytest.mark.parametrize(
    "call",
    [
        "import ipyparallel; ipyparallel.bind_kernel()",
        "from ipyparallel import bind_kernel; bind_kernel(ip='127.0.0.1')",
    ],
)
@pytest.mark.parametrize("beside", ["ipyparallel", "nothing"])
def test_ipyparallels_bind_kernel_works_unchanged(sandbox, peer, frontend, call, beside):
    env = {} if beside == "ipyparallel" else without(sandbox, "ipyparallel", "IPython", "ipykernel", "jupyter_core")
    engine = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env=env)
    peer.register()
    for _ in range(2):  # a second call changes nothing
        reply = peer.execute(call)
        assert reply.content["status"] == "ok", "\n".join(reply.content.get("traceback", []))
    path = sandbox.profile_dir("default") / "security" / f"kernel-{engine.popen.pid}.json"
    assert run(frontend(path), "x = 3")[0]["status"] == "ok"
    assert peer.apply(lambda: x).result == 3


def test_a_frontend_works_where_the_cluster_speaks_msgpack(new_cluster, frontend):
    cluster = new_cluster(1, controller=["--Session.packer=msgpack"])
    view = cluster.client()[0]
    view.execute("import ipcluster; path = ipcluster.bind_kernel()", block=True)
    client = frontend(view["path"])
    reply, published = run(client, "print('é'); 5")
    assert reply["status"] == "ok" and published[1]["content"]["text"] == "é\n"
    view.execute("print('ü')", block=True)
    wait_until(lambda: "ü" in str(client.get_iopub_msg(timeout=TIMEOUT)["content"]), 60, "the cluster's output")


def test_user_code_asks_the_frontend(engine, peer, frontend):
    client = frontend(bind(peer))
    asked = []

    def answer(message):
        asked.append(message["content"])
        client.input("Ada" if len(asked) == 1 else "secret")

    code = "import getpass\nprint('ready')\nname = input('who? ')\nword = getpass.getpass('word: ')\nprint(name, word)"
    reply, published = run(client, code, allow_stdin=True, stdin_hook=answer)
    assert reply["status"] == "ok"
    assert asked == [{"prompt": "who? ", "password": False}, {"prompt": "word: ", "password": True}]
    assert "".join(m["content"]["text"] for m in published if m["msg_type"] == "stream") == "ready\nAda secret\n"
    reply, _ = run(client, "input()", allow_stdin=False)
    assert reply["ename"] == "StdinNotImplementedError"


def test_frontends_are_let_in_by_sockets_that_no_other_user_reaches(engine, peer, frontend):
    path = bind(peer)
    info = json.loads(path.read_text())
    frontend(path)
    assert info["transport"] == "ipc"
    sockets = [Path(f"{info['ip']}-{info[name]}") for name in info if name.endswith("_port")]
    assert len(sockets) == 5 and all(stat.S_ISSOCK(socket.stat().st_mode) for socket in sockets)
    (folder,) = {socket.parent for socket in sockets}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not [c for c in psutil.Process(engine.popen.pid).connections("tcp") if c.status == psutil.CONN_LISTEN]
    assert engine.stop() == 0
    assert not folder.exists()


@pytest.mark.parametrize("transport", ["ipc", "tcp"])
def test_a_child_that_a_task_forks_keeps_no_frontends(engine, peer, frontend, transport):
    info = json.loads(
        bind(peer, f"import ipcluster; print(ipcluster.bind_kernel(transport={transport!r}))").read_text()
    )
    frontend(Path(peer.apply(lambda: __import__("ipcluster").bind_kernel()).result))
    between = "-" if transport == "ipc" else ":"
    places = {f"{info['ip']}{between}{info[name]}" for name in info if name.endswith("_port")}

    def held(process):
        own = [c.laddr for c in process.connections("unix" if transport == "ipc" else "inet") if c.laddr]
        return places.intersection(own if transport == "ipc" else (f"{address.ip}:{address.port}" for address in own))

    def fork():
        import os
        import signal

        child = os.fork()
        if not child:
            signal.pause()
        return child

    child = psutil.Process(peer.apply(fork).result)
    try:
        assert held(psutil.Process(engine.popen.pid)) == places
        wait_until(lambda: not held(child), 20, "the child has let go of them")
        if transport == "ipc":
            folders = [Path(f"/proc/{child.pid}/fd/{fd}").resolve() for fd in range(child.num_fds() + 64)]
            assert Path(info["ip"]).parent not in folders, "the folder's lock"
    finally:
        child.kill()


def test_frontends_by_tcp_are_asked_for_and_warned_of(engine, peer, frontend):
    msg_id = peer.send(
        "execute_request", {"code": "import ipcluster; print(ipcluster.bind_kernel(transport='tcp'))", "silent": False}
    )
    assert peer.reply(msg_id).content["status"] == "ok"
    path = Path(peer.stream(msg_id).strip())
    info = json.loads(path.read_text())
    assert (info["transport"], info["ip"]) == ("tcp", "127.0.0.1")
    assert "Jupyter does not encrypt" in peer.stream(msg_id, "stderr")
    assert run(frontend(path), "x = 3")[0]["status"] == "ok"


def test_a_frontend_that_takes_anothers_name_is_refused(engine, peer, frontend):
    """A frontend's session is published. Whoever knows it gets neither the frontend's replies nor the questions for it."""
    path = bind(peer, "import ipcluster; print(ipcluster.bind_kernel(ip='127.0.0.1'))")
    client = frontend(path)
    info = json.loads(path.read_text())
    context = zmq.Context()
    taken = {}
    try:
        for name in "shell", "stdin", "control":
            taken[name] = socket = context.socket(zmq.DEALER)
            socket.linger = 0
            socket.routing_id = client.session.bsession
            monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            socket.connect(f"tcp://127.0.0.1:{info[f'{name}_port']}")
            assert monitor.poll(1000 * TIMEOUT), "the engine has seen the name"
            socket.disable_monitor()
        reply, _ = run(
            client, "word = input('word: ')", allow_stdin=True, stdin_hook=lambda message: client.input("secret")
        )
        assert reply["status"] == "ok" and peer.apply(lambda: word).result == "secret"
        client.control_channel.send(client.session.msg("kernel_info_request", {}))
        assert client.get_control_msg(timeout=TIMEOUT)["content"]["status"] == "ok"
        assert not [name for name, socket in taken.items() if socket.poll(0)]
    finally:
        context.destroy()


def test_a_frontend_that_subscribes_to_a_topic_of_kilobytes_is_let_go(engine, peer, frontend):
    client = frontend(bind(peer))
    with zmq.Context() as context, context.socket(zmq.SUB) as subscriber:
        subscriber.linger = 0
        gone = subscriber.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        subscriber.subscribe(b"x" * 5000)
        subscriber.connect(client._make_url("iopub"))
        assert gone.poll(LONG * 1000), "the engine keeps it"
        subscriber.disable_monitor()
    assert run(client, "1")[0]["status"] == "ok"


def test_only_who_is_asked_answers(engine, peer, frontend):
    path = bind(peer)
    asked, other = frontend(path), frontend(path)

    def answer(message):
        other.input("not asked")
        engine.wait_for_output("an answer was dropped: its sender was not asked")
        asked.input("asked")

    reply, _ = run(asked, "word = input('word: ')", allow_stdin=True, stdin_hook=answer)
    assert reply["status"] == "ok" and peer.apply(lambda: word).result == "asked"


def test_a_question_that_nobody_answers_is_interrupted(engine, peer, frontend):
    client = frontend(bind(peer))
    msg_id = client.execute("input('?')", allow_stdin=True)
    assert client.get_stdin_msg(timeout=TIMEOUT)["content"]["prompt"] == "?"
    queued = peer.send_apply(lambda: "served")
    client.control_channel.send(client.session.msg("interrupt_request", {}))
    assert client.get_control_msg(timeout=TIMEOUT)["content"]["status"] == "ok"
    assert reply_to(client, msg_id)["ename"] == "KeyboardInterrupt"
    assert peer.reply(queued).result == "served"
    # A late answer belongs to nothing.
    client.input("late")
    reply, _ = run(client, "got = input('again')", allow_stdin=True, stdin_hook=lambda message: client.input("right"))
    assert reply["status"] == "ok" and peer.apply(lambda: got).result == "right"


def test_the_console_finds_the_engine(engine, peer, sandbox):
    pytest.importorskip("jupyter_console")
    pexpect = pytest.importorskip("pexpect")
    runtime = sandbox.dir / "runtime"
    bind(
        peer,
        f"import os; os.environ['JUPYTER_RUNTIME_DIR'] = {str(runtime)!r}\n"
        "import ipcluster; print(ipcluster.bind_kernel())",
    )
    env = {**sandbox.env, "JUPYTER_RUNTIME_DIR": str(runtime), "TERM": "dumb", "PYTHONPATH": ""}
    code = (
        "from jupyter_client.channels import HBChannel\nfrom jupyter_console.app import main\n"
        f"HBChannel.time_to_dead = {HEARTBEAT}\nmain()"
    )
    console = pexpect.spawn(
        "/usr/bin/python3", ["-c", code, "--existing", "--simple-prompt"], env=env, encoding="utf-8", timeout=TIMEOUT
    )
    try:
        console.expect(r"In \[\d+\]: ")
        console.sendline("import os; print('pid', os.getpid())")
        console.expect(f"pid {engine.popen.pid}")
        console.sendline("name = input('who? ')")
        console.expect("who\\? ")
        console.sendline("me")
        console.expect(r"In \[\d+\]: ")
    finally:
        console.close(force=True)
    assert peer.apply(lambda: name).result == "me"


def test_startup_code_may_bind_and_the_files_are_removed(sandbox, peer, frontend):
    runtime = sandbox.dir / "runtime"
    code = "import ipcluster; bound = ipcluster.bind_kernel(connection_file='mine.json')"
    engine = sandbox.start(
        sandbox.programs.ipengine, f"--file={peer.file}", "-c", code, env={"JUPYTER_RUNTIME_DIR": str(runtime)}
    )
    peer.register()
    path = Path(peer.apply(lambda: bound).result)
    assert path.name == "mine.json" and (runtime / "mine.json").resolve() == path
    client = frontend(path)
    assert run(client, "bound")[0]["status"] == "ok"
    client.shutdown()
    assert engine.wait() == 0
    assert not path.exists() and not list(runtime.iterdir())


def test_wrong_wishes_and_strangers_are_refused(engine, peer, frontend):
    for call, reason in (("bind_kernel(transport='udp')", "not 'ipc' or 'tcp'"), ("bind_kernel(shell_port=-1)", "not a port"),
                         ("bind_kernel(ip=5)", "not a text"), ("bind_kernel(pipe=5)", "does not know 'pipe'"),
                         ("bind_kernel(transport='ipc', ip='127.0.0.1')", "ip is for transport='tcp'")):  # fmt: skip
        reply = peer.execute(f"from ipcluster import bind_kernel; {call}")
        assert reply.content["ename"] == "RuntimeError" and reason in reply.content["evalue"]
    # What failed can be tried again.
    busy = peer.ports["mux"]
    reply = peer.execute(f"bind_kernel(iopub_port={busy})")
    assert str(busy) in reply.content["evalue"]
    path = bind(peer)
    stranger = jupyter_client.BlockingKernelClient(connection_file=str(path))
    stranger.load_connection_file()
    stranger.session.key = b"another"
    stranger.start_channels()
    try:
        stranger.execute("stolen = True")
        engine.wait_for_output("forged signature on the shell socket dropped")
    finally:
        stranger.stop_channels()
    assert peer.apply(lambda: "stolen" in globals()).result is False


def test_connect_info_says_how_to_attach(engine, peer):
    failed = peer.execute("%connect_info")
    assert failed.content["status"] == "error" and "bind_kernel" in failed.content["evalue"]
    path = bind(peer)
    msg_id = peer.send("execute_request", {"code": "%connect_info", "silent": False})
    peer.reply(msg_id)
    text = peer.stream(msg_id)
    assert f"jupyter console --existing {path}" in text and '"shell_port"' in text
    reply = peer.execute("from ipykernel.connect import get_connection_file; found = get_connection_file()")
    assert reply.content["status"] == "ok" and peer.apply(lambda: found).result == str(path)
