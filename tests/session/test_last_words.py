"""An engine that dies: what it wrote last is in its own output, and at the client with the way it died."""

import contextlib
import os
import re
import shutil
import signal
import socket
import time

import ipcluster
import psutil
import pytest

from ipcluster import EngineError, RemoteError, interactive
from support import LONG, find_build, kill, named, sanitizers, wait_for_file, wait_until


@interactive
def failed_assertion():
    import ctypes

    ctypes.CDLL(None).__assert_fail(b"rank < size", b"solver.c", 42, b"solve")


@interactive
def uncaught_exception():
    import ctypes

    ctypes.CDLL("libstdc++.so.6")._ZSt20__throw_out_of_rangePKc(b"index 7 of 5")


@interactive
def invalid_pointer():
    import ctypes

    block = ctypes.create_string_buffer(4096)
    ctypes.CDLL(None).free(ctypes.c_void_p(ctypes.addressof(block) + 1024 + 8))


@interactive
def null_pointer():
    import ctypes

    ctypes.string_at(0)


@interactive
def exit_with_words():
    import os

    os.write(1, b"first this, ")
    os.write(2, "dann Übles".encode())
    os._exit(7)


@interactive
def killed_behind_much():
    import os
    import signal

    os.write(2, b"x" * 60000 + b"so far it came\n\xff")
    os.kill(os.getpid(), signal.SIGKILL)


@interactive
def exit_with_a_child_that_stays():
    import os
    import time

    if not os.fork():
        time.sleep(600)
    os.write(2, b"only my child stays")
    os._exit(3)


# The way, how it ends, and what it writes.
WAYS = [
    (failed_assertion, "killed by signal 6 (Aborted)", "solver.c:42: solve: Assertion `rank < size' failed."),
    (
        uncaught_exception,
        "killed by signal 6 (Aborted)",
        "terminate called after throwing an instance of 'std::out_of_range'\n" "  what():  index 7 of 5",
    ),
    (invalid_pointer, "killed by signal 6 (Aborted)", "free(): invalid pointer"),
    (null_pointer, "killed by signal 11 (Segmentation fault)", "in string_at"),
    (exit_with_words, "exited with status 7", "first this, dann Übles"),
    (killed_behind_much, "killed by signal 9 (Killed)", "xxx so far it came".replace(" ", "", 1)),
    (exit_with_a_child_that_stays, "exited with status 3", "only my child stays"),
]
if sanitizers(find_build()):  # sanitizers have their own words for the first ways
    WAYS = WAYS[4:]


def name_of(pid, number):
    return f"engine {number} ({socket.gethostname()}, process {pid})"


def test_what_a_dying_process_wrote_is_in_its_log_and_in_the_error_of_what_it_ran(sandbox, new_cluster):
    cluster = new_cluster(len(WAYS))
    client = cluster.client()
    pids = client[:].apply_async(os.getpid).get_dict()
    by_id = {number: engine for engine in cluster.engines for number, pid in pids.items() if pid == engine.pid}
    views = [client[number] if number % 2 else client.load_balanced_view(targets=[number]) for number in client.ids]
    results = [view.apply_async(way) for view, (way, _, _) in zip(views, WAYS)]
    for number, (result, (_, how, words)) in enumerate(zip(results, WAYS)):
        with pytest.raises(EngineError) as caught:
            result.get(LONG)
        said = caught.value.evalue
        name = name_of(by_id[number].pid, number)
        assert said.startswith(f"{name} died: {how}; its last words: "), said
        assert words in said and len(said) < 6000
        assert str(caught.value).count(words) == 1
        assert words.splitlines()[-1] in by_id[number].output
        cluster.controller.wait_for_output(re.escape(f"{name} died: {how}; its last words: "))
    kill(process for process in named(sandbox, "ipengine") if process.ppid() == 1)


@pytest.mark.skipif(bool(sanitizers(find_build())), reason="sanitizers report the crash themselves")
def test_where_user_code_was_when_it_crashed_is_in_its_error(new_cluster):
    @interactive
    def deeper():
        import ctypes

        ctypes.string_at(0)

    with pytest.raises(EngineError) as caught:
        new_cluster(1).client()[0].apply_sync(deeper)
    assert re.search(
        r"Fatal Python error: Segmentation fault\n(.*\n)*  File .*ctypes/__init__.py\", line \d+ in string_at\n"
        rf"  File \"{re.escape(__file__)}\", line \d+ in deeper",
        caught.value.evalue,
    ), caught.value.evalue


def test_the_last_words_of_an_engine_come_to_another_controller_too(new_cluster):
    cluster = new_cluster(1, controller=["--reuse"])
    client = cluster.client()
    assert client[0].apply_sync(abs, -1) == 1
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--reuse")
    assert client[0].apply_async(abs, -1).get(LONG) == 1
    with pytest.raises(EngineError, match="(?s)exited with status 7.*dann Übles"):
        client[0].apply_async(exit_with_words).get(LONG)


def test_the_engines_of_a_broadcast_that_die_have_their_last_words_in_its_error(new_cluster):
    client = new_cluster(2).client()
    view = client.broadcast_view()
    view.is_coalescing = True
    with pytest.raises(
        RemoteError,
        match="EngineError: engine [01] .* died: exited with status 7; its last words: first this, dann Übles",
    ):
        view.apply_sync(exit_with_words)


def test_what_an_earlier_request_printed_are_not_the_last_words_of_another(new_cluster):
    cluster = new_cluster(1)
    client = cluster.client()
    client[0].apply_sync(interactive(lambda: print("of a request that is over")))

    @interactive
    def silent_end():
        import os

        os._exit(5)

    with pytest.raises(EngineError) as caught:
        client[0].apply_sync(silent_end)
    assert caught.value.evalue.endswith("died: exited with status 5")
    assert "of a request that is over" in cluster.engines[0].output


def test_an_engine_that_is_told_to_end_says_so_and_keeps_what_it_prints_at_the_end(new_cluster, sandbox):
    cluster = new_cluster(1)
    client = cluster.client()
    client[0].execute("import atexit; atexit.register(print, 'the end of the program')", block=True)
    begun = sandbox.dir / "begun"
    result = client[0].apply_async(wait_for_file, str(sandbox.dir / "never"), begun=str(begun))
    wait_until(begun.exists, 20, "it runs")
    assert cluster.engines[0].stop() == 0
    with pytest.raises(EngineError, match=r"the engine was told to end \(SIGTERM\)"):
        result.get(LONG)
    wait_until(lambda: "the end of the program" in cluster.engines[0].output, 20, "what was printed last is in the log")
    wait_until(lambda: not named(sandbox, "engine-watcher"), 20, "its watcher has ended")
    cluster.controller.wait_for_output(r"engine 0 \(.*\) left: the engine was told to end \(SIGTERM\)")


def test_a_request_that_an_engine_never_got_fails_with_what_the_engine_died_of(controller_and_late_engine):
    result, engine = controller_and_late_engine
    engine.send_signal(signal.SIGKILL)
    with pytest.raises(EngineError, match="engine 0 .* died: killed by signal 9"):
        result.get(LONG)


@pytest.fixture
def controller_and_late_engine(new_cluster):
    """The result of a request to an engine that is stopped, and the engine."""
    cluster = new_cluster(1)
    client = cluster.client()
    cluster.engines[0].send_signal(signal.SIGSTOP)
    return client[0].apply_async(os.getpid), cluster.engines[0]


def test_without_a_watcher_the_end_of_the_connection_tells_as_much_as_it_can(new_cluster, sandbox):
    cluster = new_cluster(1, engine=["--IPEngine.enable_nanny=false"])
    client = cluster.client()
    wait_until(lambda: not named(sandbox, "engine-watcher"), 20, "it has no watcher")
    with pytest.raises(EngineError, match="engine 0 .* died, or cannot be reached$"):
        client.load_balanced_view().apply_sync(exit_with_words)


def test_an_abort_of_mpi_ends_a_rank_with_its_code_which_its_error_says(sandbox, new_cluster):
    pytest.importorskip("mpi4py")
    cluster = new_cluster(0)
    mpiexec = sandbox.start(
        "mpiexec", "-n", 2, "--oversubscribe", sandbox.programs.ipengine, "--mpi=mpi4py", env=sandbox.no_leak_check()
    )

    @interactive
    def abort():
        from mpi4py import MPI

        MPI.COMM_WORLD.Abort(7)

    with pytest.raises(EngineError, match=r"engine 1 \(.*\) died: exited with status 7"):
        cluster.client(wait_for=2)[1].apply_sync(abort)
    assert mpiexec.wait() == 7


# What it is called


def test_an_engine_of_ipcluster_is_called_by_its_id_host_and_process_wherever_its_end_is_told(sandbox):
    cluster = sandbox.start(sandbox.programs.ipcluster, "start", "--n=3")
    cluster.wait_for_output("The cluster is up", 60)
    logs = sandbox.profile_dir() / "log"
    with ipcluster.Client(timeout=LONG) as client:
        pids = client[:].apply_async(os.getpid).get_dict()
        ids = {pid: number for number, pid in pids.items()}
        # The last engine as the launcher counts them: its id depends on the order of registration.
        victim = max(ids)
        result = client[ids[victim]].apply_async(exit_with_words)
        with pytest.raises(EngineError, match=re.escape(name_of(victim, ids[victim]))):
            result.get(LONG)
    said = name_of(victim, ids[victim]).replace("engine", "Engine")
    cluster.wait_for_output(re.escape(f"{said} ended with status 7\n"))
    log = cluster.wait_for_output(r"The end of (.*):\n").group(1)
    assert log.endswith(f"-{victim}.log")
    cluster.wait_for_output(rf"ipengine\[{victim}\] INFO: registered as engine {ids[victim]} ")
    cluster.wait_for_output("first this, dann Übles")
    assert {int(path.stem.rpartition("-")[2]) for path in logs.glob("ipengine-*.log")} == set(ids)
    (controller_log,) = logs.glob("ipcontroller-*.log")
    assert f"{name_of(victim, ids[victim])} died: exited with status 7" in controller_log.read_text()
    assert cluster.stop(timeout=60) == 0


def test_ipcluster_shows_the_last_words_that_an_engines_watcher_has_still_to_write(sandbox):
    cluster = sandbox.start(sandbox.programs.ipcluster, "start", "--n=1")
    cluster.wait_for_output("The cluster is up", 60)
    (log,) = (sandbox.profile_dir() / "log").glob("ipengine-*.log")
    (watcher,) = named(sandbox, "engine-watcher")
    watcher.suspend()
    with ipcluster.Client(timeout=LONG) as client:
        client[0].apply_async(exit_with_words)
        try:
            files = psutil.Process(cluster.pid).open_files
            # On NFS an exclusive lock needs a file that is open for writing.
            opened = str(log), "r+"
            wait_until(lambda: opened in [(file.path, file.mode) for file in files()], 20, "it waits for the watcher")
        finally:
            watcher.resume()
    cluster.wait_for_output(r"The end of .*:\n(.*\n)*.*first this, dann Übles")


def test_the_watcher_of_an_engine_whose_program_is_replaced_finds_the_rest_of_its_installation(
    sandbox, new_cluster, build, tmp_path
):
    """As where ipcluster is built or installed anew while engines run."""
    cluster = new_cluster(0)
    program = tmp_path / "tree/core/engine/ipengine"
    program.parent.mkdir(parents=True)
    (tmp_path / "tree/config.status").touch()
    (program.parent / ".libs").symlink_to(build / "core/engine/.libs")
    shutil.copy(build / "core/engine/ipengine", program)
    sandbox.start(program)
    with ipcluster.Client(str(cluster.client_file), timeout=LONG) as client:
        client.wait_for_engines(1, timeout=LONG)
        program.unlink()
        with pytest.raises(EngineError, match="killed by signal 9.*so far it came"):
            client[0].apply_async(killed_behind_much).get(LONG)


def test_the_watcher_of_an_engine_that_was_started_without_standard_input_has_its_output(sandbox, new_cluster):
    cluster = new_cluster(0)
    engine = sandbox.start("/bin/sh", "-c", 'exec "$0" "$1" <&-', sandbox.programs.ipengine, "--profile=default")
    with ipcluster.Client(str(cluster.client_file), timeout=LONG) as client:
        client.wait_for_engines(1, timeout=LONG)
        (watcher,) = named(sandbox, "engine-watcher")
        output = str(engine.output_path)
        assert [os.readlink(f"/proc/{watcher.pid}/fd/{fd}") for fd in range(3)] == ["/dev/null", output, output]


def test_an_engine_that_never_had_an_id_is_called_by_its_host_and_process(sandbox):
    broken = sandbox.dir / "broken"
    broken.write_text("#!/bin/sh\necho process $$ is broken\nexit 7\n")
    broken.chmod(0o755)
    failed = sandbox.run(sandbox.programs.ipcluster, "start", "--n=2", f"--EngineLauncher.engine_cmd={broken}")
    pid = re.search(
        r"An engine that had not registered \(.*, process (\d+)\) ended with status 7 before", failed.err
    ).group(1)
    assert f"-{pid}.log:" in failed.err and f"process {pid} is broken" in failed.err


# What is printed, while the engine lives


@interactive
def print_much(count):
    import os

    for _ in range(count):
        os.write(1, b"." * 65535 + b"\n")


@contextlib.contextmanager
def engine_that_nobody_reads(sandbox, cluster):
    """Its output is a pipe, of which the first line alone is read."""
    engine = sandbox.start("/bin/sh", "-c", '"$0" 2>&1 | { read line; exec sleep 600; }', sandbox.programs.ipengine)
    yield cluster.client(wait_for=1)
    engine.send_signal(signal.SIGKILL)
    kill(named(sandbox, "ipengine", "sleep"))


def test_what_a_function_forked_does_not_hang_when_it_prints_after_its_engines_end(new_cluster, tmp_path):
    @interactive
    def fork_one_that_prints(path):
        import os
        import signal

        if not os.fork():
            try:
                while True:
                    os.write(1, b"x" * 4096)
            except BrokenPipeError:
                open(path, "w").close()
            os._exit(0)
        os.kill(os.getpid(), signal.SIGKILL)

    client = new_cluster(1).client(wait_for=1)
    with pytest.raises(EngineError, match="killed by signal 9"):
        client[0].apply_sync(fork_one_that_prints, str(tmp_path / "ended"))
    wait_until((tmp_path / "ended").exists, 20, "the child has heard that nobody reads")


@pytest.mark.parametrize("transport", ["tcp", "ipc"])
def test_a_forked_child_does_not_hide_its_engines_end(new_cluster, transport):
    @interactive
    def fork_one_that_stays():
        import os
        import time

        child = os.fork()
        if not child:
            time.sleep(600)
        return os.getpid(), child

    # No watcher tells of the end, and no heartbeats are missed before the test has failed.
    cluster = new_cluster(
        1,
        controller=[f"--transport={transport}", "--HeartMonitor.max_heartmonitor_misses=1000"],
        engine=["--IPEngine.enable_nanny=false"],
    )
    client = cluster.client(wait_for=1)
    engine, child = client[0].apply_sync(fork_one_that_stays)
    result = client[0].apply_async(time.sleep, 600)
    os.kill(engine, signal.SIGKILL)
    with pytest.raises(EngineError, match="died"):
        result.get(LONG)
    os.kill(child, signal.SIGKILL)


def test_an_engine_whose_output_nobody_reads_works_on(sandbox, new_cluster):
    with engine_that_nobody_reads(sandbox, new_cluster(0)) as client:
        result = client[0].apply_async(print_much, 100)
        result.get(LONG)
        assert len(result.stdout) == 100 * 65536
        kill(named(sandbox, "sleep"))  # then no process has the other end
        wait_until(lambda: not named(sandbox, "sleep"), 20, "its reader has gone")
        assert client[0].apply_sync(print_much, 3) is None
        assert client[0].apply_sync(len, "abc") == 3


def test_what_an_engine_prints_is_in_its_log_up_to_a_bound(new_cluster):
    cluster = new_cluster(1)
    client = cluster.client()
    client[0].apply_sync(print, "a line")
    begun = time.monotonic()
    client[0].apply_sync(print_much, 1000)
    seconds = time.monotonic() - begun
    wait_until(
        lambda: client[0].apply_sync(print, "another")
        or re.search(r"\(\d+ bytes that were printed are left out\)", cluster.engines[0].output),
        20,
        "the log says so",
    )
    assert "a line\n" in cluster.engines[0].output
    assert cluster.engines[0].output_path.stat().st_size < (seconds + 2) * (1 << 20) + 65536
