"""Segments: on one host large buffers are handed over in shared memory, one copy for all engines; they go with their last user."""

import os
import re
import signal
from pathlib import Path

import numpy
import pytest
import zmq

from support import LONG, PYTHON, typed, wait_for_file, wait_until
from test_local import local, needs_root

BYTES = 32 << 20
NAME = "/memfd:ipcluster-segment"


def mapped(pid):
    """The kilobytes of segments that a process has mapped, and of these its share."""
    sizes = {"Size": 0, "Pss": 0}
    counts = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match("[0-9a-f]+-", line):
            counts = NAME in line
        elif counts and line.split(":")[0] in sizes:
            sizes[line.split(":")[0]] += int(line.split()[1])
    return sizes["Size"], sizes["Pss"]


def has_segments(pid):
    """Whether a process has descriptors or mappings of segments. One that has ended has none."""
    try:
        links = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        return any(link.startswith(NAME) for link in links) or NAME in Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return False


def holders(sandbox):
    return [process.pid for process in sandbox.marked() if has_segments(process.pid)]


@typed
def last_of_a():
    """For engines: the last member of what was pushed as `a`; 0: it is not there yet."""
    return int(globals().get("a", [0])[-1])


@pytest.fixture
def array():
    return numpy.arange(BYTES // 8)


@pytest.fixture
def view_of(request):
    return lambda client: client[:] if request.param == "direct" else client.broadcast_view()


@pytest.mark.parametrize("view_of", ["direct", "broadcast"], indirect=True)
def test_what_is_pushed_to_several_engines_is_one_copy_until_one_writes(new_cluster, ipcluster, array, view_of):
    cluster = new_cluster(3)
    client = cluster.client()
    view_of(client).push({"a": array}, block=True)
    sums = client[:].apply_sync(numpy.sum, ipcluster.Reference("a"))
    assert sums == [int(array.sum())] * 3
    sizes = [mapped(engine.popen.pid) for engine in cluster.engines]
    assert [size for size, _ in sizes] == [BYTES >> 10] * 3
    assert sum(share for _, share in sizes) < 1.1 * (BYTES >> 10)
    client[1].execute("a[:] = 5", block=True)
    array[0] = 7
    ends = client[:].apply_sync(list, ipcluster.Reference("a[::len(a) - 1]"))
    assert ends == [[0, BYTES // 8 - 1], [5, 5], [0, BYTES // 8 - 1]]
    client[:].execute("del a", block=True)
    wait_until(lambda: not holders(cluster.sandbox), what="the memory is freed")


def test_results_come_as_memory_of_the_clients_own(new_cluster, array):
    cluster = new_cluster(2)
    client = cluster.client()
    client[:].push({"a": array}, block=True)
    first, second = client[:].pull("a", block=True)
    assert mapped(os.getpid())[0] == 2 * (BYTES >> 10)
    first[:] = 1
    assert (second == array).all() and (client[0].pull("a", block=True) == array).all()
    client[:].scatter("part", array, block=True)
    assert (client[:].gather("part", block=True) == array).all()
    assert client.load_balanced_view().apply_sync(typed(lambda a: (a + 1, "text")), array)[0][-1] == array[-1] + 1


def test_a_task_that_is_tried_again_has_its_arguments(new_cluster, array, sandbox):
    cluster = new_cluster(2)
    balanced = cluster.client().load_balanced_view()
    balanced.retries = 1

    @typed
    def die_once(array, file):
        import os

        if not os.path.exists(file):
            open(file, "w").close()
            os.kill(os.getpid(), 9)
        return int(array.sum())

    assert balanced.apply_async(die_once, array, str(sandbox.dir / "died")).get(LONG) == array.sum()


@pytest.mark.parametrize("retries", [0, 1])
def test_dependent_and_waiting_tasks_have_their_arguments_when_they_run(new_cluster, array, gate, retries):
    cluster = new_cluster(1)
    balanced = cluster.client().load_balanced_view()
    balanced.retries = retries
    first = balanced.apply_async(wait_for_file, str(gate))
    with balanced.temp_flags(after=[first]):
        waiting = [balanced.apply_async(numpy.sum, array + i) for i in range(3)]
    gate.touch()
    assert [result.get(LONG) for result in waiting] == [int((array + i).sum()) for i in range(3)]


PUSH = """
import sys, numpy, ipcluster
client = ipcluster.Client(sys.argv[1], timeout=60)
client.wait_for_engines(1, timeout=60)
result = client[:1].push({"a": numpy.arange(1 << 22)}, block=False)
"""


TASKS = """
for _ in range(3):
    client.load_balanced_view().apply_async(len, numpy.arange(1 << 22))
"""


def counted(client):
    """How many segments wait in the controller."""
    return client.stats()["ipcluster_segments"]


def test_what_a_client_has_sent_arrives_after_it_has_gone(new_cluster, gate):
    cluster = new_cluster(1)
    client = cluster.client()
    waiting = client[0].apply_async(wait_for_file, str(gate))
    cluster.sandbox.run(PYTHON, "-c", PUSH, cluster.client_file, python=True, check=True)
    gate.touch()
    waiting.get(LONG)
    assert wait_until(lambda: client[0].apply_sync(last_of_a), what="it is there") == (1 << 22) - 1


def test_nothing_is_left_of_what_an_engine_had_that_is_killed(new_cluster, array, gate):
    cluster = new_cluster(2)
    client = cluster.client()
    pid = client[0].apply_sync(os.getpid)
    client[0].push({"a": array}, block=True)
    client[0].apply_async(wait_for_file, str(gate))
    client[0].push({"b": array}, block=False)
    wait_until(lambda: mapped(pid)[0] == 2 * (BYTES >> 10), what="the engine has it")
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not holders(cluster.sandbox), what="nothing is left")
    assert client[1].apply_sync(len, array) == len(array)


def test_nothing_is_left_of_a_client_that_is_killed(new_cluster, gate):
    cluster = new_cluster(1)
    client = cluster.client()
    client[0].apply_async(wait_for_file, str(gate))
    script = PUSH + TASKS + "print('sent', flush=True)\nimport signal\nsignal.pause()"
    other = cluster.sandbox.start(PYTHON, "-c", script, cluster.client_file, python=True)
    other.wait_for_output("sent")
    wait_until(lambda: counted(client) > 0, what="tasks wait in the controller")
    other.popen.kill()
    gate.touch()
    assert wait_until(lambda: client[0].apply_sync(last_of_a), what="it is there")
    client[0].execute("del a", block=True)
    wait_until(lambda: not holders(cluster.sandbox) and counted(client) == 0, what="nothing is left")


def test_nothing_is_left_of_a_controller_that_is_killed(new_cluster, array, gate):
    cluster = new_cluster(1)
    client = cluster.client()
    client[0].apply_async(wait_for_file, str(gate))
    balanced = client.load_balanced_view()
    for _ in range(3):
        balanced.apply_async(len, array)
    wait_until(lambda: counted(client) > 0, what="tasks wait in the controller")
    cluster.controller.popen.kill()
    gate.touch()
    wait_until(lambda: not holders(cluster.sandbox), what="nothing is left")


def test_segments_are_there_again_when_the_controller_is(new_cluster, array):
    cluster = new_cluster(1, controller=["--reuse"])
    client = cluster.client()
    client[0].push({"a": array}, block=True)
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--reuse")
    cluster.controller.wait_for_output("1 in all")
    assert (client[0].pull("a", block=True) == array).all()
    client[0].push({"b": array}, block=True)
    assert mapped(cluster.engines[0].popen.pid)[0] == 2 * (BYTES >> 10)


def test_recorded_results_outlive_their_engines_and_clients(new_cluster, array):
    cluster = new_cluster(1, controller=["--sqlitedb"])
    client = cluster.client()
    result = client[0].apply_async(typed(lambda a: a + 1), array)
    result.get(LONG)
    ids = result.msg_ids
    client.close()
    cluster.engines[0].popen.kill()
    again = cluster.client(wait_for=0).get_result(ids[0])
    assert (again.get(LONG) == array + 1).all()


# Whoever does not share memory gets large buffers in messages.


def test_shared_memory_can_be_turned_off(new_cluster, array):
    cluster = new_cluster(1, controller=["--IPController.shared_memory=false"])
    client = cluster.client()
    client[0].push({"a": array}, block=True)
    pulled = client[0].pull("a", block=True)
    assert (pulled == array).all() and not holders(cluster.sandbox)
    assert not (local(cluster.client_file) / "segments").exists()


def test_a_program_that_may_make_no_segments_sends_its_buffers(new_cluster, array):
    cluster = new_cluster(1)
    script = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))\n" + PUSH
    cluster.sandbox.run(PYTHON, "-c", script, cluster.client_file, python=True, check=True)
    client = cluster.client()
    assert wait_until(lambda: client[0].apply_sync(last_of_a), what="it is there")
    assert not holders(cluster.sandbox)


def test_a_client_by_tcp_and_the_engines_of_this_host_exchange_large_buffers(new_cluster, array):
    cluster = new_cluster(2)
    with cluster.client() as local_client:
        local_client[:].push({"a": array}, block=True)
    client = cluster.client(file=cluster.tcp_file("client"))
    assert all((part == array).all() for part in client[:].pull("a", block=True))
    client.broadcast_view().push({"a": array + 1}, block=True)
    assert client[:].apply_sync(last_of_a) == [array[-1] + 1] * 2
    assert not holders(cluster.sandbox)


def test_a_reference_to_what_was_not_given_is_answered_with_an_error(controller):
    reference = b"\0ipcluster segment 1\0" + os.urandom(16) + BYTES.to_bytes(8, "big")
    peer = controller()
    socket = peer.connect(zmq.DEALER, peer.client["task"])
    message, msg_id = peer.message("apply_request", buffers=[reference])
    socket.send_multipart(message)
    content = peer.receive(socket)[-1]
    assert content["ename"] == "ValueError" and "data are not there" in content["evalue"]


# Who may hand segments over.


@needs_root
def test_no_other_user_hands_segments_over(controller, sandbox, as_another, everybodys):
    sandbox.env["TMPDIR"] = str(everybodys)
    path = local(controller().client_file) / "segments"
    knock = (
        "import socket; s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.settimeout(30)\n"
        f"s.connect({str(path)!r}); s.send(b'x' * 60); print(s.recv(1))"
    )
    done = sandbox.run(*as_another, PYTHON, "-c", knock, cwd="/")
    assert "PermissionError" in done.err
    assert sandbox.run(PYTHON, "-c", knock).out == "b''\n", "without the key it is not let in"
    for opened in path.parent.parent, path.parent, path:
        opened.chmod(0o777)
    done = sandbox.run(*as_another, PYTHON, "-c", knock, cwd="/")
    assert done.out == "b''\n" or "ConnectionResetError" in done.err or "BrokenPipeError" in done.err


@needs_root
def test_no_other_user_opens_a_segment(new_cluster, array, as_another):
    cluster = new_cluster(1)
    client = cluster.client()
    client[0].push({"a": array}, block=True)
    pid = cluster.engines[0].popen.pid
    look = f"import os; print(os.listdir('/proc/{pid}/map_files'))"
    assert "PermissionError" in cluster.sandbox.run(*as_another, PYTHON, "-c", look, cwd="/").err
    assert not [name for name in os.listdir("/dev/shm") if "ipcluster" in name]
