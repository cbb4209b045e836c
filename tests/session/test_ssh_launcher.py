"""Engines on other hosts, which the launcher ssh starts. The hosts are networks with a cable to this one, each with a home of its own and a
real sshd, which only the superuser can make; for others there is one, on loopback."""

import json
import os
import pwd
import re
import shlex
import signal
import stat
from pathlib import Path

import docblocks
import psutil
import pytest
from ssh_gate import Gate, needs_openssh

from ipcluster import EngineError
from support import MARKER, TOP, wait_until

pytestmark = needs_openssh

HERE = "192.0.2.{}"  # TEST-NET-1 (RFC 5737): a pair for each cable
LIVE = 'echo "$0" > /proc/sys/kernel/hostname && mount --bind "$1" "$2" && ip link set lo up && echo ready && exec sleep infinity'


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
        process = self.sandbox.start(
            "unshare", "--net", "--uts", "--mount", "sh", "-c", LIVE, self.name, self.home, real_home
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
        return list(self.temporary.iterdir())


class Hosts:
    """Those of a test: one for each name that is asked for."""

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


@pytest.fixture
def hosts(box):
    if os.geteuid() == 0 and box.run("unshare", "--net", "--uts", "--mount", "true").status:
        pytest.skip("this superuser cannot make networks")
    return Hosts(box)


@pytest.fixture
def connect(box, ipcluster):
    clients = []

    def make(n):
        client = ipcluster.Client(timeout=60)
        clients.append(client)
        client.wait_for_engines(n, timeout=60)
        return client

    yield make
    for client in clients:
        client.close()


def test_engines_start_on_two_hosts_work_and_leave_nothing_there(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    cluster = hosts.start(engines={"one": 2, "two": 1})
    assert [len(host.engines()) for host in (one, two)] == [2, 1]
    view = connect(3)[:]
    assert sorted(view.apply_sync(os.getpid)) == sorted(
        process.pid for host in (one, two) for process in host.engines()
    )
    assert view.apply_sync(len, bytes(1_000_000)) == [1_000_000] * 3
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    for host in one, two:
        wait_until(lambda: not host.processes(), 20, "nothing is left there")
        assert not host.folders()


def guides_command(word, page="ssh"):
    """The one of a page of the guide that has this word."""
    blocks = [
        block
        for block in docblocks.blocks(TOP / f"docs/howto/{page}.md")
        if block.note("tested by") == "tests/session/test_ssh_launcher.py"
    ]
    (command,) = [typed for block in blocks for typed, _ in block.commands if word in typed]
    return shlex.split(command)


def test_the_guides_command_starts_what_it_says(box, hosts):
    one, two = hosts.add("a.host"), hosts.add("b.host")
    words = [word.replace("me@b.host:2222", "b.host") for word in guides_command("me@b.host")]
    assert words[0] == "ipcluster"
    cluster = box.begin(*words[1:], f"--SSHLauncher.ssh_args=-F {hosts.config}")
    cluster.wait_for_output("The cluster is up", 60)
    assert [len(host.engines()) for host in (one, two)] == [4, 8]
    ((_, shown),) = (
        command
        for block in docblocks.blocks(TOP / "docs/howto/ssh.md")
        if block.kind == "sh"
        for command in block.commands
        if "me@b.host" in command[0]
    )
    assert docblocks.is_shown(shown, cluster.output)


def test_an_engine_that_dies_there_is_told_with_its_host_process_and_signal(hosts, connect):
    one = hosts.add("one")
    cluster = hosts.start(engines={"one": 2})
    client = connect(2)
    pid = client[0].apply_sync(os.getpid)
    os.kill(pid, signal.SIGKILL)
    cluster.wait_for_output(rf"ended with status 137: process {pid} on one: signal 9 \(Killed\) ended it", 60)
    wait_until(lambda: len(client.ids) == 1, 60, "the controller notices")
    assert [process.pid for process in one.engines()] != [pid]
    assert client[client.ids[0]].apply_sync(abs, -1) == 1


@pytest.fixture
def small_group():
    """The folder of a control group that may have 700 MB of memory."""
    group = Path("/sys/fs/cgroup/memory") / f"ipcluster-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / "memory.limit_in_bytes").write_text("700000000")
    except OSError as error:
        pytest.skip(f"no control group for memory can be made: {error}")
    yield group
    wait_until(lambda: not (group / "cgroup.procs").read_text(), 20, "nothing is left in the group")
    group.rmdir()


def test_an_engine_that_its_host_kills_for_memory_is_told_so(small_group, hosts, connect):
    hosts.add("one")
    hosts.start(engines={"one": {"n": 1, "prologue": f"echo $$ > {small_group}/cgroup.procs"}})
    with pytest.raises(
        EngineError,
        match=r"killed by signal 9 \(Killed\); since it began the kernel has killed 1 process of its control group for memory",
    ):
        connect(1)[0].execute("len(b'x' * 2**30)", block=True)


def test_why_an_engine_there_ended_is_told_to_clients(hosts, connect):
    hosts.add("one")
    cluster = hosts.start(engines={"one": {"n": 3, "engine_args": ["--IPEngine.enable_nanny=false"]}})
    client = connect(3)
    pids = client[:].apply_async(os.getpid).get_dict()
    view = client[1]
    view.execute("import os; os._exit(3)", block=False)
    os.kill(pids[2], signal.SIGKILL)
    ends = {
        1: f"died, or cannot be reached; process {pids[1]} on one: it exited with status 3",
        2: f"died, or cannot be reached; process {pids[2]} on one: signal 9 (Killed) ended it",
    }
    wait_until(
        lambda: {gone["id"]: gone["reason"].partition(") ")[2] for gone in client.departed} == ends,
        60,
        "the hub knows the reasons",
    )
    wait_until(lambda: client.ids == [0], 20, "the client knows that they have gone")
    with pytest.raises(EngineError, match="engine 1 is gone .*it exited with status 3"):
        view.apply_sync(abs, -1)
    ssh_of(hosts.box, "one").kill()
    cluster.wait_for_output("the connection ended", 60)
    wait_until(
        lambda: "the connection ended (ssh was ended by signal 9)" in client.departed[-1]["reason"],
        60,
        "the hub knows the third, too",
    )


def test_what_an_engine_there_wrote_last_is_in_the_error_of_what_it_ran(hosts, connect):
    hosts.add("one")
    hosts.start(engines={"one": 1})
    with pytest.raises(EngineError, match=r"died: exited with status 3; its last words: before"):
        connect(1)[0].execute("import os; os.write(2, b'before\\n'); os._exit(3)", block=True)


def test_what_an_engine_prints_comes_here_and_stays_there(box, hosts, connect):
    one = hosts.add("one")
    cluster = hosts.start(engines={"one": 2})
    client = connect(2)
    pid = client[0].apply_sync(os.getpid)
    client[0].execute("import os; os.write(2, b'before\\n'); os._exit(3)", block=False)
    cluster.wait_for_output(
        f"ended with status 3: process {pid} on one: it exited with status 3\\nThe end of .*\\n(.*\\n)*    [01]: .*registered as engine 0",
        60,
    )
    profile = ".ipython/profile_default/log"
    assert "registered as engine 0" in next((one.home / profile).glob(f"*-{pid}.log")).read_text()
    assert next((box.home / profile).glob("ipengine-*-0.log")).exists()


def test_signals_reach_engines_there(box, hosts, connect):
    hosts.add("one")
    cluster = hosts.start(engines={"one": 1})
    view = connect(1)[0]
    view.execute(
        "import signal; got = []; signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))", block=True
    )
    cluster.send_signal(signal.SIGUSR1)
    wait_until(lambda: view["got"] == [signal.SIGUSR1], 20, "the signal has come")


def test_ipcluster_stop_ends_engines_on_hosts_after_the_supervisor_was_killed(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    cluster = hosts.start(engines={"one": 1, "two": 1})
    connect(2)
    cluster.stop(signal.SIGKILL)
    assert len(one.engines()) == len(two.engines()) == 1, "they work on without it"
    stopped = box.ipcluster("stop")
    assert stopped.status == 0, stopped
    for host in one, two:
        assert not host.engines()
        wait_until(lambda: not host.processes() and not host.folders(), 20, "nothing is left there")


def real_home(host):
    """As it is called there."""
    return Path(pwd.getpwuid(os.geteuid()).pw_dir) if host.apart else host.home


def ssh_of(box, name):
    """The process of the connection to a host."""
    return next(process for process in box.marked() if process.name() == "ssh" and name in process.cmdline())


def test_engines_end_with_their_connection_and_that_is_told(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    cluster = hosts.start(engines={"one": 1, "two": 1})
    client = connect(2)
    pid = one.engines()[0].pid
    ssh_of(box, "one").kill()
    cluster.wait_for_output(
        rf"process {pid} on one: the connection ended \(ssh was ended by signal 9\), and nothing of it runs there any more",
        60,
    )
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")
    wait_until(lambda: len(client.ids) == 1, 60, "the controller notices")
    assert len(two.engines()) == 1


def test_stop_reaches_a_host_again_whose_connection_went_with_the_supervisor(box, hosts, connect):
    one = hosts.add("one")
    cluster = hosts.start(engines={"one": 1})
    connect(1)
    agent = next(
        process for process in one.processes() if process.name() == "sh" and process.parent().name().startswith("sshd")
    )
    shells = [process for process in one.processes() if process.name() == "sh"]
    for process in shells:
        process.suspend()  # so that the agent does not end the engine itself
    cluster.stop(signal.SIGKILL)
    ssh_of(box, "one").kill()
    for process in shells:
        process.kill()
    assert agent and one.engines()
    stopped = box.ipcluster("stop")
    assert stopped.status == 0, stopped
    assert not one.engines()


def test_engines_of_a_host_that_cannot_be_reached_are_told_from_dead_ones_and_ended_when_it_can_be(box, hosts, connect):
    one = hosts.add("one")
    if not one.apart:
        pytest.skip("loopback is always reached")
    fast = {"n": 1, "ssh_args": ["-oServerAliveInterval=1", "-oServerAliveCountMax=1", "-oConnectTimeout=1"]}
    cluster = hosts.start(engines={"one": fast})
    connect(1)
    box.run("ip", "link", "set", one.cable, "down", check=True)
    cluster.wait_for_output("one cannot be reached any more .*: it is not known whether its 1 engine runs", 60)
    assert "ended with" not in cluster.output and len(one.engines()) == 1
    box.run("ip", "link", "set", one.cable, "up", check=True)
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    assert not one.engines()


def test_an_engine_that_died_comes_back_on_its_host_and_a_larger_set_takes_the_places_that_are_left(
    box, hosts, connect
):
    one, two = hosts.add("one"), hosts.add("two")
    cluster = hosts.start("--n=3", "--restart=4", engines={"one": 1, "two": 3})
    client = connect(3)

    def await_return(ids, times):
        wait_until(lambda: cluster.output.count("again with SSHEngineSetLauncher") == times, 60, "it is started again")
        wait_until(
            lambda: client.ids == ids and len(client[:].apply_sync(os.getpid)) == len(ids),
            60,
            "it is back, under its id",
        )

    two.engines()[0].kill()
    await_return([0, 1, 2], 1)
    assert (len(one.engines()), len(two.engines())) == (1, 2)
    assert box.ipcluster("scale", "--n=4").status == 0
    wait_until(lambda: client.ids == [0, 1, 2, 3], 60, "there is one more")
    assert (len(one.engines()), len(two.engines())) == (1, 3)
    full = box.ipcluster("scale", "--n=5")
    assert full.status != 0 and "all places of the hosts are taken" in full.err
    one.engines()[0].kill()
    await_return([0, 1, 2, 3], 2)
    assert box.ipcluster("restart", "3").status == 0
    await_return([0, 1, 2, 3], 3)
    assert (len(one.engines()), len(two.engines())) == (1, 3)
    numbers = {word for engine in one.engines() + two.engines() for word in engine.cmdline() if "engine_copy" in word}
    assert len(numbers) == 4, "why one ends is told of it by this number"
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    assert not one.processes() and not two.processes() and not one.folders() and not two.folders()


def test_an_engine_whose_host_cannot_be_reached_is_tried_again_until_it_can_be(hosts, connect):
    hosts.add("one")
    two = hosts.add("two")
    cluster = hosts.start("--restart=6", engines={"one": 1, "two": {"n": 1, "ssh_args": ["-oConnectTimeout=1"]}})
    client = connect(2)
    (engine,) = two.engines()
    two.gate.close()
    engine.kill()
    cluster.wait_for_output("An engine ended with status 255: two: ssh says: .*[Cc]onnection refused", 60)
    two.gate.open()
    wait_until(lambda: client.ids == [0, 1] and two.engines(), 90, "it is back")
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output


@pytest.mark.parametrize("killed", [False, True], ids=["interrupted", "killed"])
def test_stop_leaves_nothing_of_a_start_that_hangs_there(box, hosts, killed):
    one = hosts.add("one")
    cluster = hosts.launch(engines={"one": {"n": 1, "prologue": "sleep 600"}})
    wait_until(lambda: [process for process in one.processes() if process.name() == "sleep"], 30, "the prologue runs")
    if killed:
        cluster.stop(signal.SIGKILL)
        assert box.ipcluster("stop").status == 0
    else:
        assert cluster.stop(signal.SIGINT, 60) == 130, cluster.output
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")


def test_a_host_that_takes_no_part_is_told_in_a_sentence_and_the_others_go_on(box, hosts, connect):
    good, stranger, locked, empty = (
        hosts.add("good"),
        hosts.add("stranger", known=False),
        hosts.add("locked", key="other"),
        hosts.add("empty"),
    )
    down = hosts.add("down")
    down.gate.server.stop()
    cluster = hosts.start(
        "--log-level=INFO",
        engines={
            "good": 1,
            "stranger": 1,
            "locked": 2,
            "down": 1,
            "nowhere.invalid": 1,
            "empty": {"n": 1, "engine_cmd": ["/nowhere/python", "-m", "ipyparallel.engine"]},
        },
    )
    assert connect(1).ids == [0]
    for sentence in (
        "stranger: ssh says: .*Host key verification failed.*; 1 engine fewer",
        r"locked: ssh says: .*Permission denied \(publickey\).*without a password.*; 2 engines fewer",
        "down: ssh says: .*Connection refused; 1 engine fewer",
        "nowhere.invalid: ssh says: .*Could not resolve hostname.*; 1 engine fewer",
        "empty: there is no program /nowhere/python there; 1 engine fewer",
    ):
        assert len(re.findall(sentence, cluster.output)) == 1, (sentence, cluster.output)
    assert "1 of 1 engine has registered" in cluster.output
    for shown, host in zip(docblocks.troubles(TOP / "docs/howto/ssh.md"), ("stranger", "locked")):
        assert docblocks.is_shown(shown.replace("a.host", host), cluster.output)
    assert cluster.stop(signal.SIGINT, 60) == 0
    for host in good, stranger, locked, empty:
        wait_until(lambda: not host.processes() and not host.folders(), 20, "nothing is left there")


def test_the_start_fails_where_no_host_takes_part(hosts):
    one = hosts.add("one")
    one.home.chmod(0o500)
    cluster = hosts.launch(engines={"one": {"n": 2, "remote_profile_dir": "/proc/nowhere"}})
    assert cluster.wait(60) != 0
    assert re.search(
        "one: the profile folder /proc/nowhere cannot be used there: .*mkdir.*remote_profile_dir.*; 2 engines fewer",
        cluster.output,
    )
    assert "No engine can be started" in cluster.output


def test_no_ipengine_on_a_host_is_told_with_what_to_do(box, hosts):
    one = hosts.add("one")
    cluster = hosts.launch(
        "--SSHEngineSetLauncher.engine_cmd=/nowhere/ipengine",
        engines={"one": {"n": 1, "prologue": "PATH=/usr/bin:/bin"}},
    )
    assert cluster.wait(60) != 0
    assert re.search(
        "one: there is no ipengine of ipcluster there, neither as /nowhere/ipengine nor on the PATH: install it",
        cluster.output,
    )
    assert docblocks.is_shown(docblocks.troubles(TOP / "docs/howto/ssh.md")[2].replace("a.host", "one"), cluster.output)
    assert one


def test_keys_are_in_no_command_line_or_environment_and_in_files_of_their_owner_alone(box, hosts, connect):
    one = hosts.add("one")
    hosts.start(engines={"one": 1})
    connect(1)
    file = json.loads((box.profile_dir() / "security/ipcontroller-engine.json").read_text())
    secrets = [file["key"].encode(), file["curve_serverkey"].encode()]
    processes = {*box.marked(), *one.processes()}
    assert len(processes) > 5
    for process in processes:
        for name in "cmdline", "environ":
            with open(f"/proc/{process.pid}/{name}", "rb") as stream:
                text = stream.read()
            assert not [secret for secret in secrets if secret in text], (process, name)
    (folder,) = one.folders()
    there = json.loads((folder / "engine.json").read_text())
    assert there["key"] == file["key"] and there["curve_serverkey"] == file["curve_serverkey"]
    assert there["interface"] == f"ipc://{folder}/s"
    assert (
        stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE((folder / "engine.json").stat().st_mode) == 0o600
    )


# The addresses that an engine is connected to.
PEERS = "{c.raddr.ip for c in __import__('psutil').Process().connections('tcp') if c.raddr}"


def test_the_controller_stays_on_loopback_and_engines_reach_it_through_the_connection_that_started_them(
    box, hosts, connect
):
    hosts.add("one")
    hosts.start(engines={"one": 2})
    view = connect(2)[:]
    assert (
        json.loads((box.profile_dir() / "security/ipcontroller-client.json").read_text())["interface"]
        == "tcp://127.0.0.1"
    )
    assert view.apply_sync(eval, PEERS) == [set()] * 2, "engines there are connected to sockets alone"
    assert len([process for process in box.marked() if process.name() == "ssh"]) == 1, "one connection a host"


def test_where_sshd_forwards_no_sockets_its_loopback_stands_in(box, hosts, connect):
    one = hosts.add("one", more="AllowStreamLocalForwarding no\n")
    hosts.start(engines={"one": 2})
    view = connect(2)[:]
    assert view.apply_sync(len, bytes(1_000_000)) == [1_000_000] * 2
    (folder,) = one.folders()
    assert json.loads((folder / "engine.json").read_text())["interface"] == "tcp://127.0.0.1"


def test_a_controller_that_listens_for_others_is_reached_by_its_address(box, hosts, connect):
    one = hosts.add("one")
    if not one.apart:
        pytest.skip("there is one network")
    hosts.start("--ip=0.0.0.0", f"--location={HERE.format(5)}", engines={"one": 1})
    assert connect(1)[0].apply_sync(eval, PEERS) == {HERE.format(5)}


def test_a_host_file_and_settings_of_one_host(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    (two.home / "here").mkdir()
    file = box.work / "hosts"
    file.write_text("# ours\none slots=2 # big\n\n")
    own = {
        "n": 1,
        "environment": {"A_WORD": 'it\'s "quoted"\nand $more'},
        "work_dir": "here",
        "prologue": "export FROM=prologue; cd /",
    }
    hosts.start(f"--SSHEngineSetLauncher.hosts_file={file}", engines={"two": own})
    view = connect(3)[:]
    seen = view.apply_sync(
        eval, "[__import__('os').environ.get(name) for name in ('A_WORD', 'FROM')] + [__import__('os').getcwd()]"
    )
    assert sorted(seen, key=str) == [
        ['it\'s "quoted"\nand $more', "prologue", str(real_home(two) / "here")],
        *[[None, None, str(real_home(one))]] * 2,
    ]
    assert sorted(len(host.engines()) for host in (one, two)) == [1, 2]


def test_fewer_engines_than_hosts_take_and_more(hosts, connect):
    one = hosts.add("one")
    cluster = hosts.start("-n", "1", engines={"one": 3})
    connect(1)
    assert len(one.engines()) == 1
    assert cluster.stop(signal.SIGINT, 60) == 0
    more = hosts.start("-n", "5", engines={"one": 2})
    assert "5 engines were asked for, and the hosts take 2" in more.output
    connect(2)


def test_hosts_that_are_none_are_refused_before_anything_is_started(hosts, box):
    for words, sentence in (
        ([], "there is no host to start engines on"),
        (["--SSHEngineSetLauncher.engines=one=many"], "the engines of a host are a number"),
        (
            ['--SSHEngineSetLauncher.engines={"one": {"n": 1, "engine_arg": []}}'],
            "the host one has no setting 'engine_arg' of its own",
        ),
        (
            ['--SSHEngineSetLauncher.engines={"one": {"engine_args": 5}}'],
            "engine_args of the host one is to be a list of texts",
        ),
        (['--SSHEngineSetLauncher.engines={"-oProxyCommand": 1}'], "is no host"),
    ):
        finished = box.ipcluster("start", "--engines=ssh", *words)
        assert finished.status != 0 and sentence in finished.err, finished


def test_a_dry_run_shows_commands_and_what_would_run_on_each_host_and_leaves_nothing_behind(box):
    box.ipcluster("profile", "create", "default", check=True)
    (box.work / "script.py").write_text("")
    before = sorted(box.dir.rglob("*"))
    engines = {
        "a.host": 4,
        "me@b.host:2222": {
            "n": 8,
            "prologue": "module load python",
            "work_dir": "the data",
            "environment": {"WORD": "it's"},
        },
    }
    shown = box.ipcluster(
        "start",
        "--dry-run",
        "--engines=ssh",
        f"--SSHEngineSetLauncher.engines={json.dumps(engines)}",
        "--SSHLauncher.ssh_args=-4",
        f"--SSHLauncher.to_send={box.work}/script.py=there.py",
        check=True,
    ).out
    controller, one, two = re.split("^# (?:a.host|me@b.host:2222):$", shown, flags=re.MULTILINE)
    assert "ipcontroller --profile-dir=" in controller
    assert re.search(r"^ssh .* -4 .* -- a.host 'exec /bin/sh", one, re.MULTILINE) and "run there, 4 times" in one
    assert (
        re.search(r"^ssh .* -p 2222 .* -- me@b.host 'exec /bin/sh", two, re.MULTILINE) and "run there, 8 times" in two
    )
    for line in (
        r"export 'WORD=it'\\''s'",
        "module load python",
        "cd 'the data'",
        f"# with the file {box.work}/script.py=there.py",
        "program=.*/ipengine",
        r'"\$program" "--profile-dir=\$profile" "--file=\$run/engine.json" .*',
    ):
        assert re.search(f"^{line}$", two, re.MULTILINE), (line, two)
    proxy = box.ipcluster(
        "start",
        "--dry-run",
        "--engines=sshproxy",
        "--SSHProxyEngineSetLauncher.location=c.host",
        "--controller=SSHControllerLauncher",
        "--SSHControllerLauncher.location=d.host",
        "--n=3",
        check=True,
    ).out
    assert '\n"$program" engines "--profile-dir=$profile" --cluster-id="$cluster" --n=3\n' in proxy
    assert re.search(r"-- d.host '(.*\n)*program=.*ipcontroller\n\"\$program\" \"--profile-dir=\$profile\"\n", proxy)
    assert sorted(box.dir.rglob("*")) == before


def test_files_are_sent_to_each_host_before_engines_start(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    script, large = box.work / "script.py", box.work / "large"
    script.write_text("answer = 42\n")
    large.write_bytes(os.urandom(300_000))
    hosts.start(
        f"--SSHLauncher.to_send={json.dumps([[str(script), 'sent to/script.py'], [str(large), 'large']])}",
        '--SSHEngineSetLauncher.engine_args=["-s", "sent to/script.py"]',
        engines={"one": 1, "two": 1},
    )
    assert connect(2)[:]["answer"] == [42, 42]
    for host in one, two:
        assert (host.home / "large").read_bytes() == large.read_bytes()


# A file that is whole as soon as it is there.
LATER = "import os; os.chdir(os.path.expanduser('~')); open('new', 'w').write('it is there'); os.rename('new', 'later')"


def test_files_are_fetched_from_each_host_once_engines_have_started(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    made = os.urandom(300_000)
    for host in one, two:
        (host.home / "a file").write_bytes(host.name.encode() + made)
    fetch = [
        ["a file", str(box.work / "fetched")],
        ["later", str(box.work / "later")],
        ["nowhere", "/nowhere/there"],
        ["never", str(box.work / "never")],
    ]
    cluster = hosts.start(f"--SSHLauncher.to_fetch={json.dumps(fetch)}", engines={"one": 1, "two": 1})
    connect(2)[:].execute(LATER, block=True)
    for host in one, two:
        for name, content in (("fetched", host.name.encode() + made), ("later", b"it is there")):
            file = box.work / f"{name}.{host.name}"
            wait_until(lambda: file.exists() and file.read_bytes() == content, 30, f"{file} has come")
    assert "nowhere of one was not fetched to /nowhere/there.one" in cluster.output
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    assert not list(box.work.glob("*.part"))


def test_the_launcher_of_one_host_starts_as_many_as_are_asked_for(box, hosts, connect):
    one = hosts.add("one")
    cluster = box.begin(
        "start",
        "--engines=SSHEngineLauncher",
        f"--SSHLauncher.ssh_args=-F {hosts.config}",
        "--SSHEngineLauncher.location=one",
        "-n",
        "2",
    )
    cluster.wait_for_output("The cluster is up", 60)
    connect(2)
    assert len(one.engines()) == 2


# Engines that an ipcluster there starts


def test_an_ipcluster_of_another_host_starts_engines_as_its_profile_there_says_and_leaves_nothing(box, hosts, connect):
    one = hosts.add("login.node")
    profile = one.home / ".ipython/profile_default"
    profile.mkdir(parents=True)
    (profile / "ipcluster_config.json").write_text(
        json.dumps({"EngineLauncher": {"engine_args": ["-c", "answer = 42"]}})
    )
    words = [
        word.replace("me@", "").replace("slurm", "local").replace("--n=64", "--n=2")
        for word in guides_command("--elauncher=sshproxy")
    ]
    cluster = box.begin(
        *words[1:],
        f"--SSHLauncher.ssh_args=-F {hosts.config}",
        f"--SSHProxyEngineSetLauncher.ipcluster_cmd={box.programs.ipcluster}",
    )
    cluster.wait_for_output("The cluster is up", 60)
    assert len(one.engines()) == 2 and "ipcluster" in [process.name() for process in one.processes()]
    view = connect(2)[:]
    assert view["answer"] == [42, 42]
    assert view.apply_sync(eval, PEERS) == [set()] * 2, "they reach the controller through the connection"
    here = json.loads((box.profile_dir() / "security/ipcontroller-client.json").read_text())
    (there,) = (profile / "security").glob("*-client.json")
    assert json.loads(there.read_text())["key"] == here["key"] and stat.S_IMODE(there.stat().st_mode) == 0o600
    assert not [
        process
        for process in {*box.marked(), *one.processes()}
        if here["key"] in " ".join([*process.cmdline(), *process.environ().values()])
    ]
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")
    assert not list((profile / "security").iterdir()) and not list((profile / "pid").iterdir())


@pytest.mark.parametrize("lost", [False, True], ids=["connected", "lost"])
def test_stop_ends_what_an_ipcluster_there_started_after_the_supervisor_was_killed(box, hosts, connect, lost):
    one = hosts.add("one")
    cluster = hosts.launch_proxy("one", "-n", "1")
    cluster.wait_for_output("The cluster is up", 60)
    assert connect(1)[0].apply_sync(abs, -1) == 1
    shells = [process for process in one.processes() if process.name() == "sh"]
    for process in shells if lost else ():
        process.suspend()
    cluster.stop(signal.SIGKILL)
    if lost:
        # Nobody there is left to end the engines, not the ipcluster that started them either.
        ssh_of(box, "one").kill()
        for process in [*shells, *(process for process in one.processes() if process.name() == "ipcluster")]:
            process.kill()
        assert one.engines()
    stopped = box.ipcluster("stop")
    assert stopped.status == 0, stopped
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")
    assert not list((one.home / ".ipython/profile_default/security").iterdir())


def test_what_an_ipcluster_there_says_when_it_fails_is_told(box, hosts):
    one = hosts.add("one")
    cluster = hosts.launch_proxy("one", "--SSHProxyEngineSetLauncher.ipcluster_args=--elauncher=nowhere", "-n", "1")
    assert cluster.wait(60) != 0
    assert "there is no launcher 'nowhere' for engines" in cluster.output
    missing = hosts.launch_proxy(
        "one", "--SSHLauncher.prologue=PATH=/usr/bin:/bin", "-n", "1", program="/nowhere/ipcluster"
    )
    assert missing.wait(60) != 0
    assert "there is no ipcluster of ipcluster there, neither as /nowhere/ipcluster nor on the PATH" in missing.output
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")


# A controller there


def test_a_controller_on_another_host_serves_engines_and_clients_here(box, hosts, connect):
    one = hosts.add("one")
    cluster = hosts.launch_controller("one", "-n", "2")
    cluster.wait_for_output("The cluster is up", 60)
    assert [process.name() for process in one.processes() if process.name().startswith("ip")] == ["ipcontroller"]
    view = connect(2)[:]
    assert view.apply_sync(len, bytes(1_000_000)) == [1_000_000] * 2
    files = [box.profile_dir() / f"security/ipcontroller-{role}.json" for role in ("client", "engine")]
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert json.loads(file.read_text())["interface"].startswith(
            "ipc://"
        ), "it listens on its own loopback, and sockets here lead to it"
    assert "key" not in "".join(log.read_text() for log in (box.profile_dir() / "log").glob("ipcontroller*"))
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")
    assert not [file for file in files if file.exists()] and not list(box.temporary.iterdir())


def test_controller_and_engines_on_two_hosts_meet_here(box, hosts, connect):
    hosts.add("one"), hosts.add("two")
    cluster = hosts.launch_controller("one", "--engines=ssh", "--SSHEngineSetLauncher.engines=two=2")
    cluster.wait_for_output("The cluster is up", 60)
    assert connect(2)[:].apply_sync(abs, -1) == [1, 1]
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output


def test_ipcluster_stop_ends_a_controller_there_after_the_supervisor_was_killed(box, hosts, connect):
    one = hosts.add("one")
    cluster = hosts.launch_controller("one", "-n", "1")
    cluster.wait_for_output("The cluster is up", 60)
    cluster.stop(signal.SIGKILL)
    assert connect(1)[0].apply_sync(abs, -1) == 1
    stopped = box.ipcluster("stop")
    assert stopped.status == 0, stopped
    wait_until(lambda: not one.processes() and not one.folders(), 20, "nothing is left there")


def test_a_controller_that_cannot_be_started_there_is_told_in_a_sentence(hosts):
    hosts.add("one", key="other")
    cluster = hosts.launch_controller("one", "-n", "1")
    assert cluster.wait(60) == 3
    assert re.search(
        "The controller ended with status 255 before the cluster was up: one: ssh says: .*Permission denied",
        cluster.output,
    )


def test_ranks_of_one_mpi_world_on_two_hosts_reach_the_controller_and_each_other(box, hosts, connect):
    one = hosts.add("one")
    if not one.apart:
        pytest.skip("a second host takes the superuser")
    words = [
        word.replace("--n=16", "--n=2").replace("hosts.txt", f"{box.dir}/hosts.txt")
        for word in guides_command("--elauncher=mpi", "mpi")
    ]
    (box.dir / "hosts.txt").write_text("# slots are Open MPI's\nlocalhost slots=1\none slots=1\n")
    env = {"OMPI_MCA_plm_rsh_agent": f"ssh -F {hosts.config}", "OMPI_MCA_plm_rsh_no_tree_spawn": "1"}
    cluster = box.begin(*words[1:], env=env)
    cluster.wait_for_output("The cluster is up", 60)
    view = connect(2)[:]
    view.execute(
        "import os; from mpi4py import MPI; total = os.uname().nodename, MPI.COMM_WORLD.allreduce(MPI.COMM_WORLD.rank + 1)",
        block=True,
    )
    assert view.pull("total", block=True) == [(os.uname().nodename, 3), ("one", 3)]
    assert len(one.engines()) == 1
    box.ipcluster("stop", check=True)
    wait_until(lambda: not one.engines(), 20, "nothing is left there")


@pytest.mark.parametrize(
    "arguments, env, elsewhere",
    [
        ("", {}, False),
        ("--host localhost:2,127.0.0.1", {}, False),
        (f"-host {os.uname().nodename}", {}, False),
        ("-H localhost,far", {}, True),
        ("-H 127.0.0.1:2,192.0.2.77", {}, True),
        ("--hostfile PLACES", {}, True),
        ("--rankfile RANKS", {}, False),
        ("-rf FAR_RANKS", {}, True),
        ("", {"SLURM_JOB_NUM_NODES": "1"}, False),
        ("", {"SLURM_JOB_NUM_NODES": "2"}, True),
        ("", {"PBS_NODEFILE": "PLACES"}, True),
        ("", {"LSB_MCPU_HOSTS": "localhost 4"}, False),
        ("", {"LSB_MCPU_HOSTS": "localhost 4 far 4"}, True),
    ],
)
def test_the_controller_listens_for_ranks_on_other_hosts_and_for_no_others(box, arguments, env, elsewhere):
    places = box.dir / "places"
    places.write_text("# far away\nlocalhost slots=2\n  far.away slots=2\n")
    env = {name: value.replace("PLACES", str(places)) for name, value in env.items()}
    ranks, far = box.dir / "ranks", box.dir / "far-ranks"
    ranks.write_text("# cores\n rank 0=localhost slot=0\nrank 1=127.0.0.1 slot=1\n")
    far.write_text("rank 0=localhost slot=0\nrank 1=far slot=0\n")
    for name, path in ("PLACES", places), ("FAR_RANKS", far), ("RANKS", ranks):
        arguments = arguments.replace(name, str(path))
    options = [f"--MPILauncher.mpi_args={arguments}"] if arguments else []
    shown = box.ipcluster("start", "--n=2", "--elauncher=mpi", *options, "--dry-run", env=env, check=True)
    assert ("--IPController.engines_elsewhere=true" in shown.out) == elsewhere
