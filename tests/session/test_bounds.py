"""What a request and an engine may take: time for what runs, memory for the process, and its batch job's time."""

import os
import time

import pytest

from support import LONG, PATIENCE, typed, wait_for_file, wait_until


@typed
def hold_memory(megabytes):
    import time

    held = b"x" * (megabytes << 20)
    time.sleep(600)
    return len(held)


@typed
def stubborn():
    import time

    while True:
        try:
            time.sleep(600)
        except KeyboardInterrupt:
            pass


@typed
def deaf_once():
    import time

    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pass
    time.sleep(600)


@pytest.mark.parametrize("kind", ["direct", "balanced", "broadcast", "execute"])
def test_a_request_that_runs_longer_than_its_time_limit_is_interrupted_and_says_so(ipcluster, cluster, kind):
    client = cluster.client()
    pids = client[:].apply_sync(os.getpid)
    views = {
        "direct": client[0],
        "balanced": client.load_balanced_view(),
        "broadcast": client.broadcast_view([0]),
        "execute": client[0],
    }
    view = views[kind]
    with view.temp_flags(time_limit=0.3):
        result = (
            view.execute("import time; time.sleep(600)") if kind == "execute" else view.apply_async(time.sleep, 600)
        )
    with view.temp_flags(time_limit=LONG):
        quick = view.apply_async(abs, -1)
    with pytest.raises(ipcluster.RemoteError, match=r"TaskTimeout.*time limit of 0\.3 s"):
        result.get(timeout=LONG)
    assert quick.get(timeout=LONG) in (1, [1])
    assert client[:].apply_sync(os.getpid) == pids, "no engine has ended of it"


def test_what_swallows_an_interrupt_gets_a_second_and_its_engine_lives(ipcluster, cluster):
    client = cluster.client()
    view = client[0]
    pid = view.apply_sync(os.getpid)
    with view.temp_flags(time_limit=0.3):
        result = view.apply_async(deaf_once)
    with pytest.raises(ipcluster.RemoteError, match=r"TaskTimeout.*time limit of 0\.3 s"):
        result.get(timeout=LONG)
    assert view.apply_sync(os.getpid) == pid


def test_what_does_not_end_when_its_time_is_over_ends_with_its_engine(ipcluster, cluster):
    client = cluster.client()
    view = client[0]
    view.time_limit = 0.3
    result = view.apply_async(stubborn)
    with pytest.raises(ipcluster.EngineError, match=r"time limit of 0\.3 s"):
        result.get(timeout=LONG)
    assert client[1].apply_sync(abs, -1) == 1


def test_a_task_that_ran_too_long_is_tried_again_where_it_may_be(cluster, sandbox):
    view = cluster.client().load_balanced_view(retries=1, time_limit=PATIENCE)

    @typed
    def long_at_first(path):
        import os
        import time

        if not os.path.exists(path):
            open(path, "w").close()
            time.sleep(600)
        return "at last"

    assert view.apply_async(long_at_first, str(sandbox.dir / "ran")).get(timeout=LONG) == "at last"


@pytest.mark.parametrize("value", [0, -1, "soon", True, float("nan")])
def test_a_time_limit_that_is_none_is_refused(cluster, value):
    view = cluster.client()[0]
    with pytest.raises(ValueError, match="time limit"):
        view.set_flags(time_limit=value)


def test_an_engine_with_more_memory_than_it_may_have_ends_and_says_why(ipcluster, new_cluster):
    cluster = new_cluster(1, engine=["--IPEngine.memory_limit=2G"])
    client = cluster.client()
    result = client[0].apply_async(hold_memory, 1660)
    cluster.engines[0].wait_for_output(r"WARN: the engine uses \d+ MiB of memory; above 2048 MiB it ends", 2 * LONG)
    client.interrupt(0, block=True)
    with pytest.raises(ipcluster.RemoteError, match="KeyboardInterrupt"):
        result.get(timeout=LONG)
    result = client[0].apply_async(hold_memory, 2100)
    with pytest.raises(ipcluster.EngineError, match=r"more than its limit of 2048 MiB"):
        result.get(timeout=LONG)
    assert cluster.engines[0].wait() == 8


def test_a_batch_job_of_an_unknown_system_is_an_error_that_lists_the_systems(sandbox, programs):
    for value in ("Some", "Some job {SOME_JOB_ID"):
        finished = sandbox.run(programs.ipengine, f"--IPEngine.batch_job={value}")
        assert finished.status == 1 and "IPEngine.batch_job is one of Slurm, " in finished.err, finished
        assert f"not '{value}'" in finished.err, finished


def test_a_memory_limit_that_is_no_amount_is_an_error_that_says_what_is(sandbox, programs):
    for value in ("much", "120%", "0", "-1G", "3X"):
        finished = sandbox.run(programs.ipengine, f"--IPEngine.memory_limit={value}")
        assert finished.status == 1 and "IPEngine.memory_limit must be a number of bytes" in finished.err, finished


def test_an_engine_takes_nothing_new_before_its_batch_job_ends_and_its_tasks_are_done_by_others(sandbox, new_cluster):
    cluster, gate = new_cluster(1, controller=["--TaskScheduler.hwm=1"]), sandbox.dir / "gate"
    end = int(time.time() + 3600 + 2 * PATIENCE)
    ending = cluster.start_engine("--IPEngine.end_notice=3600", env={"SLURM_JOB_END_TIME": str(end)})
    client = cluster.client(wait_for=1)
    tasks = [client.load_balanced_view(retries=0).apply_async(wait_for_file, str(gate)) for _ in range(6)]
    ending.wait_for_output("its batch job ends at .*: it accepts nothing new", 60)
    gate.touch()
    for task in tasks:
        task.get(timeout=LONG)
    assert ending.wait() == 8
    assert f"left: its batch job ends at {time.strftime('%H:%M', time.localtime(end))}" in client.departed[0]["reason"]


def test_an_engine_that_was_told_to_drain_ends_before_its_batch_job_does_all_the_same(ipcluster, sandbox, new_cluster):
    @typed
    def work(begun):
        import time

        open(begun, "w").close()
        time.sleep(600)

    end, begun = time.time() + 10 + 5 * PATIENCE, sandbox.dir / "begun"
    cluster = new_cluster(0)
    engine = cluster.start_engine("--IPEngine.end_notice=1", env={"SLURM_JOB_END_TIME": str(end)})
    client = cluster.client()
    result = client[0].apply_async(work, str(begun))
    wait_until(begun.exists, 20, "the work has begun")
    client.drain(0)
    with pytest.raises(ipcluster.EngineError, match="what ran did not finish in time"):
        result.get(timeout=LONG)
    assert time.time() < end and engine.wait() == 0
