"""What the launcher ssh starts on other hosts beside single engines: engines of an ipcluster there, a controller, and ranks of one MPI world."""

import json
import os
import re
import signal
import stat

import pytest
from ssh_gate import needs_openssh
from ssh_hosts import PEERS, guides_command, ssh_of

from support import wait_until

pytestmark = needs_openssh


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
        # No process is left there to end the engines, not even the ipcluster that started them.
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
    env = {}
    for plm in "OMPI_MCA_plm_rsh", "PRTE_MCA_plm_ssh":  # Open MPI 4, and 5
        env |= {f"{plm}_agent": f"ssh -F {hosts.config}", f"{plm}_no_tree_spawn": "1"}
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
