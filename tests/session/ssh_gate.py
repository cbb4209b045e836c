"""An SSH server for tests: a real one, with keys of its own. It runs as the user who runs the tests, and logins are as the same user."""

import os
import pwd
import shutil
import signal

import pytest

from support import free_ports, named

SSHD = "/usr/sbin/sshd"
needs_openssh = pytest.mark.skipif(
    not os.path.exists(SSHD) or not shutil.which("ssh"), reason="no OpenSSH server, or no client"
)


class Gate:
    """The server: `address` is what --ssh takes, `key` one that it lets in and `other_key` one that it does not."""

    def __init__(self, sandbox, host="127.0.0.1", words=(), name="ssh", more=""):
        """Listens on `host`, started with `words` before its command; `more` is for its configuration."""
        self.sandbox = sandbox
        self.folder = sandbox.dir / name
        self.folder.mkdir()
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.port = free_ports(1)[0]
        self.address = f"{self.user}@{host}:{self.port}"
        own_key, self.key, self.other_key = (self._make_key(name) for name in ("host", "key", "other"))
        self._write("authorized_keys", self._public(self.key))
        self._write("known_hosts", f"[{host}]:{self.port} {self._public(own_key)}")
        self._write(
            "sshd_config",
            f"""Port {self.port}
ListenAddress {host}
HostKey {own_key}
AuthorizedKeysFile {self.folder}/authorized_keys
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
StrictModes no
UsePAM no
{more}""",
        )
        self._write(
            "ssh_config", f"UserKnownHostsFile {self.folder}/known_hosts\nIdentitiesOnly yes\nIdentityAgent none\n"
        )
        # ssh reads the user's own files wherever $HOME leads: with this it reads the test's.
        self._write("ssh", f'#!/bin/sh\nexec {shutil.which("ssh")} -F {self.folder}/ssh_config "$@"\n').chmod(0o755)
        self.env = {"PATH": f"{self.folder}:{sandbox.env['PATH']}"}
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)  # a system on which the service has never run has none
        self.command, self.host = (*words, SSHD, "-D", "-e", "-f", self.folder / "sshd_config"), host
        self.open()

    def open(self):
        self.server = self.sandbox.start(*self.command)
        self.server.wait_for_output(f"Server listening on {self.host}")

    def close(self):
        """Lets nobody in any more; whoever is in stays."""
        self.server.stop(signal.SIGKILL)

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
        """The ssh processes of engines and clients."""
        return named(self.sandbox, "ssh")
