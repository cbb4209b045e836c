"""Two hosts that share a home: a controller on one, engines and clients on either. They are two networks with a cable between, each with
a host's name of its own, which only the superuser can make."""

import json
import os
import re

import pytest
from ssh_gate import Gate, needs_openssh
from ssh_hosts import BOOT_ID, own_boot_id

from support import PYTHON, wait_until

A, B = "192.0.2.1", "192.0.2.2"  # TEST-NET-1 (RFC 5737)
SILENT_A, SILENT_B, UNROUTED_A = "198.51.100.1", "198.51.100.2", "203.0.113.1"
ANY_NAME = 'echo "$0" > /proc/sys/kernel/hostname && mount --bind "$1" "$2" && ip link set lo up && echo ready && exec sleep infinity'
APART = ("--net", "--uts", "--mount")
USE = """
import socket, sys, psutil, ipcluster
client = ipcluster.Client(sys.argv[1], timeout=60, sshkey=sys.argv[3] if sys.argv[3:] else None)
client.wait_for_engines(int(sys.argv[2]), timeout=60)
print("engines on", *sorted(client[:].apply_sync(socket.gethostname)))
print("connected to", *sorted({c.raddr.ip for c in psutil.Process().connections("tcp") if c.raddr} or ["no address"]))
"""


class Host:
    """One host: `words` before a command have it run there."""

    def __init__(self, sandbox, name):
        self.sandbox = sandbox
        boot = own_boot_id(sandbox, name)
        process = sandbox.start("unshare", *APART, "sh", "-c", ANY_NAME, name, boot, BOOT_ID)
        process.wait_for_output("ready")
        self.pid = process.pid
        self.words = ("nsenter", *APART, "-t", str(self.pid), "--")

    def start(self, *argv, **options):
        return self.sandbox.start(*self.words, *argv, **options)

    def run(self, *argv, **options):
        return self.sandbox.run(*self.words, *argv, **options)

    def start_controller(self, *options, local=False):
        """Returns its client file. Without local sockets also its own host's programs use its addresses."""
        self.sandbox.profile_dir().mkdir(mode=0o700, exist_ok=True)
        beside = () if local else ("--IPController.local_sockets=false",)
        self.controller = self.start(self.sandbox.programs.ipcontroller, *beside, *options)
        file = self.sandbox.profile_dir() / "security/ipcontroller-client.json"
        wait_until(lambda: file.exists() or not self.controller.alive, 30, "the controller writes its file")
        return file

    def start_engine(self, *options, env=None):
        return self.start(self.sandbox.programs.ipengine, *options, env=env)

    def use(self, file, engines, *key, env=None):
        """What a client prints of where the engines are, and of the addresses that it is connected to."""
        return self.run(
            PYTHON, "-c", USE, file, engines, *key, python=True, env=env, timeout=120, check=True
        ).out.splitlines()

    def refusal(self, file, timeout=60):
        """What connecting fails with."""
        finished = self.run(
            PYTHON, "-c", USE.replace("timeout=60", f"timeout={timeout}"), file, 0, python=True, timeout=120
        )
        assert finished.status == 1 and "ConnectionError" in finished.err, finished
        return finished.err


@pytest.fixture
def hosts(sandbox):
    if os.geteuid() != 0 or sandbox.run("unshare", *APART, "true").status:
        pytest.skip("only the superuser makes networks")
    a, b = Host(sandbox, "host-a"), Host(sandbox, "host-b")
    a.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable", "netns", b.pid, check=True)
    for host, address in (a, A), (b, B):
        host.run("ip", "address", "add", f"{address}/24", "dev", "cable", check=True)
        host.run("ip", "link", "set", "cable", "up", check=True)
    return a, b


@pytest.fixture
def hosts_apart(hosts):
    """The first host has three addresses. One answers the second host, one does not, and to the third there is no route."""
    a, b = hosts
    for host, address in (a, SILENT_A), (a, UNROUTED_A), (b, SILENT_B):
        host.run("ip", "address", "add", f"{address}/24", "dev", "cable", check=True)
    a.run("ip", "route", "add", "blackhole", SILENT_B, check=True)
    return hosts


@pytest.mark.parametrize(
    "options, from_a",
    [
        (["--ip=0.0.0.0", f"--location={A}"], "127.0.0.1"),
        (["--ip=*", f"--location={A}"], "127.0.0.1"),
        ([f"--ip={A}"], A),
    ],
    ids=["all", "star", "one"],
)
def test_engines_and_clients_of_either_host_reach_a_controller_that_listens_there(hosts, options, from_a):
    a, b = hosts
    file = a.start_controller(*options)
    a.start_engine()
    b.start_engine()
    assert b.use(file, 2) == ["engines on host-a host-b", f"connected to {A}"]
    assert a.use(file, 2) == ["engines on host-a host-b", f"connected to {from_a}"]


def test_only_programs_of_the_controllers_host_use_its_local_sockets(hosts):
    a, b = hosts
    file = a.start_controller("--ip=0.0.0.0", f"--location={A}", local=True)
    a.start_engine()
    b.start_engine()
    assert b.use(file, 2) == ["engines on host-a host-b", f"connected to {A}"]
    assert a.use(file, 2) == ["engines on host-a host-b", "connected to no address"]


def test_loopback_of_another_host_is_refused_with_what_to_do(hosts):
    a, b = hosts
    file = a.start_controller()
    engine = b.start_engine()
    assert engine.wait(60) == 5
    for said in engine.output, b.refusal(file):
        assert "listens only on loopback of host-a, which is another host" in said
        assert "--ip=ADDRESS" in said and "--ssh=host-a" in said


def test_a_location_that_another_host_does_not_know_is_refused_with_what_to_do(hosts):
    a, b = hosts
    file = a.start_controller("--ip=0.0.0.0", "--location=host-a")  # which nobody resolves
    engine = b.start_engine("--timeout=3")
    assert engine.wait(60) == 5
    for said in engine.output, b.refusal(file):
        assert "it is on host-a, but this host does not know that name" in said and "--location=ADDRESS" in said
    a.start_engine()
    assert a.use(file, 1) == ["engines on host-a", "connected to 127.0.0.1"]


def test_an_address_that_is_out_of_reach_is_an_error(hosts):
    a, b = hosts
    file = a.start_controller(f"--ip={A}")
    b.run("ip", "link", "set", "cable", "down", check=True)
    engine = b.start_engine("--timeout=3")
    assert engine.wait(60) == 5
    for said in engine.output, b.refusal(file):
        assert "cannot be reached from host-b" in said and f"{A} (Network is unreachable)" in said


def test_the_files_name_every_address_and_the_one_that_answers_is_taken(hosts_apart):
    a, b = hosts_apart
    file = a.start_controller("--ip=0.0.0.0")
    for role in "client", "engine":
        assert set(json.loads(file.with_name(f"ipcontroller-{role}.json").read_text())["addresses"]) == {
            A,
            SILENT_A,
            UNROUTED_A,
        }
    engine = b.start_engine()
    assert b.use(file, 1) == ["engines on host-b", f"connected to {A}"]
    assert f"of the possible addresses of the controller on host-a, {A} answers first" in engine.output
    status = b.run(b.sandbox.programs.ipcluster, "status", "--json", check=False)
    assert [engine["host"] for engine in json.loads(status.out)["engines"]] == ["host-b"], status


def test_an_address_that_both_hosts_have_does_not_lead_to_another_listener_here(hosts):
    a, b = hosts
    both = "203.0.113.1"  # as bridges for containers have
    a.run("ip", "address", "flush", "dev", "cable", check=True)
    for host, address in (a, f"{both}/32"), (a, f"{A}/24"), (b, f"{both}/32"):
        host.run("ip", "address", "add", address, "dev", "cable", check=True)
    b.start(
        PYTHON,
        "-c",
        f"import socket; s = socket.create_server(('{both}', 10101)); print('ready', flush=True); [s.accept()[0].recv(1 << 20) for _ in iter(int, 1)]",
    ).wait_for_output("ready")
    file = a.start_controller("--ip=0.0.0.0", "--port=10101")
    addresses = json.loads(file.with_name("ipcontroller-engine.json").read_text())["addresses"]
    assert addresses == [both, A], "it would be the first"
    b.start_engine().wait_for_output(f"{A} answers first(.*\n)*.*registered as engine 0", 60)
    a.run("ip", "route", "add", "blackhole", B, check=True)
    alone = b.start_engine("--timeout=4")
    assert alone.wait(60) == 5
    assert (
        f"{both} (another program listens there, or the controller is full)" in alone.output
        and f"{A} (no answer within" in alone.output
    )


def test_where_no_address_answers_both_ends_and_what_each_said_and_what_helps_are_told(hosts_apart):
    a, b = hosts_apart
    file = a.start_controller("--ip=0.0.0.0")
    a.run("ip", "route", "add", "blackhole", B, check=True)
    engine = b.start_engine("--timeout=3")
    refusal = b.refusal(file, timeout=3)
    assert engine.wait(60) == 5
    for said in engine.output, refusal:
        assert "cannot be reached from host-b: port " in said and "(on host-a)" in said
        assert "host-a (not known here: " in said and f"{UNROUTED_A} (Network is unreachable)" in said
        assert re.search(rf"{A} \(no answer within [23]\.\d s\)", said) and re.search(
            rf"{SILENT_A} \(no answer within", said
        )
        assert "a firewall" in said and "--location=ADDRESS" in said and "--ip=ADDRESS" in said
    assert "--enginessh=HOST" in engine.output and "--ssh=HOST" in refusal


def test_where_nothing_listens_at_any_address_no_firewall_is_blamed(hosts):
    a, b = hosts
    file = a.start_controller("--ip=0.0.0.0", "--reuse")
    a.controller.stop()
    engine = b.start_engine("--timeout=3")
    refusal = b.refusal(file)
    assert engine.wait(60) == 5
    for said in engine.output, refusal:
        assert "nothing listens at port " in said and f"{A} (refused)" in said and "firewall" not in said
    assert "start ipcontroller" in engine.output and "ipcluster start" in refusal


@needs_openssh
def test_loopback_of_another_host_is_reached_through_the_ssh_server_that_the_files_name(hosts, sandbox):
    a, b = hosts
    gate = Gate(sandbox, A, a.words)
    file = a.start_controller(f"--ssh={gate.address}", f"--enginessh={gate.address}")
    b.start_engine(f"--sshkey={gate.key}", env=gate.env)
    # A tunnel begins at local sockets.
    assert b.use(file, 1, gate.key, env=gate.env) == ["engines on host-b", "connected to no address"]
    # A client beside the controller needs none: here ssh would find neither key nor the server's own.
    assert a.use(file, 1) == ["engines on host-b", "connected to 127.0.0.1"]
