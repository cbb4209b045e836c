"""Single engines of a running cluster: they come back when they have died, are ended, started anew, and sent signals."""

import json
import os
import signal
import time

import pytest
from ipcluster_box import MPI, UP, assert_nothing_left, engine_pids

from support import LONG, PATIENCE, typed, wait_until


def begin(box, *words):
    cluster = box.begin("start", *words)
    cluster.wait_for_output(UP, 60)
    return cluster


def engines_of(box):
    """The process of each engine, by its id."""
    return {engine["id"]: engine["pid"] for engine in json.loads(box.ipcluster("status", "--json").out)["engines"]}


def wait_for_others(box, before, ids):
    """Waits until engines of these ids are there in other processes, and the rest as before; returns all."""

    def back():
        now = engines_of(box)
        return (
            now if now.keys() == before.keys() and {one for one in now if now[one] != before[one]} == set(ids) else None
        )

    return wait_until(back, LONG, f"engines {ids} are back", interval=0.2)


@typed
def die_once(marker):
    """Ends the engine that runs it first."""
    import os
    import signal

    try:
        os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return os.getpid()
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_engine_that_died_comes_back_under_its_id_and_its_task_is_answered(box, ipcluster):
    cluster = begin(box, "--n=3", "--restart=2")
    before = engines_of(box)
    with ipcluster.Client(profile_dir=box.profile_dir()) as client:
        task = client.load_balanced_view(retries=1).apply_async(die_once, str(box.dir / "marker"))
        answered = task.get(timeout=LONG)
        (gone,) = client.departed
        after = wait_for_others(box, before, [gone["id"]])
        assert answered in [*before.values(), *after.values()]
        wait_until(lambda: client.ids == [0, 1, 2], PATIENCE)
        assert "killed by signal 9" in gone["reason"], gone
        assert client[gone["id"]].apply_sync(os.getpid) == after[gone["id"]]
    assert f"Starting engine {gone['id']} again" in cluster.output
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_an_mpi_world_comes_back_as_a_whole_under_its_ids(box, ipcluster):
    begin(box, "--n=2", "--restart=1", *MPI)
    box.ipcluster("engines", "--n=1", "--daemonize", check=True)
    before = engines_of(box)
    os.kill(before[1], signal.SIGKILL)
    wait_for_others(box, before, [0, 1])
    with ipcluster.Client(profile_dir=box.profile_dir()) as client:
        assert client[0, 1].apply_sync(world) == [(0, 2), (1, 2)]
    before = engines_of(box)
    box.ipcluster("restart", "0", check=True)
    wait_for_others(box, before, [0, 1])
    ranks = json.loads(box.ipcluster("status", "--json").out)["engines"][0]["engine_set"]
    refused = box.ipcluster("scale", "--n=3", f"--engine-set={ranks}")
    assert refused.status == 1 and "an MPI world, whose size does not change" in refused.err


def test_what_cannot_come_back_or_be_found_is_said_and_nothing_is_started(box):
    ssh = box.ipcluster(
        "start", "--n=1", "--restart=1", "--elauncher=sshproxy", "--SSHProxyEngineSetLauncher.location=127.0.0.1"
    )
    assert (
        ssh.status == 1
        and "SSHProxyEngineSetLauncher starts all engines at once, and cannot start one of them again" in ssh.err
    )
    assert "--restart: -1 is not a number of restarts" in box.ipcluster("start", "--n=1", "--restart=-1").err
    for words, status, reason in [
        (["restart", "1"], 12, "no controller runs here"),
        (["restart"], 1, "say which engines"),
        (["signal"], 1, "name a signal"),
        (["stop", "--engine=x"], 12, "no controller runs here"),
        (["scale"], 1, "give a number of engines"),
        (["scale", "--n=1"], 11, "no cluster runs"),
    ]:
        refused = box.ipcluster(*words)
        assert refused.status == status and reason in refused.err, refused
    begin(box, "--n=0")
    assert "'x' is not an engine: engines are named by their ids" in box.ipcluster("stop", "--engine=x").err
    assert "there is no set nobody" in box.ipcluster("scale", "--n=1", "--engine-set=nobody").err


@typed
def world():
    from mpi4py import MPI

    return MPI.COMM_WORLD.rank, MPI.COMM_WORLD.size


def test_each_engine_comes_back_as_often_as_it_may_and_the_last_reason_is_told(box):
    cluster = begin(box, "--n=2", "--restart=1")
    before = engines_of(box)
    os.kill(before[0], signal.SIGKILL)
    now = wait_for_others(box, before, [0])
    os.kill(now[0], signal.SIGKILL)
    cluster.wait_for_output("Engine 0 was restarted 1 time, and is not restarted again", LONG)
    os.kill(now[1], signal.SIGKILL)
    after = wait_for_others(box, {1: now[1]}, [1])
    os.kill(after[1], signal.SIGXCPU)
    cluster.wait_for_output("All engines", LONG)
    assert "signal 24 (CPU time limit exceeded) ended it" in cluster.output


def test_a_set_that_was_added_heals_and_grows_as_its_own_settings_say(box):
    begin(box, "--n=1")
    box.ipcluster("engines", "--n=1", "--restart=1", "--engine-set=more", "--daemonize", check=True)
    before = engines_of(box)
    os.kill(before[1], signal.SIGKILL)
    wait_for_others(box, before, [1])
    assert "there are 2 sets of engines: say which with --engine-set=NAME" in box.ipcluster("scale", "--n=2").err
    assert "more has 2 engines" in box.ipcluster("scale", "--n=2", "--engine-set=more", check=True).out
    assert list(engines_of(box)) == [0, 1, 2]
    os.kill(before[0], signal.SIGKILL)
    wait_until(lambda: list(engines_of(box)) == [1, 2], PATIENCE)
    box.ipcluster("stop", "--engine-set=more", check=True)
    assert list(engines_of(box)) == []


def test_what_a_killed_supervisor_had_started_again_is_ended_too(box):
    cluster = begin(box, "--n=2", "--restart=1")
    before = engines_of(box)
    os.kill(before[0], signal.SIGKILL)
    wait_for_others(box, before, [0])
    assert cluster.stop(signal.SIGKILL) == -signal.SIGKILL
    assert len(engine_pids(box)) == 2
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_single_engines_are_started_anew_and_stopped_and_the_others_are_left_alone(box, ipcluster):
    cluster = begin(box, "--n=3", "--restart=1")
    before = engines_of(box)
    with ipcluster.Client(profile_dir=box.profile_dir()) as client:
        client[:].push({"kept": 1}, block=True)
        assert "Engine 1 is back" in box.ipcluster("restart", "1", check=True).out
        wait_for_others(box, before, [1])
        assert client[0, 2]["kept"] == [1, 1] and client[1].apply_sync(eval, "'kept' in globals()") is False
        box.ipcluster("stop", "--engine=0,2", check=True)
        wait_until(lambda: client.ids == [1], PATIENCE)
        refused = box.ipcluster("restart", "2")
        assert refused.status == 1 and "there is no engine 2" in refused.err
    box.ipcluster("stop", "--engine=1", check=True)
    cluster.wait_for_output("All engines have ended; the controller runs on", LONG)
    assert "ended with status" not in cluster.output
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_an_engine_that_hears_nothing_is_killed_when_it_is_to_end(box):
    cluster = begin(box, "--n=2")
    os.kill(engines_of(box)[1], signal.SIGSTOP)
    assert box.ipcluster("stop", "--engine=1", check=True)
    assert list(engines_of(box)) == [0]
    assert "Engine 1 has not ended: killing" in cluster.output


def test_engines_started_by_hand_are_stopped_and_signalled_and_not_started_anew(new_cluster, box):
    cluster = new_cluster(2)
    with cluster.client() as client:
        sleep = client[0].apply_async(time.sleep, 300)
        wait_until(lambda: client.queue_status(0)["queue"] == 1, PATIENCE)
        box.ipcluster("signal", "INT", "0", check=True)
        with pytest.raises(Exception, match="KeyboardInterrupt"):
            sleep.get(timeout=LONG)
        assert "is not a signal" in box.ipcluster("signal", "INFINITE").err
        refused = box.ipcluster("restart", "1")
        assert refused.status == 1 and "engine 1 was not started by an ipcluster that runs" in refused.err
        box.ipcluster("stop", "--engine=1", check=True)
        wait_until(lambda: client.ids == [0], PATIENCE)
    wait_until(lambda: [engine.alive for engine in cluster.engines].count(False) == 1, PATIENCE)


def sizes(box):
    """How many engines each set should have."""
    return [
        one["asked"] for one in json.loads(box.ipcluster("status", "--json").out)["sets"] if one["role"] == "engines"
    ]


def test_a_set_grows_and_shrinks_and_never_by_an_engine_that_somebody_would_miss(box, sandbox_here, ipcluster):
    begin(box, "--n=2", "--restart=1")
    box.ipcluster("scale", "--n=4", check=True)
    first = engines_of(box)
    assert list(first) == [0, 1, 2, 3]
    cluster = ipcluster.Cluster.from_file(profile_dir=box.profile_dir())
    with cluster.connect_client_sync() as client:
        client[3].push({"kept": 1}, block=True)
        work = client.load_balanced_view(targets=[2]).apply_async(time.sleep, 600)
        wait_until(lambda: client.queue_status(2)["tasks"] == 1, PATIENCE)
        box.ipcluster("scale", "--n=3", check=True)
        assert list(engines_of(box)) == [0, 2, 3]
        left = box.ipcluster("scale", "--n=1")
        assert left.status == 6 and "1 of 2 surplus engines stay: they work, they may keep" in left.err
        assert list(engines_of(box)) == [2, 3]
        # An engine that ends now is not replaced; an engine that is cleared keeps nothing.
        os.kill(engines_of(box)[2], signal.SIGKILL)
        wait_until(lambda: list(engines_of(box)) == [3], PATIENCE)
        with pytest.raises(ipcluster.EngineError):
            work.get(timeout=LONG)
        with pytest.raises(RuntimeError, match="1 of 1 surplus engines stay"):
            cluster.scale_sync(0)
        client[3].clear(block=True)
        cluster.scale_sync(0)
        wait_until(lambda: sizes(box) == [0], PATIENCE, interval=0.2)
        cluster.scale_sync(2)
        client.wait_for_engines(2, timeout=LONG)
        client[:].push({"kept": 1}, block=True)
        box.ipcluster("scale", "--n=1", "--force", check=True)
    wait_until(lambda: sizes(box) == [1], PATIENCE, interval=0.2)


def shown_set(box):
    """What status says of the only set."""
    (one,) = (one for one in json.loads(box.ipcluster("status", "--json").out)["sets"] if one["role"] == "engines")
    return one


def test_a_set_grows_by_what_waits_and_shrinks_when_idle_but_for_what_a_client_keeps(box, sandbox_here, ipcluster):
    come = box.dir / "come"
    with ipcluster.Cluster(n_min=0, n_max=2, idle_timeout=0.2, options=["--n-max=2"], cluster_id="") as client:
        assert client.ids == [], "none is there before there is something to do"
        tasks = [client.load_balanced_view().apply_async(until_there, str(come)) for _ in range(20)]
        client.wait_for_engines(2, timeout=LONG)
        assert shown_set(box)["bounds"] == {"n_min": 0, "n_max": 2, "idle_timeout": 0.2, "kept": 0}
        kept = client.ids[0]
        put = client[kept].push({"kept": 1}, block=False)
        wait_until(lambda: client.queue_status(kept)["queue"] == 1, PATIENCE)
        assert len(client.ids) == 2, "engines that work stay, and there are no more than n_max"
        come.touch()
        assert [task.get(timeout=LONG) for task in tasks] == [1] * 20
        put.get(timeout=LONG)
        wait_until(lambda: client.ids == [kept], PATIENCE)
        wait_until(lambda: shown_set(box)["bounds"]["kept"] == 1, PATIENCE, interval=0.2)
        assert "running (0 to 2, 1 idle and kept)" in box.ipcluster("status").out
        assert client[kept]["kept"] == 1
        box.ipcluster("scale", "--n=1", check=True)
        assert "bounds" not in shown_set(box)
        client[kept].clear(block=True)
        assert "has 0 to 1 engines, as there is work" in box.ipcluster("scale", "--n-max=1", check=True).out
        wait_until(lambda: client.ids == [], PATIENCE)
        assert "it had nothing to do" in client.departed[-1]["reason"]
        assert client.load_balanced_view().apply_sync(os.getpid) > 0, "it grows again"


@typed
def until_there(path):
    import os
    import time

    while not os.path.exists(path):
        time.sleep(0.02)
    return 1


def stays_so(what, seconds=2):
    """Checks that something holds for a while, in which the supervisor looks after the set several times."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert what()
        time.sleep(0.1)


@typed
def never(marker):
    open(marker, "w").close()
    return False


def test_an_engine_in_whose_place_another_would_be_started_is_not_asked_to_end(box, sandbox_here, ipcluster):
    tried = box.dir / "tried"
    with ipcluster.Cluster(n_min=0, n_max=1, idle_timeout=0.3, cluster_id="") as client:
        nowhere = client.load_balanced_view().apply_async(ipcluster.depend(never, str(tried))(os.getpid))
        wait_until(tried.exists, LONG)
        waits = {"unassigned": 1, 0: {"queue": 0, "tasks": 0, "completed": 0}}
        wait_until(lambda: client.queue_status() == waits, PATIENCE, "no engine has it")
        stays_so(lambda: client.queue_status() == waits)
        client.abort(nowhere)
        wait_until(lambda: client.ids == [], PATIENCE)
    (log,) = (box.profile_dir() / "log").glob("ipcluster-*.log")
    assert log.read_text().count("more engine") == 1


def test_an_engine_that_works_is_not_said_to_have_nothing_to_do(box, sandbox_here, ipcluster):
    come = box.dir / "come"
    with ipcluster.Cluster(n_min=0, n_max=1, idle_timeout=0, cluster_id="") as client:
        work = client.load_balanced_view().apply_async(until_there, str(come))
        client.wait_for_engines(1, timeout=LONG)
        stays_so(lambda: client.ids == [0])
        come.touch()
        assert work.get(timeout=LONG) == 1
        wait_until(lambda: client.ids == [], PATIENCE)
    (log,) = (box.profile_dir() / "log").glob("ipcluster-*.log")
    assert "though it has nothing to do" not in log.read_text()


def test_a_set_does_not_grow_while_a_controller_awaits_the_engines_of_the_one_before(box, new_cluster):
    cluster = new_cluster(0, controller=["--reuse"])
    engines = box.begin("engines", "--n=2", "--n-max=2")
    client = cluster.client(wait_for=2)
    pids = client[:].apply_sync(os.getpid)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--reuse")
    other = cluster.client(wait_for=0)
    tasks = [other.load_balanced_view().apply_async(os.getpid) for _ in range(60)]
    wait_until(lambda: other.queue_status()["unassigned"] == 60, PATIENCE)
    stays_so(lambda: "more engine" not in engines.output)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    assert {task.get(timeout=LONG) for task in tasks} <= set(pids)


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--n=3", "--n-max=2"], "--n=3 is more than --n-max=2"),
        (["--n-max=-1"], "--n-max: -1 is not a number of engines"),
        (["--n-max=2", "--idle-timeout=-1"], "--idle-timeout: -1 is not a number of seconds"),
        (["--n-max=2", *MPI], "MPIExecEngineSetLauncher makes its engines one MPI world, whose size does not change"),
        (["--n-max=2", "--elauncher=sshproxy"], "--n-max: SSHProxyEngineSetLauncher starts all engines at once"),
    ],
    ids=["more than most", "none", "never", "mpi", "sshproxy"],
)
def test_bounds_that_cannot_be_kept_are_an_error_at_the_start(box, words, reason):
    refused = box.ipcluster("start", *words)
    assert refused.status == 1 and reason in refused.err


def test_a_set_of_which_no_engine_registers_is_given_up_with_the_reason_and_its_tasks_wait_for_another(box, ipcluster):
    cluster = begin(box, "--n-max=4", "--EngineLauncher.engine_cmd=['sh', '-c', 'echo no such module; exit 7']")
    with ipcluster.Client(profile_dir=box.profile_dir()) as client:
        task = client.load_balanced_view().apply_async(os.getpid)
        cluster.wait_for_output("is given up: in its last 3 starts, all engines died before they registered", LONG)
        assert cluster.output.count("no such module") == 3
        cluster.wait_for_output("All engines have ended; the controller runs on", LONG)
        box.ipcluster("engines", "--n=1", "--daemonize", check=True)
        assert task.get(timeout=LONG) in engines_of(box).values()
    assert cluster.stop(signal.SIGINT, 60) == 0
