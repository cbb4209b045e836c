"""Engines on other hosts, which the launcher ssh has started: how they end, are stopped, and come back."""

import os
import signal
from pathlib import Path

import pytest
from ssh_gate import needs_openssh
from ssh_hosts import ssh_of

from ipcluster import EngineError
from support import wait_until

pytestmark = needs_openssh


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
        match=r"killed by signal 9 \(Killed\); since it began, the system has killed 1 process of its control group for lack of memory",
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
    assert full.status != 0 and "all places of the hosts are in use" in full.err
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
