"""An engine of ours that dies under ipyparallel's controller: the controller is told at once, as by its own engine's nanny.

Here its controller waits for missed heartbeats for hours before it gives an engine up, so only the watcher can tell it of the end."""

import json
import os
import signal

import psutil
import pytest

from ipcluster import RemoteError, interactive
from support import named, wait_until

PATIENT = ("--HeartMonitor.period=1000", "--HeartMonitor.max_heartmonitor_misses=10000")


def watchers(sandbox):
    return named(sandbox, "engine-watcher")


def wait_for_watchers(sandbox, count):
    wait_until(lambda: len(watchers(sandbox)) == count, 20, f"there are {count} watchers")


@interactive
def leave_by_exit():
    import os

    os._exit(1)


@interactive
def leave_by_segmentation_fault():
    import ctypes

    ctypes.string_at(8)


@interactive
def leave_by_kill():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGKILL)


@interactive
def leave_by_another_program():
    import os

    os.execv("/bin/true", ["true"])


@interactive
def leave_with_a_child_that_stays():
    """The child has a copy of every file that the engine had open."""
    import os
    import time

    if not os.fork():
        time.sleep(600)
    os._exit(1)


WAYS = [
    leave_by_exit,
    leave_by_segmentation_fault,
    leave_by_kill,
    leave_by_another_program,
    leave_with_a_child_that_stays,
]


def test_the_task_of_an_engine_that_dies_fails_at_once(sandbox, new_their_cluster):
    client = new_their_cluster(len(WAYS) + 1, controller=PATIENT).client()
    results = [client.load_balanced_view(targets=[engine]).apply_async(way) for engine, way in enumerate(WAYS)]
    for result in results:
        with pytest.raises(RemoteError, match="died while running task"):
            result.get(60)
    wait_until(lambda: client.ids == [len(WAYS)], 20, "their controller has heard of every end")
    assert client[:].apply_sync(os.getpid)
    wait_for_watchers(sandbox, 1)
    (orphan,) = [process for process in named(sandbox, "ipengine") if process.ppid() == 1]
    orphan.kill()


def test_user_code_and_launchers_do_not_meet_the_watcher(sandbox, new_their_cluster):
    """It is nobody's child here, has a session of its own, and holds no file of the engine's but those of its output."""
    cluster = new_their_cluster(1, controller=PATIENT)
    view = cluster.client()[:]

    @interactive
    def wait_for_any_child():
        import os

        try:
            os.wait()
        except ChildProcessError:
            return os.getpid(), os.getsid(0)

    ((engine, session),) = view.apply_sync(wait_for_any_child)
    wait_for_watchers(sandbox, 1)
    (watcher,) = watchers(sandbox)
    assert watcher.pid not in [child.pid for child in psutil.Process(engine).children()]
    assert os.getsid(watcher.pid) == watcher.pid != session
    assert watcher.cmdline() and not any("ipengine" in word for word in watcher.cmdline())
    files = {os.readlink(f"/proc/{watcher.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{watcher.pid}/fd")}
    pipes = {file for file in files if file.startswith("pipe:")}
    (hand_over,) = (file for file in files if file.startswith("socket:"))
    own = {"/dev/null", "anon_inode:[pidfd]", hand_over, str(cluster.engines[0].output_path)}
    assert len(pipes) == 2 and files - pipes == own
    # Neither what a terminal sends to the engine's group nor a launcher's kill of that group reaches it.
    os.killpg(os.getpgid(engine), signal.SIGKILL)
    wait_until(lambda: not cluster.clients[0].ids, 20, "their controller has heard of the end")
    wait_for_watchers(sandbox, 0)


def test_an_engine_that_leaves_in_order_leaves_no_watcher_and_some_have_none(sandbox, new_their_cluster):
    cluster = new_their_cluster(1, controller=PATIENT)
    cluster.start_engine("--IPEngine.enable_nanny=False")
    client = cluster.client()
    wait_for_watchers(sandbox, 1)
    assert cluster.engines[0].stop() == 0
    wait_until(lambda: len(client.ids) == 1, 20, "the engine has left")
    wait_for_watchers(sandbox, 0)
    assert cluster.controller.output.count("requested 'unregistration_request'") == 1


def test_an_engine_that_never_registers_leaves_no_watcher(sandbox, new_cluster):
    cluster = new_cluster()
    said = json.loads(cluster.engine_file.read_text())
    cluster.engine_file.write_text(json.dumps({**said, "registration": said["hb_ping"]}))
    engine = cluster.start_engine("--timeout=600")
    engine.wait_for_output("registering with the controller")
    wait_for_watchers(sandbox, 1)
    engine.stop(signal.SIGKILL)
    wait_for_watchers(sandbox, 0)


def test_mpiexec_ends_though_its_engines_had_watchers(sandbox, new_their_cluster):
    pytest.importorskip("mpi4py")
    cluster = new_their_cluster(controller=PATIENT)
    mpiexec = sandbox.start(
        "mpiexec", "-n", 2, "--oversubscribe", sandbox.programs.ipengine, "--mpi=mpi4py", env=sandbox.no_leak_check()
    )
    client = cluster.client(wait_for=2)
    assert client[:].apply_sync(interactive(lambda: __import__("mpi4py.MPI").MPI.COMM_WORLD.allreduce(1))) == [2, 2]
    wait_for_watchers(sandbox, 2)
    client[0].apply_async(leave_by_kill)
    assert mpiexec.wait() != 0  # it ends the other engine
    wait_until(lambda: not client.ids, 20, "their controller has heard of both ends")
    wait_for_watchers(sandbox, 0)
