"""Engines that reach their controller through an SSH server: a real one, on a port of loopback, with keys of the test's own.

It runs as whoever runs the tests, who logs in as himself."""

import json
import os
import pwd
import shutil
import signal

import psutil
import pytest

from support import PYTHON, wait_until

SSHD = "/usr/sbin/sshd"
FREE_PORT = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1])"
pytestmark = pytest.mark.skipif(not os.path.exists(SSHD) or not shutil.which("ssh"), reason="no OpenSSH server, or no client")


class Gate:
    """The server: `address` is what --ssh takes, `key` one that it lets in and `other_key` one that it does not."""

    def __init__(self, sandbox):
        self.sandbox = sandbox
        self.folder = sandbox.dir / "ssh"
        self.folder.mkdir()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.port = int(sandbox.run(PYTHON, "-c", FREE_PORT, check=True).out)
        self.address = f"{self.user}@127.0.0.1:{self.port}"
        host, self.key, self.other_key = (self._make_key(name) for name in ("host", "key", "other"))
        self._write("authorized_keys", self._public(self.key))
        self._write("known_hosts", f"[127.0.0.1]:{self.port} {self._public(host)}")
        self._write("sshd_config", f"""Port {self.port}
ListenAddress 127.0.0.1
HostKey {host}
AuthorizedKeysFile {self.folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
StrictModes no
UsePAM no
""")
        self._write("ssh_config", f"UserKnownHostsFile {self.folder}/known_hosts\nIdentitiesOnly yes\nIdentityAgent none\n")
        # ssh reads the user's own files wherever $HOME leads: with this it reads the test's.
        self._write("ssh", f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/ssh_config "$@"\n').chmod(0o755)
        self.env = {"PATH": f"{self.folder}:{sandbox.env['PATH']}"}
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # a system on which the service has never run has none
        self.server = sandbox.start(SSHD, "-D", "-e", "-f", self.folder / "sshd_config")
        self.server.wait_for_output("Server listening on 127.0.0.1")

    def _write(self, name, text):
        path = self.folder / name
        path.write_text(text)
        return path

    def _make_key(self, name):
        path = self.folder / name
        self.sandbox.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path, check=True)
        return path

    def _public(self, key):
        return key.with_suffix(".pub").read_text()

    def clients(self):
        """The ssh processes of engines."""
        return [process for process in self.sandbox.marked() if process.name() == "ssh"]


@pytest.fixture
def gate(sandbox):
    return Gate(sandbox)


@pytest.mark.parametrize("given_to", ["controller", "engine"])
def test_an_engine_works_through_a_tunnel(new_cluster, gate, given_to):
    cluster = new_cluster(0, controller=[f"--enginessh={gate.address}"] if given_to == "controller" else [])
    options = [f"--sshkey={gate.key}"] + ([f"--ssh={gate.address}"] if given_to == "engine" else [])
    engine = cluster.start_engine(*options, env=gate.env)
    view = cluster.client(wait_for=1)[0]
    assert view.apply_sync(os.getpid) == engine.pid
    assert view.apply_sync(len, bytes(10_000_000)) == 10_000_000
    # All of the engine's connections lead to its ssh: it has none to a port of the controller's.
    ports = json.loads(cluster.engine_file.read_text())
    connected = {c.raddr.port for c in psutil.Process(engine.pid).connections("tcp") if c.raddr}
    assert len(connected) >= 6 and not connected & set(value for value in ports.values() if isinstance(value, int))
    assert len(gate.clients()) == 1
    assert engine.stop() == 0
    wait_until(lambda: not gate.clients(), 20, "ssh ends with its engine")


def test_a_tunnel_does_not_outlive_an_engine_that_is_killed(new_cluster, gate):
    cluster = new_cluster(0)
    engine = cluster.start_engine(f"--ssh={gate.address}", f"--sshkey={gate.key}", env=gate.env)
    client = cluster.client(wait_for=1)
    engine.stop(signal.SIGKILL)
    wait_until(lambda: not gate.clients(), 20, "ssh ends with its engine")
    wait_until(lambda: not client.ids, 60, "the controller notices")


def test_a_key_that_the_server_refuses_is_an_error_of_the_engine(new_cluster, gate):
    engine = new_cluster(0).start_engine(f"--ssh={gate.address}", f"--sshkey={gate.other_key}", env=gate.env)
    assert engine.wait() == 3
    assert f"ssh to {gate.address} ended with 255" in engine.output and "Permission denied" in engine.output


def test_a_server_that_is_not_there_is_an_error_of_the_engine(new_cluster, gate):
    gate.server.stop()
    engine = new_cluster(0).start_engine(f"--ssh={gate.address}", f"--sshkey={gate.key}", env=gate.env)
    assert engine.wait() == 3
    assert "Connection refused" in engine.output
