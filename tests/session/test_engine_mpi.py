"""Engines that mpiexec starts: each MPI initialiser, ranks and ids, an Allreduce over all of them, and what is said when it cannot be."""

import pytest

from engine_peer import CLIENT, Peer, canning
from support import wait_until

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
    MPI.COMM_WORLD.Allreduce(numpy.array([mpi_rank + 1.0]), total)  # noqa: F821
    return float(total[0])


def allreduce_pytrilinos():
    from PyTrilinos import Epetra

    return Epetra.PyComm().SumAll([mpi_rank + 1.0])[0]  # noqa: F821


def allreduce_native():
    import ctypes

    mpi = ctypes.CDLL(None)  # what the initialiser brought in is visible to all
    ours, total = ctypes.c_double(mpi_rank + 1.0), ctypes.c_double()  # noqa: F821

    def handle(name):
        return ctypes.c_void_p(ctypes.addressof(ctypes.c_char.in_dll(mpi, name)))

    mpi.MPI_Allreduce(ctypes.byref(ours), ctypes.byref(total), 1, handle("ompi_mpi_double"),
                      handle("ompi_mpi_op_sum"), handle("ompi_mpi_comm_world"))
    return total.value


ALLREDUCE = {"mpi4py": allreduce_mpi4py, "pytrilinos": allreduce_pytrilinos, "native": allreduce_native}


@pytest.mark.parametrize("name", ALLREDUCE)
def test_each_initialiser_under_mpiexec(sandbox, peer, name, request):
    env = sandbox.no_leak_check()
    if name == "pytrilinos":
        folder = request.getfixturevalue("pytrilinos")
        env["PYTHONPATH"] = f"{folder}:{sandbox.env['PYTHONPATH']}"
    mpiexec = sandbox.start("mpiexec", "-n", RANKS, "--oversubscribe", sandbox.programs.ipengine, f"--mpi={name}",
                            f"--file={peer.file}", env=env)
    engines = Engines(peer)
    assert sorted(engines.uuids) == list(range(RANKS)), "the ranks are the ids"
    assert engines.apply(lambda: (mpi_rank, mpi_size)) == [(i, RANKS) for i in range(RANKS)]  # noqa: F821
    assert engines.apply(ALLREDUCE[name]) == [float(sum(range(RANKS + 1)))] * RANKS
    # They end together and in order: MPI is finalised, so that mpiexec has nothing to complain of.
    engines.send("control", "shutdown_request")
    assert mpiexec.wait(60) == 0, mpiexec.output


def test_the_bare_option_means_mpi4py(sandbox, peer):
    sandbox.start("mpiexec", "-n", 1, sandbox.programs.ipengine, "--mpi", f"--file={peer.file}",
                  env=sandbox.no_leak_check()).wait_for_output("initialised by mpi4py: rank 0 of 1")


def test_without_mpiexec_it_says_how_to_start(sandbox, peer):
    ended = sandbox.run(sandbox.programs.ipengine, "--mpi=mpi4py", f"--file={peer.file}")
    assert ended.status == 4
    assert "mpiexec -n 4 ipengine --mpi=mpi4py" in ended.err
    engine = sandbox.start(sandbox.programs.ipengine, "--mpi=mpi4py", "--IPEngine.mpi_singleton=true",
                           f"--file={peer.file}", env=sandbox.no_leak_check())
    engine.wait_for_output("initialised by mpi4py: rank 0 of 1")


@pytest.mark.parametrize("name, module, advice", [
    ("mpi4py", "mpi4py", "apt-get install python3-mpi4py"),
    ("pytrilinos", "PyTrilinos", "build Trilinos with it"),
])
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
