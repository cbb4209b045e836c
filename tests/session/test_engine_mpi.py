"""Engines that mpiexec starts: each MPI initialiser, ranks and ids, an Allreduce over all of them, two MPIs on one machine, and what is said
when it cannot be."""

import ast
import os
import shlex
import signal

import pytest

import docblocks
from engine_peer import CLIENT, Peer, canning
from ipcluster_box import MPI, UP, assert_nothing_left
from support import TOP, wait_until

RANKS = 4


@pytest.fixture
def peer(sandbox):
    made = Peer(sandbox.dir)
    yield made
    made.close()


class Engines:
    """Registers RANKS engines under the ids that they ask for, and runs a function on all of them at once."""

    def __init__(self, peer):
        self.peer = peer
        self.uuids = {}
        for _ in range(RANKS):
            request = peer.receive("registration", 60)
            assert request.content["info"]["rank"] == request.content["id"]
            self.uuids[request.content["id"]] = request.content["uuid"].encode()
            reply = {"status": "ok", "id": request.content["id"], "hb_period": 3000}
            frames, _ = peer.frames("registration_reply", reply, parent=request.header)
            peer.sockets["registration"].send_multipart([*request.identities, *frames])
        for _ in range(RANKS):
            peer.subscribe(60)
        hearts = set()

        def all_beat():
            peer.sockets["hb_ping"].send(b"1")
            while peer.sockets["hb_pong"].poll(100):
                hearts.add(peer.sockets["hb_pong"].recv_multipart()[0])
            return len(hearts) == RANKS

        wait_until(all_beat, 60, "every engine's heart beats")

    def send(self, channel, msg_type, buffers=()):
        for uuid in self.uuids.values():
            frames, _ = self.peer.frames(msg_type, {}, buffers)
            self.peer.sockets[channel].send_multipart([uuid, CLIENT, *frames])
        replies = [self.peer.receive(channel, 60) for _ in self.uuids]
        return {reply.identities[0]: reply for reply in replies}

    def apply(self, f):
        f.__module__ = "__main__"
        replies = self.send("mux", "apply_request", canning.pack_apply(f))
        return [replies[self.uuids[i]].result for i in range(RANKS)]


def allreduce_mpi4py():
    import numpy
    from mpi4py import MPI

    total = numpy.zeros(1)
    MPI.COMM_WORLD.Allreduce(numpy.array([mpi_rank + 1.0]), total)
    return float(total[0])


def allreduce_pytrilinos():
    from PyTrilinos import Epetra

    return Epetra.PyComm().SumAll([mpi_rank + 1.0])[0]


def allreduce_native():
    import ctypes

    mpi = ctypes.CDLL(None)  # what the initialiser brought in is visible to all
    ours, total = ctypes.c_double(mpi_rank + 1.0), ctypes.c_double()

    def handle(name):
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, name)))

    mpi.MPI_Allreduce(
        ctypes.byref(ours),
        ctypes.byref(total),
        1,
        handle("ompi_mpi_double"),
        handle("ompi_mpi_op_sum"),
        handle("ompi_mpi_comm_world"),
    )
    return total.value


ALLREDUCE = {"mpi4py": allreduce_mpi4py, "pytrilinos": allreduce_pytrilinos, "native": allreduce_native}


@pytest.mark.parametrize("name", ALLREDUCE)
def test_each_initialiser_under_mpiexec(sandbox, peer, name, request):
    env = sandbox.no_leak_check()
    if name == "pytrilinos":
        folder = request.getfixturevalue("pytrilinos")
        env["PYTHONPATH"] = f"{folder}:{sandbox.env['PYTHONPATH']}"
    mpiexec = sandbox.start(
        "mpiexec",
        "-n",
        RANKS,
        "--oversubscribe",
        sandbox.programs.ipengine,
        f"--mpi={name}",
        f"--file={peer.file}",
        env=env,
    )
    engines = Engines(peer)
    assert sorted(engines.uuids) == list(range(RANKS)), "the ranks are the ids"
    assert engines.apply(lambda: (mpi_rank, mpi_size)) == [(i, RANKS) for i in range(RANKS)]
    assert engines.apply(ALLREDUCE[name]) == [float(sum(range(RANKS + 1)))] * RANKS
    # They end together and in order: MPI is finalised, so that mpiexec has nothing to complain of.
    engines.send("control", "shutdown_request")
    assert mpiexec.wait(60) == 0, mpiexec.output


def test_the_bare_option_means_mpi4py(sandbox, peer):
    sandbox.start(
        "mpiexec", "-n", 1, sandbox.programs.ipengine, "--mpi", f"--file={peer.file}", env=sandbox.no_leak_check()
    ).wait_for_output("initialised by mpi4py: rank 0 of 1")


def test_without_mpiexec_it_says_how_to_start(sandbox, peer):
    ended = sandbox.run(sandbox.programs.ipengine, "--mpi=mpi4py", f"--file={peer.file}")
    assert ended.status == 4
    assert "mpiexec -n 4 ipengine --mpi=mpi4py" in ended.err
    engine = sandbox.start(
        sandbox.programs.ipengine,
        "--mpi=mpi4py",
        "--IPEngine.mpi_singleton=true",
        f"--file={peer.file}",
        env=sandbox.no_leak_check(),
    )
    engine.wait_for_output("initialised by mpi4py: rank 0 of 1")


# Two MPIs on one machine

WRONG = {  # mpiexec, --mpi, what started several, what they have
    "MPICH's mpiexec, mpi4py of Open MPI": (
        ["mpiexec.mpich", "-n", 2],
        "mpi4py",
        "An mpiexec of MPICH's kind started 2",
        "Open MPI",
    ),
    "MPICH's mpiexec, native": (
        ["mpiexec.mpich", "-n", 2],
        "native",
        "An mpiexec of MPICH's kind started 2",
        "Open MPI",
    ),
    "Open MPI's mpiexec, mpi4py of MPICH": (
        ["mpiexec.openmpi", "-n", 2],
        "mpi4py",
        "Open MPI's mpiexec started 2",
        "MPICH",
    ),
    "one that ipcluster alone tells of": (
        ["mpiexec.openmpi", "-n", 1, "env", "IPCLUSTER_MPI_SIZE=3"],
        "mpi4py",
        "The launcher of this set started 3",
        "Open MPI",
    ),
}


@pytest.fixture
def with_mpich(sandbox, mpi4py_of_mpich):
    """The environment in which Python finds an mpi4py of MPICH."""
    return {**sandbox.no_leak_check(), "PYTHONPATH": f"{mpi4py_of_mpich}:{sandbox.env['PYTHONPATH']}"}


@pytest.mark.parametrize("case", WRONG)
def test_engines_that_the_wrong_mpiexec_made_worlds_of_one_rank_end_and_say_how_to_start_them(
    sandbox, peer, with_mpich, case
):
    mpiexec, name, started, mpi = WRONG[case]
    env = with_mpich if mpi == "MPICH" else sandbox.no_leak_check()
    engine = [*mpiexec, sandbox.programs.ipengine, f"--mpi={name}", f"--file={peer.file}"]
    ended = sandbox.run(*engine, env=env)
    assert ended.status == 4
    (sentence,) = {line.partition(started)[2] for line in (ended.out + ended.err).splitlines() if started in line}
    assert f"their MPI is {mpi}" in sentence
    for word in ("MPILauncher.mpi_cmd", "mpiexec.openmpi", "mpiexec.mpich", "srun --mpi=pmix", "srun --mpi=list"):
        assert word in sentence
    # Whoever means it has them.
    sandbox.start(*engine, "--IPEngine.mpi_singleton=true", env=env).wait_for_output("rank 0 of 1")


def test_an_mpi4py_of_another_mpi_is_not_imported_where_native_has_initialised_one(sandbox, peer, with_mpich):
    engine = ["mpiexec.openmpi", "-n", 1, sandbox.programs.ipengine, "--mpi=native", f"--file={peer.file}"]
    tried = sandbox.run(*engine, "-c", "from mpi4py import MPI", env=with_mpich)
    assert tried.status == 1
    assert (
        "is built for MPICH" in tried.err
        and "--mpi=native has initialised Open MPI" in tried.err
        and "--mpi=mpi4py" in tried.err
    )
    # Nor is MPI initialised where it has been imported already.
    (sandbox.work / "sitecustomize.py").write_text("import mpi4py.MPI")
    with_mpich["PYTHONPATH"] = f"{sandbox.work}:{with_mpich['PYTHONPATH']}"
    tried = sandbox.run(*engine, env=with_mpich)
    assert tried.status == 4 and "is built for MPICH" in tried.err


def test_engines_under_mpiexec_may_use_every_processor_unless_it_is_told_which(box):
    count = "len(__import__('os').sched_getaffinity(0))"
    ask = f"import ipcluster\nprint(ipcluster.Client()[:].apply_sync(lambda: {count}))"
    bound = box.run("mpiexec", "-n", 1, "--bind-to", "core", "/usr/bin/python3", "-c", f"print({count})", check=True)

    def processors(*words):
        cluster = box.begin("start", "--n=2", *MPI, "--mpi=none", *words)
        cluster.wait_for_output(UP, 60)
        answer = ast.literal_eval(box.run("/usr/bin/python3", "-c", ask, python=True, check=True).out)
        assert cluster.stop(signal.SIGINT, 60) == 0
        return answer

    assert processors() == [len(os.sched_getaffinity(0))] * 2
    assert processors("--MPILauncher.mpi_args=--bind-to core") == [int(bound.out)] * 2


def test_engines_under_mpich_have_an_mpi4py_of_it(box, with_mpich):
    (block,) = [
        block
        for block in docblocks.blocks(TOP / "docs/howto/mpi.md")
        if block.note("tested by") == "tests/session/test_engine_mpi.py"
    ]
    cluster = box.begin(*shlex.split(block.commands[0][0])[1:], env=with_mpich)
    cluster.wait_for_output(UP, 60)
    total = (
        "import ipcluster\nprint(ipcluster.Client()[:].apply_sync(lambda: MPI.COMM_WORLD.allreduce(mpi_rank + 1.0)))"
    )
    assert box.run("/usr/bin/python3", "-c", total, python=True, check=True).out == "[3.0, 3.0]\n"
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir())
    failed = box.ipcluster("start", "--n=2", *MPI, "--mpi=mpi4py", env=with_mpich)
    assert (
        failed.status == 4
        and "Open MPI's mpiexec started 2 engines as one MPI world, but their MPI is MPICH" in failed.err
    )
    assert_nothing_left(box, box.profile_dir())


@pytest.mark.parametrize(
    "name, module, advice",
    [("mpi4py", "mpi4py", "apt-get install python3-mpi4py"), ("pytrilinos", "PyTrilinos", "build Trilinos with it")],
)
def test_a_missing_package_is_named_with_what_to_install(sandbox, peer, name, module, advice):
    block = sandbox.dir / "block" / module
    block.mkdir(parents=True)
    (block / "__init__.py").write_text(f"raise ModuleNotFoundError(\"No module named '{module}'\")")
    env = {"PYTHONPATH": f"{block.parent}:{sandbox.env['PYTHONPATH']}", "OMPI_COMM_WORLD_RANK": "0"}
    ended = sandbox.run(sandbox.programs.ipengine, f"--mpi={name}", f"--file={peer.file}", env=env)
    assert ended.status == 4 and advice in ended.err


def test_an_unknown_initialiser_is_refused(sandbox, peer):
    ended = sandbox.run(sandbox.programs.ipengine, "--mpi=nonsense", f"--file={peer.file}")
    assert ended.status == 1 and "nonsense" in ended.err
