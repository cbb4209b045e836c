"""What users of ipyparallel's client expect of ours: results of others, what the hub knows, executors, joblib, dill, clusters."""

import asyncio
import concurrent.futures
import os
import signal
import threading
import time
from pathlib import Path

import pytest

from support import LONG, PYTHON, typed, wait_for_file, wait_until


@pytest.fixture
def clients(new_cluster):
    """Two clients of one cluster, whose hub keeps records."""
    cluster = new_cluster(2, controller=["--dictdb"])
    return cluster.client(), cluster.client()


# Results from the hub


def test_another_clients_results_are_fetched(ipcluster, clients, gate):
    one, other = clients
    sleeping = one[0].apply_async(wait_for_file, str(gate), b"x" * 5000)
    printed = one[1].execute("print('hello'); 6 * 7", silent=False, block=True)
    failed = one.load_balanced_view().apply_async(typed(lambda: 1 / 0))
    fetched = other.get_result([sleeping.msg_ids[0], printed.msg_ids[0]])
    assert isinstance(fetched, ipcluster.AsyncHubResult) and not fetched.ready()
    wait_until(
        lambda: other.db_query({"msg_id": printed.msg_ids[0]}, keys=["stdout"])[0]["stdout"], 20, "output is recorded"
    )
    gate.touch()
    values = fetched.get(timeout=LONG)
    assert values[0] == b"x" * 5000 and values[1].execute_result["data"]["text/plain"] == "42"
    assert fetched.stdout[1] == "hello\n" and fetched.engine_id == [0, 1]
    assert abs((fetched.submitted[0] - sleeping.submitted).total_seconds()) < 60
    with pytest.raises(ipcluster.RemoteError, match="ZeroDivisionError"):
        other.get_result(failed.msg_ids[0]).get(timeout=LONG)
    with pytest.raises(ipcluster.RemoteError, match="no record|KeyError"):
        other.get_result("nobody_1").get(timeout=LONG)


def test_what_was_fetched_is_remembered_if_asked_for(ipcluster, clients):
    one, other = clients
    first = one[0].apply_async(abs, -5)
    first.get(timeout=LONG)
    (msg_id,) = first.msg_ids
    assert other.get_result(msg_id, owner=False).get(timeout=LONG) == 5
    again = other.get_result(msg_id)
    assert not isinstance(again, ipcluster.AsyncHubResult) and again.get() == 5
    assert isinstance(other.get_result(msg_id), ipcluster.AsyncHubResult)
    assert other.get_result(again).get() == 5


def test_closing_ends_what_is_being_fetched(clients):
    one, other = clients
    running = one[0].apply_async(time.sleep, 30)
    wait_until(lambda: other.queue_status(0)["queue"] == 1, 20, "the hub hears of it")
    fetched = other.get_result(running.msg_ids[0])
    assert not fetched.wait(0.3)
    other.close()
    with pytest.raises(Exception, match="closed"):
        fetched.get(timeout=LONG)


def test_the_status_of_results(clients, gate):
    one, other = clients
    done = one[0].apply_async(abs, -1)
    done.wait()
    running = one[0].apply_async(wait_for_file, str(gate))
    wait_until(lambda: one.queue_status(0)["queue"] == 1, 20, "the hub hears of it")
    for client in clients:
        ids = [done.msg_ids[0], running.msg_ids[0]]
        status = wait_until(
            lambda c=client, i=ids: (s := c.result_status(i))["completed"] and s, 20, "the hub hears of the end"
        )
        assert status == {"completed": [ids[0]], "pending": [ids[1]]}
    assert other.result_status([done], status_only=False)[done.msg_ids[0]] == 1


def test_results_that_nobody_fetched_are_kept_until_they_are_purged(clients, gate):
    one, _ = clients
    running = one[0].apply_async(wait_for_file, str(gate))
    result = one[1].apply_async(abs, -7)
    result.wait()
    (msg_id,) = result.msg_ids
    assert one.results[msg_id] == 7 and one.metadata[msg_id].engine_id == 1
    view = one[1]
    failed = view.apply_async(divmod, 1, 0)
    failed.wait()
    for _ in range(2):  # looking at results does not fetch them
        assert view.results[failed.msg_ids[0]].ename == one.results[failed.msg_ids[0]].ename == "ZeroDivisionError"
    with pytest.raises(RuntimeError, match=running.msg_ids[0]):
        one.purge_local_results("all")
    one.purge_local_results(targets=1)
    assert msg_id not in one.results
    gate.touch()
    running.wait()
    one.purge_local_results("all")
    assert not one.results and not one.metadata
    with pytest.raises(ValueError):
        one.purge_results()


def test_of_what_has_been_answered_the_newest_are_kept_also_when_nothing_is_sent_any_more(clients, gate):
    one, _ = clients
    blocked = one[0].apply_async(wait_for_file, str(gate))
    results = [one[0].apply_async(abs, -1) for _ in range(9000)]
    gate.touch()
    assert one.wait([blocked, *results], LONG)
    wait_until(lambda: len(one.requests.futures) == 4096, 20, "older ones are forgotten")
    assert len(one.results) == len(one.metadata) == 4096
    more = [one[0].apply_async(abs, -1) for _ in range(100)]
    assert one.wait(more, LONG)
    wait_until(
        lambda: len(one.results) == 4096 and more[-1].msg_ids[0] in one.results, 20, "and these are in their place"
    )


def test_the_hub_without_records_says_so(ipcluster, cluster):
    client = cluster.client()
    with pytest.raises(ipcluster.RemoteError, match="dictdb"):
        client.get_result("nobody_1").get(timeout=LONG)
    with pytest.raises(ipcluster.RemoteError, match="dictdb"):
        client.hub_history()


# As futures


def test_results_are_futures(cluster, gate):
    client = cluster.client()
    results = [client[0].apply_async(wait_for_file, str(gate)), client[1].apply_async(abs, -1)]
    assert next(concurrent.futures.as_completed(results, timeout=LONG)) is results[1]
    gate.touch()
    done, others = concurrent.futures.wait(results, timeout=LONG)
    assert done == set(results) and not others
    failing = client[0].apply_async(typed(lambda: 1 / 0))
    end = gate.with_name("end")
    slow = client[1].apply_async(wait_for_file, str(end))
    done, others = concurrent.futures.wait([failing, slow], LONG, concurrent.futures.FIRST_EXCEPTION)
    assert done == {failing} and others == {slow}
    end.touch()

    async def both():
        return await asyncio.gather(*[asyncio.wrap_future(client[i].apply_async(abs, -i)) for i in client.ids])

    assert asyncio.run(both()) == [0, 1]
    plain = concurrent.futures.Future()
    threading.Timer(0.1, plain.set_result, [1]).start()
    assert client.wait([plain, slow], timeout=LONG) and slow.ready()


def test_waiting_for_some(ipcluster, cluster, gate):
    view = cluster.client()[:]
    view.scatter("waits", [False, True], flatten=True, block=True)
    wait = f"import os, time\nwhile waits and not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    result = view.execute(wait)
    done, others = result.wait(LONG, return_when=ipcluster.FIRST_COMPLETED)
    assert [part.engine_id for part in done] == [0] and len(others) == 1
    failing = view.execute(f"assert waits\n{wait}")
    gate.touch()
    assert type(result).join(*done, *others).get(timeout=LONG)
    with pytest.raises(ipcluster.RemoteError, match="AssertionError"):
        failing.get(timeout=LONG, return_when=ipcluster.FIRST_EXCEPTION)


def test_views_are_executors(cluster):
    client = cluster.client()
    with client.executor() as executor:
        assert [future.result() for future in [executor.submit(pow, 2, n) for n in range(5)]] == [1, 2, 4, 8, 16]
        assert list(executor.map(abs, range(-3, 0))) == list(executor.map(abs, range(-3, 0), chunksize=2)) == [3, 2, 1]
    assert client[1].executor.submit(os.getpid).result() == cluster.engines[1].pid or len(client) == 2


# Other ways to send functions

BY_VALUE = """
import sys, ipcluster
client = ipcluster.Client(sys.argv[1])
client.wait_for_engines(2, timeout=100)
view = client[:]
getattr(view, "use_" + sys.argv[2])().get(timeout=20)

def scaled(by):
    return lambda x: by * x

class Scale:
    def __init__(self, by): self.by = by
    def times(self, x): return self.by * x

assert view.apply_sync(scaled(3), 2) == [6, 6]
assert view.apply_sync(Scale(2).times, 2) == [4, 4]
assert client.load_balanced_view().map_sync(scaled(2), range(5)) == [0, 2, 4, 6, 8]
assert view.apply_sync(lambda by: (lambda y: by * y), 3)[0](5) == 15
view.push({"f": scaled(2)}, block=True)
assert view.apply_sync(ipcluster.Reference("f"), 4) == [8, 8]
view.scatter("part", range(4), block=True)
assert list(view.gather("part", block=True)) == [0, 1, 2, 3]

with view.sync_imports(quiet=True):
    import xml.dom as dom
assert view["dom.__name__"] == ["xml.dom"] * 2

@ipcluster.require("json")
def needs(x):
    import json
    return json.dumps(x)

assert client.load_balanced_view().apply_sync(needs, 4) == "4"
view.use_pickle().get(timeout=20)
assert view.apply_sync(abs, -1) == [1, 1]
print("all went well")
"""


@pytest.mark.parametrize("package", ["dill", "cloudpickle"])
def test_functions_by_value(cluster, sandbox, package):
    pytest.importorskip(package)
    finished = sandbox.run(PYTHON, "-c", BY_VALUE, cluster.client_file, package, python=True)
    assert finished.out == "all went well\n", finished


def test_joblib_runs_on_engines(ipcluster, cluster):
    joblib = pytest.importorskip("joblib")
    balanced = cluster.client().load_balanced_view()
    balanced.register_joblib_backend("engines")
    with joblib.parallel_backend("engines"):
        pids = joblib.Parallel(n_jobs=2, batch_size=1)(joblib.delayed(os.getpid)() for _ in range(6))
    assert set(pids) <= {engine.pid for engine in cluster.engines}


# Clusters


def test_a_cluster_from_python(ipcluster, sandbox_here):
    with ipcluster.Cluster(n=2) as client:
        assert len(client) == 2 and client.cluster.running
        assert len(set(client[:].apply_sync(os.getpid))) == 2
        client.wait_for_engines()
        again = ipcluster.Cluster.from_file(cluster_id=client.cluster.cluster_id).connect_client_sync()
        assert again.wait_for_engines(2, block=False).result(timeout=LONG) is None
        again.close()
        manager = ipcluster.ClusterManager()
        key = f"default:{client.cluster.cluster_id}"
        assert list(manager.load_clusters(profile="default")) == [key]
        assert manager.get_cluster(key).connection_file == client.cluster.connection_file
        new, _ = manager.new_cluster(cluster_id="another")
        with pytest.raises(KeyError, match="already"):
            manager.new_cluster(cluster_id="another")
    assert list(manager.load_clusters()) == [new] and not manager.list_clusters()
    sandbox_here.wait_for_no_processes()
    with pytest.raises(FileNotFoundError, match="no cluster runs"):
        ipcluster.Cluster.from_file()
    with pytest.raises(RuntimeError, match="ipcluster start failed"):
        ipcluster.Cluster(n=1, options=["--nothing-of-this-name"]).start_cluster_sync()


def test_a_clusters_engine_timeout_is_what_its_programs_wait(ipcluster, sandbox_here):
    cluster = ipcluster.Cluster(
        n=1, engine_timeout=1.5, options=["--EngineLauncher.engine_cmd=['sh', '-c', 'exec sleep 1000']"]
    )
    with pytest.raises(RuntimeError, match="No further engine has registered for 2 seconds"):
        cluster.start_cluster_sync()
    sandbox_here.wait_for_no_processes()


def test_a_cluster_is_there_with_the_fewest_engines_that_it_is_asked_for_and_shows_how_far_it_is(
    ipcluster, sandbox_here, capfd
):
    first = sandbox_here.dir / "first"
    engine = f'mkdir {first} && exec {sandbox_here.programs.ipengine} "$@"; exec sleep 1000'
    with ipcluster.Cluster(
        n=2, n_min=1, progress=True, options=[f"--EngineLauncher.engine_cmd={['sh', '-c', engine, 'sh']}"]
    ) as client:
        assert client[:].apply_sync(len, "four") == [4]
    assert "1 of 2 more engines are up\n" in capfd.readouterr().err


def test_a_cluster_step_by_step(ipcluster, sandbox_here):
    cluster = ipcluster.Cluster()
    asyncio.run(cluster.start_controller())
    first, second = cluster.start_engines_sync(1), cluster.start_engines_sync(2)
    with cluster.connect_client_sync() as client:
        client.wait_for_engines(3, timeout=60)
        before = set(client[:].apply_sync(os.getpid))
        cluster.stop_engines_sync(first)
        wait_until(lambda: len(client) == 2, 30, "the client hears of the engine that was stopped")
        with pytest.raises(ValueError, match="no set of engines"):
            cluster.stop_engines_sync(first)
        cluster.restart_engines_sync(second)
        client.wait_for_engines(2, timeout=60)
        wait_until(
            lambda: len(client) == 2 and before.isdisjoint(client[:].apply_sync(os.getpid)), 30, "two other engines"
        )
        assert cluster.start_engines_sync(1, "third") == "third"
        third = "third"
        client.wait_for_engines(3, timeout=60)
        client[:].execute(
            "import signal; heard = []; signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))", block=True
        )
        cluster.signal_engines_sync(signal.SIGUSR1, third)
        wait_until(
            lambda: sorted(client[:]["len(heard)"]) == [0, 0, 1], 30, "the signal has come to the engine of its set"
        )
        cluster.signal_engine_sync(signal.SIGUSR1, client.ids[0])
        wait_until(lambda: client[client.ids[0]]["len(heard)"] == 1, 30, "and to the one that is named")
        cluster.stop_engine_sync(client.ids[0])
        wait_until(lambda: len(client) == 2, 30, "it has ended")
        cluster.stop_engines_sync()
        wait_until(lambda: not len(client), 30, "all engines are gone")
    cluster.stop_cluster_sync()
    sandbox_here.wait_for_no_processes()


def test_engines_whose_supervisor_was_killed_are_stopped_with_their_cluster_alone(ipcluster, sandbox_here):
    cluster = ipcluster.Cluster(n=1).start_cluster_sync()
    (entry,) = ipcluster.ClusterManager().list_clusters()
    os.kill(entry["pid"], signal.SIGKILL)
    with pytest.raises(RuntimeError, match="was killed"):
        cluster.stop_engines_sync()
    cluster.stop_cluster_sync()
    sandbox_here.wait_for_no_processes()


@pytest.mark.parametrize("stays", [False, True], ids=["ends with it", "stays when told to"])
def test_a_program_that_ends_stops_the_cluster_it_started(ipcluster, sandbox_here, stays):
    code = f"import ipcluster; ipcluster.Cluster(n=1, cluster_id='a', shutdown_atexit={not stays}).start_and_connect_sync()"
    sandbox_here.run(PYTHON, "-c", code, python=True, check=True)
    if stays:
        ipcluster.Cluster.from_file(cluster_id="a").stop_cluster_sync()
    else:
        with pytest.raises(FileNotFoundError, match="no cluster runs"):
            ipcluster.Cluster.from_file(cluster_id="a")
    sandbox_here.wait_for_no_processes()


# Dask


@pytest.mark.parametrize("nanny", [False, True], ids=["in the engine", "with a nanny"])
def test_engines_become_dask_workers(sandbox, cluster, nanny):
    if sandbox.sanitizers:
        pytest.skip("Dask is Python alone, and slow enough")
    pids = [engine.pid for engine in cluster.engines]
    session = Path(__file__).with_name("dask_session.py")
    assert (
        sandbox.run(PYTHON, session, cluster.client_file, nanny, *pids, python=True, timeout=120, check=True).out
        == "done\n"
    )
