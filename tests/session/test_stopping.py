"""How clusters end: in order however they are stopped, with time for what engines have to finish, and never under an engine that works."""

import contextlib
import json
import os
import signal
import socket
import subprocess
from pathlib import Path

import pytest

import ipcluster
from ipcluster_box import MPI, UP, WITH_BOTH, assert_nothing_left, engine_pids, listed
from support import LONG, PYTHON, TOP, kill, named, typed, wait_for_file, wait_until


@pytest.fixture
def connect(box):
    """connect(): a client of the cluster in the default profile."""
    clients = []

    def make():
        clients.append(ipcluster.Client(str(box.profile_dir() / "security/ipcontroller-client.json"), timeout=LONG))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


@typed
def say_goodbye(folder):
    """For engines: an exit handler that takes a while."""
    import atexit
    import os
    import time

    def handler():
        begun = f"{folder}/{os.getpid()}.begun"
        open(begun, "w").close()
        time.sleep(1.5)
        os.rename(begun, f"{folder}/{os.getpid()}.finished")

    atexit.register(handler)


def goodbyes(box):
    return len(list(box.dir.glob("*.finished")))


# Ways to stop a cluster. Each gets the supervisor of `start` and a client.


def told_by_a_client(box, start, client):
    client.shutdown(hub=True)
    assert start.wait() == 0
    assert "runs on" not in start.output


def engines_told_by_a_client(box, start, client):
    client.shutdown(block=True)
    start.wait_for_output("All engines have ended; the controller runs on")
    assert start.stop(signal.SIGINT) == 0


def by_ipcluster_stop(box, start, client):
    box.ipcluster("stop", check=True)


def by_ctrl_c(box, start, client):
    assert start.stop(signal.SIGINT) == 0


def by_sigterm(box, start, client):
    assert start.stop(signal.SIGTERM) == 0


def without_their_supervisor(box, start, client):
    start.stop(signal.SIGKILL)
    box.ipcluster("stop", check=True)


def by_its_controllers_end(box, start, client):
    for controller in named(box, "ipcontroller"):
        controller.terminate()
    assert start.wait() == 0


def one_by_one(box, start, client):
    for engine in named(box, "ipengine"):
        engine.terminate()
    start.wait_for_output("All engines have ended; the controller runs on")
    assert start.stop(signal.SIGINT) == 0


WAYS = [told_by_a_client, engines_told_by_a_client, by_ipcluster_stop, by_ctrl_c, by_sigterm, without_their_supervisor]


@pytest.mark.parametrize(
    "launcher, way",
    [*(([], way) for way in [*WAYS, by_its_controllers_end, one_by_one]), *((MPI, way) for way in WAYS)],
)
def test_exit_handlers_of_engines_have_their_time_however_a_cluster_is_stopped(box, connect, launcher, way):
    start = box.begin("start", "--n=2", *launcher)
    start.wait_for_output(UP, 60)
    client = connect()
    client[:].apply_sync(say_goodbye, str(box.dir))
    way(box, start, client)
    assert_nothing_left(box, box.profile_dir())
    assert goodbyes(box) == 2


@WITH_BOTH
@pytest.mark.parametrize("way", [told_by_a_client, by_ipcluster_stop, by_ctrl_c])
def test_exit_handlers_of_added_engines_have_the_same_time(box, connect, launcher, way):
    start = box.begin("start", "--n=0")
    start.wait_for_output(UP, 60)
    added = box.begin("engines", "--n=2", *launcher)
    added.wait_for_output("2 more engines are up", 60)
    client = connect()
    client[:].apply_sync(say_goodbye, str(box.dir))
    way(box, start, client)
    assert added.wait() == 0
    assert_nothing_left(box, box.profile_dir())
    assert goodbyes(box) == 2


@WITH_BOTH
def test_exit_handlers_of_engines_that_are_taken_away_have_the_same_time(box, connect, launcher):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    added = box.begin("engines", "--n=2", *launcher)
    added.wait_for_output("2 more engines are up", 60)
    client = connect()
    client[1, 2].apply_sync(say_goodbye, str(box.dir))
    assert added.stop(signal.SIGINT) == 0
    assert goodbyes(box) == 2
    wait_until(lambda: client.ids == [0], 20, "the client hears that two engines have left")
    assert client[0].apply_sync(os.getpid) in engine_pids(box)
    box.ipcluster("stop", check=True)


def test_signals_to_ipcluster_engines_are_for_its_set_and_a_second_interrupt_hurries(box, connect):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    added = box.begin("engines", "--n=1")
    added.wait_for_output("1 more engine is up", 60)
    client = connect()
    client[:].execute(
        "import signal; heard = []; signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))", block=True
    )
    added.send_signal(signal.SIGUSR1)
    wait_until(lambda: client[:]["len(heard)"] == [0, 1], 20, "the signal has come to the engine of its set")
    client[1].apply_sync(say_goodbye, str(box.dir))
    added.send_signal(signal.SIGINT)
    wait_until(lambda: list(box.dir.glob("*.begun")), 20, "the exit handler has begun")
    added.send_signal(signal.SIGINT)
    assert added.wait() == 0
    assert "Hurrying: killing the engines" in added.output and goodbyes(box) == 0
    wait_until(lambda: client.ids == [0], 20, "the client hears that one engine has left")
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_stop_hurries_nobody_who_is_stopping_already(box, connect):
    start = box.begin("start", "--n=1")
    start.wait_for_output(UP, 60)
    connect()[:].apply_sync(say_goodbye, str(box.dir))
    start.send_signal(signal.SIGINT)
    wait_until(lambda: list(box.dir.glob("*.begun")), 20, "the exit handler has begun")
    assert "is stopping the cluster already" in box.ipcluster("stop", check=True).out
    assert start.wait() == 0
    assert goodbyes(box) == 1


def waits_for_a_lock(process):
    """The system lists waiting processes as "17: -> FLOCK ADVISORY WRITE PID ..."."""
    return any(
        words[1] == "->" and int(words[5]) == process.pid for words in map(str.split, Path("/proc/locks").open())
    )


def test_stop_stops_what_a_start_brings_up_that_was_cleaning_up(box):
    cluster = box.begin("start", "--n=1")
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    (engine,) = named(box, "ipengine")
    engine.suspend()
    start = box.begin("start", "--n=1")
    start.wait_for_output("Cleaning up after a cluster")
    stop = box.begin("stop")
    wait_until(lambda: waits_for_a_lock(stop), 20, "stop waits until start has cleaned up")
    engine.resume()
    assert stop.wait(60) == 0
    assert not start.alive and "Stopped" in stop.output
    assert_nothing_left(box, box.profile_dir())


def test_a_program_that_shut_its_cluster_down_leaves_the_with_block_without_an_error(box):
    code = """if True:
        import ipcluster, subprocess, time
        with ipcluster.Cluster(n=1) as client:
            client.shutdown(hub=True)
            while "No clusters" not in subprocess.run(["ipcluster", "list"], capture_output=True, text=True).stdout:
                time.sleep(0.1)"""
    box.run(PYTHON, "-c", code, python=True, check=True)
    box.wait_for_no_processes()


# What is left


def test_the_controller_stays_as_long_as_an_engine_works(box, connect):
    start = box.begin("start", "--n=1")
    start.wait_for_output(UP, 60)
    (first,) = engine_pids(box)
    box.ipcluster("engines", "--n=1", "--daemonize", check=True)
    client = connect()
    working = client[1].apply(wait_for_file, str(box.dir / "enough"), "done", str(box.dir / "begun"))
    wait_until((box.dir / "begun").exists, 20, "the second engine works")
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: client.ids == [1], 20, "the client hears of the first engine's end")
    start.wait_for_output("ended with status 137")
    (box.dir / "enough").touch()
    assert working.get(LONG) == "done"
    client[1].apply(os._exit, 3)
    start.wait_for_output("All engines have ended; the controller runs on")
    wait_until(lambda: [len(entry["sets"]) for entry in listed(box)] == [1], 20, "the added set has ended")
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_what_an_engine_ended_by_its_users_code_was_asked_is_answered_with_its_end(box, connect):
    start = box.begin("start", "--n=1")
    start.wait_for_output(UP, 60)
    client = connect()
    with pytest.raises(ipcluster.EngineError, match="engine 0"):
        client[0].apply(os._exit, 3).get(LONG)
    start.wait_for_output("All engines have ended; the controller runs on")
    assert client.ids == []
    assert start.stop(signal.SIGINT) == 0


def test_engines_that_end_before_they_are_asked_anything_stop_the_cluster_by_a_setting_that_is_named(box):
    start = box.begin("start", "--n=1", "--IPClusterEngines.early_shutdown=3600")
    start.wait_for_output(UP, 60)
    kill(named(box, "ipengine"))
    assert start.wait() == 4
    assert "3600 seconds" in start.output and "--IPClusterEngines.early_shutdown=0" in start.output
    assert_nothing_left(box, box.profile_dir())
    start = box.begin("start", "--n=1", "--IPClusterEngines.early_shutdown=0")
    start.wait_for_output(UP, 60)
    kill(named(box, "ipengine"))
    start.wait_for_output("All engines have ended; the controller runs on")
    assert start.stop(signal.SIGINT) == 0


@pytest.mark.parametrize("by_hand", [False, True], ids=["started", "by hand"])
def test_added_engines_end_with_a_controller_that_is_killed(box, new_cluster, by_hand):
    if by_hand:
        new_cluster(0)
    else:
        box.begin("start", "--n=0").wait_for_output(UP, 60)
    added = box.begin("engines", "--n=1")
    added.wait_for_output("1 more engine is up", 60)
    kill(named(box, "ipcontroller"))
    assert added.wait(30) == 5
    assert "The controller has ended" in added.output
    box.wait_for_no_processes()


def test_added_engines_end_with_a_killed_controller_whose_port_another_program_has_got(box, new_cluster):
    new_cluster(0)
    added = box.begin("engines", "--n=1")
    added.wait_for_output("1 more engine is up", 60)
    port = json.loads((box.profile_dir() / "security/ipcontroller-client.json").read_text())["registration"]
    kill(named(box, "ipcontroller"))
    wait_until(lambda: not named(box, "ipcontroller"), what="the end of the controller")

    def taken():
        with contextlib.suppress(OSError):  # an engine may have got this port for its end of a connection
            return socket.create_server(("127.0.0.1", port))

    with wait_until(taken, what="the port is free") as other:
        other.settimeout(0.1)

        def turn_away():
            with contextlib.suppress(TimeoutError):
                other.accept()[0].close()
            return not added.alive

        wait_until(turn_away, what="the end of the engines")
    assert added.wait() == 5
    assert "The controller has ended" in added.output
    box.wait_for_no_processes()


def test_added_engines_and_their_output_outlive_a_controller_that_another_may_replace(box, new_cluster):
    cluster = new_cluster(0, controller=["--reuse"])
    added = box.begin("engines", "--n=1")
    added.wait_for_output("1 more engine is up", 60)
    logs = set((box.profile_dir() / "log").iterdir())
    kill(named(box, "ipcontroller"))
    start = box.begin("start", "--n=0", "--", "--reuse")
    start.wait_for_output(UP, 60)
    assert logs <= set((box.profile_dir() / "log").iterdir())
    assert cluster.client(wait_for=1)[0].apply_sync(os.getpid) in engine_pids(box)
    assert added.alive
    assert start.stop(signal.SIGINT) == 0
    assert added.wait() in (
        0,
        5,
    ), "the end of its engine, or of a controller that says no goodbye: which it hears first"
    box.wait_for_no_processes()


# What is saved of it


def launcher_with(box, function, body):
    """The environment for the example launcher with another body of one function. In it, BODY stands for the function's own body."""
    source = (TOP / "docs/examples/launcher/wrap.c").read_text()
    begin = source.index("wrap_" + function + "(void *self")
    begin = source.index("{", begin)
    end = source.index("\n}\n", begin)
    folder = box.dir / "plugins"
    (folder / "launchers").mkdir(parents=True)
    (folder / "wrap.c").write_text(
        f"{source[:begin]}{{ (void)self; {body.replace('BODY', source[begin + 1:end])}{source[end:]}"
    )
    flags = subprocess.run(
        ["pkg-config", "--cflags", "jansson"], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(
        [
            "cc",
            "-std=gnu11",
            "-shared",
            "-fPIC",
            "-fvisibility=hidden",
            f"-I{TOP}/core/include",
            *flags,
            "-o",
            folder / "launchers/wrap.so",
            folder / "wrap.c",
        ],
        check=True,
    )
    return {"IPCLUSTER_PLUGIN_PATH": str(folder)}


@pytest.mark.parametrize("body", ["return NULL;", 'return strdup("[1]");', 'return strdup("{\\"engines\\":");'])
def test_a_launcher_that_does_not_say_what_it_started_is_an_error_at_once(box, body):
    env = launcher_with(box, "to_json", body)
    failed = box.ipcluster("start", "--n=1", "--elauncher=wrap", env=env)
    assert failed.status == 4
    assert "WrapEngineSetLauncher" in failed.err and "to_json()" in failed.err
    assert_nothing_left(box, box.profile_dir())


def test_an_engine_that_is_back_counts_also_where_its_launcher_does_not_say_how_it_is_found(box):
    env = launcher_with(
        box,
        "to_json",
        f'FILE *there = fopen("{box.dir}/silent", "r"); if (there) {{ fclose(there); return NULL; }} BODY',
    )
    start = box.begin("start", "--n=1", "--elauncher=wrap", "--restart=3", env=env)
    start.wait_for_output(UP, 60)
    (first,) = named(box, "ipengine")
    (box.dir / "silent").touch()
    kill([first])
    wait_until(
        lambda: [
            (engine["id"], engine["pid"] != first.pid)
            for engine in json.loads(box.ipcluster("status", "--json", env=env).out)["engines"]
        ]
        == [(0, True)],
        LONG,
        "it is back",
        interval=0.2,
    )
    assert len(named(box, "ipengine")) == 1
    assert "to_json()" in start.output and "cannot be started" not in start.output
    (box.dir / "silent").unlink()
    assert start.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_stop_and_list_do_not_take_for_gone_what_a_launcher_does_not_find_again(box):
    env = launcher_with(box, "from_json", '(void)json; return ipcl_error_set(error, "it is all Greek to me");')
    start = box.begin("start", "--n=1", "--elauncher=wrap", env=env)
    start.wait_for_output(UP, 60)
    (engine,) = named(box, "ipengine")
    start.stop(signal.SIGKILL)
    (state,) = (box.profile_dir() / "pid").glob("ipcluster*.json")
    stopped = box.ipcluster("stop", env=env)
    assert stopped.status == 6 and "Stopped" not in stopped.out
    assert str(engine.pid) in stopped.err and str(state) in stopped.err and "all Greek" in stopped.err
    assert engine.is_running()
    assert [entry["state"] for entry in json.loads(box.ipcluster("list", "--json", env=env, check=True).out)] == [
        "stale"
    ]
    kill([engine])
    wait_until(lambda: "Stopped" in box.ipcluster("stop", env=env).out, LONG, "the engine and its watcher have ended")
    assert_nothing_left(box, box.profile_dir())


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: "{",
        lambda state: json.dumps({**state, "sets": [{**state["sets"][0], "job": {}}]}),
        lambda state: json.dumps({**state, "version": 1}),
    ],
    ids=["cut off", "no job", "another version"],
)
def test_a_state_file_that_cannot_be_read_is_an_error_that_names_it(box, damage):
    start = box.begin("start", "--n=1")
    start.wait_for_output(UP, 60)
    start.stop(signal.SIGKILL)
    (file,) = (box.profile_dir() / "pid").glob("ipcluster*.json")
    file.write_text(damage(json.loads(file.read_text())))
    for words, status in ((["stop"], 6), (["list"], 1), (["start", "--n=1"], 1)):
        refused = box.ipcluster(*words)
        assert refused.status == status
        assert str(file) in refused.err and "remove the file" in refused.err
        assert "Stopped" not in refused.out
    assert len(engine_pids(box)) == 1
    kill(box.marked())
