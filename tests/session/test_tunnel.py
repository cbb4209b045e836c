"""Engines and clients that reach their controller through an SSH server: a real one, on a port of loopback, with keys of the test's own.

It runs as the user who runs the tests, and logins are as the same user."""

import json
import os
import signal
import stat
from pathlib import Path

import psutil
import pytest

from ssh_gate import Gate, needs_openssh
from support import PYTHON, build_c_example, wait_until

pytestmark = needs_openssh


@pytest.fixture
def gate(sandbox):
    return Gate(sandbox)


def edited(file, **members):
    """A copy of a connection file with other values of some members."""
    copy = file.with_name("edited.json")
    copy.touch(mode=0o600)
    copy.write_text(json.dumps({**json.loads(file.read_text()), **members}))
    return copy


@pytest.fixture
def start_client(sandbox, gate):
    """start_client(code, file, **options): a program in which `connect()` gives a client."""

    def start(code, file, **options):
        options["timeout"] = 60
        head = "import os, signal, sys, threading, time, psutil, ipcluster\n"
        connect = f"def connect():\n    return ipcluster.Client({str(file)!r}, **{options!r})\n"
        return sandbox.start(PYTHON, "-c", head + connect + code, env=gate.env, python=True)

    return start


def sockets(gate):
    """The paths of ssh's local sockets: one for the socket that listens, and one for each connection to it."""
    (ssh,) = gate.clients()
    return [c.laddr for c in ssh.connections("unix") if c.laddr]


def connected(gate):
    paths = sockets(gate)
    return {path for path in paths if paths.count(path) > 1}


# Engines


@pytest.mark.parametrize("given_to", ["controller", "engine"])
def test_an_engine_works_through_a_tunnel(new_cluster, gate, given_to):
    cluster = new_cluster(0, controller=[f"--enginessh={gate.address}"] if given_to == "controller" else [])
    options = [f"--sshkey={gate.key}"] + ([f"--ssh={gate.address}"] if given_to == "engine" else [])
    engine = cluster.start_engine(*options, env=gate.env)
    view = cluster.client(wait_for=1)[0]
    assert view.apply_sync(os.getpid) == engine.pid
    assert view.apply_sync(len, bytes(10_000_000)) == 10_000_000
    # All of the engine's connections lead to its ssh: it has none to a port.
    wait_until(lambda: len(connected(gate)) >= 6, 20, "the engine has connected everything")
    assert not [c for c in psutil.Process(engine.pid).connections("tcp") if c.raddr]
    assert len(gate.clients()) == 1
    assert engine.stop() == 0
    wait_until(lambda: not gate.clients(), 60, "ssh ends with its engine")


def test_an_engine_that_waits_behind_a_tunnel_follows_a_new_connection_file_through_another(new_cluster, gate):
    cluster = new_cluster(0, controller=[f"--enginessh={gate.address}"])
    cluster.controller.stop(signal.SIGKILL)
    engine = cluster.start_engine(f"--sshkey={gate.key}", env=gate.env)
    engine.wait_for_output("cannot be reached yet", 60)
    (old,) = gate.clients()
    cluster.start_controller(f"--enginessh={gate.address}", "--Session.packer=msgpack.packb")
    engine.wait_for_output("registered as engine 0 ", 60)
    assert cluster.client(wait_for=1)[0].apply_sync(os.getpid) == engine.pid
    assert gate.clients() and old not in gate.clients()
    assert engine.stop() == 0
    wait_until(lambda: not gate.clients(), 60, "ssh ends with its engine")


def test_an_engine_that_cannot_reach_a_new_controller_through_ssh_says_so(new_cluster, gate):
    cluster = new_cluster(0)
    cluster.controller.stop(signal.SIGKILL)
    engine = cluster.start_engine(env=gate.env)
    engine.wait_for_output("cannot be reached yet", 60)
    cluster.start_controller(f"--enginessh=127.0.0.1:{gate.port}")
    assert engine.wait(60) == 5
    assert "ssh to 127.0.0.1" in engine.output


def test_a_tunnel_begins_where_no_other_user_can_connect_or_listen_first(new_cluster, gate):
    engine = new_cluster(0).start_engine(f"--ssh={gate.address}", f"--sshkey={gate.key}", env=gate.env)
    engine.wait_for_output("registered as engine 0", 60)
    (ssh,) = gate.clients()
    assert not [
        c for c in ssh.connections("tcp") if c.status == psutil.CONN_LISTEN
    ], "a port of this host's leads to the controller"
    (folder,) = {Path(path).parent for path in sockets(gate)}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert engine.stop() == 0
    assert not folder.exists()


def test_what_killed_programs_leave_of_their_tunnels_is_removed_by_the_next(new_cluster, gate, sandbox):
    cluster = new_cluster(0)
    options = f"--ssh={gate.address}", f"--sshkey={gate.key}"
    killed, living = (cluster.start_engine(*options, env=gate.env) for _ in range(2))
    cluster.client(wait_for=2)
    theirs = set(sandbox.temporary.glob("ipcluster-sockets-*"))
    assert len(theirs) == 2
    killed.stop(signal.SIGKILL)
    wait_until(lambda: len(gate.clients()) == 1, 60, "ssh ends with its engine")
    next_one = cluster.start_engine(*options, env=gate.env)
    next_one.wait_for_output("registered as engine", 60)
    left = set(sandbox.temporary.glob("ipcluster-sockets-*"))
    assert len(left) == 2 and len(left & theirs) == 1
    assert living.stop() == next_one.stop() == 0
    assert not list(sandbox.temporary.glob("ipcluster-sockets-*"))


def test_a_tunnel_does_not_outlive_an_engine_that_is_killed(new_cluster, gate):
    cluster = new_cluster(0)
    engine = cluster.start_engine(f"--ssh={gate.address}", f"--sshkey={gate.key}", env=gate.env)
    client = cluster.client(wait_for=1)
    engine.stop(signal.SIGKILL)
    wait_until(lambda: not gate.clients(), 60, "ssh ends with its engine")
    wait_until(lambda: not client.ids, 60, "the controller notices")


def test_a_key_that_the_server_refuses_is_an_error_of_the_engine(new_cluster, gate):
    engine = new_cluster(0).start_engine(f"--ssh={gate.address}", f"--sshkey={gate.other_key}", env=gate.env)
    assert engine.wait(60) == 3
    assert f"ssh to {gate.address} ended with 255" in engine.output and "Permission denied" in engine.output


def test_a_server_that_is_not_there_is_an_error_of_the_engine(new_cluster, gate):
    gate.server.stop()
    engine = new_cluster(0).start_engine(f"--ssh={gate.address}", f"--sshkey={gate.key}", env=gate.env)
    assert engine.wait(60) == 3
    assert "Connection refused" in engine.output


def test_an_engine_whose_ssh_ends_says_so_and_ends(new_cluster, gate):
    cluster = new_cluster(0)
    engine = cluster.start_engine(f"--ssh={gate.address}", f"--sshkey={gate.key}", env=gate.env)
    cluster.client(wait_for=1)
    gate.clients()[0].kill()
    assert engine.wait(60) == 6
    assert f"ssh to {gate.address} was ended by signal 9" in engine.output


# Clients


@pytest.mark.parametrize("named_by", ["caller", "file"])
def test_a_client_works_through_a_tunnel_that_ends_with_it(new_cluster, gate, start_client, named_by):
    cluster = new_cluster(1)
    cluster.client().close()
    if named_by == "caller":
        file, options = cluster.client_file, {"sshserver": gate.address}
    else:  # the file's server is used if the controller is on another machine: this is nobody's address
        file, options = edited(cluster.client_file, ssh=gate.address, location="192.0.2.77"), {}
    # The thread that connects ends before the client.
    client = start_client(
        """
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
made = []
thread = threading.Thread(target=lambda: made.append(connect()))
thread.start()
thread.join()
client = made[0]
client.wait_for_engines(1, timeout=60)
assert client[0].apply_sync(len, bytes(10_000_000)) == 10_000_000
assert client.load_balanced_view().apply_sync(abs, -1) == 1
assert client.broadcast_view().apply_sync(abs, -2) == [2]
print("ports:", *{c.raddr.port for c in psutil.Process().connections("tcp") if c.raddr}, flush=True)
signal.sigwait([signal.SIGUSR1])
client.close()
print("ssh processes:", sum(child.name() == "ssh" for child in psutil.Process().children()), flush=True)
""",
        file,
        sshkey=str(gate.key),
        **options,
    )
    client.wait_for_output("ports:\n", 60)
    assert len(connected(gate)) >= 6, "all connections lead to ssh"
    assert len(gate.clients()) == 1
    client.send_signal(signal.SIGUSR1)
    assert client.wait(60) == 0, client.output
    assert "ssh processes: 0" in client.output


def test_what_was_submitted_before_a_client_is_closed_still_passes(new_cluster, gate, start_client, sandbox):
    cluster = new_cluster(1)
    cluster.client().close()
    client = start_client(
        """
client = connect()
client.wait_for_engines(1, timeout=60)
client[0].push({"large": bytes(200_000)}, block=False)
client[0].execute("open('arrived', 'w').write(str(len(large)))", block=False)
client.close()
""",
        cluster.client_file,
        sshserver=gate.address,
        sshkey=str(gate.key),
    )
    assert client.wait(60) == 0, client.output
    arrived = sandbox.work / "arrived"
    wait_until(lambda: arrived.exists() and arrived.read_text() == "200000", 30, "the engine has run it")


def test_a_tunnel_does_not_outlive_a_client_that_is_killed(new_cluster, gate, start_client):
    client = start_client(
        "client = connect()\nprint('connected', flush=True)\ntime.sleep(600)",
        new_cluster(0).client_file,
        sshserver=gate.address,
        sshkey=str(gate.key),
    )
    client.wait_for_output("connected", 60)
    assert len(gate.clients()) == 1
    client.stop(signal.SIGKILL)
    wait_until(lambda: not gate.clients(), 60, "ssh ends with its client")


def test_a_client_whose_ssh_ends_says_so(new_cluster, gate, start_client):
    cluster = new_cluster(1)
    cluster.client().close()
    client = start_client(
        """
client = connect()
client.wait_for_engines(1, timeout=60)
result = client[0].apply_async(time.sleep, 600)
print("waiting", flush=True)
for wait in result.get, lambda: client.wait_for_engines(2):
    try:
        wait()
    except (ipcluster.RemoteError, ConnectionError) as error:
        print("error:", error)
print("closed:", client.closed)
""",
        cluster.client_file,
        sshserver=gate.address,
        sshkey=str(gate.key),
    )
    client.wait_for_output("waiting", 60)
    gate.clients()[0].kill()
    assert client.wait(60) == 0, client.output
    assert client.output.count(f"ssh to {gate.address} was ended by signal 9; the controller cannot be reached") == 2
    assert "closed: True" in client.output


def refused(start_client, file, **options):
    """The error with which connecting fails."""
    client = start_client("try: connect()\nexcept ConnectionError as error: print('error:', error)", file, **options)
    assert client.wait(60) == 0, client.output
    return client.output.partition("error:")[2]


def test_a_key_that_the_server_refuses_is_an_error_of_the_client(new_cluster, gate, start_client):
    said = refused(start_client, new_cluster(0).client_file, sshserver=gate.address, sshkey=str(gate.other_key))
    assert (
        f"ssh to {gate.address} ended with 255" in said and "Permission denied" in said and "without a password" in said
    )


def test_a_server_that_is_not_there_is_an_error_of_the_client(new_cluster, gate, start_client):
    gate.server.stop()
    said = refused(start_client, new_cluster(0).client_file, sshserver=gate.address, sshkey=str(gate.key))
    assert "Connection refused" in said


def test_a_controller_that_is_not_behind_the_tunnel_is_an_error_of_the_client(new_cluster, gate, start_client):
    cluster = new_cluster(0)
    cluster.controller.stop(signal.SIGKILL)  # which leaves the file
    said = refused(start_client, cluster.client_file, sshserver=gate.address, sshkey=str(gate.key))
    assert "cannot be reached through the tunnel" in said and "ssh says:" in said and "Connection refused" in said


def test_a_client_beside_its_controller_leaves_the_files_server_alone(new_cluster):
    cluster = new_cluster(1, controller=["--ssh=nobody@127.0.0.1:1"])
    assert cluster.client(wait_for=1)[0].apply_sync(abs, -1) == 1


@pytest.mark.parametrize("option", [{"password": "secret"}, {"paramiko": True}])
def test_what_is_no_affair_of_openssh_is_refused_with_advice(new_cluster, option):
    with pytest.raises(NotImplementedError, match="sshkey=.*agent"):
        new_cluster(0).client(sshserver="a.host", **option)


def test_the_c_library_works_through_a_tunnel(installed_sandbox, installed):
    gate = Gate(installed_sandbox)
    program, library = build_c_example(installed_sandbox, installed)
    installed_sandbox.start(installed.ipcontroller)
    installed_sandbox.start(installed.ipengine)
    file = installed_sandbox.profile_dir() / "security/ipcontroller-client.json"
    wait_until(file.exists, 20, "the controller writes its file")
    finished = installed_sandbox.run(program, file, gate.address, gate.key, check=True, env={**gate.env, **library})
    assert "squares: 0 1 4 9 16 25 36 49" in finished.out
    wait_until(lambda: not gate.clients(), 60, "ssh ends with its client")
    assert (
        "Permission denied"
        in installed_sandbox.run(program, file, gate.address, gate.other_key, env={**gate.env, **library}).err
    )
