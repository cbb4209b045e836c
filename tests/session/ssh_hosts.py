"""Hosts that the launcher ssh reaches: networks with a cable to this one, each with a home of its own and a real sshd. Only the superuser
can make them; other users have one host, on loopback."""

import json
import os
import pwd
import shlex
import uuid
from pathlib import Path

import docblocks
import psutil
from ssh_gate import Gate

from support import MARKER, TOP

HERE = "192.0.2.{}"  # TEST-NET-1 (RFC 5737): a pair for each cable
BOOT_ID = "/proc/sys/kernel/random/boot_id"
LIVE = (
    'echo "$0" > /proc/sys/kernel/hostname && mount --bind "$1" "$2" && mount --bind "$3" "$4"'
    " && ip link set lo up && echo ready && exec sleep infinity"
)

# The addresses that an engine is connected to.
PEERS = "{c.raddr.ip for c in __import__('psutil').Process().connections('tcp') if c.raddr}"


def own_boot_id(sandbox, name):
    """A file for the place of BOOT_ID: a host has a kernel of its own."""
    file = sandbox.dir / f"boot-{name}"
    file.write_text(f"{uuid.uuid4()}\n")
    return file


class Host:
    """A host on which `ssh NAME` logs in."""

    def __init__(self, sandbox, name, number, more=""):
        self.sandbox, self.name = sandbox, name
        self.home = sandbox.dir / f"home-{name}"
        self.temporary = sandbox.dir / f"tmp-{name}"
        for folder in self.home, self.temporary:
            folder.mkdir(mode=0o700)
        self.apart = os.geteuid() == 0
        words, address = (), "127.0.0.1"
        if self.apart:
            words, address = self._make_network(number), HERE.format(4 * number + 2)
        variables = {MARKER: sandbox.marker, "TMPDIR": self.temporary, "HOME": self.home, "PATH": sandbox.env["PATH"]}
        variables.update(
            {
                key: value
                for key, value in sandbox.env.items()
                if key in ("PYTHONPATH", "PYTHONUSERBASE") or key.endswith("SAN_OPTIONS")
            }
        )
        if self.apart:
            del variables["HOME"]
        given = " ".join(f'"{key}={value}"' for key, value in variables.items())
        self.gate = Gate(sandbox, address, words, name=f"sshd-{name}", more=f"SetEnv {given}\n{more}")
        self.address = address

    def _make_network(self, number):
        real_home = pwd.getpwuid(os.geteuid()).pw_dir
        boot = own_boot_id(self.sandbox, self.name)
        process = self.sandbox.start(
            "unshare", "--net", "--uts", "--mount", "sh", "-c", LIVE, self.name, self.home, real_home, boot, BOOT_ID
        )
        process.wait_for_output("ready")
        self.words = ("nsenter", "--net", "--uts", "--mount", "-t", str(process.pid), "--")
        cable = f"c{process.pid}"
        self.sandbox.run(
            "ip", "link", "add", cable, "type", "veth", "peer", "name", "cable", "netns", process.pid, check=True
        )
        self.sandbox.run("ip", "address", "add", HERE.format(4 * number + 1) + "/30", "dev", cable, check=True)
        self.sandbox.run("ip", "link", "set", cable, "up", check=True)
        self.sandbox.run(
            *self.words, "ip", "address", "add", HERE.format(4 * number + 2) + "/30", "dev", "cable", check=True
        )
        self.sandbox.run(*self.words, "ip", "link", "set", "cable", "up", check=True)
        self.cable = cable
        return self.words

    def engines(self):
        """The processes there that are engines."""
        return [process for process in self.processes() if "ipengine" in process.name()]

    def processes(self):
        """What sshd runs there."""
        found = []
        for process in psutil.Process(self.gate.server.pid).children(recursive=True) + self.sandbox.marked():
            try:
                if process.environ().get("TMPDIR") == str(self.temporary) and process not in found:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def folders(self):
        """What is left in its folder for temporary files; that of all controllers' local sockets stays there."""
        return [path for path in self.temporary.iterdir() if path.name != f"ipcluster-{os.geteuid()}"]


class Hosts:
    """The hosts of a test: one for each name that is asked for."""

    def __init__(self, box):
        self.box = box
        self.all = {}
        self.folder = box.dir / "ssh-client"
        self.folder.mkdir()
        self.config = self.folder / "config"

    def add(self, name, more="", known=True, key="key"):
        host = self.all[name] = Host(self.box, name, len(self.all) + 1, more)
        gate = host.gate
        known_hosts = gate.folder / "known_hosts" if known else "/dev/null"
        with open(self.config, "a") as config:
            config.write(
                f"""Host {name}
 HostName {host.address}
 Port {gate.port}
 User {gate.user}
 IdentityFile {gate.key if key == "key" else gate.other_key}
 IdentitiesOnly yes
 IdentityAgent none
 UserKnownHostsFile {known_hosts}
 GlobalKnownHostsFile /dev/null
"""
            )
        return host

    def launch(self, *more, engines, command="start"):
        """An ipcluster that starts engines: {host: n}."""
        hosts = f"--SSHEngineSetLauncher.engines={json.dumps(engines)}"
        return self.box.begin(command, "--engines=ssh", f"--SSHLauncher.ssh_args=-F {self.config}", hosts, *more)

    def launch_controller(self, name, *more):
        """An ipcluster whose controller is on a host; its engines are here, where not said otherwise."""
        return self.box.begin(
            "start",
            "--controller=ssh",
            f"--SSHLauncher.ssh_args=-F {self.config}",
            f"--SSHControllerLauncher.location={name}",
            *more,
        )

    def launch_proxy(self, name, *more, program=None):
        """An ipcluster whose engines the ipcluster of a host starts."""
        proxy = "--SSHProxyEngineSetLauncher"
        return self.box.begin(
            "start",
            "--engines=sshproxy",
            f"--SSHLauncher.ssh_args=-F {self.config}",
            f"{proxy}.location={name}",
            f"{proxy}.ipcluster_cmd={program or self.box.programs.ipcluster}",
            *more,
        )

    def start(self, *more, engines):
        cluster = self.launch(*more, engines=engines)
        cluster.wait_for_output("The cluster is up", 60)
        return cluster


def real_home(host):
    """The home folder's path on that host."""
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) if host.apart else host.home


def ssh_of(box, name):
    """The process of the connection to a host."""
    return next(process for process in box.marked() if process.name() == "ssh" and name in process.cmdline())


def guides_command(word, page="ssh"):
    """The command with this word, from a page of the guide."""
    blocks = [
        block
        for block in docblocks.blocks(TOP / f"docs/howto/{page}.md")
        if block.note("tested by") == "tests/session/test_ssh_launcher.py"
    ]
    (command,) = [typed for block in blocks for typed, _ in block.commands if word in typed]
    return shlex.split(command)
