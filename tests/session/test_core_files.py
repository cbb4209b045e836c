"""Keys in memory: what a core file of a program would have, and whether there is one."""

import json
import mmap
import os
import re
import resource
import signal
from pathlib import Path

import pytest

from ipcluster import EngineError
from ipcluster_box import UP
from support import LONG, named

NO_CORE = 1
WITH_CORES = 1 << 30


def dumped(pid):
    """The mappings that a core file has, as gdb and the kernel choose them: (name, bytes)."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    mapping = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (r\S+) \S+ \S+ \d+ *(.*)\n(?:[A-Z]\w+:.*\n)*?VmFlags:(.*)", re.M)
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for found in mapping.finditer(text):
            begin, end, name, flags = int(found[1], 16), int(found[2], 16), found[4], found[5].split()
            if not {"dd", "io"} & set(flags) and name not in ("[vvar]", "[vsyscall]"):
                memory.seek(begin)
                yield name, memory.read(end - begin)


def occurrences(pid, secrets):
    """Where in a process's core file one of the secrets would be, once for each time."""
    try:
        return [name for name, content in dumped(pid) for secret in secrets for _ in range(content.count(secret))]
    except PermissionError:
        pytest.skip("this system lets nobody read the memory of another process")


def secrets_of(profile_dir):
    """The keys of a cluster, as its files have them."""
    security = profile_dir / "security"
    keys = {json.loads(file.read_text())["key"].encode() for file in security.glob("ipcontroller*-*.json")}
    for file in security.glob("*curve*.key"):
        keys.update(file.read_bytes().split())
    assert keys and all(len(key) >= 32 for key in keys)
    return keys


@pytest.fixture
def no_sanitizers(sandbox):
    if sandbox.sanitizers:
        pytest.skip("sanitizers keep copies of their own, and set the limit of cores")


KEY = "a-key-that-somebody-has-chosen-by-himself"


@pytest.fixture(params=["made", "environment", "command line", "settings", "key file"])
def start_with_key(request, new_cluster, sandbox):
    """Starts a controller whose key comes from this source."""

    def start():
        file = sandbox.work / "key"
        file.touch(mode=0o600)
        words, env = ["--reuse"], {}
        if request.param == "environment":
            env["IPP_SESSION_KEY"] = KEY
        elif request.param == "command line":
            words.append(f"--Session.key={KEY}")
        elif request.param == "settings":
            file.write_text(json.dumps({"Session": {"key": KEY}}))
            words.append(f"--config={file}")
        elif request.param == "key file":
            file.write_text(KEY)
            words.append(f"--keyfile={file}")
        cluster = new_cluster(0, controller=words, env=env)
        assert request.param == "made" or KEY.encode() in secrets_of(cluster.profile_dir)
        return cluster

    return start


def test_no_key_is_in_what_a_core_of_a_controller_has(start_with_key, no_sanitizers):
    cluster = start_with_key()
    assert not occurrences(cluster.controller.pid, secrets_of(cluster.profile_dir))


def test_no_key_is_in_what_a_core_of_those_has_who_read_it_from_connection_files(new_cluster, no_sanitizers):
    cluster = new_cluster(0, controller=["--reuse"])
    secrets = secrets_of(cluster.profile_dir)
    assert cluster.controller.stop() == 0
    cluster.start_controller("--reuse")
    assert secrets == secrets_of(cluster.profile_dir)
    engine = cluster.start_engine()
    view = cluster.client(wait_for=1)[0]
    assert view.apply_sync(os.getpid) == engine.pid
    assert not occurrences(cluster.controller.pid, secrets)
    assert not occurrences(engine.pid, secrets)
    for watcher in named(cluster.sandbox, "engine-watcher"):
        assert not occurrences(watcher.pid, secrets)


@pytest.mark.parametrize("given", ["made", "environment"])
def test_no_key_is_in_what_a_core_of_ipcluster_has(sandbox, no_sanitizers, given):
    env = {"IPP_SESSION_KEY": KEY} if given == "environment" else {}
    starter = sandbox.start(sandbox.programs.ipcluster, "start", "--n=1", env=env)
    starter.wait_for_output(UP, 60)
    secrets = secrets_of(sandbox.profile_dir())
    # An engine's Python has a copy of the environment, so engines are left out if the key came by it.
    for process in named(sandbox, "ipcluster", "ipcontroller", *["ipengine"] * (given == "made")):
        assert not occurrences(process.pid, secrets), process.name()
    assert starter.stop(signal.SIGINT, 60) == 0


def limit_of_cores(pid):
    (line,) = (
        line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if line.startswith("Max core file size")
    )
    return int(line.split()[4].replace("unlimited", "-1"))


@pytest.fixture
def with_cores(sandbox):
    """with_cores(program, words...): starts one that may write core files."""
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if 0 <= hard < WITH_CORES:
        pytest.skip("a limit of this system allows no core files")

    def start(*argv):
        return sandbox.start("/bin/bash", "-c", f'ulimit -S -c {WITH_CORES // 1024}; exec "$@"', "bash", *argv)

    return start


@pytest.mark.parametrize("asked", [False, True])
def test_a_controller_and_ipcluster_leave_no_core_unless_asked_and_engines_may(
    sandbox, with_cores, no_sanitizers, asked
):
    words = ["--Cluster.core_dumps=true", "--", "--IPController.core_dumps=true"] if asked else []
    starter = with_cores(sandbox.programs.ipcluster, "start", "--n=1", *words)
    starter.wait_for_output(UP, 60)
    limits = {
        process.name(): limit_of_cores(process.pid)
        for process in named(sandbox, "ipcluster", "ipcontroller", "ipengine")
    }
    own = WITH_CORES if asked else NO_CORE
    assert limits == {"ipcluster": own, "ipcontroller": own, "ipengine": WITH_CORES}
    assert starter.stop(signal.SIGINT, 60) == 0


def test_who_adds_engines_does_not_ask_for_cores_of_the_ipcluster_that_starts_them(sandbox, with_cores, no_sanitizers):
    starter = with_cores(sandbox.programs.ipcluster, "start", "--n=0")
    starter.wait_for_output(UP, 60)
    (supervisor,) = named(sandbox, "ipcluster")
    assert (
        with_cores(sandbox.programs.ipcluster, "engines", "--n=1", "--daemonize", "--Cluster.core_dumps=true").wait(60)
        == 0
    )
    assert limit_of_cores(supervisor.pid) == NO_CORE
    assert starter.stop(signal.SIGINT, 60) == 0


def test_that_an_engine_left_a_core_is_told_with_its_end(new_cluster, with_cores, no_sanitizers):
    cluster = new_cluster(0)
    engines = [
        with_cores(cluster.sandbox.programs.ipengine),
        cluster.sandbox.start("/bin/bash", "-c", 'ulimit -c 0; exec "$0"', cluster.sandbox.programs.ipengine),
    ]
    client = cluster.client(wait_for=2)
    pids = client[:].apply_async(os.getpid).get_dict()
    for number, pid in pids.items():
        with pytest.raises(EngineError) as caught:
            client[number].apply_async(os.kill, pid, signal.SIGSEGV).get(LONG)
        how = re.search(
            r"died: killed by signal 11 \(Segmentation fault\)(.*?); its last words", caught.value.evalue
        ).group(1)
        expected = (
            r"; it has left a core file \(kernel.core_pattern is \S+\)|; \S+ has its core"
            if pid == engines[0].pid
            else ""
        )
        assert re.fullmatch(expected, how)


@pytest.mark.parametrize("asked", [False, True])
def test_a_controller_that_crashes_leaves_a_core_only_where_that_is_asked_for(
    sandbox, with_cores, no_sanitizers, asked
):
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if not re.fullmatch(r"[\w.-]+", pattern):
        pytest.skip(f"core files go elsewhere on this system: {pattern}")
    words = ["--IPController.core_dumps=true"] if asked else []
    controller = with_cores(sandbox.programs.ipcontroller, *words)
    controller.wait_for_output("connection files:")
    secrets = secrets_of(sandbox.profile_dir())
    controller.send_signal(signal.SIGABRT)
    assert controller.wait(60) == -signal.SIGABRT
    cores = list(sandbox.work.glob(f"{pattern}*"))
    assert len(cores) == asked
    for core in cores:
        with core.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            assert not [secret for secret in secrets if content.find(secret) >= 0]
