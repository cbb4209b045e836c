"""The client: connecting and what can be wrong with it, engines that come and go, interrupts, closing, and the C library."""

import json
import os
import platform
import signal
import socket
import threading
import time

import pytest

from controller_peer import Engine
from ipcluster import Client
from support import LONG, PYTHON, build_c_example, wait_for_file, wait_until


def write_info(path, info, mode=0o600):
    path.write_text(json.dumps(info))
    path.chmod(mode)
    return str(path)


# Connecting


def test_what_engines_say_of_themselves_is_known_before_and_after_they_come(new_cluster, sandbox, programs):
    version = sandbox.run(programs.ipengine, "--version").out.split()[-1]
    cluster = new_cluster(1)
    client = cluster.client()
    cluster.start_engine()
    client.wait_for_engines(2, timeout=LONG)
    for other in (client, cluster.client()):
        pids = client[:].apply_sync(os.getpid)
        assert [other.engine_info[engine]["pid"] for engine in (0, 1)] == pids
        assert other.engine_info[0] == {
            "host": socket.gethostname(), "pid": pids[0], "implementation": "ipcluster", "implementation_version": version,
            "language": "python", "language_version": client[0].apply_sync(platform.python_version),
            "executable": client[0].apply_sync(eval, "__import__('sys').executable"),
        }  # fmt: skip


ARRAY = "Some job {ARRAY_ID}_{TASK_ID!undefined}|{JOB_ID}"
JOBS = [
    (ARRAY, {"JOB_ID": "88"}, "Some job 88"),
    (ARRAY, {"JOB_ID": "90", "ARRAY_ID": "88", "TASK_ID": "0"}, "Some job 88_0"),
    (ARRAY, {"JOB_ID": "88", "ARRAY_ID": "88", "TASK_ID": "undefined"}, "Some job 88"),
    (ARRAY, {"ARRAY_ID": "88"}, None),
    ("Some job {JOB_ID}[{TASK_ID}]", {"JOB_ID": "88", "TASK_ID": "2"}, "Some job 88[2]"),
    ("Some job {JOB_ID}", {"JOB_ID": ""}, None),
    ("Some job {JOB_ID}", {"JOB_ID": "8" * 300}, None),
    ("Some job {JOB_ID}", {"JOB_ID": "two\nlines"}, None),
    ("Some job " + "8" * 300 + "{JOB_ID}", {"JOB_ID": "88"}, None),
    ("", {"SLURM_JOB_ID": "88"}, "Slurm job 88"),
    ("", {"PBS_JOBID": "88[2].server"}, "PBS job 88[2].server"),
    ("", {"LSB_JOBID": "88", "LSB_JOBINDEX": "2"}, "LSF job 88[2]"),
    ("", {"JOB_ID": "88", "SLURM_JOB_ID": "90"}, "Slurm job 90"),
    ("SGE", {"JOB_ID": "88", "SGE_TASK_ID": "undefined", "SLURM_JOB_ID": "90"}, "SGE job 88"),
    ("PBS", {"SLURM_JOB_ID": "90"}, "PBS job 90"),
    ("SGE", {"SLURM_JOB_ID": "90"}, None),
    ("", {"JOB_ID": "88"}, None),
    ("Some job {JOB_ID}{TASK_ID?}", {"JOB_ID": "88", "TASK_ID": "2"}, "Some job 88"),
]


def test_an_engine_says_in_which_batch_job_it_is(new_cluster):
    cluster = new_cluster(0)
    for number, (called, env, _) in enumerate(JOBS):
        words = f"--IPEngine.id={number}", "--IPEngine.engine_set=mine", f"--IPEngine.batch_job={called}"
        cluster.start_engine(*words, env=env)
    engines = cluster.client().engines
    assert [engines[number].job for number in range(len(JOBS))] == [job for *_, job in JOBS]
    assert [engine.pid for engine in engines.values()] == [process.pid for process in cluster.engines]
    assert {(engine.set, engine.rank) for engine in engines.values()} == {("mine", None)}


def test_engines_are_shown_by_host(controller):
    peer = controller()
    client = Client(str(peer.client_file))
    for number, host in enumerate(["node1", "node2", "node1"]):
        Engine(peer, info={"host": host, "pid": 7, "rank": number, "language_version": "3.11.2"}).beat()
    Engine(peer, info={"host": "<b>"}).beat()
    client.wait_for_engines(4, timeout=LONG)
    text = "4 engines: 1 on <b>, 2 on node1, 1 on node2; Python 3.11.2"
    assert repr(client.engines) == text and repr(client) == f"<Client: {text}>"
    assert [engine.rank for engine in client.engines.values()] == [0, 1, 2, None] and client.engines[3].python is None
    assert "<b>" not in client.engines._repr_html_() and "<td>node2</td>" in client.engines._repr_html_()
    assert repr(client[0]) == "<DirectView 0: 1 engine on node1; Python 3.11.2>"
    assert repr(client[[0, 2]]) == "<DirectView [0, 2]: 2 engines on node1; Python 3.11.2>"
    assert repr(client.load_balanced_view()) == f"<LoadBalancedView None: {text}>"
    view = client[:]
    client.close()
    assert repr(view) == "<DirectView [0, 1, 2, 3]>"


def test_a_missing_file_is_named_with_what_to_do(ipcluster, sandbox):
    with pytest.raises(ConnectionError, match=r"nothing\.json.*ipcluster start"):
        ipcluster.Client(str(sandbox.dir / "nothing.json"))


def test_a_file_that_is_not_json_is_refused(ipcluster, sandbox):
    path = sandbox.dir / "broken.json"
    path.write_text("{broken")
    path.chmod(0o600)
    with pytest.raises(ConnectionError, match=r"broken\.json.*JSON"):
        ipcluster.Client(str(path))


def test_a_file_that_others_can_read_is_refused(ipcluster, cluster):
    path = cluster.client_file
    path.chmod(0o644)
    with pytest.raises(ConnectionError, match="chmod 600"):
        ipcluster.Client(str(path))


def test_a_file_of_a_controller_that_has_gone_says_that_nothing_listens(ipcluster, cluster, sandbox):
    info = json.loads(cluster.client_file.read_text())
    cluster.controller.popen.kill()
    cluster.controller.wait()
    with pytest.raises(ConnectionError, match=f"nothing listens.*{info['registration']}"):
        ipcluster.Client(write_info(sandbox.dir / "stale.json", info), timeout=1000)


def test_another_clusters_curve_key_is_said_to_be_the_reason(ipcluster, new_cluster, sandbox):
    one, other = new_cluster(0), new_cluster(0, profile="other")
    info = json.loads(one.client_file.read_text())
    info["curve_serverkey"] = json.loads(other.client_file.read_text())["curve_serverkey"]
    del info["local"]  # where no key is asked for
    with pytest.raises(ConnectionError, match="does not accept the key.*another cluster"):
        ipcluster.Client(write_info(sandbox.dir / "mixed.json", info), timeout=LONG)


def test_another_clusters_signature_key_runs_into_the_time_out(ipcluster, new_cluster, sandbox):
    cluster = new_cluster(0)
    info = json.loads(cluster.client_file.read_text())
    info["key"] = "another-key"
    with pytest.raises(ConnectionError, match=f"{info['registration']} did not answer within 3.0 s.*another cluster"):
        ipcluster.Client(write_info(sandbox.dir / "mixed.json", info), timeout=3)


def test_connects_by_profile_and_by_a_dict(ipcluster, new_cluster):
    cluster = new_cluster(1)
    with ipcluster.Client(profile="default", timeout=LONG) as client:
        client.wait_for_engines(1, timeout=LONG)
    with ipcluster.Client(json.loads(cluster.client_file.read_text()), timeout=LONG) as client:
        assert client.ids == [0]
    with ipcluster.Client(profile_dir=cluster.profile_dir, timeout=LONG) as client:
        assert len(client) == 1


# Engines


def test_engines_are_announced_as_they_come_and_go(cluster):
    client = cluster.client()
    assert client.ids == [0, 1]
    cluster.start_engine()
    client.wait_for_engines(3, timeout=LONG)
    cluster.engines[0].popen.kill()
    wait_until(lambda: len(client.ids) == 2, 20, "the engine's death is announced")
    with pytest.raises(TimeoutError, match="2 of 5 engines"):
        client.wait_for_engines(5, timeout=0.2)


def test_a_dead_engine_fails_what_it_had(ipcluster, cluster):
    client = cluster.client()
    pids = dict(zip(client.ids, client[:].apply_sync(os.getpid)))
    running = client[0].apply_async(time.sleep, 60)
    queued = client[0].apply_async(os.getpid)
    fine = client[1].apply_async(os.getpid)
    time.sleep(0.3)
    os.kill(pids[0], signal.SIGKILL)
    for result in (running, queued):
        with pytest.raises(ipcluster.EngineError, match="engine 0"):
            result.get(timeout=LONG)
    assert fine.get(timeout=LONG) == pids[1]
    wait_until(lambda: client.ids == [1], 20, "the engine is gone")
    with pytest.raises((IndexError, ValueError)):
        client[0]


def test_a_view_whose_engine_died_says_so_in_one_sentence(ipcluster, cluster):
    client = cluster.client()
    views = [client[:], client[1], client.load_balanced_view([1]), client.broadcast_view([0, 1])]
    calls = [
        *(lambda view=view: view.apply_async(os.getpid) for view in views), *(lambda view=view: view.map_async(abs, [1]) for view in views),
        *(lambda view=view: view.executor.submit(abs, 1) for view in views),
        lambda: views[0].push({"a": 1}), lambda: views[0]["a"], lambda: views[0].scatter("a", [1, 2]), lambda: views[0].gather("a"),
        lambda: views[1].execute("1"), lambda: views[1].clear(), lambda: views[1].queue_status(), lambda: views[1].remote()(abs)(1),
    ]  # fmt: skip
    pids = dict(zip(client.ids, client[:].apply_sync(os.getpid)))
    for left, dying in (1, 1), (0, 0):  # the second time no engine is left
        os.kill(pids[dying], signal.SIGKILL)
        wait_until(lambda left=left: len(client) == left, 20, "the engine's death is announced")
        for call in calls:
            with pytest.raises(ipcluster.EngineError, match="engine [01] is gone") as caught:
                call()
            assert caught.value.engine_id in (0, 1) and caught.value.render_traceback() == [str(caught.value)]


def test_an_engine_that_dies_as_a_request_is_made_is_an_engine_error(ipcluster, cluster, monkeypatch):
    client = cluster.client()
    views = client[:], client.broadcast_view([0, 1])
    pids = dict(zip(client.ids, client[:].apply_sync(os.getpid)))
    os.kill(pids[1], signal.SIGKILL)
    wait_until(lambda: client.ids == [0], 20, "the engine's death is announced")
    chosen = client.requests.chosen
    for call in [lambda view=view: view.apply_async(abs, 1) for view in views] + [lambda: views[0].clear()]:
        earlier = [[0, 1]]  # the engines as they were a moment before
        monkeypatch.setattr(
            client.requests, "chosen", lambda targets, earlier=earlier: earlier.pop() if earlier else chosen(targets)
        )
        with pytest.raises(ipcluster.EngineError, match="engine 1 is gone"):
            call()


def test_no_engines_is_an_error_that_says_so(ipcluster, new_cluster):
    client = new_cluster(0).client()
    with pytest.raises(ipcluster.NoEnginesRegistered, match="ipcluster engines"):
        client[:]


# Control


def test_an_aborted_request_does_not_run(ipcluster, cluster, sandbox):
    client = cluster.client()
    view = client[0]
    view["ran"] = 0
    blocker = view.apply_async(wait_for_file, str(sandbox.dir / "gate"))
    second = view.execute("ran = 1")
    second.abort()
    with pytest.raises(ipcluster.TaskAborted):
        second.get(timeout=LONG)
    (sandbox.dir / "gate").touch()
    blocker.get()
    assert view["ran"] == 0


def test_an_interrupt_ends_what_runs(ipcluster, cluster, sandbox):
    client = cluster.client()
    begun = sandbox.dir / "begun"
    result = client[0].execute(f"import time; open({str(begun)!r}, 'w').close(); time.sleep(600)")
    wait_until(begun.exists, 20, "it runs")
    client.interrupt(0, block=True)
    with pytest.raises(ipcluster.RemoteError, match="KeyboardInterrupt"):
        result.get(timeout=LONG)


def test_the_queue_is_told(cluster, sandbox):
    client = cluster.client()
    results = [client[1].apply_async(wait_for_file, str(sandbox.dir / "gate")) for _ in range(3)]
    status = wait_until(lambda: (s := client.queue_status())[1]["queue"] > 0 and s, 10, "the hub hears of the queue")
    assert set(status) == {0, 1, "unassigned"}
    (sandbox.dir / "gate").touch()
    client.wait([*results])
    assert wait_until(lambda: client.queue_status(1)["completed"] >= 3, 10, "the hub hears of the end")


def test_shutdown_ends_engines_and_controller(cluster):
    client = cluster.client()
    client.shutdown(hub=True)
    assert client.closed
    assert cluster.controller.wait() == 0
    for engine in cluster.engines:
        engine.wait()


# The end of a connection


def test_closing_resolves_what_is_open(cluster):
    client = cluster.client()
    result = client[0].apply_async(time.sleep, 2)
    client.close()
    with pytest.raises(Exception, match="closed"):
        result.get(timeout=LONG)
    with pytest.raises(ConnectionError, match="closed"):
        client[0]


def test_closing_wakes_a_thread_that_waits(cluster):
    client = cluster.client()
    result = client[0].apply_async(time.sleep, 30)
    seen = []

    def wait():
        try:
            result.get()
        except Exception as error:
            seen.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    time.sleep(0.2)
    client.close()
    thread.join(LONG)
    assert seen and "closed" in seen[0]
    client_pids = cluster.engines
    assert all(engine.alive for engine in client_pids)


def test_a_lost_controller_fails_what_it_owes(cluster):
    client = cluster.client()
    result = client[0].apply_async(time.sleep, 60)
    everywhere = client[:].apply_async(time.sleep, 60)
    time.sleep(0.2)
    cluster.controller.popen.kill()
    with pytest.raises(ConnectionError, match="connection to the controller.*lost"):
        client.queue_status()
    for open_result in (result, everywhere):
        with pytest.raises(ConnectionError, match="connection to the controller.*lost"):
            open_result.get(timeout=LONG)


def test_every_call_says_that_the_controller_is_lost(cluster):
    client = cluster.client()
    everybody, balanced = client[:], client.load_balanced_view()
    cluster.controller.popen.kill()
    wait_until(lambda: client.closed, 60, "the client has given up its controller")
    calls = {
        "ids": lambda: client.ids,
        "len": lambda: len(client),
        "iteration": lambda: list(client),
        "a view": lambda: client[:],
        "the length of a view": lambda: len(balanced),
        "a direct call": lambda: everybody.apply_async(time.sleep, 0),
        "a balanced call": lambda: balanced.apply_async(time.sleep, 0),
        "engines that are there": lambda: client.wait_for_engines(1),
        "engines that are not": lambda: client.wait_for_engines(9),
        "engines, as a future": lambda: client.wait_for_engines(1, block=False).result(LONG),
        "the queue": lambda: client.queue_status(),
        "clear": lambda: client.clear(block=True),
    }
    for name, call in calls.items():
        with pytest.raises(ConnectionError, match="connection to the controller.*lost"):
            print(name, call())
    assert repr(client) == "<Client: closed>"


@pytest.mark.parametrize("wrong", [{"connection_info": "/nowhere/ipcontroller-client.json"}, {"password": "x"}])
def test_a_client_that_could_not_connect_can_be_shown_as_tracebacks_do(wrong):
    with pytest.raises((OSError, NotImplementedError)) as caught:
        Client(**wrong)
    clients = [
        entry.frame.f_locals["self"]
        for entry in caught.traceback
        if isinstance(entry.frame.f_locals.get("self"), Client)
    ]
    assert clients and all(repr(client) == "<Client: not connected>" for client in clients)


def test_a_forked_child_is_told_to_connect_anew(cluster, sandbox):
    cluster.client()
    code = """
import os, sys, ipcluster
client = ipcluster.Client(sys.argv[1])
client.wait_for_engines(2, timeout=100)
pid = os.fork()
if pid == 0:
    try:
        client[0].apply_sync(os.getpid)
    except Exception as error:
        print(error, flush=True)
    os._exit(0)
os.waitpid(pid, 0)
print(client[0].apply_sync(len, "ab"))
"""
    finished = sandbox.run(PYTHON, "-c", code, cluster.client_file, python=True, check=True)
    assert "connect again" in finished.out and finished.out.endswith("2\n")


def test_ctrl_c_ends_a_blocked_get(cluster, sandbox):
    cluster.client()
    code = """
import sys, time, ipcluster
client = ipcluster.Client(sys.argv[1])
client.wait_for_engines(2, timeout=100)
result = client[0].apply_async(time.sleep, 600)
try:
    print("waiting", flush=True)
    result.get()
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(client[1].apply_sync(len, "abc"), flush=True)
"""
    process = sandbox.start(PYTHON, "-c", code, cluster.client_file, python=True)
    process.wait_for_output("waiting")
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    process.wait_for_output("interrupted", 20)
    process.wait_for_output("3")
    assert process.wait() == 0


def test_a_program_that_ends_without_closing_ends(cluster, sandbox):
    cluster.client()
    code = "import sys, time, ipcluster; c = ipcluster.Client(sys.argv[1]); c.wait_for_engines(2); c[:].apply_async(time.sleep, 600)"
    sandbox.run(PYTHON, "-c", code, cluster.client_file, python=True, check=True)


# The C library


def test_the_c_example_builds_from_what_is_installed_and_runs(installed_sandbox, installed):
    program, library = build_c_example(installed_sandbox, installed)
    installed_sandbox.start(installed.ipcontroller)
    for _ in range(2):
        installed_sandbox.start(installed.ipengine)
    file = installed_sandbox.profile_dir() / "security/ipcontroller-client.json"
    wait_until(file.exists, 20, "the controller writes its file")
    installed_sandbox.run(
        PYTHON, "-c", "from ipcluster import Client; Client().wait_for_engines(2, timeout=100)", check=True
    )
    finished = installed_sandbox.run(program, env=library, check=True)
    assert finished.out.splitlines()[0] == "2 engines"
    assert 'output of engine 1: stream {"name":"stdout","text":"defined\\n"}' in finished.out
    assert "double(21): 42 42" in finished.out
    assert "pulled: [3, 16] [3, 16]" in finished.out
    assert "has come: 1048576 1048576" in finished.out
    assert "squares: 0 1 4 9 16 25 36 49" in finished.out
