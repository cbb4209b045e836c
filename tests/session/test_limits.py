"""What programs do if the system gives them few file descriptors or threads, or little memory. They name the limit before they begin; a
controller that is full says so and goes on."""

import json
import os
import re
import resource
import socket
import subprocess
import time

import psutil
import pytest

from support import LONG, PATIENCE, PYTHON, wait_until

CLIENT = "import ipcluster; ipcluster.Client(timeout=5); print('connected')"


def limited(*words, **limits):
    """The words of a program that starts with these limits: limited("ipengine", nofile=64)."""
    options = [f"--{name}={value}:{value}" for name, value in limits.items()]
    return ["prlimit", *options, "--", *words]


def as_somebody(sandbox):
    """The words that start a program as a user for whom limits hold: they do not hold for the superuser."""
    if os.geteuid() != 0:
        return []
    closed = [folder for folder in sandbox.programs.ipcontroller.resolve().parents if not folder.stat().st_mode & 0o001]
    if closed:
        pytest.skip(f"the programs cannot be started by another user: {closed[-1]} is closed to others")
    # The limit counts all that a user has: each test has a user of its own.
    uid = 20000 + int(sandbox.marker[:8], 16) % 40000
    subprocess.run(["chown", "-R", str(uid), sandbox.dir], check=True)
    return ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups", "--"]


def few_threads(sandbox, *words):
    """The words of a program whose user may start no thread."""
    return limited(*as_somebody(sandbox), *words, nproc=1)


@pytest.fixture
def programs_words(sandbox, new_cluster):
    """programs_words(name): the words that start a program, where a controller runs for those that need one."""

    def words(name):
        if name != "ipcontroller":
            new_cluster()
        return {
            "ipcontroller": [sandbox.programs.ipcontroller],
            "ipengine": [sandbox.programs.ipengine],
            "ipcluster": [sandbox.programs.ipcluster, "engines", "--n=1"],
            "client": [PYTHON, "-c", CLIENT],
        }[name]

    return words


WHO = {"ipcontroller": "ipcontroller", "ipengine": "ipengine", "ipcluster": "ipcluster", "client": "a client"}


@pytest.mark.parametrize(
    "program, nofile", [("ipcontroller", 64), ("ipengine", 36), ("ipcluster", 20), ("ipcluster", 6), ("client", 24)]
)
def test_too_few_descriptors_are_an_error_that_names_the_limit(sandbox, programs_words, program, nofile):
    ended = sandbox.run(*limited(*programs_words(program), nofile=nofile), python=program == "client")
    assert ended.status not in (0, -6), ended
    assert re.search(
        rf"{WHO[program]} needs \d+ file descriptors, and \d+ are left of the {nofile} .*ulimit -n", ended.err
    ), ended


def test_a_client_connects_with_as_many_descriptors_as_it_says_that_it_needs(sandbox, programs_words):
    words = programs_words("client")
    refused = sandbox.run(*limited(*words, nofile=24), python=True).err
    needed, left = map(int, re.search(r"needs (\d+) file descriptors, and (\d+) are left", refused).groups())
    connected = sandbox.run(*limited(*words, nofile=24 + needed - left), python=True)
    assert connected.status == 0, connected


@pytest.mark.parametrize("program", WHO)
def test_too_few_threads_are_an_error_that_names_the_limit(sandbox, programs_words, program):
    python = program == "client"
    ended = sandbox.run(
        *few_threads(sandbox, *programs_words(program)), python=python, env=None if python else sandbox.no_leak_check()
    )  # which takes a thread
    assert ended.status not in (0, -6), ended
    assert re.search(
        rf"{WHO[program]} needs \d+ threads, and the system gives it 0: .*ulimit -u is 1\b", ended.err
    ), ended


@pytest.mark.skipif(os.geteuid() != 0, reason="takes a user of whom it is known how many processes there are")
def test_an_engine_that_cannot_be_started_for_the_number_of_processes_is_an_error_that_names_the_limit(sandbox):
    sandbox.profile_dir().mkdir(mode=0o700)
    somebody = as_somebody(sandbox)
    controller = sandbox.start(*somebody, sandbox.programs.ipcontroller)
    controller.wait_for_output("connection files:")
    most = psutil.Process(controller.pid).num_threads() + 3  # ipcluster and its connection to the hub
    ended = sandbox.run(
        *limited(*somebody, sandbox.programs.ipcluster, "engines", "--n=1", nproc=most), env=sandbox.no_leak_check()
    )
    assert ended.status == 4 and re.search(r"cannot start .*ipengine.*ulimit -u", ended.err), ended


@pytest.mark.parametrize("program", WHO)
def test_too_little_memory_is_an_error_that_names_the_limit(sandbox, programs_words, program):
    if sandbox.sanitizers:
        pytest.skip("sanitizers take terabytes of addresses")
    words = programs_words(program)
    # How much memory a program takes before it checks depends on its libraries: so more and more is given.
    for size in range(32, 256, 4):
        ended = sandbox.run(*limited(*words, **{"as": size << 20}), python=program == "client")
        assert ended.status > 0, ended
        if found := re.search(rf"{WHO[program]} needs \d+ MB of memory more .*ulimit -v is (\d+) MB", ended.err):
            break
    assert found and int(found[1]) == size, ended


def connected(file, timeout=5):
    """A list of a client, which is empty where the controller refuses it."""
    import ipcluster

    try:
        return [ipcluster.Client(str(file), timeout=timeout)]
    except ConnectionError:
        return []


def lowest_limit(sandbox):
    """The limit with which a controller just starts."""
    refused = sandbox.run(*limited(sandbox.programs.ipcontroller, nofile=64))
    needed, left = map(int, re.search(r"needs (\d+) file descriptors, and (\d+) are left", refused.err).groups())
    return 64 - left + needed


@pytest.fixture
def small(sandbox):
    """start(more, *arguments): a controller with the fewest descriptors that it starts with, and so many more; its Process, and the
    client's connection file."""

    def start(more=0, *arguments):
        sandbox.profile_dir().mkdir(mode=0o700)
        process = sandbox.start(
            *limited(sandbox.programs.ipcontroller, *arguments, nofile=lowest_limit(sandbox) + more)
        )
        file = sandbox.profile_dir() / "security/ipcontroller-client.json"
        wait_until(lambda: file.exists() or not process.alive, 20, "the controller is up")
        assert process.alive, process.output
        return process, file

    return start


def test_a_controller_raises_its_soft_limit_and_says_what_it_serves(sandbox):
    sandbox.profile_dir().mkdir(mode=0o700)
    controller = sandbox.start("prlimit", "--nofile=64:300", "--", sandbox.programs.ipcontroller)
    said = controller.wait_for_output(r"(\d+) file descriptors \(ulimit -n\): room for (\d+) engines, or (\d+) clients")
    limit, engines, clients = map(int, said.groups())
    assert limit == 300 and 0 < engines < clients < 300


def room_of(controller, whom):
    """How many engines or clients the controller has said that it has room for."""
    return int(controller.wait_for_output(rf"room for .*?(\d+) {whom}")[1])


@pytest.mark.parametrize("arguments", [[], ["--transport=ipc"], ["--sqlitedb"]], ids=["tcp", "ipc", "sqlite"])
def test_as_many_clients_as_the_controller_has_said_connect_and_the_next_hears_that_it_is_full(small, arguments):
    import ipcluster

    controller, file = small(14, *arguments)
    clients = []
    try:
        for _ in range(room_of(controller, "clients")):
            clients.append(ipcluster.Client(str(file), timeout=LONG))
        assert len(clients) >= 2
        with pytest.raises(ConnectionError, match=r"the controller is full: of its \d+ file descriptors .*ulimit -n"):
            ipcluster.Client(str(file), timeout=LONG)
        # Connected clients are served, and a new one when another has gone.
        assert clients[0].queue_status() == {"unassigned": 0} and clients[-1].ids == []
        clients.pop().close()
        clients.extend(wait_until(lambda: connected(file), 20, "a client takes another's place"))
    finally:
        for client in clients:
            client.close()


def test_as_many_engines_as_the_controller_has_said_register_and_the_next_hears_that_it_is_full(sandbox, small):
    controller, file = small(8)
    room = room_of(controller, "engines")
    assert room >= 2
    for count in range(1, room + 1):
        sandbox.start(sandbox.programs.ipengine)
        controller.wait_for_output(rf"is registered, {count} in all", 30)
    ended = sandbox.run(sandbox.programs.ipengine, "--timeout=3")
    assert ended.status != 0
    assert re.search(
        r"refuses this engine: RuntimeError: the controller is full: of its \d+ file descriptors .*ulimit -n", ended.err
    ), ended


def test_ipyparallels_client_hears_that_the_controller_is_full(sandbox, small):
    import ipcluster

    pytest.importorskip("ipyparallel")
    controller, file = small()
    clients = [ipcluster.Client(str(file), timeout=LONG) for _ in range(room_of(controller, "clients"))]
    ended = sandbox.run(PYTHON, "-c", f"import ipyparallel; ipyparallel.Client({str(file)!r}, timeout=30)")
    for client in clients:
        client.close()
    assert ended.status == 1 and "the controller is full" in ended.err, ended


def test_silent_connections_take_half_of_the_room_and_cost_nothing_and_clients_are_served(small):
    import ipcluster

    controller, file = small(40)
    info = json.loads(file.read_text())
    process = psutil.Process(controller.pid)
    with ipcluster.Client(str(file), timeout=LONG) as client:
        held = [socket.create_connection(("127.0.0.1", info["mux"])) for _ in range(600)]
        controller.wait_for_output(
            "full: more than .* connections have not proved who they are; the oldest of them are ended"
        )
        before, start = process.cpu_times(), time.monotonic()
        assert client.queue_status() == {"unassigned": 0}
        ipcluster.Client(str(file), timeout=LONG).close()
        wait_until(lambda: time.monotonic() - start > 2, what="two seconds have passed")
        after = process.cpu_times()
        spent = after.user + after.system - before.user - before.system
        assert spent < 0.5 * (time.monotonic() - start), "it asks again and again for what it cannot have"
        assert controller.output.count("full:") <= time.monotonic() - start + 3
        for connection in held:
            connection.close()


def test_one_large_result_does_not_end_the_controller(sandbox, ipcluster):
    if sandbox.sanitizers:
        pytest.skip("the limit is for a process without a sanitizer's memory")
    sandbox.profile_dir().mkdir(mode=0o700)
    controller = sandbox.start(*limited(sandbox.programs.ipcontroller, data=600 << 20))
    controller.wait_for_output("connection files")
    sandbox.start(sandbox.programs.ipengine)
    with ipcluster.Client(profile_dir=str(sandbox.profile_dir()), timeout=LONG) as client:
        client.wait_for_engines(1, timeout=LONG)
        view = client[0]
        with pytest.raises(
            ipcluster.RemoteError,
            match=r"has 3145728\d\d bytes, and the controller takes up to \d+ .IPController.frame_bytes_max",
        ):
            view.apply_sync(bytearray, 300 << 20)
        with pytest.raises(ValueError, match=r"has 3145728\d\d bytes, and the controller takes up to"):
            view.apply_sync(len, bytearray(300 << 20))
        assert view.apply_sync(len, bytearray(50 << 20)) == 50 << 20
        assert len(view.apply_sync(bytearray, 50 << 20)) == 50 << 20
    assert controller.stop() == 0


def test_a_controller_on_sockets_of_its_host_outlives_a_system_without_descriptors(sandbox, new_cluster):
    import ipcluster

    controller = new_cluster(0, controller=["--transport=ipc"]).controller
    file = sandbox.profile_dir() / "security/ipcontroller-client.json"
    info = json.loads(file.read_text())
    with ipcluster.Client(str(file), timeout=LONG) as client, socket.socket(socket.AF_UNIX) as late:
        limit = resource.prlimit(controller.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(controller.pid, resource.RLIMIT_NOFILE, (8, limit[1]))
        late.connect(f"{info['interface'].removeprefix('ipc://')}:{info['mux']}")
        controller.wait_for_output("full: a connection was not accepted, as Too many open files")
        resource.prlimit(controller.pid, resource.RLIMIT_NOFILE, limit)
        assert client.queue_status() == {"unassigned": 0}
    wait_until(lambda: connected(file), 20, "there is room again")[0].close()


def test_what_accepts_connections_and_does_not_begin_to_talk_is_not_said_to_have_another_key(sandbox, new_cluster):
    import ipcluster

    info = json.loads(new_cluster().client_file.read_text())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        info["registration"] = silent.getsockname()[1]
        file = sandbox.dir / "silent.json"
        file.touch(0o600)
        file.write_text(json.dumps(info))
        with pytest.raises(ConnectionError, match="did not begin to talk .*no file descriptor left") as raised:
            ipcluster.Client(str(file), timeout=2)
    assert "another cluster" not in str(raised.value)


def test_ipcluster_says_why_engines_do_not_register(sandbox):
    seconds = int(10 * PATIENCE)
    cluster = sandbox.start(
        *limited(sandbox.programs.ipcluster, "start", "--n=8", f"--Cluster.engine_timeout={seconds}", nofile=166)
    )
    assert cluster.wait(60) == 4
    assert re.search(
        "The controller refuses an engine: the controller is full: of its 166 file descriptors", cluster.output
    )
    tail = cluster.output.partition("The end of ")[2]
    assert "the controller refuses this engine for now" in tail and "registered as engine" not in tail
