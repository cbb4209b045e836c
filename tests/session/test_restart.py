"""A controller that is killed or stopped and started again with --reuse: its engines and clients go on."""

import concurrent.futures
import json
import os
import re
import signal
import subprocess
import time

import pytest

from support import LONG, TOP, kill, named, typed, wait_until


def restart(cluster, *arguments, signum=signal.SIGKILL):
    """Ends the controller and starts another in its place."""
    cluster.controller.stop(signum)
    return cluster.start_controller("--reuse", *arguments)


@pytest.fixture
def reused(new_cluster):
    """A controller that may be replaced, and two engines with a heart that beats fast."""
    return new_cluster(2, controller=["--reuse"])


@typed
def wait(path, answer):
    """Leaves a file to say that it runs, and ends when `path` exists."""
    import os
    import time

    open(f"{path}.{answer}", "w").close()
    while not os.path.exists(path):
        time.sleep(0.02)
    return answer


def wait_for_beginning(path, *answers):
    wait_until(
        lambda: all(path.with_name(f"{path.name}.{answer}").exists() for answer in answers), 20, f"{answers} run"
    )


def has_come(client, engine):
    """Waits until what was sent to the engine directly has come: the engine answers this request at once, but in its turn."""
    from ipcluster import _client

    assert client.requests.submit(_client.DIRECT, engine, "kernel_info_request", "{}").wait(LONG)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM])
def test_engines_come_back_under_their_ids_with_their_namespaces_and_the_client_goes_on(reused, signum):
    client = reused.client()
    client[:].execute("kept = __import__('os').getpid()").get(timeout=LONG)
    before = {i: client[i]["kept"] for i in client.ids}
    assert len(set(before.values())) == 2
    restart(reused, signum=signum)
    # The client has not connected anew. Its requests wait for the engines.
    assert {i: client[i]["kept"] for i in before} == before
    assert sorted(client.ids) == [0, 1]
    assert reused.client().ids == [0, 1]
    balanced = client.load_balanced_view()
    assert set(balanced.map_sync(typed(lambda x: kept), range(20))) <= set(before.values())
    for engine in reused.engines:
        engine.wait_for_output(r"registered again as engine \d")
    reused.controller.wait_for_output("2 in all")


def test_an_engine_that_comes_back_is_in_its_batch_job_whatever_user_code_did_to_the_environment(new_cluster):
    cluster = new_cluster(0, controller=["--reuse"])
    engine = cluster.start_engine("--IPEngine.batch_job=Some job {SOME_ID}", env={"SOME_ID": "88"})
    cluster.client()[0].execute("import os; del os.environ['SOME_ID']").get(timeout=LONG)
    restart(cluster)
    engine.wait_for_output("registered again as engine 0")
    assert cluster.client().engines[0].job == "Some job 88"


def test_what_ran_while_the_controller_was_away_is_answered(reused):
    client = reused.client()
    flag = reused.sandbox.dir / "go"
    direct = client[0].apply_async(wait, str(flag), "direct")
    queued = client[0].apply_async(typed(lambda: "queued"))
    balanced = client.load_balanced_view(targets=[1]).apply_async(wait, str(flag), "balanced")
    wait_for_beginning(flag, "direct", "balanced")
    has_come(client, 0)
    reused.controller.stop(signal.SIGKILL)
    flag.write_text("")  # they end while there is no controller
    time.sleep(1)
    reused.start_controller("--reuse")
    assert direct.get(timeout=LONG) == "direct"
    assert queued.get(timeout=LONG) == "queued"
    assert balanced.get(timeout=LONG) == "balanced"


def test_what_still_runs_when_the_controller_is_back_is_answered_in_its_time(reused):
    client = reused.client()
    flag = reused.sandbox.dir / "go"
    direct = client[0].apply_async(wait, str(flag), "direct")
    balanced = client.load_balanced_view(targets=[1]).apply_async(wait, str(flag), "balanced")
    wait_for_beginning(flag, "direct", "balanced")
    restart(reused).wait_for_output("2 in all")

    def queues():
        return [client.queue_status()[i]["queue"] for i in (0, 1)]

    wait_until(lambda: queues() == [1, 1], 20, "the hub knows what the engines say that they have")
    flag.touch()
    assert direct.get(timeout=LONG) == "direct"
    assert balanced.get(timeout=LONG) == "balanced"
    wait_until(lambda: queues() == [0, 0], 20, "the hub hears of the end")


def test_what_the_old_controller_had_runs_where_it_has_retries_and_fails_otherwise_and_does_not_hang(reused):
    client = reused.client()
    view = client.load_balanced_view()
    flag = reused.sandbox.dir / "go"
    tasks = [view.apply_async(wait, str(flag), i) for i in range(6)]
    wait_for_beginning(flag, 0, 1)
    with view.temp_flags(retries=1):
        lasting = [view.apply_async(len, bytes(size)) for size in (10, 2000, 20_000)]
        lasting += [view.apply_async(wait, str(flag), 6)]
    with view.temp_flags(after=[lasting[-1]], retries=1):
        lasting += [view.apply_async(wait, str(flag), 7)]
    wait_until(lambda: client.queue_status()["unassigned"] == 9, 20, "the others wait")
    restart(reused)
    flag.touch()
    assert [task.get(timeout=LONG) for task in tasks[:2]] == [0, 1]
    for task in tasks[2:]:
        with pytest.raises(ConnectionError, match="this task may have run: submit it again"):
            task.get(timeout=LONG)
    assert [task.get(timeout=LONG) for task in lasting] == [10, 2000, 20_000, 6, 7]
    assert view.apply_sync(typed(lambda: 1)) == 1


def test_an_engine_that_died_meanwhile_is_gone_and_what_it_had_fails(reused):
    client = reused.client()
    flag = reused.sandbox.dir / "go"
    lost = client[0].apply_async(wait, str(flag), "lost")
    wait_for_beginning(flag, "lost")
    reused.controller.stop(signal.SIGKILL)
    victim = client[0]
    by_id = {int(engine.wait_for_output(r"registered as engine (\d)").group(1)): engine for engine in reused.engines}
    by_id[0].popen.kill()
    reused.start_controller("--reuse")
    with pytest.raises(Exception, match="engine 0|EngineError"):
        lost.get(timeout=LONG)
    wait_until(lambda: client.ids == [1], 30, "the client has only the living")
    assert client[1].apply_sync(typed(lambda: 5)) == 5
    with pytest.raises(Exception):
        victim.apply_sync(typed(lambda: 5))


def test_a_client_hears_how_an_engine_ended_that_died_together_with_its_controller(reused, ipcluster):
    client = reused.client()
    flag = reused.sandbox.dir / "go"
    lost = client[0].apply_async(wait, str(flag), "lost")
    wait_for_beginning(flag, "lost")
    name = re.search(r"engine 0 \([^)]*\)", reused.controller.output).group()
    pid = client.engines[0].pid
    for process in reused.controller, *(engine for engine in reused.engines if engine.pid == pid):
        process.popen.kill()
    reused.start_controller("--reuse")
    with pytest.raises(ipcluster.EngineError, match=re.escape(f"{name} died: killed by signal 9 (Killed)")):
        lost.get(timeout=LONG)
    assert client.ids == [1]
    assert any(f"{name} died: killed by signal 9" in gone["reason"] for gone in client.departed)


def test_a_stopped_engine_that_was_given_up_registers_again(new_cluster):
    cluster = new_cluster(1, controller=["--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=3"])
    client = cluster.client()
    client[0]["kept"] = 7
    cluster.engines[0].send_signal(signal.SIGSTOP)
    cluster.controller.wait_for_output("engine 0 .* died, or cannot be reached", 30)
    wait_until(lambda: client.ids == [], 20, "the client knows")
    time.sleep(2)
    cluster.engines[0].send_signal(signal.SIGCONT)
    wait_until(lambda: client.ids == [0], 30, "it is back")
    assert client[0]["kept"] == 7


def test_a_controller_that_was_stopped_does_not_take_its_engines_for_dead(new_cluster):
    cluster = new_cluster(2, controller=["--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=3"])
    client = cluster.client()
    client[:]["kept"] = 7
    cluster.controller.send_signal(signal.SIGSTOP)
    time.sleep(6)  # longer than an engine may be silent
    cluster.controller.send_signal(signal.SIGCONT)
    for engine in cluster.engines:
        engine.wait_for_output("registered again as engine")
    assert client[:].pull("kept").get(timeout=LONG) == [7, 7]
    assert not re.search("died|was away", cluster.controller.output)


def test_a_new_engine_does_not_take_the_id_of_one_that_is_restored(reused):
    client = reused.client()
    table = reused.profile_dir / "security/ipcontroller-engines.json"
    wait_until(
        lambda: table.exists() and len(json.loads(table.read_text())["engines"]) == 2, 10, "the table is written"
    )
    assert table.stat().st_mode & 0o777 == 0o600
    for engine in reused.engines:
        engine.send_signal(signal.SIGSTOP)
    reused.controller.stop(signal.SIGKILL)
    reused.start_controller("--restore", "--IPController.registration_timeout=600")
    reused.start_engine()

    def ids_of_another():
        with reused.client(wait_for=0) as other:
            return other.ids

    wait_until(lambda: client.ids == [0, 1, 2] and ids_of_another() == [2], 30, "the new one has id 2")
    kept = json.loads(table.read_text())["engine_info"]
    assert {kept[number]["pid"] for number in ("0", "1")} == {engine.pid for engine in reused.engines[:2]}
    for engine in reused.engines:
        engine.send_signal(signal.SIGCONT)
    wait_until(lambda: ids_of_another() == [0, 1, 2], 30, "the old ones are back")


@pytest.fixture
def clock_ahead(sandbox):
    """What gives a program a wall clock that is two hours ahead, in its environment."""
    library = sandbox.dir / "clock_ahead.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-o", library, TOP / "tests/session/clock_ahead.c"], check=True)
    return {"LD_PRELOAD": f"{sandbox.python_env().get('LD_PRELOAD', '')} {library}".strip()}


def test_a_controller_whose_clock_is_behind_that_of_the_previous_one_serves_those_that_stayed(reused, clock_ahead):
    client = reused.client()
    view = client.load_balanced_view()
    for environment in (clock_ahead, None):
        reused.controller.stop(signal.SIGKILL)
        reused.start_controller("--reuse", env=environment)
        for task in (client[0].apply_async(abs, -5), view.apply_async(abs, -5)):
            assert task.get(LONG) == 5


def test_restored_engines_whose_heart_does_not_beat_are_forgotten_and_clients_hear_so(reused, ipcluster):
    client = reused.client()
    lost = client[0].apply_async(time.sleep, 3600)
    has_come(client, 1)
    reused.controller.stop(signal.SIGTERM)
    kill(named(reused.sandbox, "engine-watcher"))  # which would tell at once
    for engine in reused.engines:
        engine.popen.kill()
    reused.start_controller("--restore", "--IPController.registration_timeout=1")
    reused.controller.wait_for_output("engine 0 .* of the previous controller does not come back")
    reused.controller.wait_for_output("engine 1 .* of the previous controller does not come back")
    assert reused.client(wait_for=0).ids == []
    with pytest.raises(ipcluster.EngineError, match="engine 0 .* of the previous controller does not come back"):
        lost.get(timeout=LONG)
    assert client.ids == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"engines": []}',
        '{"engines": {"x": "y"}}',
        '{"engines": {"0": 5}}',
        '{"engines": {"0": "a", "1": "a"}}',
        '{"engines": {"-1": "a"}}',
    ],
)
def test_a_broken_table_of_engines_is_named_and_keeps_nobody_from_starting(reused, text):
    reused.client()
    reused.controller.stop(signal.SIGTERM)
    (reused.profile_dir / "security/ipcontroller-engines.json").write_text(text)
    reused.start_controller("--restore")
    reused.controller.wait_for_output("engines cannot be restored from .*ipcontroller-engines.json")
    assert reused.client().ids == [0, 1], "they register again by themselves"


# --- a controller that was killed and has left its files, and another that takes other ports and keys ----------------------------


@pytest.fixture
def left_behind(new_cluster):
    """The connection files of a controller that was killed, and no controller."""
    cluster = new_cluster(0)
    cluster.controller.stop(signal.SIGKILL)
    return cluster


def test_an_engine_that_waits_on_an_old_connection_file_follows_the_new_one(left_behind):
    sandbox = left_behind.sandbox
    waiting = sandbox.start(sandbox.programs.ipengine)
    waiting.wait_for_output("cannot be reached yet", 60)
    left_behind.start_controller("--Session.packer=msgpack.packb", "--IPController.enable_curve=false")
    waiting.wait_for_output("registered as engine 0 ", LONG)
    assert waiting.stop() == 0


def test_ipcluster_engines_that_waits_on_an_old_connection_file_follows_the_new_one(left_behind):
    sandbox = left_behind.sandbox
    adding = sandbox.start(
        sandbox.programs.ipcluster, "engines", "--n=1", f"--EngineLauncher.engine_cmd={sandbox.programs.ipengine}"
    )
    wait_until(lambda: list((left_behind.profile_dir / "pid").glob("ipcluster*.json")), 20, "it waits")
    left_behind.start_controller()
    adding.wait_for_output("1 more engine is up", LONG)
    assert adding.stop(signal.SIGINT, 60) == 0


def test_a_client_that_waits_on_an_old_connection_file_follows_the_new_one(left_behind, ipcluster):
    waiting = concurrent.futures.ThreadPoolExecutor(1).submit(ipcluster.Client, profile="default", timeout=LONG)
    with pytest.raises(concurrent.futures.TimeoutError):
        waiting.result(3)  # in two seconds it finds that nothing listens
    left_behind.start_controller()
    with waiting.result(LONG) as client:
        assert client.ids == []


def test_a_client_that_was_given_no_time_to_wait_does_not_wait_for_another_controller(left_behind, ipcluster):
    start = time.monotonic()
    with pytest.raises(ConnectionError, match="nothing listens at"):
        ipcluster.Client(profile="default")
    assert time.monotonic() - start < 9.5, "it has waited as long as for a file"


# --- a disk that is full ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_security_folder(sandbox):
    """The security folder of the default profile, on a disk of its own of 1 MiB."""
    folder = sandbox.profile_dir() / "security"
    folder.mkdir(parents=True, mode=0o700)
    if (
        os.geteuid()
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "keys", folder], capture_output=True
        ).returncode
    ):
        pytest.skip("only root makes a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_restart_on_a_full_disk_rewrites_no_file_that_says_what_it_should(small_security_folder, new_cluster):
    cluster = new_cluster(1, controller=["--restore"])
    client = cluster.client()
    files = [cluster.client_file, cluster.engine_file, small_security_folder / "ipcontroller-curve.key"]
    before = {path: (path.stat().st_ino, path.read_bytes()) for path in files}
    cluster.controller.stop(signal.SIGKILL)
    with pytest.raises(OSError), open(small_security_folder / "filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    times = {path: path.stat().st_mtime_ns for path in files}
    cluster.start_controller("--restore")
    wait_until(
        lambda: all(path.stat().st_mtime_ns > time for path, time in times.items()),
        20,
        "the files are this controller's",
    )
    assert client[0].apply_sync(os.getpid) == cluster.engines[0].pid
    assert {path: (path.stat().st_ino, path.read_bytes()) for path in before} == before
